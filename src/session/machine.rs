//! The session as a pure machine: events in, actions out.
//!
//! Events come one at a time: bytes of the client or of a node connection, dialled, closed, deadline, view changed, word of another
//! session. Each leaves actions on the desk, in the order in which they are to be done. The machine never waits: what it
//! waits for is written in its phase, its work and its connections' phases. One command is under way at a time; what
//! the client sends behind it stays with the driver until [`Machine::wants_client`].

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tracing::debug;

use crate::backend::login::Login;
use crate::cluster::view::{Health, NodeId};
use crate::fault::Fault;
use crate::sql::statement::Class;
use crate::wire::capability::Capabilities;
use crate::wire::command::Command;

use super::client::Client;
use super::conn::{NodeConn, Phase as ConnPhase, Purpose};
use super::desk::{Action, Desk, Peer, Slot};
use super::greet::Greet;
use super::journal::Journal;
use super::kill::Sentence;
use super::loss::Refusal;
use super::mark::Trail;
use super::prepared::{Prepared, set_statement_id};
use super::replica::Replica;
use super::state::SessionState;
use super::work::{After, Stage, Work};

/// Where a session is in its life.
pub(super) enum Phase {
    Greeting(Greet),
    Serving,
    /// Nothing is taken from anybody any more.
    Ended,
}

/// Whether clients may use TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsPolicy {
    /// They can't.
    #[default]
    Off,
    /// As they like.
    Offered,
    /// They must.
    Required,
}

/// Why what the client sends can't be understood any more.
#[derive(Clone, Copy, Debug)]
pub enum ClientLost {
    /// It has stopped in the middle of it.
    Stalled,
    /// It can't be decompressed.
    Garbled,
}

/// One session.
pub struct Machine {
    pub(super) id: u32,
    pub(super) phase: Phase,
    pub(super) client: Client,
    pub(super) conns: Vec<NodeConn>,
    pub(super) state: SessionState,
    pub(super) prepared: Prepared,
    pub(super) work: Option<Work>,
    /// The reader in use.
    pub(super) reader: Option<NodeId>,
    /// COM_CHANGE_USERs that were refused.
    pub(super) failed_changes: u8,
    /// The KILL for this session that is under way.
    pub(super) sentence: Sentence,
    /// What the open transaction has done.
    pub(super) journal: Option<Box<Journal>>,
    /// The marks of what is being written.
    pub(super) trail: Trail,
    /// How many statements were marked.
    pub(super) statements: u64,
    /// A statement of a transaction that runs again was refused.
    pub(super) replay_refused: Option<Refusal>,
    /// When it began, and when its last command ended, in microseconds of the desk's clock.
    pub(super) begun_us: u64,
    pub(super) idle_since_us: u64,
    /// What its last statement was.
    pub(super) last_class: Option<Class>,
    /// Of the replication service only.
    pub(super) replica: Option<Box<Replica>>,
    /// Whether its client may use TLS.
    pub(super) tls: TlsPolicy,
    armed: bool,
}

impl Machine {
    /// A session with this id for a client at this address.
    pub fn new(id: u32, address: IpAddr) -> Self {
        Self {
            id,
            phase: Phase::Ended,
            client: Client::new(address),
            conns: Vec::new(),
            state: SessionState::default(),
            prepared: Prepared::default(),
            work: None,
            reader: None,
            failed_changes: 0,
            sentence: Sentence::None,
            journal: None,
            trail: Trail::default(),
            statements: 0,
            replay_refused: None,
            begun_us: 0,
            idle_since_us: 0,
            last_class: None,
            replica: None,
            tls: TlsPolicy::Off,
            armed: false,
        }
    }

    /// Its listener has this policy.
    pub fn with_tls(self, tls: TlsPolicy) -> Self {
        Self { tls, ..self }
    }

    /// The port of the client's address.
    pub fn with_port(mut self, port: u16) -> Self {
        self.client.port = port;
        self
    }

    /// Where the client comes from.
    pub fn client_address(&self) -> SocketAddr {
        (self.client.address, self.client.port).into()
    }

    /// Greets the client; comes before all events.
    pub fn start(&mut self, desk: &mut Desk) {
        self.begun_us = desk.now_us;
        self.greet(desk);
        let deadline = desk.after(desk.settings.handshake_timeout);
        self.arm(Some(deadline), desk);
    }

    /// Takes bytes from the client; returns how many of them are done with. The rest is to be offered again, with more behind it.
    pub fn on_client(&mut self, bytes: &mut [u8], desk: &mut Desk) -> usize {
        let mut at = 0;
        loop {
            let step = match (&self.phase, &self.work) {
                (Phase::Ended, _) => bytes.len() - at,
                (Phase::Greeting(_), _) => self.take_greeting(&bytes[at..], desk),
                (Phase::Serving, Some(work)) if work.is_uploading() => self.take_upload(bytes, at, desk),
                (Phase::Serving, Some(_)) => 0,
                (Phase::Serving, None) => self.take_command(bytes, at, desk),
            };
            at += step;
            if step == 0 || at == bytes.len() {
                return at;
            }
        }
    }

