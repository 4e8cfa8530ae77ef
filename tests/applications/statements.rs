//! Binary prepared statements.

use crate::raw::command;
use crate::talk::Talk;

pub const PREPARE: u8 = 0x16;
pub const EXECUTE: u8 = 0x17;
pub const LONG_DATA: u8 = 0x18;
pub const CLOSE: u8 = 0x19;
pub const RESET: u8 = 0x1a;
pub const FETCH: u8 = 0x1c;
pub const BULK: u8 = 0xfa;
/// Types of parameters.
pub const LONG: u8 = 3;
pub const TEXT: u8 = 253;
pub const BLOB: u8 = 252;
/// The statement prepared last.
pub const LAST: u32 = u32::MAX;
/// A read-only cursor.
const CURSOR: u8 = 1;

/// COM_STMT_EXECUTE: parameters are bytes as in the protocol, None for NULL; without types if they are empty.
pub fn execute(id: u32, flags: u8, types: &[u8], values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut out = command(EXECUTE, &[&id.to_le_bytes(), &[flags, 1, 0, 0, 0]]);
    if values.is_empty() {
        return out;
    }
    let mut nulls = vec![0u8; values.len().div_ceil(8)];
    for (place, _) in values.iter().enumerate().filter(|(_, value)| value.is_none()) {
        nulls[place / 8] |= 1 << (place % 8);
    }
    out.extend_from_slice(&nulls);
    out.push(u8::from(!types.is_empty()));
    types.iter().for_each(|kind| out.extend_from_slice(&[*kind, 0]));
    values.iter().flatten().for_each(|value| out.extend_from_slice(value));
    out
}

pub fn by_id(byte: u8, id: u32) -> Vec<u8> {
    command(byte, &[&id.to_le_bytes()])
}

fn fetch(id: u32, rows: u32) -> Vec<u8> {
    command(FETCH, &[&id.to_le_bytes(), &rows.to_le_bytes()])
}

/// All that can be done with them.
pub fn every_kind(talk: &mut Talk) {
    talk.quietly("CREATE OR REPLACE TABLE shop.p (a INT PRIMARY KEY, b TEXT, c BLOB)");
    talk.quietly("CREATE OR REPLACE PROCEDURE shop.outs(IN i INT, OUT o INT) BEGIN SELECT i, i; SET o = i + 1; END");
    plain(talk);
    cursors(talk);
    long_data(talk);
    bulk(talk);
    direct(talk);
    procedures(talk);
    nobody(talk);
}

fn plain(talk: &mut Talk) {
    let insert = talk.prepare("INSERT INTO p VALUES (?, ?, ?)");
    let select = talk.prepare("SELECT * FROM p WHERE a >= ? ORDER BY a");
    let bare = talk.prepare("SELECT 1, 'x'");
    talk.command("PREPARE wrong", &command(PREPARE, &[b"SELECT wrong syntax"]));
    talk.command("PREPARE missing", &command(PREPARE, &[b"SELECT * FROM missing"]));
    talk.command("PREPARE nothing", &command(PREPARE, &[b""]));
    talk.command("PREPARE two", &command(PREPARE, &[b"SELECT 1; SELECT 2"]));
    let types = [LONG, TEXT, BLOB];
    let row = |a: &'static [u8; 4]| [Some(a.as_slice()), Some(b"\x03one".as_slice()), None];
    talk.command("insert", &execute(insert, 0, &types, &row(b"\x01\0\0\0")));
    talk.command("insert again, no types", &execute(insert, 0, &[], &row(b"\x02\0\0\0")));
    talk.command("duplicate", &execute(insert, 0, &[], &row(b"\x02\0\0\0")));
    talk.sql("SHOW WARNINGS");
    talk.command("select", &execute(select, 0, &[LONG], &[Some(b"\0\0\0\0")]));
    talk.command("select, no types", &execute(select, 0, &[], &[Some(b"\x02\0\0\0")]));
    talk.sql("BEGIN");
    talk.command("select in a transaction, no types", &execute(select, 0, &[], &[Some(b"\0\0\0\0")]));
    talk.command("insert in a transaction", &execute(insert, 0, &[], &row(b"\x03\0\0\0")));
    talk.command("select it", &execute(select, 0, &[], &[Some(b"\x03\0\0\0")]));
    talk.sql("ROLLBACK");
    talk.command("select, no types", &execute(select, 0, &[], &[Some(b"\x01\0\0\0")]));
    talk.command("select, new types", &execute(select, 0, &[TEXT], &[Some(b"\x012")]));
    talk.command("bare", &execute(bare, 0, &[], &[]));
    talk.command("too short", &execute(insert, 0, &types, &row(b"\x04\0\0\0"))[..20]);
    for sql in ["SET @e = ?", "CREATE TEMPORARY TABLE e (a INT)", "SHOW WARNINGS", "USE mysql"] {
        talk.command(sql, &command(PREPARE, &[sql.as_bytes()]));
    }
    talk.raw.send(&by_id(CLOSE, bare));
    // A reader may run a read twice that was in the way of the change, and say only the first time that the columns have changed.
    let select = talk.prepare("SELECT * FROM p WHERE a >= ? ORDER BY a /* oarlock: writer */");
    talk.command("select of a table to be changed", &execute(select, 0, &[LONG], &[Some(b"\0\0\0\0")]));
    talk.command("changed table", &command(3, &[b"ALTER TABLE p ADD COLUMN d INT DEFAULT 4"]));
    talk.command("select of a changed table", &execute(select, 0, &[], &[Some(b"\x01\0\0\0")]));
    talk.command("alter back", &command(3, &[b"ALTER TABLE p DROP COLUMN d"]));
}

