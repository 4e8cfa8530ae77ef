//! Replicas of the cluster on 4007: what they get is what the cluster has, whatever happens to its nodes. On real servers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/replica.rs"]
mod replica;
mod support;

use std::net::SocketAddrV4;
use std::sync::atomic::Ordering;

use oarlock::admin::http::Replica;
use oarlock::lab::{Lab, Node, REPLICATION_USER, SITE_PASSWORD, Server, Site, until};
use replica::{
    SOON, Stop, Writes, connections, follow, goes_on, log_length, new_lines, purge, servers, source_of_dump, status,
    the_same_everywhere, writer,
};
use support::{Proxy, is_one_cluster, succeeded};

#[test]
fn a_replica_does_not_notice_what_happens_to_nodes() {
    let lab = Lab::builder().galera(3).standalone(true).fast_eviction(true).start().unwrap();
    let proxy = Proxy::start(&lab, Site::Primary);
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT, w VARCHAR(300))");
    let replica = lab.node("server-81").unwrap();
    follow(replica, &proxy, "MASTER_HEARTBEAT_PERIOD = 0.5");
    let writes = Writes::default();
    std::thread::scope(|scope| {
        scope.spawn(|| writes.run(proxy.address()));
        let stop = Stop(&writes);
        writes.more(200);
        let log = log_length(replica);
        the_writer_is_killed(&lab, &proxy, &writes);
        the_writer_freezes(&lab, &proxy, &writes);
        the_writer_is_demoted(&lab, &proxy, &writes);
        writes.more(100);
        drop(stop);
        assert!(until(SOON, || writes.ended.load(Ordering::Relaxed)));
        the_same_everywhere(&lab, replica);
        let lines = new_lines(replica, log);
        assert!(!lines.contains("Slave I/O") && !lines.contains("reconnect"), "{lines}");
    });
    assert_eq!(connections(&proxy), 1, "the replica has connected again");
    heartbeats_come(replica);
    let text = proxy.log();
    let takeovers: Vec<_> = text.lines().filter(|line| line.contains("takeover of a dump")).collect();
    println!("{}", takeovers.join("\n"));
    assert!(takeovers.len() >= 3, "{takeovers:?}");
    the_source_dies_with_a_long_transaction(&lab, &proxy, replica);
    a_source_comes_back_without_its_logs(&lab, &proxy, replica);
}

fn moves(lab: &Lab, proxy: &Proxy, from: &Node) {
    moves_from(lab, proxy, from);
    goes_on(lab.node("server-81").unwrap());
}

fn moves_from(lab: &Lab, proxy: &Proxy, from: &Node) {
    let to_writer = || {
        let source = source_of_dump(proxy);
        source != from.name() && writer(lab, proxy).is_some_and(|writer| writer.name() == source)
    };
    assert!(until(SOON, to_writer), "{}", source_of_dump(proxy));
}

fn restarted(proxy: &Proxy, node: &Node) {
    node.start().unwrap();
    let fit = || servers(proxy).iter().any(|server| server.name == node.name() && server.state.contains("Synced"));
    assert!(until(SOON, fit), "{:?}", servers(proxy));
}

fn the_writer_is_killed(lab: &Lab, proxy: &Proxy, writes: &Writes) {
    let victim = writer(lab, proxy).unwrap();
    goes_on(lab.node("server-81").unwrap());
    assert_eq!(source_of_dump(proxy), victim.name());
    victim.kill().unwrap();
    moves(lab, proxy, victim);
    writes.more(100);
    restarted(proxy, victim);
}

fn the_writer_freezes(lab: &Lab, proxy: &Proxy, writes: &Writes) {
    let victim = writer(lab, proxy).unwrap();
    victim.freeze().unwrap();
    moves(lab, proxy, victim);
    writes.more(100);
    victim.thaw().unwrap();
    let back = || servers(proxy).iter().any(|server| server.name == victim.name() && server.state.contains("Synced"));
    assert!(until(SOON, back), "{:?}", servers(proxy));
}

