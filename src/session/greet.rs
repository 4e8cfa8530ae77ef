//! The client's login: greeting, response, perhaps another plugin, the accounts' verdict; then a node connection in its name.
//!
//! COM_CHANGE_USER is the same from the plugin on.

use std::sync::Arc;

use tracing::{debug, warn};
use zeroize::Zeroizing;

use crate::auth::admit::{Answer, Certificate, Login, Shown, login_name};
use crate::auth::{hosts, native};
use crate::fault::{Fault, Retry};
use crate::net::peer;
use crate::net::tls::Fingerprint;
use crate::telemetry::tally::Event;
use crate::wire::Malformed;
use crate::wire::capability::{Capabilities, Status};
use crate::wire::challenge::{self, NATIVE, SCRAMBLE};
use crate::wire::command::Command;
use crate::wire::cursor::Cursor;
use crate::wire::err;
use crate::wire::handshake::{Greeting, Response, is_ssl_request};
use crate::wire::packet::{self, Header};

use super::client::{Client, Standing};
use super::desk::{Action, Desk, Peer, Slot};
use super::machine::{Machine, Phase, TlsPolicy};
use super::prepared::Prepared;
use super::state::SessionState;
use super::work::{After, Target, Work};

/// The longest packet of a login in bytes: names, an answer, and connection attributes (64 KiB on the server).
const LOGIN_PACKET_MAX: usize = 80 << 10;
/// No collation: the node takes its default.
const DEFAULT_COLLATION: u8 = 0;
/// After so many refused COM_CHANGE_USER no more are tried (server: `failed_com_change_user` in sql/sql_parse.cc).
const FAILED_CHANGES_MAX: u8 = 3;
/// What a client gets that does not use TLS where it must.
const INSECURE: (u16, &[u8; 5], &str) = (
    1045,
    b"28000",
    "Access denied: this listener takes clients with TLS only; use the client's option for TLS (--ssl)",
);
/// What a login of an unknown shape gets.
const BAD_HANDSHAKE: (u16, &[u8; 5], &str) = (1043, b"08S01", "Bad handshake");

/// How far a login is.
pub(super) struct Greet {
    scramble: [u8; SCRAMBLE],
    stage: Stage,
    /// The next packet's sequence number, whosever it is.
    sequence: u8,
    answer: Zeroizing<Vec<u8>>,
    /// The answer is the password itself.
    clear: bool,
    /// The accounts have been loaded again for this login.
    refreshed: bool,
    /// Who the client is if COM_CHANGE_USER fails.
    previous: Option<Box<Client>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waits for the client's response to the greeting.
    Response,
    /// The client has asked for TLS, which has not begun yet.
    Tls,
    /// Waits for the answer to another scramble.
    Answer,
    /// Waits for newer accounts.
    Accounts,
    /// Waits for a node connection.
    Node,
}

impl Greet {
    pub(super) fn response(scramble: [u8; SCRAMBLE]) -> Self {
        Self {
            scramble,
            stage: Stage::Response,
            sequence: 1,
            answer: Zeroizing::default(),
            clear: false,
            refreshed: false,
            previous: None,
        }
    }

    /// Whether the client's next packet is expected.
    pub(super) fn listens(&self) -> bool {
        matches!(self.stage, Stage::Response | Stage::Answer)
    }
}

