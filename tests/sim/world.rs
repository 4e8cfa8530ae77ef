//! Everything together in virtual time: clients, sessions of a proxy, the lines to the nodes, the nodes, and what the proxy is told
//! of them. All that is left to chance comes from one seed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Display;
use std::sync::Arc;

use oarlock::cluster::view::{ClusterView, Health, NodeId, NodeView};
use oarlock::gtid::Gtid;
use oarlock::outcome::Outcome as Answer;
use oarlock::session::desk::{self, Desk, Slot};
use oarlock::sql::marker::{self, Marker};
use oarlock::wire::capability::Capabilities;

use crate::agenda::Agenda;
use crate::client::{Client, Habit, Statements};
use crate::cluster::{ACCOUNTS, Cluster, Conn, Due, Found, INCREMENT, Life, NODES, OPENING};
use crate::dice::Dice;
use crate::faults::Fault;
use crate::history::{History, Store};
use crate::server::{Order, Server};
use crate::stage::{self, End, Errand, Stage};

/// The longest a run may take, in virtual time. All waits of a session together are shorter.
const END_US: u64 = 900_000_000;
/// The most that may happen in a run.
const EVENTS_MAX: u64 = 200_000;
/// How often the outcome of interrupted work is looked for, and for how long.
const LOOK_US: u64 = 150_000;
const OUTCOME_US: u64 = 20_000_000;
/// How often the nodes are looked at.
const PROBE_US: u64 = 250_000;
/// A node that says nothing for so long is taken for dead.
const SILENCE_US: u64 = 3_000_000;
/// After so long it is called mute.
const MUTE_US: u64 = 1_000_000;
/// An answer of more bytes is a long one.
const LONG_ANSWER: usize = 100;
/// How soon bytes on a line that is cut are looked at again.
const CUT_US: u64 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToNode,
    ToSession,
}

enum Event {
    Cluster(Due),
    Arrive(Conn, Way),
    Serve(Conn),
    Dialled(Conn),
    Deadline(usize, u64),
    Errand(usize),
    /// The outcome of a session's interrupted work is looked for, until this time.
    LookUp(usize, u64),
    ViewChanged(usize),
    /// Bytes of a client for its session, or of a session for its client.
    FromClient(usize, Vec<u8>),
    ToClient(usize, Vec<u8>),
    ClientEnd(usize),
    Begin(usize),
    Probe,
    Heal(Fault),
}

enum Chunk {
    Bytes(Vec<u8>),
    End,
}

/// One direction of a connection between session and node.
#[derive(Default)]
struct Pipe {
    chunks: VecDeque<Chunk>,
    last_us: u64,
}

/// A connection between a session and a node.
struct Link {
    session: usize,
    slot: Slot,
    node: usize,
    server: Option<Server>,
    /// The session still has it.
    held: bool,
    to_node: Pipe,
    to_session: Pipe,
}

/// A session and its client.
struct Seat {
    stage: Stage,
    client: Client,
    /// The connection of each slot.
    links: Vec<Option<Conn>>,
    from_nodes: Vec<Vec<u8>>,
    from_client: Vec<u8>,
    last_us: u64,
    deadline: Option<u64>,
    /// The outcome of interrupted work is being looked for.
    looks_up: bool,
}

/// What came of a run.
pub struct Outcome {
    pub history: History,
    pub store: Store,
    pub trouble: Option<String>,
    pub events: u64,
}

pub struct World {
    pub dice: Dice,
    pub cluster: Cluster,
    agenda: Agenda<Event>,
    desk: Desk,
    links: BTreeMap<Conn, Link>,
    next_conn: Conn,
    seats: Vec<Seat>,
    /// How many sessions there have been.
    sessions: u32,
    /// Nodes to which no bytes get through.
    pub cut: [bool; NODES],
    silent_since: [Option<u64>; NODES],
    /// The node that is to be the writer, and whether the old one has been left.
    pub switch: Option<(usize, bool)>,
    next_id: u64,
    /// What happens at which event, the latest first.
    faults: Vec<(u64, Fault)>,
    /// How many faults are not over.
    open_faults: usize,
    events: u64,
    loud: bool,
}