fn the_writer_is_demoted(lab: &Lab, proxy: &Proxy, writes: &Writes) {
    let node = writer(lab, proxy).unwrap();
    node.sql("SET GLOBAL read_only = ON").unwrap();
    moves(lab, proxy, node);
    writes.more(100);
    node.sql("SET GLOBAL read_only = OFF").unwrap();
}

/// A full state transfer brings no binary log: the node that comes back by it can serve only those who have come so far.
fn a_source_comes_back_without_its_logs(lab: &Lab, proxy: &Proxy, replica: &Node) {
    let writes = Writes::default();
    std::thread::scope(|scope| {
        scope.spawn(|| writes.run(proxy.address()));
        let stop = Stop(&writes);
        writes.more(100);
        // Whoever has gone along goes back to the writer.
        the_writer_returns_as_new(lab, proxy);
        let is_source = || writer(lab, proxy).is_some_and(|writer| writer.name() == source_of_dump(proxy));
        assert!(until(SOON, is_source), "{}", source_of_dump(proxy));
        goes_on(replica);
        drop(stop);
        assert!(until(SOON, || writes.ended.load(Ordering::Relaxed)));
    });
    the_same_everywhere(lab, replica);
    assert_eq!(connections(proxy), 1, "the replica has connected again");

    // Whoever has not needs what only the others have.
    replica.sql("STOP SLAVE").unwrap();
    assert!(until(SOON, || replica_on_list(proxy, 8000).is_none()));
    proxy.sql("INSERT INTO shop.t (v, w) VALUES (1, 'missed')");
    the_writer_returns_as_new(lab, proxy);
    proxy.sql("INSERT INTO shop.t (v, w) VALUES (1, 'after')");
    replica.sql("START SLAVE").unwrap();
    the_same_everywhere(lab, replica);
    let (source, writer) = (replica_on_list(proxy, 8000).unwrap().source, writer(lab, proxy).unwrap());
    assert_ne!(source, writer.name());
    assert!(proxy.log().contains("the node can't serve a dump"), "{}", proxy.log());
}

/// The writer is killed, comes back by a full state transfer, and gets the role again.
fn the_writer_returns_as_new(lab: &Lab, proxy: &Proxy) {
    let node = writer(lab, proxy).unwrap();
    let members = || lab.nodes().iter().filter(|node| node.name() != "server-81");
    assert!(until(SOON, || is_one_cluster(members())));
    node.kill().unwrap();
    // It comes back as another member: the others must have given up the one that it was.
    assert!(until(SOON, || is_one_cluster(members().filter(|other| other.name() != node.name()))));
    // Without these it knows of no cluster it was in.
    for file in ["grastate.dat", "gvwstate.dat"] {
        std::fs::remove_file(node.data().join(file)).unwrap();
    }
    restarted(proxy, node);
    let first = node.sql("SHOW BINARY LOGS").unwrap()[0][0].clone().unwrap();
    let events = node.sql(&format!("SHOW BINLOG EVENTS IN '{first}' LIMIT 3")).unwrap();
    assert!(format!("{events:?}").contains("[70-7000-"), "its logs go back to the beginning: {events:?}");
    succeeded(&proxy.command(&["switch-writer", node.name()]));
}

#[test]
fn dumps_of_every_kind_have_a_source() {
    let lab = Lab::builder().galera(3).standalone(true).option("rpl_semi_sync_master_enabled", "ON").start().unwrap();
    let proxy = Proxy::start(&lab, Site::Primary);
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT, w LONGTEXT)");
    proxy.sql(
        "CREATE USER plain@'%' IDENTIFIED BY 'plain'; INSERT INTO shop.t (v, w) SELECT seq, seq FROM shop.seq_1_to_50",
    );
    let replica = lab.node("server-81").unwrap();
    statements_run_on_the_writer(&lab, &proxy);
    a_program_reads_the_log(&lab, &proxy);
    follow(replica, &proxy, "");
    the_same_everywhere(&lab, replica);
    a_replica_acknowledges(&lab, &proxy, replica);
    the_newest_of_one_server_id_stays(&proxy, replica);
    a_long_transaction_passes(&lab, &proxy, replica);
    logs_are_purged(&lab, &proxy, replica);
    a_replica_reads_by_file_and_position(&lab, &proxy, replica);
}

