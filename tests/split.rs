//! Reads go to readers, everything else to the writer, and a session is one session wherever its statements run.

mod support;

use oarlock::lab::{Lab, Site};
use support::Proxy;

const NODE: &str = "@@wsrep_node_name";

#[test]
fn a_cluster_behind_one_address() {
    let lab = Lab::builder().galera(3).start().unwrap();
    let proxy = Proxy::start(&lab, Site::Primary);
    proxy.sql("CREATE DATABASE shop");
    placement(&proxy);
    session_state(&proxy);
    prepared_statements(&proxy);
    diagnostics(&proxy);
    stored_code(&proxy);
}

fn placement(proxy: &Proxy) {
    let reader = proxy.sql(&format!("SELECT {NODE}"));
    assert!(reader == "galera-72" || reader == "galera-73", "{reader}");
    let on_writer = [
        format!("SELECT {NODE} FOR UPDATE"),
        format!("SELECT {NODE} LOCK IN SHARE MODE"),
        format!("BEGIN; SELECT {NODE}; COMMIT"),
        format!("SET autocommit=0; SELECT {NODE}"),
        format!("SELECT {NODE} /* oarlock: writer */"),
        format!("SELECT {NODE} -- maxscale route to master\n"),
        format!("CREATE TEMPORARY TABLE shop.t (a INT); SELECT {NODE}"),
    ];
    for sql in &on_writer {
        let node = succeed_with_comments(proxy, sql);
        assert_eq!(node, "galera-71", "{sql}");
    }
    let read_only = proxy.sql(&format!("START TRANSACTION READ ONLY; SELECT {NODE}; COMMIT"));
    assert_ne!(read_only, "galera-71");
    let node = succeed_with_comments(proxy, &format!("SELECT {NODE} /* oarlock: node galera-73 */"));
    assert_eq!(node, "galera-73");
}

/// The client takes comments out unless told not to.
fn succeed_with_comments(proxy: &Proxy, sql: &str) -> String {
    support::succeeded(&proxy.client(&["-N", "--comments", "-e", sql]))
}

fn session_state(proxy: &Proxy) {
    let sql = "SET @a = 5; SET NAMES latin1; SET SESSION sql_mode = 'ANSI'; USE mysql;
        SELECT @a, @@character_set_client, @@sql_mode LIKE '%ANSI%', DATABASE(), @@wsrep_node_name = 'galera-71'";
    assert_eq!(proxy.sql(sql), "5\tlatin1\t1\tmysql\t0");
    // A value that only one node has is read there.
    let sql = "SELECT @b := 7 INTO @c; SELECT @b, @c, @@wsrep_node_name; SELECT @@wsrep_node_name = 'galera-71'";
    assert_eq!(proxy.sql(sql), "7\t7\tgalera-71\n0");
    // What comes before a dependent SET still counts on a connection made later.
    let sql = "SET @x = 1; SET @y = @x + 1; SET @x = 10; SELECT @x, @y, @@wsrep_node_name = 'galera-71'";
    assert_eq!(proxy.sql(sql), "10\t2\t0");
}

/// What stored code leaves in a session is there for all that follows.
fn stored_code(proxy: &Proxy) {
    proxy.sql(
        "CREATE TABLE shop.logged (a INT); INSERT INTO shop.logged VALUES (3);
        CREATE PROCEDURE shop.logs(n INT) SET @logged = n;
        CREATE PROCEDURE shop.settles(days INT) SET SESSION default_week_format = days;
        CREATE FUNCTION shop.logging(n INT) RETURNS INT DETERMINISTIC RETURN @logged := n",
    );
    let read = "SELECT @logged, @@default_week_format, (SELECT MAX(a) FROM shop.logged)";
    assert_eq!(proxy.sql(&format!("CALL shop.logs(3); {read}")), "3\t0\t3");
    assert_eq!(proxy.sql(&format!("CALL shop.settles(5); {read}")), "NULL\t5\t3");
    proxy.sql("CREATE TRIGGER shop.notes BEFORE INSERT ON shop.logged FOR EACH ROW SET @logged = NEW.a");
    for write in [
        "INSERT INTO shop.logged VALUES (7)",
        "BEGIN; INSERT INTO shop.logged VALUES (7); COMMIT",
        "PREPARE writes FROM 'INSERT INTO shop.logged VALUES (7)'; EXECUTE writes",
    ] {
        assert_eq!(proxy.sql(&format!("{write}; {read}")), "7\t0\t7", "{write}");
        assert_eq!(proxy.sql(&format!("USE shop; {write}; {read}")), "7\t0\t7", "{write}");
    }
    assert_eq!(proxy.sql(&format!("SELECT shop.logging(8); {read}")), "8\n8\t0\t7");
    proxy.sql("DELIMITER //\nCREATE FUNCTION shop.settling(n INT) RETURNS INT DETERMINISTIC BEGIN SET default_week_format = n; RETURN n; END//");
    assert_eq!(proxy.sql(&format!("USE shop; SELECT settling(2); {read}")), "2\nNULL\t2\t7");
    assert_eq!(
        proxy.sql("USE shop; SELECT a FROM logged WHERE settling(3) < a - 3 LIMIT 1; SELECT @@default_week_format"),
        "7\n3"
    );
    // What reads no variables is read anywhere.
    assert_ne!(proxy.sql(&format!("INSERT INTO shop.logged VALUES (7); SELECT {NODE}")), "galera-71");
}

fn prepared_statements(proxy: &Proxy) {
    let sql = "PREPARE s FROM 'SELECT ? + 1'; SET @n = 41; EXECUTE s USING @n; DEALLOCATE PREPARE s";
    assert_eq!(proxy.sql(sql), "42");
}

fn diagnostics(proxy: &Proxy) {
    assert_eq!(proxy.sql("SELECT 1/0; SHOW WARNINGS"), "NULL\nWarning\t1365\tDivision by 0");
    assert_eq!(proxy.sql("SELECT SQL_CALC_FOUND_ROWS 1 UNION SELECT 2 LIMIT 1; SELECT FOUND_ROWS()"), "1\n2");
    let sql = "CREATE TABLE shop.ids (a INT AUTO_INCREMENT PRIMARY KEY, b INT); INSERT INTO shop.ids (b) VALUES (1), (2);
        SELECT ROW_COUNT(); SELECT LAST_INSERT_ID() > 0; UPDATE shop.ids SET b = 3; SELECT ROW_COUNT(); DROP TABLE shop.ids";
    assert_eq!(proxy.sql(sql), "2\n1\n2");
}