impl Machine {
    pub(super) fn greet(&mut self, desk: &mut Desk) {
        let Some(scramble) = desk.take_scramble() else { return self.hang_up(desk) };
        self.client.scramble = scramble;
        self.phase = Phase::Greeting(Greet::response(scramble));
        let view = desk.view.clone();
        let known = || view.nodes.iter().filter(|node| node.capabilities != 0);
        let Some(node) = view.writer.and_then(|id| view.node(id)).or_else(|| known().next()) else {
            let text = "No node of the cluster has been reached yet; see the proxy's log";
            desk.write(Peer::Client, |out| err::put(out, 0, &Fault::proxy(Retry::Never, 1105, b"HY000", text)));
            return self.hang_up(desk);
        };
        let common = known().fold(u64::MAX, |common, node| common & node.capabilities);
        let capabilities = Capabilities::SUPPORTED & Capabilities::from_bits_retain(common) | Capabilities::OWN;
        let capabilities = match self.tls {
            TlsPolicy::Off => capabilities.difference(Capabilities::SSL),
            TlsPolicy::Offered | TlsPolicy::Required => capabilities,
        };
        self.client.capabilities = capabilities;
        let greeting = Greeting {
            version: node.version.as_bytes(),
            thread: self.id,
            capabilities,
            collation: node.collation,
            status: Status::AUTOCOMMIT,
            plugin: NATIVE,
            scramble,
        };
        desk.write(Peer::Client, |out| packet::put(out, 0, |out| greeting.put(out)));
    }

    /// Takes one packet of a login.
    pub(super) fn take_greeting(&mut self, bytes: &[u8], desk: &mut Desk) -> usize {
        let Phase::Greeting(greet) = &mut self.phase else { return 0 };
        let Some(header) = Header::parse(bytes) else { return 0 };
        if !greet.listens() {
            return 0;
        }
        if header.length > LOGIN_PACKET_MAX {
            self.refuse_shape(Malformed("the packet is too long"), desk);
            return bytes.len();
        }
        let Some((header, payload)) = packet::first(bytes) else { return 0 };
        let in_order = header.sequence == greet.sequence;
        greet.sequence = header.sequence.wrapping_add(1);
        if !in_order {
            self.refuse_shape(Malformed("packets out of order"), desk);
            return bytes.len();
        }
        let taken = match greet.stage {
            Stage::Response => self.take_response(payload, desk),
            _ => {
                greet.answer = Zeroizing::new(payload.to_vec());
                self.judge(desk);
                Ok(())
            }
        };
        if let Err(malformed) = taken {
            self.refuse_shape(malformed, desk);
        }
        header.total()
    }

    fn take_response(&mut self, payload: &[u8], desk: &mut Desk) -> Result<(), Malformed> {
        if is_ssl_request(payload) {
            return self.begin_tls(desk);
        }
        if self.tls == TlsPolicy::Required && !self.client.is_secure() {
            self.refuse(Fault::client(INSECURE.0, INSECURE.1, INSECURE.2), desk);
            return Ok(());
        }
        let response = Response::parse(payload)?;
        let client = &mut self.client;
        client.capabilities &= response.capabilities;
        client.packet_max = response.packet_max;
        client.collation = response.collation;
        client.user = login_name(response.user).into();
        client.schema = response.schema.map(Into::into);
        client.attributes = response.attributes.into();
        let speaks_native = response.plugin.is_empty() || response.plugin == NATIVE;
        if !client.has(Capabilities::SECURE_CONNECTION) {
            let text = "Client does not support authentication protocol requested by server; consider upgrading MariaDB client";
            self.refuse(Fault::client(1251, b"08004", text), desk);
            return Ok(());
        }
        let Phase::Greeting(greet) = &mut self.phase else { return Ok(()) };
        if speaks_native || !self.client.has(Capabilities::PLUGIN_AUTH) {
            greet.answer = Zeroizing::new(response.answer.to_vec());
            self.judge(desk);
        } else {
            self.ask_native(desk);
        }
        Ok(())
    }

    fn begin_tls(&mut self, desk: &mut Desk) -> Result<(), Malformed> {
        if self.tls == TlsPolicy::Off || self.client.is_secure() {
            return Err(Malformed("TLS was not offered"));
        }
        if let Phase::Greeting(greet) = &mut self.phase {
            greet.stage = Stage::Tls;
        }
        desk.act(Action::Secure);
        Ok(())
    }

    /// What the client sends from here on has come in TLS, in which it is shown this certificate.
    pub fn on_secured(&mut self, shown: Fingerprint) {
        if let Phase::Greeting(greet) = &mut self.phase
            && greet.stage == Stage::Tls
        {
            greet.stage = Stage::Response;
            self.client.shown = Some(shown);
        }
    }

