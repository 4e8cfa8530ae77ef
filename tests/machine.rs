//! The session's machine against peers that say anything: it never panics, never asks for what is impossible, and what comes
//! out does not depend on how the bytes came in. Random, but the same on every run: the seed is in each failure's message.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/actors.rs"]
mod actors;
#[path = "support/dice.rs"]
mod dice;
#[path = "support/logins.rs"]
mod logins;
#[path = "support/play.rs"]
mod play;
#[path = "support/stage.rs"]
mod stage;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actors::client_command;
use dice::Dice;
use oarlock::auth::account::{Auth, OfNode};
use oarlock::cluster::view::{ClusterView, NodeId};
use oarlock::fault::{Fault, Retry};
use oarlock::session::desk::{Found, Holder, Slot, Sought};
use oarlock::session::machine::{Machine, TlsPolicy};
use oarlock::wire::capability::{Capabilities, Status};
use oarlock::wire::command::Command;
use oarlock::wire::err::{self, Error};
use oarlock::wire::handshake::{self, Greeting};
use oarlock::wire::ok;
use oarlock::wire::packet::{self, HEADER};
use oarlock::wire::reply::{Kind, ReplyTracker};
use play::{Play, change_view, lose_a_node, rare, run};
use stage::{End, Errand, Stage};

fn capabilities(dice: &mut Dice) -> Capabilities {
    let mut capabilities = stage::usual();
    for optional in [Capabilities::DEPRECATE_EOF, Capabilities::SESSION_TRACK, Capabilities::CACHE_METADATA] {
        capabilities.set(optional, dice.one_in(2));
    }
    let stage = Stage::new();
    let (_, greeting) = packet::first(&stage.to_client).unwrap();
    capabilities & Greeting::parse(greeting).unwrap().capabilities
}

#[test]
fn what_comes_out_does_not_depend_on_how_bytes_come_in() {
    let (mut answered, mut nodes_used) = (0, 0);
    for seed in 0..400 {
        let dice = &mut Dice::new(seed);
        let mut script = vec![stage::login(capabilities(dice))];
        script.extend((0..30).map(|_| client_command(dice)));
        let whole = run(dice, &script, false);
        answered += whole.0.len();
        nodes_used += whole.1.len();
        for _ in 0..3 {
            let (client, nodes) = run(dice, &script, true);
            assert!(client == whole.0, "seed {seed}: the client gets other bytes");
            assert!(nodes == whole.1, "seed {seed}: nodes get other bytes");
        }
    }
    assert!(answered > 400_000 && nodes_used > 800, "the scripts do little: {answered} bytes, {nodes_used} nodes");
}

