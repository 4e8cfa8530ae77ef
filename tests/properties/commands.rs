//! A session under way: whatever its client and its nodes say and whatever becomes of them, it asks for nothing impossible, and
//! where all keep to the protocol, it listens again.
//!
//! Input: a byte. If it is odd, what a client sends behind its login; if not, what happens one after another, as [`play`] reads it.

use std::sync::Arc;

use oarlock::cluster::view::NodeId;
use oarlock::session::desk::Found;
use oarlock::wire::capability::Capabilities;
use oarlock::wire::packet::{HEADER, PAYLOAD_MAX};

use crate::dice::Dice;
use crate::play::{Play, any_pieces_give_the_same, change_view, lose_a_node, rare};
use crate::stage;

/// The most that a session leaves before it goes on, in bytes: a statement to prepare is taken whole.
const HELD_MAX: usize = HEADER + PAYLOAD_MAX;
/// What the client may send while the session does not listen, in bytes; the rest stays with the client.
const AHEAD_MAX: usize = 16 << 10;

/// How often a deadline passes before the client is heard: the replay of a transaction, which a node refuses each time, is given up after
/// so many attempts.
const ROUNDS_MAX: usize = 80;

/// Any bytes will do.
pub fn holds(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let login = stage::login(capabilities(kind >> 1));
    if kind % 2 == 1 {
        any_pieces_give_the_same(&[login, bytes.to_vec()]);
    } else {
        play(login, bytes);
    }
}

fn capabilities(bits: u8) -> Capabilities {
    let mut capabilities = stage::usual();
    let optional = [Capabilities::DEPRECATE_EOF, Capabilities::SESSION_TRACK, Capabilities::STMT_BULK];
    for (bit, capability) in optional.into_iter().enumerate() {
        capabilities.set(capability, bits & 1 << bit != 0);
    }
    capabilities
}

/// Each event begins with a byte that says what happens, and one about it.
fn play(login: Vec<u8>, mut events: &[u8]) {
    let mut play = Play::start();
    play.stage.keeps_all = false;
    play.client(&login);
    let mut nodes_keep_to_protocol = true;
    while let Some((&[event, about], rest)) = events.split_first_chunk() {
        events = rest;
        if play.stage.machine.is_ended() {
            return;
        }
        let dice = &mut Dice::new(u64::from(about));
        match event % 16 {
            0..=3 => {
                let text = counted(&mut events);
                client_sends(&mut play, &stage::command(about, text));
            }
            4 => {
                let bytes = counted(&mut events);
                client_sends(&mut play, bytes);
            }
            5 => {
                // A long one, at once or, on and on, in pieces.
                let mut text = counted(&mut events).to_vec();
                text.resize(text.len() + (usize::from(about) << 11), b' ');
                let packet = stage::command(text.first().copied().unwrap_or(3), text.get(1..).unwrap_or_default());
                packet.chunks(64 << 10).for_each(|piece| client_sends(&mut play, piece));
            }
            6 | 7 => play.settle(dice, about % 2 == 1),
            8 => {
                let bytes = counted(&mut events);
                play.interrupt(dice, bytes);
                nodes_keep_to_protocol = false;
            }
            9 => {
                play.nodes_work(dice, Some(1));
                (0..play.nodes.len()).for_each(|place| _ = play.node(place, usize::MAX));
                nodes_keep_to_protocol = false;
            }
            10 => {
                play.nodes_work(dice, None);
                (0..play.nodes.len()).for_each(|place| _ = play.node(place, 1 + usize::from(about)));
            }
            11 => lose_a_node(dice, &mut play),
            12 => play.stage.pass_deadline(),
            13 => change_view(dice, &mut play.stage),
            14 => {
                let at = Found::At { node: NodeId(u16::from(about % 3)), thread: 5 };
                play.stage.return_errand(dice.pick(&[Found::Nobody, Found::Nowhere((*b"app").into()), at]).clone());
            }
            _ => rare(dice, &mut play.stage),
        }
    }
    if nodes_keep_to_protocol {
        listens_again(&mut play);
    }
}

fn client_sends(play: &mut Play, bytes: &[u8]) {
    let listens = play.stage.machine.wants_client();
    if listens || play.held() < AHEAD_MAX {
        play.client(bytes);
        assert!(!listens || play.held() <= HELD_MAX, "{} bytes are held", play.held());
    }
}

/// All is well again: the client is heard.
fn listens_again(play: &mut Play) {
    play.stage.desk.view = Arc::new(stage::view(3));
    play.stage.event(|machine, desk| machine.on_view(desk));
    play.stage.event(|machine, desk| machine.on_spared(desk));
    let mut rounds = 0..ROUNDS_MAX;
    while !(play.stage.machine.is_ended() || play.stage.machine.wants_client()) {
        assert!(rounds.next().is_some(), "the session is stuck");
        play.settle(&mut Dice::new(0), false);
        play.stage.pass_deadline();
    }
}

/// Bytes behind two that say how many; as many as there are.
fn counted<'a>(events: &mut &'a [u8]) -> &'a [u8] {
    let Some((length, rest)) = events.split_first_chunk() else { return std::mem::take(events) };
    let (bytes, rest) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*length))));
    *events = rest;
    bytes
}