    /// The client has closed.
    pub fn on_client_closed(&mut self, desk: &mut Desk) {
        self.end(desk);
    }

    /// Nothing more of what the client sends can be understood.
    pub fn on_client_lost(&mut self, why: ClientLost, desk: &mut Desk) {
        let (code, text) = match why {
            ClientLost::Stalled => (1159, "Got timeout reading communication packets"),
            ClientLost::Garbled => (1157, "Couldn't uncompress communication packet"),
        };
        if self.work.is_none() {
            self.answer_ready(Fault::client(code, b"08S01", text), desk);
        }
        self.hang_up(desk);
    }

    /// All connections to the node are in use: this one has to wait for another to be given back.
    pub fn on_queued(&mut self, slot: Slot, desk: &mut Desk) {
        self.enter(slot, ConnPhase::Queued, desk.settings.connection_wait, desk);
    }

    /// There is room for the connection, which is dialled now.
    pub fn on_seated(&mut self, slot: Slot, desk: &mut Desk) {
        self.enter(slot, ConnPhase::Dialling, desk.settings.connect_timeout, desk);
    }

    fn enter(&mut self, slot: Slot, phase: ConnPhase, limit: Duration, desk: &mut Desk) {
        if let Some(conn) = self.conns.get_mut(usize::from(slot)) {
            conn.phase = phase;
            let deadline = desk.after(limit);
            self.arm(Some(deadline), desk);
        }
    }

    /// A dialled connection stands.
    pub fn on_dialled(&mut self, slot: Slot) {
        if let Some(conn) = self.conns.get_mut(usize::from(slot)) {
            conn.phase = ConnPhase::LoggingIn(Login::Greeting);
        }
    }

    /// A node connection was closed, broke, or could not be made.
    pub fn on_node_closed(&mut self, slot: Slot, desk: &mut Desk) {
        let Some(conn) = self.conns.get(usize::from(slot)) else { return };
        if conn.is_ready() && conn.arriving() == Some(Purpose::Reset) {
            return self.renounce(slot, desk);
        }
        self.mistrust(slot, desk);
    }

    /// A node connection has failed in a way that says something of its node.
    pub(super) fn mistrust(&mut self, slot: Slot, desk: &mut Desk) {
        if let Some(conn) = self.conns.get(usize::from(slot)).filter(|conn| conn.is_open()) {
            desk.act(Action::Suspect(conn.node));
            self.lose(slot, desk);
        }
    }

    /// The armed deadline has passed.
    pub fn on_deadline(&mut self, desk: &mut Desk) {
        self.armed = false;
        if matches!(self.phase, Phase::Greeting(_)) && self.work.is_none() {
            debug!(session = self.id, "the client did not finish its login in time");
            return self.hang_up(desk);
        }
        self.overdue(desk);
    }

    /// The cluster has changed.
    pub fn on_view(&mut self, desk: &mut Desk) {
        if self.ends_with_writer(desk) {
            return self.hang_up(desk);
        }
        for slot in 0..self.conns.len() {
            let conn = &self.conns[slot];
            let Some(node) = desk.view.node(conn.node).filter(|_| conn.is_open()) else { continue };
            let slot = slot as Slot;
            let leaves = node.mute && self.may_read_elsewhere(slot);
            if node.health == Health::Down || leaves || self.is_left_behind(slot, desk) {
                self.lose(slot, desk);
            } else if !node.usable() && self.is_free(slot) {
                self.part(slot, desk);
            }
        }
        self.advance(None, desk);
    }

    /// The session is to end: it was killed, or the proxy stops.
    pub fn on_end(&mut self, desk: &mut Desk) {
        self.hang_up(desk);
    }

    /// The proxy is stopping: an idle session ends. True if it has.
    pub fn on_drain(&mut self, desk: &mut Desk) -> bool {
        let free = self.state.transaction.is_none() && self.state.pinned.is_none() && !self.replay_is_due();
        let idle = self.is_serving() && self.work.is_none() && free;
        if idle {
            self.hang_up(desk);
        }
        idle
    }

    /// Whether it can go on with bytes of the client.
    pub fn wants_client(&self) -> bool {
        match (&self.phase, &self.work) {
            (Phase::Ended, _) => false,
            (Phase::Greeting(greet), _) => greet.listens(),
            (Phase::Serving, None) => true,
            (Phase::Serving, Some(work)) => {
                work.is_sending_file()
                    || (work.is_uploading() && matches!(work.stage, Stage::Running | Stage::Discarding))
            }
        }
    }

    /// Whether the client is in the middle of something long.
    pub fn is_uploading(&self) -> bool {
        self.work.as_ref().is_some_and(Work::is_uploading)
    }

