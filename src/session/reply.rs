//! Replies of nodes: the client's are passed on as they are.

use std::ops::Range;

use tracing::{debug, warn};

use crate::sql::statement::{Class, Traits, Verdict};
use crate::wire::Malformed;
use crate::wire::capability::{Capabilities, Status};
use crate::wire::command::{Command, QUERY};
use crate::wire::err::Error;
use crate::wire::ok::{self, Ok as OkPacket};
use crate::wire::packet::{self, HEADER, Header};
use crate::wire::reply::{Kind, Part, Shape};

use super::conn::{Phase, Purpose};
use super::desk::{Action, Desk, Slot};
use super::kill::Sentence;
use super::loss::{Refusal, commits, refusal_within};
use super::machine::Machine;
use super::prepared::{Held, set_statement_id, statement_id};
use super::state::{OPTION, SCHEMA};
use super::tracking::Seen;
use super::work::{After, Stage};

/// The longest packet of a node that closes an idle connection in bytes: an error's text and some.
const PARTING_PACKET_MAX: usize = 1 << 10;

impl Machine {
    /// Takes bytes from a node connection; returns how many of them are done with.
    pub fn on_node(&mut self, slot: Slot, bytes: &mut [u8], desk: &mut Desk) -> usize {
        // Reply bytes from `run` to `at` go to the client in one piece.
        let (mut at, mut run) = (0, 0);
        while let Some(conn) = self.conns.get_mut(usize::from(slot)) {
            let mut passes = false;
            let taken = match (conn.phase, conn.arriving()) {
                (Phase::LoggingIn(_), _) => self.take_login(slot, &bytes[at..], desk),
                (Phase::Ready, Some(purpose)) => match conn.tracker.next(&bytes[at..]) {
                    Ok(None) => Ok(0),
                    Ok(Some(part)) => {
                        if purpose != Purpose::Client || self.discards() {
                            self.take_own(slot, purpose, part, &bytes[at..at + part.length], desk)
                        } else {
                            passes = true;
                            self.take_reply(slot, part, bytes, at, &mut run, desk)
                        }
                    }
                    Err(malformed) => Err(malformed),
                },
                (Phase::Ready, None) if at < bytes.len() => self.take_parting(slot, &bytes[at..], desk),
                _ => break,
            };
            match taken {
                Ok(0) => break,
                Ok(taken) => at += taken,
                Err(malformed) => {
                    self.deliver(slot, &bytes[run..at], run, false, desk);
                    self.distrust(slot, malformed, desk);
                    return bytes.len();
                }
            }
            if !passes {
                run = at;
            }
            self.settle(slot, bytes, &mut run, at, desk);
        }
        self.deliver(slot, &bytes[run..at], run, false, desk);
        if self.conns.get(usize::from(slot)).is_none_or(|conn| !conn.is_open()) { bytes.len() } else { at }
    }

    /// The rest of this reply is not for the client any more.
    fn discards(&self) -> bool {
        self.work.as_ref().is_none_or(|work| work.stage != Stage::Running)
    }

    /// Nothing is owed: an ERR packet is how a node says that it closes the connection.
    fn take_parting(&mut self, slot: Slot, bytes: &[u8], desk: &mut Desk) -> Result<usize, Malformed> {
        let Some((_, payload)) = packet::first(bytes) else {
            let long = packet::Header::parse(bytes).is_some_and(|header| header.length > PARTING_PACKET_MAX);
            return if long { Err(Malformed("a long packet nobody asked for")) } else { Ok(0) };
        };
        let error = Error::parse(payload).map_err(|_| Malformed("a packet nobody asked for"))?;
        debug!(session = self.id, code = error.code, "a node closes an idle connection");
        self.lose(slot, desk);
        Ok(bytes.len())
    }

    fn distrust(&mut self, slot: Slot, malformed: Malformed, desk: &mut Desk) {
        let Some(conn) = self.conns.get(usize::from(slot)).filter(|conn| conn.is_open()) else { return };
        warn!(session = self.id, node = desk.name(conn.node), "the node answered out of protocol: {malformed}");
        desk.act(Action::Suspect(conn.node));
        self.lose(slot, desk);
    }

