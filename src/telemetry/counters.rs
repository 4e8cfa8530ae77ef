//! The live numbers of a running proxy: workers write them, the admin API reads them.
//!
//! Relaxed atomics: each number is right by itself, and no two are read as one.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster::view::{NodeId, ViewHandle};
use crate::config::Config;
use crate::config::model::{LISTENER_PLACES_MAX, Listener, PLACES_MAX};

use super::tally::{Event, Totals};

/// All numbers of one process.
#[derive(Debug)]
pub struct Counters {
    /// By [`NodeId`].
    pub nodes: Box<[NodeCounters]>,
    /// By listener, in the order of the configuration.
    pub services: Box<[ServiceCounters]>,
    /// What has been counted since the start.
    pub totals: Totals,
}

/// The numbers of one node.
#[derive(Debug, Default)]
pub struct NodeCounters {
    /// Node connections of sessions now.
    pub connections: AtomicU64,
    /// Connections kept that no session uses.
    pub idle: AtomicU64,
    /// Sessions that wait for a connection.
    pub waiting: AtomicU64,
}

/// The numbers of one listener.
#[derive(Debug, Default)]
pub struct ServiceCounters {
    /// Sessions now.
    pub sessions: AtomicU64,
    /// Sessions since the start.
    pub sessions_total: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

impl Counters {
    /// Zeroes.
    pub fn new() -> Self {
        Self {
            nodes: (0..PLACES_MAX).map(|_| NodeCounters::default()).collect(),
            services: (0..LISTENER_PLACES_MAX).map(|_| ServiceCounters::default()).collect(),
            totals: Totals::new(PLACES_MAX),
        }
    }

    /// The listeners that are shown, with their numbers: one that has left as long as it has sessions.
    pub fn listeners<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = (&'a Listener, &'a ServiceCounters)> {
        let is_shown = |listener: &Listener, numbers: &ServiceCounters| {
            !listener.leaves || numbers.sessions.load(Ordering::Relaxed) > 0
        };
        config.listeners.iter().zip(&self.services).filter(move |(listener, numbers)| is_shown(listener, numbers))
    }

    /// Counts for ever how often the writer's role goes from one node to another.
    pub async fn count_writers(&self, view: ViewHandle) {
        let mut versions = view.versions();
        let mut last = view.load().writer;
        while versions.changed().await.is_ok() {
            let Some(writer) = view.load().writer else { continue };
            if last.replace(writer).is_some_and(|last| last != writer) {
                self.totals.add(Event::WriterChange, 1);
            }
        }
    }

    /// Node connections of sessions to this node now.
    pub fn connections(&self, id: NodeId) -> u64 {
        self.nodes.get(usize::from(id.0)).map_or(0, |node| node.connections.load(Ordering::Relaxed))
    }

    /// Sessions of all listeners now.
    pub fn sessions(&self) -> u64 {
        self.services.iter().map(|service| service.sessions.load(Ordering::Relaxed)).sum()
    }
}
