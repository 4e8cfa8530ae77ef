//! A session under way on its stage: peers, and what is on the way from them.

#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use oarlock::backend::pool::{Kept, Reset, Sighting};
use oarlock::cluster::view::{Duty, Health, NodeId};
use oarlock::session::desk::{Found, Slot, Sought};
use oarlock::wire::capability::{Capabilities, Status};

use crate::actors::Node;
use crate::dice::Dice;
use crate::stage::{self, End, Stage};

/// So many connections have other sessions left at most.
const KEPT_MAX: usize = 32;

/// A session under way: its peers, and what is on the way from them.
pub struct Play {
    pub stage: Stage,
    pub nodes: Vec<Node>,
    /// What each node has sent and the machine has not seen or not taken.
    outboxes: Vec<Vec<u8>>,
    held: Vec<Vec<u8>>,
    /// What came from the client and was not taken.
    client_held: Vec<u8>,
    /// Connections that another session had left, so far.
    taken_over: usize,
}

impl Play {
    pub fn start() -> Self {
        let (nodes, outboxes, held, client_held) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { stage: Stage::new(), nodes, outboxes, held, client_held, taken_over: 0 }
    }

    /// More bytes of the client arrive, or what is held is offered again.
    pub fn client(&mut self, more: &[u8]) -> bool {
        self.client_held.extend_from_slice(more);
        let mut bytes = std::mem::take(&mut self.client_held);
        let taken = self.stage.client_sends(&mut bytes);
        self.client_held = bytes.split_off(taken);
        taken > 0
    }

    /// The most bytes of one peer that wait because the machine has not taken them, in bytes.
    pub fn held(&self) -> usize {
        self.held.iter().chain([&self.client_held]).map(Vec::len).max().unwrap_or_default()
    }

    /// Nodes read and answer, dials succeed; nothing reaches the machine but that.
    pub fn nodes_work(&mut self, dice: &mut Dice, spoiled: Option<usize>) -> bool {
        let mut moved = false;
        for place in 0..self.stage.ends.len() {
            if self.nodes.len() <= place {
                self.nodes.push(Node::default());
                self.outboxes.push(Vec::new());
                self.held.push(Vec::new());
            }
            match self.stage.ends[place] {
                End::Closed => {}
                // Another session has left a connection to this one.
                End::Dialling(_) if place % 2 == 1 && self.taken_over < KEPT_MAX => {
                    self.nodes[place] = Node::kept(Capabilities::from_bits_retain(
                        self.stage.fits[place].as_ref().unwrap().capabilities,
                    ));
                    self.held[place].clear();
                    self.outboxes[place].clear();
                    // Of each kind in turn.
                    self.taken_over += 1;
                    let reset = [Reset::Unneeded, Reset::Done, Reset::Unneeded][self.taken_over % 3];
                    let definitions = self.stage.desk.definitions + (self.taken_over % 2) as u64;
                    let schema_seen = Sighting { at_us: self.stage.desk.now_us, definitions };
                    let defaults = self.stage.desk.defaults();
                    let kept = Kept { thread: 78, status: Status::AUTOCOMMIT, reset, schema_seen, defaults };
                    self.stage.taken_over(place as Slot, kept);
                    moved = true;
                }
                End::Dialling(_) => {
                    self.nodes[place] = Node::default();
                    self.held[place].clear();
                    self.outboxes[place] = stage::greeting();
                    self.stage.dialled(place as Slot);
                    moved = true;
                }
                End::Open(_) => {
                    let mut answers = Vec::new();
                    self.nodes[place].take(&mut self.stage.to_nodes[place], &mut answers);
                    moved |= !answers.is_empty();
                    if spoiled.is_some_and(|sides| !answers.is_empty() && dice.one_in(sides)) {
                        dice.spoil(&mut answers);
                    }
                    self.outboxes[place].extend(answers);
                }
            }
        }
        moved
    }

    /// The next `length` bytes of this node reach the machine.
    pub fn node(&mut self, place: usize, length: usize) -> bool {
        if !matches!(self.stage.ends[place], End::Open(_)) {
            return false;
        }
        let length = length.min(self.outboxes[place].len());
        if length == 0 {
            return false;
        }
        let mut bytes = std::mem::take(&mut self.held[place]);
        bytes.extend(self.outboxes[place].drain(..length));
        let taken = self.stage.node_sends(place as Slot, &mut bytes);
        self.held[place] = bytes.split_off(taken);
        true
    }

    /// All that can happen without the client happens, in pieces or at once.
    pub fn settle(&mut self, dice: &mut Dice, in_pieces: bool) {
        loop {
            let mut moved = self.nodes_work(dice, None);
            for place in 0..self.nodes.len() {
                let length = if in_pieces { 1 + dice.below(40) } else { usize::MAX };
                moved |= self.node(place, length);
            }
            moved |= self.stage.errand.is_some();
            self.stage.return_errand(Found::At { node: NodeId(1), thread: 5 });
            if self.stage.machine.wants_client() && !self.client_held.is_empty() {
                moved |= self.client(&[]);
            }
            if !moved {
                return;
            }
        }
    }

