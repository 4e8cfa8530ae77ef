//! What plays with a machine on a stage: clients that say anything, nodes that answer in protocol.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part; a test fails where it stands")]

use oarlock::wire::capability::{Capabilities, Status};
use oarlock::wire::command::Command;
use oarlock::wire::handshake::Response;
use oarlock::wire::packet;

use crate::dice::Dice;
use crate::stage::command;

const TEXTS: &[&str] = &[
    "SELECT 1",
    "SELECT a FROM t /* oarlock: writer */",
    "SELECT a FROM t /* oarlock: node node-2 */",
    "SELECT @x := 1",
    "SELECT @x",
    "SELECT LAST_INSERT_ID()",
    "SHOW WARNINGS",
    "SELECT 1; INSERT INTO t VALUES (1)",
    "INSERT INTO t VALUES (1)",
    "UPDATE t SET a = 1",
    "BEGIN",
    "START TRANSACTION READ ONLY",
    "COMMIT",
    "ROLLBACK",
    "SET autocommit = 0",
    "SET autocommit = 1",
    "SET NAMES latin1",
    "SET @a = 1",
    "SET @b = @a + 1",
    "SET SESSION sql_mode = 'ANSI_QUOTES'",
    "SET TRANSACTION READ ONLY",
    "USE shop",
    "CREATE TEMPORARY TABLE t (a INT)",
    "LOCK TABLES t WRITE",
    "UNLOCK TABLES",
    "SELECT GET_LOCK('a', 1)",
    "XA START 'x'",
    "XA END 'x'",
    "CALL p()",
    "KILL 7",
    "KILL QUERY 7",
    "PREPARE s FROM 'SELECT 1'",
    "EXECUTE s",
    "\"",
    "/*",
];

/// What a client that is logged in sends next: one command, with what belongs to it.
pub fn client_command(dice: &mut Dice) -> Vec<u8> {
    let id = [dice.below(5) as u8, 0, 0, 0];
    let id = if dice.one_in(6) { [0xff; 4] } else { id };
    let with_id = |rest: &[u8]| [&id[..], rest].concat();
    match dice.below(24) {
        0..=9 => command(0x03, dice.pick(TEXTS).as_bytes()),
        10..=11 => command(0x16, dice.pick(TEXTS).as_bytes()),
        12..=13 => command(0x17, &with_id(&[dice.below(2) as u8, 1, 0, 0, 0, 0, 1, 3, 0, 7, 0, 0, 0])),
        14 => command(0x17, &with_id(&[0, 1, 0, 0, 0, 0, 0, 7, 0, 0, 0])),
        15 => command(0x18, &with_id(b"\0\0some long data")),
        16 => command(0x19, &with_id(b"")),
        17 => command(0x1a, &with_id(b"")),
        18 => command(0x1c, &with_id(&[2, 0, 0, 0])),
        19 => file_upload(dice),
        20 => command(*dice.pick(&[0x0e, 0x09, 0x1f, 0x0d, 0x1b, 0xfa, 0x12, 0x30]), b"\0\0"),
        21 => command(0x02, b"shop"),
        22 => command(0x04, b"t\0"),
        _ => [command(0x11, b"app\0\0shop\0\x2d\0mysql_native_password\0"), answer()].concat(),
    }
}

/// The empty password, to a challenge that COM_CHANGE_USER leads to.
fn answer() -> Vec<u8> {
    let mut out = Vec::new();
    packet::put(&mut out, 2, |_| ());
    out
}

fn file_upload(dice: &mut Dice) -> Vec<u8> {
    let mut out = command(0x03, b"LOAD DATA LOCAL INFILE 'f' INTO TABLE t");
    let mut sequence = 2;
    for _ in 0..dice.below(3) {
        sequence = packet::put(&mut out, sequence, |out| out.extend_from_slice(b"1,2\n3,4\n"));
    }
    packet::put(&mut out, sequence, |_| ());
    out
}

/// A node that answers in protocol, and the same to the same command.
#[derive(Default)]
pub struct Node {
    capabilities: Option<Capabilities>,
    pub in_transaction: bool,
    autocommit_off: bool,
    takes_file: bool,
    prepared: u8,
    silent: bool,
    /// Commands that named a statement this node never prepared.
    pub strangers: usize,
}

impl Node {
    /// One that has served another session, of a client with these capabilities.
    pub fn kept(capabilities: Capabilities) -> Self {
        Self { capabilities: Some(capabilities), ..Self::default() }
    }

    /// Whether the session's login was answered.
    pub fn is_logged_in(&self) -> bool {
        self.capabilities.is_some()
    }

    /// Reads, and answers nothing any more.
    pub fn fall_silent(&mut self) {
        self.silent = true;
    }

    /// Takes the whole packets at the front of `inbox`; appends the answers to `out`.
    pub fn take(&mut self, inbox: &mut Vec<u8>, out: &mut Vec<u8>) {
        while let Some((header, payload)) = packet::first(inbox) {
            let (total, payload) = (header.total(), payload.to_vec());
            inbox.drain(..total);
            if self.silent {
                continue;
            }
            if self.capabilities.is_none() {
                self.capabilities = Some(Response::parse(&payload).unwrap().capabilities);
                packet::put(out, header.sequence + 1, |out| self.put_ok(out, 0));
                continue;
            }
            if self.takes_file {
                if payload.is_empty() {
                    self.takes_file = false;
                    packet::put(out, header.sequence.wrapping_add(1), |out| self.put_ok(out, 0));
                }
            } else if header.sequence == 0 && !payload.is_empty() {
                self.answer(&payload, out);
            }
        }
    }

