//! Work whose outcome is unknown: it was sent, may have been committed, and its connection is gone.
//!
//! The outcome service makes it over and looks for its marks. What was committed is answered; what certainly was not runs again; where
//! nobody can know, the client is told so (SQLSTATE 08007), and the session goes on.

use tracing::info;

use crate::cluster::view::NodeId;
use crate::fault::{Fault, Retry};
use crate::gtid::Gtid;
use crate::outcome::{Outcome, Question};
use crate::sql::marker::Marker;
use crate::sql::statement::{Class, Traits};
use crate::telemetry::tally::Event;
use crate::wire::command::Command;
use crate::wire::err::Error;
use crate::wire::ok::{self, Ok as OkPacket};
use crate::wire::packet::HEADER;

use super::command::is_rollback;
use super::desk::{Action, Desk, Peer, Slot};
use super::kill::Sentence;
use super::loss::{commits, harmless, is_doomed, transaction_lost, unknown_outcome};
use super::machine::Machine;
use super::state::Pins;
use super::upcoming::Upcoming;
use super::work::{After, Stage, Target, Work};

/// Session settings that keep marks out of the binary log.
const UNTRACED: [&[u8]; 3] = [b"@@binlog_annotate_row_events", b"@@sql_log_bin", b"@@wsrep_on"];

/// Why nobody can find out what became of a write.
const UNMARKED: &str = "it could not be marked, so no binary log can tell";
const NO_BASE: &str = "how far its node was before is not known, so no binary log can tell";
pub(super) const PINNED: &str = "the session had tables, locks or settings there that can't be had elsewhere, and ends";

/// Work whose outcome is being looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) node: NodeId,
    /// It would commit a transaction that was opened before it.
    within: bool,
}

