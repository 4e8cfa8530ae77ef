//! Work that certainly did not happen runs again, on real nodes: transactions of a lost or aborting writer, autocommit writes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

mod files;
mod kinds;
#[allow(dead_code, reason = "the other test uses more of it")]
#[path = "../applications/raw.rs"]
mod raw;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use kinds::Talks;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, QueryResult, TextProtocol};
use oarlock::lab::{Lab, Server, Site, until};
use support::{Proxy, connect};

/// Until the cluster is whole again.
const WHOLE_MAX: Duration = Duration::from_secs(120);
/// More than fit between a node and its client.
const ROWS: i64 = 60_000;

#[test]
fn what_did_not_happen_runs_again() {
    let lab = Lab::builder().galera(3).fast_eviction(true).start().unwrap();
    let proxy = Proxy::start(&lab, Site::Primary);
    proxy.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, a INT, at DATETIME(6));
         CREATE TABLE shop.hot (id INT PRIMARY KEY, n INT); INSERT INTO shop.hot VALUES (1, 0), (2, 0)",
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(storms(&lab, &proxy));
    runtime.block_on(aborted_within_rows(&lab, &proxy));
    runtime.block_on(outrun(&proxy));
    runtime.block_on(lost_readers(&lab, &proxy));
    runtime.block_on(lost_writers(&lab, &proxy));
    every_kind(&lab, &proxy);
    runtime.block_on(lost_loads(&lab, &proxy));
}

/// Rows of a table without transactions stay when the transaction around them is over: it does not run again.
#[test]
fn what_lasts_is_not_done_twice() {
    let server = Server::start(&[]).unwrap();
    let proxy = Proxy::start(server.lab(), Site::Dr);
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.kept (n INT) ENGINE = MyISAM");
    proxy.sql("CREATE TABLE shop.hot (id INT PRIMARY KEY, n INT); INSERT INTO shop.hot VALUES (1, 0), (2, 0)");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut conn, mut rival) = (connect(proxy.address()).await, connect(proxy.address()).await);
        conn.query_drop("SET innodb_snapshot_isolation = ON").await.unwrap();
        for (kept, runs_again) in [("DO 1", true), ("INSERT INTO shop.kept VALUES (1)", false)] {
            conn.query_drop("BEGIN").await.unwrap();
            conn.query_drop(kept).await.unwrap();
            conn.query_drop("SELECT n FROM shop.hot WHERE id = 2").await.unwrap();
            rival.query_drop("UPDATE shop.hot SET n = n + 1 WHERE id = 1").await.unwrap();
            match conn.query_drop("UPDATE shop.hot SET n = n + 1 WHERE id = 1").await {
                Ok(()) if runs_again => conn.query_drop("COMMIT").await.unwrap(),
                Err(Error::Server(error)) if error.code == 1020 && !runs_again => {
                    conn.query_drop("ROLLBACK").await.unwrap();
                }
                outcome => panic!("{kept}: {outcome:?}"),
            }
        }
        let rows: Option<(u32, u32)> =
            conn.query_first("SELECT (SELECT COUNT(*) FROM shop.kept), n FROM shop.hot WHERE id = 1").await.unwrap();
        assert_eq!(rows, Some((1, 3)));
    });
}

/// The writer dies while files are loaded.
async fn lost_loads(lab: &Lab, proxy: &Proxy) {
    make_whole(lab, proxy);
    proxy.sql("CREATE TABLE shop.files (id INT PRIMARY KEY)");
    let writer = lab.nodes().iter().find(|node| is_writer(proxy, node.name())).unwrap();
    let mut rival = connect(writer.address()).await;
    let loaders = files::begin(proxy.address(), writer, &mut rival).await;
    writer.kill().unwrap();
    files::end(proxy.address(), loaders).await;
}

/// All nodes are there, and the proxy knows.
fn make_whole(lab: &Lab, proxy: &Proxy) {
    lab.nodes().iter().filter(|node| !node.serves()).for_each(|node| node.start().unwrap());
    assert!(until(WHOLE_MAX, || support::is_one_cluster(lab.nodes().iter())));
    let fit = || support::succeeded(&proxy.command(&["list", "servers"])).matches("Synced, Running").count() == 3;
    assert!(until(WHOLE_MAX, fit));
}

