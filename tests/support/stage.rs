//! A session's machine on a stage: no sockets, no clock. What it asks for is checked and kept.

#![allow(dead_code, clippy::panic, reason = "each test uses a part; a test fails by a panic")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use oarlock::auth::account::{Account, Auth, Requirement};
use oarlock::auth::accounts::{Accounts, Naming};
use oarlock::auth::grants::Grants;
use oarlock::auth::pattern::HostPattern;
use oarlock::backend::pool::{Fit, Kept, Reset};
use oarlock::cluster::view::{ClusterView, Duty, Health, NodeId, NodeView, Trace};
use oarlock::outcome::{Outcome, Question};
use oarlock::routing::causal::CausalReads;
use oarlock::routing::reader::Policy;
use oarlock::routing::writer::WriterLoss;
use oarlock::session::desk::{Action, Desk, Found, Peer, Settings, Slot, Sought};
use oarlock::session::machine::Machine;
use oarlock::wire::capability::{Capabilities, Status};
use oarlock::wire::challenge::SCRAMBLE;
use oarlock::wire::command::{INIT_DB, RESET_CONNECTION};
use oarlock::wire::{ok, packet};

pub const WRITER: NodeId = NodeId(0);

/// A node connection as the stage knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Closed,
    Dialling(NodeId),
    Open(NodeId),
}

/// Something outside of its own sockets that the session waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    Accounts,
    /// Whatever has this id.
    Find(u32),
    FindUser(Arc<[u8]>),
    Outcome(Question),
}

/// One machine, and what it has asked for.
pub struct Stage {
    pub machine: Machine,
    pub desk: Desk,
    pub to_client: Vec<u8>,
    /// What was written to each slot and nobody has taken yet.
    pub to_nodes: Vec<Vec<u8>>,
    /// All that was ever written to each node, by its place in the cluster; kept unless told not to.
    pub sent: BTreeMap<u16, Vec<u8>>,
    pub keeps_all: bool,
    pub ends: Vec<End>,
    /// The slots that were dialled and nobody has looked at yet.
    pub dials: Vec<Slot>,
    /// What each slot's connection has to be.
    pub fits: Vec<Option<Fit>>,
    pub deadline: Option<u64>,
    pub errand: Option<Errand>,
    /// Sessions that were killed, and that were not after all.
    pub ended: Vec<u32>,
    pub spared: Vec<u32>,
    pub hung_up: bool,
}

impl Stage {
    /// A machine that has greeted its client.
    pub fn new() -> Self {
        Self::of(1, 0)
    }

    /// The same with this id, at this time.
    pub fn of(id: u32, now_us: u64) -> Self {
        let mut stage = Self {
            machine: Machine::new(id, IpAddr::V4(Ipv4Addr::LOCALHOST)),
            desk: Desk::new(Arc::new(settings()), Arc::new(view(3)), Arc::new(accounts(Auth::Native(None)))),
            to_client: Vec::new(),
            to_nodes: Vec::new(),
            sent: BTreeMap::new(),
            keeps_all: true,
            ends: Vec::new(),
            dials: Vec::new(),
            fits: Vec::new(),
            deadline: None,
            errand: None,
            ended: Vec::new(),
            spared: Vec::new(),
            hung_up: false,
        };
        stage.desk.now_us = now_us;
        stage.event(|machine, desk| machine.start(desk));
        stage
    }

    /// Nothing runs again.
    pub fn forbid_replay(&mut self) {
        let mut settings = (*self.desk.settings).clone();
        settings.replay = false;
        self.desk.settings = Arc::new(settings);
    }

    /// An event without bytes.
    pub fn event<T>(&mut self, event: impl FnOnce(&mut Machine, &mut Desk) -> T) -> T {
        self.event_of(&mut [], |machine, _, desk| event(machine, desk))
    }

    /// Bytes of the client; how many of them were taken.
    pub fn client_sends(&mut self, bytes: &mut [u8]) -> usize {
        let length = bytes.len();
        let taken = self.event_of(bytes, |machine, bytes, desk| machine.on_client(bytes, desk));
        assert!(taken <= length, "{taken} of {length} bytes taken");
        taken
    }

    /// Bytes of a node; how many of them were taken.
    pub fn node_sends(&mut self, slot: Slot, bytes: &mut [u8]) -> usize {
        let length = bytes.len();
        let taken = self.event_of(bytes, |machine, bytes, desk| machine.on_node(slot, bytes, desk));
        assert!(taken <= length, "{taken} of {length} bytes taken");
        taken
    }

