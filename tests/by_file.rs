//! A replica that reads by file and position, which mean something on one server only: it loses its connection with that server, comes
//! again by itself, and misses nothing. On real servers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/replica.rs"]
mod replica;
mod support;

use oarlock::lab::{Lab, Node, REPLICATION_USER, SITE_PASSWORD, Site, until};
use replica::{SOON, Stop, Writes, connections, status};
use support::Proxy;

#[test]
fn a_replica_by_file_and_position_comes_again() {
    let lab = Lab::builder().galera(2).standalone(true).start().unwrap();
    let proxy = Proxy::start(&lab, Site::Dr);
    let (node, replica) = (lab.node("server-81").unwrap(), lab.node("galera-71").unwrap());
    follow_by_file(replica, node, &proxy);
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT, w VARCHAR(300))");
    let writes = Writes::default();
    std::thread::scope(|scope| {
        scope.spawn(|| writes.run(proxy.address()));
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
    });
    let rows =
        |node: &Node| node.value("SELECT CONCAT(COUNT(*), ' ', SUM(CRC32(CONCAT_WS(' ', id, v, w)))) FROM shop.t");
    let same = || rows(replica).unwrap() == rows(node).unwrap();
    assert!(until(SOON, same), "{:?} {:?} {:?}", rows(node), rows(replica), replica.sql("SHOW SLAVE STATUS"));
    assert!(connections(&proxy) >= 3);
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