/// `mariadb-binlog` of the proxy or of a node, as this user.
fn read_log(address: SocketAddrV4, user: &str, password: &str, more: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new("mariadb-binlog");
    let (host, port, password) = (address.ip().to_string(), address.port().to_string(), format!("-p{password}"));
    command
        .args(["--no-defaults", "--read-from-remote-server", "-h", &host, "-P", &port, "-u", user, &password])
        .args(more)
        .stdin(std::process::Stdio::null());
    command
}

fn endpoint(proxy: &Proxy) -> SocketAddrV4 {
    SocketAddrV4::new(*proxy.address().ip(), 4007)
}

fn replicas(proxy: &Proxy) -> Vec<Replica> {
    let mut answer = ureq::get(format!("http://{}/v1/replicas", proxy.admin())).call().unwrap();
    answer.body_mut().read_json().unwrap()
}

fn replica_on_list(proxy: &Proxy, server_id: u32) -> Option<Replica> {
    replicas(proxy).into_iter().find(|replica| replica.server_id == server_id)
}

fn a_program_reads_the_log(lab: &Lab, proxy: &Proxy) {
    let writer = writer(lab, proxy).unwrap();
    let files: Vec<_> = writer.sql("FLUSH BINARY LOGS; SHOW BINARY LOGS").unwrap();
    let files: Vec<_> = files.iter().map(|row| row[0].as_deref().unwrap()).collect();
    let direct = SocketAddrV4::new(*writer.address().ip(), 3306);
    // Several files in one session, and by GTID.
    for more in [&files[..], &[&["--start-position=70-7000-3"], &files[..1]].concat()] {
        let text = |address| {
            let output = read_log(address, REPLICATION_USER, SITE_PASSWORD, more).output().unwrap();
            assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            // Threads of the dump itself.
            text.lines().filter(|line| !line.contains("pseudo_thread_id")).collect::<Vec<_>>().join("\n")
        };
        let (through, there) = (text(endpoint(proxy)), text(direct));
        assert!(there.len() > 1000 && through == there, "{more:?}: {} and {} bytes", through.len(), there.len());
    }
    let refused = |address| {
        let output = read_log(address, "plain", "plain", &files[..1]).output().unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert_eq!(refused(endpoint(proxy)), refused(direct));
    assert!(refused(direct).contains("REPLICATION SLAVE"));
}

fn a_replica_acknowledges(lab: &Lab, proxy: &Proxy, replica: &Node) {
    replica.sql("STOP SLAVE; SET GLOBAL rpl_semi_sync_slave_enabled = ON; START SLAVE").unwrap();
    let value = |node: &Node, name: &str| {
        let row = node.sql(&format!("SHOW GLOBAL STATUS LIKE '{name}'")).unwrap();
        row[0][1].clone().unwrap()
    };
    assert!(until(SOON, || value(replica, "Rpl_semi_sync_slave_status") == "ON"));
    let writer = writer(lab, proxy).unwrap();
    let semi_sync =
        || value(writer, "Rpl_semi_sync_master_clients") == "1" && value(writer, "Rpl_semi_sync_master_status") == "ON";
    assert!(until(SOON, semi_sync), "{}", proxy.log());
    let before: u64 = value(writer, "Rpl_semi_sync_master_yes_tx").parse().unwrap();
    let connections = connections(proxy);
    for _ in 0..20 {
        proxy.sql("INSERT INTO shop.t (v, w) VALUES (1, 'semi')");
    }
    the_same_everywhere(lab, replica);
    let after: u64 = value(writer, "Rpl_semi_sync_master_yes_tx").parse().unwrap();
    println!("semi-sync: {before} {after}, no {}", value(writer, "Rpl_semi_sync_master_no_tx"));
    assert_eq!(self::connections(proxy), connections, "{}", proxy.log());
    // Another node goes on, which asks for acknowledgements too.
    writer.sql("SET GLOBAL read_only = ON").unwrap();
    moves_from(lab, proxy, writer);
    let next = self::writer(lab, proxy).unwrap();
    assert!(until(SOON, || value(next, "Rpl_semi_sync_master_clients") == "1"), "{}", proxy.log());
    // A source begins to wait for acknowledgements with the first that it gets.
    proxy.sql("INSERT INTO shop.t (v, w) VALUES (1, 'semi')");
    assert!(until(SOON, || value(next, "Rpl_semi_sync_master_status") == "ON"), "{}", proxy.log());
    let count = |name: &str| value(next, name).parse::<u64>().unwrap();
    let before = (count("Rpl_semi_sync_master_yes_tx"), count("Rpl_semi_sync_master_no_tx"));
    for _ in 0..20 {
        proxy.sql("INSERT INTO shop.t (v, w) VALUES (1, 'semi')");
    }
    the_same_everywhere(lab, replica);
    let after = (count("Rpl_semi_sync_master_yes_tx"), count("Rpl_semi_sync_master_no_tx"));
    assert!(after.0 >= before.0 + 20 && after.1 == before.1, "{before:?} {after:?}");
    writer.sql("SET GLOBAL read_only = OFF").unwrap();
    assert_eq!(self::connections(proxy), connections, "{}", proxy.log());
    replica.sql("STOP SLAVE; SET GLOBAL rpl_semi_sync_slave_enabled = OFF; START SLAVE").unwrap();
}

fn the_newest_of_one_server_id_stays(proxy: &Proxy, replica: &Node) {
    assert!(until(SOON, || replica_on_list(proxy, 8000).is_some_and(|replica| !replica.source.is_empty())));
    let connected = connections(proxy);
    let more = ["--stop-never", "--stop-never-slave-server-id=8000", "bin.000001"];
    let mut rival = read_log(endpoint(proxy), REPLICATION_USER, SITE_PASSWORD, &more);
    let mut rival = rival.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    // The replica comes back, and ends the other.
    assert!(until(SOON, || connections(proxy) == connected + 2), "{}", proxy.log());
    assert!(until(SOON, || rival.try_wait().unwrap().is_some()));
    assert!(until(SOON, || status(replica, "Slave_IO_Running") == "Yes"));
    assert!(proxy.log().contains("a newer dump of this server id takes the place of an older one"));
    let sends = || replica_on_list(proxy, 8000).is_some_and(|replica| replica.position.is_some());
    assert!(until(SOON, sends), "{:?}", replicas(proxy));
    let listed = replicas(proxy);
    assert!(listed.len() == 1 && listed[0].server_id == 8000 && listed[0].position.is_some(), "{listed:?}");
    let table = std::process::Command::new(env!("CARGO_BIN_EXE_oarlock"))
        .args(["list", "replicas", "--admin", &proxy.admin().to_string()])
        .output()
        .unwrap();
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("8000") && table.contains(&listed[0].source), "{table}");
}

