//! Watches the remote of one link: asks it each interval, at the first of its addresses that answers.
//!
//! Its answer is compared with what this site had reached *before* it was asked: a remote that is behind that is behind.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::line::Line;
use super::plan::{Remote, RemoteStatus};
use super::status::Facts;
use crate::config::model::{Address, Link};
use crate::config::{Config, Live};
use crate::gtid::Position;

/// What the next answer is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// How far this site has got.
    pub reached: Position,
    /// The address the link is at, to be asked first.
    pub first: Option<Address>,
}

/// What the rest of a link sees of the watch.
pub struct RemoteWatch {
    seen: watch::Receiver<Remote>,
    asked: watch::Sender<Asked>,
    ask: Arc<Notify>,
}

impl RemoteWatch {
    /// Watches for as long as this value lives; `wake` is told of what is new.
    pub fn start(live: Live, link: Link, wake: Arc<Notify>) -> Self {
        let (publish, seen) = watch::channel(Err("not asked yet".into()));
        let (asked, questions) = watch::channel(Asked::default());
        let ask = Arc::new(Notify::new());
        let now = ask.clone();
        tokio::spawn(async move {
            let mut config = live.load();
            let mut asker = Asker::new(&config, &link);
            while !publish.is_closed() {
                let newest = live.load();
                if !Arc::ptr_eq(&config, &newest) {
                    // Certificates may be others, though their files have the same names.
                    (asker, config) = (Asker::new(&newest, &link), newest);
                }
                let asked = questions.borrow().clone();
                let behind = publish.borrow().as_ref().map_or(0, |status: &RemoteStatus| status.behind);
                let answer = asker.ask(&asked, behind).await;
                if publish.send_if_modified(|seen| std::mem::replace(seen, answer.clone()) != answer) {
                    wake.notify_one();
                }
                let _ = timeout(config.cluster.probe_interval, now.notified()).await;
            }
        });
        Self { seen, asked, ask }
    }

    /// The newest answer.
    pub fn seen(&self) -> Remote {
        self.seen.borrow().clone()
    }

    /// What the next answer is for.
    pub fn next_for(&self, asked: Asked) {
        self.asked.send_replace(asked);
    }

    /// Asks now.
    pub fn ask(&self) {
        self.ask.notify_one();
    }
}

/// The lines to the remote's addresses, the one that answered last first in use.
struct Asker {
    lines: Vec<(Address, Line)>,
    current: usize,
}

impl Asker {
    fn new(config: &Config, link: &Link) -> Self {
        let line = |address: &Address| (address.clone(), Line::to_remote(address, link, config));
        Self { lines: link.remote.iter().map(line).collect(), current: 0 }
    }

    async fn ask(&mut self, asked: &Asked, behind: u32) -> Remote {
        let first = self.lines.iter().position(|(address, _)| Some(address) == asked.first.as_ref());
        self.current = first.unwrap_or(self.current);
        let mut why = Box::default();
        for step in 0..self.lines.len() {
            let place = (self.current + step) % self.lines.len();
            let (address, line) = &mut self.lines[place];
            match line.facts().await {
                Ok(facts) => {
                    self.current = place;
                    return Ok(status(address.clone(), facts, asked, behind));
                }
                Err(trouble) if step == 0 => why = format!("{address}: {trouble}").into(),
                Err(_) => {}
            }
        }
        Err(why)
    }
}

fn status(address: Address, facts: Facts, asked: &Asked, behind: u32) -> RemoteStatus {
    let is_behind = facts.binlog_position.sequence(facts.domain) < asked.reached.sequence(facts.domain);
    RemoteStatus {
        instead_of: asked.first.clone().filter(|first| *first != address),
        address,
        server_id: facts.server_id,
        domain: facts.domain,
        behind: if is_behind { behind.saturating_add(1) } else { 0 },
        position: facts.binlog_position,
    }
}
