//! Node connections serve one session after the other, and nothing of a session is left for the next.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::fs;
use std::time::Duration;

use oarlock::lab::{Lab, Node, Server, Site, until};
use support::Proxy;

/// Until the node shows what was done at the proxy.
const SEEN_MAX: Duration = Duration::from_secs(20);

/// One worker, so that sessions meet in one pool.
fn start(lab: &Lab, more: &str) -> Proxy {
    let address = lab.proxy_address(Site::Dr);
    let text =
        lab.config_toml(Site::Dr, address).replacen("[site]\n", "[site]\nthreads = 1\nstate_dir = \"STATE\"\n", 1);
    let proxy = Proxy::launch(address, &format!("{text}\n[limits]\nidle_connections_max = 8\n{more}"));
    assert!(until(SEEN_MAX, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
    proxy
}

/// The node connections of the application user.
fn connections(node: &Node) -> String {
    node.value("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'app'").unwrap().unwrap()
}

#[test]
fn connections_are_used_again_and_nothing_is_left_on_them() {
    let server = Server::start(&[]).unwrap();
    let (lab, node) = (server.lab(), &*server);
    old_ones_are_closed(lab, node);
    // With room for one only, the next session has to take what the one before it has left.
    let proxy = start(lab, "connections_max = 1\n");
    nothing_is_left(&proxy);
    nothing_is_left_of_reads(&proxy, node);
    a_dropped_schema_is_missed(&proxy, node);
    locks_go_with_the_session(&proxy, node);
    a_dead_connection_is_not_felt(&proxy, node);
    changed_accounts_get_new_connections(&proxy, node);
    changed_defaults_get_new_connections(&proxy, node);
    drop(proxy);
    none_are_kept_past_init_connect(lab, node);
}

fn nothing_is_left(proxy: &Proxy) {
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY); INSERT INTO shop.t VALUES (1)");
    let before = proxy.sql("SELECT CONNECTION_ID()");
    let leaves = "SET @a = 1, SESSION sql_mode = 'ANSI', autocommit = 0, NAMES latin1; CREATE TEMPORARY TABLE shop.temporary (a INT);
        INSERT INTO shop.t VALUES (2); PREPARE s FROM 'SELECT 1'; SELECT LAST_INSERT_ID(7)";
    proxy.sql(leaves);
    let left =
        "SELECT CONNECTION_ID(); SELECT @a, @@sql_mode LIKE '%ANSI%', @@autocommit, LAST_INSERT_ID(), @@in_transaction;
        SELECT @@character_set_client = 'latin1'; SELECT COUNT(*) FROM shop.t";
    assert_eq!(proxy.sql(left), format!("{before}\nNULL\t0\t1\t0\t0\n0\n1"));
    for (sql, code) in [("EXECUTE s", "1243"), ("SELECT * FROM shop.temporary", "1146")] {
        let output = proxy.client(&["-e", sql]);
        assert!(String::from_utf8_lossy(&output.stderr).contains(code), "{sql}: {output:?}");
    }
    // In another schema it would not be the same.
    assert_ne!(proxy.sql("USE shop; SELECT CONNECTION_ID()"), "");
    let in_shop = support::succeeded(&proxy.client(&["-N", "-e", "SELECT DATABASE(), CONNECTION_ID()", "shop"]));
    assert!(in_shop.starts_with("shop\t"), "{in_shop}");
}

/// A connection on which only reads have run goes to the next session without a reset, which comes before whatever could tell.
fn nothing_is_left_of_reads(proxy: &Proxy, node: &Node) {
    let before = proxy.sql("SELECT CONNECTION_ID()");
    for tells in
        ["SHOW WARNINGS", "SELECT ROW_COUNT()", "SELECT @@warning_count, @@error_count", "SHOW COUNT(*) WARNINGS"]
    {
        let fresh = support::succeeded(&support::client(node.address(), &["-N", "-e", tells]));
        assert_eq!(proxy.sql("SELECT 1 / 0 UNION SELECT 2 UNION SELECT 'a' + 0"), "NULL\n2\n0");
        assert_eq!(proxy.sql(tells), fresh, "{tells}");
    }
    // What comes first is the session's own afterwards.
    assert_eq!(proxy.sql("SELECT 1 UNION SELECT 2; SELECT FOUND_ROWS()"), "1\n2\n2");
    assert_eq!(proxy.sql("SELECT 1 / 0; SHOW COUNT(*) WARNINGS"), "NULL\n1");
    assert_eq!(proxy.sql("SELECT CONNECTION_ID()"), before);
}

fn a_dropped_schema_is_missed(proxy: &Proxy, node: &Node) {
    let enter =
        || String::from_utf8_lossy(&proxy.client(&["-N", "-e", "SELECT DATABASE()", "gone"]).stderr).into_owned();
    for dropped_here in [true, false] {
        proxy.sql("CREATE DATABASE gone");
        assert_eq!((enter(), enter()), (String::new(), String::new()));
        if dropped_here {
            proxy.sql("DROP DATABASE gone");
        } else {
            node.sql("DROP DATABASE gone").unwrap();
        }
        let missed = || enter().contains("1049");
        // Who drops it elsewhere is heard of a moment later.
        assert!(if dropped_here { missed() } else { until(SEEN_MAX, missed) }, "{}", enter());
    }
}

/// What others wait for is given back at once, not when the connection is used again.
fn locks_go_with_the_session(proxy: &Proxy, node: &Node) {
    proxy.sql("SELECT GET_LOCK('left', 0); BEGIN; UPDATE shop.t SET a = 5 WHERE a = 1");
    assert!(until(SEEN_MAX, || node.value("SELECT IS_FREE_LOCK('left')").unwrap().as_deref() == Some("1")));
    let update = "SET innodb_lock_wait_timeout = 20; UPDATE shop.t SET a = 6 WHERE a = 1; UPDATE shop.t SET a = 1";
    node.sql(update).unwrap();
}

fn a_dead_connection_is_not_felt(proxy: &Proxy, node: &Node) {
    for sql in ["SELECT 1", "UPDATE shop.t SET a = 1"] {
        proxy.sql("SELECT 1");
        assert_ne!(connections(node), "0");
        node.sql("KILL USER app").unwrap();
        assert!(until(SEEN_MAX, || connections(node) == "0"));
        proxy.sql(sql);
    }
}

/// A node keeps global privileges as they were at the login: what this proxy has seen changed is in force at once.
fn changed_accounts_get_new_connections(proxy: &Proxy, node: &Node) {
    for change in ["GRANT BINLOG MONITOR ON *.* TO app@'%'", "FLUSH PRIVILEGES"] {
        let before = proxy.sql("SELECT CONNECTION_ID()");
        proxy.sql(change);
        assert_ne!(proxy.sql("SELECT CONNECTION_ID()"), before, "{change}");
    }
    let before = proxy.sql("SELECT CONNECTION_ID()");
    assert_eq!(proxy.sql("SELECT CONNECTION_ID()"), before);
    node.sql("CREATE USER newcomer").unwrap();
    assert!(until(SEEN_MAX, || proxy.sql("SELECT CONNECTION_ID()") != before), "the accounts have changed");
}

/// What SET GLOBAL sets is what the next session begins with: at once where this proxy has seen it, else when the node has been probed.
fn changed_defaults_get_new_connections(proxy: &Proxy, node: &Node) {
    let ask = "SELECT @@lock_wait_timeout, @@sql_mode = 'ANSI_QUOTES', @@tx_isolation";
    let new = |isolation: &str| format!("77\t1\t{isolation}");
    proxy.sql(ask);
    proxy.sql("SET @@global.lock_wait_timeout = 77, GLOBAL sql_mode = ANSI_QUOTES");
    assert_eq!(proxy.sql(ask), new("REPEATABLE-READ"));
    proxy.sql("SET GLOBAL TRANSACTION ISOLATION LEVEL READ COMMITTED");
    assert_eq!(proxy.sql(ask), new("READ-COMMITTED"));
    let elsewhere =
        ["lock_wait_timeout = 78", "lock_wait_timeout = DEFAULT, sql_mode = DEFAULT, tx_isolation = DEFAULT"];
    for change in elsewhere {
        let thread = proxy.sql("SELECT CONNECTION_ID()");
        node.sql(&format!("SET GLOBAL {change}")).unwrap();
        let new = support::succeeded(&support::client(node.address(), &["-N", "-e", ask]));
        assert!(until(SEEN_MAX, || proxy.sql(ask) == new), "{change}: {}", proxy.sql(ask));
        assert_ne!(proxy.sql("SELECT CONNECTION_ID()"), thread);
    }
}

fn old_ones_are_closed(lab: &Lab, node: &Node) {
    let proxy = start(lab, "idle_connection_timeout = \"1s\"\n");
    proxy.sql("SELECT 1");
    assert!(until(SEEN_MAX, || connections(node) == "0"));
    assert_eq!(proxy.sql("SELECT 1"), "1");
    let log = fs::read_to_string(node.log()).unwrap();
    assert!(!log.contains("user: 'app'"), "closed without a word:\n{log}");
}

fn none_are_kept_past_init_connect(lab: &Lab, node: &Node) {
    node.sql("SET GLOBAL init_connect = 'SET @greeted = 1'").unwrap();
    let proxy = start(lab, "");
    for _ in 0..3 {
        proxy.sql("SELECT 1");
        assert!(until(SEEN_MAX, || connections(node) == "0"), "a connection was kept");
    }
    node.sql("SET GLOBAL init_connect = ''").unwrap();
}