/// The writer dies within conversations that have everything in them.
fn every_kind(lab: &Lab, proxy: &Proxy) {
    let table = "CREATE OR REPLACE TABLE shop.kinds (id INT PRIMARY KEY, b LONGTEXT)";
    proxy.sql(table);
    let undisturbed = Talks::begin(proxy.address()).end();
    // Writes that are read only, keys that are there, a cursor and a statement that are closed.
    let errors = undisturbed.iter().filter(|(_, answer)| answer.iter().any(|line| line.contains(r" \xff")));
    assert_eq!(errors.count(), 8);
    proxy.sql(table);
    let talks = Talks::begin(proxy.address());
    let writer = lab.nodes().iter().find(|node| is_writer(proxy, node.name())).unwrap();
    writer.kill().unwrap();
    let answers = talks.end();
    for ((asked, undisturbed), (_, answer)) in undisturbed.iter().zip(&answers) {
        assert_eq!(answer, undisturbed, "{asked}");
    }
    assert_eq!(answers.len(), undisturbed.len());
}

fn is_writer(proxy: &Proxy, name: &str) -> bool {
    let servers = support::succeeded(&proxy.command(&["list", "servers"]));
    servers.lines().any(|line| line.contains(name) && line.contains("Master, Synced, Running"))
}

/// Writes on another node that are certified first abort what the sessions do; nobody is told.
async fn storms(lab: &Lab, proxy: &Proxy) {
    let other = lab.node("galera-72").unwrap().address();
    let rival = tokio::spawn(async move {
        let mut conn = connect(other).await;
        let mut done = 0;
        for _ in 0..150 {
            match conn.query_drop("UPDATE shop.hot SET n = n + 1 WHERE id = 1").await {
                // Not before the row has come to this node.
                Ok(()) => done += conn.affected_rows() as i64,
                Err(Error::Server(error)) if error.code == 1213 => {}
                Err(error) => panic!("{error}"),
            }
        }
        done
    });
    let transactions = (0..2).map(|client| {
        let address = proxy.address();
        tokio::spawn(async move {
            let mut conn = connect(address).await;
            for round in 0..60 {
                if client == 0 {
                    let update = "UPDATE shop.hot SET n = n + 1 WHERE id = ?";
                    conn.query_drop("BEGIN").await.unwrap();
                    conn.exec_drop(update, (2,)).await.unwrap();
                    conn.exec_drop(update, (1,)).await.unwrap();
                    conn.query_drop("COMMIT").await.unwrap();
                } else {
                    conn.query_drop(format!("UPDATE shop.hot SET n = n + 1 /* {round} */ WHERE id = 1")).await.unwrap();
                }
            }
        })
    });
    for transaction in transactions.collect::<Vec<_>>() {
        transaction.await.unwrap();
    }
    let rivals = rival.await.unwrap();
    let mut conn = connect(proxy.address()).await;
    let sums: Vec<i64> = conn.query("SELECT n FROM shop.hot ORDER BY id").await.unwrap();
    assert_eq!(sums, [120 + rivals, 60]);
}

/// A write on another node aborts a transaction while rows of it arrive: its client gets the others.
async fn aborted_within_rows(lab: &Lab, proxy: &Proxy) {
    let (writer, other) = (lab.node("galera-71").unwrap(), lab.node("galera-72").unwrap());
    let count =
        "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'wsrep_local_bf_aborts'";
    let aborts = || writer.value(count).unwrap().unwrap();
    let mut conn = connect(proxy.address()).await;
    conn.query_drop("BEGIN").await.unwrap();
    conn.query_drop("UPDATE shop.hot SET n = n + 1 WHERE id = 2").await.unwrap();
    let rows = first_row(&mut conn, "0").await;
    let before = aborts();
    other.sql("UPDATE shop.hot SET n = n + 10 WHERE id = 2").unwrap();
    assert!(until(WHOLE_MAX, || aborts() != before));
    let (last, end) = more_rows(rows).await;
    assert_eq!((end.is_ok(), last), (true, ROWS), "{end:?}");
    let sums = "SELECT n FROM shop.hot WHERE id = 2";
    assert_eq!(conn.query_first::<i64, _>(sums).await.unwrap(), Some(71));
    conn.query_drop("COMMIT").await.unwrap();
    assert_eq!(conn.query_first::<i64, _>(sums).await.unwrap(), Some(71));
}