    /// A part of the client's reply. Returns how many bytes of it may simply be passed on behind what is in the run.
    fn take_reply(
        &mut self,
        slot: Slot,
        part: Part,
        bytes: &mut [u8],
        at: usize,
        run: &mut usize,
        desk: &mut Desk,
    ) -> Result<usize, Malformed> {
        let range = at..at + part.length;
        self.number_answer(part.kind, &mut bytes[range.clone()]);
        let Some(work) = &mut self.work else { return Ok(part.length) };
        if let Some(journal) = self.journal.as_mut().filter(|_| work.journaled) {
            journal.hear(part, &bytes[range.clone()])?;
        }
        match part.kind {
            Kind::Opaque => {}
            Kind::ColumnsEnd => self.untrack_eof(slot, &mut bytes[range.start + HEADER..range.end]),
            Kind::Ok(status) => {
                self.trail.changed |= bytes[range.start + HEADER + 1] != 0 && work.may_change_data();
                work.warned |= ok::warnings(&bytes[range.start + HEADER..range.end]) > 0;
                self.note_insert_id(&bytes[range.clone()]);
                self.state.observe(status, slot);
                if status.contains(Status::SESSION_STATE_CHANGED) {
                    self.deliver(slot, &bytes[*run..at], *run, true, desk);
                    if self.work.is_none() {
                        return Ok(part.length);
                    }
                    let seen = self.take_changes(slot, &bytes[range.clone()], desk)?;
                    *run = if seen == Seen::Rewritten { range.end } else { at };
                }
                self.bind_cursor(slot, status);
                self.succeeded(slot, status, desk);
            }
            Kind::Eof(status) => {
                work.warned |= ok::warnings(&bytes[range.start + HEADER..range.end]) > 0;
                self.note_untold(status);
                self.untrack_eof(slot, &mut bytes[range.start + HEADER..range.end]);
                self.state.observe(status, slot);
                self.bind_cursor(slot, status);
                self.succeeded(slot, status, desk);
            }
            Kind::Err => {
                if self.take_error(slot, bytes, range, run, desk)? {
                    return Ok(part.length);
                }
            }
            Kind::Prepared => self.prepared_for_client(slot, &mut bytes[range]),
            Kind::Infile => {
                if let Some(conn) = self.conns.get_mut(usize::from(slot)) {
                    conn.tracker.resume_after_upload();
                }
                if self.sends_file_again(slot, desk) {
                    *run = range.end;
                    return Ok(part.length);
                }
                let request = Header::parse(&bytes[range]).map_or(0, |header| header.sequence);
                self.asks_for_file(request, desk);
                return Ok(part.length);
            }
        }
        if let Some(work) = &mut self.work {
            work.answered = true;
        }
        Ok(part.length)
    }

    /// An error, in this range of the bytes. True if it is not for the client.
    fn take_error(
        &mut self,
        slot: Slot,
        bytes: &[u8],
        range: Range<usize>,
        run: &mut usize,
        desk: &mut Desk,
    ) -> Result<bool, Malformed> {
        let error = Error::parse(&bytes[range.start + HEADER..range.end])?;
        if self.work.as_ref().is_some_and(|work| work.answered) {
            self.deliver(slot, &bytes[*run..range.start], *run, false, desk);
            *run = range.start;
        }
        let again = self.runs_again(slot, &error, bytes[range.start + 3], desk);
        if again {
            *run = range.end;
        } else {
            self.failed(slot, &error, desk);
        }
        Ok(again)
    }

    /// An OK packet tells what has changed in the session.
    fn take_changes(&mut self, slot: Slot, packet: &[u8], desk: &mut Desk) -> Result<Seen, Malformed> {
        let ok = OkPacket::parse(&packet[HEADER..])?;
        let seen = self.take_tracking(slot, &ok, packet[3], desk);
        if ok.tracked_schema() == Some(b"") && self.client.schema.is_some() {
            self.leave_schema(slot, desk);
        }
        Ok(seen)
    }