    /// Bytes of a node's own making instead of an answer: to what the machine has sent last. That node says nothing else any more.
    pub fn interrupt(&mut self, dice: &mut Dice, bytes: &[u8]) {
        let is_waited_for = |play: &Self, place: &usize| {
            let unread = play.stage.to_nodes[*place].is_empty();
            !unread && matches!(play.stage.ends[*place], End::Open(_)) && play.nodes[*place].is_logged_in()
        };
        // Nodes may have to be dialled and log the session in first: the one for the login, then the one for the command.
        for _ in 0..6 {
            if (0..self.nodes.len()).any(|place| is_waited_for(self, &place)) {
                break;
            }
            self.nodes_work(dice, None);
            for place in 0..self.nodes.len() {
                self.node(place, usize::MAX);
            }
            if self.stage.machine.wants_client() {
                self.client(&[]);
            }
        }
        let open = |place: &usize| matches!(self.stage.ends[*place], End::Open(_));
        let places = 0..self.nodes.len();
        let Some(place) = places.clone().find(|place| is_waited_for(self, place)).or_else(|| places.clone().find(open))
        else {
            return;
        };
        self.nodes[place].fall_silent();
        self.outboxes[place].extend_from_slice(bytes);
        self.node(place, usize::MAX);
    }
}

/// A node connection is lost.
pub fn lose_a_node(dice: &mut Dice, play: &mut Play) {
    let place = dice.below(play.stage.ends.len());
    if play.stage.ends.get(place).is_some_and(|end| *end != End::Closed) {
        play.stage.node_closed(place as Slot);
    }
}

/// Nodes come and go.
pub fn change_view(dice: &mut Dice, stage: &mut Stage) {
    let mut view = stage::view(3);
    for node in &mut view.nodes {
        node.health = *dice.pick(&[Health::Synced, Health::Synced, Health::Running, Health::Down]);
        node.duty = *dice.pick(&[Duty::Normal, Duty::Normal, Duty::Draining, Duty::Maintenance]);
    }
    view.writer = view.nodes.iter().find(|node| node.usable()).map(|node| node.id);
    stage.desk.view = Arc::new(view);
    stage.event(|machine, desk| machine.on_view(desk));
}

/// Time passes, and now and then a session is told to end.
pub fn rare(dice: &mut Dice, stage: &mut Stage) {
    stage.desk.now_us += 1000 * dice.below(5000) as u64;
    match dice.below(40) {
        0 => drop(stage.event(|machine, desk| machine.on_drain(desk))),
        1 => stage.event(|machine, desk| machine.on_end(desk)),
        2 => stage.event(|machine, desk| machine.on_client_closed(desk)),
        3 => drop(stage.machine.sought(true)),
        4 => stage.event(|machine, desk| machine.on_spared(desk)),
        6..=9 => {
            let node = NodeId(dice.below(3) as u16);
            stage.event(|machine, desk| machine.on_asked_for(node, desk));
        }
        10..=12 => {
            let slot = dice.below(3) as Slot;
            if matches!(stage.ends.get(usize::from(slot)), Some(End::Dialling(_))) {
                stage.event(|machine, desk| machine.on_queued(slot, desk));
                if dice.one_in(2) {
                    stage.event(|machine, desk| machine.on_seated(slot, desk));
                }
            }
        }
        5 => drop(stage.machine.on_sought(&Sought::User((*b"app").into()))),
        _ => drop((stage.machine.sought(false), stage.machine.on_sought(&Sought::Thread(77)))),
    }
}

/// What the client and each node got in all.
pub type Told = (Vec<u8>, BTreeMap<u16, Vec<u8>>);

/// A client that sends these bytes, in pieces of all sizes or each part at once and after what came before it was answered.
pub fn run(dice: &mut Dice, script: &[Vec<u8>], in_pieces: bool) -> Told {
    let mut play = Play::start();
    if in_pieces {
        let all = script.concat();
        let mut rest = &all[..];
        while !rest.is_empty() && !play.stage.machine.is_ended() {
            let (piece, tail) = rest.split_at(rest.len().min(1 + dice.below(60)));
            rest = tail;
            play.client(piece);
            if dice.one_in(2) {
                play.settle(dice, true);
            }
        }
        play.settle(dice, true);
    } else {
        for command in script {
            if !play.stage.machine.is_ended() {
                play.client(command);
                play.settle(dice, false);
            }
        }
    }
    (play.stage.to_client, play.stage.sent)
}

/// What comes out does not depend on how the client's bytes come in.
pub fn any_pieces_give_the_same(script: &[Vec<u8>]) {
    let dice =
        &mut Dice::new(script.concat().iter().fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte))));
    let whole = run(dice, script, false);
    for _ in 0..2 {
        let (client, nodes) = run(dice, script, true);
        assert!(client == whole.0, "the client gets other bytes: {}", client.escape_ascii());
        assert!(nodes == whole.1, "nodes get other bytes");
    }
}