impl World {
    pub fn new(seed: u64, loud: bool) -> Self {
        let mut dice = Dice::new(seed);
        let cluster = Cluster::new(dice.roll());
        let mut desk = Stage::new().desk;
        let mut settings = (*desk.settings).clone();
        settings.outcome = true;
        desk.settings = Arc::new(settings);
        let mut world = Self {
            cluster,
            agenda: Agenda::new(),
            desk,
            links: BTreeMap::new(),
            next_conn: 1,
            seats: Vec::new(),
            sessions: 0,
            cut: [false; NODES],
            silent_since: [None; NODES],
            switch: None,
            next_id: 0,
            faults: Vec::new(),
            open_faults: 0,
            events: 0,
            loud,
            dice,
        };
        let view = world.look();
        world.desk.take_view(Arc::new(view));
        for _ in 0..2 + world.dice.below(3) {
            world.enter();
        }
        world.faults = Fault::some(&mut world.dice);
        world.agenda.after(PROBE_US, Event::Probe);
        world
    }

    fn enter(&mut self) {
        let mut capabilities = stage::usual() & Capabilities::SUPPORTED;
        capabilities.set(Capabilities::DEPRECATE_EOF, self.dice.one_in(2));
        capabilities.set(Capabilities::SESSION_TRACK, self.dice.one_in(4));
        let habit = Habit {
            statements: match self.dice.below(4) {
                0..2 => Statements::Texts,
                2 => Statements::Prepared,
                _ => Statements::PreparedOnce,
            },
            autocommit: !self.dice.one_in(4),
            reads_first: self.dice.one_in(3),
            loads: self.dice.one_in(4),
            announces: self.dice.one_in(4),
            moves: self.dice.one_in(4),
            capabilities,
        };
        let work = 3 + self.dice.below(5);
        let client = Client::new(habit, work);
        let stage = self.session();
        let seat = Seat {
            stage,
            client,
            links: Vec::new(),
            from_nodes: Vec::new(),
            from_client: Vec::new(),
            last_us: 0,
            deadline: None,
            looks_up: false,
        };
        self.seats.push(seat);
        self.collect(self.seats.len() - 1);
    }

    /// A new session, with an id of its own.
    fn session(&mut self) -> Stage {
        self.sessions += 1;
        let mut stage = Stage::of(self.sessions, self.agenda.now_us);
        stage.keeps_all = false;
        stage
    }

    /// Plays to the end.
    pub fn play(mut self) -> Outcome {
        let mut trouble = None;
        while let Some(event) = self.agenda.next() {
            self.events += 1;
            while self.faults.last().is_some_and(|(at, _)| *at <= self.events) {
                let fault = self.faults.pop().map(|(_, fault)| fault);
                fault.into_iter().for_each(|fault| self.suffer(fault));
            }
            self.happen(event);
            self.hear_cluster();
            if self.is_over() {
                break;
            }
            if self.agenda.now_us > END_US || self.events > EVENTS_MAX {
                let stuck: Vec<usize> =
                    (0..self.seats.len()).filter(|place| !self.seats[*place].client.is_done()).collect();
                let busy: Vec<_> =
                    self.links.iter().filter(|(_, link)| !link.is_quiet()).map(|(conn, _)| conn).collect();
                trouble = Some(format!(
                    "still not over; clients {stuck:?} wait, connections {busy:?} are busy, {} faults are open, the cluster: {:?}",
                    self.open_faults,
                    self.cluster.blemishes()
                ));
                break;
            }
        }
        let (rows, balances) = self.cluster.contents(0);
        if trouble.is_none() && (1..NODES).any(|node| self.cluster.contents(node) != (rows.clone(), balances.clone())) {
            trouble = Some("nodes have other contents".to_owned());
        }
        let mut history = History::default();
        self.seats.into_iter().for_each(|seat| history.join(seat.client.history));
        Outcome { history, store: Store { rows, balances, opening: OPENING }, trouble, events: self.events }
    }

    fn is_over(&self) -> bool {
        let idle = self.open_faults == 0 && self.faults.is_empty() && self.cluster.is_whole();
        idle && self.seats.iter().all(|seat| seat.client.is_done()) && self.links.values().all(Link::is_quiet)
    }

