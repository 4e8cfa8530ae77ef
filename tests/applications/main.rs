//! What applications send, and what they get: as from a node itself.
//!
//! One cluster and one proxy serve all of it. Conversations in the bare protocol are held with a node and through the proxy, and
//! compared byte by byte.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "../support/mod.rs"]
mod support;

mod commands;
mod drivers;
mod dumps;
mod nodes;
mod queries;
mod raw;
mod statements;
mod talk;
mod terminal;
mod uploads;

use std::net::SocketAddrV4;

use oarlock::lab::{Lab, Site};
use oarlock::wire::capability::Capabilities;
use raw::PLAIN;
use support::Proxy;
use talk::{Talk, differences};

const NEW_EOF: Capabilities = PLAIN.union(Capabilities::DEPRECATE_EOF);

/// All that the proxy passes on.
const FULL: Capabilities = NEW_EOF
    .union(Capabilities::SESSION_TRACK)
    .union(Capabilities::CONNECT_ATTRS)
    .union(Capabilities::PROGRESS)
    .union(Capabilities::STMT_BULK)
    .union(Capabilities::EXTENDED_METADATA);

/// Clients by what they can do.
const CLIENTS: [(&str, Capabilities); 8] = [
    ("old EOF", PLAIN),
    ("no EOF", NEW_EOF),
    ("old EOF, session tracking", PLAIN.union(Capabilities::SESSION_TRACK)),
    ("everything", FULL),
    ("no plugins", PLAIN.difference(Capabilities::PLUGIN_AUTH)),
    ("bare", Capabilities::REQUIRED),
    (
        "odd ones",
        FULL.union(Capabilities::ODBC)
            .union(Capabilities::IGNORE_SPACE)
            .union(Capabilities::INTERACTIVE)
            .union(Capabilities::COMPRESS)
            .union(Capabilities::CAN_HANDLE_EXPIRED_PASSWORDS),
    ),
    ("MySQL's flags, found rows", NEW_EOF.union(Capabilities::MYSQL).union(Capabilities::FOUND_ROWS)),
];

/// Where to connect: directly, and through the proxy.
pub struct Doors {
    node: SocketAddrV4,
    proxy: SocketAddrV4,
    found: std::cell::RefCell<Vec<String>>,
}

impl Doors {
    /// Holds a conversation on both sides, with these capabilities.
    fn compare(&self, name: &str, capabilities: Capabilities, converse: impl Fn(&mut Talk)) {
        let differ = differences(self.node, self.proxy, capabilities, "shop", converse);
        for text in &differ {
            eprintln!("[{name}] {text}");
        }
        self.found.borrow_mut().extend(differ.into_iter().map(|text| format!("[{name}] {text}")));
    }

    /// The same for every kind of client.
    fn compare_all(&self, converse: impl Fn(&mut Talk)) {
        self.compare_each(|talk, _| converse(talk));
    }

    fn compare_each(&self, converse: impl Fn(&mut Talk, Capabilities)) {
        for (name, capabilities) in CLIENTS {
            self.compare(name, capabilities, |talk| converse(talk, capabilities));
        }
    }

    fn judge(self) {
        let found = self.found.into_inner();
        assert!(found.is_empty(), "{} answers differ, each printed above", found.len());
    }
}

#[test]
fn applications_cannot_tell_the_proxy_from_a_node() {
    let lab = Lab::builder().galera(3);
    let lab = lab
        .option("max_allowed_packet", "64M")
        .option("wsrep_sync_wait", "15")
        .option("innodb_log_file_size", "256M")
        .option("innodb_buffer_pool_size", "192M")
        .start()
        .unwrap();
    let proxy = Proxy::start(&lab, Site::Primary);
    proxy.sql("CREATE DATABASE shop");
    let node = lab.node("galera-71").unwrap().address();
    let doors = Doors { node, proxy: proxy.address(), found: Vec::new().into() };
    timed("queries", || doors.compare_all(queries::every_kind));
    for (name, capabilities) in CLIENTS.into_iter().filter(|(_, all)| all.contains(Capabilities::SESSION_TRACK)) {
        doors.compare(name, capabilities, queries::tracking);
    }
    timed("pipelines", || doors.compare_all(commands::pipelines));
    timed("commands", || doors.compare_all(commands::every_byte));
    timed("change user", || doors.compare_each(commands::change_user));
    timed("statements", || doors.compare_all(statements::every_kind));
    timed("local files", || doors.compare_all(uploads::local_files));
    for order in ["KILL", "KILL SOFT", "KILL HARD CONNECTION"] {
        doors.compare_all(|talk| commands::suicide(talk, order));
    }
    timed("nodes", || nodes::all(doors.proxy));
    timed("drop by drop", || doors.compare("everything", FULL, uploads::drop_by_drop));
    timed("terminal", || terminal::all(&lab, &proxy));
    timed("dumps", || dumps::all(&lab, &proxy));
    timed("drivers", || drivers::all(proxy.address()));
    timed("sizes", || doors.compare("old EOF", PLAIN, uploads::sizes));
    timed("parameters", || doors.compare("everything", FULL, uploads::parameters));
    doors.judge();
}

fn timed(name: &str, run: impl FnOnce()) {
    let start = std::time::Instant::now();
    run();
    eprintln!("{name}: {:?}", start.elapsed());
}