    /// The client speaks TLS, and nothing is known yet of who it is there.
    pub fn awaits_peer(&self) -> bool {
        self.client.is_secure() && self.client.peer.is_none()
    }

    /// What it is known by.
    pub fn on_peer(&mut self, peer: peer::Peer) {
        self.client.peer = Some(Arc::new(peer));
    }

    fn ask_native(&mut self, desk: &mut Desk) {
        let Phase::Greeting(greet) = &mut self.phase else { return };
        greet.stage = Stage::Answer;
        greet.sequence = desk.write(Peer::Client, |out| challenge::put_native(out, greet.sequence, &greet.scramble));
    }

    /// COM_CHANGE_USER: everything of the old user ends here but the name, which stays if the new one is refused.
    pub(super) fn change_user(&mut self, payload: &[u8], desk: &mut Desk) {
        if self.failed_changes >= FAILED_CHANGES_MAX {
            return self.answer_ready(Fault::client(1047, b"08S01", "Unknown command"), desk);
        }
        let next = match changed_user(payload, &self.client) {
            Ok(next) => next,
            Err(_) => {
                self.answer_ready(Fault::client(1047, b"08S01", "Unknown command"), desk);
                return self.hang_up(desk);
            }
        };
        for slot in 0..self.conns.len() {
            self.part(slot as Slot, desk);
        }
        let scramble = next.scramble;
        let previous = Some(Box::new(std::mem::replace(&mut self.client, next)));
        self.end_journal(desk);
        self.state = SessionState::default();
        self.prepared = Prepared::default();
        self.phase = Phase::Greeting(Greet { previous, ..Greet::response(scramble) });
        let deadline = desk.after(desk.settings.handshake_timeout);
        self.arm(Some(deadline), desk);
        self.ask_native(desk);
    }

    /// Asks the accounts.
    fn judge(&mut self, desk: &mut Desk) {
        let Phase::Greeting(greet) = &mut self.phase else { return };
        let login = Login {
            user: &self.client.user,
            client: self.client.address,
            proxy: desk.address_at_nodes(self.client.address),
            scramble: &greet.scramble,
            answer: if greet.clear {
                Answer::Password(password_in(&greet.answer))
            } else {
                Answer::Native(&greet.answer)
            },
            schema: self.client.schema.as_deref(),
            secure: self.client.is_secure(),
            shown: shown(self.client.peer.as_deref()),
            secure_to_nodes: desk.settings.node_tls,
            shows_to_nodes: desk.settings.node_certificate,
        };
        if !greet.clear && self.client.has(Capabilities::PLUGIN_AUTH) && desk.accounts.wants_password(&login) {
            greet.clear = true;
            greet.stage = Stage::Answer;
            greet.sequence = desk.write(Peer::Client, |out| challenge::put_clear(out, greet.sequence));
            return;
        }
        match desk.accounts.admit(&login) {
            Ok(admitted) => {
                (self.client.secret, self.client.proven) = (admitted.secret, admitted.proven);
                self.client.accounts = desk.accounts.generation();
                greet.stage = Stage::Node;
                greet.answer = Zeroizing::default();
                let target = if self.replica.is_some() { Target::Writer } else { Target::Home };
                self.work = Some(Work::new(Command::Ping, target, After::Login(greet.sequence), desk.now_us));
                self.advance(None, desk);
            }
            Err(_) if !greet.refreshed => {
                greet.stage = Stage::Accounts;
                desk.act(Action::RefreshAccounts);
            }
            Err(fault) => self.refuse(fault, desk),
        }
    }

    /// Newer accounts are there, or could not be had.
    pub fn on_accounts(&mut self, desk: &mut Desk) {
        if let Phase::Greeting(greet) = &mut self.phase
            && greet.stage == Stage::Accounts
        {
            greet.refreshed = true;
            self.judge(desk);
        }
    }

