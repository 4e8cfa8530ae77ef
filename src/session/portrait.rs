//! What a session shows of itself to operators: who it serves, where, and what it is at.
//!
//! Never the text of a statement, nor anything of its results.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::sql::statement::Class;

use super::desk::Desk;
use super::machine::{Machine, Phase};
use super::registry::{Order, Registry};
use super::work::{Stage, Work};

/// A session, as `list sessions` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portrait {
    /// The id that its client sees, and that KILL takes.
    pub id: u32,
    /// Name of its account.
    pub user: String,
    /// Where its client connects from.
    pub client: String,
    /// Name of the listener.
    pub service: String,
    /// The current schema; empty if there is none.
    pub schema: String,
    /// `login`, `idle`, `waiting` (for a node), `running`, `resolving` (the outcome of an interrupted write) or `dump`.
    pub state: String,
    /// Milliseconds in this state.
    pub for_ms: u64,
    /// The node that its statement or transaction runs on, or the last one ran on; empty if there is none.
    pub node: String,
    /// Whether a transaction is open.
    pub transaction: bool,
    /// What the statement that is running, or ran last, is: `read`, `write`, `begin` and so on. Empty before the first one.
    pub statement: String,
    /// Seconds since the client has connected.
    pub age: u64,
    /// Bytes that are kept for it, besides the system's.
    pub memory: usize,
}

/// Where portraits go, with what the machine does not know: the listener the session came by, by its place in the configuration.
pub(super) type Easel = mpsc::UnboundedSender<(u8, Portrait)>;

impl Machine {
    /// What the session shows of itself.
    pub fn portrait(&self, desk: &Desk) -> Portrait {
        let (state, since_us) = self.condition();
        let slot = self.work.as_ref().and_then(|work| work.slot).or(self.state.transaction).or(self.state.previous);
        let conn = slot.and_then(|slot| self.conns.get(usize::from(slot)));
        let class = self.work.as_ref().and_then(Work::class).or(self.last_class);
        Portrait {
            id: self.id,
            user: text(&self.client.user),
            client: self.client.address.to_string(),
            service: String::new(),
            schema: self.client.schema.as_deref().map(text).unwrap_or_default(),
            state: state.to_owned(),
            for_ms: desk.now_us.saturating_sub(since_us) / 1000,
            node: conn.map(|conn| desk.name(conn.node).to_owned()).unwrap_or_default(),
            transaction: self.state.transaction.is_some(),
            statement: class.map_or("", Class::name).to_owned(),
            age: desk.now_us.saturating_sub(self.begun_us) / 1_000_000,
            memory: self.memory(),
        }
    }

    /// What it is at, and since when.
    fn condition(&self) -> (&'static str, u64) {
        match (&self.phase, &self.work) {
            (Phase::Greeting(_), _) => ("login", self.begun_us),
            (_, None) => ("idle", self.idle_since_us),
            (_, Some(work)) => {
                let state = match work.stage {
                    Stage::Waiting | Stage::Finding => "waiting",
                    Stage::Running | Stage::Discarding => "running",
                    Stage::Resolving(_) => "resolving",
                };
                (state, work.first_us)
            }
        }
    }

    fn memory(&self) -> usize {
        let journal = self.journal.as_ref().map_or(0, |journal| journal.capacity());
        size_of::<Self>() + size_of_val(&*self.conns) + journal + self.state.memory() + self.prepared.memory()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Registry {
    /// What all sessions show of themselves, by their ids; `services` are the names of the listeners. Each has a way to answer until it
    /// has looked; when all are gone, all have.
    pub async fn portraits(&self, services: &[&str]) -> Vec<Portrait> {
        let (easel, mut answers) = mpsc::unbounded_channel();
        self.order_all(|| Order::Portray(easel.clone()));
        drop(easel);
        let mut portraits = Vec::with_capacity(self.len());
        while let Some((listener, mut portrait)) = answers.recv().await {
            portrait.service = services.get(usize::from(listener)).map(|name| (*name).to_owned()).unwrap_or_default();
            portraits.push(portrait);
        }
        portraits.sort_unstable_by_key(|portrait| portrait.id);
        portraits
    }

    /// Ends a session as KILL does. False if there is none of this id.
    pub fn end(&self, id: u32) -> bool {
        self.order(id, Order::End(id))
    }
}
