//! A replica that reads by file and position, which mean something on one server only: it loses its connection with that server, comes
//! again by itself, and misses nothing; where that server is not the one that it would get, it is told so. On real servers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/replica.rs"]
mod replica;
mod support;

use std::process::Child;

use oarlock::lab::{Lab, Node, REPLICATION_USER, SITE_PASSWORD, Site, until};
use replica::{SOON, Stop, Writes, connections, status};
use support::{Proxy, succeeded};

#[test]
fn a_replica_by_file_and_position_comes_again() {
    let lab = Lab::builder().galera(2).standalone(true).start().unwrap();
    let mut proxy = Proxy::start(&lab, Site::Dr);
    let (node, replica) = (lab.node("server-81").unwrap(), lab.node("galera-71").unwrap());
    follow_by_file(replica, node, &proxy);
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT, w VARCHAR(300))");
    let (writes, address) = (Writes::default(), proxy.address());
    let mut old = std::thread::scope(|scope| {
        scope.spawn(|| writes.run(address));
        let _stop = Stop(&writes);
        writes.more(100);
        loses_its_connection(&proxy, || node.stop().unwrap());
        node.start().unwrap();
        node.wait_started().unwrap();
        writes.more(100);
        goes_on(replica);
        // A frozen server closes nothing.
        loses_its_connection(&proxy, || node.freeze().unwrap());
        node.thaw().unwrap();
        writes.more(100);
        goes_on(replica);
        let old = another_process_takes_over(&mut proxy, replica);
        writes.more(100);
        goes_on(replica);
        old
    });
    assert!(old.wait().unwrap().success());
    let rows =
        |node: &Node| node.value("SELECT CONCAT(COUNT(*), ' ', SUM(CRC32(CONCAT_WS(' ', id, v, w)))) FROM shop.t");
    let same = || rows(replica).unwrap() == rows(node).unwrap();
    assert!(until(SOON, same), "{:?} {:?} {:?}", rows(node), rows(replica), replica.sql("SHOW SLAVE STATUS"));
    assert_eq!(connections(&proxy), 1, "of the newer process");
    the_log_is_begun_anew(&proxy, node, replica);
}

/// It comes again there, at once: long before it would try a second time.
fn another_process_takes_over(proxy: &mut Proxy, replica: &Node) -> Child {
    assert!(connections(proxy) >= 3);
    let retry = "STOP SLAVE; CHANGE MASTER TO MASTER_CONNECT_RETRY = 50; START SLAVE";
    let begun = || proxy.log().matches("a dump begins").count();
    let before = begun();
    replica.sql(retry).unwrap();
    assert!(until(SOON, || begun() > before), "{}", proxy.log());
    goes_on(replica);
    let old = proxy.take_over();
    let gap = replica::without_source(proxy);
    println!("the replica by file and position was without a source for {gap:?}");
    assert_eq!(status(replica, "Last_IO_Errno"), "0");
    old
}

/// The server has a file of that name again, and the position that the replica asks for.
fn the_log_is_begun_anew(proxy: &Proxy, node: &Node, replica: &Node) {
    replica.sql("STOP SLAVE").unwrap();
    let place = |node: &Node| {
        let row = node.sql("SHOW MASTER STATUS").unwrap().remove(0);
        (row[0].clone().unwrap(), row[1].as_deref().unwrap().parse::<u64>().unwrap())
    };
    let file = status(replica, "Master_Log_File");
    let position: u64 = status(replica, "Read_Master_Log_Pos").parse().unwrap();
    node.sql("RESET MASTER").unwrap();
    while place(node).0 != file {
        node.sql("FLUSH BINARY LOGS").unwrap();
    }
    while place(node).1 <= position {
        proxy.sql("INSERT INTO shop.t (v, w) SELECT seq, REPEAT('x', 300) FROM shop.seq_1_to_200");
    }
    replica.sql("START SLAVE").unwrap();
    is_refused(replica, &["server-81 has another", &file, "begun anew"]);
}

/// The I/O thread has stopped, and says why.
fn is_refused(replica: &Node, words: &[&str]) {
    let is_told = || status(replica, "Last_IO_Errno") == "1236";
    assert!(until(SOON, is_told), "{:?}", replica.sql("SHOW SLAVE STATUS"));
    let text = status(replica, "Last_IO_Error");
    println!("{text}");
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert!(text.contains("CHANGE MASTER TO MASTER_USE_GTID = slave_pos"), "{text}");
}

