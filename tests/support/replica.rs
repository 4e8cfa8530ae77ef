//! A replica of a cluster on a proxy's 4007, and a client that writes meanwhile: for tests and benches of takeovers.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use oarlock::admin::http::{Server, Service};
use oarlock::gtid::Position;
use oarlock::lab::{APP_PASSWORD, APP_USER, Lab, Node, REPLICATION_USER, SITE_PASSWORD, until};

use crate::support::Proxy;

/// Longer than anything here takes on a loaded machine.
pub const SOON: Duration = Duration::from_secs(60);
pub const MASTER: &str = "Master, Synced, Running";

/// Makes the replica follow the proxy, and waits until it does.
pub fn follow(replica: &Node, proxy: &Proxy, more: &str) {
    let (host, user) = (proxy.address().ip().to_string(), REPLICATION_USER);
    let more = if more.is_empty() { String::new() } else { format!(", {more}") };
    let sql = format!(
        "STOP SLAVE; CHANGE MASTER TO MASTER_HOST = '{host}', MASTER_PORT = 4007, MASTER_USER = '{user}',
            MASTER_PASSWORD = '{SITE_PASSWORD}', MASTER_CONNECT_RETRY = 2, MASTER_USE_GTID = slave_pos, MASTER_SSL = 0{more};
        START SLAVE"
    );
    replica.sql(&sql).unwrap();
    let runs = || status(replica, "Slave_IO_Running") == "Yes";
    assert!(until(SOON, runs), "{:?}\n{}", replica.sql("SHOW SLAVE STATUS"), proxy.log());
}

/// A value of SHOW SLAVE STATUS, by the place of its column in 10.11.
pub fn status(replica: &Node, name: &str) -> String {
    let place = match name {
        "Master_Log_File" => 5,
        "Read_Master_Log_Pos" => 6,
        "Slave_IO_Running" => 10,
        "Slave_SQL_Running" => 11,
        "Last_IO_Errno" => 34,
        "Last_IO_Error" => 35,
        "Gtid_IO_Pos" => 43,
        _ => panic!("{name}"),
    };
    let rows = replica.sql("SHOW SLAVE STATUS").unwrap();
    rows.first().and_then(|row| row[place].clone()).unwrap_or_default()
}

/// One client that writes without end, each row once, whatever it is told.
#[derive(Default)]
pub struct Writes {
    stop: AtomicBool,
    pub ended: AtomicBool,
    pub done: AtomicUsize,
}

/// Ends the writes, also when the test fails meanwhile.
pub struct Stop<'a>(pub &'a Writes);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

impl Writes {
    pub fn run(&self, proxy: SocketAddrV4) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut conn = None;
            while !self.stop.load(Ordering::Relaxed) {
                if conn.is_none() {
                    conn = connect(proxy).await.ok();
                }
                let Some(client) = &mut conn else { continue };
                let number = self.done.load(Ordering::Relaxed);
                let sql = match number % 50 {
                    49 => "UPDATE shop.t SET v = v + 1 ORDER BY id DESC LIMIT 40".to_owned(),
                    number => format!("INSERT INTO shop.t (v, w) VALUES ({number}, REPEAT('x', {number}))"),
                };
                match client.query_drop(sql).await {
                    Ok(()) => drop(self.done.fetch_add(1, Ordering::Relaxed)),
                    Err(_) => conn = None,
                }
            }
        });
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Waits for so many more.
    pub fn more(&self, more: usize) {
        let goal = self.done.load(Ordering::Relaxed) + more;
        assert!(until(SOON, || self.done.load(Ordering::Relaxed) >= goal), "writes stand still");
    }
}

async fn connect(proxy: SocketAddrV4) -> mysql_async::Result<Conn> {
    let options = OptsBuilder::default()
        .ip_or_hostname(proxy.ip().to_string())
        .tcp_port(proxy.port())
        .user(Some(APP_USER))
        .pass(Some(APP_PASSWORD))
        .prefer_socket(false)
        .max_allowed_packet(Some(1 << 24))
        .wait_timeout(Some(3600));
    Conn::new(options).await
}

/// The nodes as the proxy sees them.
pub fn servers(proxy: &Proxy) -> Vec<Server> {
    let mut answer = ureq::get(format!("http://{}/v1/servers", proxy.admin())).call().unwrap();
    answer.body_mut().read_json().unwrap()
}

/// The writer as the proxy sees it.
pub fn writer<'a>(lab: &'a Lab, proxy: &Proxy) -> Option<&'a Node> {
    let servers = servers(proxy);
    let master = servers.iter().find(|server| server.state == MASTER)?;
    lab.node(&master.name).ok()
}

/// Sessions that the replication service has had.
pub fn connections(proxy: &Proxy) -> u64 {
    let mut answer = ureq::get(format!("http://{}/v1/services", proxy.admin())).call().unwrap();
    let services: Vec<Service> = answer.body_mut().read_json().unwrap();
    services.into_iter().find(|service| service.service == "replicas").unwrap().total_connections
}

