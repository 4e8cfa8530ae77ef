//! From a client's packet to work: what each command is, where it goes, what it changes.

use crate::fault::{Fault, Retry};
use crate::routing::split::{Route, route};
use crate::sql::hint::{Hint, hint};
use crate::sql::statement::{Class, Traits, Verdict, classify};
use crate::wire::capability::{Capabilities, Status};
use crate::wire::command::Command;
use crate::wire::packet::{HEADER, Header};
use crate::wire::reply::Shape;
use crate::wire::upload::Upload;
use crate::wire::{err, ok};

use super::desk::{Desk, Peer, Slot};
use super::loss;
use super::machine::Machine;
use super::prepared::{Held, Statement, statement_id, wants_cursor};
use super::replica::foreign_gtids;
use super::work::{After, Target, Work};

/// A command up to this many bytes is taken whole; what is longer streams, and is judged by its start.
const COMMAND_WHOLE_MAX: usize = 192 << 10;
/// This much of a streaming command is looked at.
const COMMAND_HEAD: usize = 1 << 10;
/// What a statement does that was prepared, unless its text says otherwise.
const UNKNOWN: Verdict = Verdict { class: Class::Write, traits: Traits::empty(), why: "not a statement" };

impl Machine {
    /// Takes the command at `at`; returns how many bytes it took, 0 if more are needed first.
    pub(super) fn take_command(&mut self, bytes: &mut [u8], at: usize, desk: &mut Desk) -> usize {
        let Some(header) = Header::parse(&bytes[at..]) else { return 0 };
        if header.sequence != 0 {
            self.answer_ready(Fault::client(1156, b"08S01", "Got packets out of order"), desk);
            self.hang_up(desk);
            return bytes.len() - at;
        }
        let end = at + header.total();
        let command = bytes.get(at + HEADER).map(|byte| Command::from_byte(*byte));
        let long = header.total() > COMMAND_WHOLE_MAX && command != Some(Command::StmtPrepare);
        if long || header.continued() {
            // How much of it has come must not matter.
            let head = match command {
                // Its parameters' types must be in it.
                Some(Command::StmtExecute | Command::StmtBulkExecute) => COMMAND_WHOLE_MAX,
                _ => COMMAND_HEAD,
            };
            let Some(head) = bytes.get(at..at + head) else { return 0 };
            self.stream(head, desk);
            // All of it may be there, and nobody offers it again before something happens.
            return self.take_upload(bytes, at, desk);
        }
        if bytes.len() < end {
            return 0;
        }
        let Some(&byte) = bytes.get(at + HEADER).filter(|_| header.length > 0) else {
            self.answer_ready(Fault::client(1047, b"08S01", "Unknown command"), desk);
            return header.total();
        };
        self.dispatch(Command::from_byte(byte), bytes, at..end, desk);
        header.total()
    }

    fn dispatch(&mut self, command: Command, bytes: &mut [u8], range: std::ops::Range<usize>, desk: &mut Desk) {
        let payload = &bytes[range.start + HEADER + 1..range.end];
        self.learn_types(command, &bytes[range.clone()]);
        if self.replay_is_due() && command == Command::Query && is_rollback(payload) {
            self.end_journal(desk);
            self.state.end_transaction();
            self.trail.end();
            return self.answer_ok(desk);
        }
        if self.state.transaction_lost.is_some() {
            match command {
                Command::Quit | Command::StmtClose | Command::ChangeUser => {}
                Command::ResetConnection => self.state.transaction_lost = None,
                // It has no answer: what it is for will be told.
                Command::StmtSendLongData => return,
                _ => return self.tell_lost_transaction(command, payload, desk),
            }
        }
        let work = match command {
            Command::Quit => return self.on_client_closed(desk),
            Command::Ping => return self.answer_ok(desk),
            Command::ChangeUser => {
                let payload = payload.to_vec();
                return self.change_user(&payload, desk);
            }
            Command::StmtClose => return self.close_statement(&bytes[range], desk),
            Command::Query => {
                let verdict = self.state.judge(classify(payload, self.state.mode), payload);
                if verdict.class == Class::Kill {
                    return self.kill(&bytes[range], desk);
                }
                if let Some(fault) = self.forgotten(verdict) {
                    return self.answer_ready(fault, desk);
                }
                let work = self.statement(command, verdict, desk);
                Ok(self.hinted(payload, work, desk))
            }
            Command::ProcessKill => return self.kill(&bytes[range], desk),
            Command::StmtPrepare => self.prepare(payload, desk),
            Command::StmtExecute | Command::StmtBulkExecute => self.execute(command, &bytes[range.clone()], desk),
            Command::StmtSendLongData => match self.long_data(&bytes[range.clone()], desk) {
                Some(work) => Ok(work),
                // No answer is owed, not even to an unknown statement.
                None => return,
            },
            Command::StmtFetch => self.fetch(&bytes[range.clone()], desk),
            Command::StmtReset => match self.reset_statement(&bytes[range.clone()], desk) {
                Ok(Some(work)) => Ok(work),
                Ok(None) => return self.answer_ok(desk),
                Err(fault) => Err(fault),
            },
            Command::InitDb => Ok(self.session_command(command, After::Schema, desk)),
            Command::SetOption => Ok(self.session_command(command, After::Option, desk)),
            Command::ResetConnection => Ok(self.reset(desk)),
            Command::FieldList => {
                let verdict = Verdict { class: Class::Read, ..UNKNOWN };
                Ok(Work { after: After::Nothing, ..self.statement(command, verdict, desk) })
            }
            Command::BinlogDump | Command::RegisterSlave => self.replicate(command, payload, desk),
            Command::BinlogDumpGtid if self.replica.is_some() => Err(foreign_gtids()),
            Command::BinlogDumpGtid | Command::Unknown(_) => Err(Fault::client(1047, b"08S01", "Unknown command")),
            _ => Ok(Work { after: After::Nothing, ..self.statement(command, UNKNOWN, desk) }),
        };
        match work {
            Ok(work) => {
                self.work = Some(work);
                self.advance(Some((bytes, range)), desk);
            }
            Err(fault) => self.answer_ready(fault, desk),
        }
    }