    /// A dial that was asked for has succeeded.
    pub fn dialled(&mut self, slot: Slot) {
        let end = &mut self.ends[usize::from(slot)];
        let End::Dialling(node) = *end else { panic!("slot {slot} is {end:?}") };
        *end = End::Open(node);
        self.to_nodes[usize::from(slot)].clear();
        self.event(|machine, _| machine.on_dialled(slot));
    }

    /// Instead of a dial that was asked for a kept connection has been found.
    pub fn taken_over(&mut self, slot: Slot, kept: Kept) {
        let end = &mut self.ends[usize::from(slot)];
        let End::Dialling(node) = *end else { panic!("slot {slot} is {end:?}") };
        *end = End::Open(node);
        self.to_nodes[usize::from(slot)].clear();
        self.event(|machine, desk| machine.on_taken_over(slot, kept, desk));
    }

    /// A node connection has failed.
    pub fn node_closed(&mut self, slot: Slot) {
        self.ends[usize::from(slot)] = End::Closed;
        self.event(|machine, desk| machine.on_node_closed(slot, desk));
    }

    /// The armed deadline passes, if there is one.
    pub fn pass_deadline(&mut self) {
        if let Some(deadline) = self.deadline.take() {
            self.desk.now_us = self.desk.now_us.max(deadline);
            self.event(|machine, desk| machine.on_deadline(desk));
        }
    }

    /// The errand, if there is one, comes back.
    pub fn return_errand(&mut self, found: Found) {
        match self.errand.take() {
            Some(Errand::Accounts) => self.event(|machine, desk| machine.on_accounts(desk)),
            Some(Errand::Find(_) | Errand::FindUser(_)) => self.event(|machine, desk| machine.on_found(found, desk)),
            Some(Errand::Outcome(_)) => {
                let outcome = Outcome::Undecidable("nobody looks".into());
                self.event(|machine, desk| machine.on_outcome(outcome, desk));
            }
            None => {}
        }
    }

    fn event_of<T>(&mut self, bytes: &mut [u8], event: impl FnOnce(&mut Machine, &mut [u8], &mut Desk) -> T) -> T {
        self.desk.provide_scramble(|| [b's'; SCRAMBLE]);
        let value = event(&mut self.machine, bytes, &mut self.desk);
        let actions = std::mem::take(&mut self.desk.actions);
        let own = std::mem::take(&mut self.desk.own);
        for action in &actions {
            self.check(action, bytes, &own);
        }
        self.desk.actions = actions;
        self.desk.own = own;
        self.desk.clear();
        if self.hung_up {
            assert!(self.machine.is_ended(), "hung up and goes on");
            assert!(self.ends.iter().all(|end| *end == End::Closed), "left behind: {:?}", self.ends);
        }
        value
    }

    fn check(&mut self, action: &Action, bytes: &[u8], own: &[u8]) {
        assert!(!self.hung_up || matches!(action, Action::Arm(None)), "after the end: {action:?}");
        match action {
            Action::Forward { to, range } => self.written(*to, &bytes[range.clone()]),
            Action::Write { to, range } => self.written(*to, &own[range.clone()]),
            Action::Dial { slot, fit } => {
                let node = &fit.node;
                assert!(usize::from(node.0) < self.desk.view.nodes.len());
                let place = usize::from(*slot);
                if self.ends.len() <= place {
                    self.ends.resize(place + 1, End::Closed);
                    self.to_nodes.resize(place + 1, Vec::new());
                    self.fits.resize(place + 1, None);
                }
                self.fits[place] = Some(fit.clone());
                assert_eq!(self.ends[place], End::Closed, "slot {slot} is in use");
                assert!(!self.ends.contains(&End::Open(*node)), "a second connection to {node:?}");
                self.ends[place] = End::Dialling(*node);
                self.dials.push(*slot);
            }
            Action::Keep { slot, fit, kept } => {
                let place = usize::from(*slot);
                assert_eq!(self.ends[place], End::Open(fit.node));
                let told = &self.to_nodes[place];
                let reset = command(RESET_CONNECTION, b"");
                let place_again = fit.schema.as_ref().map(|schema| command(INIT_DB, schema)).unwrap_or_default();
                let (reset, answers) = ([reset, place_again].concat(), 1 + u8::from(fit.schema.is_some()));
                let said = if told.ends_with(&reset) { Reset::Sent(answers) } else { Reset::Unneeded };
                assert_eq!(kept.reset, said, "slot {slot} is not reset as it is said to be");
                self.ends[place] = End::Closed;
            }
            Action::Close(slot) | Action::Abort(slot) => self.ends[usize::from(*slot)] = End::Closed,
            Action::Arm(deadline) => self.deadline = *deadline,
            // Whether the client is in TLS now is for the test to say.
            Action::Compress | Action::Secure => {}
            Action::SecureNode(_) => unreachable!("TLS is not spoken with nodes here"),
            Action::RefreshAccounts => self.errand = Some(Errand::Accounts),
            Action::FindSession { id, .. } => self.errand = Some(Errand::Find(*id)),
            Action::FindSessions(Sought::Thread(id)) => self.errand = Some(Errand::Find(*id)),
            Action::FindSessions(Sought::User(user)) => self.errand = Some(Errand::FindUser(user.clone())),
            Action::Suspect(node) => assert!(usize::from(node.0) < self.desk.view.nodes.len()),
            Action::FindOutcome(question) => self.errand = Some(Errand::Outcome((**question).clone())),
            Action::EndSession(id) => self.ended.push(*id),
            Action::SpareSession(id) => self.spared.push(*id),
            Action::Define => self.desk.definitions += 1,
            Action::SetDefaults => self.desk.defaults_set += 1,
            Action::Hangup => self.hung_up = true,
            Action::HandOver { .. } => unreachable!("only sessions of the replication service end so"),
        }
    }

