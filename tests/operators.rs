//! What operators order of nodes: they are withdrawn from work and come back, and the writer's role is given by hand. On a real
//! cluster, with a replica on 4007 that must notice nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/replica.rs"]
mod replica;
mod support;

use oarlock::admin::http::Server;
use oarlock::lab::{APP_USER, Lab, REPLICATION_USER, Site, until};
use oarlock::session::portrait::Portrait;
use replica::{
    MASTER, SOON, Stop, Writes, connections, follow, goes_on, log_length, new_lines, servers, source_of_dump,
    the_same_everywhere, writer,
};
use support::{Proxy, succeeded};

const SLAVE: &str = "Slave, Synced, Running";

#[test]
fn operators_move_work_between_nodes() {
    let lab = Lab::builder().standalone(true).start().unwrap();
    let mut proxy = Proxy::start(&lab, Site::Primary);
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT, w VARCHAR(300))");
    a_reader_drains(&proxy);
    dumps_follow_the_writer(&lab, &proxy);
    a_full_replica_keeps_no_node(&lab, &proxy);
    sessions_are_shown_and_ended(&proxy);
    what_was_ordered_holds(&mut proxy);
    what_makes_no_sense_is_refused(&lab, &proxy);
}

fn server(proxy: &Proxy, name: &str) -> Server {
    servers(proxy).into_iter().find(|server| server.name == name).unwrap()
}

#[track_caller]
fn expect(proxy: &Proxy, name: &str, state: &str) {
    assert!(until(SOON, || server(proxy, name).state == state), "not {state}: {:?}", server(proxy, name));
}

/// Orders something, which is done; what the proxy says.
#[track_caller]
fn order(proxy: &Proxy, arguments: &[&str]) -> String {
    succeeded(&proxy.command(arguments))
}

#[track_caller]
fn refused(proxy: &Proxy, arguments: &[&str], why: &str) {
    let output = proxy.command(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(why), "{said}");
}

/// What is open finishes there, nothing new begins, and once nobody has a connection it is Drained.
fn a_reader_drains(proxy: &Proxy) {
    let read = "START TRANSACTION READ ONLY; SELECT SLEEP(3); SELECT @@wsrep_node_name; COMMIT; SELECT SLEEP(1)";
    let in_use = || servers(proxy).into_iter().find(|server| server.connections > 0 && server.state == SLAVE);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| proxy.sql(read));
        assert!(until(SOON, || in_use().is_some()), "{:?}", servers(proxy));
        let drained = in_use().unwrap().name;
        let other = if drained == "galera-72" { "galera-73" } else { "galera-72" };
        let said = order(proxy, &["set", "server", &drained, "drain"]);
        assert_eq!(said, format!("{drained} gets no new work; what is open may finish; the writer is galera-71"));
        expect(proxy, &drained, "Draining");
        for _ in 0..10 {
            assert_eq!(proxy.sql("SELECT @@wsrep_node_name"), other);
        }
        assert_eq!(server(proxy, &drained).state, "Draining");
        // As soon as its transaction has ended, while the session lives on.
        expect(proxy, &drained, "Drained");
        assert!(client.join().unwrap().contains(&drained));
        let table = order(proxy, &["list", "servers"]);
        assert!(table.contains("│ Drained"), "{table}");
        let said = order(proxy, &["clear", "server", &drained]);
        assert_eq!(said, format!("{drained} works as its health allows; the writer is galera-71"));
        expect(proxy, &drained, SLAVE);
    });
}

/// The role moves by maintenance, by draining, and by hand; each time the dump follows at once.
fn dumps_follow_the_writer(lab: &Lab, proxy: &Proxy) {
    let replica = lab.node("server-81").unwrap();
    follow(replica, proxy, "");
    let writes = Writes::default();
    std::thread::scope(|scope| {
        scope.spawn(|| writes.run(proxy.address()));
        let stop = Stop(&writes);
        writes.more(100);
        let log = log_length(replica);
        for (orders, from, to) in [
            (&["set server galera-71 maintenance"][..], "galera-71", "galera-72"),
            (&["set server galera-72 drain", "clear server galera-71"], "galera-72", "galera-73"),
            (&["clear server galera-72", "switch-writer galera-71"], "galera-73", "galera-71"),
        ] {
            assert!(until(SOON, || source_of_dump(proxy) == from), "{}", source_of_dump(proxy));
            for text in orders {
                order(proxy, &text.split(' ').collect::<Vec<_>>());
            }
            assert!(until(SOON, || source_of_dump(proxy) == to), "{text}", text = source_of_dump(proxy));
            assert_eq!(writer(lab, proxy).unwrap().name(), to);
            goes_on(replica);
            writes.more(50);
        }
        drop(stop);
        assert!(until(SOON, || writes.ended.load(std::sync::atomic::Ordering::Relaxed)));
        the_same_everywhere(lab, replica);
        let lines = new_lines(replica, log);
        assert!(!lines.contains("Slave I/O") && !lines.contains("reconnect"), "{lines}");
    });
    assert_eq!(connections(proxy), 1, "the replica has connected again");
    let text = proxy.log();
    let takeovers: Vec<_> = text.lines().filter(|line| line.contains("takeover of a dump")).collect();
    println!("{}", takeovers.join("\n"));
    assert_eq!(takeovers.len(), 3, "{takeovers:?}");
}

