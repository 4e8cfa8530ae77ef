//! What the loss of a node connection means: nothing, another run elsewhere, or an error that says what is known.
//!
//! A statement that was not sent, or that only reads and has shown the client nothing, runs elsewhere. An open transaction that
//! has not been told to commit is over and did not happen. Anything else that was sent may have happened.

use std::time::Duration;

use tracing::{info, warn};

use crate::cluster::view::NodeId;
use crate::fault::{Fault, Retry, Side};
use crate::routing::writer::WriterLoss;
use crate::sql::effect;
use crate::sql::statement::{Class, LexMode, Traits};
use crate::telemetry::tally::Event;
use crate::wire::err::{self, Error};
use crate::wire::packet::HEADER;
use crate::wire::reply::Shape;

use super::conn::Phase as ConnPhase;
use super::desk::{Desk, Peer, Slot};
use super::kill::Sentence;
use super::machine::{Machine, Phase};
use super::outcome::PINNED;
use super::resume::Loss;
use super::work::{After, Stage, Target, Work};

/// How soon a command looks for a node again after one has failed it.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Why it is not known what became of a transaction.
const DOUBTFUL: &str = "a statement that may have ended the transaction had failed";
/// The same of a file.
const FILE_IN_PART: &str = "a table without transactions keeps what it has got of the file";

impl Machine {
    /// A node connection is gone, or can't be trusted any more.
    pub(super) fn lose(&mut self, slot: Slot, desk: &mut Desk) {
        let Some(conn) = self.conns.get(usize::from(slot)).filter(|conn| conn.is_open()) else { return };
        let (node, thread) = (conn.node, conn.kept.thread);
        let takes_error = conn.tracker.takes_error();
        let sequence = conn.tracker.next_sequence();
        let open = self.state.transaction == Some(slot);
        // With autocommit=0 the first statement opens a transaction that its own end does not commit.
        let uncommitted = open || !self.state.autocommits();
        desk.tally.count(Event::ConnectionLost);
        let writes = conn.of_writer && desk.settings.writer_loss == WriterLoss::Disconnect;
        self.drop_conn(slot, desk);
        if self.sentence != Sentence::None || (writes && self.is_serving()) {
            return self.hang_up(desk);
        }
        let pinned = self.state.pinned == Some(slot);
        let replayable = self.is_replayable(desk);
        let Some(work) = self.work.as_ref().filter(|work| work.slot == Some(slot) && !work.replied) else {
            return self.lose_idle(slot, node, open, desk);
        };
        if matches!(work.after, After::Kill { id, ends: true } if id == self.id) {
            // It has killed itself. A server closes without a word, too.
            return self.hang_up(desk);
        }
        let sent = work.stage == Stage::Running;
        // Of a file that comes in part only a cluster's node has loaded nothing.
        let cut = work.is_sending_file() && desk.view.gtid_domain.is_some();
        let again = !open && !pinned && (!sent || cut || (work.retry && !work.answered)) && work.is_kept();
        if again {
            return self.elsewhere(slot, None, desk);
        }
        let (answered, journaled) = (work.answered, work.journaled);
        let loss = |fault| Loss { fault, sequence: takes_error.then_some(sequence) };
        if sent && !open && !pinned && answered && !journaled && self.resume(loss(interrupted(desk.name(node)))) {
            return self.elsewhere(slot, None, desk);
        }
        let Some(work) = &self.work else { return };
        let again = replayable && uncommitted && work.is_kept() && !(sent && commits(work));
        if again && (!answered || (journaled && self.resume(loss(transaction_lost(desk.name(node)))))) {
            self.demand_replay(slot, transaction_lost(desk.name(node)), desk);
            return self.elsewhere(slot, None, desk);
        }
        let Some(work) = &self.work else { return };
        let in_doubt =
            sent && !pinned && !work.is_uploading() && if uncommitted { commits(work) } else { !harmless(work) };
        let found = if in_doubt { self.resolve(node, thread, uncommitted, desk) } else { Err(PINNED) };
        let Err(why) = found else { return };
        let Some(work) = &self.work else { return };
        let fault = match (sent, uncommitted) {
            _ if self.state.transaction_doubtful => unknown_outcome(node, DOUBTFUL, desk),
            (false, _) => transaction_lost(desk.name(node)),
            (true, true) if !commits(work) || work.is_uploading() => transaction_lost(desk.name(node)),
            (true, false) if work.is_sending_file() && !cut => unknown_outcome(node, FILE_IN_PART, desk),
            (true, false) if work.is_uploading() => cut_short(desk.name(node)),
            (true, false) if harmless(work) => interrupted(desk.name(node)),
            (true, _) => unknown_outcome(node, why, desk),
        };
        self.end_journal(desk);
        self.state.end_transaction();
        info!(session = self.id, node = desk.name(node), "node connection lost under a statement: {}", fault.message);
        if answered && !takes_error {
            return self.hang_up(desk);
        }
        let sequence = if answered { sequence } else { 1 };
        self.fail_at(fault, sequence, desk);
        if pinned {
            self.end_with_node(node, desk);
        }
    }

