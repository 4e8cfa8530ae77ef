//! The rules of classification, one table a rule.

use super::*;

fn verdict(text: &str) -> Verdict {
    classify(text.as_bytes(), LexMode::default())
}

#[track_caller]
fn all(class: Class, texts: &[&str]) {
    for text in texts {
        let verdict = verdict(text);
        assert_eq!(verdict.class, class, "{text}: {verdict:?}");
    }
}

#[track_caller]
fn with(traits: Traits, texts: &[&str]) {
    for text in texts {
        let verdict = verdict(text);
        assert!(verdict.traits.contains(traits), "{text}: {verdict:?}");
    }
}

#[track_caller]
fn without(traits: Traits, texts: &[&str]) {
    for text in texts {
        let verdict = verdict(text);
        assert!(!verdict.traits.intersects(traits), "{text}: {verdict:?}");
    }
}

#[test]
fn plain_reads() {
    all(
        Class::Read,
        &[
            "SELECT c FROM sbtest1 WHERE id=12345",
            "select 1",
            "SELECT * FROM `t` WHERE `a` IN (1,2) AND b NOT IN ('x;y', \"z\") -- end",
            "(SELECT 1) UNION (SELECT 2) ORDER BY 1",
            "((select 1))",
            "VALUES (1,2),(3,4)",
            "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r WHERE n<5) SELECT * FROM r",
            "WITH a(x) AS (SELECT 1), `b`(`y`,z) AS (SELECT 1,2) SELECT * FROM a,b",
            "SELECT COUNT(*), max(a), GROUP_CONCAT(b) FROM t GROUP BY c HAVING (max(a) > 2)",
            "SELECT t.update, t.`into`, x.lock FROM t",
            "SELECT substring(a FROM 1 FOR 2) FROM t USE INDEX FOR JOIN (i)",
            "SELECT * FROM t FOR SYSTEM_TIME AS OF NOW()",
            "SELECT a value, next FROM t",
            "/* ping */ SELECT 1;",
            "SELECT 1; -- done",
            "SELECT /*!40001 SQL_NO_CACHE */ * FROM t",
            "/*!50003 SELECT 1 */;",
            "SELECT 'it''s', 'a\\'b FOR UPDATE', \"x\"\"y\", `a``b` FROM t # FOR UPDATE",
            "SELECT _utf8'a', N'b', x'00', 0x1F, b'1', 1e5, .5, 1.5",
            "SELECT @@hostname, @@server_id, @@global.server_id, @@port, @@wsrep_node_name, @@session.sql_mode, @@x.y",
            "SELECT @a, @`b`, @'c'",
            "SHOW TABLES",
            "SHOW FULL COLUMNS FROM t",
            "SHOW CREATE TABLE t",
            "SHOW VARIABLES LIKE 'x'",
            "SHOW GRANTS FOR u@h",
            "SHOW PROCEDURE STATUS",
            "DESC t",
            "EXPLAIN SELECT 1",
            "EXPLAIN FORMAT=JSON SELECT 1",
            "ANALYZE FORMAT=JSON SELECT 1",
            "ANALYZE SELECT 1",
            "HELP 'x'",
            "CHECKSUM TABLE t",
            "SET STATEMENT max_statement_time=1 FOR SELECT 1",
            "SELECT USER(), CURRENT_USER, UUID(), NOW(), SLEEP(1), BENCHMARK(1, MD5('a'))",
            "",
            "  -- nothing",
        ],
    );
}

