//! A cluster of this system's servers becomes one of 11.8 node by node, its replica first, as operators do it: clients and the replica
//! notice nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use oarlock::lab::{Lab, Node, Site, until};

use crate::newer;
use crate::replica::{SOON, connections, follow, servers, the_same_everywhere, writer};
use crate::support::{End, Proxy, is_one_cluster, succeeded};
use crate::sysbench::{sysbench, undisturbed};

#[test]
fn a_cluster_is_upgraded_under_load() {
    let lab = Lab::builder().standalone(true).start().unwrap();
    let proxy = Proxy::start(&lab, Site::Primary);
    let replica = lab.node("server-81").unwrap();
    proxy.sql("CREATE DATABASE sbtest; CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, v INT, w TEXT)");
    sysbench(proxy.address(), &["--table-size=5000", "prepare"]);
    follow(replica, &proxy, "");
    the_same_everywhere(&lab, replica);
    replica.upgrade(&newer()).unwrap();
    replica.sql("START SLAVE").unwrap();
    let done = AtomicBool::new(false);
    let transactions = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut transactions = 0;
            while !done.load(Ordering::Relaxed) {
                let report = sysbench(proxy.address(), &["--table-size=5000", "--threads=4", "--time=5", "run"]);
                transactions += undisturbed(&report);
            }
            transactions
        });
        let end = End(&done);
        for node in ["galera-73", "galera-72", "galera-71"] {
            upgrade(&proxy, lab.node(node).unwrap());
            assert!(until(SOON, || is_one_cluster(lab.nodes().iter().filter(|node| node.name() != replica.name()))));
        }
        drop(end);
        load.join().unwrap()
    });
    println!("{transactions} transactions meanwhile");
    for node in lab.nodes() {
        assert!(node.value("SELECT VERSION()").unwrap().unwrap().starts_with("11.8."), "{}", node.name());
    }
    proxy.sql("INSERT INTO shop.t VALUES (1, 2, 'three')");
    the_same_everywhere(&lab, replica);
    assert_eq!(connections(&proxy), 2, "the replica has connected more often than it was started");
    assert_eq!(writer(&lab, &proxy).unwrap().value("SELECT COUNT(*) FROM shop.t").unwrap().as_deref(), Some("1"));
}

/// By README's page on withdrawing a node.
fn upgrade(proxy: &Proxy, node: &Node) {
    let expect = |state: &str| {
        let is = || servers(proxy).iter().any(|server| server.name == node.name() && server.state == state);
        assert!(until(SOON, is), "{} is not {state}: {:?}", node.name(), servers(proxy));
    };
    succeeded(&proxy.command(&["set", "server", node.name(), "drain"]));
    expect("Drained");
    node.upgrade(&newer()).unwrap();
    succeeded(&proxy.command(&["clear", "server", node.name()]));
    expect("Slave, Synced, Running");
}
