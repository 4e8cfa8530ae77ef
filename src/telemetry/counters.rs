//! The live numbers of a running proxy: workers write them, the admin API reads them.
//!
//! Relaxed atomics: each number is right by itself, and no two are read as one.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster::view::NodeId;

/// All numbers of one process.
#[derive(Debug, Default)]
pub struct Counters {
    /// By [`NodeId`].
    pub nodes: Box<[NodeCounters]>,
    /// Sessions now.
    pub sessions: AtomicU64,
    /// Sessions since the start.
    pub sessions_total: AtomicU64,
}

/// The numbers of one node.
#[derive(Debug, Default)]
pub struct NodeCounters {
    /// Node connections of sessions now.
    pub connections: AtomicU64,
}

impl Counters {
    /// Zeroes for so many nodes.
    pub fn new(nodes: usize) -> Self {
        Self { nodes: (0..nodes).map(|_| NodeCounters::default()).collect(), ..Self::default() }
    }

    /// Node connections of sessions to this node now.
    pub fn connections(&self, id: NodeId) -> u64 {
        self.nodes.get(usize::from(id.0)).map_or(0, |node| node.connections.load(Ordering::Relaxed))
    }
}