/// A node that is withdrawn is left also by a dump whose replica takes nothing now.
fn a_full_replica_keeps_no_node(lab: &Lab, proxy: &Proxy) {
    let replica = lab.node("server-81").unwrap();
    let source = lab.node(&source_of_dump(proxy)).unwrap();
    replica.freeze().unwrap();
    for _ in 0..40 {
        proxy.sql("INSERT INTO shop.t (v, w) SELECT seq, REPEAT('f', 300) FROM shop.seq_1_to_3000");
    }
    order(proxy, &["set", "server", source.name(), "maintenance"]);
    let left = until(SOON / 2, || server(proxy, source.name()).connections == 0);
    replica.thaw().unwrap();
    assert!(left, "{:?}", server(proxy, source.name()));
    the_same_everywhere(lab, replica);
    assert_eq!(connections(proxy), 1, "the replica has connected again");
    order(proxy, &["clear", "server", source.name()]);
    order(proxy, &["switch-writer", source.name()]);
    assert!(until(SOON, || source_of_dump(proxy) == source.name()), "{}", source_of_dump(proxy));
}

/// What each is at, and none of its texts; one that is ended gets the error of that.
fn sessions_are_shown_and_ended(proxy: &Proxy) {
    let sessions = || {
        let mut answer = ureq::get(format!("http://{}/v1/sessions", proxy.admin())).call().unwrap();
        answer.body_mut().read_json::<Vec<Portrait>>().unwrap()
    };
    let find = |state: &str| sessions().into_iter().find(|session| session.state == state);
    let dump = find("dump").unwrap_or_else(|| panic!("{:?}", sessions()));
    assert_eq!((&*dump.user, &*dump.service), (REPLICATION_USER, "replicas"));
    std::thread::scope(|scope| {
        let client =
            scope.spawn(|| proxy.client(&["shop", "-e", "BEGIN; INSERT INTO t (v) VALUES (9); SELECT SLEEP(60)"]));
        let running = || find("running").filter(|session| session.transaction && session.statement == "read");
        assert!(until(SOON, || running().is_some()), "{:?}", sessions());
        let session = running().unwrap();
        let shown = (&*session.user, &*session.schema, &*session.service, &*session.node);
        assert_eq!(shown, (APP_USER, "shop", "applications", &*source_of_dump(proxy)));
        assert!(session.id >= 1 << 30 && session.memory > 500, "{session:?}");
        let table = order(proxy, &["list", "sessions"]);
        assert!(table.contains(&session.id.to_string()) && !table.contains("SLEEP"), "{table}");
        let said = order(proxy, &["kill", &session.id.to_string()]);
        assert_eq!(said, format!("session {} ends", session.id));
        assert!(!client.join().unwrap().status.success());
        refused(proxy, &["kill", &session.id.to_string()], "there is no session");
    });
    assert!(until(SOON, || sessions().len() == 1), "{:?}", sessions());
}

/// Also over a restart of the proxy.
fn what_was_ordered_holds(proxy: &mut Proxy) {
    order(proxy, &["switch-writer", "galera-72"]);
    order(proxy, &["set", "server", "galera-73", "maintenance"]);
    order(proxy, &["set", "server", "galera-71", "drain"]);
    proxy.restart();
    expect(proxy, "galera-72", MASTER);
    expect(proxy, "galera-73", "Maintenance");
    expect(proxy, "galera-71", "Drained");
    assert_eq!(proxy.sql("SELECT @@wsrep_node_name"), "galera-72", "there is no other reader");
    for node in ["galera-71", "galera-73"] {
        order(proxy, &["clear", "server", node]);
        expect(proxy, node, SLAVE);
    }
    proxy.restart();
    expect(proxy, "galera-72", MASTER);
    expect(proxy, "galera-73", SLAVE);
}

fn what_makes_no_sense_is_refused(lab: &Lab, proxy: &Proxy) {
    refused(
        proxy,
        &["switch-writer", "galera-79"],
        "no node is named `galera-79`; there are: galera-71, galera-72, galera-73",
    );
    assert_eq!(order(proxy, &["switch-writer", "galera-72"]), "galera-72 is the writer");
    order(proxy, &["set", "server", "galera-71", "maintenance"]);
    refused(proxy, &["switch-writer", "galera-71"], "`oarlock clear server galera-71` comes first");
    order(proxy, &["clear", "server", "galera-71"]);
    let node = lab.node("galera-73").unwrap();
    node.sql("SET GLOBAL wsrep_desync = ON").unwrap();
    expect(proxy, "galera-73", "Running");
    refused(proxy, &["switch-writer", "galera-73"], "galera-73 is not fit for work: desynced");
    node.sql("SET GLOBAL wsrep_desync = OFF").unwrap();
    expect(proxy, "galera-73", SLAVE);
    assert_eq!(proxy.command(&["set", "server", "galera-73", "sleeping"]).status.code(), Some(2));
    expect(proxy, "galera-72", MASTER);
}