/// What a transaction changes has been changed since it began to read, which nodes of 11.8 refuse by default: it runs again. If it has
/// read that very row, it would be told something else now, and is told so.
async fn outrun(proxy: &Proxy) {
    let (mut conn, mut rival) = (connect(proxy.address()).await, connect(proxy.address()).await);
    conn.query_drop("SET innodb_snapshot_isolation = ON").await.unwrap();
    conn.query_drop("UPDATE shop.hot SET n = 0").await.unwrap();
    for (reads, expected) in [(2, 101), (1, 201)] {
        conn.query_drop("BEGIN").await.unwrap();
        conn.query_drop("UPDATE shop.hot SET n = n + 1 WHERE id = 2").await.unwrap();
        conn.query_drop(format!("SELECT n FROM shop.hot WHERE id = {reads}")).await.unwrap();
        rival.query_drop("UPDATE shop.hot SET n = n + 100 WHERE id = 1").await.unwrap();
        let change = "UPDATE shop.hot SET n = n + 1 WHERE id = 1";
        match (reads, conn.query_drop(change).await) {
            (2, outcome) => outcome.unwrap(),
            (_, Err(Error::Server(error))) if error.code == 1020 => conn.query_drop("ROLLBACK").await.unwrap(),
            (_, outcome) => panic!("{outcome:?}"),
        }
        conn.query_drop("COMMIT").await.unwrap();
        let sums: Vec<i64> = conn.query("SELECT n FROM shop.hot ORDER BY id").await.unwrap();
        assert_eq!(sums, [expected, 1]);
    }
}

/// A reader dies while its rows arrive: the rest comes from another node. Where that has other rows, the client is told.
async fn lost_readers(lab: &Lab, proxy: &Proxy) {
    for values in ["0", "RAND()"] {
        let mut conn = connect(proxy.address()).await;
        let result = first_row(&mut conn, values).await;
        let busy = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%seq_1_to_60000%' AND ID <> CONNECTION_ID()";
        let reader = lab.nodes().iter().find(|node| node.value(busy).unwrap().unwrap() != "0").unwrap();
        assert_ne!(reader.name(), "galera-71");
        reader.kill().unwrap();
        let (last, end) = more_rows(result).await;
        if values == "0" {
            assert_eq!((end.is_ok(), last), (true, ROWS), "{end:?}");
        } else {
            assert!(end.is_err() && last < ROWS, "{last}: {end:?}");
        }
        make_whole(lab, proxy);
    }
}

/// Asks for many rows, and takes the first one.
async fn first_row<'a>(conn: &'a mut Conn, values: &str) -> QueryResult<'a, 'static, TextProtocol> {
    let sql = format!("SELECT seq, {values}, REPEAT('r', 1000) FROM shop.seq_1_to_{ROWS} ORDER BY seq");
    let mut result = conn.query_iter(sql).await.unwrap();
    assert_eq!(result.next().await.unwrap().unwrap().get::<i64, _>(0), Some(1));
    result
}

/// Takes the others, as many as come.
async fn more_rows(mut result: QueryResult<'_, 'static, TextProtocol>) -> (i64, Result<(), Error>) {
    let mut last = 1;
    loop {
        match result.next().await {
            Ok(Some(row)) => {
                let next = row.get::<i64, _>(0).unwrap();
                assert_eq!(next, last + 1);
                last = next;
            }
            Ok(None) => return (last, Ok(())),
            Err(error) => return (last, Err(error)),
        }
    }
}

