//! The machine's record of one node connection: how far its login is, and which replies it owes in which order.

use std::collections::VecDeque;

use crate::backend::login::Login;
use crate::backend::pool::Kept;
use crate::cluster::view::NodeId;
use crate::wire::capability::{Capabilities, Status};
use crate::wire::reply::{ReplyTracker, Shape};

/// Where a node connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The slot is free.
    Closed,
    Dialling,
    LoggingIn(Login),
    Ready,
}

/// What a reply that a node owes is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The client's command: the reply is the client's.
    Client,
    /// A session effect, which takes the connection to this version of the session's state.
    Effect(u64),
    /// The reset of a connection that another session had.
    Reset,
    /// The client's prepared statement of this id, prepared here too.
    Prepare(u32),
    /// The types of a statement's parameters, told by an execute that the node must refuse.
    Types,
}

/// One node connection.
pub(super) struct NodeConn {
    pub(super) node: NodeId,
    pub(super) phase: Phase,
    /// What the node said of it.
    pub(super) kept: Kept,
    /// Nothing has run on it that could have left anything: no lock, no table, no transaction.
    pub(super) spotless: bool,
    pub(super) tracker: ReplyTracker,
    owed: VecDeque<(Purpose, Shape)>,
    /// Session effects up to this version have been sent.
    pub(super) sent: u64,
}

impl NodeConn {
    pub(super) fn dialling(node: NodeId) -> Self {
        let tracker = ReplyTracker::idle(Capabilities::empty());
        let kept = Kept { thread: 0, status: Status::empty(), is_reset: false };
        Self { node, phase: Phase::Dialling, kept, spotless: true, tracker, owed: VecDeque::new(), sent: 0 }
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase != Phase::Closed
    }

    /// Ready and owing nothing.
    pub(super) fn is_quiet(&self) -> bool {
        self.phase == Phase::Ready && self.owed.is_empty()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// Notes that a reply will come.
    pub(super) fn owe(&mut self, purpose: Purpose, shape: Shape) {
        if shape == Shape::Nothing {
            return;
        }
        if self.owed.is_empty() {
            self.tracker.begin(shape);
        }
        self.owed.push_back((purpose, shape));
    }

    /// What the reply that is arriving is for.
    pub(super) fn arriving(&self) -> Option<Purpose> {
        self.owed.front().map(|(purpose, _)| *purpose)
    }

    /// The reply that was arriving has ended.
    pub(super) fn settle(&mut self) {
        self.owed.pop_front();
        if let Some((_, shape)) = self.owed.front() {
            self.tracker.begin(*shape);
        }
    }
}