    pub fn say(&self, what: impl Display) {
        if self.loud {
            eprintln!("{:>12.6} {what}", self.agenda.now_us as f64 / 1e6);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Cluster(due) => self.cluster.pass(due),
            Event::Arrive(conn, way) => self.arrive(conn, way),
            Event::Serve(conn) => self.serve(conn),
            Event::Dialled(conn) => self.dialled(conn),
            Event::Deadline(place, deadline) => {
                if self.seats[place].stage.deadline == Some(deadline) {
                    self.seats[place].deadline = None;
                    self.drive(place, Stage::pass_deadline);
                }
            }
            Event::LookUp(place, until_us) => self.look_up(place, until_us),
            Event::Errand(place) => self.drive(place, |stage| stage.return_errand(desk::Found::Nobody)),
            Event::ViewChanged(place) => {
                self.drive(place, |stage| stage.event(|machine, desk| machine.on_view(desk)));
            }
            Event::FromClient(place, bytes) => {
                self.seats[place].from_client.extend(bytes);
                self.feed(place);
            }
            Event::ToClient(place, bytes) => {
                let sent = self.seats[place].client.hear(&bytes);
                self.client_sends(place, sent);
                self.client_rests(place);
            }
            Event::ClientEnd(place) => self.client_end(place),
            Event::Begin(place) => {
                self.next_id += 1;
                let sent = self.seats[place].client.begin(self.next_id, &mut self.dice);
                self.client_sends(place, sent);
            }
            Event::Probe => self.probe(),
            Event::Heal(fault) => self.heal(fault),
        }
    }

    /// What the cluster has asked for and said.
    fn hear_cluster(&mut self) {
        for (delay, due) in std::mem::take(&mut self.cluster.due) {
            self.agenda.after(delay, Event::Cluster(due));
        }
        for (conn, answer, status) in std::mem::take(&mut self.cluster.answers) {
            let Some(server) = self.links.get_mut(&conn).and_then(|link| link.server.as_mut()) else { continue };
            server.busy = false;
            let bytes = server.answer(&answer, status);
            self.say(format_args!("node answers {conn}: {answer:?}"));
            self.send(conn, Way::ToSession, Chunk::Bytes(bytes));
            self.agenda.after(10, Event::Serve(conn));
        }
    }

    // Clients