    /// Whether all that is under way on a connection is a read, which another node can do as well.
    pub(super) fn may_read_elsewhere(&self, slot: Slot) -> bool {
        let reads =
            |work: &Work| work.slot == Some(slot) && work.target == Target::Reader && work.retry && !work.killed;
        let tied = self.state.transaction == Some(slot) || self.state.pinned == Some(slot);
        let of_writer = self.conns.get(usize::from(slot)).is_none_or(|conn| conn.of_writer);
        !tied && !of_writer && self.sentence == Sentence::None && self.work.as_ref().is_some_and(reads)
    }

    /// A node connection is gone under which nothing was under way.
    fn lose_idle(&mut self, slot: Slot, node: NodeId, open: bool, desk: &mut Desk) {
        // The node may have given up before the client has sent all (1153): there is no more to be said.
        self.discard_rest(slot, desk);
        if self.state.pinned == Some(slot) {
            return self.end_with_node(node, desk);
        }
        if open && self.is_replayable(desk) {
            return self.demand_replay(slot, transaction_lost(desk.name(node)), desk);
        }
        if open {
            self.end_journal(desk);
            let fault = match self.state.transaction_doubtful {
                true => unknown_outcome(node, DOUBTFUL, desk),
                false => transaction_lost(desk.name(node)),
            };
            self.state.end_transaction();
            self.trail.end();
            self.state.transaction_lost = Some(Box::new(fault));
        }
    }

    /// What the session had on that node can't be had elsewhere.
    fn end_with_node(&mut self, node: NodeId, desk: &mut Desk) {
        let name = desk.name(node);
        warn!(
            session = self.id,
            node = name,
            "the session ends: its temporary tables, locks or variables were on the lost node"
        );
        self.hang_up(desk);
    }

    /// The command under way has lost its connection, and may go to another.
    pub(super) fn elsewhere(&mut self, slot: Slot, fault: Option<Fault>, desk: &mut Desk) {
        let Some(conn) = self.conns.get(usize::from(slot)) else { return };
        let node = conn.node;
        let (now_us, retry_at_us) = (desk.now_us, desk.after(RETRY_PAUSE));
        let Some(work) = self.work.as_mut().filter(|work| work.slot == Some(slot)) else { return };
        let was_sent = work.stage == Stage::Running;
        if was_sent && let Some(load) = desk.load(node) {
            load.end(now_us);
        }
        let only_here = matches!(work.target, Target::Slot(_) | Target::Node(_)) || desk.view.writer == Some(node);
        match fault {
            Some(fault) if only_here => {
                work.stage = Stage::Waiting;
                self.fail(fault, desk);
            }
            _ => {
                work.stage = Stage::Waiting;
                work.slot = None;
                work.avoided.insert(node);
                work.retry_at_us = retry_at_us;
                desk.tally.add(Event::Rerun, u64::from(was_sent));
                self.advance(None, desk);
            }
        }
    }

    /// The command under way is to run again, on any node that suits it.
    pub(super) fn take_back(&mut self, desk: &mut Desk) {
        // Its transaction, if it had one, is rolled back, and with it is gone what was said of that.
        self.state.upcoming.forget();
        let Some(work) = &mut self.work else { return };
        let slot = work.slot.take();
        let was = std::mem::replace(&mut work.stage, Stage::Waiting);
        let slot = slot.filter(|_| was == Stage::Running);
        let node = slot.and_then(|slot| self.conns.get(usize::from(slot))).map(|conn| conn.node);
        desk.tally.add(Event::Rerun, u64::from(slot.is_some()));
        let now_us = desk.now_us;
        if let Some(load) = node.and_then(|node| desk.load(node)) {
            load.end(now_us);
        }
    }