fn cursors(talk: &mut Talk) {
    let rows = talk.prepare("SELECT seq FROM seq_1_to_7");
    talk.command("open", &execute(rows, CURSOR, &[], &[]));
    talk.command("fetch 3", &fetch(rows, 3));
    talk.sql("SELECT 'between'");
    talk.sql("SET @between = 1");
    talk.command("fetch 4", &fetch(rows, 4));
    talk.command("fetch the end", &fetch(rows, 4));
    talk.command("open again", &execute(rows, CURSOR, &[], &[]));
    talk.command("fetch 1", &fetch(rows, 1));
    talk.command("reset", &by_id(RESET, rows));
    talk.command("open once more", &execute(rows, CURSOR, &[], &[]));
    talk.command("execute over it", &execute(rows, 0, &[], &[]));
    let none = talk.prepare("SELECT 1 FROM p WHERE a = -1");
    talk.command("open an empty one", &execute(none, CURSOR, &[], &[]));
    talk.command("fetch nothing", &fetch(none, 1));
    let insert = talk.prepare("INSERT INTO p (a) VALUES (41)");
    talk.command("a cursor for an insert", &execute(insert, CURSOR, &[], &[]));
    talk.sql("BEGIN");
    talk.command("open in a transaction", &execute(rows, CURSOR, &[], &[]));
    talk.command("fetch in it", &fetch(rows, 2));
    talk.sql("COMMIT");
    talk.raw.send(&by_id(CLOSE, rows));
}

fn long_data(talk: &mut Talk) {
    let insert = talk.prepare("INSERT INTO p VALUES (?, ?, ?)");
    let chunk =
        |parameter: u16, data: &[u8]| command(LONG_DATA, &[&insert.to_le_bytes(), &parameter.to_le_bytes(), data]);
    talk.raw.send(&chunk(1, b"long "));
    talk.raw.send(&chunk(1, b"text"));
    talk.raw.send(&chunk(2, &vec![0xab; 300_000]));
    let types = [LONG, TEXT, BLOB];
    let mut with = execute(insert, 0, &types, &[Some(b"\x20\0\0\0"), None, None]);
    // Parameters with long data are neither NULL nor sent.
    with[10] = 0;
    talk.command("with long data", &with);
    talk.sql("SELECT a, b, MD5(c) FROM p WHERE a = 32");
    talk.raw.send(&chunk(1, b"gone"));
    talk.command("reset", &by_id(RESET, insert));
    talk.command("without it", &execute(insert, 0, &types, &[Some(b"\x21\0\0\0"), Some(b"\x01s"), None]));
    talk.sql("SELECT a, b FROM p WHERE a = 33");
    let select = talk.prepare("SELECT LENGTH(?)");
    talk.raw.send(&command(LONG_DATA, &[&select.to_le_bytes(), &[0, 0], &vec![b'x'; 1000]]));
    let mut with = execute(select, 0, &[BLOB], &[None]);
    with[10] = 0;
    talk.command("a read with long data", &with);
    talk.raw.send(&command(LONG_DATA, &[&select.to_le_bytes(), &[9, 0], b"x"]));
    talk.command("no such parameter", &execute(select, 0, &[BLOB], &[Some(b"\x01x")]));
    talk.command("reset", &by_id(RESET, select));
    talk.command("as before", &execute(select, 0, &[BLOB], &[Some(b"\x01x")]));
}