    fn answer(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        // Ids of statements differ between connections.
        let text = &payload[payload.len().min(if payload[0] < 0x17 { 1 } else { 5 })..];
        let chance = text.iter().fold(payload[0] as usize, |sum, byte| sum * 31 % 1009 + usize::from(*byte));
        let names_one = matches!(payload[0], 0x17..=0x1a | 0x1c);
        let id = payload.get(1..5).map_or(0, |id| u32::from_le_bytes([id[0], id[1], id[2], id[3]]));
        self.strangers += usize::from(names_one && (id == 0 || id > u32::from(self.prepared)));
        match Command::from_byte(payload[0]) {
            Command::Quit | Command::StmtClose | Command::StmtSendLongData => {}
            _ if chance.is_multiple_of(13) => self.error(out),
            Command::Query => self.query(text, chance, out),
            Command::StmtPrepare => self.prepare(chance, out),
            Command::StmtExecute if chance.is_multiple_of(2) => end(self.result_set(1, chance, 0, out)),
            Command::StmtFetch => end(self.rows(1, chance, 128, out)),
            Command::FieldList => end(self.rows(1, chance, 0, out)),
            Command::Statistics => end(packet::put(out, 1, |out| out.extend_from_slice(b"Uptime: 1"))),
            _ => end(packet::put(out, 1, |out| self.put_ok(out, 0))),
        }
    }

    fn query(&mut self, text: &[u8], chance: usize, out: &mut Vec<u8>) {
        let starts = |word: &[u8]| text.starts_with(word);
        self.autocommit_off = (self.autocommit_off || starts(b"SET autocommit = 0")) && !starts(b"SET autocommit = 1");
        let begins = starts(b"BEGIN") || starts(b"START") || (self.autocommit_off && starts(b"INSERT"));
        self.in_transaction = (self.in_transaction || begins) && !starts(b"COMMIT") && !starts(b"ROLLBACK");
        if starts(b"LOAD DATA LOCAL") {
            self.takes_file = true;
            packet::put(out, 1, |out| out.extend_from_slice(b"\xfbf"));
        } else if starts(b"CALL") {
            let next = self.result_set(1, chance, 8, out);
            let next = self.result_set(next, chance, 8, out);
            packet::put(out, next, |out| self.put_ok(out, 0));
        } else if starts(b"SELECT") || starts(b"SHOW") {
            self.result_set(1, chance, 0, out);
        } else {
            packet::put(out, 1, |out| self.put_ok(out, if chance.is_multiple_of(2) { 1 << 14 } else { 0 }));
        }
    }

    fn prepare(&mut self, chance: usize, out: &mut Vec<u8>) {
        self.prepared = self.prepared.wrapping_add(1);
        let columns = (chance % 3) as u8;
        let mut next =
            packet::put(out, 1, |out| out.extend_from_slice(&[0, self.prepared, 0, 0, 0, columns, 0, 1, 0, 0, 0, 0]));
        for definitions in [1, columns] {
            for _ in 0..definitions {
                next = packet::put(out, next, |out| out.extend_from_slice(b"a definition"));
            }
            if definitions > 0 && !self.has(Capabilities::DEPRECATE_EOF) {
                next = packet::put(out, next, |out| out.extend_from_slice(&[0xfe, 0, 0, 2, 0]));
            }
        }
    }

    fn result_set(&self, first: u8, chance: usize, more: u16, out: &mut Vec<u8>) -> u8 {
        let mut next = packet::put(out, first, |out| {
            out.push(2);
            if self.has(Capabilities::CACHE_METADATA) {
                out.push(1);
            }
        });
        for _ in 0..2 {
            next = packet::put(out, next, |out| out.extend_from_slice(b"a definition"));
        }
        if !self.has(Capabilities::DEPRECATE_EOF) {
            next = packet::put(out, next, |out| out.extend_from_slice(&[0xfe, 0, 0, 2, 0]));
        }
        self.rows(next, chance, more, out)
    }

    fn rows(&self, first: u8, chance: usize, more: u16, out: &mut Vec<u8>) -> u8 {
        let mut next = first;
        for row in 0..chance % 5 {
            next = packet::put(out, next, |out| out.extend_from_slice(&vec![b'r'; 1 + row * chance]));
        }
        packet::put(out, next, |out| {
            if self.has(Capabilities::DEPRECATE_EOF) {
                self.put_ok(out, more);
                let marker = out.len() - 7;
                out[marker] = 0xfe;
            } else {
                out.extend_from_slice(&[0xfe, 0, 0]);
                out.extend_from_slice(&(self.status().bits() | more).to_le_bytes());
            }
        })
    }

    fn error(&self, out: &mut Vec<u8>) {
        packet::put(out, 1, |out| out.extend_from_slice(b"\xff\x7a\x04#42S02Table 't' doesn't exist"));
    }

    fn status(&self) -> Status {
        let mut status = Status::empty();
        status.set(Status::AUTOCOMMIT, !self.autocommit_off);
        status.set(Status::IN_TRANS, self.in_transaction);
        status
    }

    /// An OK payload; with tracking data if `more` says so.
    fn put_ok(&self, out: &mut Vec<u8>, more: u16) {
        out.extend_from_slice(&[0, 0, 0]);
        out.extend_from_slice(&(self.status().bits() | more).to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        if more & Status::SESSION_STATE_CHANGED.bits() != 0 {
            out.extend_from_slice(b"\0\x04\x05\x01\x54\x00");
        }
    }

    fn has(&self, capability: Capabilities) -> bool {
        self.capabilities.is_some_and(|capabilities| capabilities.contains(capability))
    }
}

/// Nothing follows the packets that ended here.
fn end(_next_sequence: u8) {}
