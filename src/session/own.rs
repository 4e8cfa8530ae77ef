//! Replies of nodes that are none of the client's: the login's, and those to what the session asks for itself.

use tracing::warn;

use crate::backend::login::{SSL_REQUEST, Step};
use crate::backend::pool::Kept;
use crate::fault::Fault;
use crate::wire::Malformed;
use crate::wire::err::Error;
use crate::wire::packet::{self, HEADER};
use crate::wire::reply::{Kind, Part, ReplyTracker};

use super::conn::{Phase, Purpose};
use super::desk::{Action, Desk, Peer, Slot};
use super::loss::{Refusal, refusal};
use super::machine::{Machine, Phase as MachinePhase};
use super::prepared::statement_id;
use super::refused::LATE;

/// ER_UNKNOWN_SYSTEM_VARIABLE.
const UNKNOWN_VARIABLE: u16 = 1193;
/// The longest packet of a node's login in bytes.
const LOGIN_PACKET_MAX: usize = 64 << 10;

impl Machine {
    pub(super) fn take_login(&mut self, slot: Slot, bytes: &[u8], desk: &mut Desk) -> Result<usize, Malformed> {
        let Some((header, payload)) = packet::first(bytes) else {
            let long = packet::Header::parse(bytes).is_some_and(|header| header.length > LOGIN_PACKET_MAX);
            return if long { Err(Malformed("login packet too long")) } else { Ok(0) };
        };
        let Some(conn) = self.conns.get_mut(usize::from(slot)) else { return Ok(0) };
        let Phase::LoggingIn(login) = conn.phase else { return Ok(0) };
        let who = self.client.identity(desk.settings.node_tls);
        let start = desk.own.len();
        match login.take(header.sequence, payload, &who, &mut desk.own)? {
            Step::More(login) => {
                conn.phase = Phase::LoggingIn(login);
                desk.write_from(Peer::Node(slot), start);
            }
            // Who is on the way there could have said it, and it would be taken for the node's word within TLS.
            Step::Secure(_) if bytes.len() > header.total() => return Err(Malformed("bytes between greeting and TLS")),
            Step::Secure(login) => {
                conn.phase = Phase::LoggingIn(login);
                let to = Peer::Node(slot);
                desk.act(Action::Write { to, range: start..start + SSL_REQUEST });
                desk.act(Action::SecureNode(slot));
                desk.write_from(to, start + SSL_REQUEST);
            }
            Step::Done { thread, status } => {
                conn.kept = Kept { thread, status, ..conn.kept };
                conn.phase = Phase::Ready;
                conn.tracker = ReplyTracker::idle(self.client.capabilities.towards_node(true, true));
                if self.is_greeting() {
                    self.client.proven = true;
                    self.state.observe(status, slot);
                }
                self.advance(None, desk);
            }
            Step::Refused(fault) => self.refused_by_node(slot, fault, desk),
        }
        Ok(header.total())
    }

    /// A reply to what the session asked for itself, or one that the client must not see.
    pub(super) fn take_own(
        &mut self,
        slot: Slot,
        purpose: Purpose,
        part: Part,
        bytes: &[u8],
        desk: &mut Desk,
    ) -> Result<usize, Malformed> {
        let Some(conn) = self.conns.get_mut(usize::from(slot)) else { return Ok(part.length) };
        let by_writer = desk.view.writer == Some(conn.node);
        match (purpose, part.kind) {
            (Purpose::Effect(version), Kind::Err) if !self.state.is_bearable(version, by_writer) => {
                let node = desk.name(conn.node);
                warn!(
                    session = self.id,
                    node, "a session command that another node took was refused; its connection is dropped"
                );
                self.lose(slot, desk);
            }
            (Purpose::Announcement, Kind::Err) => self.lose(slot, desk),
            (Purpose::Prepare(id), Kind::Prepared) => {
                let on_node = statement_id(&bytes[..HEADER + 5]).unwrap_or_default();
                match self.prepared.get_mut(id) {
                    Some(statement) => statement.prepared_on(slot, on_node),
                    None => self.close_on_nodes(&[(slot, on_node)], desk),
                }
            }
            (Purpose::Prepare(_), Kind::Err) => {
                let error = Error::parse(&bytes[HEADER..])?;
                conn.settle();
                self.not_prepared(slot, &error, desk);
            }
            (Purpose::Setting, Kind::Err) => {
                // Where all variables are told of, there is no such name as one more (1193).
                let code = Error::parse(&bytes[HEADER..])?.code;
                if code != UNKNOWN_VARIABLE {
                    conn.forget_settings();
                    self.state.written.untold = true;
                }
            }
            (Purpose::Reset, Kind::Err) => self.renounce(slot, desk),
            (Purpose::InsertId, Kind::Opaque) => conn.take_answer(bytes)?,
            (Purpose::Replay, _) => self.hear_replay(slot, part, bytes, desk)?,
            (Purpose::ReplaySchema | Purpose::ReplaySetting, Kind::Err) => {
                // Whatever it is, nobody knows whether the transaction is still open.
                self.replay_refused = Some(refusal(&Error::parse(&bytes[HEADER..])?).unwrap_or(Refusal::Unfit));
            }
            (Purpose::Sync(sequence), Kind::Ok(_) | Kind::Eof(_)) => self.caught_up(slot, sequence, desk),
            (Purpose::Wait | Purpose::Sync(_), Kind::Err) => match Error::parse(&bytes[HEADER..])?.code {
                LATE => self.fell_behind(slot, desk),
                _ => self.cannot_wait(slot, desk),
            },
            (_, Kind::Infile) => return Err(Malformed("a file is asked for nobody")),
            _ => {}
        }
        Ok(part.length)
    }

    /// A node has refused the session's user.
    fn refused_by_node(&mut self, slot: Slot, fault: Fault, desk: &mut Desk) {
        let Some(conn) = self.conns.get(usize::from(slot)) else { return };
        let node = conn.node;
        warn!(
            session = self.id,
            node = desk.name(node),
            code = fault.code,
            "the node refused the login: {}",
            fault.message
        );
        self.drop_conn(slot, desk);
        if matches!(self.phase, MachinePhase::Greeting(_)) {
            return self.refuse(fault, desk);
        }
        // A reader may only be behind.
        let gone = fault.code == 1049 && desk.view.writer == Some(node);
        if gone && self.client.schema.take().is_some() {
            // Somebody has dropped it since: the session is in none.
            self.state.leave_schema();
            if let Some(work) = self.work.as_mut().filter(|work| work.slot == Some(slot)) {
                work.slot = None;
            }
            return self.advance(None, desk);
        }
        self.elsewhere(slot, Some(fault), desk);
    }
}