#[test]
fn what_looks_like_a_read_and_belongs_to_the_writer() {
    all(
        Class::Write,
        &[
            "SELECT 1 FOR UPDATE",
            "SELECT * FROM t WHERE a=1 FOR UPDATE NOWAIT",
            "SELECT * FROM t FOR UPDATE SKIP LOCKED",
            "SELECT * FROM t FOR /* x */ UPDATE WAIT 5",
            "SELECT * FROM t FOR SHARE",
            "SELECT * FROM t LOCK IN SHARE MODE",
            "(SELECT 1) UNION (SELECT 2 FOR UPDATE)",
            "SELECT 1 INTO @a",
            "SELECT 1 INTO OUTFILE '/tmp/x'",
            "SELECT @a:=1",
            "SELECT a FROM t PROCEDURE ANALYSE()",
            "SELECT f(1)",
            "SELECT db.count(1)",
            "SELECT count (*) FROM t",
            "SELECT `f`(1)",
            "SELECT GET_LOCK('a', 1)",
            "SELECT RELEASE_LOCK('a')",
            "SELECT LAST_INSERT_ID()",
            "SELECT @@last_insert_id, @@identity",
            "SELECT @@global.max_connections",
            "SELECT NEXTVAL(s)",
            "SELECT NEXT VALUE FOR s",
            "SELECT s.nextval",
            "WITH a AS (SELECT 1) UPDATE t, a SET t.a=1",
            "WITH a AS (SELECT 1) DELETE FROM t",
            "SELECT 1 /*!99999 FOR UPDATE */",
            "SELECT f/*!99999 +abs*/(1)",
            "/*!99999 EXPLAIN */ DELETE FROM t",
            "/*!99999 SELECT '*/ DELETE FROM t -- ' */",
            "SELECT 1 /* not closed",
            "SELECT 'not closed",
            "SELECT FOUND_ROWS(), LAST_INSERT_ID()",
            "SELECT CONNECTION_ID()",
            "EXPLAIN UPDATE t SET a=1",
            "ANALYZE UPDATE t SET a=1",
            "ANALYZE TABLE t",
            "SHOW MASTER STATUS",
            "SHOW GLOBAL VARIABLES LIKE 'x'",
            "SET STATEMENT sql_mode='' FOR SELECT 1",
            "SET STATEMENT a=1 FOR SELECT f()",
            "BEGIN NOT ATOMIC SELECT 1; END",
            "DO SLEEP(1)",
            "ROLLBACK TO SAVEPOINT a",
            "SAVEPOINT a",
            "nonsense",
        ],
    );
}

#[test]
fn the_state_of_a_node() {
    for text in [
        "SHOW FULL PROCESSLIST",
        "SELECT * FROM information_schema.processlist",
        "SELECT * FROM `INFORMATION_SCHEMA`.`PROCESSLIST`",
        "SELECT id FROM t WHERE id IN (SELECT id FROM information_schema . innodb_trx)",
        "SELECT id FROM processlist",
        "SELECT * FROM performance_schema.threads",
        "SELECT @@datadir",
    ] {
        let verdict = classify(text.as_bytes(), LexMode::default());
        assert_eq!((verdict.class, verdict.traits), (Class::Read, Traits::NODE_STATE), "{text}");
    }
    for text in ["SELECT table_name FROM information_schema.tables", "SELECT processlist, global_status FROM t"] {
        assert_eq!(classify(text.as_bytes(), LexMode::default()).traits, Traits::empty(), "{text}");
    }
}

#[test]
fn changes_of_rows() {
    let texts = [
        "INSERT INTO t VALUES (1)",
        "insert into t values ('a;b')",
        "UPDATE t SET a=1 WHERE b='x@y'",
        "DELETE FROM t",
        "REPLACE t SET a=1",
    ];
    all(Class::Write, &texts);
    without(Traits::all(), &texts);
    with(Traits::USER_LOCK, &["INSERT INTO t SELECT get_LOCK('a',1)"]);
    with(Traits::TAINTS_VARIABLES, &["UPDATE t SET a=(@x:=@x+1)"]);
    with(Traits::MULTI, &["INSERT INTO t VALUES ('a;b'); DELETE FROM t"]);
}

#[test]
fn diagnostics() {
    all(
        Class::Diagnostics,
        &[
            "SELECT FOUND_ROWS()",
            "SELECT ROW_COUNT()",
            "SHOW WARNINGS",
            "SHOW COUNT(*) WARNINGS",
            "SHOW ERRORS LIMIT 1",
            "SELECT @@warning_count",
            "GET DIAGNOSTICS @n = NUMBER",
            "SHOW STATUS LIKE 'Last_query_cost'",
        ],
    );
}