    /// A command too long to be taken whole: what its end holds can't be known, so a text goes to the writer.
    fn stream(&mut self, head: &[u8], desk: &mut Desk) {
        let Some(&byte) = head.get(HEADER) else { return };
        let command = Command::from_byte(byte);
        self.learn_types(command, head);
        let lost = self.state.transaction_lost.as_deref().cloned();
        if command.shape() != Shape::Nothing {
            self.state.transaction_lost = None;
        }
        let work = match command {
            _ if let Some(fault) = lost => Err(fault),
            Command::Query => {
                let text = &head[HEADER + 1..];
                let verdict = classify(text, self.state.mode);
                let unkept = matches!(verdict.class, Class::Session | Class::Prepare);
                let kept = if unkept { Traits::UNREPEATABLE } else { Traits::empty() };
                let verdict =
                    Verdict { class: Class::Write, traits: verdict.traits | kept, why: "too long to be read whole" };
                Ok(self.statement(command, verdict, desk))
            }
            Command::StmtExecute | Command::StmtBulkExecute => self.execute(command, head, desk).map(|work| {
                let statement = work.statement.and_then(|id| self.prepared.get(id));
                let untyped = statement.is_some_and(|statement| !statement.brings_types(head));
                Work { untyped, ..work }
            }),
            Command::StmtSendLongData => {
                let nobody = || Work::new(command, Target::Writer, After::Nothing, desk.now_us);
                Ok(self.long_data(head, desk).unwrap_or_else(nobody))
            }
            _ => Err(Fault::client(1153, b"08S01", "Got a packet bigger than 'max_allowed_packet' bytes")),
        };
        let (work, fault) = match work {
            Ok(work) => (work, None),
            Err(fault) => (Work::new(command, Target::Writer, After::Nothing, desk.now_us), Some(fault)),
        };
        self.work = Some(Work { upload: Some(Upload::command()), retry: false, ..work });
        match fault {
            Some(fault) => self.fail(fault, desk),
            None => self.advance(None, desk),
        }
    }

    /// Work for a statement text, or for what is routed like one.
    fn statement(&self, command: Command, verdict: Verdict, desk: &Desk) -> Work {
        let target = self.replay_target().unwrap_or_else(|| self.target(route(verdict, self.state.facts())));
        let after = match verdict.class {
            Class::Session | Class::Prepare => After::Effect(verdict),
            _ => After::Statement(verdict),
        };
        let harmless =
            matches!(verdict.class, Class::Read | Class::Session | Class::Begin { .. } | Class::SetTransaction);
        let lasting = verdict.traits.intersects(Traits::UNREPEATABLE | Traits::TAINTS_VARIABLES);
        let retry = harmless && !lasting && !matches!(target, Target::Slot(_)) && !self.replay_is_due();
        let once = Traits::MULTI | Traits::MAY_COMMIT;
        let autocommits = self.state.transaction.is_none() && self.state.autocommits();
        let redo = autocommits && verdict.class == Class::Write && !verdict.traits.intersects(once);
        Work { retry, redo: redo && !self.replay_is_due(), ..Work::new(command, target, after, desk.now_us) }
    }

