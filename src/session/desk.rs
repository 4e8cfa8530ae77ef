//! What a machine works on during one event: the facts it may read, and the actions it leaves behind.
//!
//! A worker has one desk for all its sessions, so nothing here is allocated per command.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::accounts::Accounts;
use crate::backend::pool::{Defaults, Fit, Kept, Sighting};
use crate::cluster::view::{ClusterView, Health, NodeId};
use crate::config::model::PLACES_MAX;
use crate::outcome::Question;
use crate::routing::causal::{CausalReads, Progress};
use crate::routing::reader::{Load, Policy};
use crate::routing::writer::WriterLoss;
use crate::telemetry::tally::{Event, Tally};
use crate::wire::challenge::SCRAMBLE;

use super::journal::Journal;
use super::turns::Turns;

/// One of a session's node connections; stable while it is open.
pub type Slot = u8;

/// One end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The client.
    Client,
    /// A node connection.
    Node(Slot),
}

impl Peer {
    /// What is counted of what it is sent.
    pub(super) fn bytes(self) -> Event {
        match self {
            Self::Client => Event::BytesToClients,
            Self::Node(_) => Event::BytesToNodes,
        }
    }
}

/// What the driver of a machine is to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write this range of the bytes the event came with.
    Forward {
        /// To whom.
        to: Peer,
        /// Range of the event's bytes.
        range: Range<usize>,
    },
    /// Write this range of [`Desk::own`].
    Write {
        /// To whom.
        to: Peer,
        /// Range of `own`.
        range: Range<usize>,
    },
    /// All that the client sends from here on is TLS, and so is what it is sent; to be told by `Machine::on_secured`.
    Secure,
    /// What is written from here on goes in TLS, once the node has shaken hands.
    SecureNode(Slot),
    /// Open a connection to a node for this slot.
    Dial {
        /// The slot, free until now.
        slot: Slot,
        /// What it must be, if one is to do that another session has left.
        fit: Fit,
    },
    /// Close a node connection; no event of it will be heard again.
    Close(Slot),
    /// The same, and nothing reaches the node any more of what it has not got yet: what is on the way might be run when the line is
    /// there again, and by then it may have been done elsewhere.
    Abort(Slot),
    /// The same, but the connection may serve another session.
    Keep {
        /// The slot.
        slot: Slot,
        /// Whom it may serve.
        fit: Fit,
        /// What the next session needs to know of it.
        kept: Kept,
    },
    /// Send a deadline event at this time, instead of any armed before; none if `None`.
    Arm(Option<u64>),
    /// What comes from the client and goes to it is compressed from here on.
    Compress,
    /// Load the accounts again and tell.
    RefreshAccounts,
    /// A node behaved as if it were gone: have it probed.
    Suspect(NodeId),
    /// Ask the session with this id where it is running a statement.
    FindSession {
        /// Its id.
        id: u32,
        /// It is to be killed, and will hear whether the node agrees.
        ends: bool,
    },
    /// Tell all sessions that a KILL is for some of them, and ask which.
    FindSessions(Sought),
    /// Find out what became of interrupted work, and tell.
    FindOutcome(Box<Question>),
    /// End the session with this id.
    EndSession(u32),
    /// The session with this id, which was to be killed, goes on.
    SpareSession(u32),
    /// A definition went through, which may have dropped a schema: tell all workers.
    Define,
    /// A SET GLOBAL, GRANT or the like went through, which may have changed what new connections begin with: tell all workers.
    SetDefaults,
    /// Write what is to be written to the client, then close it.
    Hangup,
    /// The session is over, but not its client, which begins a dump: hand both and this node connection over.
    HandOver {
        /// The slot of the node connection.
        slot: Slot,
        /// Its node.
        node: NodeId,
    },
}

/// Whom a KILL is for that does not name a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sought {
    /// Who has a node connection that its node knows by this id.
    Thread(u32),
    /// All of this user.
    User(Arc<[u8]>),
}

/// Where another session is at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No session has this id.
    Nobody,
    /// This user's session has no node connection.
    Nowhere(Box<[u8]>),
    /// On this node, under this connection id of the node's.
    At {
        /// The node.
        node: NodeId,
        /// The node's connection id.
        thread: u32,
    },
    /// These have a node connection with the id that was asked for.
    Held(Vec<Holder>),
}

