//! Which statements keep a comment behind their first keyword, as they come to another node of a real cluster.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

mod support;

use std::process::Command;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use oarlock::lab::{APP_PASSWORD, APP_USER, Lab, Node};
use oarlock::sql::marker::{self, Marker};
use oarlock::sql::statement::LexMode;
use support::{client, succeeded};

/// What becomes of a marker behind the first keyword, and whether one is put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is in the log, and we put it.
    Kept,
    /// It would be in the log for this very text, but not for all of its kind, or nobody needs it: none is put.
    Spare,
    /// It is not in the log, and none is put.
    Lost,
    /// Nothing is written, so there is nothing to be found; one may be put.
    Nothing,
}
use Fate::{Kept, Lost, Nothing, Spare};

/// Statements in the order in which they run.
const STATEMENTS: &[(Fate, &str)] = &[
    (Kept, "CREATE DATABASE shop"),
    (Kept, "CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v TEXT)"),
    (Kept, "CREATE OR REPLACE TABLE shop.u (id INT PRIMARY KEY, v TEXT)"),
    (Nothing, "CREATE TABLE IF NOT EXISTS shop.t (id INT)"),
    (Kept, "CREATE TABLE shop.l LIKE shop.t"),
    (Kept, "CREATE TABLE shop.c AS SELECT 1 AS one"),
    (Kept, "CREATE OR REPLACE TABLE shop.c AS SELECT 2 AS two"),
    (Kept, "CREATE INDEX i ON shop.l (v(3))"),
    (Kept, "CREATE UNIQUE INDEX j ON shop.u (v(10))"),
    (Kept, "CREATE FULLTEXT INDEX k ON shop.u (v)"),
    (Kept, "DROP INDEX k ON shop.u"),
    (Kept, "ALTER TABLE shop.t ADD w INT"),
    (Kept, "ALTER DATABASE shop CHARACTER SET utf8mb4"),
    (Kept, "INSERT INTO shop.t (v) VALUES ('a'), ('b')"),
    (Kept, "INSERT IGNORE INTO shop.t (id, v) VALUES (1, 'x'), (50, 'b')"),
    (Kept, "INSERT INTO shop.t SET v = 'c'"),
    (Kept, "INSERT INTO shop.t (v) SELECT v FROM shop.t"),
    (Kept, "INSERT INTO shop.t (id, v) VALUES (50, 'z') ON DUPLICATE KEY UPDATE v = 'y'"),
    (Kept, "INSERT INTO shop.t (v) VALUES ('r') RETURNING id"),
    (Kept, "REPLACE INTO shop.u VALUES (1, 'a')"),
    (Kept, "REPLACE INTO shop.u VALUES (1, 'b')"),
    (Kept, "UPDATE shop.t SET v = 'u' WHERE id = 1"),
    (Kept, "UPDATE shop.t, shop.u SET t.v = 'm', u.v = 'm' WHERE t.id = u.id"),
    (Kept, "DELETE FROM shop.t WHERE id = 50"),
    (Kept, "DELETE shop.t FROM shop.t JOIN shop.u ON t.id = u.id"),
    (Kept, "SET STATEMENT max_statement_time = 10 FOR INSERT INTO shop.t (v) VALUES ('s')"),
    (Kept, "INSERT INTO shop.t (v) VALUES ('a;b');"),
    (Kept, "TRUNCATE TABLE shop.c"),
    (Kept, "TRUNCATE shop.c"),
    (Kept, "RENAME TABLE shop.c TO shop.d"),
    (Kept, "ANALYZE TABLE shop.t"),
    (Kept, "OPTIMIZE TABLE shop.t"),
    (Kept, "REPAIR TABLE shop.t"),
    (Kept, "CREATE USER u@h"),
    (Kept, "ALTER USER u@h IDENTIFIED BY 'x'"),
    (Kept, "GRANT SELECT ON shop.* TO u@h"),
    (Kept, "REVOKE SELECT ON shop.* FROM u@h"),
    (Kept, "RENAME USER u@h TO w@h"),
    (Kept, "CREATE ROLE r"),
    (Kept, "DROP ROLE r"),
    (Kept, "DROP USER w@h"),
    (Nothing, "UPDATE shop.t SET v = 'u' WHERE id = 99999"),
    (Nothing, "INSERT IGNORE INTO shop.u VALUES (1, 'x')"),
    (Nothing, "DELETE FROM shop.t WHERE FALSE"),
    (Kept, "CREATE SEQUENCE shop.s NOCACHE INCREMENT BY 0"),
    (Kept, "SELECT NEXT VALUE FOR shop.s"),
    (Kept, "SELECT NEXTVAL(shop.s)"),
    (Kept, "SELECT SETVAL(shop.s, 100)"),
    (Spare, "DO NEXTVAL(shop.s)"),
    (Lost, "CREATE VIEW shop.v AS SELECT * FROM shop.t"),
    (Lost, "ALTER VIEW shop.v AS SELECT id FROM shop.t"),
    (Kept, "DROP VIEW shop.v"),
    (Lost, "CREATE PROCEDURE shop.p() INSERT INTO shop.t (v) VALUES ('p')"),
    (
        Lost,
        "CREATE FUNCTION shop.f() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO shop.t (v) VALUES ('f'); RETURN 1; END",
    ),
    (Lost, "CREATE TRIGGER shop.g BEFORE UPDATE ON shop.u FOR EACH ROW SET NEW.v = 'g'"),
    (Lost, "CALL shop.p()"),
    (Lost, "SELECT shop.f()"),
    (Lost, "DO shop.f()"),
    (Lost, "SET @x = shop.f()"),
    (Lost, "BEGIN NOT ATOMIC INSERT INTO shop.t (v) VALUES ('n'); END"),
    (Lost, "EXECUTE IMMEDIATE \"INSERT INTO shop.t (v) VALUES ('i')\""),
    (Lost, "SET PASSWORD FOR app@'%' = PASSWORD('app-secret')"),
    (Lost, "SET STATEMENT binlog_annotate_row_events = 0 FOR INSERT INTO shop.t (v) VALUES ('h')"),
    (Spare, "INSERT INTO shop.t (v) VALUES ('1'); INSERT INTO shop.t (v) VALUES ('2')"),
    (Lost, "DROP TABLE shop.d"),
    (Kept, "DROP PROCEDURE shop.p"),
    (Kept, "DROP FUNCTION shop.f"),
    (Kept, "DROP TRIGGER shop.g"),
    (Lost, "CREATE EVENT shop.e ON SCHEDULE EVERY 1 YEAR DO SELECT 1"),
    (Kept, "DROP EVENT shop.e"),
    (Kept, "ALTER SEQUENCE shop.s NOCACHE INCREMENT BY 0"),
    (Lost, "DROP SEQUENCE shop.s"),
    (Kept, "CREATE TABLE IF NOT EXISTS shop.n (a INT)"),
    (Kept, "DROP DATABASE shop"),
];

