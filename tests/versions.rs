//! What replicas of other versions say when they connect, and the stream that each gets: event by event the one that the node sends when
//! it is asked the same. On a real cluster.
//!
//! The openings are those of sql/slave.cc and sql/semisync_slave.cc: 10.6 and 11.x say the same but for what comes with
//! START SLAVE UNTIL SQL_BEFORE_GTIDS. What differs otherwise is how a replica is set up. tests/replicas.rs has 10.11 itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/logins.rs"]
mod logins;
#[path = "support/raw_client.rs"]
mod raw_client;
mod support;

use std::net::SocketAddr;

use oarlock::lab::{Lab, Node, Site};
use oarlock::wire::packet;
use oarlock::wire::reply::Shape;
use raw_client::{End, RawClient, command};
use support::Proxy;

/// How a replica begins.
struct Opening {
    who: &'static str,
    statements: &'static [&'static str],
    /// What it says between its registration and the dump.
    late: &'static [&'static str],
    registers: bool,
    flags: u16,
    /// By file and position: at the beginning of the first file.
    file: &'static str,
}

const CLOCK: &str = "SELECT UNIX_TIMESTAMP()";
const SERVER: &str = "SHOW VARIABLES LIKE 'SERVER_ID'";
const HEARTBEAT: &str = "SET @master_heartbeat_period= 30000001024";
const CHECKSUM: &str = "SET @master_binlog_checksum= @@global.binlog_checksum";
const CHECKSUM_ASKED: &str = "SELECT @master_binlog_checksum";
const CAPABILITY: &str = "SET @mariadb_slave_capability=4";
const DOMAIN: &str = "SELECT @@GLOBAL.gtid_domain_id";
const STATE: &str = "SET @slave_connect_state='70-7000-2'";
const ANNOTATE: u16 = 2;
/// Part of the last statement, in which the proxy has left its mark.
const LAST: &[u8] = b" TABLE shop.last ";

const OPENINGS: [Opening; 6] = [
    Opening {
        who: "10.6, by GTIDs",
        statements: &[
            CLOCK,
            SERVER,
            HEARTBEAT,
            CHECKSUM,
            CHECKSUM_ASKED,
            CAPABILITY,
            DOMAIN,
            STATE,
            "SET @slave_gtid_strict_mode=0",
            "SET @slave_gtid_ignore_duplicates=0",
        ],
        late: &[],
        registers: true,
        flags: ANNOTATE,
        file: "",
    },
    Opening {
        who: "10.6, semi-synchronous, without annotations",
        statements: &[
            CLOCK,
            SERVER,
            HEARTBEAT,
            CHECKSUM,
            CHECKSUM_ASKED,
            CAPABILITY,
            DOMAIN,
            STATE,
            "SET @slave_gtid_strict_mode=1",
            "SET @slave_gtid_ignore_duplicates=1",
        ],
        late: &["SHOW VARIABLES LIKE 'rpl_semi_sync_master_enabled'", "SET @rpl_semi_sync_slave= 1"],
        registers: true,
        flags: 0,
        file: "",
    },
    Opening {
        who: "11.4, by file and position",
        statements: &[
            CLOCK,
            SERVER,
            HEARTBEAT,
            CHECKSUM,
            CHECKSUM_ASKED,
            CAPABILITY,
            "SELECT binlog_gtid_pos('bin.000001',4)",
        ],
        late: &[],
        registers: true,
        flags: ANNOTATE,
        file: "bin.000001",
    },
    Opening {
        who: "11.8, filtered here, with an end that is far away",
        statements: &[
            CLOCK,
            SERVER,
            HEARTBEAT,
            CHECKSUM,
            CHECKSUM_ASKED,
            "SET skip_replication=1",
            CAPABILITY,
            DOMAIN,
            STATE,
            "SET @slave_gtid_strict_mode=1",
            "SET @slave_gtid_ignore_duplicates=1",
            "SET @slave_until_gtid='70-7000-1000000'",
            "SET @slave_gtid_until_before_gtids=1",
        ],
        late: &[],
        registers: true,
        flags: ANNOTATE,
        file: "",
    },
    Opening {
        who: "mariadb-binlog --stop-never",
        statements: &["SELECT VERSION()", "SET @master_binlog_checksum='NONE'", CAPABILITY],
        late: &[],
        registers: false,
        flags: 0,
        file: "bin.000001",
    },
    Opening {
        who: "MySQL, by file and position",
        statements: &[
            CLOCK,
            "SELECT @@GLOBAL.SERVER_ID",
            "SET @master_heartbeat_period= 30000001024, @source_heartbeat_period= 30000001024",
            "SET @master_binlog_checksum= @@global.binlog_checksum, @source_binlog_checksum= @@global.binlog_checksum",
            "SELECT @source_binlog_checksum",
            "SELECT @@GLOBAL.GTID_MODE",
            "SELECT @@GLOBAL.SERVER_UUID",
            "SET @slave_uuid= '2c8a1a6e-0000-11f1-8000-000000000001', @replica_uuid= '2c8a1a6e-0000-11f1-8000-000000000001'",
        ],
        late: &[],
        registers: true,
        flags: 0,
        file: "bin.000001",
    },
];