/// The writer dies within transactions: they go on as if nothing had been, with the ids and values their clients have seen.
async fn lost_writers(lab: &Lab, proxy: &Proxy) {
    let mut idle = connect(proxy.address()).await;
    idle.query_drop("SET @before = 'kept'").await.unwrap();
    idle.query_drop("USE shop").await.unwrap();
    idle.query_drop("BEGIN").await.unwrap();
    let _: Option<i64> = idle.query_first("SELECT n FROM hot WHERE id = 1").await.unwrap();
    idle.query_drop("USE mysql").await.unwrap();
    idle.exec_drop("INSERT INTO shop.t (a, at) VALUES (?, NOW(6)), (2, NOW(6))", (1,)).await.unwrap();
    let id = idle.last_insert_id().unwrap();
    let before: Vec<(i64, i64)> =
        idle.query(format!("SELECT id, a FROM shop.t WHERE id >= {id} ORDER BY id")).await.unwrap();
    assert_eq!(before.len(), 2);
    idle.query_drop("SET @within = @before").await.unwrap();
    let mut stale = connect(proxy.address()).await;
    stale.query_drop("BEGIN").await.unwrap();
    let _: Option<i64> = stale.query_first("SELECT n FROM shop.hot WHERE id = 2").await.unwrap();
    stale.query_drop("INSERT INTO shop.t (a) VALUES (77)").await.unwrap();
    let (mut reading, mut dicing) = (connect(proxy.address()).await, connect(proxy.address()).await);
    for (conn, value) in [(&mut reading, 55), (&mut dicing, 66)] {
        conn.query_drop("BEGIN").await.unwrap();
        conn.query_drop(format!("INSERT INTO shop.t (a) VALUES ({value})")).await.unwrap();
    }
    let count = |value| format!("(SELECT COUNT(*) FROM shop.t WHERE a = {value})");
    let rows = first_row(&mut reading, &count(55)).await;
    let dice = first_row(&mut dicing, "RAND()").await;

    lab.node("galera-71").unwrap().kill().unwrap();
    // The same rows are not there any more when the second one runs again.
    let mut other = connect(proxy.address()).await;
    other.query_drop("UPDATE shop.hot SET n = n + 1000 WHERE id = 2").await.unwrap();

    let kept: Option<(String, i64, String)> =
        idle.query_first("SELECT CONCAT(@before, @within), LAST_INSERT_ID(), DATABASE()").await.unwrap();
    assert_eq!(kept, Some(("keptkept".to_owned(), id as i64, "mysql".to_owned())));
    idle.exec_drop("INSERT INTO shop.t (a) VALUES (?)", (3,)).await.unwrap();
    idle.query_drop("COMMIT").await.unwrap();
    let after: Vec<(i64, i64)> =
        idle.query(format!("SELECT id, a FROM shop.t WHERE id >= {id} ORDER BY id")).await.unwrap();
    assert_eq!((&after[..2], after.len(), after[2].1), (&before[..], 3, 3));

    let error = stale.query_drop("COMMIT").await.unwrap_err();
    assert!(matches!(&error, Error::Server(error) if error.code == 1213 && error.state == "40001"), "{error}");
    let open: Option<(i64, i64)> =
        stale.query_first("SELECT @@in_transaction, (SELECT COUNT(*) FROM shop.t WHERE a = 77)").await.unwrap();
    assert_eq!(open, Some((0, 0)), "it is rolled back, and the session goes on");

    // Those that were getting rows: one gets the others, the other one is told.
    let (last, end) = more_rows(rows).await;
    assert_eq!((end.is_ok(), last), (true, ROWS), "{end:?}");
    reading.query_drop("COMMIT").await.unwrap();
    let (last, end) = more_rows(dice).await;
    assert!(end.is_err() && last < ROWS, "{last}: {end:?}");
    let left: Option<(i64, i64)> = reading.query_first(format!("SELECT {}, {}", count(55), count(66))).await.unwrap();
    assert_eq!(left, Some((1, 0)));
    let node = lab.node("galera-71").unwrap();
    node.start().unwrap();
    assert!(until(WHOLE_MAX, || node.serves()));
}
