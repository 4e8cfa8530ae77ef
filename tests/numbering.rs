//! Nodes that give the cluster's transactions other GTIDs than the other nodes do: a replica must neither get a transaction twice nor
//! miss one by them. On real servers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/replica.rs"]
mod replica;
mod support;

use oarlock::lab::{Lab, Node, Site, until};
use replica::{SOON, cluster_sequence, follow, position, servers, source_of_dump, the_same_everywhere, writer};
use support::{Proxy, succeeded};

#[test]
fn nodes_that_number_otherwise_are_no_sources() {
    let lab = Lab::builder().galera(3).standalone(true).fast_eviction(true).start().unwrap();
    let proxy = Proxy::start(&lab, Site::Primary);
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT, w VARCHAR(300))");
    proxy.sql("CREATE TABLE shop.own (a INT PRIMARY KEY)");
    let replica = lab.node("server-81").unwrap();
    follow(replica, &proxy, "MASTER_HEARTBEAT_PERIOD = 0.5");
    insert(&proxy);
    the_same_everywhere(&lab, replica);
    assert_eq!(source_of_dump(&proxy), "galera-71");

    let [first, second, third] = [71, 72, 73].map(|number| lab.node(&format!("galera-{number}")).unwrap());
    a_reader_has_lost_the_domain(&proxy, third);
    the_writer_has_lost_the_domain(&lab, &proxy, first);
    insert(&proxy);
    the_same_everywhere(&lab, replica);
    what_it_wrote_meanwhile_is_for_nobody(&lab, &proxy, third, replica);
    one_number_for_two_transactions(&lab, &proxy, [first, second], replica);
}

fn insert(proxy: &Proxy) {
    proxy.sql("INSERT INTO shop.t (v, w) VALUES (1, 'x')");
}

fn state(proxy: &Proxy, node: &Node) -> (String, String) {
    let server = servers(proxy).into_iter().find(|server| server.name == node.name()).unwrap();
    (server.state, server.reason)
}

#[track_caller]
fn expect_state(proxy: &Proxy, node: &Node, expected: &str) {
    assert!(until(SOON, || state(proxy, node).0 == expected), "{:?}", state(proxy, node));
}

/// It writes what the cluster writes into its log as `0-7000-N`.
fn a_reader_has_lost_the_domain(proxy: &Proxy, node: &Node) {
    node.sql("SET GLOBAL wsrep_gtid_domain_id = 0").unwrap();
    expect_state(proxy, node, "Running");
    let reason = state(proxy, node).1;
    assert!(
        reason.contains("its wsrep_gtid_domain_id is 0, on the other nodes wsrep_gtid_domain_id is 70"),
        "{reason}"
    );
    (0..3).for_each(|_| insert(proxy));
    node.sql("SET GLOBAL wsrep_gtid_domain_id = 70").unwrap();
    expect_state(proxy, node, "Slave, Synced, Running");
    insert(proxy);
    let has_both = || {
        let position = node.value("SELECT @@gtid_binlog_pos").unwrap().unwrap();
        position.starts_with("0-7000-") && position.contains(",70-7000-")
    };
    assert!(until(SOON, has_both), "{:?}", node.value("SELECT @@gtid_binlog_pos"));
}

/// The role goes to another node, and the dump with it.
fn the_writer_has_lost_the_domain(lab: &Lab, proxy: &Proxy, node: &Node) {
    node.sql("SET GLOBAL wsrep_gtid_domain_id = 0").unwrap();
    expect_state(proxy, node, "Running");
    node.sql("SET GLOBAL wsrep_gtid_domain_id = 70").unwrap();
    expect_state(proxy, node, "Slave, Synced, Running");
    assert_eq!(writer(lab, proxy).map(Node::name), Some("galera-72"));
    assert!(until(SOON, || source_of_dump(proxy) == "galera-72"), "{}", source_of_dump(proxy));
}

/// It is the writer, and all it has of the cluster is right; but its log would send again what it has as `0-7000-N`.
fn what_it_wrote_meanwhile_is_for_nobody(lab: &Lab, proxy: &Proxy, node: &Node, replica: &Node) {
    succeeded(&proxy.command(&["switch-writer", node.name()]));
    let refused = || proxy.log().contains("the node's binary log has transactions of the cluster under other GTIDs");
    assert!(until(SOON, refused), "{}", proxy.log());
    assert_eq!(source_of_dump(proxy), "galera-72");
    insert(proxy);
    the_same_everywhere(lab, replica);

    // A replica that comes anew is served by others, too.
    replica.sql("STOP SLAVE; START SLAVE").unwrap();
    insert(proxy);
    the_same_everywhere(lab, replica);
    assert_ne!(source_of_dump(proxy), node.name());
}

/// Somebody has written past the cluster on a node, under the number that the cluster's next transaction gets: the node's log has the one and
/// not the other. Where nobody else can go on, the replica is told, and misses nothing.
fn one_number_for_two_transactions(lab: &Lab, proxy: &Proxy, nodes: [&Node; 2], replica: &Node) {
    let name = source_of_dump(proxy);
    let [source, other] = if nodes[0].name() == name { nodes } else { [nodes[1], nodes[0]] };
    let next = cluster_sequence(&position(other, "gtid_binlog_pos")) + 1;
    let past = format!(
        "SET SESSION wsrep_on = OFF, gtid_domain_id = 70, gtid_seq_no = {next}; INSERT INTO shop.own VALUES (1)"
    );
    other.sql(&past).unwrap();
    insert(proxy);
    the_same_everywhere(lab, replica);

    source.stop().unwrap();
    let refused = || {
        let log = proxy.log();
        log.contains("the node has another transaction under this GTID") && log.contains("a dump is refused")
    };
    assert!(until(SOON, refused), "{}", proxy.log());
    insert(proxy);
    source.start().unwrap();
    source.wait_started().unwrap();
    the_same_everywhere(lab, replica);
    assert_eq!(source_of_dump(proxy), source.name());
}
