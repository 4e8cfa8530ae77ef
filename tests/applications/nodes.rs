//! One session on several nodes: what it sets counts everywhere, what it makes is found again.

use std::net::SocketAddrV4;
use std::time::Duration;

use oarlock::lab::until;
use oarlock::wire::capability::Capabilities;
use oarlock::wire::packet::HEADER;
use oarlock::wire::reply::Shape;

use crate::raw::{Raw, command};
use crate::statements::{CLOSE, LONG, PREPARE, TEXT, by_id, execute};
use crate::{FULL, NEW_EOF};

/// For a statement to be seen running.
const REACTION_MAX: Duration = Duration::from_secs(20);
/// How many prepared statements a session makes here.
const MANY: u32 = 3000;
/// Where a reader tells its name, and where the writer does: outside and inside of a transaction.
const NODE: &str = "@@wsrep_node_name <> 'galera-71'";

fn sql(raw: &mut Raw, sql: &str) -> Vec<u8> {
    raw.command(&command(3, &[sql.as_bytes()]))
}

/// The values of the first row of a reply without EOF packets, each as text.
fn row(reply: &[u8]) -> Vec<String> {
    let packets = packets_of(reply);
    let columns = usize::from(packets[0][0]);
    assert!(packets[0][0] < 0xfb, "{}", packets[0].escape_ascii());
    let mut rest = packets[1 + columns];
    let mut values = Vec::new();
    while let Some((&length, tail)) = rest.split_first() {
        let length = if length == 0xfb { 0 } else { usize::from(length) };
        values.push(String::from_utf8_lossy(&tail[..length]).into_owned());
        rest = &tail[length..];
    }
    values
}

fn packets_of(reply: &[u8]) -> Vec<&[u8]> {
    let mut packets = Vec::new();
    let mut rest = reply;
    while let Some((header, payload)) = oarlock::wire::packet::first(rest) {
        packets.push(payload);
        rest = &rest[header.total()..];
    }
    packets
}

fn prepare(raw: &mut Raw, sql: &str) -> u32 {
    let reply = raw.command(&command(PREPARE, &[sql.as_bytes()]));
    assert_eq!(reply[HEADER], 0, "{sql}: {}", reply.escape_ascii());
    u32::from_le_bytes(reply[HEADER + 1..HEADER + 5].try_into().unwrap())
}

/// Asks outside and inside of a transaction: a reader and the writer must say the same.
fn everywhere(raw: &mut Raw, expressions: &str) -> Vec<String> {
    let select = format!("SELECT {expressions}, {NODE}");
    let mut there = row(&sql(raw, &select));
    assert_eq!(there.pop().as_deref(), Some("1"), "a read on a reader");
    sql(raw, "BEGIN");
    let mut here = row(&sql(raw, &select));
    assert_eq!(here.pop().as_deref(), Some("0"), "a transaction on the writer");
    sql(raw, "COMMIT");
    assert_eq!(there, here, "{expressions}");
    there
}

pub fn all(proxy: SocketAddrV4) {
    let mut raw = Raw::login(proxy, NEW_EOF, b"shop");
    state(&mut raw);
    executes(&mut raw);
    many(&mut raw);
    altered(proxy);
    dropped(proxy);
    pinned(&mut raw);
    hidden(proxy);
    killed(proxy);
    killed_by_a_nodes_id(proxy);
    too_large(proxy);
}