    /// A deadline of the command under way has passed.
    pub(super) fn overdue(&mut self, desk: &mut Desk) {
        let Some(work) = self.work.as_ref().filter(|work| work.stage == Stage::Waiting) else { return };
        match work.slot {
            Some(slot) if self.conns.get(usize::from(slot)).is_some_and(|conn| conn.phase == ConnPhase::Queued) => {
                self.leave_queue(slot, desk);
            }
            Some(slot) if self.conns.get(usize::from(slot)).is_some_and(|conn| !conn.is_ready()) => {
                self.mistrust(slot, desk);
            }
            _ => self.advance(None, desk),
        }
    }

    /// The wait for a connection was too long.
    fn leave_queue(&mut self, slot: Slot, desk: &mut Desk) {
        let Some(conn) = self.conns.get(usize::from(slot)) else { return };
        let fault = too_many(desk.name(conn.node), desk);
        self.drop_conn(slot, desk);
        self.fail(fault, desk);
    }

    /// Ends the command under way with an error.
    pub(super) fn fail(&mut self, fault: Fault, desk: &mut Desk) {
        match self.interrupted_at() {
            Some(None) => self.hang_up(desk),
            Some(Some(sequence)) => self.fail_at(fault, sequence, desk),
            None => self.fail_at(fault, 1, desk),
        }
    }

    pub(super) fn fail_at(&mut self, fault: Fault, sequence: u8, desk: &mut Desk) {
        if matches!(self.phase, Phase::Greeting(_)) {
            return self.refuse(fault, desk);
        }
        let Some(work) = &mut self.work else { return };
        if work.is_uploading() {
            // The client reads no answer before it has sent all.
            work.failure = Some(fault);
            match work.slot {
                Some(slot) => self.discard_rest(slot, desk),
                None => work.stage = Stage::Discarding,
            }
            return;
        }
        desk.tally.count(match fault.side {
            Side::Client => Event::ClientFault,
            Side::Node => Event::NodeFault,
            Side::Proxy => Event::ProxyFault,
        });
        let sequence = work.upload.map_or(sequence, |upload| upload.next_sequence());
        if work.shape != Shape::Nothing || matches!(work.after, After::Login(_)) {
            desk.write(Peer::Client, |out| err::put(out, sequence, &fault));
        } else if let Some(id) = work.statement {
            // Whoever sends long data hears nothing: the next command is told.
            self.prepared.release(id);
            self.state.transaction_lost = Some(Box::new(fault));
        }
        self.finish(desk);
    }

    /// Throws away what the client still uploads to a connection.
    fn discard_rest(&mut self, slot: Slot, desk: &mut Desk) {
        let Some(work) = self.work.as_mut().filter(|work| work.slot == Some(slot)) else { return };
        let active = work.stage == Stage::Running;
        work.stage = Stage::Discarding;
        let now_us = desk.now_us;
        let conn = self.conns.get(usize::from(slot)).filter(|_| active);
        if let Some(load) = conn.and_then(|conn| desk.load(conn.node)) {
            load.end(now_us);
        }
    }

    /// The client has sent all of a command that had failed.
    pub(super) fn tell_failure(&mut self, desk: &mut Desk) {
        let fault = self.work.as_mut().and_then(|work| work.failure.take());
        match fault {
            Some(fault) => self.fail(fault, desk),
            None => self.finish(desk),
        }
    }
}

/// What a node says that refuses work: it did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It was in the way of other work (1213). A transaction is rolled back.
    Aborted,
    /// What it writes has been changed since its transaction began to read (1020, `innodb_snapshot_isolation`). InnoDB rolls the transaction
    /// back (manual, error 1020), other engines the statement: all of it is undone for certain once its connection is closed.
    Outrun,
    /// The node takes no such work now (1047, 1290).
    Unfit,
}

/// What work gets that was in the way of other work.
pub(super) const DEADLOCK: u16 = 1213;

/// What a transaction gets that was outrun by other work.
const OUTRUN: u16 = 1020;

/// Whether an error says that the work certainly did not happen, and that it may well succeed if it is tried again (measured: tests of
/// what an answer proves).
pub(super) fn refusal(error: &Error) -> Option<Refusal> {
    match error.code {
        DEADLOCK => Some(Refusal::Aborted),
        1047 if error.message.starts_with(b"WSREP") => Some(Refusal::Unfit),
        1290 if memchr::memmem::find(error.message, b"read-only").is_some() => Some(Refusal::Unfit),
        _ => None,
    }
}