/// A session that has a node connection with an id that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// The session's id.
    pub session: u32,
    /// The node that knows the connection by that id; the first, if several do.
    pub node: NodeId,
}

/// What the configuration says to sessions. Every limit has its unit in its name.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How readers are chosen.
    pub readers: Policy,
    /// Which writes a read sees.
    pub causal_reads: CausalReads,
    /// What becomes of a session when the writer is lost.
    pub writer_loss: WriterLoss,
    /// From accept to the end of the login.
    pub handshake_timeout: Duration,
    /// From dial to the end of a node's login.
    pub connect_timeout: Duration,
    /// Work that certainly did not happen runs again.
    pub replay: bool,
    /// The longest transaction that is kept for that, in bytes of its commands.
    pub replay_bytes_max: usize,
    /// What becomes of interrupted writes is found out.
    pub outcome: bool,
    /// How long a statement waits for a node that can run it.
    pub writer_wait: Duration,
    /// TLS is spoken with nodes.
    pub node_tls: bool,
    /// And the proxy shows them a certificate of its own.
    pub node_certificate: bool,
    /// Sessions lend their node connections between transactions.
    pub multiplex: bool,
    /// A connection may serve one session after the other.
    pub keeps_connections: bool,
    /// The nodes are Galera's. A connection that was reset is not as a new one there: `wsrep_sync_wait` is ignored on it (measured;
    /// the server takes it for none of a client any more), and with it go the reads that see what was written. A definition may yet
    /// be executed whose node gave up waiting.
    pub galera: bool,
    /// The most connections to each node, over all workers.
    pub connections_max: usize,
    /// How long a session waits for one of them.
    pub connection_wait: Duration,
    /// The most prepared statements of one session.
    pub prepared_max: usize,
    /// The most bytes of session commands kept for new node connections.
    pub history_bytes_max: usize,
}

/// Buffers handed out and taken back instead of allocated per command.
const SPARES_MAX: usize = 64;
/// A buffer that has grown beyond this many bytes is not kept.
const SPARE_BYTES_MAX: usize = 64 << 10;

/// The desk.
pub struct Desk {
    /// What is to be done.
    pub actions: Vec<Action>,
    /// Bytes of the machine's own making, referred to by [`Action::Write`].
    pub own: Vec<u8>,
    /// Monotonic time in microseconds.
    pub now_us: u64,
    /// The definitions that have gone through this proxy, as far as this worker has heard.
    pub definitions: u64,
    /// The SET GLOBALs, likewise.
    pub defaults_set: u64,
    /// The cluster.
    pub view: Arc<ClusterView>,
    /// This worker's share of each node's load, by node.
    pub loads: Vec<Load>,
    /// What this worker has counted.
    pub tally: Tally,
    /// The accounts.
    pub accounts: Arc<Accounts>,
    /// The configuration.
    pub settings: Arc<Settings>,
    /// What the session part of markers is made of: random, of this worker.
    pub marker_base: u128,
    /// What to add to the time to have microseconds since 1970.
    pub unix_offset_us: u64,
    /// When aborted work of this worker runs again.
    pub(super) turns: Turns,
    scramble: Option<[u8; SCRAMBLE]>,
    spares: Vec<Vec<u8>>,
    #[expect(clippy::vec_box, reason = "a session takes the box as it is")]
    journals: Vec<Box<Journal>>,
}

impl Desk {
    /// A desk with nothing on it.
    pub fn new(settings: Arc<Settings>, view: Arc<ClusterView>, accounts: Arc<Accounts>) -> Self {
        let (loads, tally) = (vec![Load::default(); view.nodes.len()], Tally::new(PLACES_MAX));
        Self {
            actions: Vec::new(),
            own: Vec::new(),
            now_us: 0,
            definitions: 0,
            defaults_set: 0,
            view,
            loads,
            tally,
            accounts,
            settings,
            marker_base: 0,
            unix_offset_us: 0,
            turns: Turns::default(),
            scramble: None,
            spares: Vec::new(),
            journals: Vec::new(),
        }
    }

