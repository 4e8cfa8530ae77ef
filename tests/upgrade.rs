//! Another process takes over while clients write, and come and go: nobody is told an error, and links are driven by one process only.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/replica.rs"]
mod replica;
#[path = "support/sites.rs"]
mod sites;
mod support;
#[path = "support/sysbench.rs"]
mod sysbench;

use std::fs;
use std::net::SocketAddrV4;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};

use mysql_async::prelude::Queryable;
use oarlock::lab::{Lab, Site, until};
use replica::{Stop, Writes};
use sites::{Road, SOON, Sites, expect, is, report, server};
use support::{Proxy, connect, succeeded};
use sysbench::{sysbench, undisturbed};

/// How long sysbench runs: several times what all that is tried takes.
const SECONDS: &str = "--time=20";

#[test]
fn another_process_takes_over_under_load() {
    let lab = Lab::builder().galera(3).standalone(true).start().unwrap();
    let mut sites = Sites::start(&lab, Road::Nodes);
    expect(&sites.dc, "Running");
    sites.dc.sql("CREATE DATABASE sbtest");
    let address = sites.dc.address();
    sysbench(address, &["prepare"]);
    let is_over = AtomicBool::new(false);
    let (visits, report, old) = std::thread::scope(|scope| {
        let visitors = scope.spawn(|| come_and_go(address, &is_over));
        let load = scope.spawn(|| sysbench(address, &[SECONDS, "run"]));
        let busy = || server(&sites.dc, "galera-71").connections >= 16;
        assert!(until(SOON, busy), "sysbench is there");
        without_a_successor_nothing_changes(&sites.dc);
        let old = takes_over(&mut sites.dc);
        assert!(until(SOON, || is(&sites.dc, "Running")), "{:?}", self::report(&sites.dc));
        both_follow_one_writer(&sites.dc);
        assert!(!load.is_finished(), "all of it was to be under load");
        let report = load.join().unwrap();
        is_over.store(true, Ordering::Relaxed);
        (visitors.join().unwrap(), report, old)
    });
    println!("{} transactions, {visits} visits", undisturbed(&report));
    ends(old, &sites.dc);
    let old = takes_over(&mut sites.dc);
    ends(old, &sites.dc);
    expect(&sites.dc, "Running");
    let alone = Command::new(env!("CARGO_BIN_EXE_oarlock"));
    nobody_is_there(alone, &mut sites.dc);
}

/// They come again at once, where they were: long before they would try a second time.
#[test]
fn replicas_come_to_the_process_that_has_taken_over() {
    let lab = Lab::builder().galera(2).standalone(true).start().unwrap();
    let mut proxy = Proxy::start(&lab, Site::Primary);
    let replica = lab.node("server-81").unwrap();
    let create = "CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT, w VARCHAR(300))";
    proxy.sql(create);
    replica::follow(replica, &proxy, "");
    replica.sql("STOP SLAVE; CHANGE MASTER TO MASTER_CONNECT_RETRY = 50; START SLAVE").unwrap();
    let (writes, address) = (Writes::default(), proxy.address());
    let old = std::thread::scope(|scope| {
        scope.spawn(|| writes.run(address));
        let _stop = Stop(&writes);
        writes.more(100);
        replica::goes_on(replica);
        let old = takes_over(&mut proxy);
        let gap = replica::without_source(&proxy);
        println!("the replica was without a source for {gap:?}");
        assert_eq!(replica::connections(&proxy), 1, "{}", proxy.log());
        writes.more(100);
        replica::goes_on(replica);
        assert_eq!(replica::status(replica, "Last_IO_Errno"), "0");
        old
    });
    replica::the_same_everywhere(&lab, replica);
    ends(old, &proxy);
}

/// Clients that log in, ask something and leave; how many there were.
fn come_and_go(address: SocketAddrV4, is_over: &AtomicBool) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut visits = 0;
    while !is_over.load(Ordering::Relaxed) {
        runtime.block_on(async {
            let mut conn = connect(address).await;
            assert_eq!(conn.query_first::<u8, _>("SELECT 1").await.unwrap(), Some(1));
            conn.disconnect().await.unwrap();
        });
        visits += 1;
    }
    visits
}

/// A process that can't start has taken nothing.
fn without_a_successor_nothing_changes(proxy: &Proxy) {
    let file = proxy.config_file();
    let good = fs::read_to_string(&file).unwrap();
    // Nobody has this address.
    let more = "[[listener]]\nname = \"more\"\naddress = \"192.0.2.1:4006\"\nservice = \"replication\"\n";
    fs::write(&file, format!("{good}\n{more}")).unwrap();
    let run = ["run", "--takeover", "--config", file.to_str().unwrap()];
    let output = Command::new(env!("CARGO_BIN_EXE_oarlock")).args(run).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("192.0.2.1:4006"), "{said}");
    fs::write(&file, good).unwrap();
    let noticed = || proxy.log().contains("another process has not taken over after all");
    assert!(until(SOON, noticed), "{}", proxy.log());
}

/// The process from which another one has taken over.
fn takes_over(proxy: &mut Proxy) -> Child {
    let before = proxy.log().matches("this process has taken over").count();
    let old = proxy.take_over();
    let has = || proxy.log().matches("this process has taken over").count() > before;
    assert!(until(SOON, has), "{}", proxy.log());
    assert!(until(SOON, || proxy.command(&["list", "servers"]).status.success()), "{}", proxy.log());
    old
}

/// The sessions of the old process write where the new one does.
fn both_follow_one_writer(proxy: &Proxy) {
    let said = succeeded(&proxy.command(&["switch-writer", "galera-72"]));
    assert_eq!(said, "galera-72 is the writer");
    let moved = || proxy.log().matches("the node is the writer node=\"galera-72\"").count() == 2;
    assert!(until(SOON, moved), "{}", proxy.log());
}

fn ends(mut old: Child, proxy: &Proxy) {
    assert!(until(SOON, || old.try_wait().unwrap().is_some()), "{}", proxy.log());
    assert!(old.wait().unwrap().success());
    assert_eq!(proxy.sql("SELECT 1"), "1");
}

fn nobody_is_there(mut command: Command, proxy: &mut Proxy) {
    proxy.end();
    let output = command.args(["run", "--takeover", "--config"]).arg(proxy.config_file()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("no process to take over from"), "{said}");
}