    /// The client gets an error.
    fn failed(&mut self, slot: Slot, error: &Error, desk: &mut Desk) {
        if self.state.transaction == Some(slot) {
            match refusal_within(error) {
                // It may come behind rows, too.
                Some(Refusal::Aborted) => {
                    self.end_journal(desk);
                    self.state.end_transaction();
                }
                // Whether it is rolled back depends on the engine; the next answer tells.
                Some(Refusal::Outrun) => self.state.transaction_doubtful = true,
                Some(Refusal::Unfit) | None => {}
            }
        }
        if let Some(id) = self.work.as_ref().filter(|_| self.takes_data()).and_then(|work| work.statement) {
            self.prepared.cut_data(id);
        }
        let Some(work) = &mut self.work else { return };
        work.warned = true;
        if matches!(work.after, After::Prepare(_)) {
            self.prepared.failed();
        }
        self.state.transaction_doubtful |= commits(work);
        if work.command == Command::ResetConnection {
            work.after = After::Nothing;
        }
    }

    /// The statement has its own id for the client.
    fn prepared_for_client(&mut self, slot: Slot, packet: &mut [u8]) {
        let Some(work) = &self.work else { return };
        let After::Prepare(verdict) = work.after else { return };
        let on_node = statement_id(packet).unwrap_or_default();
        let parameters = packet.get(HEADER + 7..HEADER + 9).map_or(0, |two| u16::from_le_bytes([two[0], two[1]]));
        let id = self.prepared.add(&work.packet, (verdict, work.mark), parameters, slot, on_node);
        set_statement_id(packet, id);
    }

    fn bind_cursor(&mut self, slot: Slot, status: Status) {
        let Some(work) = &self.work else { return };
        let (After::Execute(_), Some(id)) = (work.after, work.statement) else { return };
        let cursor = work.shape == Shape::Cursor && status.contains(Status::CURSOR_EXISTS);
        self.prepared.hold(id, if cursor { Held::Cursor(slot) } else { Held::Nothing });
    }

    /// A result of the client's command is a success: what it changes in the session.
    fn succeeded(&mut self, slot: Slot, status: Status, desk: &mut Desk) {
        let Some(work) = &self.work else { return };
        let limit = desk.settings.history_bytes_max;
        match work.after {
            After::Execute(verdict) if verdict.class == Class::Session => self.executed_effect(slot, verdict, limit),
            After::Statement(verdict) | After::Execute(verdict) => {
                if verdict.class == Class::SetTransaction
                    && let Some(command) = self.as_text()
                {
                    self.state.announce(command, slot, limit);
                }
                if verdict.traits.intersects(Traits::IMPLICIT_COMMIT | Traits::MAY_COMMIT) {
                    desk.act(Action::Define);
                }
                if verdict.traits.contains(Traits::CHANGES_BEGINNINGS) {
                    desk.act(Action::SetDefaults);
                }
                self.state.ran(verdict, slot);
            }
            After::Effect(verdict) if !status.contains(Status::MORE_RESULTS) => {
                self.state.ran(verdict, slot);
                if let Some(schema) = self.state.changed(&work.packet, slot, limit) {
                    self.enter_schema(schema);
                }
                self.in_force(slot);
            }
            After::Schema => {
                self.state.changed_key(SCHEMA, &work.packet, slot, limit);
                let schema = work.packet.get(HEADER + 1..).unwrap_or_default().into();
                self.enter_schema(schema);
                self.in_force(slot);
            }
            After::Option => {
                self.state.changed_key(OPTION, &work.packet, slot, limit);
                self.in_force(slot);
            }
            After::Kill { id, ends: true } => {
                desk.act(Action::EndSession(id));
                if let Some(work) = &mut self.work {
                    work.after = After::Nothing;
                }
            }
            _ => {}
        }
    }

    /// A session command that the client had prepared: kept as a text, if no parameters belong to it.
    fn executed_effect(&mut self, slot: Slot, verdict: Verdict, limit: usize) {
        let Some(packet) = self.as_text() else {
            let traits = verdict.traits | Traits::UNREPEATABLE;
            return self.state.ran(Verdict { traits, ..verdict }, slot);
        };
        self.state.ran(verdict, slot);
        if let Some(schema) = self.state.changed(&packet, slot, limit) {
            self.enter_schema(schema);
        }
        self.in_force(slot);
    }