    fn client_sends(&mut self, place: usize, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.say(format_args!("client {place} sends {}", bytes.escape_ascii()));
            let delay = 20 + self.dice.below(100) as u64;
            let at_us = self.seats[place].last_us.max(self.agenda.now_us + delay);
            self.seats[place].last_us = at_us;
            if self.dice.one_in(20) {
                let (first, rest) = bytes.split_at(self.dice.below(bytes.len()));
                self.agenda.at(at_us, Event::FromClient(place, first.to_vec()));
                self.agenda.at(at_us, Event::FromClient(place, rest.to_vec()));
            } else {
                self.agenda.at(at_us, Event::FromClient(place, bytes));
            }
        }
    }

    /// Has a client that has nothing to do begin with its next work.
    fn client_rests(&mut self, place: usize) {
        let client = &self.seats[place].client;
        if !client.is_busy() && client.left > 0 {
            let longest = if self.dice.one_in(4) { 2_000_000 } else { 20_000 };
            let pause = 1000 + self.dice.below(longest) as u64;
            self.agenda.after(pause, Event::Begin(place));
        }
    }

    /// Its session has ended: it makes a new one.
    fn client_end(&mut self, place: usize) {
        self.say(format_args!("client {place}: the connection has closed"));
        let stage = self.session();
        let seat = &mut self.seats[place];
        seat.client.hear_end();
        seat.stage = stage;
        seat.from_client.clear();
        (seat.links, seat.from_nodes, seat.deadline) = (Vec::new(), Vec::new(), None);
        seat.looks_up = false;
        self.collect(place);
    }

    // Sessions

    /// Has something happen to a session, and does what it asks for.
    fn drive(&mut self, place: usize, event: impl FnOnce(&mut Stage)) {
        let stage = &mut self.seats[place].stage;
        if stage.hung_up {
            return;
        }
        self.desk.now_us = self.agenda.now_us;
        std::mem::swap(&mut stage.desk, &mut self.desk);
        event(stage);
        std::mem::swap(&mut stage.desk, &mut self.desk);
        self.collect(place);
        self.feed(place);
    }

    /// Offers the session what its client has sent.
    fn feed(&mut self, place: usize) {
        let seat = &mut self.seats[place];
        if seat.from_client.is_empty() || !seat.stage.machine.wants_client() {
            return;
        }
        let mut bytes = std::mem::take(&mut seat.from_client);
        self.desk.now_us = self.agenda.now_us;
        std::mem::swap(&mut seat.stage.desk, &mut self.desk);
        let taken = seat.stage.client_sends(&mut bytes);
        std::mem::swap(&mut seat.stage.desk, &mut self.desk);
        seat.from_client = bytes.split_off(taken);
        self.collect(place);
        if taken > 0 {
            self.feed(place);
        }
    }

    /// Takes what a session has written and asked for.
    fn collect(&mut self, place: usize) {
        let seat = &mut self.seats[place];
        let to_client = std::mem::take(&mut seat.stage.to_client);
        let to_nodes: Vec<Vec<u8>> = seat.stage.to_nodes.iter_mut().map(std::mem::take).collect();
        let dials = std::mem::take(&mut seat.stage.dials);
        seat.links.resize(seat.stage.ends.len(), None);
        seat.from_nodes.resize(seat.stage.ends.len(), Vec::new());
        for (slot, bytes) in to_nodes.into_iter().enumerate() {
            if let Some(conn) = self.seats[place].links[slot].filter(|_| !bytes.is_empty()) {
                self.say(format_args!("session {place} to {conn}: {}", bytes.escape_ascii()));
                self.send(conn, Way::ToNode, Chunk::Bytes(bytes));
            }
        }
        for slot in 0..self.seats[place].links.len() {
            let dialled = dials.contains(&(slot as Slot));
            let seat = &mut self.seats[place];
            if dialled || seat.stage.ends[slot] == End::Closed {
                seat.from_nodes[slot].clear();
                if let Some(conn) = seat.links[slot].take() {
                    self.drop_link(conn);
                }
            }
            if let (true, End::Dialling(node)) = (dialled, self.seats[place].stage.ends[slot]) {
                self.dial(place, slot as Slot, usize::from(node.0));
            }
        }
        if !to_client.is_empty() {
            self.say(format_args!("session {place} to its client: {}", to_client.escape_ascii()));
            self.agenda.after(50, Event::ToClient(place, to_client));
        }
        let seat = &mut self.seats[place];
        match seat.stage.errand {
            Some(Errand::Outcome(_)) if !seat.looks_up => {
                seat.looks_up = true;
                let until_us = self.agenda.now_us + OUTCOME_US;
                self.agenda.after(LOOK_US, Event::LookUp(place, until_us));
            }
            Some(Errand::Outcome(_)) | None => {}
            Some(_) => self.agenda.after(1000, Event::Errand(place)),
        }
        if seat.stage.deadline != seat.deadline {
            seat.deadline = seat.stage.deadline;
            if let Some(deadline) = seat.deadline {
                self.agenda.at(deadline, Event::Deadline(place, deadline));
            }
        }
        if seat.stage.hung_up {
            self.agenda.after(50, Event::ClientEnd(place));
        }
    }

    /// What the outcome service does: once it knows, or may not wait any longer, the session is told.
    fn look_up(&mut self, place: usize, until_us: u64) {
        let Some(Errand::Outcome(question)) = &self.seats[place].stage.errand else { return };
        let (node, conn) = (usize::from(question.node.0), question.thread);
        let reached = self.cluster.nodes[node].life == Life::Up && !self.cut[node];
        let markers: Vec<String> = question.markers.iter().map(text_of).collect();
        let (base, wants_rows) = (question.base.sequence(70), question.wants_rows);
        if reached && let Some(link) = self.links.get_mut(&conn) {
            link.hear_kill();
        }
        let found = self.cluster.look_up(conn, node, reached, &markers, base);
        let outcome = match found {
            Some(Found::Committed { sequence, rows, insert_id }) => Answer::Committed {
                gtid: Gtid { domain: 70, server: 7000, sequence },
                affected: wants_rows.then_some(rows),
                insert_id: wants_rows.then_some(insert_id),
            },
            Some(Found::Absent) => Answer::Absent,
            None if self.agenda.now_us < until_us => {
                return self.agenda.after(LOOK_US, Event::LookUp(place, until_us));
            }
            None => Answer::Undecidable("nobody can say".into()),
        };
        self.say(format_args!("session {place} is told of {conn}: {outcome:?}"));
        self.seats[place].looks_up = false;
        self.drive(place, |stage| {
            stage.errand = None;
            stage.event(|machine, desk| machine.on_outcome(outcome, desk));
        });
    }

    // Lines

    fn dial(&mut self, session: usize, slot: Slot, node: usize) {
        let conn = self.next_conn;
        self.next_conn += 1;
        self.say(format_args!("session {session} dials node {node} for slot {slot}: {conn}"));
        let (to_node, to_session) = (Pipe::default(), Pipe::default());
        let link = Link { session, slot, node, server: None, held: true, to_node, to_session };
        self.links.insert(conn, link);
        self.seats[session].links[usize::from(slot)] = Some(conn);
        if !self.cut[node] {
            let delay = 100 + self.dice.below(400) as u64;
            self.agenda.after(delay, Event::Dialled(conn));
        }
    }

    fn dialled(&mut self, conn: Conn) {
        let Some(link) = self.links.get_mut(&conn).filter(|link| link.held) else { return };
        let (session, slot, node) = (link.session, link.slot, link.node);
        if self.cluster.nodes[node].life == Life::Dead {
            self.let_go(conn);
            return self.drive(session, |stage| stage.node_closed(slot));
        }
        link.server = Some(Server::new());
        self.drive(session, |stage| stage.dialled(slot));
        self.agenda.after(50, Event::Serve(conn));
    }

    /// The session has let it go: the node hears of it behind all that was sent.
    fn drop_link(&mut self, conn: Conn) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.held = false;
        link.to_session.chunks.clear();
        if self.cut[link.node] {
            // It is reset: what has not arrived by now never does.
            link.to_node.chunks.clear();
        }
        if link.server.is_some() {
            self.send(conn, Way::ToNode, Chunk::End);
        } else {
            self.links.remove(&conn);
        }
    }

    /// The session hears no more of it.
    fn let_go(&mut self, conn: Conn) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.held = false;
        let seat = &mut self.seats[link.session];
        seat.links[usize::from(link.slot)] = None;
        seat.from_nodes[usize::from(link.slot)].clear();
        if link.server.is_none() {
            self.links.remove(&conn);
        }
    }

    fn send(&mut self, conn: Conn, way: Way, chunk: Chunk) {
        // Long answers come in pieces, as a rule.
        let sides = if matches!(&chunk, Chunk::Bytes(bytes) if bytes.len() > LONG_ANSWER) { 2 } else { 15 };
        let (delay, split) = (30 + self.dice.below(200) as u64, self.dice.one_in(sides));
        let cut = self.dice.roll() as usize;
        let now_us = self.agenda.now_us;
        let Some(link) = self.links.get_mut(&conn) else { return };
        let pipe = link.pipe(way);
        pipe.last_us = pipe.last_us.max(now_us + delay);
        let at_us = pipe.last_us;
        let chunks = match chunk {
            Chunk::Bytes(mut bytes) if split && bytes.len() > 1 => {
                let rest = bytes.split_off(1 + cut % (bytes.len() - 1));
                vec![Chunk::Bytes(bytes), Chunk::Bytes(rest)]
            }
            chunk => vec![chunk],
        };
        let count = chunks.len() as u64;
        for (place, chunk) in (0..count).zip(chunks) {
            pipe.chunks.push_back(chunk);
            // The last piece may be late.
            let later_us = if place > 0 { 10 * delay } else { 0 };
            pipe.last_us = at_us + later_us;
            self.agenda.at(at_us + later_us, Event::Arrive(conn, way));
        }
    }

    fn arrive(&mut self, conn: Conn, way: Way) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let (node, session, slot) = (link.node, link.session, link.slot);
        if self.cut[node] {
            return self.agenda.after(CUT_US, Event::Arrive(conn, way));
        }
        let Some(chunk) = link.pipe(way).chunks.pop_front() else { return };
        match (way, chunk) {
            (Way::ToNode, chunk) => {
                let Some(server) = &mut link.server else { return };
                match chunk {
                    // Nothing comes behind the end of a line.
                    Chunk::Bytes(_) if server.ended => {}
                    Chunk::Bytes(bytes) => server.hear(&bytes),
                    Chunk::End => server.ended = true,
                }
                self.agenda.after(20, Event::Serve(conn));
            }
            (Way::ToSession, _) if !link.held => {}
            (Way::ToSession, Chunk::End) => {
                self.let_go(conn);
                self.drive(session, |stage| stage.node_closed(slot));
            }
            (Way::ToSession, Chunk::Bytes(bytes)) => {
                let mut held = std::mem::take(&mut self.seats[session].from_nodes[usize::from(slot)]);
                held.extend(bytes);
                let mut rest = Vec::new();
                self.drive(session, |stage| {
                    let taken = stage.node_sends(slot, &mut held);
                    rest = held.split_off(taken);
                });
                let seat = &mut self.seats[session];
                if seat.links.get(usize::from(slot)) == Some(&Some(conn)) {
                    seat.from_nodes[usize::from(slot)].splice(..0, rest);
                }
            }
        }
    }

    /// A connection breaks: of what is on the way, a part arrives that ends anywhere.
    pub fn sever(&mut self, conn: Conn) {
        for way in [Way::ToNode, Way::ToSession] {
            let Some(link) = self.links.get_mut(&conn) else { return };
            let dice = &mut self.dice;
            let chunks = &mut link.pipe(way).chunks;
            chunks.truncate(dice.below(chunks.len() + 1));
            if let Some(Chunk::Bytes(bytes)) = chunks.back_mut() {
                bytes.truncate(dice.below(bytes.len() + 1));
            }
            self.send(conn, way, Chunk::End);
        }
    }

    /// Connections that stand.
    pub fn open_links(&self, node: Option<usize>) -> Vec<Conn> {
        let open = |link: &Link| link.server.is_some() && node.is_none_or(|node| link.node == node);
        self.links.iter().filter(|(_, link)| open(link)).map(|(conn, _)| *conn).collect()
    }

    // Nodes

    fn serve(&mut self, conn: Conn) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let node = link.node;
        let Some(server) = &mut link.server else { return };
        if self.cluster.nodes[node].life != Life::Up || server.busy {
            return;
        }
        if let Some(greeting) = server.greeting(conn) {
            return self.send(conn, Way::ToSession, Chunk::Bytes(greeting));
        }
        let Some(order) = server.take() else {
            if server.ended {
                link.server = None;
                self.cluster.close(conn);
                if !self.links[&conn].held {
                    self.links.remove(&conn);
                }
            }
            return;
        };
        let reply = match order {
            Order::Open(schema) => {
                self.cluster.open(conn, node, schema);
                Some(self.links[&conn].server.as_ref().map(Server::welcome).unwrap_or_default())
            }
            Order::Run(statement, text) => {
                server.busy = true;
                self.say(format_args!("node {node} runs for {conn}: {text}"));
                self.cluster.run(conn, statement, &text);
                None
            }
            Order::Prepare(text) => Some(match self.cluster.refuses_to_prepare(conn) {
                Some((answer, status)) => server.answer(&answer, status),
                None => server.prepare(text),
            }),
            Order::Reset => {
                self.cluster.reset(conn);
                Some(stage::ok())
            }
            Order::Reply(reply) => Some(reply),
            Order::Nothing => None,
        };
        if let Some(reply) = reply {
            self.send(conn, Way::ToSession, Chunk::Bytes(reply));
        }
        let delay = 30 + self.dice.below(200) as u64;
        self.agenda.after(delay, Event::Serve(conn));
    }

    /// What was waiting on a node goes on.
    pub fn wake(&mut self, node: usize) {
        for conn in self.open_links(Some(node)) {
            self.agenda.after(10, Event::Serve(conn));
        }
    }

    /// A node's process ends: its side of all connections is gone.
    pub fn orphan(&mut self, node: usize) {
        for conn in self.open_links(Some(node)) {
            self.sever(conn);
            if let Some(link) = self.links.get_mut(&conn) {
                link.server = None;
                link.to_node.chunks.clear();
                if !link.held {
                    self.links.remove(&conn);
                }
            }
        }
    }

    // What the proxy knows of the nodes

    fn probe(&mut self) {
        self.agenda.after(PROBE_US, Event::Probe);
        let view = self.look();
        let same =
            |(old, new): (&NodeView, &NodeView)| (old.health, old.mute, old.duty) == (new.health, new.mute, new.duty);
        let all_same = self.desk.view.nodes.iter().zip(&view.nodes).all(same);
        let before = &self.desk.view;
        if all_same && (view.writer, view.successor) == (before.writer, before.successor) {
            let version = self.desk.view.version;
            self.desk.take_view(Arc::new(ClusterView { version, ..view }));
        } else {
            let states: Vec<Health> = view.nodes.iter().map(|node| node.health).collect();
            self.say(format_args!("the view: {states:?}, writer {:?}, then {:?}", view.writer, view.successor));
            let version = self.desk.view.version + 1;
            self.desk.take_view(Arc::new(ClusterView { version, ..view }));
            for place in 0..self.seats.len() {
                let delay = self.dice.below(3000) as u64;
                self.agenda.after(delay, Event::ViewChanged(place));
            }
        }
    }

    fn look(&mut self) -> ClusterView {
        let mut view = stage::view(NODES as u16);
        for (place, node) in self.cluster.nodes.iter().enumerate() {
            let silent = node.life == Life::Frozen || self.cut[place];
            let silent_or_dead = silent || node.life == Life::Dead;
            view.nodes[place].gtid = match silent_or_dead {
                true => self.desk.view.nodes[place].gtid.clone(),
                false => format!("70-7000-{}", node.applied).into(),
            };
            view.nodes[place].auto_increment = Some((INCREMENT as u16, place as u16 + 1));
            let since = self.silent_since[place].filter(|_| silent);
            self.silent_since[place] = silent.then_some(since.unwrap_or(self.agenda.now_us));
            view.nodes[place].mute = since.is_some_and(|since| self.agenda.now_us - since >= MUTE_US);
            let before = self.desk.view.nodes[place].health;
            view.nodes[place].health = match since {
                _ if node.life == Life::Dead => Health::Down,
                Some(since) if self.agenda.now_us - since >= SILENCE_US => Health::Down,
                _ if silent => before,
                _ if node.primary && self.cluster.members.contains(&place) => Health::Synced,
                _ => Health::Running,
            };
        }
        let fit = |id: &NodeId| {
            let place = usize::from(id.0);
            view.nodes[place].usable() && !self.cluster.nodes[place].read_only
        };
        let stays = self.desk.view.writer.filter(fit);
        let next = self.switch.map(|(node, is_left)| (NodeId(node as u16), is_left)).filter(|(node, _)| fit(node));
        (view.writer, view.successor) = match (stays, next) {
            (_, Some((next, true))) => (Some(next), None),
            (Some(writer), Some((next, false))) if next != writer => (Some(writer), Some(next)),
            _ => (stays.or_else(|| (0..NODES as u16).map(NodeId).find(fit)), None),
        };
        self.switch.take_if(|(_, is_left)| *is_left);
        view
    }

    // Faults

    fn suffer(&mut self, fault: Fault) {
        self.say(format_args!("--- {fault:?}"));
        let (fault, length_us) = fault.begin(self);
        self.open_faults += 1;
        self.agenda.after(length_us, Event::Heal(fault));
    }

    fn heal(&mut self, fault: Fault) {
        self.say(format_args!("--- {fault:?} is over"));
        self.open_faults -= 1;
        fault.end(self);
    }

    /// An account, chosen at random.
    pub fn account(&mut self) -> usize {
        self.dice.below(ACCOUNTS)
    }

    /// The writer, as the proxy sees it.
    pub fn writer(&self) -> usize {
        self.desk.view.writer.map_or(0, |writer| usize::from(writer.0))
    }
}

/// A marker as it is in a text.
fn text_of(marker: &Marker) -> String {
    let mut text = Vec::new();
    marker::put(*marker, &mut text);
    String::from_utf8(text).unwrap()
}

impl Link {
    fn pipe(&mut self, way: Way) -> &mut Pipe {
        match way {
            Way::ToNode => &mut self.to_node,
            Way::ToSession => &mut self.to_session,
        }
    }

    /// The node ends it: what has not been read yet is not read any more.
    fn hear_kill(&mut self) {
        if self.server.as_ref().is_some_and(|server| !server.busy) {
            self.server = None;
        }
        self.to_node.chunks.clear();
    }

    /// Nothing of it is under way that could still change anything.
    fn is_quiet(&self) -> bool {
        self.to_node.chunks.is_empty() && self.server.as_ref().is_none_or(|server| !server.busy)
    }
}
