//! No heap allocation per command on the plain path, once a session is warm: the machine itself is measured, with replies as a
//! server sends them.

use oarlock::wire::command::QUERY;
use oarlock::wire::packet;

#[path = "support/logins.rs"]
mod logins;
#[path = "support/stage.rs"]
mod stage;

use stage::{End, Stage};

const STMT_PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;
/// Before anything is measured: buffers have their sizes then.
const WARM: usize = 100;
const MEASURED: usize = 1000;

/// A session whose nodes answer as they are told.
struct Play {
    stage: Stage,
    scratch: Vec<u8>,
}

impl Play {
    fn start() -> Self {
        let mut play = Self { stage: Stage::new(), scratch: Vec::with_capacity(1 << 16) };
        let mut login = stage::login(stage::usual());
        assert_eq!(play.stage.client_sends(&mut login), login.len());
        play.settle(&[]);
        assert!(play.stage.machine.is_serving());
        play.stage.keeps_all = false;
        play
    }

    /// Runs a command, and gives this reply to it; returns how many bytes the client got.
    fn run(&mut self, command: &[u8], reply: &[u8]) -> usize {
        self.stage.to_client.clear();
        self.scratch.clear();
        self.scratch.extend_from_slice(command);
        let taken = self.stage.client_sends(&mut self.scratch);
        assert_eq!(taken, command.len());
        self.settle(reply);
        self.stage.to_client.len()
    }

    /// Nodes log the session in, and answer the one command that is under way.
    fn settle(&mut self, reply: &[u8]) {
        let mut moved = true;
        while std::mem::take(&mut moved) {
            for place in 0..self.stage.ends.len() {
                moved |= match self.stage.ends[place] {
                    End::Closed => false,
                    End::Dialling(_) => {
                        self.stage.dialled(place as u8);
                        self.answer(place, &stage::greeting());
                        true
                    }
                    End::Open(_) if self.stage.to_nodes[place].is_empty() => false,
                    End::Open(_) => {
                        let is_login = self.stage.to_nodes[place][3] == 1;
                        let is_prepare = self.stage.to_nodes[place][4] == STMT_PREPARE;
                        // In front of the first write on a connection.
                        let is_asked = self.stage.to_nodes[place][5..].starts_with(b"SET SESSION session_track");
                        self.stage.to_nodes[place].clear();
                        if is_asked {
                            self.answer(place, &ok(1));
                        }
                        if is_login {
                            self.answer(place, &ok(2));
                        } else if is_prepare {
                            self.answer(place, &prepared());
                        } else {
                            self.answer(place, reply);
                        }
                        true
                    }
                };
            }
        }
    }

    fn answer(&mut self, place: usize, bytes: &[u8]) {
        self.scratch.clear();
        self.scratch.extend_from_slice(bytes);
        assert_eq!(self.stage.node_sends(place as u8, &mut self.scratch), bytes.len());
    }

    /// The command many times, measured: allocations.
    fn measure(&mut self, command: &[u8], reply: &[u8]) -> u64 {
        for _ in 0..WARM {
            self.run(command, reply);
        }
        let counted = allocation_counter::measure(|| {
            for _ in 0..MEASURED {
                assert_eq!(self.run(command, reply), reply.len());
            }
        });
        counted.count_total
    }
}

fn ok(sequence: u8) -> Vec<u8> {
    let mut out = Vec::new();
    packet::put(&mut out, sequence, |out| out.extend_from_slice(&[0, 0, 0, 2, 0, 0, 0]));
    out
}

/// One statement with one parameter and no columns.
fn prepared() -> Vec<u8> {
    let mut out = Vec::new();
    packet::put(&mut out, 1, |out| out.extend_from_slice(&[0, 9, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]));
    packet::put(&mut out, 2, |out| out.extend_from_slice(b"\x03def\0\0\0\x01?\0\x0c\x3f\0\0\0\0\0\x05\x81\0\0\0\0"));
    packet::put(&mut out, 3, |out| out.extend_from_slice(&[0xfe, 0, 0, 2, 0]));
    out
}

/// One row of one column.
fn row() -> Vec<u8> {
    let mut out = Vec::new();
    packet::put(&mut out, 1, |out| out.push(1));
    packet::put(&mut out, 2, |out| out.extend_from_slice(b"\x03def\0\0\0\x01c\0\x0c\x3f\0\x78\0\0\0\x05\x81\0\0\0\0"));
    packet::put(&mut out, 3, |out| out.extend_from_slice(&[0xfe, 0, 0, 2, 0]));
    packet::put(&mut out, 4, |out| {
        out.push(120);
        out.resize(out.len() + 120, b'c');
    });
    packet::put(&mut out, 5, |out| out.extend_from_slice(&[0xfe, 0, 0, 2, 0]));
    out
}

#[test]
fn plain_commands_allocate_nothing() {
    let mut play = Play::start();
    let read = stage::command(QUERY, b"SELECT c FROM sbtest1 WHERE id=4711");
    let held = stage::command(QUERY, b"SELECT c FROM sbtest1 WHERE id=4711 FOR UPDATE");
    let insert = stage::command(QUERY, b"INSERT INTO sbtest1 (id, k, c, pad) VALUES (0, 4711, 'abc', 'def')");
    let long =
        stage::command(QUERY, format!("SELECT c FROM sbtest1 WHERE id IN ({}1)", "4711,".repeat(500)).as_bytes());
    assert_eq!(play.measure(&read, &row()), 0, "a point select on a reader");
    assert_eq!(play.measure(&long, &row()), 0, "a long select on a reader");
    assert_eq!(play.measure(&held, &row()), 0, "a point select on the writer");
    assert_eq!(play.measure(&insert, &ok(1)), 0, "an insert with autocommit");

    for (text, reply) in [("SELECT c FROM sbtest1 WHERE id=?", row()), ("UPDATE sbtest1 SET k=k+1 WHERE id=?", ok(1))] {
        let client_got = play.run(&stage::command(STMT_PREPARE, text.as_bytes()), &[]);
        assert_eq!(client_got, prepared().len());
        let id = play.stage.to_client[5];
        let typed = stage::command(EXECUTE, &[id, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 0, 7, 0, 0, 0]);
        let untyped = stage::command(EXECUTE, &[id, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(play.measure(&typed, &reply), 0, "{text} with types");
        assert_eq!(play.measure(&untyped, &reply), 0, "{text} without types");
    }
}

#[test]
fn transactions_and_pings_allocate_nothing() {
    let mut play = Play::start();
    let ping = stage::command(0x0e, b"");
    assert_eq!(play.measure(&ping, &ok(1)), 0, "a ping");
    let (begin, commit) = (stage::command(QUERY, b"BEGIN"), stage::command(QUERY, b"COMMIT"));
    let mut begun = ok(1);
    begun[7] |= 1;
    let done = ok(1);
    let mut transaction = || {
        play.run(&begin, &begun);
        play.run(&commit, &done);
    };
    (0..WARM).for_each(|_| transaction());
    let counted = allocation_counter::measure(|| (0..MEASURED).for_each(|_| transaction()));
    assert_eq!(counted.count_total, 0, "BEGIN and COMMIT");
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1)))).count_total, 1);
}
