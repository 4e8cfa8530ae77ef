//! The live numbers of a running proxy: workers write them, the admin API reads them.
//!
//! Relaxed atomics: each number is right by itself, and no two are read as one.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster::view::NodeId;
use crate::config::Config;

/// All numbers of one process.
#[derive(Debug)]
pub struct Counters {
    /// By [`NodeId`].
    pub nodes: Box<[NodeCounters]>,
    /// By listener, in the order of the configuration.
    pub services: Box<[ServiceCounters]>,
}

/// The numbers of one node.
#[derive(Debug, Default)]
pub struct NodeCounters {
    /// Node connections of sessions now.
    pub connections: AtomicU64,
}

/// The numbers of one listener.
#[derive(Debug, Default)]
pub struct ServiceCounters {
    /// Sessions now.
    pub sessions: AtomicU64,
    /// Sessions since the start.
    pub sessions_total: AtomicU64,
}

impl Counters {
    /// Zeroes for what is configured.
    pub fn new(config: &Config) -> Self {
        Self {
            nodes: config.nodes.iter().map(|_| NodeCounters::default()).collect(),
            services: config.listeners.iter().map(|_| ServiceCounters::default()).collect(),
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
