//! Running a transaction again that certainly did not happen, on another connection.
//!
//! A transaction whose node is lost, or that other work has aborted (1213, 1020), is over. It runs again statement by statement before the
//! session's next command, each answer compared with the first. If one differs, the client gets the error that it would have got.

use tracing::debug;

use crate::fault::Fault;
use crate::sql::statement::classify;
use crate::telemetry::tally::Event;
use crate::wire::Malformed;
use crate::wire::command::{self, Command, INIT_DB, QUERY};
use crate::wire::err::Error;
use crate::wire::packet::HEADER;
use crate::wire::reply::{Kind, Part, Shape};

use super::conn::{NodeConn, Purpose};
use super::desk::{Action, Desk, Peer, Slot};
use super::journal::{Entry, Ids, Replay};
use super::loss::{Refusal, refusal_within};
use super::machine::Machine;
use super::prepared::{set_statement_id, with_statement_id};
use super::work::Target;

/// A transaction that is aborted more often than this is given up.
pub(super) const ATTEMPTS_MAX: u16 = 64;

impl Machine {
    /// Whether the open transaction can run again elsewhere.
    pub(super) fn is_replayable(&self, desk: &Desk) -> bool {
        let whole = self.journal.as_ref().is_some_and(|journal| journal.is_whole());
        whole && self.state.pinned.is_none() && !self.state.transaction_doubtful && desk.settings.replay
    }

    /// Whether the open transaction is where the writer was, and nothing keeps it from running again where it is now. There it would be
    /// in nobody's way.
    pub(super) fn is_left_behind(&self, slot: Slot, desk: &Desk) -> bool {
        let Some(conn) = self.conns.get(usize::from(slot)).filter(|_| self.state.transaction == Some(slot)) else {
            return false;
        };
        desk.view.write_target().is_some_and(|writer| writer != conn.node)
            && self.journal.as_ref().is_some_and(|journal| journal.target == Some(Target::Writer))
            && self.work.is_none()
            && conn.is_quiet()
            && !self.prepared.holds_data()
            && self.is_replayable(desk)
    }

