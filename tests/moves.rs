//! The writer's role moves while clients write: nobody is told an error. With sysbench in both of its ways to send statements, and with
//! transactions that are left open.
//!
//! `MOVES_SECONDS` is how long each run of sysbench takes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/replica.rs"]
mod replica;
mod support;
#[path = "support/sysbench.rs"]
mod sysbench;

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use oarlock::lab::{Lab, Site, until};
use replica::writer;
use support::{Proxy, connect, succeeded};
use sysbench::{sysbench, undisturbed};
use tokio::runtime::{Builder, Runtime};

/// How long sysbench runs, in seconds, and how often the role moves meanwhile.
const SECONDS: u64 = 15;
const MOVE_EVERY: Duration = Duration::from_secs(5);
/// A move waits this long for open transactions (the default of `switch_wait`), and a bit more.
const MOVED_MAX: Duration = Duration::from_secs(3);

/// Long enough for a probe to see what a node has become.
const SEEN_MAX: Duration = Duration::from_secs(20);

#[test]
fn the_writer_moves_under_load() {
    let lab = Lab::builder().galera(3).start().unwrap();
    let proxy = Proxy::start(&lab, Site::Primary);
    proxy.sql(
        "CREATE DATABASE sbtest; CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, v INT); \
        INSERT INTO shop.t VALUES (1, 0), (2, 0)",
    );
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(left_behind(&proxy));
    ends_in_time(&runtime, &proxy);
    a_writer_that_lags_is_relieved(&runtime, &lab, &proxy);
    sysbench(proxy.address(), &["prepare"]);
    let seconds = std::env::var("MOVES_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    for mode in ["auto", "disable"] {
        load(&proxy, mode, seconds);
    }
}

fn switch(proxy: &Proxy, node: &str) {
    let begun = Instant::now();
    assert_eq!(succeeded(&proxy.command(&["switch-writer", node])), format!("{node} is the writer"));
    assert!(begun.elapsed() < MOVED_MAX, "{:?}", begun.elapsed());
}

/// A transaction that is open after its time runs again on the new writer; if it reads something else there, that is told.
async fn left_behind(proxy: &Proxy) {
    let (mut writes, mut reads) = (connect(proxy.address()).await, connect(proxy.address()).await);
    writes.query_drop("BEGIN").await.unwrap();
    writes.query_drop("UPDATE shop.t SET v = v + 1 WHERE id = 1").await.unwrap();
    reads.query_drop("BEGIN").await.unwrap();
    assert_eq!(host(&mut reads).await, "galera-71");
    switch(proxy, "galera-72");
    writes.query_drop("UPDATE shop.t SET v = v + 1 WHERE id = 2").await.unwrap();
    assert_eq!(host(&mut writes).await, "galera-72");
    writes.query_drop("COMMIT").await.unwrap();
    let error = reads.query_drop("SELECT 1").await.unwrap_err();
    assert!(matches!(&error, Error::Server(error) if error.code == 1213), "{error}");
    let values: Vec<i64> = reads.query("SELECT v FROM shop.t ORDER BY id").await.unwrap();
    assert_eq!(values, [1, 1]);
}

/// What ends in time ends where it is. A write that comes meanwhile waits for that, and then runs on the new writer.
fn ends_in_time(runtime: &Runtime, proxy: &Proxy) {
    let mut conn = runtime.block_on(connect(proxy.address()));
    runtime.block_on(conn.query_drop("BEGIN")).unwrap();
    runtime.block_on(conn.query_drop("UPDATE shop.t SET v = 10 WHERE id = 1")).unwrap();
    let said = std::thread::scope(|scope| {
        let moving = scope.spawn(|| succeeded(&proxy.command(&["set", "server", "galera-72", "drain"])));
        let is_moving = || proxy.log().matches("is about to be the writer").count() == 2;
        assert!(until(MOVED_MAX, is_moving), "{}", proxy.log());
        let write = scope.spawn(|| proxy.sql("UPDATE shop.t SET v = v + 5 WHERE id = 1"));
        assert_eq!(runtime.block_on(host(&mut conn)), "galera-72");
        runtime.block_on(conn.query_drop("COMMIT")).unwrap();
        write.join().unwrap();
        moving.join().unwrap()
    });
    assert_eq!(said, "galera-72 gets no new work; what is open may finish; the writer is galera-71");
    assert_eq!(proxy.sql("SELECT v FROM shop.t WHERE id = 1"), "15");
    succeeded(&proxy.command(&["clear", "server", "galera-72"]));
}

/// Nobody has ordered it, but the writer still works, so what is open there ends there: a donor, or one that was desynced.
fn a_writer_that_lags_is_relieved(runtime: &Runtime, lab: &Lab, proxy: &Proxy) {
    let node = lab.node("galera-71").unwrap();
    let mut conn = runtime.block_on(connect(proxy.address()));
    let mut run = |sql: &str| runtime.block_on(conn.query_drop(sql)).unwrap();
    run("BEGIN");
    run("UPDATE shop.t SET v = 20 WHERE id = 1");
    // What it would be told otherwise if it ran again elsewhere.
    run("SELECT @@wsrep_node_name");
    let moves = || proxy.log().matches("is about to be the writer").count();
    let before = moves();
    node.sql("SET GLOBAL wsrep_desync = ON").unwrap();
    assert!(until(SEEN_MAX, || moves() > before), "{}", proxy.log());
    run("UPDATE shop.t SET v = v + 1 WHERE id = 1");
    run("COMMIT");
    let moved = || writer(lab, proxy).is_some_and(|writer| writer.name() != node.name());
    assert!(until(SEEN_MAX, moved), "{}", proxy.log());
    assert_eq!(proxy.sql("SELECT v FROM shop.t WHERE id = 1"), "21");
    node.sql("SET GLOBAL wsrep_desync = OFF").unwrap();
    let synced = || succeeded(&proxy.command(&["list", "servers"])).matches("Synced, Running").count() == 3;
    assert!(until(SEEN_MAX, synced), "{}", proxy.log());
    switch(proxy, node.name());
}

async fn host(conn: &mut Conn) -> String {
    conn.query_first("SELECT @@wsrep_node_name").await.unwrap().unwrap()
}

/// sysbench is told of no error, not even of those that it would ignore.
fn load(proxy: &Proxy, mode: &str, seconds: u64) {
    let (mode, time) = (format!("--db-ps-mode={mode}"), format!("--time={seconds}"));
    let (begun, mut moves) = (Instant::now(), 0);
    let report = std::thread::scope(|scope| {
        let run = scope.spawn(|| sysbench(proxy.address(), &[&mode, &time, "run"]));
        let ends = begun + Duration::from_secs(seconds);
        while begun + MOVE_EVERY * (moves + 1) + MOVED_MAX < ends {
            let next = begun + MOVE_EVERY * (moves + 1);
            let early = until(next.saturating_duration_since(Instant::now()), || run.is_finished());
            assert!(!early, "sysbench has ended early");
            switch(proxy, ["galera-72", "galera-73", "galera-71"][moves as usize % 3]);
            moves += 1;
        }
        run.join().unwrap()
    });
    let transactions = undisturbed(&report);
    println!("{mode}: {transactions} transactions, {moves} moves");
    println!("{report}");
    assert!(moves > 0, "{report}");
}