fn state(raw: &mut Raw) {
    assert_eq!(everywhere(raw, "DATABASE()"), ["shop"]);
    for statement in [
        "SET @a = 'x', @b = 2, sql_mode = 'ANSI_QUOTES', time_zone = '+05:00'",
        "SET NAMES latin1 COLLATE latin1_bin",
        "USE mysql",
        "SET @c = @b + 1",
        "SET SESSION max_statement_time = 7",
    ] {
        assert_eq!(sql(raw, statement)[HEADER], 0, "{statement}");
    }
    let asked = "@a, @b, @c, @@sql_mode, @@time_zone, @@collation_connection, DATABASE(), @@max_statement_time";
    let told = ["x", "2", "3", "ANSI_QUOTES", "+05:00", "latin1_bin", "mysql", "7.000000"];
    assert_eq!(everywhere(raw, asked), told);
    for statement in [
        "CREATE OR REPLACE ROLE clerk",
        "GRANT clerk TO app",
        "SET ROLE clerk",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET CHARACTER SET utf8",
        "SET LOCAL sort_buffer_size = 1000000, @@session.join_buffer_size = 2000000, @d = NULL",
        "SET @@lock_wait_timeout = 33, @`a b` = 'quoted', @'c' = 'it''s'",
    ] {
        assert_eq!(sql(raw, statement)[HEADER], 0, "{statement}");
    }
    let asked = "CURRENT_ROLE(), @@tx_isolation, @@character_set_client, @@sort_buffer_size DIV 1000, @@lock_wait_timeout, @`a b`, @c";
    assert_eq!(everywhere(raw, asked), ["clerk", "READ-COMMITTED", "utf8mb3", "1000", "33", "quoted", "it's"]);
    sql(raw, "SET ROLE NONE, SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    sql(raw, "USE shop");
    sql(raw, "SET NAMES utf8, sql_mode = DEFAULT, time_zone = DEFAULT, max_statement_time = DEFAULT");
    assert_eq!(everywhere(raw, "DATABASE(), @@character_set_client"), ["shop", "utf8mb3"]);
    // A command that failed changes nothing, anywhere.
    assert_eq!(sql(raw, "SET @@nonsense = 1")[HEADER], 0xff);
    assert_eq!(sql(raw, "USE nowhere")[HEADER], 0xff);
    assert_eq!(everywhere(raw, "DATABASE()"), ["shop"]);
    // COM_INIT_DB as well as USE.
    raw.command(&command(2, &[b"mysql"]));
    assert_eq!(everywhere(raw, "DATABASE()"), ["mysql"]);
    raw.command(&command(2, &[b"shop"]));
    raw.command(&command(0x1f, &[]));
    assert_eq!(everywhere(raw, "DATABASE(), @a IS NULL"), ["shop", "1"]);
}

fn executes(raw: &mut Raw) {
    let select = prepare(raw, &format!("SELECT CONCAT(?, '-', ?), {NODE}"));
    let typed = execute(select, 0, &[LONG, TEXT], &[Some(&[7, 0, 0, 0]), Some(b"\x01z")]);
    let untyped = execute(select, 0, &[], &[Some(&[8, 0, 0, 0]), Some(b"\x01y")]);
    let ends = |reply: &[u8], tail: &[u8]| {
        let packets = packets_of(reply);
        assert_eq!(packets.len(), 5, "{}", reply.escape_ascii());
        assert!(packets[3].ends_with(tail), "{}", packets[3].escape_ascii());
    };
    ends(&raw.command(&typed), b"\x037-z\x01\0\0\0");
    ends(&raw.command(&untyped), b"\x038-y\x01\0\0\0");
    sql(raw, "BEGIN");
    ends(&raw.command(&untyped), b"\x038-y\0\0\0\0");
    ends(&raw.command(&untyped), b"\x038-y\0\0\0\0");
    sql(raw, "COMMIT");
    ends(&raw.command(&untyped), b"\x038-y\x01\0\0\0");
    let other = execute(select, 0, &[TEXT, TEXT], &[Some(b"\x01a"), Some(b"\x01b")]);
    let again = execute(select, 0, &[], &[Some(b"\x01c"), Some(b"\x01d")]);
    ends(&raw.command(&other), b"\x03a-b\x01\0\0\0");
    sql(raw, "BEGIN");
    ends(&raw.command(&again), b"\x03c-d\0\0\0\0");
    sql(raw, "COMMIT");
    raw.send(&by_id(CLOSE, select));
}

fn many(raw: &mut Raw) {
    let ids: Vec<u32> = (0..MANY).map(|number| prepare(raw, &format!("SELECT {number}"))).collect();
    for (number, id) in ids.iter().enumerate().step_by(97) {
        let reply = raw.command(&execute(*id, 0, &[], &[]));
        let expected = (number as u32).to_le_bytes();
        let row = packets_of(&reply)[2];
        assert!(row.ends_with(&expected[..2]) || row[2..].starts_with(&expected[..2]), "{}", row.escape_ascii());
    }
    for id in &ids {
        raw.send(&by_id(CLOSE, *id));
    }
    assert_eq!(raw.command(&execute(ids[5], 0, &[], &[]))[HEADER], 0xff);
    assert_eq!(row(&sql(raw, "SELECT 'after many'")), ["after many"]);
}

/// A table is altered between the first execute, on a reader, and one on the writer: the client must learn of the new column.
fn altered(proxy: SocketAddrV4) {
    let capabilities = FULL | Capabilities::CACHE_METADATA;
    let offered = Raw::login(proxy, capabilities, b"shop").offered;
    let raw = &mut Raw::login(proxy, capabilities & offered, b"shop");
    sql(raw, "CREATE OR REPLACE TABLE altered (a INT PRIMARY KEY, b INT)");
    sql(raw, "INSERT INTO altered VALUES (1, 2)");
    let select = prepare(raw, "SELECT * FROM altered");
    let columns = |reply: &[u8]| packets_of(reply)[0][0];
    assert_eq!(columns(&raw.command(&execute(select, 0, &[], &[]))), 2);
    sql(raw, "ALTER TABLE altered ADD COLUMN c INT DEFAULT 3");
    sql(raw, "BEGIN");
    let reply = raw.command(&execute(select, 0, &[], &[]));
    let packets = packets_of(&reply);
    assert_eq!((columns(&reply), packets.len()), (3, 6), "{}", reply.escape_ascii());
    sql(raw, "COMMIT");
}

/// The schema a session is in is dropped, by itself or by another: it goes on, on nodes it has not been to as well.
fn dropped(proxy: SocketAddrV4) {
    let raw = &mut Raw::login(proxy, NEW_EOF, b"shop");
    let succeed = |raw: &mut Raw, statements: &[&str]| {
        for statement in statements {
            assert_eq!(sql(raw, statement)[HEADER], 0, "{statement}");
        }
    };
    succeed(raw, &["CREATE DATABASE passing", "USE passing", "DROP DATABASE passing"]);
    assert_eq!(everywhere(raw, "DATABASE() IS NULL"), ["1"]);
    succeed(raw, &["CREATE DATABASE passing", "USE passing"]);
    succeed(&mut Raw::login(proxy, NEW_EOF, b"shop"), &["DROP DATABASE passing"]);
    // As on a server: the name stays. Readers refuse it, and might only be behind, so the writer answers.
    assert_eq!(row(&sql(raw, "SELECT DATABASE()")), ["passing"]);
    // A prepared text that makes no sense any more keeps no node from being used.
    let gone = ["CREATE OR REPLACE TABLE gone (a INT)", "PREPARE p FROM 'SELECT * FROM gone'", "DROP TABLE gone"];
    succeed(raw, &["USE shop"]);
    succeed(raw, &gone);
    assert_eq!(everywhere(raw, "DATABASE()"), ["shop"]);
}

fn pinned(raw: &mut Raw) {
    let writer = |raw: &mut Raw| row(&sql(raw, &format!("SELECT {NODE}")))[0] == "0";
    assert!(!writer(raw));
    sql(raw, "CREATE TEMPORARY TABLE mine (a INT)");
    assert!(writer(raw), "a temporary table keeps the session where it is");
    assert_eq!(row(&sql(raw, "SELECT COUNT(*) FROM mine")), ["0"]);
    raw.command(&command(0x1f, &[]));
    assert!(!writer(raw), "a reset lets it go");
    // Galera refuses it under streaming replication.
    sql(raw, "SET SESSION wsrep_trx_fragment_size = 0");
    sql(raw, "LOCK TABLES fields WRITE");
    assert!(writer(raw));
    sql(raw, "UNLOCK TABLES");
    assert!(!writer(raw));
    sql(raw, "SELECT @now := NOW(6)");
    let first = row(&sql(raw, "SELECT @now"));
    assert_eq!(row(&sql(raw, "SELECT @now")), first);
    assert!(!writer(raw), "only what reads the variable follows it");
}

/// What statements do to the session out of sight, in procedures, functions and texts.
fn hidden(proxy: SocketAddrV4) {
    let raw = &mut Raw::login(proxy, NEW_EOF, b"shop");
    for statement in [
        "CREATE OR REPLACE PROCEDURE sets() SET @inner_one = 42",
        "CREATE OR REPLACE FUNCTION keeps() RETURNS INT NO SQL BEGIN SET @inner_two = 43; RETURN 1; END",
        "CREATE OR REPLACE PROCEDURE makes() BEGIN CREATE TEMPORARY TABLE made (a INT); INSERT INTO made VALUES (44); END",
        "CALL sets()",
        "DO keeps()",
        "EXECUTE IMMEDIATE 'SET @text = 45'",
        "BEGIN NOT ATOMIC SET @block = 46; END",
        "PREPARE p FROM 'SET @prepared = 47'",
        "EXECUTE p",
    ] {
        assert_eq!(sql(raw, statement)[HEADER], 0, "{statement}");
    }
    let told = ["42", "43", "45", "46", "47"];
    assert_eq!(row(&sql(raw, "SELECT @inner_one, @inner_two, @text, @block, @prepared")), told);
    let raw = &mut Raw::login(proxy, NEW_EOF, b"shop");
    let reply = sql(raw, "CALL makes()");
    assert_eq!(reply[HEADER], 0, "{}", reply.escape_ascii());
    assert_eq!(row(&sql(raw, "SELECT a FROM made")), ["44"]);
    let select = prepare(raw, "SELECT a, ? FROM made");
    let reply = raw.command(&execute(select, 0, &[TEXT], &[Some(b"\x01x")]));
    assert!(packets_of(&reply)[3].ends_with(b"\x2c\0\0\0\x01x"), "{}", reply.escape_ascii());
}

/// KILL names sessions by the ids that clients see.
fn killed(proxy: SocketAddrV4) {
    let killer = &mut Raw::login(proxy, NEW_EOF, b"shop");
    for after in ["SELECT 1", "BEGIN", "SET @a = 1"] {
        let mut victim = Raw::login(proxy, NEW_EOF, b"shop");
        sql(&mut victim, after);
        assert_eq!(sql(killer, &format!("KILL QUERY {}", victim.thread))[HEADER], 0);
        assert_eq!(sql(&mut victim, "DO 1")[HEADER], 0, "nothing was running");
        assert_eq!(sql(killer, &format!("KILL {}", victim.thread))[HEADER], 0);
        assert_eq!(victim.rest(), b"", "after {after}");
    }
    let mut victim = Raw::login(proxy, NEW_EOF, b"shop");
    victim.send(&command(3, &[b"SELECT SLEEP(30)"]));
    assert_eq!(sql(killer, &format!("KILL {}", victim.thread))[HEADER], 0);
    victim.rest();
    let reply = sql(killer, &format!("KILL QUERY {}", killer.thread));
    assert_eq!(reply[HEADER..HEADER + 3], [0xff, 0x25, 0x05], "1317");
}

/// KILL names them by the ids that a statement sees, too: those of nodes. Where several sessions have the same one it kills nobody,
/// and says by which ids they can be told apart.
fn killed_by_a_nodes_id(proxy: SocketAddrV4) {
    let killer = &mut Raw::login(proxy, NEW_EOF, b"shop");
    for victims in 0..5 {
        let mut victim = Raw::login(proxy, NEW_EOF, b"shop");
        let id = &row(&sql(&mut victim, "SELECT CONNECTION_ID()"))[0];
        assert_ne!(*id, victim.thread.to_string());
        let reply = sql(killer, &format!("KILL {id}"));
        if reply[HEADER] != 0 {
            let text = String::from_utf8_lossy(&reply);
            assert!(text.contains(&format!("{id}; several")) && text.contains(&victim.thread.to_string()), "{text}");
            assert_eq!(sql(&mut victim, "DO 1")[HEADER], 0, "nobody was killed");
            sql(killer, &format!("KILL {}", victim.thread));
        }
        assert_eq!(victim.rest(), b"", "victim {victims}");
    }

    let mut victim = Raw::login(proxy, NEW_EOF, b"shop");
    let list =
        "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(30)%' AND state = 'User sleep'";
    victim.send(&command(3, &[b"SELECT SLEEP(30) /* oarlock: node galera-72 */"]));
    let mut ids = Vec::new();
    let found = until(REACTION_MAX, || {
        let reply = sql(killer, &format!("{list} /* oarlock: node galera-72 */"));
        ids = if packets_of(&reply).len() > 3 { row(&reply) } else { Vec::new() };
        !ids.is_empty()
    });
    assert!(found, "the statement is not on the node");
    let id: u32 = ids[0].parse().unwrap();
    let query = sql(killer, &format!("KILL QUERY {id}"));
    if query[HEADER] != 0 {
        // Another session's, too. The ids stay as they are, so there is no more to be seen here.
        return assert!(String::from_utf8_lossy(&query).contains("several"), "{}", query.escape_ascii());
    }
    let reply = victim.reply(Shape::Results);
    assert!(packets_of(&reply).last().unwrap().starts_with(b"\xff\x25\x05"), "no 1317: {}", reply.escape_ascii());
    assert_eq!(sql(&mut victim, "DO 1")[HEADER], 0, "only the statement was killed");
    victim.send(&command(3, &[b"SELECT SLEEP(31) /* oarlock: node galera-72 */"]));
    let kill = command(0x0c, &[&id.to_le_bytes()]);
    assert_eq!(killer.command(&kill)[HEADER], 0, "COM_PROCESS_KILL");
    assert_eq!(victim.rest(), b"");
}

/// More than a node's max_allowed_packet: the client is told once, and goes on. A node that has seen too much may close at once, and
/// what it said then gets lost on the way.
fn too_large(proxy: SocketAddrV4) {
    let raw = &mut Raw::login(proxy, NEW_EOF, b"shop");
    let reply = raw.command(&command(3, &[b"SELECT '", &vec![b'x'; 65 << 20], b"'"]));
    let code = u16::from_le_bytes(reply[HEADER + 1..HEADER + 3].try_into().unwrap());
    assert!(reply[HEADER] == 0xff && [1153, 1105].contains(&code), "{}", reply.escape_ascii());
    assert_eq!(row(&sql(raw, "SELECT 'goes on'")), ["goes on"]);
    let reply = raw.command(&command(PREPARE, &[b"SELECT '", &vec![b'x'; 17 << 20], b"'"]));
    assert_eq!(reply[HEADER..HEADER + 3], [0xff, 0x81, 0x04], "a prepared text has a limit of its own");
    assert_eq!(row(&sql(raw, "SELECT 'goes on'")), ["goes on"]);
}