    /// The node connection that the client's bytes go to while it uploads.
    pub fn upload_slot(&self) -> Option<Slot> {
        self.work.as_ref().filter(|work| work.is_uploading()).and_then(|work| work.slot)
    }

    /// Whether the login is not done yet.
    pub fn is_greeting(&self) -> bool {
        matches!(self.phase, Phase::Greeting(_))
    }

    /// Whether a login has succeeded and the session has not ended.
    pub fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving)
    }

    /// Whether it has ended.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// The id that the client sees.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Passes on, or throws away, what the client uploads.
    pub(super) fn take_upload(&mut self, bytes: &mut [u8], at: usize, desk: &mut Desk) -> usize {
        let Some(work) = &mut self.work else { return 0 };
        let Some(upload) = &mut work.upload else { return 0 };
        if let (Some(id), Some(slot), true) = (work.statement, work.slot, upload.is_fresh())
            && let Some(statement) = self.prepared.get_mut(id)
        {
            set_statement_id(&mut bytes[at..], statement.id_on(slot).unwrap_or_default());
            if work.command.executes() {
                // Those it lacks the node has been told before.
                statement.needs_types(&bytes[at..], slot);
            }
        }
        let taken = match work.stage {
            Stage::Waiting | Stage::Finding | Stage::Resolving(_) if upload.is_command() => return 0,
            _ => upload.pass(&mut bytes[at..]),
        };
        let (ends, streams) = (upload.is_complete(), upload.is_command());
        if let (Stage::Running, Some(slot)) = (work.stage, work.slot) {
            let (part, journaled) = (&bytes[at..at + taken], work.journaled);
            desk.forward(Peer::Node(slot), at..at + taken);
            if work.command == Command::StmtSendLongData {
                self.keep_data(slot, part, ends, desk);
            } else if let Some(journal) = self.journal.as_mut().filter(|_| journaled && streams) {
                journal.upload(part, desk.settings.replay_bytes_max);
            }
        }
        if !streams {
            self.keep_file(&bytes[at..at + taken], desk);
        }
        if ends {
            self.uploaded(desk);
        }
        taken
    }

    /// A connection that holds nothing of the session's and runs nothing.
    pub(super) fn is_free(&self, slot: Slot) -> bool {
        let idle = self.work.as_ref().is_none_or(|work| work.slot != Some(slot));
        idle && self.state.transaction != Some(slot) && !self.state.needs(slot)
    }

    pub(super) fn arm(&mut self, deadline_us: Option<u64>, desk: &mut Desk) {
        if self.armed || deadline_us.is_some() {
            self.armed = deadline_us.is_some();
            desk.act(Action::Arm(deadline_us));
        }
    }

    pub(super) fn tracks(&self) -> bool {
        self.client.has(Capabilities::SESSION_TRACK)
    }

    /// The command under way is over.
    pub(super) fn finish(&mut self, desk: &mut Desk) {
        if let Some(work) = self.work.take() {
            self.idle_since_us = desk.now_us;
            self.last_class = work.class().or(self.last_class);
            self.tally(&work, desk);
            if work.stage == Stage::Running && work.slot.is_some() {
                self.unload(&work, desk);
            }
            if let After::Kill { id, ends: true } = work.after {
                desk.act(Action::SpareSession(id));
            }
            desk.put_back(work.packet);
        }
        if self.state.transaction.is_none() && !self.replay_is_due() {
            self.trail.end();
        }
        self.arm(None, desk);
    }

    /// Counts what was run, on the node that did it or was lost with it.
    fn tally(&self, work: &Work, desk: &mut Desk) {
        let conn = || work.slot.and_then(|slot| self.conns.get(usize::from(slot)));
        let node = match work.stage {
            Stage::Running => conn().map(|conn| conn.node),
            Stage::Resolving(doubt) => Some(doubt.node),
            _ => None,
        };
        if let Some(node) = node {
            desk.tally.command(node, work.target.route(), desk.now_us.saturating_sub(work.first_us));
        }
    }

    fn unload(&self, work: &Work, desk: &mut Desk) {
        let node = work.slot.and_then(|slot| self.conns.get(usize::from(slot))).map(|conn| conn.node);
        let now_us = desk.now_us;
        let sampled = work.replied && work.retry && !matches!(work.after, After::Effect(_));
        if let Some(load) = node.and_then(|node| desk.load(node)) {
            load.end(now_us);
            if sampled {
                load.sample(now_us.saturating_sub(work.begun_us));
            }
        }
    }

    /// Lets the client read what is on its way, then closes.
    pub(super) fn hang_up(&mut self, desk: &mut Desk) {
        self.end(desk);
        desk.act(Action::Hangup);
    }

    fn end(&mut self, desk: &mut Desk) {
        self.finish(desk);
        for slot in 0..self.conns.len() {
            self.part(slot as Slot, desk);
        }
        self.phase = Phase::Ended;
    }
}