/// Transactions above the limit in memory, and events of several packets.
fn a_long_transaction_passes(lab: &Lab, proxy: &Proxy, replica: &Node) {
    proxy.sql("INSERT INTO shop.t (v, w) SELECT seq, REPEAT('y', 100000) FROM shop.seq_1_to_60");
    proxy.sql("INSERT INTO shop.t (v, w) VALUES (1, REPEAT('z', 15000000))");
    the_same_everywhere(lab, replica);
    let bytes = replica_on_list(proxy, 8000).unwrap().bytes;
    assert!(bytes > 21_000_000, "{bytes}");
}

/// The writer can't serve the replica, another node can; then none.
fn logs_are_purged(lab: &Lab, proxy: &Proxy, replica: &Node) {
    replica.sql("STOP SLAVE").unwrap();
    assert!(until(SOON, || replica_on_list(proxy, 8000).is_none()));
    proxy.sql("INSERT INTO shop.t (v, w) VALUES (1, 'a')");
    let writer = writer(lab, proxy).unwrap();
    purge(writer);
    replica.sql("START SLAVE").unwrap();
    the_same_everywhere(lab, replica);
    let source = replica_on_list(proxy, 8000).unwrap().source;
    assert_ne!(source, writer.name());

    replica.sql("STOP SLAVE").unwrap();
    proxy.sql("INSERT INTO shop.t (v, w) VALUES (1, 'b')");
    let cluster = lab.nodes().iter().filter(|node| node.name() != replica.name());
    cluster.for_each(purge);
    replica.sql("START SLAVE").unwrap();
    assert!(until(SOON, || status(replica, "Last_IO_Errno") == "1236"), "{:?}", replica.sql("SHOW SLAVE STATUS"));
    let text = status(replica, "Last_IO_Error");
    println!("{text}");
    for node in ["galera-71", "galera-72", "galera-73", "70-7000-"] {
        assert!(text.contains(node), "{text}");
    }
}