    /// A read goes where a hint in its text says, unless the session is tied elsewhere.
    fn hinted(&self, text: &[u8], work: Work, desk: &Desk) -> Work {
        let (After::Statement(verdict) | After::Execute(verdict)) = work.after else { return work };
        if !verdict.traits.contains(Traits::HINT) {
            return work;
        }
        let plain = Verdict { traits: verdict.traits - Traits::NODE_STATE, ..verdict };
        let free = verdict.class == Class::Read && route(plain, self.state.facts()) == Route::Reader;
        if !free {
            return work;
        }
        let target = match hint(text, self.state.mode) {
            Some(Hint::Writer) => Target::Writer,
            Some(Hint::Previous) => self.target(Route::Previous),
            Some(Hint::Node(name)) => desk.named(name).map_or(work.target, Target::Node),
            Some(Hint::Reader) => Target::Reader,
            None => work.target,
        };
        Work { target, ..work }
    }

    fn session_command(&mut self, command: Command, after: After, desk: &Desk) -> Work {
        let verdict = Verdict { class: Class::Session, ..UNKNOWN };
        Work { after, ..self.statement(command, verdict, desk) }
    }

    pub(super) fn target(&self, route: Route) -> Target {
        let slot = match route {
            Route::Reader | Route::Home if self.replica.is_some() => return Target::Writer,
            Route::Writer => return Target::Writer,
            Route::Reader => return Target::Reader,
            Route::Home => return Target::Home,
            Route::Transaction => self.state.transaction,
            Route::Pinned => self.state.variables_at(),
            Route::Previous => self.state.previous,
        };
        slot.map_or(Target::Writer, Target::Slot)
    }

    fn prepare(&mut self, text: &[u8], desk: &Desk) -> Result<Work, Fault> {
        let limit = desk.settings.prepared_max;
        if self.prepared.len() >= limit {
            let text = format!("Can't create more than max_prepared_stmt_count statements (current value: {limit})");
            return Err(Fault::client(1461, b"42000", text));
        }
        let verdict = classify(text, self.state.mode);
        let work = self.statement(Command::StmtPrepare, verdict, desk);
        let retry = !matches!(work.target, Target::Slot(_)) && !self.replay_is_due();
        Ok(Work { after: After::Prepare(verdict), retry, ..work })
    }

    fn execute(&mut self, command: Command, packet: &[u8], desk: &Desk) -> Result<Work, Fault> {
        let named = statement_id(packet).ok_or_else(malformed_command)?;
        if command == Command::StmtBulkExecute && !self.client.has(Capabilities::STMT_BULK) {
            let text = "This command is not supported in the prepared statement protocol yet";
            return Err(Fault::client(1295, b"HY000", text));
        }
        let Some((id, statement)) = self.named(named) else {
            return Err(unknown_statement(named, "mysqld_stmt_execute"));
        };
        let (verdict, held) = (statement.verdict, statement.held());
        if let Some(fault) = self.forgotten(verdict) {
            return Err(fault);
        }
        let work = self.statement(command, verdict, desk);
        let shape = if command == Command::StmtExecute && wants_cursor(packet) { Shape::Cursor } else { work.shape };
        let work = Work { statement: Some(id), after: After::Execute(verdict), shape, ..work };
        let elsewhere = |slot| self.state.transaction.is_some_and(|transaction| transaction != slot);
        match held {
            Held::LongData(slot) if !elsewhere(slot) => {
                return Ok(Work { target: Target::Slot(slot), retry: false, ..work });
            }
            Held::Kept => return Ok(Work { retry: false, ..work }),
            Held::Lost if self.will_reopen(id) => {}
            Held::LongData(_) | Held::Lost => {
                self.prepared.release(id);
                return Err(loss::statement_data_lost());
            }
            Held::Nothing | Held::Cursor(_) => {}
        }
        let text = self.prepared.get(id).and_then(|statement| statement.packet.get(HEADER + 1..));
        Ok(self.hinted(text.unwrap_or_default(), work, desk))
    }

    /// An execute says what types its parameters have, from now on. One that is refused as such says nothing.
    fn learn_types(&mut self, command: Command, packet: &[u8]) {
        let refused = command == Command::StmtBulkExecute && !self.client.has(Capabilities::STMT_BULK);
        let id = statement_id(packet).filter(|_| command.executes() && !refused);
        if let Some((_, statement)) = id.and_then(|id| self.named(id)) {
            statement.learn_types(packet);
        }
    }

    fn long_data(&mut self, packet: &[u8], desk: &Desk) -> Option<Work> {
        let id = self.prepared.resolve(statement_id(packet)?)?;
        let statement = self.prepared.get(id)?;
        let (verdict, held) = (statement.verdict, statement.held());
        let work = self.statement(Command::StmtSendLongData, verdict, desk);
        let target = match held {
            Held::LongData(slot) => Target::Slot(slot),
            // The execute will be told.
            Held::Lost => return None,
            _ => work.target,
        };
        Some(Work { target, retry: false, statement: Some(id), after: After::Nothing, ..work })
    }