#[test]
fn statements_keep_their_markers() {
    // CREATE TABLE AS SELECT is refused where all is streamed.
    let lab = Lab::builder().galera(3).fast_eviction(true).option("wsrep_trx_fragment_size", "0").start().unwrap();
    let (node, other) = (&lab.nodes()[0], &lab.nodes()[1]);
    let mut texts = Vec::new();
    for (number, (fate, sql)) in (1..).zip(STATEMENTS) {
        let at = marker::place(sql.as_bytes(), LexMode::default());
        assert_eq!(at.is_some(), matches!(fate, Kept | Nothing), "{sql}");
        let behind_word = sql.find(|c: char| !c.is_alphabetic()).unwrap();
        let text = marked(sql, at.unwrap_or(behind_word), number);
        node.sql(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        texts.push(text);
    }
    let log = log(other);
    let mut wrong = Vec::new();
    for (number, (fate, sql)) in (1..).zip(STATEMENTS) {
        let wanted = matches!(fate, Kept | Spare);
        if log.contains(&comment(number)) != wanted {
            wrong.push(format!("{fate:?}: {sql}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    other_ways(node, other, lab.folder());
}

/// Binary prepared statements, uploads, transactions, streaming replication.
fn other_ways(node: &Node, other: &Node, folder: &std::path::Path) {
    node.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v TEXT)").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = OptsBuilder::default()
            .ip_or_hostname(node.address().ip().to_string())
            .user(Some(APP_USER))
            .pass(Some(APP_PASSWORD))
            .prefer_socket(false);
        let mut conn = Conn::new(options).await.unwrap();
        let statement = conn.prep(marked("INSERT INTO shop.t (v) VALUES (?)", 6, 1001)).await.unwrap();
        conn.exec_drop(&statement, ("prepared",)).await.unwrap();
        for sql in [
            "BEGIN",
            &marked("INSERT INTO shop.t (v) VALUES (1)", 6, 1002),
            "SELECT 1",
            &marked("DELETE FROM shop.t", 6, 1003),
        ] {
            conn.query_drop(sql).await.unwrap();
        }
        conn.query_drop("COMMIT").await.unwrap();
        for sql in ["SET wsrep_trx_fragment_unit = 'rows', wsrep_trx_fragment_size = 1", "BEGIN"] {
            conn.query_drop(sql).await.unwrap();
        }
        conn.query_drop(marked("INSERT INTO shop.t (v) VALUES (1), (2), (3)", 6, 1004)).await.unwrap();
        conn.query_drop("COMMIT").await.unwrap();
    });
    let file = folder.join("rows");
    std::fs::write(&file, "7\tseven\n8\teight\n").unwrap();
    let load = format!("LOAD DATA LOCAL INFILE '{}' REPLACE INTO TABLE shop.t", file.display());
    let at = marker::place(load.as_bytes(), LexMode::default()).unwrap();
    succeeded(&client(node.address(), &["--comments", "--local-infile", "-e", &marked(&load, at, 1005)]));
    let log = log(other);
    for number in 1001..=1005 {
        assert!(log.contains(&comment(number)), "{number}");
    }
}

fn comment(number: u64) -> String {
    let mut out = Vec::new();
    marker::put(Marker { session: u128::from(number) << 64 | 0xabc, statement: number }, &mut out);
    String::from_utf8(out).unwrap()
}

fn marked(sql: &str, at: usize, number: u64) -> String {
    format!("{}{}{}", &sql[..at], comment(number), &sql[at..])
}

/// All that the node's binary logs hold, once it has caught up.
fn log(node: &Node) -> String {
    node.sql("SET wsrep_sync_wait = 15; SELECT COUNT(*) FROM mysql.user").unwrap();
    let mut files: Vec<_> = std::fs::read_dir(node.data())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_stem().unwrap() == "bin" && path.extension().unwrap() != "index")
        .collect();
    files.sort();
    let output = Command::new("mariadb-binlog").args(["--no-defaults", "-v"]).args(files).output().unwrap();
    succeeded(&output)
}
