//! Session commands and what they change.

use super::*;

fn of(text: &str) -> Change {
    change(text.as_bytes(), LexMode::default())
}

fn keys(text: &str) -> String {
    let keys: Vec<_> = of(text).keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
    keys.join(" ")
}

#[test]
fn keys_of_what_is_set() {
    let names =
        "@@character_set_client @@character_set_connection @@character_set_results @@collation_connection names";
    let cases = [
        ("SET @A=1, @`b``C`='x', @'d'=2, @a=3", "@a @b`c @d"),
        ("SET SQL_MODE='', @@session.Autocommit=1, LOCAL wait_timeout=5", "@@autocommit @@sql_mode @@wait_timeout"),
        ("SET `sql_mode`=''", "@@sql_mode"),
        ("SET NAMES utf8 COLLATE utf8_bin", names),
        ("SET NAMES utf8, @a=1", &names.replace("names", "@a names")),
        ("SET CHARACTER SET utf8", names),
        ("SET collation_connection=utf8_bin", "@@character_set_connection @@collation_connection"),
        ("SET character_set_results=NULL", "@@character_set_results"),
        ("USE db", "schema"),
        ("SET ROLE r", "role"),
        ("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY", "@@tx_isolation @@tx_read_only"),
        ("SET SESSION TRANSACTION READ WRITE", "@@tx_read_only"),
        ("SET tx_isolation='SERIALIZABLE'", "@@tx_isolation"),
        ("PREPARE S1 FROM 'SELECT 1'", "prepare:s1"),
        ("DEALLOCATE PREPARE s1", "prepare:s1"),
        ("DROP PREPARE `S1`", "prepare:s1"),
        ("/*!40101 SET @OLD=@@CHARACTER_SET_CLIENT */;", "@old"),
    ];
    for (text, expected) in cases {
        assert_eq!(keys(text), expected, "{text}");
    }
}

#[test]
fn natures() {
    let cases = [
        ("SET @a=1", Nature::Constant),
        ("SET @a=-1.5e3, @b=NULL, @c=x'00', @d=_utf8'x'", Nature::Constant),
        ("SET sql_mode=DEFAULT, autocommit=ON", Nature::Constant),
        ("SET @a='é'", Nature::Dependent),
        ("SET @a=@b", Nature::Dependent),
        ("SET @a=@a+1", Nature::Dependent),
        ("SET sql_mode=CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')", Nature::Dependent),
        ("SET sql_mode=@@global.sql_mode", Nature::Dependent),
        ("SET NAMES utf8", Nature::Constant),
        ("SET CHARACTER SET utf8", Nature::Dependent),
        ("PREPARE s FROM 'SELECT 1'", Nature::Dependent),
        ("SET @a=NOW()", Nature::Volatile),
        ("SET @a=CURRENT_DATE", Nature::Volatile),
        ("SET @a=(SELECT 1)", Nature::Dependent),
        ("SET sql_mode=(SELECT CONCAT(@@sql_mode, ',PIPES_AS_CONCAT'))", Nature::Dependent),
        ("SET @a=(SELECT a FROM t)", Nature::Volatile),
        ("SET @a=f()", Nature::Volatile),
        ("SET @a=db.concat()", Nature::Volatile),
        ("SET @a=@@last_insert_id", Nature::Volatile),
        ("SET @a=@@hostname", Nature::Volatile),
        ("SET @a=(@b:=1)", Nature::Volatile),
        ("SET @a=?", Nature::Volatile),
    ];
    for (text, expected) in cases {
        assert_eq!(of(text).nature, expected, "{text}");
    }
}

#[test]
fn schema_and_autocommit() {
    assert_eq!(of("USE `my``db`").schema.as_deref(), Some(b"my`db".as_slice()));
    assert_eq!(of("use db;").schema.as_deref(), Some(b"db".as_slice()));
    assert_eq!(of("SET autocommit=0").autocommit, Some(false));
    assert_eq!(of("SET @@autocommit:='ON'").autocommit, Some(true));
    assert_eq!(of("SET autocommit=@a").autocommit, None);
    assert!(of("DEALLOCATE PREPARE s").ends);
    assert!(!of("PREPARE s FROM 'x'").ends);
}

#[test]
fn how_texts_are_read_afterwards() {
    let is = |ansi_quotes, no_backslash_escapes| Lexing::Is(LexMode { ansi_quotes, no_backslash_escapes });
    let cases = [
        ("SET sql_mode='STRICT_ALL_TABLES'", is(false, false)),
        ("SET sql_mode='ansi_quotes,NO_BACKSLASH_ESCAPES'", is(true, true)),
        ("SET sql_mode=ANSI", is(true, false)),
        ("SET sql_mode=oracle", is(true, false)),
        ("SET sql_mode=4", is(true, false)),
        ("SET sql_mode=1048576", is(false, true)),
        ("SET sql_mode=DEFAULT", Lexing::Default),
        ("SET sql_mode=CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')", Lexing::Same),
        ("SET sql_mode=CONCAT(@@session.sql_mode, ',ANSI')", Lexing::Unknown),
        ("SET sql_mode=REPLACE(@@sql_mode, 'ONLY_FULL_GROUP_BY', '')", Lexing::Same),
        ("SET sql_mode=@old", Lexing::Unknown),
        ("SET sql_mode=@@global.sql_mode", Lexing::Unknown),
        ("SET sql_mode=UPPER('ansi')", Lexing::Unknown),
        ("SET autocommit=1", Lexing::Same),
    ];
    for (text, expected) in cases {
        assert_eq!(of(text).lexing, expected, "{text}");
    }
}