/// Everything at once: spoiled bytes of both sides, in pieces, and every event a shell may report.
#[test]
fn nothing_makes_it_panic_or_ask_for_the_impossible() {
    for seed in 0..4000 {
        let outcome = std::panic::catch_unwind(|| {
            let dice = &mut Dice::new(seed);
            let spoiled_client = Some(*dice.pick(&[4, 40, 4000]));
            let spoiled_nodes = Some(*dice.pick(&[5, 50, 5000]));
            chaos(dice, spoiled_client, spoiled_nodes);
        });
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

/// With peers that keep to the protocol: whatever is lost on the way, in the end the client is heard again.
#[test]
fn no_session_is_stuck_when_all_is_well_again() {
    let mut survivors = 0;
    for seed in 0..4000 {
        let dice = &mut Dice::new(seed);
        let mut play = chaos(dice, None, None);
        play.stage.desk.view = Arc::new(stage::view(3));
        play.stage.event(|machine, desk| machine.on_view(desk));
        play.stage.event(|machine, desk| machine.on_spared(desk));
        for _ in 0..5 {
            play.settle(dice, false);
            play.stage.pass_deadline();
        }
        let machine = &play.stage.machine;
        assert!(machine.is_ended() || machine.wants_client(), "seed {seed}");
        survivors += usize::from(machine.is_serving());
    }
    assert!(survivors > 100, "only {survivors} sessions are left");
}

/// Plays a session with everything a shell may report. One in so many packets is spoiled.
fn chaos(dice: &mut Dice, spoiled_client: Option<usize>, spoiled_nodes: Option<usize>) -> Play {
    let mut play = Play::start();
    let mut script = stage::login(capabilities(dice));
    for _ in 0..300 {
        if play.stage.machine.is_ended() {
            break;
        }
        play.nodes_work(dice, spoiled_nodes);
        match dice.below(20) {
            0..=5 => {
                if spoiled_client.is_some_and(|sides| dice.one_in(sides)) {
                    dice.spoil(&mut script);
                }
                play.client(&std::mem::replace(&mut script, client_command(dice)));
            }
            6..=14 => {
                for place in 0..play.nodes.len() {
                    let length = if dice.one_in(3) { 1 + dice.below(30) } else { usize::MAX };
                    play.node(place, length);
                }
                if play.stage.machine.wants_client() {
                    play.client(&[]);
                }
            }
            15 => lose_a_node(dice, &mut play),
            16 => play.stage.pass_deadline(),
            17 => change_view(dice, &mut play.stage),
            18 => {
                let at = Found::At { node: NodeId(dice.below(3) as u16), thread: 5 };
                let held = (0..dice.below(3) as u32).map(|session| Holder { session, node: NodeId(1) }).collect();
                play.stage.return_errand(
                    dice.pick(&[Found::Nobody, Found::Nowhere((*b"app").into()), at, Found::Held(held)]).clone(),
                );
            }
            _ => rare(dice, &mut play.stage),
        }
    }
    play
}

/// Garbage from the first byte on, and behind a login that went well.
#[test]
fn garbage() {
    for seed in 0..2000 {
        let dice = &mut Dice::new(seed);
        let mut play = Play::start();
        if dice.one_in(2) {
            play.client(&stage::login(capabilities(dice)));
            play.settle(dice, false);
        }
        for _ in 0..20 {
            if !play.stage.machine.is_ended() {
                let bytes = dice.bytes(200);
                play.client(&bytes);
                play.settle(dice, true);
            }
        }
    }
}

/// Whatever is lost meanwhile, a client that waits for each answer gets exactly one, whole and with the right numbers.
#[test]
fn every_command_gets_one_answer() {
    let (mut answers, mut errors) = (0, 0);
    for seed in 0..1500 {
        let dice = &mut Dice::new(seed);
        let capabilities = capabilities(dice);
        let mut play = Play::start();
        play.client(&stage::login(capabilities));
        play.settle(dice, false);
        for _ in 0..30 {
            let packet = client_command(dice);
            let command = Command::from_byte(packet[HEADER]);
            // These are more than a command and an answer.
            if command == Command::ChangeUser || packet[HEADER..].starts_with(b"\x03LOAD") {
                continue;
            }
            play.stage.to_client.clear();
            play.client(&packet);
            until_heard(dice, &mut play);
            if play.stage.machine.is_ended() {
                break;
            }
            let mut tracker = ReplyTracker::idle(capabilities);
            tracker.begin(command.shape());
            let bytes = &play.stage.to_client;
            let mut at = 0;
            while let Some(part) = tracker.next(&bytes[at..]).unwrap_or_else(|why| {
                panic!(
                    "seed {seed}: {command:?} {capabilities:?}: {why}: {} after {}",
                    bytes.escape_ascii(),
                    packet.escape_ascii()
                )
            }) {
                errors += usize::from(part.kind == Kind::Err);
                at += part.length;
            }
            assert!(play.nodes.iter().all(|node| node.strangers == 0), "seed {seed}: {command:?} of a stranger");
            assert!(tracker.is_done() && at == bytes.len(), "seed {seed}: {command:?}: {}", bytes.escape_ascii());
            answers += 1;
        }
    }
    assert!(answers > 20_000 && errors > 2_000, "{answers} answers, {errors} errors");
}

/// No write is sent twice, and none that was refused with "did not happen" is sent at all outside of a transaction.
#[test]
fn no_write_runs_twice() {
    let mut outcomes = BTreeMap::new();
    for seed in 0..1500 {
        let dice = &mut Dice::new(seed);
        let mut play = Play::start();
        play.client(&stage::login(stage::usual()));
        play.settle(dice, false);
        for number in 0..30 {
            let text = match dice.below(4) {
                0 => (*dice.pick(&["SELECT 1", "SET @a = 1", "BEGIN", "COMMIT", "USE shop"])).to_owned(),
                _ => format!("INSERT INTO t VALUES ({number};)"),
            };
            let in_transaction = play.nodes.iter().any(|node| node.in_transaction);
            play.stage.to_client.clear();
            play.client(&stage::command(0x03, text.as_bytes()));
            until_heard(dice, &mut play);
            let sent = play.stage.sent.values().map(|all| times(all, text.as_bytes())).sum::<usize>();
            if !text.starts_with("INSERT") || play.stage.machine.is_ended() {
                continue;
            }
            let (_, payload) = packet::first(&play.stage.to_client).unwrap();
            let code = Error::parse(payload).map_or(0, |error| error.code);
            *outcomes.entry(code).or_insert(0) += 1;
            let may_be = match code {
                // Done, or refused by the node.
                0 | 1146 => sent == 1,
                1290 => sent == 0,
                1213 => sent == 0 || in_transaction,
                // Unknown: this one, or the transaction that was lost before it.
                _ => sent <= 1,
            };
            assert!(may_be, "seed {seed}: {text} was sent {sent} times, and answered with {code}");
        }
    }
    assert!(outcomes.len() >= 4 && outcomes[&0] > 10_000, "{outcomes:?}");
}

/// How often the one is in the other.
fn times(all: &[u8], one: &[u8]) -> usize {
    all.windows(one.len()).filter(|window| *window == one).count()
}

/// Things happen until the machine listens to its client again.
fn until_heard(dice: &mut Dice, play: &mut Play) {
    while !play.stage.machine.is_ended() && !play.stage.machine.wants_client() {
        play.nodes_work(dice, None);
        for place in 0..play.nodes.len() {
            play.node(place, 1 + dice.below(60));
        }
        match dice.below(60) {
            0 => lose_a_node(dice, play),
            1 => change_view(dice, &mut play.stage),
            2 => play.stage.pass_deadline(),
            3..=9 => play.stage.return_errand(Found::At { node: NodeId(1), thread: 5 }),
            _ => {}
        }
    }
}

/// What the client is told if the writer is lost under the last of these statements.
fn lost_under(statements: &[&str]) -> (u16, String) {
    let dice = &mut Dice::new(0);
    let mut play = Play::start();
    play.stage.forbid_replay();
    play.client(&stage::login(stage::usual()));
    play.settle(dice, false);
    let (last, before) = statements.split_last().unwrap();
    for text in before {
        play.client(&stage::command(0x03, text.as_bytes()));
        play.settle(dice, false);
    }
    play.stage.to_client.clear();
    play.client(&stage::command(0x03, last.as_bytes()));
    let writer = play.stage.ends.iter().position(|end| *end == End::Open(stage::WRITER)).unwrap();
    play.stage.node_closed(writer as Slot);
    let (_, payload) = packet::first(&play.stage.to_client).unwrap();
    let error = Error::parse(payload).unwrap();
    (error.code, String::from_utf8(error.state.to_vec()).unwrap())
}

#[test]
fn what_is_known_of_a_statement_that_was_lost() {
    let unknown = (1105, "08007".to_owned());
    let undone = (1213, "40001".to_owned());
    let cases: [(&[&str], &(u16, String)); 9] = [
        (&["INSERT INTO t VALUES (1)"], &unknown),
        (&["BEGIN", "INSERT INTO t VALUES (1)"], &undone),
        (&["BEGIN", "COMMIT"], &unknown),
        (&["BEGIN", "CREATE TABLE u (a INT)"], &unknown),
        (&["SET autocommit = 0", "INSERT INTO t VALUES (1)"], &undone),
        (&["SET autocommit = 0", "CREATE TABLE u (a INT)"], &unknown),
        (&["SET autocommit = 0", "INSERT INTO t VALUES (1)", "COMMIT"], &unknown),
        (&["SET autocommit = 0", "INSERT INTO t VALUES (1)", "SET autocommit = 1"], &unknown),
        (&["BEGIN", "SET NAMES utf8"], &undone),
    ];
    for (statements, expected) in cases {
        assert_eq!(&lost_under(statements), expected, "{statements:?}");
    }
}

/// A read_only server is nobody's writer, but if it is the only one, it says itself what it does not take.
#[test]
fn an_only_node_answers_for_itself() {
    let dice = &mut Dice::new(0);
    for (nodes, sent) in [(1, true), (2, false)] {
        let mut play = Play::start();
        play.client(&stage::login(stage::usual()));
        play.settle(dice, false);
        let mut view = stage::view(nodes);
        view.writer = None;
        play.stage.desk.view = Arc::new(view);
        play.stage.event(|machine, desk| machine.on_view(desk));
        play.client(&stage::command(0x03, b"CREATE TEMPORARY TABLE t (a INT)"));
        play.settle(dice, false);
        assert_eq!(play.stage.machine.wants_client(), sent, "{nodes} nodes");
    }
}

/// A node that refuses a long command and closes before the client has sent all of it: the client is told once, and goes on.
#[test]
fn a_node_that_gives_up_within_an_upload_is_heard_once() {
    let dice = &mut Dice::new(0);
    let mut play = Play::start();
    play.client(&stage::login(stage::usual()));
    play.settle(dice, false);
    // The first write on a connection waits for an answer of its own.
    play.client(&stage::command(3, b"INSERT INTO t VALUES (0)"));
    play.settle(dice, false);
    let insert = stage::command(3, &[&b"INSERT INTO t VALUES ('"[..], &[b'x'; 300_000], b"')"].concat());
    let (start, rest) = insert.split_at(250_000);
    play.client(start);
    play.client(&[]);
    let writer = play.stage.machine.upload_slot().expect("it is under way");
    let told = play.stage.to_client.len();

    let mut refusal = Vec::new();
    err::put(&mut refusal, 1, &Fault::client(1153, b"08S01", "Got a packet bigger than 'max_allowed_packet' bytes"));
    play.stage.node_sends(writer, &mut refusal.clone());
    play.stage.node_closed(writer);
    play.client(rest);
    play.settle(dice, false);
    assert_eq!(play.stage.to_client[told..].escape_ascii().to_string(), refusal.escape_ascii().to_string());

    play.client(&stage::command(3, b"INSERT INTO t VALUES (1)"));
    play.settle(dice, false);
    let answer = &play.stage.to_client[told + refusal.len()..];
    assert!(matches!(answer, [_, 0, 0, 1, 0, ..]), "{}", answer.escape_ascii());
}

/// Where a long command runs does not depend on how much of it comes at once.
#[test]
fn long_commands_are_the_same_in_one_piece() {
    let login = stage::login(stage::usual());
    for length in [196_600, 196_608, 250_000] {
        let read = stage::command(3, format!("SELECT '{}'", "x".repeat(length)).as_bytes());
        play::any_pieces_give_the_same(&[login.clone(), read]);
    }
}

/// Nobody offers a long command again that came whole: nothing happens before it is on its way.
#[test]
fn long_commands_in_one_piece_are_taken_at_once() {
    let mut play = Play::start();
    play.client(&stage::login(stage::usual()));
    play.settle(&mut Dice::new(0), false);
    play.client(&stage::command(3, b"INSERT INTO t VALUES (0)"));
    play.settle(&mut Dice::new(0), false);
    play.client(&stage::command(3, format!("INSERT INTO t VALUES ('{}')", "x".repeat(250_000)).as_bytes()));
    assert_eq!(play.held(), 0);
}

/// A session whose transaction was lost with its node, unseen so far; its other node connections are still there.
fn after_a_lost_transaction(dice: &mut Dice, replay: bool) -> Play {
    let mut play = Play::start();
    if !replay {
        play.stage.forbid_replay();
    }
    play.client(&stage::login(stage::usual()));
    play.settle(dice, false);
    for text in ["SELECT 1", "BEGIN", "INSERT INTO t VALUES (1)"] {
        play.client(&stage::command(0x03, text.as_bytes()));
        play.settle(dice, false);
    }
    let writer = play.stage.ends.iter().position(|end| *end == End::Open(stage::WRITER)).unwrap();
    play.stage.node_closed(writer as Slot);
    play.stage.to_client.clear();
    play.stage.sent.clear();
    play
}

#[test]
fn what_comes_after_a_lost_transaction() {
    let dice = &mut Dice::new(0);
    let big = format!("INSERT INTO t VALUES ('{}')", "x".repeat(300_000));
    let cases: [(&str, Vec<u8>, u8); 4] = [
        ("a statement", stage::command(0x03, b"INSERT INTO t VALUES (2)"), 0xff),
        ("one that streams", stage::command(0x03, big.as_bytes()), 0xff),
        ("its end", stage::command(0x03, b"ROLLBACK"), 0),
        ("a reset", stage::command(0x1f, b""), 0),
    ];
    for (what, packet, answer) in cases {
        let mut play = after_a_lost_transaction(dice, false);
        for piece in packet.chunks(100_000) {
            play.client(piece);
            play.settle(dice, false);
        }
        assert_eq!(play.stage.to_client.get(HEADER), Some(&answer), "{what}");
        let sent: Vec<u8> = play.stage.sent.into_values().flatten().collect();
        assert!(!sent.windows(6).any(|text| text == b"INSERT"), "{what} runs after all");
        assert_eq!(sent.contains(&0x1f), answer == 0 && packet[HEADER] == 0x1f, "{what}");
    }
}

/// The same, but the transaction may run again.
#[test]
fn a_lost_transaction_runs_again() {
    let dice = &mut Dice::new(0);
    for (statement, again) in [("INSERT INTO t VALUES (3)", true), ("SHOW WARNINGS", true), ("ROLLBACK", false)] {
        let mut play = after_a_lost_transaction(dice, true);
        play.client(&stage::command(0x03, statement.as_bytes()));
        play.settle(dice, false);
        assert!(play.stage.machine.wants_client(), "{statement}");
        assert_ne!(
            play.stage.to_client.get(HEADER),
            Some(&0xff),
            "{statement}: {}",
            play.stage.to_client.escape_ascii()
        );
        let sent: Vec<u8> = play.stage.sent.into_values().flatten().collect();
        let texts = ["BEGIN", "INSERT INTO t VALUES (1)", statement].map(|text| times(&sent, text.as_bytes()));
        assert_eq!(texts, if again { [1, 1, 1] } else { [0, 0, 0] }, "{statement}");
    }
}

/// A session that has asked for the connection of a KILL, logged in and at rest before.
fn killer(dice: &mut Dice, text: &str) -> Play {
    let mut play = Play::start();
    play.client(&stage::login(stage::usual()));
    play.settle(dice, false);
    play.stage.to_client.clear();
    play.stage.sent.clear();
    play.client(&stage::command(0x03, text.as_bytes()));
    play
}

fn first_answer(play: &Play) -> &[u8] {
    packet::first(&play.stage.to_client).map(|(_, payload)| payload).unwrap_or_default()
}

/// What was sent to a node, from the text of a KILL on.
fn kill_at(play: &Play, node: u16) -> String {
    let all = play.stage.sent.get(&node).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
    all.find("KILL").map(|at| all[at..].to_owned()).unwrap_or_default()
}

#[test]
fn a_kill_by_a_nodes_id_is_for_the_session_that_has_it() {
    let dice = &mut Dice::new(0);
    let victim = 1 << 30 | 5;
    for (text, expected, ended) in [
        ("KILL 57", "KILL CONNECTION 9", vec![victim]),
        ("KILL SOFT CONNECTION 57", "KILL SOFT CONNECTION 9", vec![victim]),
        ("KILL QUERY 57", "KILL QUERY 9", vec![]),
    ] {
        let mut play = killer(dice, text);
        assert_eq!(play.stage.errand, Some(Errand::Find(57)));
        play.stage.return_errand(Found::Held(vec![Holder { session: victim, node: NodeId(2) }]));
        assert_eq!(play.stage.errand, Some(Errand::Find(victim)), "now as if this id had been given");
        play.stage.return_errand(Found::At { node: NodeId(1), thread: 9 });
        play.settle(dice, false);
        assert_eq!(kill_at(&play, 1), expected);
        assert_eq!(first_answer(&play)[0], 0);
        assert_eq!((play.stage.ended, play.stage.spared), (ended, vec![]), "{text}");
    }
}

#[test]
fn a_kill_by_a_nodes_id_never_guesses() {
    let dice = &mut Dice::new(0);
    let mut play = killer(dice, "KILL 57");
    let holder = |session, node| Holder { session, node: NodeId(node) };
    play.stage.return_errand(Found::Held(vec![holder(1 << 30 | 6, 2), holder(1 << 30 | 5, 1)]));
    play.settle(dice, false);
    let error = Error::parse(first_answer(&play)).unwrap();
    let text = String::from_utf8_lossy(error.message);
    assert_eq!((error.code, &error.state), (1094, b"HY000"));
    assert!(text.ends_with("meant: 1073741829 (node node-1), 1073741830 (node node-2)"), "{text}");
    assert!(play.stage.sent.keys().all(|node| kill_at(&play, *node).is_empty()) && play.stage.ended.is_empty());
    assert!(play.stage.machine.wants_client(), "the killer goes on");

    // Of none of this proxy's: the node where the previous statement ran may know it.
    let mut play = Play::start();
    play.client(&stage::login(stage::usual()));
    play.client(&stage::command(0x03, b"SELECT a FROM t /* oarlock: node node-2 */"));
    play.settle(dice, false);
    play.client(&stage::command(0x03, b"KILL 57"));
    play.stage.return_errand(Found::Held(vec![]));
    play.settle(dice, false);
    assert_eq!(kill_at(&play, 2), "KILL 57");
}

#[test]
fn a_session_is_spared_if_the_node_refuses_the_kill() {
    let dice = &mut Dice::new(0);
    let mut play = killer(dice, "KILL 1073741829");
    assert_eq!(play.stage.errand, Some(Errand::Find(1 << 30 | 5)));
    play.stage.return_errand(Found::At { node: stage::WRITER, thread: 9 });
    let writer = play.stage.ends.iter().position(|end| *end == End::Open(stage::WRITER)).unwrap();
    let mut refusal = Vec::new();
    err::put(&mut refusal, 1, &Fault::client(1095, b"HY000", "You are not owner of thread 9"));
    play.stage.node_sends(writer as Slot, &mut refusal);
    assert_eq!((play.stage.ended, play.stage.spared), (vec![], vec![1 << 30 | 5]));
}

/// The node closes the connection of a killed session before the killer has its answer.
#[test]
fn a_session_that_is_killed_ends_without_a_word() {
    let dice = &mut Dice::new(0);
    for (spared, text) in [(false, "UPDATE t SET a = 1"), (false, "SELECT 1"), (true, "UPDATE t SET a = 1")] {
        let mut play = Play::start();
        play.client(&stage::login(stage::usual()));
        play.settle(dice, false);
        play.client(&stage::command(0x03, b"SELECT 1"));
        play.settle(dice, false);
        play.stage.to_client.clear();
        play.client(&stage::command(0x03, text.as_bytes()));
        let Found::At { node, thread: 77 | 78 } = play.stage.machine.sought(true) else { panic!("{text}") };
        if spared {
            play.stage.event(|machine, desk| machine.on_spared(desk));
        }
        let place = play.stage.ends.iter().position(|end| *end == End::Open(node)).unwrap();
        play.stage.node_closed(place as Slot);
        assert_eq!((play.stage.hung_up, play.stage.to_client.is_empty()), (!spared, !spared), "{text}");
    }
}

/// The KILL goes to where the session was seen. What it began elsewhere by then would go on without it.
#[test]
fn a_session_that_is_to_be_killed_begins_nothing() {
    let dice = &mut Dice::new(0);
    for spared in [false, true] {
        let mut play = Play::start();
        play.client(&stage::login(stage::usual()));
        play.settle(dice, false);
        play.stage.machine.sought(true);
        play.client(&stage::command(0x03, b"SELECT SLEEP(30)"));
        play.settle(dice, false);
        let sent = |play: &Play| play.stage.sent.values().any(|bytes| bytes.ends_with(b"SELECT SLEEP(30)"));
        assert!(!sent(&play));
        if spared {
            play.stage.event(|machine, desk| machine.on_spared(desk));
            play.settle(dice, false);
        } else {
            play.stage.event(|machine, desk| machine.on_end(desk));
        }
        assert_eq!((sent(&play), play.stage.hung_up), (spared, !spared));
    }
}

#[test]
fn a_user_is_killed_where_the_node_says_so() {
    let dice = &mut Dice::new(0);
    let mut play = killer(dice, "KILL USER 'joe'@localhost");
    assert_eq!(play.stage.errand, Some(Errand::FindUser((*b"joe").into())));
    assert!(play.stage.sent.is_empty(), "all sessions hear of it first");
    play.stage.return_errand(Found::Held(vec![]));
    play.settle(dice, false);
    assert_eq!(kill_at(&play, 0), "KILL USER 'joe'@localhost");

    for (user, before, ends) in [("app", "", true), ("joe", "", false), ("app", "SELECT 1", false)] {
        let mut play = Play::start();
        play.client(&stage::login(stage::usual()));
        play.settle(dice, false);
        assert_eq!(play.stage.machine.on_sought(&Sought::User(user.as_bytes().into())), None);
        if !before.is_empty() {
            play.client(&stage::command(0x03, before.as_bytes()));
            play.settle(dice, false);
        }
        play.stage.node_closed(0);
        assert_eq!(play.stage.hung_up, ends, "{user} {before}");
    }
}

/// What an INSERT is answered with: the node tells which transaction it was.
fn told_gtid(sequence: u8) -> Vec<u8> {
    let variable = [&[9][..], b"last_gtid", &[9], b"70-7000-7"].concat();
    let tracking = [&[0, variable.len() as u8][..], &variable].concat();
    let status = (Status::AUTOCOMMIT | Status::SESSION_STATE_CHANGED).bits().to_le_bytes();
    let mut out = Vec::new();
    packet::put(&mut out, sequence, |out| {
        out.extend_from_slice(&[&[0, 1, 0][..], &status, &[0, 0, 0, tracking.len() as u8], &tracking].concat());
    });
    out
}

/// Nodes that have lost their cluster refuse to wait, and would again at once.
#[test]
fn who_refuses_to_wait_is_left_alone_for_a_moment() {
    let dice = &mut Dice::new(0);
    let mut play = Play::start();
    play.client(&stage::login(stage::usual()));
    play.settle(dice, false);
    let stage = &mut play.stage;
    stage.client_sends(&mut stage::command(0x03, b"INSERT INTO t VALUES (1)"));
    let writer = stage.ends.iter().position(|end| *end == End::Open(stage::WRITER)).unwrap() as Slot;
    stage.node_sends(writer, &mut [stage::ok(), told_gtid(1)].concat());
    assert!(stage.machine.wants_client(), "{}", stage.to_client.escape_ascii());
    stage.desk.take_view(Arc::new(ClusterView { writer: None, ..stage::view(3) }));
    stage.dials.clear();
    stage.client_sends(&mut stage::command(0x03, b"SELECT a FROM t"));
    let mut asked = Vec::new();
    while let Some(slot) = stage.dials.pop() {
        let End::Dialling(node) = stage.ends[usize::from(slot)] else { panic!("{:?}", stage.ends) };
        assert!(!asked.contains(&node), "{node:?} is asked again at once");
        asked.push(node);
        stage.dialled(slot);
        stage.node_sends(slot, &mut stage::greeting());
        let mut welcome = Vec::new();
        ok::put(&mut welcome, 2, Status::AUTOCOMMIT);
        stage.node_sends(slot, &mut welcome);
        let sent = std::mem::take(&mut stage.to_nodes[usize::from(slot)]);
        assert!(sent.windows(24).any(|text| text == b"WSREP_SYNC_WAIT_UPTO_GTI"), "{}", sent.escape_ascii());
        let mut refusal = Vec::new();
        let text = "WSREP has not yet prepared node for application use";
        err::put(&mut refusal, 1, &Fault::node(Retry::Never, 1047, b"08S01", text));
        stage.node_sends(slot, &mut refusal);
    }
    assert_eq!(asked.len(), 2, "{asked:?}");
    let written = &stage.to_nodes[usize::from(writer)];
    assert!(
        written.ends_with(b"SELECT a FROM t"),
        "it can still be read where it was written: {}",
        written.escape_ascii()
    );
}

/// A connection that another session has left would say nothing of who the client is.
#[test]
fn who_only_a_node_knows_gets_a_connection_of_its_own() {
    let mut stage = Stage::new();
    let mut settings = (*stage.desk.settings).clone();
    settings.node_tls = true;
    stage.desk.settings = Arc::new(settings);
    stage.desk.accounts = Arc::new(stage::accounts(Auth::OfNode(OfNode::Pam)));
    stage.machine = Machine::new(1, IpAddr::V4(Ipv4Addr::LOCALHOST)).with_tls(TlsPolicy::Offered);
    stage.to_client.clear();
    stage.event(|machine, desk| machine.start(desk));
    let mut request = Vec::new();
    handshake::put_ssl_request(&mut request, 1, stage::usual() | Capabilities::SSL, 1 << 24, 45);
    stage.client_sends(&mut request);
    stage.event(|machine, _| machine.on_secured([0; 32]));
    let mut login = stage::login(stage::usual());
    login[3] = 2;
    stage.to_client.clear();
    stage.client_sends(&mut login);
    assert_eq!(stage.to_client[HEADER..], *b"\xfemysql_clear_password\0");
    let mut answer = Vec::new();
    packet::put(&mut answer, 4, |out| out.extend_from_slice(b"whatever\0"));
    stage.client_sends(&mut answer);
    let fit = stage.fits[0].as_ref().unwrap();
    assert_eq!((stage.ends[0], fit.accounts), (End::Dialling(stage::WRITER), 0), "nothing is kept of generation 0");
}