/// A file of the same name on the next writer has other transactions at the same place. What the replica is told to do helps.
#[test]
fn a_replica_by_file_and_position_is_not_led_astray() {
    let lab = Lab::builder().galera(2).standalone(true).start().unwrap();
    let mut proxy = Proxy::start(&lab, Site::Primary);
    let (first, next) = (lab.node("galera-71").unwrap(), lab.node("galera-72").unwrap());
    let replica = lab.node("server-81").unwrap();
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT, w VARCHAR(300))");
    replica
        .sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT, w VARCHAR(300))")
        .unwrap();
    follow_by_file(replica, first, &proxy);
    let write = |proxy: &Proxy, v: u32| proxy.sql(&format!("INSERT INTO shop.t (v, w) VALUES ({v}, 'x')"));
    let there = |v: u32| {
        let found = || replica.value(&format!("SELECT w FROM shop.t WHERE v = {v}")).unwrap().is_some();
        assert!(until(SOON, found), "{v}: {:?}", replica.sql("SHOW SLAVE STATUS"));
    };
    write(&proxy, 1);
    there(1);
    // Its files have other names from here on.
    next.sql("FLUSH BINARY LOGS").unwrap();
    succeeded(&proxy.command(&["switch-writer", "galera-72"]));
    write(&proxy, 2);
    // The old writer goes on for as long as nothing happens to it, also if another process takes over.
    there(2);
    let mut old = proxy.take_over();
    let has = || proxy.log().contains("another process has taken over");
    assert!(until(SOON, has), "{}", proxy.log());
    write(&proxy, 20);
    there(20);
    let dumps = "SELECT id FROM information_schema.processlist WHERE command = 'Binlog Dump'";
    first.sql(&format!("KILL {}", first.value(dumps).unwrap().unwrap())).unwrap();
    write(&proxy, 3);
    let words = ["is for this replica a file of galera-71, and the writer is galera-72"];
    is_refused(replica, &words);
    assert!(old.wait().unwrap().success(), "nobody is left there");
    proxy.restart();
    replica.sql("STOP SLAVE; START SLAVE").unwrap();
    is_refused(replica, &words);
    replica.sql("STOP SLAVE; CHANGE MASTER TO MASTER_USE_GTID = slave_pos; START SLAVE").unwrap();
    there(3);
    // It has read by GTIDs, so a place in any node's log is as good as another.
    replica.sql("STOP SLAVE").unwrap();
    write(&proxy, 4);
    follow_by_file(replica, next, &proxy);
    write(&proxy, 5);
    there(5);
    assert_eq!(replica.value("SELECT COUNT(*) FROM shop.t").unwrap().as_deref(), Some("5"));
}

/// From where the node is now.
fn follow_by_file(replica: &Node, node: &Node, proxy: &Proxy) {
    let place = node.sql("SHOW MASTER STATUS").unwrap().remove(0);
    let [Some(file), Some(offset)] = &place[..2] else { panic!("{place:?}") };
    let (host, user) = (proxy.address().ip().to_string(), REPLICATION_USER);
    let sql = format!(
        "STOP SLAVE; CHANGE MASTER TO MASTER_HOST = '{host}', MASTER_PORT = 4007, MASTER_USER = '{user}',
            MASTER_PASSWORD = '{SITE_PASSWORD}', MASTER_CONNECT_RETRY = 1, MASTER_USE_GTID = no,
            MASTER_LOG_FILE = '{file}', MASTER_LOG_POS = {offset}, MASTER_HEARTBEAT_PERIOD = 0.5;
        START SLAVE"
    );
    replica.sql(&sql).unwrap();
    goes_on(replica);
}

fn goes_on(replica: &Node) {
    let runs = || status(replica, "Slave_IO_Running") == "Yes" && status(replica, "Slave_SQL_Running") == "Yes";
    assert!(until(SOON, runs), "{:?}", replica.sql("SHOW SLAVE STATUS"));
}

fn loses_its_connection(proxy: &Proxy, how: impl FnOnce()) {
    let ends = || proxy.log().matches("the dump ends with its source").count();
    let before = ends();
    how();
    assert!(until(SOON, || ends() == before + 1), "{}", proxy.log());
}