    /// Whether the session's transaction is to run again before anything else.
    pub(super) fn replay_is_due(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.is_due())
    }

    /// The open transaction did not happen, and is to run again before the next command. `fault` is what the client is told if it can't.
    pub(super) fn demand_replay(&mut self, slot: Slot, fault: Fault, desk: &mut Desk) {
        self.demand_replay_of(fault, desk);
        if let (Some(journal), Some(work)) = (&self.journal, self.work.as_mut().filter(|work| work.slot == Some(slot)))
        {
            work.target = journal.target.unwrap_or(Target::Writer);
            work.retry_at_us = 0;
        }
    }

    /// The same, where no command is under way on the connection any more.
    pub(super) fn demand_replay_of(&mut self, fault: Fault, desk: &mut Desk) {
        let status = self.state.status;
        self.state.end_transaction();
        self.trail.end();
        // For the client it is still open.
        self.state.status = status;
        let now_us = desk.now_us;
        if let Some(journal) = &mut self.journal {
            desk.tally.add(Event::Replay, u64::from(journal.replay.is_none()));
            let replay = journal.replay.get_or_insert(Replay { fault, at: None, attempts: 0, since_us: now_us });
            replay.at = None;
        }
    }

    /// The cluster has aborted the transaction by a statement under way on this connection.
    pub(super) fn replay_aborted(&mut self, slot: Slot, refusal: Refusal, fault: Fault, desk: &mut Desk) {
        let has_effects = self.journal.as_ref().is_some_and(|journal| journal.has_effects);
        self.demand_replay(slot, fault, desk);
        self.leave(slot, refusal, has_effects, desk);
    }

    /// Takes the command under way back from a node that has refused it; the connection goes too unless it is as good as new.
    pub(super) fn leave(&mut self, slot: Slot, refusal: Refusal, used: bool, desk: &mut Desk) {
        if refusal != Refusal::Unfit {
            desk.tally.count(Event::Abort);
            let turn_us = desk.turns.take(desk.now_us);
            if let Some(work) = &mut self.work {
                work.turn_us = turn_us;
            }
        }
        match refusal {
            Refusal::Aborted if !used => self.take_back(desk),
            Refusal::Aborted | Refusal::Outrun => {
                self.take_back(desk);
                self.drop_conn(slot, desk);
                self.advance(None, desk);
            }
            Refusal::Unfit => {
                if let Some(conn) = self.conns.get(usize::from(slot)) {
                    desk.act(Action::Suspect(conn.node));
                }
                self.drop_conn(slot, desk);
                self.elsewhere(slot, None, desk);
            }
        }
    }

    /// Takes the replay one step further on a connection that is in the session's state. True once the transaction is where it was.
    pub(super) fn replay_step(&mut self, slot: Slot, desk: &mut Desk) -> bool {
        if !self.conns.get(usize::from(slot)).is_some_and(NodeConn::is_quiet) {
            return false;
        }
        let Some(replay) = self.journal.as_mut().and_then(|journal| journal.replay.as_mut()) else { return true };
        let (number, is_set) = match replay.at {
            Some((place, number, is_set)) if place == slot => (number, is_set),
            _ => {
                replay.attempts += 1;
                replay.at = Some((slot, 0, false));
                self.begin_trail(desk);
                if self.go_home(slot, desk) {
                    return false;
                }
                (0, false)
            }
        };
        let entry = self.journal.as_ref().and_then(|journal| journal.entry(number)).map(|(entry, _)| entry);
        if let Some(id) = entry.and_then(|entry| entry.statement)
            && !self.is_prepared(id, slot, desk)
        {
            return false;
        }
        let settings = if is_set { String::new() } else { self.settings_of(entry) };
        if !settings.is_empty() {
            let text = format!("SET SESSION {settings}");
            let Some(conn) = self.conns.get_mut(usize::from(slot)) else { return false };
            desk.write(Peer::Node(slot), |out| command::put(out, QUERY, text.as_bytes()));
            conn.spotless = false;
            conn.owe(Purpose::ReplaySetting, Shape::Results);
            return false;
        }
        match entry {
            Some(entry) => self.repeat(slot, number, entry, desk),
            None => self.replayed(slot, desk),
        }
        entry.is_none()
    }

    /// Takes a connection to the schema in which the transaction began. False if it is there.
    fn go_home(&mut self, slot: Slot, desk: &mut Desk) -> bool {
        let home = self.journal.as_ref().and_then(|journal| journal.home());
        let (Some(home), Some(conn)) = (home, self.conns.get_mut(usize::from(slot))) else { return false };
        desk.write(Peer::Node(slot), |out| command::put(out, INIT_DB, home));
        conn.spotless = false;
        conn.owe(Purpose::ReplaySchema, Shape::Results);
        true
    }

    /// What makes a statement what it was, as of its time and with the ids it gave; without one, what undoes that. Each is a round trip
    /// with locks held, so nothing is set that nobody could see.
    fn settings_of(&self, entry: Option<Entry>) -> String {
        let mut settings = Vec::new();
        if entry.is_some_and(|entry| entry.begins) {
            return String::new();
        }
        let timed = self.journal.as_ref().is_some_and(|journal| journal.is_timed());
        if timed && !self.state.has_effect_on(b"@@timestamp") {
            settings.push(match entry {
                Some(entry) => format!("timestamp={}.{:06}", entry.sent_us / 1_000_000, entry.sent_us % 1_000_000),
                None => "timestamp=DEFAULT".to_owned(),
            });
        }
        if !self.state.has_effect_on(b"@@auto_increment_increment") {
            match entry {
                Some(Entry { ids: Some(Ids { first, increment, offset }), .. }) => settings.push(format!(
                    "insert_id={first},auto_increment_increment={increment},auto_increment_offset={offset}"
                )),
                None if self.journal.as_ref().is_some_and(|journal| journal.gave_ids()) => {
                    settings.push("auto_increment_increment=DEFAULT,auto_increment_offset=DEFAULT".to_owned());
                }
                _ => {}
            }
        }
        settings.join(",")
    }

    /// Sends a statement of the transaction again.
    fn repeat(&mut self, slot: Slot, number: usize, entry: Entry, desk: &mut Desk) {
        let (Some(journal), Some(conn)) = (&mut self.journal, self.conns.get_mut(usize::from(slot))) else { return };
        journal.listen();
        conn.spotless = false;
        conn.owe(Purpose::Replay, entry.shape);
        let mut command = desk.spare();
        command.extend_from_slice(journal.entry(number).map_or(b"", |(_, command)| command));
        if let Some(statement) = entry.statement.and_then(|id| self.prepared.get_mut(id)) {
            let id = statement.id_on(slot).unwrap_or_default();
            let data = with_statement_id(journal.uploaded(number), id);
            if command.get(HEADER).is_some_and(|byte| Command::from_byte(*byte).executes()) {
                statement.needs_types(&command, slot);
                let text = statement.packet.get(HEADER + 1..).unwrap_or_default();
                self.trail.note(statement.verdict, statement.mark, text);
                self.trail.reuses |= statement.mark.is_some();
            }
            set_statement_id(&mut command, id);
            desk.write(Peer::Node(slot), |out| out.extend_from_slice(&[data, command.clone()].concat()));
        } else if command.get(HEADER) != Some(&QUERY) {
            desk.write(Peer::Node(slot), |out| out.extend_from_slice(&command));
        } else {
            self.repeat_text(slot, &command, desk);
        }
        desk.put_back(command);
    }

    fn repeat_text(&mut self, slot: Slot, command: &[u8], desk: &mut Desk) {
        let text = command.get(HEADER + 1..).unwrap_or_default();
        let verdict = classify(text, self.state.mode);
        let mark = self.mark_text(text, verdict, desk);
        self.trail.note(verdict, mark, text);
        match mark {
            Some(mark) => self.write_marked(slot, command, mark, desk),
            None => desk.write(Peer::Node(slot), |out| out.extend_from_slice(command)),
        }
    }

    /// A part of the answer to a statement that runs again.
    pub(super) fn hear_replay(
        &mut self,
        slot: Slot,
        part: Part,
        bytes: &[u8],
        desk: &mut Desk,
    ) -> Result<(), Malformed> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal.hear(part, bytes)?;
        let number = journal.replay.as_ref().and_then(|replay| replay.at).map_or(usize::MAX, |(_, number, _)| number);
        match part.kind {
            Kind::Err => self.replay_refused = refusal_within(&Error::parse(&bytes[HEADER..])?),
            Kind::Infile => {
                let file = journal.uploaded(number);
                if file.is_empty() {
                    return Err(Malformed("a file is asked for that was not before"));
                }
                desk.write(Peer::Node(slot), |out| out.extend_from_slice(file));
                if let Some(conn) = self.conns.get_mut(usize::from(slot)) {
                    conn.tracker.resume_after_upload();
                }
            }
            Kind::Ok(status) | Kind::Eof(status) => {
                let entry = journal.entry(number).map(|(entry, _)| entry);
                if let Some((id, shape)) = entry.and_then(|entry| Some((entry.statement?, entry.shape))) {
                    self.prepared.reopen(id, slot, shape, status);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A statement that the transaction has run can't be prepared on this connection, or the node has refused to.
    pub(super) fn replay_unprepared(&mut self, slot: Slot, desk: &mut Desk) {
        match self.replay_refused {
            Some(_) => self.replay_answered(slot, Purpose::Replay, desk),
            None => self.give_up_replay(slot, desk),
        }
    }

    /// The answer to a statement that runs again, or to its settings, has ended.
    pub(super) fn replay_answered(&mut self, slot: Slot, purpose: Purpose, desk: &mut Desk) {
        let refusal = self.replay_refused.take();
        let Some(journal) = self.journal.as_mut() else { return };
        let Some(replay) = journal.replay.as_mut() else { return };
        let Some((_, number, _)) = replay.at else { return };
        let late = desk.now_us >= replay.since_us.saturating_add(desk.settings.writer_wait.as_micros() as u64);
        if let Some(refusal) = refusal {
            if replay.attempts >= ATTEMPTS_MAX || late {
                return self.give_up_replay(slot, desk);
            }
            replay.at = None;
            let used = journal.has_effects;
            return self.leave(slot, refusal, used, desk);
        }
        if purpose == Purpose::ReplaySchema {
            replay.at = Some((slot, number, false));
        } else if purpose == Purpose::ReplaySetting {
            replay.at = Some((slot, number, true));
        } else if journal.is_confirmed(number) {
            if let Some(replay) = &mut journal.replay {
                replay.at = Some((slot, number + 1, false));
            }
        } else {
            debug!(session = self.id, statement = number, "a transaction that ran again was answered otherwise");
            self.give_up_replay(slot, desk);
        }
    }

    /// The transaction is where it was.
    fn replayed(&mut self, slot: Slot, desk: &mut Desk) {
        let (Some(journal), Some(conn)) = (&mut self.journal, self.conns.get_mut(usize::from(slot))) else { return };
        let attempts = journal.replay.take().map_or(0, |replay| replay.attempts);
        conn.sent = self.state.version();
        debug!(session = self.id, node = desk.name(conn.node), attempts, "a transaction ran again");
        self.state.upcoming.heard(slot);
        if journal.has_begun() {
            self.state.transaction = Some(slot);
            if let Some(work) = &mut self.work {
                work.target = Target::Slot(slot);
            }
        }
        self.close_again(desk);
    }

    /// The transaction can't be what it was: the client is told that it did not happen.
    pub(super) fn give_up_replay(&mut self, slot: Slot, desk: &mut Desk) {
        let fault = self.journal.as_mut().and_then(|journal| journal.replay.take()).map(|replay| replay.fault);
        self.end_journal(desk);
        self.state.end_transaction();
        // Whatever it holds of the transaction goes with it.
        self.drop_conn(slot, desk);
        if let Some(fault) = fault {
            self.fail(fault, desk);
        }
    }

    /// Whether a statement is prepared on a connection; if not, that is under way now.
    pub(super) fn is_prepared(&mut self, id: u32, slot: Slot, desk: &mut Desk) -> bool {
        let (Some(statement), Some(conn)) = (self.prepared.get(id), self.conns.get_mut(usize::from(slot))) else {
            return true;
        };
        let prepared = statement.id_on(slot).is_some();
        if !prepared && !conn.owes(Purpose::Prepare(id)) {
            conn.owe(Purpose::Prepare(id), Shape::Prepare);
            match statement.mark {
                Some(mark) => self.write_marked(slot, &statement.packet, mark, desk),
                None => desk.write(Peer::Node(slot), |out| out.extend_from_slice(&statement.packet)),
            }
        }
        prepared
    }

    /// Where the session's next command goes if its transaction is to run again first.
    pub(super) fn replay_target(&self) -> Option<Target> {
        self.journal.as_ref().filter(|journal| journal.is_due()).and_then(|journal| journal.target)
    }
}
