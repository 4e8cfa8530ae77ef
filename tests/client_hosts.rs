//! Nodes that are told by the PROXY protocol who a client is: accounts of certain hosts are the client's, for sessions, pooled
//! connections and dumps; and a node that does not believe it is named.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use oarlock::lab::{Lab, Node, Site, until};
use support::{Proxy, succeeded};

const SOON: Duration = Duration::from_secs(60);
/// Where clients come from: the one that has an account of its own, and another one.
const HOST: u8 = 9;
const OTHER: u8 = 10;
/// What is asked on the writer and on a reader: who the client is there, as which account, and what the process list has.
const WHO: &str = "CONCAT_WS(' ', USER(), CURRENT_USER(), (SELECT SUBSTRING_INDEX(HOST, ':', 1) FROM information_schema.PROCESSLIST \
    WHERE ID = CONNECTION_ID()))";

#[test]
fn accounts_are_of_the_clients_hosts() {
    let lab = Lab::builder().galera(2).start().unwrap();
    let address = lab.proxy_address(Site::Primary);
    trust(&lab, "*");
    let (host, other) = (lab.address(HOST), lab.address(OTHER));
    let accounts = format!(
        "CREATE USER u@'{host}' IDENTIFIED BY 'pw'; GRANT REPLICATION SLAVE ON *.* TO u@'{host}';
         CREATE USER v@'127.%' IDENTIFIED BY 'pw'; CREATE USER v@'{host}' IDENTIFIED BY 'pw'; GRANT PROCESS ON *.* TO v@'{host}'"
    );
    lab.nodes()[0].sql(&accounts).unwrap();
    let text = lab.config_toml(Site::Primary, address).replace("[[node]]\n", "[[node]]\nproxy_protocol = true\n");
    let text = text.replacen("[site]\n", "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n", 1);
    let proxy = Proxy::launch(address, &text);
    assert!(until(SOON, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());

    for node in lab.nodes() {
        let asks = format!("/* oarlock: node {} */ SELECT {WHO}", node.name());
        assert_eq!(
            succeeded(&client(&proxy, HOST, "u", &asks)),
            format!("u@{host} u@{host} {host}"),
            "{}",
            node.name()
        );
        // The second of each pair finds a connection in the pool: not the other host's.
        for _ in 0..2 {
            assert_eq!(succeeded(&client(&proxy, HOST, "v", &asks)), format!("v@{host} v@{host} {host}"));
            assert_eq!(succeeded(&client(&proxy, OTHER, "v", &asks)), format!("v@{other} v@127.% {other}"));
        }
    }
    let refused = client(&proxy, OTHER, "u", "SELECT 1");
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(why.contains(&format!("Access denied for user 'u'@'{other}'")), "{why}");

    a_dump_is_the_replicas(&lab, &proxy);
    a_node_that_does_not_believe_it(&lab, &proxy);
}

/// From whom all nodes believe it.
fn trust(lab: &Lab, networks: &str) {
    lab.nodes().iter().for_each(|node| believe(node, networks));
}

fn believe(node: &Node, networks: &str) {
    node.sql(&format!("SET GLOBAL proxy_protocol_networks = '{networks}'")).unwrap();
}

/// Also on the second node, whose connection the proxy has made by itself.
fn a_dump_is_the_replicas(lab: &Lab, proxy: &Proxy) {
    let mut replica = Reading(python(proxy, HOST, "u", 4007, DUMP).spawn().unwrap());
    for (node, next) in [("galera-71", "galera-72"), ("galera-72", "galera-71")] {
        let dumps = format!(
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND = 'Binlog Dump' AND USER = 'u' AND HOST LIKE '{}:%'",
            lab.address(HOST)
        );
        let node = lab.node(node).unwrap();
        assert!(until(SOON, || node.value(&dumps).unwrap().as_deref() == Some("1")), "{}", proxy.log());
        succeeded(&proxy.command(&["switch-writer", next]));
    }
    assert!(replica.0.try_wait().unwrap().is_none(), "it was served all the time");
}

/// It gets no work, as nobody could log in there; and says so, as long as that is so.
fn a_node_that_does_not_believe_it(lab: &Lab, proxy: &Proxy) {
    let node = lab.node("galera-72").unwrap();
    let shown = || succeeded(&proxy.command(&["list", "servers"]));
    let line = || shown().lines().find(|line| line.contains("galera-72")).unwrap_or_default().to_owned();
    believe(node, "10.0.0.0/8");
    assert!(until(SOON, || line().contains("Auth Error")), "{}", shown());
    assert!(proxy.log().contains("its proxy_protocol_networks must have that"), "{}", proxy.log());
    assert_eq!(succeeded(&client(proxy, HOST, "u", "SELECT 5")), "5");
    let audit = Command::new(env!("CARGO_BIN_EXE_oarlock"));
    let found = audited(audit, proxy);
    assert!(found.contains("error: galera-72: it does not take the PROXY protocol from this proxy at "), "{found}");
    assert!(!found.contains("galera-71: it does not take"), "{found}");
    believe(node, "127.0.0.0/8");
    assert!(until(SOON, || line().contains("Synced, Running")), "{}", shown());
}

fn audited(mut command: Command, proxy: &Proxy) -> String {
    let output = command.args(["audit", "--config"]).arg(proxy.config_file()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

struct Reading(Child);

impl Drop for Reading {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client at an address of its own.
fn client(proxy: &Proxy, from: u8, user: &str, sql: &str) -> Output {
    python(proxy, from, user, 4006, &format!("cursor.execute({sql:?})\nprint(cursor.fetchone()[0])\n"))
        .output()
        .unwrap()
}

/// Reads for ever from the first transaction on.
const DUMP: &str = "
cursor.execute('SET @mariadb_slave_capability = 4, @master_binlog_checksum = @@global.binlog_checksum')
cursor.execute(\"SET @slave_connect_state = ''\")
connection._execute_command(18, (4).to_bytes(4, 'little') + bytes(2) + (77).to_bytes(4, 'little'))
while True: connection._read_packet()
";

fn python(proxy: &Proxy, from: u8, user: &str, port: u16, script: &str) -> Command {
    let host = *proxy.address().ip();
    let [a, b, c, _] = host.octets();
    let login = format!(
        "import pymysql, sys
try:
    connection = pymysql.connect(host='{host}', port={port}, user='{user}', password='pw', bind_address='{a}.{b}.{c}.{from}')
except pymysql.Error as error: sys.exit(str(error))
cursor = connection.cursor()
"
    );
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", &format!("{login}{script}")]).stdin(Stdio::null());
    command
}