#[test]
fn each_gets_its_stream() {
    let lab = Lab::builder().galera(2).option("rpl_semi_sync_master_enabled", "ON").start().unwrap();
    let proxy = Proxy::start(&lab, Site::Primary);
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)");
    proxy.sql("INSERT INTO shop.t (v) VALUES (1); INSERT INTO shop.t (v) SELECT seq FROM shop.seq_1_to_500");
    proxy.sql("CREATE TABLE shop.last (id INT)");
    // The client of bytes has none.
    proxy.sql("SET PASSWORD FOR app@'%' = ''");
    let node = &lab.nodes()[0];
    let endpoint = SocketAddr::from((*proxy.address().ip(), 4007));
    for (server, opening) in (9000..).step_by(2).zip(&OPENINGS) {
        let (through, there) = (stream(endpoint, opening, server), stream(node.address().into(), opening, server + 1));
        println!("{}: {} events", opening.who, there.len());
        assert_eq!(through, there, "{}", opening.who);
    }
    a_replica_of_mysql_is_told(endpoint, node);
}

/// All packets of a dump up to the last definition.
fn stream(address: SocketAddr, opening: &Opening, server: u32) -> Vec<Vec<u8>> {
    let mut client = RawClient::login(address);
    let run = |client: &mut RawClient, statements: &[&str]| {
        for statement in statements {
            match client.query(statement) {
                End::Done(_) => {}
                // What MySQL alone knows.
                End::Error(1193, _) => assert!(statement.starts_with("SELECT @@GLOBAL."), "{statement}"),
                other => panic!("{}: {statement}: {other:?}", opening.who),
            }
        }
    };
    run(&mut client, opening.statements);
    if opening.registers {
        // Host, user and password are empty; port, rank and master are 0.
        client.send(&command(0x15, &[&server.to_le_bytes()[..], &[0; 3], &3306u16.to_le_bytes(), &[0; 8]].concat()));
        assert_eq!(client.reply(Shape::Ok), End::Done(11), "{}", opening.who);
    }
    run(&mut client, opening.late);
    let head = [&4u32.to_le_bytes()[..], &opening.flags.to_le_bytes(), &server.to_le_bytes()].concat();
    client.send(&command(0x12, &[&head, opening.file.as_bytes()].concat()));
    let mut packets = Vec::new();
    loop {
        let packet = client.packet();
        let (_, payload) = packet::first(&packet).unwrap();
        assert_eq!(payload[0], 0, "{}: {}", opening.who, String::from_utf8_lossy(payload));
        let is_last = payload.windows(LAST.len()).any(|text| text == LAST);
        packets.push(packet);
        if is_last {
            return packets;
        }
    }
}

fn a_replica_of_mysql_is_told(endpoint: SocketAddr, node: &Node) {
    let mut client = RawClient::login(endpoint);
    client.send(&command(0x1e, &[0; 30]));
    assert_eq!(client.reply(Shape::Ok), End::Error(1235, "42000".to_owned()));
    assert_eq!(client.query("SELECT 1"), RawClient::login(node.address().into()).query("SELECT 1"));
}