fn bulk(talk: &mut Talk) {
    let insert = talk.prepare("INSERT INTO p (a, b) VALUES (?, ?)");
    let rows = b"\0\x50\0\0\0\0\x02hi\0\x51\0\0\0\x01";
    let typed = command(BULK, &[&insert.to_le_bytes(), &[128, 0], &[LONG, 0, TEXT, 0], rows]);
    talk.command("bulk", &typed);
    let more = command(BULK, &[&insert.to_le_bytes(), &[0, 0], b"\0\x52\0\0\0\0\x02ho"]);
    talk.command("bulk, no types", &more);
    talk.command("bulk, duplicate", &typed);
    talk.sql("SELECT a, b FROM p WHERE a >= 80 ORDER BY a");
    talk.command("one after bulk, no types", &execute(insert, 0, &[], &[Some(b"\x53\0\0\0"), None]));
    let select = talk.prepare("SELECT ?");
    talk.command("bulk of a select", &command(BULK, &[&select.to_le_bytes(), &[128, 0], &[LONG, 0], b"\0\x01\0\0\0"]));
}

fn direct(talk: &mut Talk) {
    let prepare = |sql: &str| command(PREPARE, &[sql.as_bytes()]);
    talk.pipeline("direct", &[prepare("SELECT ? + 1"), execute(LAST, 0, &[LONG], &[Some(b"\x29\0\0\0")])]);
    talk.pipeline(
        "direct write",
        &[prepare("INSERT INTO p (a) VALUES (?)"), execute(LAST, 0, &[LONG], &[Some(b"\x60\0\0\0")])],
    );
    talk.pipeline("direct, wrong", &[prepare("SELECT wrong syntax"), execute(LAST, 0, &[], &[])]);
    talk.command("the last one is none", &execute(LAST, 0, &[], &[]));
    talk.pipeline("direct, closed", &[prepare("SELECT 7"), execute(LAST, 0, &[], &[])]);
    talk.command("reset of the last", &by_id(RESET, LAST));
    talk.raw.send(&by_id(CLOSE, LAST));
    talk.command("closed", &execute(LAST, 0, &[], &[]));
}

fn procedures(talk: &mut Talk) {
    let call = talk.prepare("CALL outs(?, ?)");
    talk.command("call", &execute(call, 0, &[LONG, LONG], &[Some(b"\x05\0\0\0"), Some(b"\0\0\0\0")]));
    talk.command("call, no types", &execute(call, 0, &[], &[Some(b"\x06\0\0\0"), Some(b"\0\0\0\0")]));
    talk.command("call with a cursor", &execute(call, CURSOR, &[], &[Some(b"\x06\0\0\0"), Some(b"\0\0\0\0")]));
}

fn nobody(talk: &mut Talk) {
    talk.command("execute nobody", &execute(99_999, 0, &[], &[]));
    talk.command("execute 0", &execute(0, 0, &[], &[]));
    talk.command("fetch nobody", &fetch(99_999, 1));
    talk.command("reset nobody", &by_id(RESET, 99_999));
    talk.command("bulk nobody", &command(BULK, &[&99_999_u32.to_le_bytes(), &[0, 0]]));
    talk.raw.send(&by_id(CLOSE, 99_999));
    talk.raw.send(&command(LONG_DATA, &[&99_999_u32.to_le_bytes(), &[0, 0], b"x"]));
    talk.sql("SELECT 'still there'");
    for byte in [EXECUTE, BULK] {
        talk.command(&format!("{byte:#x} too short"), &[byte, 1]);
    }
    talk.sql("SELECT 'still there'");
}
