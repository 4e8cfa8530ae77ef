//! Makes interrupted work on one node end: kills its connection until it is gone.
//!
//! A connection that is gone has done what it did. What of that had to go through the cluster is in order once the node has
//! answered a read that waits for the cluster; outside of a primary component it does not.
//!
//! A node that was frozen or cut off, and expelled, comes back with its connections: a statement that was slow goes on and commits
//! once the node is a member again, seconds later (measured: `INSERT .. SELECT SLEEP(14)`, node frozen and expelled for
//! 6 s). So what it was asked to end is ended when it can be reached again, whatever has been answered meanwhile. The way to a frozen node
//! is open, and its greeting comes with the thaw: long before it is a member.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::access::Access;
use super::survey::MEMBERS;
use crate::backend::line::{Line, Trouble};
use crate::cluster::view::{NodeId, ViewHandle};
use crate::config::model::Kind;

/// ER_NO_SUCH_THREAD: it is gone.
const NO_SUCH_THREAD: u16 = 1094;
/// ER_KILL_DENIED_ERROR.
const KILL_DENIED: u16 = 1095;
/// How often a connection that ends is asked for again.
const KILL_PAUSE: Duration = Duration::from_millis(10);
/// If it has not ended by then, the node is asked anew.
const KILL_MAX: Duration = Duration::from_secs(5);
/// The pause before a node that could not be asked is asked again; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(400);
/// A node that has been away for so long does not come back with what it was doing.
const AWAY_MAX: Duration = Duration::from_secs(3600);
/// A server counts its time in whole seconds.
const UPTIME_SLACK: Duration = Duration::from_secs(2);

const UPTIME: &str = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'UPTIME'";

/// A connection that is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    /// The node's id of it.
    pub id: u32,
    /// Since when.
    pub asked: Instant,
}

/// What a warden has to say.
#[derive(Debug)]
pub enum News {
    /// This connection has ended on this node, and all it did is in order.
    Over(NodeId, Thread),
    /// The node can't be asked now.
    Trouble(NodeId, Box<str>),
    /// The service user may not kill.
    Denied(NodeId),
}

/// The warden of a node.
pub struct Warden {
    /// Its node.
    pub node: NodeId,
    /// What its node is.
    pub kind: Kind,
    /// The way to it.
    pub access: Arc<Access>,
    /// Where it is.
    pub view: ViewHandle,
    /// To whom it reports.
    pub news: UnboundedSender<News>,
}

impl Warden {
    /// Ends connections for as long as there may be orders.
    pub async fn run(self, mut orders: UnboundedReceiver<Thread>) {
        let mut threads: Vec<Thread> = Vec::new();
        let mut pause = PAUSE;
        loop {
            if threads.is_empty() {
                let Some(thread) = orders.recv().await else { return };
                threads.push(thread);
                pause = PAUSE;
            }
            while let Ok(thread) = orders.try_recv() {
                threads.push(thread);
                pause = PAUSE;
            }
            let news = match self.end(&threads).await {
                Ok(()) => {
                    threads.drain(..).for_each(|thread| self.tell(News::Over(self.node, thread)));
                    continue;
                }
                Err(Trouble::Refused(fault)) if fault.code == KILL_DENIED => News::Denied(self.node),
                Err(Trouble::Refused(fault)) => {
                    News::Trouble(self.node, format!("{} (error {})", fault.message, fault.code).into())
                }
                Err(Trouble::Lost(why)) => News::Trouble(self.node, why),
            };
            self.tell(news);
            threads.retain(|thread| thread.asked.elapsed() < AWAY_MAX);
            tokio::select! {
                () = sleep(pause) => {}
                Some(thread) = orders.recv() => threads.push(thread),
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn tell(&self, news: News) {
        // Nobody waits for it any more when the proxy stops.
        let _ = self.news.send(news);
    }

    async fn end(&self, threads: &[Thread]) -> Result<(), Trouble> {
        let view = self.view.load().clone();
        let Some(node) = view.node(self.node) else { return Err(Trouble::Lost("unknown node".into())) };
        let mut line = self.access.line(node.address.clone()).await?;
        let uptime: u64 = self.access.value(&mut line, UPTIME).await?.parse().unwrap_or(u64::MAX);
        // The ids of a server that has started since are other connections'.
        let running = Duration::from_secs(uptime).saturating_add(UPTIME_SLACK);
        let pending =
            threads.iter().filter(|thread| running > thread.asked.elapsed()).map(|thread| thread.id).collect();
        self.kill(&mut line, pending, &node.name).await?;
        if self.kind == Kind::Galera {
            self.access.query(&mut line, "SET SESSION wsrep_sync_wait = 15, wsrep_dirty_reads = OFF").await?;
            self.access.query(&mut line, MEMBERS).await?;
        }
        Ok(())
    }

    /// Kills connections until they are gone. A list of them needs a privilege of its own, to be refused a KILL does not.
    async fn kill(&self, line: &mut Line, mut pending: Vec<u32>, name: &str) -> Result<(), Trouble> {
        let give_up = Instant::now() + KILL_MAX;
        loop {
            let mut left = Vec::new();
            for id in pending {
                match self.access.query(line, &format!("KILL CONNECTION {id}")).await {
                    Ok(_) => left.push(id),
                    Err(Trouble::Refused(fault)) if fault.code == NO_SUCH_THREAD => {}
                    Err(trouble) => return Err(trouble),
                }
            }
            let Some(first) = left.first() else { return Ok(()) };
            if Instant::now() >= give_up {
                warn!(node = name, thread = first, "a killed connection does not end");
                return Err(Trouble::Lost(format!("its connection {first} was killed and does not end").into()));
            }
            pending = left;
            sleep(KILL_PAUSE).await;
        }
    }
}