    /// The command under way, or the prepared statement that it runs, as a text; none if parameters belong to it.
    fn as_text(&self) -> Option<Vec<u8>> {
        let work = self.work.as_ref()?;
        let Some(id) = work.statement else { return Some(work.packet.clone()) };
        let statement = self.prepared.get(id).filter(|statement| statement.parameters == 0)?;
        let mut packet = statement.packet.to_vec();
        *packet.get_mut(HEADER)? = QUERY;
        Some(packet)
    }

    /// The session is in another schema.
    fn enter_schema(&mut self, schema: Box<[u8]>) {
        let left = self.client.schema.replace(schema);
        if let Some(journal) = &mut self.journal {
            journal.leave_schema(left);
        }
    }

    /// The schema of the session has been dropped. A connection can't be told to be in none, so the others go.
    fn leave_schema(&mut self, slot: Slot, desk: &mut Desk) {
        self.client.schema = None;
        self.state.leave_schema();
        for other in (0..self.conns.len() as Slot).filter(|other| *other != slot) {
            if self.is_free(other) {
                self.part(other, desk);
            }
        }
    }

    /// This connection is where the newest effect was made.
    fn in_force(&mut self, slot: Slot) {
        if let Some(conn) = self.conns.get_mut(usize::from(slot)) {
            conn.sent = self.state.version();
        }
    }

    /// If the reply that was arriving has ended: what comes next.
    fn settle(&mut self, slot: Slot, bytes: &[u8], run: &mut usize, at: usize, desk: &mut Desk) {
        let Some(conn) = self.conns.get_mut(usize::from(slot)).filter(|conn| conn.is_ready()) else { return };
        let Some(purpose) = conn.arriving().filter(|_| conn.tracker.is_done()) else { return };
        if purpose == Purpose::Client {
            self.deliver(slot, &bytes[*run..at], *run, true, desk);
        }
        let Some(conn) = self.conns.get_mut(usize::from(slot)).filter(|conn| conn.is_ready()) else { return };
        conn.settle();
        match purpose {
            Purpose::Client => {
                *run = at;
                return self.replied(slot, desk);
            }
            Purpose::InsertId => self.keep_insert_id(slot, desk),
            Purpose::Replay | Purpose::ReplaySchema | Purpose::ReplaySetting => {
                self.replay_answered(slot, purpose, desk)
            }
            _ => {}
        }
        self.advance(None, desk);
    }

    /// The client's reply has ended.
    fn replied(&mut self, slot: Slot, desk: &mut Desk) {
        self.state.follow(slot);
        self.note_aftermath(slot, desk);
        if self.work.as_ref().is_some_and(|work| work.stage == Stage::Running) {
            self.note_silence(slot, desk);
            self.keep_record(slot, desk);
        }
        let Some(work) = &mut self.work else { return };
        match work.stage {
            Stage::Running => work.replied = true,
            // Taken back: it runs again now that the connection is free of it.
            Stage::Waiting => return self.advance(None, desk),
            Stage::Finding | Stage::Resolving(_) | Stage::Discarding => return,
        }
        if work.is_uploading() {
            return;
        }
        let after = work.after;
        let kills = matches!(after, After::Statement(verdict) if verdict.class == Class::Kill);
        if self.sentence == Sentence::OfUser && !kills {
            self.sentence = Sentence::None;
        }
        self.finish(desk);
        if self.is_left_behind(slot, desk) {
            return self.lose(slot, desk);
        }
        if after == After::Reset {
            let status = self.state.status;
            self.end_journal(desk);
            self.state.reset();
            self.state.observe(status, slot);
            self.prepared.clear();
            self.client.capabilities -= Capabilities::ONLY_AT_LOGIN;
            self.in_force(slot);
            if let Some(conn) = self.conns.get_mut(usize::from(slot)) {
                conn.tied = false;
                conn.forget_settings();
            }
            if desk.settings.galera {
                self.part(slot, desk);
                self.state.previous_gone = false;
            }
        }
    }

    /// The client has uploaded all it had to.
    pub(super) fn uploaded(&mut self, desk: &mut Desk) {
        let Some(work) = &mut self.work else { return };
        match work.stage {
            Stage::Discarding => self.tell_failure(desk),
            Stage::Waiting => self.file_is_whole(desk),
            _ if work.replied => self.finish(desk),
            _ if work.shape == Shape::Nothing => self.finish(desk),
            _ => {}
        }
    }
}
