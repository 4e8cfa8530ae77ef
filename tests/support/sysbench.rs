//! sysbench as a client of the proxy: transactions of reads and writes on 16 connections.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::net::SocketAddrV4;
use std::process::Stdio;

use oarlock::lab::{APP_PASSWORD, APP_USER};

use crate::support::service;

/// Runs it; what it says. It ends with the first error that it does not ignore. The database is `sbtest`.
///
/// It only updates rows. Its pair of DELETE and INSERT moves a row to another place in its page, and InnoDB tells whoever waits for the
/// row meanwhile that there is none (measured on a node directly, 16 clients on 30 rows: 17 % of the transactions). A transaction that
/// was told so can't be given the same answer when it runs again.
pub fn sysbench(address: SocketAddrV4, arguments: &[&str]) -> String {
    let mut command = service("sysbench");
    command.args([
        "oltp_read_write",
        "--mysql-db=sbtest",
        "--tables=4",
        "--table-size=50000",
        "--rand-type=uniform",
        "--delete-inserts=0",
        "--index-updates=2",
        "--threads=16",
    ]);
    command.args([format!("--mysql-host={}", address.ip()), format!("--mysql-port={}", address.port())]);
    command.args([format!("--mysql-user={APP_USER}"), format!("--mysql-password={APP_PASSWORD}")]);
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Its transactions, none of which was told of an error, not even of those that it would ignore.
#[track_caller]
pub fn undisturbed(report: &str) -> u64 {
    let count = |name: &str| {
        let line = report.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!((count("ignored errors:"), count("reconnects:")), (0, 0), "{report}");
    assert!(count("transactions:") > 0, "{report}");
    count("transactions:")
}
