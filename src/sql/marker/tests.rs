//! Where markers go, and what is one.

use super::*;
use crate::sql::statement::classify;

const MARKER: Marker = Marker { session: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, statement: 0xfedc };
const TEXT: &str = "/*oar:0123456789abcdef0123456789abcdef.000000000000fedc*/";

fn marked(text: &str) -> Option<String> {
    let at = place(text.as_bytes(), LexMode::default())?;
    let mut out = text.as_bytes()[..at].to_vec();
    put(MARKER, &mut out);
    out.extend_from_slice(&text.as_bytes()[at..]);
    Some(String::from_utf8(out).unwrap())
}

#[test]
fn it_is_put_and_found() {
    let mut out = Vec::new();
    put(MARKER, &mut out);
    assert_eq!((out.as_slice(), out.len()), (TEXT.as_bytes(), MARKER_BYTES));
    for (text, after) in [
        ("INSERT INTO t VALUES (1)", "INSERT"),
        ("insert t values(';')", "insert"),
        (" /* a */ -- b\n\tREPLACE t VALUES (1);", " /* a */ -- b\n\tREPLACE"),
        ("UPDATE t SET a = 1; ", "UPDATE"),
        ("DELETE t1, t2 FROM t1 JOIN t2", "DELETE"),
        ("LOAD DATA LOCAL INFILE 'x' INTO TABLE t", "LOAD"),
        ("CREATE OR REPLACE TABLE t (a INT)", "CREATE"),
        ("CREATE UNIQUE INDEX i ON t (a)", "CREATE"),
        ("ALTER TABLE t ADD b INT", "ALTER"),
        ("SELECT NEXT VALUE FOR s", "SELECT"),
        ("SELECT NEXTVAL(s)", "SELECT"),
        ("SET STATEMENT max_statement_time = 1 FOR INSERT INTO t VALUES (1)", "SET"),
        ("INSERT", "INSERT"),
    ] {
        let marked = marked(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(marked, format!("{after}{TEXT}{}", &text[after.len()..]));
        assert_eq!(find(marked.as_bytes()), Some(MARKER), "{text}");
        assert_eq!(find(&marked.as_bytes()[..after.len() + MARKER_BYTES]), Some(MARKER), "the beginning is enough");
    }
}

#[test]
fn what_would_lose_it_gets_none() {
    for text in [
        "",
        ";",
        ";INSERT INTO t VALUES (1)",
        "(SELECT NEXTVAL(s))",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "VALUES (NEXTVAL(s))",
        "SELECT 1",
        "SELECT f()",
        "SELECT NEXTVAL(s), f()",
        "SELECT a FROM t FOR UPDATE",
        "/*! INSERT */ INTO t VALUES (1)",
        "/*M! INSERT INTO t VALUES (1) */",
        "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)",
        "INSERT INTO t VALUES (1);; COMMIT",
        "INSERT INTO t VALUES ('a;",
        "CALL p()",
        "DO f()",
        "SET @x = f()",
        "SET PASSWORD = ''",
        "SET STATEMENT sql_log_bin = 0 FOR INSERT INTO t VALUES (1)",
        "SET STATEMENT Binlog_Annotate_Row_Events = 0 FOR INSERT INTO t VALUES (1)",
        "SET STATEMENT wsrep_on=0 FOR DELETE FROM t",
        "SET STATEMENT max_statement_time = 1 FOR CALL p()",
        "SET STATEMENT max_statement_time = 1",
        "SET STATEMENT /*! sql_log_bin=0 */ FOR DELETE FROM t",
        "BEGIN NOT ATOMIC INSERT INTO t VALUES (1); END",
        "BEGIN",
        "COMMIT",
        "EXECUTE s",
        "EXECUTE IMMEDIATE 'INSERT INTO t VALUES (1)'",
        "PREPARE s FROM 'INSERT INTO t VALUES (1)'",
        "XA COMMIT 'a'",
        "DROP TABLE t",
        "DROP SEQUENCE s",
        "CREATE VIEW v AS SELECT 1",
        "CREATE OR REPLACE VIEW v AS SELECT 1",
        "CREATE PROCEDURE p() SELECT 1",
        "CREATE DEFINER=a@b FUNCTION f() RETURNS INT RETURN 1",
        "CREATE TEMPORARY TABLE t (a INT)",
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
        "ALTER EVENT e DISABLE",
        "LOAD INDEX INTO CACHE t",
        "ANALYZE FORMAT=JSON SELECT 1",
        "INSERTS INTO t VALUES (1)",
        "`INSERT` INTO t",
    ] {
        assert_eq!(marked(text), None, "{text}");
    }
    let far = format!("{}INSERT INTO t VALUES (1)", " ".repeat(PLACE_MAX));
    assert_eq!(marked(&far), None);
    assert!(marked(&far[6..]).is_some());
}

#[test]
fn quotes_follow_the_mode() {
    let text = b"INSERT INTO t VALUES ('\\'; DELETE FROM t; -- ')";
    assert!(place(text, LexMode::default()).is_some());
    assert_eq!(place(text, LexMode { no_backslash_escapes: true, ..LexMode::default() }), None);
}

#[test]
fn only_the_exact_form_in_its_place_is_one() {
    let text = format!("INSERT{TEXT} INTO t VALUES (1)");
    assert_eq!(find(text.as_bytes()), Some(MARKER));
    assert_eq!(find(format!("/* why */ {text}").as_bytes()), Some(MARKER));
    for (from, to) in [
        ("INSERT", ""),
        ("INSERT", "INSERT "),
        ("INSERT", "INSERT/**/"),
        ("/*oar:", "/*!oar:"),
        ("/*oar:", "/*oar: "),
        ("abcdef.", "abcde."),
        ("abcdef.", "ABCDEF."),
        ("abcdef.", "abcdef0."),
        (".0", ","),
        ("fedc*/", "fedc */"),
        ("fedc*/", "fedc*"),
        ("000000fedc", "000000fedg"),
    ] {
        assert_eq!(find(text.replacen(from, to, 1).as_bytes()), None, "{from:?} {to:?}");
    }
    for end in 0..6 + MARKER_BYTES {
        assert_eq!(find(&text.as_bytes()[..end]), None);
    }
    let two = format!("INSERT{TEXT}/*oar:{}.{}*/ INTO t", "f".repeat(32), "f".repeat(16));
    assert_eq!(find(two.as_bytes()), Some(MARKER), "the first is the proxy's own");
}

/// Texts made of pieces that matter to the lexer, marked and not, are the same to the classifier.
#[test]
fn a_marker_changes_no_verdict() {
    const PIECES: [&str; 40] = [
        "INSERT",
        "UPDATE",
        "SELECT",
        "SET",
        "STATEMENT",
        "FOR",
        "LOAD",
        "DATA",
        "CREATE",
        "TABLE",
        "GRANT",
        "DROP",
        "USER",
        "t",
        "NEXTVAL(s)",
        "GET_LOCK('a',1)",
        "@a",
        ":=",
        "@@sql_mode",
        "'a;b'",
        "\"a\"",
        "`b`",
        ";",
        "(",
        ")",
        ",",
        "/*",
        "*/",
        "/*!",
        "/*M!50000",
        "/*! 1 */",
        "--",
        "-- a\n",
        "#",
        "\n",
        "\\",
        "'",
        "/* oarlock: writer */",
        "max_statement_time=1",
        "\u{e9}",
    ];
    let mut seed = 1u64;
    let mut roll = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let mut placed = 0;
    for _ in 0..200_000 {
        let count = roll(9);
        let first = PIECES[roll(13)];
        let text =
            (0..count).fold(first.to_owned(), |text, _| text + [" ", "", "\n"][roll(3)] + PIECES[roll(PIECES.len())]);
        for bits in 0..4 {
            let mode = LexMode { ansi_quotes: bits & 1 != 0, no_backslash_escapes: bits & 2 != 0 };
            let Some(at) = place(text.as_bytes(), mode) else { continue };
            placed += 1;
            let mut out = text.as_bytes()[..at].to_vec();
            put(MARKER, &mut out);
            out.extend_from_slice(&text.as_bytes()[at..]);
            assert_eq!(classify(&out, mode), classify(text.as_bytes(), mode), "{text:?} {mode:?}");
            assert_eq!(find(&out), Some(MARKER), "{text:?}");
            assert_eq!(place(&out, mode), Some(at), "{text:?}");
        }
    }
    assert!(placed > 50_000, "{placed}");
}