    /// Lays a scramble out if there is none; `random` must be unguessable.
    pub fn provide_scramble(&mut self, random: impl FnOnce() -> [u8; SCRAMBLE]) {
        self.scramble.get_or_insert_with(random);
    }

    /// The scramble laid out, for one use. None if it has been used.
    pub(super) fn take_scramble(&mut self) -> Option<[u8; SCRAMBLE]> {
        self.scramble.take()
    }

    /// The cluster has changed. What a node had applied before it went down says nothing of what it has when it is back.
    pub fn take_view(&mut self, view: Arc<ClusterView>) {
        self.loads.resize(view.nodes.len(), Load::default());
        for (load, node) in self.loads.iter_mut().zip(&view.nodes) {
            if node.health == Health::Down {
                load.progress = Progress::default();
            }
        }
        self.view = view;
    }

    /// Clears what the last event left.
    pub fn clear(&mut self) {
        self.actions.clear();
        self.own.clear();
    }

    /// Passes a range of the event's bytes on.
    pub(super) fn forward(&mut self, to: Peer, range: Range<usize>) {
        if !range.is_empty() {
            self.actions.push(Action::Forward { to, range });
        }
    }

    /// Writes what `write` appends to `own`.
    pub(super) fn write<T>(&mut self, to: Peer, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let start = self.own.len();
        let value = write(&mut self.own);
        self.actions.push(Action::Write { to, range: start..self.own.len() });
        value
    }

    /// Writes what stands in `own` from here on.
    pub(super) fn write_from(&mut self, to: Peer, start: usize) {
        self.actions.push(Action::Write { to, range: start..self.own.len() });
    }

    /// Appends an action.
    pub(super) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// An empty buffer.
    pub(super) fn spare(&mut self) -> Vec<u8> {
        self.spares.pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub(super) fn put_back(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 0 && buffer.capacity() <= SPARE_BYTES_MAX && self.spares.len() < SPARES_MAX {
            buffer.clear();
            self.spares.push(buffer);
        }
    }

    /// A journal for a new transaction.
    pub(super) fn spare_journal(&mut self) -> Box<Journal> {
        self.journals.pop().unwrap_or_default()
    }

    /// Takes a journal back.
    pub(super) fn put_back_journal(&mut self, journal: Box<Journal>) {
        if journal.capacity() <= SPARE_BYTES_MAX && self.journals.len() < SPARES_MAX {
            self.journals.push(journal);
        }
    }

    /// A time of this desk's clock in microseconds since 1970.
    pub(super) fn unix_us(&self, time_us: u64) -> u64 {
        time_us.saturating_add(self.unix_offset_us)
    }

    /// The load of a node.
    pub(super) fn load(&mut self, node: NodeId) -> Option<&mut Load> {
        self.loads.get_mut(usize::from(node.0))
    }

    /// The address by which nodes know a client: its own where they are told, or that from which they see this proxy. A session
    /// may come to any node, so one that is not told is enough.
    pub(super) fn address_at_nodes(&self, client: IpAddr) -> IpAddr {
        let mut untold = self.view.members().filter(|node| !node.proxy_protocol);
        untold.find_map(|node| node.proxy_address).unwrap_or(client)
    }

    /// A node's name, for messages.
    pub(super) fn name(&self, node: NodeId) -> &str {
        self.view.node(node).map_or("?", |node| &node.name)
    }

    /// The usable node of this name.
    pub(super) fn named(&self, name: &[u8]) -> Option<NodeId> {
        let node = self.view.members().find(|node| node.name.as_bytes().eq_ignore_ascii_case(name));
        node.filter(|node| node.usable()).map(|node| node.id)
    }

    /// What is seen now.
    pub(super) fn sighting(&self) -> Sighting {
        Sighting { at_us: self.now_us, definitions: self.definitions }
    }

    /// What a connection begins with that is opened now.
    pub fn defaults(&self) -> Defaults {
        Defaults { set: self.defaults_set, seen: self.view.defaults }
    }

    /// A time this far from now.
    pub(super) fn after(&self, delay: Duration) -> u64 {
        self.now_us.saturating_add(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX))
    }
}