impl Machine {
    /// Work that may have been committed has lost its connection, or its node can't say: looks for its outcome, if that can be found;
    /// else why it can't, for the client.
    pub(super) fn resolve(
        &mut self,
        node: NodeId,
        thread: u32,
        within: bool,
        desk: &mut Desk,
    ) -> Result<(), &'static str> {
        let Some(work) = &self.work else { return Ok(()) };
        if within && work.command == Command::Query && is_rollback(work.packet.get(HEADER + 1..).unwrap_or_default()) {
            self.rolled_back(desk);
            return Ok(());
        }
        if let Some(why) = self.undecidable(work, node, within, desk) {
            return Err(why);
        }
        let Some(mut base) = self.trail.base(node) else { return Err(NO_BASE) };
        if let Some(last) = self.state.written.last {
            base.raise(last);
        }
        let markers: Box<[Marker]> = self.trail.marks.iter().map(|number| self.marker(*number, desk)).collect();
        if markers.is_empty() && self.trail.unmarked {
            return Err(UNMARKED);
        }
        let wants_rows = !within && self.is_insert();
        let Some(work) = &mut self.work else { return Ok(()) };
        work.stage = Stage::Resolving(Doubt { node, within });
        work.slot = None;
        info!(session = self.id, node = desk.name(node), "a write was interrupted; its outcome is looked for");
        desk.act(Action::FindOutcome(Box::new(Question { node, thread, markers, base, wants_rows })));
        Ok(())
    }

    /// Why nobody can find out what became of the command under way, where that is known at once.
    fn undecidable(&self, work: &Work, node: NodeId, within: bool, desk: &Desk) -> Option<&'static str> {
        let written = &self.state.written;
        Some(match () {
            () if !desk.settings.outcome => "it is not looked for (outcome = \"error\")",
            () if desk.view.gtid_domain.is_none() => "without wsrep_gtid_mode no binary log can tell",
            () if work.streams() => "what is uploaded is not marked, so no binary log can tell",
            () if work.answered => "a part of its result had arrived, which can't be had again",
            // One group that is found says nothing of the other.
            () if within && work.verdict().is_some_and(|verdict| verdict.class == Class::Write) => {
                "it commits twice: what was open, and itself"
            }
            () if self.trail.reuses && (written.untold || written.strays) => {
                "what the session had written before is not known, and could be taken for it"
            }
            () if !within && !work.redo => UNMARKED,
            () if !self.is_traced() => "a setting of the session keeps what it writes out of the binary log, or may",
            () if self.trail.base(node).is_none() => NO_BASE,
            () => return None,
        })
    }

    /// Whether an error leaves open what became of the command under way on this connection; then its outcome is looked for, or told to be
    /// unknown.
    pub(super) fn is_uncertain(&mut self, slot: Slot, error: &Error, desk: &mut Desk) -> bool {
        let Some(work) = &self.work else { return false };
        let within = self.state.transaction == Some(slot) || !self.state.autocommits();
        let ddl = work.verdict().is_some_and(|verdict| verdict.traits.contains(Traits::IMPLICIT_COMMIT));
        let may_commit = if within { commits(work) } else { !harmless(work) };
        let open = match error.code {
            _ if is_doomed(error) => may_commit,
            // It was not executed in its order in time; it may be yet.
            1205 => ddl && desk.settings.galera,
            _ => false,
        } && self.sentence == Sentence::None;
        let Some(conn) = self.conns.get(usize::from(slot)).filter(|_| open) else { return false };
        let (node, thread) = (conn.node, conn.kept.thread);
        let pinned = self.state.pinned == Some(slot);
        let resolved = if pinned { Err(PINNED) } else { self.resolve(node, thread, within, desk) };
        if resolved.is_err() && matches!(error.code, 1053 | 1927) {
            // Who kills a connection, or stops a server, expects this error.
            return false;
        }
        self.drop_conn(slot, desk);
        desk.act(Action::Suspect(node));
        if let Err(why) = resolved {
            let text = String::from_utf8_lossy(error.message);
            let why = format!("{text} (error {}), and {why}", error.code);
            let fault = unknown_outcome(node, &why, desk);
            self.undecided(fault, desk);
        }
        if pinned {
            self.hang_up(desk);
        }
        true
    }

    /// Whether marks of what the session writes get into the binary log.
    fn is_traced(&self) -> bool {
        !self.state.pins.contains(Pins::SETTINGS) && !UNTRACED.iter().any(|key| self.state.has_effect_on(key))
    }

    fn is_insert(&self) -> bool {
        let statement = self.work.as_ref().and_then(|work| work.statement).and_then(|id| self.prepared.get(id));
        let packet = match (statement, &self.work) {
            (Some(statement), _) => &*statement.packet,
            (None, Some(work)) => &work.packet,
            (None, None) => return false,
        };
        let text = packet.get(HEADER + 1..).unwrap_or_default().trim_ascii_start();
        text.get(..6).is_some_and(|word| word.eq_ignore_ascii_case(b"insert"))
    }

    /// What became of the work in doubt.
    pub fn on_outcome(&mut self, outcome: Outcome, desk: &mut Desk) {
        let Some(Work { stage: Stage::Resolving(doubt), .. }) = self.work else { return };
        let name = desk.name(doubt.node).to_owned();
        match outcome {
            Outcome::Committed { gtid, affected, insert_id } => {
                desk.tally.count(Event::OutcomeCommitted);
                info!(session = self.id, node = name, %gtid, "the interrupted write was committed");
                self.committed(doubt, gtid, affected.zip(insert_id), desk);
            }
            Outcome::Absent if !self.trail.unmarked => {
                desk.tally.count(Event::OutcomeAbsent);
                self.absent(doubt, &name, desk);
            }
            Outcome::Absent => {
                let why = "a part of it can't be marked, and what could was not found";
                let fault = unknown_outcome(doubt.node, why, desk);
                self.undecided(fault, desk);
            }
            Outcome::Undecidable(why) => {
                let fault = unknown_outcome(doubt.node, &why, desk);
                self.undecided(fault, desk);
            }
        }
    }

    fn committed(&mut self, doubt: Doubt, gtid: Gtid, rows: Option<(u64, u64)>, desk: &mut Desk) {
        let written = &mut self.state.written;
        if written.last.is_none_or(|last| last.domain != gtid.domain || last.sequence < gtid.sequence) {
            written.last = Some(gtid);
        }
        self.end_unit(desk);
        let Some(work) = &mut self.work else { return };
        let ends = match work.after {
            After::Statement(verdict) | After::Execute(verdict) => verdict.class == Class::End,
            _ => false,
        };
        if doubt.within && !ends {
            // A command that ends a transaction on the way to something else: that is still to be done.
            work.stage = Stage::Waiting;
            work.target = Target::Home;
            return self.advance(None, desk);
        }
        let ddl = work.verdict().is_some_and(|verdict| verdict.traits.contains(Traits::IMPLICIT_COMMIT));
        let answer = if ends || ddl { Some((0, 0)) } else { rows };
        let Some((affected_rows, insert_id)) = answer else {
            let text = format!(
                "The statement was committed as GTID {gtid}; its result was lost with the connection to its node"
            );
            return self.fail(Fault::node(Retry::Never, 1105, b"HY000", text), desk);
        };
        let status = self.state.own_status();
        let ok = OkPacket { marker: ok::OK, affected_rows, insert_id, status, warnings: 0, info: b"", tracking: b"" };
        desk.write(Peer::Client, |out| ok.put_untracked(out, 1));
        if insert_id != 0 {
            self.state.know_insert_id(insert_id, desk.settings.history_bytes_max);
        }
        self.finish(desk);
    }

    /// A transaction that was to be rolled back is, whatever has become of its connection.
    fn rolled_back(&mut self, desk: &mut Desk) {
        self.end_unit(desk);
        let status = self.state.own_status();
        desk.write(Peer::Client, |out| ok::put(out, 1, status));
        self.finish(desk);
    }

    /// It did not happen, and will not.
    fn absent(&mut self, doubt: Doubt, name: &str, desk: &mut Desk) {
        let fault = transaction_lost(name);
        let again = if doubt.within { self.is_replayable(desk) } else { desk.settings.replay };
        if !again || !self.work.as_ref().is_some_and(Work::is_kept) {
            return self.undecided(fault, desk);
        }
        let Some(work) = &mut self.work else { return };
        work.stage = Stage::Waiting;
        work.avoided.insert(doubt.node);
        if doubt.within {
            let target = self.journal.as_ref().and_then(|journal| journal.target).unwrap_or(Target::Writer);
            work.target = target;
            self.demand_replay_of(fault, desk);
        }
        self.advance(None, desk);
    }

    fn undecided(&mut self, fault: Fault, desk: &mut Desk) {
        self.end_unit(desk);
        info!(session = self.id, "an interrupted write: {}", fault.message);
        self.fail(fault, desk);
    }

    /// The transaction is over, one way or another.
    fn end_unit(&mut self, desk: &mut Desk) {
        self.end_journal(desk);
        self.trail.end();
        self.state.end_transaction();
        self.state.upcoming = Upcoming::default();
    }
}