    fn written(&mut self, to: Peer, bytes: &[u8]) {
        match to {
            Peer::Client => self.to_client.extend_from_slice(bytes),
            Peer::Node(slot) => {
                let place = usize::from(slot);
                let End::Open(node) = self.ends[place] else {
                    panic!("written to slot {slot}: {:?}", self.ends[place])
                };
                if self.keeps_all {
                    self.sent.entry(node.0).or_default().extend_from_slice(bytes);
                }
                self.to_nodes[place].extend_from_slice(bytes);
            }
        }
    }
}

fn settings() -> Settings {
    Settings {
        readers: Policy::LeastConnections,
        causal_reads: CausalReads::Session,
        writer_loss: WriterLoss::Wait,
        handshake_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(3),
        replay: true,
        outcome: false,
        replay_bytes_max: 1 << 16,
        writer_wait: Duration::from_secs(30),
        node_tls: false,
        node_certificate: false,
        multiplex: true,
        galera: false,
        keeps_connections: true,
        connections_max: 4,
        connection_wait: Duration::from_secs(10),
        prepared_max: 8,
        history_bytes_max: 1 << 16,
    }
}

/// Healthy nodes, the first of them the writer.
pub fn view(nodes: u16) -> ClusterView {
    let node = |place: u16| NodeView {
        id: NodeId(place),
        name: format!("node-{place}").into(),
        address: "127.0.0.1:1".into(),
        health: Health::Synced,
        mute: false,
        reason: "".into(),
        duty: Duty::Normal,
        gtid: "70-7000-1".into(),
        version: "5.5.5-10.11.19-MariaDB".into(),
        capabilities: Capabilities::SUPPORTED.bits(),
        collation: 45,
        auto_increment: Some((3, 1)),
        proxy_address: None,
        proxy_protocol: false,
        trace: Trace::default(),
    };
    let nodes = (0..nodes).map(node).collect();
    ClusterView { version: 1, nodes, writer: Some(WRITER), gtid_domain: Some(70), ..ClusterView::default() }
}

/// `app` from anywhere, with this way in.
pub fn accounts(auth: Auth) -> Accounts {
    let account = Account {
        user: "app".into(),
        host: HostPattern::new("%"),
        auth: [auth].into(),
        access: u64::MAX,
        locked: false,
        requires: Requirement::Nothing,
        default_role: "".into(),
        is_role: false,
    };
    Accounts::new(vec![account], Grants::new(false), Naming::default()).with_generation(1)
}

/// The packets of a client that logs in as `app`.
pub fn login(capabilities: Capabilities) -> Vec<u8> {
    crate::logins::response(capabilities)
}

/// The greeting of a node.
pub fn greeting() -> Vec<u8> {
    crate::logins::greeting(77, Capabilities::SUPPORTED)
}

/// What most clients ask for.
pub fn usual() -> Capabilities {
    Capabilities::SUPPORTED
        - Capabilities::CONNECT_WITH_DB
        - Capabilities::CONNECT_ATTRS
        - Capabilities::SESSION_TRACK
        - Capabilities::DEPRECATE_EOF
        - Capabilities::CACHE_METADATA
}

/// The answer of a node that has nothing to tell.
pub fn ok() -> Vec<u8> {
    let mut out = Vec::new();
    ok::put(&mut out, 1, Status::AUTOCOMMIT);
    out
}

/// A command's packet.
pub fn command(byte: u8, rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    packet::put(&mut out, 0, |out| {
        out.push(byte);
        out.extend_from_slice(rest);
    });
    out
}