/// The replica has asked for one every half second.
fn heartbeats_come(replica: &Node) {
    let beats = || -> u64 {
        let rows = replica.sql("SHOW GLOBAL STATUS LIKE 'Slave_received_heartbeats'").unwrap();
        rows[0][1].as_deref().unwrap().parse().unwrap()
    };
    let before = beats();
    assert!(until(SOON, || beats() >= before + 3));
}

fn resident_bytes(proxy: &Proxy) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// The source is killed as soon as a transaction of 60 MB is committed, while the replica takes nothing, and while it does. It must get
/// all of it or, from the next source, all of it again: the rest alone would be lost on it silently.
fn the_source_dies_with_a_long_transaction(lab: &Lab, proxy: &Proxy, replica: &Node) {
    proxy.sql("CREATE TABLE shop.big (id INT PRIMARY KEY AUTO_INCREMENT, w LONGTEXT)");
    the_same_everywhere(lab, replica);
    for (round, frozen) in [(1, true), (2, false)] {
        let (bytes, memory) = (|| replica_on_list(proxy, 8000).unwrap().bytes, resident_bytes(proxy));
        let (before, source) = (bytes(), lab.node(&source_of_dump(proxy)).unwrap());
        if frozen {
            replica.freeze().unwrap();
        }
        source.sql("INSERT INTO shop.big (w) SELECT REPEAT('y', 15000000) FROM shop.seq_1_to_4").unwrap();
        if frozen {
            assert!(until(SOON, || bytes() > before + 1_500_000), "{}", proxy.log());
            let grown = resident_bytes(proxy).saturating_sub(memory);
            assert!(grown < 16 << 20, "the proxy holds {grown} bytes more");
        }
        source.kill().unwrap();
        if frozen {
            replica.thaw().unwrap();
        }
        let rows = || replica.value("SELECT SUM(LENGTH(w)) FROM shop.big").unwrap();
        let all = (round * 60_000_000).to_string();
        assert!(until(SOON, || rows().as_deref() == Some(&all)), "{:?}", rows());
        restarted(proxy, source);
        the_same_everywhere(lab, replica);
    }
    assert_eq!(connections(proxy), 1, "the replica has connected again");
}