/// Whether an error says that the node, or its connection, is of no use any more: it has left the primary component, shuts down, or
/// somebody has killed the connection. What was not told to commit has not.
pub(super) fn is_doomed(error: &Error) -> bool {
    matches!(error.code, 1180 | 1053 | 1927)
}

/// The same of a statement within a transaction, which is over as well if its connection is.
pub(super) fn refusal_within(error: &Error) -> Option<Refusal> {
    match error.code {
        OUTRUN => Some(Refusal::Outrun),
        _ if is_doomed(error) => Some(Refusal::Unfit),
        _ => refusal(error),
    }
}

/// A node's error as one of ours.
pub(super) fn fault_of(error: &Error) -> Fault {
    Fault::node(Retry::Replay, error.code, &error.state, String::from_utf8_lossy(error.message))
}

/// Whether the command may have committed the transaction that was open.
pub(super) fn commits(work: &Work) -> bool {
    match work.after {
        After::Effect(_) => {
            let text = work.packet.get(HEADER + 1..).unwrap_or_default();
            effect::change(text, LexMode::default()).autocommit.is_some()
        }
        After::Statement(verdict) | After::Execute(verdict) => {
            verdict.class == Class::End
                || matches!(verdict.class, Class::Begin { .. })
                || verdict
                    .traits
                    .intersects(Traits::IMPLICIT_COMMIT | Traits::MAY_COMMIT | Traits::MULTI | Traits::XA_END)
        }
        After::Nothing => !work.command.is_harmless(),
        _ => false,
    }
}

/// Whether the command changes nothing, so that nobody needs to know whether it ran.
pub(super) fn harmless(work: &Work) -> bool {
    match work.after {
        After::Statement(verdict) | After::Execute(verdict) => {
            matches!(verdict.class, Class::Read | Class::Diagnostics)
        }
        After::Prepare(_) | After::Effect(_) | After::Schema | After::Option | After::Reset => true,
        _ => work.command.is_harmless(),
    }
}

/// The open transaction is over, and none of it happened.
pub(super) fn transaction_lost(node: &str) -> Fault {
    let text = format!(
        "Deadlock found when trying to get lock; try restarting transaction (rolled back: its connection to node {node} was lost)"
    );
    Fault::node(Retry::Replay, 1213, b"40001", text)
}

fn cut_short(node: &str) -> Fault {
    let text = format!(
        "The connection to node {node} was lost before all of the statement, or its file, had been sent; it did not run. Is it \
         longer than the node's max_allowed_packet?"
    );
    Fault::node(Retry::Never, 1105, b"08S01", text)
}

fn interrupted(node: &str) -> Fault {
    let text = format!(
        "The connection to node {node} was lost before all of the result had arrived; the statement changed nothing"
    );
    Fault::node(Retry::Replay, 1105, b"08S01", text)
}

/// That nobody knows whether a write happened; counted as such.
pub(super) fn unknown_outcome(node: NodeId, why: &str, desk: &mut Desk) -> Fault {
    desk.tally.count(Event::OutcomeUnknown);
    let node = desk.name(node);
    let text = format!(
        "The connection to node {node} was lost after the statement was sent; whether it took effect is unknown: {why}"
    );
    Fault::node(Retry::Never, 1105, b"08007", text)
}

/// What a prepared statement or a session had on one node is gone.
pub(super) fn statement_data_lost() -> Fault {
    let text = "The node connection that held the cursor, the long data or the result of the previous statement was lost; run the statement again";
    Fault::node(Retry::Replay, 1105, b"08S01", text)
}

/// No connection to the node came free.
fn too_many(node: &str, desk: &Desk) -> Fault {
    let (limit, waited) = (desk.settings.connections_max, desk.settings.connection_wait.as_secs_f32());
    let text = format!(
        "Too many connections: all {limit} to node {node} that connections_max allows are in use (waited {waited} s, connection_wait)"
    );
    Fault::proxy(Retry::Replay, 1040, b"08004", text)
}

/// No node can run the command.
pub(super) fn nowhere(target: Target, waited: Duration) -> Fault {
    let seconds = waited.as_secs_f32();
    match target {
        Target::Reader | Target::Home => {
            let text = format!("No node of the cluster can serve now (waited {seconds} s); see `oarlock list servers`");
            Fault::proxy(Retry::Replay, 1105, b"08S01", text)
        }
        _ => {
            let text = format!(
                "No node of the cluster takes writes now (waited {seconds} s), as with the --read-only option; see `oarlock list servers`"
            );
            Fault::proxy(Retry::Replay, 1290, b"HY000", text)
        }
    }
}
