//! The machine's record of one node connection: how far its login is, and which replies it owes in which order.

use std::collections::VecDeque;

use crate::backend::login::Login;
use crate::backend::pool::{Defaults, Kept, Reset, Sighting};
use crate::cluster::view::NodeId;
use crate::wire::Malformed;
use crate::wire::capability::{Capabilities, Status};
use crate::wire::reply::{ReplyTracker, Shape};

/// The longest answer to the session itself in bytes: one column of one row.
const ANSWER_MAX: usize = 1 << 10;

/// Where a node connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The slot is free.
    Closed,
    /// Waits until there is room for it.
    Queued,
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
    /// The reset of a connection that another session had, and its schema.
    Reset,
    /// The client's prepared statement of this id, prepared here too.
    Prepare(u32),
    /// The types of a statement's parameters, told by an execute that the node must refuse.
    Types,
    /// What LAST_INSERT_ID() is.
    InsertId,
    /// The schema in which a transaction that runs again began.
    ReplaySchema,
    /// A statement of a transaction that runs again.
    Replay,
    /// What that statement needs to be what it was, or what is undone in the end.
    ReplaySetting,
    /// What was said of the next transaction.
    Announcement,
    /// A setting of the session's own, which may fail.
    Setting,
    /// The node waits until it is about to have what the next read must see.
    Wait,
    /// The node waits until everything can be seen, up to this sequence number and beyond.
    Sync(u64),
}

/// One node connection.
pub(super) struct NodeConn {
    pub(super) node: NodeId,
    /// That was the writer when the session last looked.
    pub(super) of_writer: bool,
    /// The node was told of the client's address.
    pub(super) introduced: bool,
    pub(super) phase: Phase,
    /// What the node said of it.
    pub(super) kept: Kept,
    /// Nothing has run on it that could have left anything: no lock, no table, no transaction.
    pub(super) spotless: bool,
    /// The row count that the reads of the session before have left is still there.
    pub(super) foreign: bool,
    /// Something may be left on it that nobody knows of.
    pub(super) tied: bool,
    /// When the session can do without it, in microseconds of the desk's clock.
    pub(super) spare_from_us: u64,
    pub(super) tracker: ReplyTracker,
    owed: VecDeque<(Purpose, Shape)>,
    /// Session effects up to this version have been sent.
    pub(super) sent: u64,
    /// It was asked to tell of what the session needs, after effects up to this version.
    pub(super) asked: Option<u64>,
    /// The node was asked to wait until it has applied everything up to this sequence number.
    pub(super) waited: u64,
    /// The node was told to wait by itself before each read.
    pub(super) waits_itself: bool,
    /// What has come of an answer to the session itself.
    pub(super) answer: Vec<u8>,
}

impl NodeConn {
    pub(super) fn dialling(node: NodeId, now: Sighting, defaults: Defaults) -> Self {
        let tracker = ReplyTracker::idle(Capabilities::empty());
        let kept = Kept { thread: 0, status: Status::empty(), reset: Reset::Done, schema_seen: now, defaults };
        Self {
            node,
            of_writer: false,
            introduced: false,
            phase: Phase::Dialling,
            kept,
            spotless: true,
            foreign: false,
            tied: false,
            spare_from_us: 0,
            tracker,
            owed: VecDeque::new(),
            sent: 0,
            asked: None,
            waited: 0,
            waits_itself: false,
            answer: Vec::new(),
        }
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

    /// Takes a piece of an answer to the session itself.
    pub(super) fn take_answer(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.answer.extend_from_slice(bytes);
        if self.answer.len() > ANSWER_MAX { Err(Malformed("a longer answer than there can be")) } else { Ok(()) }
    }

    /// Whether a reply for this will come.
    pub(super) fn owes(&self, purpose: Purpose) -> bool {
        self.owed.iter().any(|(owed, _)| *owed == purpose)
    }

    /// Whether all replies that will come are to settings, of which nothing depends.
    pub(super) fn owes_settings_only(&self) -> bool {
        self.is_ready() && self.owed.iter().all(|(owed, _)| *owed == Purpose::Setting)
    }

    /// Whether the node is being waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.owed.iter().any(|(owed, _)| matches!(owed, Purpose::Wait | Purpose::Sync(_)))
    }

    /// The node has not applied in time what it was asked to: what comes of the second step of that wait proves nothing.
    pub(super) fn give_up_waiting(&mut self) {
        self.waited = 0;
        for (owed, _) in &mut self.owed {
            if matches!(owed, Purpose::Sync(_)) {
                *owed = Purpose::Setting;
            }
        }
    }

    /// The connection's own settings are those of a new one.
    pub(super) fn forget_settings(&mut self) {
        (self.asked, self.waited, self.waits_itself) = (None, 0, false);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody may believe that the node has it because the second step said so.
    #[test]
    fn a_sync_behind_a_failed_wait_proves_nothing() {
        let mut conn = NodeConn::dialling(NodeId(1), Sighting::default(), Defaults::default());
        conn.waited = 3;
        for purpose in [Purpose::Wait, Purpose::Sync(3), Purpose::Client] {
            conn.owe(purpose, Shape::Results);
        }
        conn.give_up_waiting();
        conn.settle();
        assert_eq!((conn.arriving(), conn.waited), (Some(Purpose::Setting), 0));
        conn.settle();
        assert_eq!(conn.arriving(), Some(Purpose::Client));
    }
}