    fn fetch(&mut self, packet: &[u8], desk: &Desk) -> Result<Work, Fault> {
        let named = statement_id(packet).ok_or_else(malformed_command)?;
        let Some((id, statement)) = self.named(named) else {
            return Err(unknown_statement(named, "mysqld_stmt_fetch"));
        };
        let target = match statement.held() {
            Held::Cursor(slot) => Target::Slot(slot),
            Held::Lost if self.will_reopen(id) => self.replay_target().unwrap_or(Target::Writer),
            Held::Lost => {
                self.prepared.release(id);
                return Err(loss::statement_data_lost());
            }
            Held::Nothing | Held::LongData(_) | Held::Kept => {
                let text = format!("The statement ({named}) has no open cursor");
                return Err(Fault::client(1421, b"HY000", text));
            }
        };
        let work = Work::new(Command::StmtFetch, target, After::Nothing, desk.now_us);
        Ok(Work { statement: Some(id), ..work })
    }

    /// Where a statement has data or a cursor, the node must reset it; elsewhere there is nothing to reset.
    fn reset_statement(&mut self, packet: &[u8], desk: &Desk) -> Result<Option<Work>, Fault> {
        let named = statement_id(packet).ok_or_else(malformed_command)?;
        let Some((id, statement)) = self.named(named) else {
            return Err(unknown_statement(named, "mysqld_stmt_reset"));
        };
        let target = match statement.held() {
            Held::Lost if self.will_reopen(id) => self.replay_target(),
            held => held.slot().map(Target::Slot),
        };
        self.prepared.release(id);
        let work = |target| Work::new(Command::StmtReset, target, After::Nothing, desk.now_us);
        Ok(target.map(|target| Work { statement: Some(id), ..work(target) }))
    }

    /// Whether a transaction that is to run again opens the cursor once more that was lost with its connection.
    fn will_reopen(&self, id: u32) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.is_due() && journal.names(id))
    }

    /// The statement of an id the client gave, and its plain id.
    fn named(&mut self, id: u32) -> Option<(u32, &mut Statement)> {
        let id = self.prepared.resolve(id)?;
        self.prepared.get_mut(id).map(|statement| (id, statement))
    }

    /// COM_RESET_CONNECTION: one connection is reset and stays, the others go.
    fn reset(&mut self, desk: &mut Desk) -> Work {
        self.end_journal(desk);
        let writer = desk.view.writer;
        let ready = |place: &usize| self.conns[*place].is_ready();
        let of_writer = |place: &usize| ready(place) && Some(self.conns[*place].node) == writer;
        let places = 0..self.conns.len();
        let keep = self.state.pinned.or(self.state.transaction).map(usize::from);
        let keep = keep.or_else(|| places.clone().find(of_writer)).or_else(|| places.clone().find(ready));
        for place in places.filter(|place| Some(*place) != keep) {
            self.part(place as Slot, desk);
        }
        let target = keep.map_or(Target::Home, |place| Target::Slot(place as Slot));
        Work::new(Command::ResetConnection, target, After::Reset, desk.now_us)
    }

    fn tell_lost_transaction(&mut self, command: Command, text: &[u8], desk: &mut Desk) {
        let Some(fault) = self.state.transaction_lost.take() else { return };
        if command == Command::Query && is_rollback(text) && fault.retry == Retry::Replay {
            return self.answer_ok(desk);
        }
        self.answer_ready(*fault, desk);
    }

    /// Answers a command that has not become work with OK.
    pub(super) fn answer_ok(&mut self, desk: &mut Desk) {
        let status: Status = self.state.own_status();
        desk.write(Peer::Client, |out| ok::put(out, 1, status));
    }

    /// Answers a command that has not become work with an error.
    pub(super) fn answer_ready(&mut self, fault: Fault, desk: &mut Desk) {
        desk.write(Peer::Client, |out| err::put(out, 1, &fault));
    }
}

/// Whether it is a plain ROLLBACK.
pub(super) fn is_rollback(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    text.strip_suffix(b";").unwrap_or(text).trim_ascii_end().eq_ignore_ascii_case(b"rollback")
}

fn unknown_statement(id: u32, command: &str) -> Fault {
    Fault::client(1243, b"HY000", format!("Unknown prepared statement handler ({id}) given to {command}"))
}

pub(super) fn malformed_command() -> Fault {
    Fault::client(1835, b"HY000", "Malformed communication packet")
}