fn log_of(node: &Node) -> String {
    std::fs::read_to_string(node.log()).unwrap_or_default()
}

/// Bytes of its error log.
pub fn log_length(node: &Node) -> usize {
    log_of(node).len()
}

/// What its error log says behind these.
pub fn new_lines(node: &Node, from: usize) -> String {
    log_of(node).split_off(from)
}

/// A position of a node.
pub fn position(node: &Node, variable: &str) -> Position {
    node.value(&format!("SELECT @@{variable}")).unwrap().unwrap_or_default().parse().unwrap()
}

/// The cluster's own domain: nodes have others, which they keep to themselves.
pub fn cluster_sequence(position: &Position) -> u64 {
    position.get(70).map_or(0, |gtid| gtid.sequence)
}

/// Waits until the replica has all that the cluster has, and compares.
pub fn the_same_everywhere(lab: &Lab, replica: &Node) {
    let nodes: Vec<_> = lab.nodes().iter().filter(|node| node.name() != replica.name() && node.serves()).collect();
    let checksum = |node: &Node| {
        node.value("SELECT CONCAT(COUNT(*), ' ', COALESCE(SUM(id), 0), ' ', COALESCE(BIT_XOR(CRC32(CONCAT(id, '-', v, '-', w))), 0)) FROM shop.t").unwrap()
    };
    let ahead = nodes.iter().map(|node| cluster_sequence(&position(node, "gtid_binlog_pos"))).max().unwrap();
    let there = |node: &Node| cluster_sequence(&position(node, "gtid_binlog_pos")) >= ahead;
    let all =
        || nodes.iter().all(|node| there(node)) && cluster_sequence(&position(replica, "gtid_slave_pos")) >= ahead;
    assert!(until(SOON, all), "{ahead}: {:?}", replica.sql("SHOW SLAVE STATUS"));
    let on_replica = checksum(replica);
    for node in nodes {
        assert_eq!(checksum(node), on_replica, "{}", node.name());
        let (there, here) = (position(node, "gtid_binlog_pos").get(70), position(replica, "gtid_slave_pos").get(70));
        assert_eq!(there, here, "{}", node.name());
    }
}

/// The replica goes on receiving.
pub fn goes_on(replica: &Node) {
    let at = || cluster_sequence(&position(replica, "gtid_slave_pos"));
    let before = at();
    assert!(
        until(SOON, || at() > before + 20),
        "the replica stands still at {before}: {:?}",
        replica.sql("SHOW SLAVE STATUS")
    );
}

/// Throws a node's binary log away but for the file it writes to. A server keeps the one before until it has noted in the new one that
/// all of it is in its tables, and says nothing of that.
pub fn purge(node: &Node) {
    let file = node.sql("FLUSH BINARY LOGS; SHOW MASTER STATUS").unwrap()[0][0].clone().unwrap();
    let is_purged = || node.sql(&format!("PURGE BINARY LOGS TO '{file}'; SHOW BINARY LOGS")).unwrap().len() == 1;
    assert!(until(SOON, is_purged), "{:?}", node.sql("SHOW BINARY LOGS"));
}

/// The node that the newest dump comes from, as the proxy's log says.
pub fn source_of_dump(proxy: &Proxy) -> String {
    let text = proxy.log();
    let last = text.lines().rev().find(|line| line.contains("takeover of a dump") || line.contains("a dump begins"));
    let last = last.unwrap_or_default();
    let marks = if last.contains(" to=") { " to=" } else { " node=" };
    last.split(marks).nth(1).unwrap_or_default().split(' ').next().unwrap_or_default().trim_matches('"').to_owned()
}

/// Waits until another process serves the replica that one has let go; for how long it had no source, as their log says.
pub fn without_source(proxy: &Proxy) -> Duration {
    let lines = |word: &str, after: f64| -> Option<f64> {
        let log = proxy.log();
        let times = log.lines().filter(|line| line.contains(word)).map(second_of_day);
        times.into_iter().find(|time| *time > after)
    };
    let ended = || lines("the dump ends: another process serves the replica", 0.0);
    assert!(until(SOON, || ended().is_some()), "{}", proxy.log());
    let ended = ended().unwrap();
    let begins = || lines("a dump begins", ended);
    assert!(until(SOON, || begins().is_some()), "{}", proxy.log());
    Duration::from_secs_f64(begins().unwrap() - ended)
}

/// When a line of the log was written: `2026-01-02T03:04:05.678901Z ...`.
fn second_of_day(line: &str) -> f64 {
    let time = line.split(['T', 'Z']).nth(1).unwrap_or_default();
    time.split(':').fold(0.0, |seconds, part| seconds * 60.0 + part.parse::<f64>().unwrap_or_default())
}