fn statements_run_on_the_writer(lab: &Lab, proxy: &Proxy) {
    let writer = writer(lab, proxy).unwrap();
    for _ in 0..3 {
        let output =
            support::client(endpoint(proxy), &["-N", "-e", "SELECT @@wsrep_node_name; SELECT @@wsrep_node_name"]);
        assert_eq!(succeeded(&output), format!("{0}\n{0}", writer.name()));
    }
}

fn a_replica_reads_by_file_and_position(lab: &Lab, proxy: &Proxy, replica: &Node) {
    let writer = writer(lab, proxy).unwrap();
    let at = writer.sql("SHOW MASTER STATUS").unwrap();
    let (file, position) = (at[0][0].as_deref().unwrap(), at[0][1].as_deref().unwrap());
    replica.sql(&format!("STOP SLAVE; CHANGE MASTER TO MASTER_USE_GTID = no, MASTER_LOG_FILE = '{file}', MASTER_LOG_POS = {position}; START SLAVE")).unwrap();
    assert!(until(SOON, || replica_on_list(proxy, 8000).is_some_and(|replica| replica.source == writer.name())));
    proxy.sql("INSERT INTO shop.t (v, w) VALUES (77, 'by file')");
    let there = || replica.value("SELECT w FROM shop.t WHERE v = 77").unwrap();
    assert!(until(SOON, || there().as_deref() == Some("by file")), "{:?}", replica.sql("SHOW SLAVE STATUS"));
    assert_eq!(replica_on_list(proxy, 8000).unwrap().position, None);
}

/// Of one server, whose log is encrypted: XA transactions between each other, and a dump that is ended between them.
#[test]
fn a_standalone_server_has_replicas() {
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), "1;770A8A65DA156D24EE2A093277530142\n").unwrap();
    std::fs::set_permissions(keys.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let source = Server::start(&[
        ("plugin_load_add", "file_key_management"),
        ("file_key_management_filename", keys.path().to_str().unwrap()),
        ("encrypt_binlog", "ON"),
    ]);
    let source = source.unwrap();
    let replica = Server::start(&[("server_id", "9000"), ("gtid_domain_id", "91")]).unwrap();
    let proxy = Proxy::start(source.lab(), Site::Dr);
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, v INT)");
    follow(&replica, &proxy, "");
    assert_eq!(source.value("SELECT @@encrypt_binlog").unwrap().as_deref(), Some("1"));
    let there =
        |rows: usize| until(SOON, || replica.sql("SELECT * FROM shop.t").is_ok_and(|found| found.len() == rows));
    for round in 0..10 {
        let id = |n: usize| round * 10 + n;
        let prepare = |n| {
            source
                .sql(&format!(
                    "XA START 'x{0}'; INSERT INTO shop.t VALUES ({0}, 1); XA END 'x{0}'; XA PREPARE 'x{0}'",
                    id(n)
                ))
                .unwrap()
        };
        prepare(1);
        prepare(2);
        proxy.sql(&format!("INSERT INTO shop.t VALUES ({}, 1)", id(3)));
        assert!(there(round * 3 + 1), "{:?}", replica.sql("SHOW SLAVE STATUS"));
        // The thread that sends it ends: the dump goes on from the same server, in another connection.
        let threads =
            source.sql("SELECT id FROM information_schema.processlist WHERE command = 'Binlog Dump'").unwrap();
        source.sql(&format!("KILL {}", threads[0][0].as_deref().unwrap())).unwrap();
        source.sql(&format!("XA COMMIT 'x{}'; XA COMMIT 'x{}'", id(2), id(1))).unwrap();
        assert!(there(round * 3 + 3), "{:?}", replica.sql("SHOW SLAVE STATUS"));
    }
    let rows = "SELECT COUNT(*) FROM information_schema.processlist WHERE command = 'Binlog Dump'";
    assert_eq!(source.value(rows).unwrap().as_deref(), Some("1"));
    assert_eq!(connections(&proxy), 1, "the replica has connected again");
    assert_eq!(replica_on_list(&proxy, 9000).unwrap().takeovers, 10);
}