#[test]
fn transactions() {
    all(
        Class::Begin { read_only: false },
        &[
            "BEGIN",
            "begin work;",
            "START TRANSACTION",
            "START TRANSACTION READ WRITE",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        ],
    );
    all(
        Class::Begin { read_only: true },
        &["START TRANSACTION READ ONLY", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY;"],
    );
    all(Class::End, &["COMMIT", "COMMIT WORK AND CHAIN NO RELEASE", "ROLLBACK", "rollback release ;"]);
    all(
        Class::SetTransaction,
        &["SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY", "SET @@tx_isolation='SERIALIZABLE'"],
    );
    with(Traits::XA_START, &["XA START 'a'", "XA BEGIN 'a'"]);
    with(Traits::XA_END, &["XA COMMIT 'a'", "XA ROLLBACK 'a'", "XA PREPARE 'a'"]);
}

#[test]
fn session_changes() {
    all(
        Class::Session,
        &[
            "SET NAMES utf8mb4",
            "SET NAMES utf8 COLLATE utf8_bin",
            "SET CHARACTER SET utf8",
            "SET autocommit=0",
            "SET @@session.sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), @@local.wait_timeout=1, @@autocommit := 1",
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "SET SESSION TRANSACTION READ ONLY",
            "SET tx_isolation='READ-COMMITTED'",
            "SET @a=1, @b='x', @c=@a",
            "SET ROLE r",
            "SET ROLE NONE",
            "USE db",
            "USE `db`;",
            "/*!40101 SET @OLD=@@CHARACTER_SET_CLIENT */;",
            "/*!40101 SET NAMES utf8 */",
            "SET `sql_mode`=''",
            "SET wait_timeout=DEFAULT",
        ],
    );
    with(Traits::SETS_VARIABLES_ONLY, &["SET @a=1, @b=2"]);
    without(Traits::SETS_VARIABLES_ONLY, &["SET @a=1, autocommit=1"]);
    all(Class::Prepare, &["PREPARE s FROM 'SELECT 1'", "DEALLOCATE PREPARE s", "DROP PREPARE s"]);
    all(Class::Kill, &["KILL 5", "KILL QUERY 5", "KILL HARD CONNECTION 7;", "KILL USER u", "KILL SOFT USER 'u'@'%'"]);
}

#[test]
fn sets_that_are_writes() {
    all(
        Class::Write,
        &[
            "SET GLOBAL max_connections=1",
            "SET @@global.max_connections=1",
            "SET PASSWORD = PASSWORD('x')",
            "SET PASSWORD FOR u@h = 'x'",
            "SET DEFAULT ROLE r FOR u@h",
            "SET @a=NOW()",
            "SET @a=(SELECT a FROM t)",
            "SET @a=f()",
            "SET @a=?",
            "SET insert_id=5",
            "SET @@tx_isolation='SERIALIZABLE', autocommit=0",
            "SET GLOBAL TRANSACTION READ ONLY",
            "KILL QUERY ID 5",
            "KILL @a",
            "SET",
            "SET x",
            "EXECUTE s",
            "EXECUTE IMMEDIATE 'SELECT 1'",
            "PREPARE s FROM @a",
            "PREPARE s FROM 'SET autocommit=0'",
        ],
    );
    with(
        Traits::UNREPEATABLE,
        &[
            "SET GLOBAL a=1, SESSION b=2",
            "SET sql_mode=(SELECT a FROM t)",
            "SET @a=now(), autocommit=0",
            "PREPARE s FROM @a",
            "EXECUTE IMMEDIATE @a",
            "EXECUTE IMMEDIATE 'SET autocommit=0'",
            "SET autocommit=0; SELECT 1",
            "SET STATEMENT a=1 FOR SET b=2",
            "HANDLER t OPEN",
        ],
    );
    without(
        Traits::UNREPEATABLE,
        &["SET GLOBAL a=1, b=2", "SET @a=now()", "EXECUTE IMMEDIATE 'SELECT 1'", "SET @a=1; SELECT @a"],
    );
    with(
        Traits::TAINTS_VARIABLES,
        &[
            "SET @a=now()",
            "SET @a=1, @b=now()",
            "SET GLOBAL a=1, @b=2",
            "SET @a=1; SELECT @a",
            "CALL p(@a)",
            "SELECT 1 INTO @a",
            "LOAD DATA INFILE 'x' INTO TABLE t (@a)",
        ],
    );
}

#[test]
fn several_statements() {
    with(Traits::MULTI, &["SELECT 1; SELECT 2", "SELECT 1;; SELECT 2;", "/*!40101 SELECT 1 */; DELETE FROM t"]);
    all(Class::Write, &["SELECT 1; SELECT 2", "/*!40101 SET @a=1 */; DELETE FROM t"]);
    without(
        Traits::MULTI,
        &[
            "SELECT 1;",
            ";SELECT 1;;",
            "SELECT ';'",
            "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END",
            "BEGIN NOT ATOMIC SELECT 1; END;",
        ],
    );
    with(Traits::MULTI, &["CREATE PROCEDURE IF NOT EXISTS p() SELECT 1; SELECT 2"]);
}

#[test]
fn locks_and_temporary_tables() {
    with(
        Traits::TEMPORARY_TABLE,
        &[
            "CREATE TEMPORARY TABLE t (a int)",
            "CREATE OR REPLACE TEMPORARY TABLE t AS SELECT 1",
            "CREATE TEMPORARY SEQUENCE s",
        ],
    );
    without(Traits::TEMPORARY_TABLE, &["CREATE TABLE temporary (a int)", "DROP TEMPORARY TABLE t"]);
    with(
        Traits::TABLE_LOCK,
        &[
            "LOCK TABLES t READ",
            "FLUSH TABLES WITH READ LOCK",
            "FLUSH TABLES t FOR EXPORT",
            "BACKUP STAGE START",
            "BACKUP LOCK t",
            "HANDLER t OPEN AS x",
        ],
    );
    without(Traits::TABLE_LOCK, &["FLUSH TABLES", "HANDLER t READ FIRST", "HANDLER t CLOSE"]);
    with(Traits::TABLE_UNLOCK, &["UNLOCK TABLES", "BACKUP STAGE END", "BACKUP UNLOCK"]);
    with(Traits::USER_LOCK, &["SELECT GET_LOCK('a',1)", "DO GET_LOCK('a',1)", "SET @a=GET_LOCK('a',1)"]);
    without(
        Traits::READS_VARIABLE,
        &[
            "GRANT ALL ON *.* TO u@h",
            "CREATE USER u@h",
            "SET PASSWORD FOR u@h='x'",
            "CREATE DEFINER=u@h VIEW v AS SELECT 1",
        ],
    );

    with(
        Traits::IMPLICIT_COMMIT,
        &[
            "CREATE TABLE t (a int)",
            "ALTER TABLE t ADD b int",
            "TRUNCATE t",
            "GRANT ALL ON *.* TO u@h",
            "LOCK TABLES t READ",
            "ANALYZE TABLE t",
        ],
    );
    with(
        Traits::CHANGES_BEGINNINGS,
        &[
            "SET GLOBAL sql_mode=''",
            "SET @@global.sql_mode=''",
            "GRANT ALL ON *.* TO u@h",
            "REVOKE ALL ON *.* FROM u@h",
            "CREATE USER u@h",
            "ALTER USER u@h ACCOUNT LOCK",
            "DROP ROLE r",
            "SET PASSWORD FOR u@h='x'",
            "SET DEFAULT ROLE r FOR u@h",
            "FLUSH PRIVILEGES",
        ],
    );
    without(
        Traits::CHANGES_BEGINNINGS,
        &["SET sql_mode=''", "SET ROLE r", "FLUSH TABLES", "SHOW GRANTS", "ALTER TABLE t ADD b int"],
    );
    with(
        Traits::READS_VARIABLE,
        &["SELECT @a", "SET @b=@a", "EXECUTE s USING @a", "SET STATEMENT max_statement_time=@a FOR SELECT 1"],
    );
    with(
        Traits::HINT,
        &["-- oarlock: writer\nSELECT 1", "SELECT 1 /* Maxscale route to master */", "SELECT 1 # oarlock:reader"],
    );
    without(Traits::HINT, &["SELECT 1 -- an oarlock: x", "SELECT 1 /* oarlocks */", "SELECT 'oarlock'"]);
}

#[test]
fn modes_of_the_lexer() {
    let ansi = LexMode { ansi_quotes: true, no_backslash_escapes: false };
    let raw = LexMode { ansi_quotes: false, no_backslash_escapes: true };
    assert_eq!(verdict("SELECT \"f\"(1)").class, Class::Read);
    assert_eq!(classify(b"SELECT \"f\"(1)", ansi).class, Class::Write);
    assert_eq!(classify(b"SELECT \"a\\\" FROM t", ansi).class, Class::Read);
    assert_eq!(classify(b"SELECT 'a\\', f(1), '", raw).class, Class::Write);
    assert_eq!(classify(b"SELECT 'a\\' FROM t", raw).class, Class::Read);
    // The halves of characters of multi-byte charsets, and one-byte charsets' own white space.
    assert_eq!(classify(b"SELECT '\xbf\\' FROM t -- '", LexMode::default()).class, Class::Write);
    assert_eq!(classify(b"SELECT `\xb5` FROM t", LexMode::default()).class, Class::Write);
    assert_eq!(classify(b"SELECT 1 --\xa0'\n FOR UPDATE -- '", LexMode::default()).class, Class::Write);
    assert_eq!(classify(b"SELECT 1 FOR\xa0UPDATE", LexMode::default()).class, Class::Write);
    assert_eq!(classify("SELECT größe, à FROM t WHERE a='à'".as_bytes(), LexMode::default()).class, Class::Read);
    assert_eq!(classify(b"SELECT '\xff\xfe\x00' FROM t", LexMode::default()).class, Class::Read);
}