    /// What shows a client in TLS, at its login, that the certificate is of one who has its password. Who has sent the password itself
    /// has trusted it anyway.
    pub(super) fn proof(&self) -> Option<String> {
        let Phase::Greeting(Greet { scramble, clear: false, previous: None, .. }) = &self.phase else { return None };
        let stored = self.client.secret.as_ref()?.stored()?;
        Some(native::proof(&stored, scramble, self.client.shown.as_ref()?))
    }

    /// Ends a login with this error.
    pub(super) fn refuse(&mut self, fault: Fault, desk: &mut Desk) {
        let sequence = match &self.phase {
            Phase::Greeting(greet) => greet.sequence,
            _ => 1,
        };
        debug!(session = self.id, client = %self.client.address, code = fault.code, "login refused: {}", fault.message);
        desk.tally.count(Event::LoginRefused);
        desk.write(Peer::Client, |out| err::put(out, sequence, &fault));
        match &mut self.phase {
            Phase::Greeting(Greet { previous: Some(previous), .. }) => {
                std::mem::swap(&mut self.client, previous);
                self.stay(desk);
            }
            _ => {
                self.client.standing = if hosts::is_failure(fault.code) { Standing::Refused } else { Standing::Open };
                self.hang_up(desk);
            }
        }
    }

    /// COM_CHANGE_USER was refused: the session goes on as it was after its login, but for the charset, which is the node's default now
    /// (server: `COM_CHANGE_USER` in sql/sql_parse.cc).
    fn stay(&mut self, desk: &mut Desk) {
        self.client.collation = DEFAULT_COLLATION;
        self.failed_changes += 1;
        self.finish(desk);
        for slot in 0..self.conns.len() {
            self.part(slot as Slot, desk);
        }
        self.state.status = Status::AUTOCOMMIT;
        self.phase = Phase::Serving;
    }

    fn refuse_shape(&mut self, malformed: Malformed, desk: &mut Desk) {
        warn!(session = self.id, client = %self.client.address, "bad handshake: {malformed}");
        if let Phase::Greeting(greet) = &mut self.phase {
            greet.previous = None;
        }
        let (code, state, text) = BAD_HANDSHAKE;
        self.refuse(Fault::client(code, state, text), desk);
    }
}

/// A password in clear ends with a NUL.
fn password_in(answer: &[u8]) -> &[u8] {
    answer.strip_suffix(b"\0").unwrap_or(answer)
}

fn shown(peer: Option<&peer::Peer>) -> Shown<'_> {
    let names = peer.and_then(|peer| peer.certificate.as_ref());
    Shown {
        cipher: peer.map_or("", |peer| &peer.cipher),
        certificate: names.map(|names| Certificate { subject: &names.subject, issuer: &names.issuer }),
    }
}

/// The client as COM_CHANGE_USER describes it (server: `parse_com_change_user_packet` in sql/sql_acl.cc).
fn changed_user(payload: &[u8], old: &Client) -> Result<Client, Malformed> {
    let mut cursor = Cursor::new(payload);
    let user = cursor.nul_bytes()?;
    let length = usize::from(cursor.u8()?);
    cursor.take(length)?;
    let schema = cursor.nul_bytes()?;
    let mut next = Client {
        port: old.port,
        shown: old.shown,
        peer: old.peer.clone(),
        packet_max: old.packet_max,
        scramble: old.scramble,
        standing: old.standing,
        ..Client::new(old.address)
    };
    next.capabilities = old.capabilities.difference(Capabilities::ONLY_AT_LOGIN);
    next.collation = if cursor.is_empty() { DEFAULT_COLLATION } else { cursor.u16()?.to_le_bytes()[0] };
    next.user = user.into();
    next.schema = (!schema.is_empty()).then(|| schema.into());
    if old.has(Capabilities::PLUGIN_AUTH) && !cursor.is_empty() {
        cursor.nul_bytes()?;
        if old.has(Capabilities::CONNECT_ATTRS) && !cursor.is_empty() {
            next.attributes = cursor.lenenc_bytes()?.into();
        }
    }
    Ok(next)
}
