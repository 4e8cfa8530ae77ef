//! The classifier against a real server.
//!
//! Each statement of `tests/corpus` first succeeds in a normal transaction. What the server then refuses in a READ ONLY
//! transaction or session must go to the writer; what it lets pass must have the class written above it in the corpus. The server
//! also says which statements commit implicitly.
//!
//! A corpus file is a list of lines: a statement, or a directive for what follows.
//! - `-- setup SQL`: run once before the file's statements.
//! - `-- expect CLASS [TRAIT ...]`: the class of the statements below, and traits each of them must have.
//! - `-- before SQL`, `-- after SQL`: run around the next statement only, each time it runs.
//! - `-- always SQL`: run before each statement below.
//! - `-- alone`: the next statement can't run in a transaction: it first succeeds without one.
//! - any other line that starts with `--` is a comment.
//!
//! `{file}` in a statement is a path where nothing is, `{data}` the path of a file with lines `1,one`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use oarlock::lab::Server;
use oarlock::sql::statement::{Class, LexMode, Traits, Verdict, classify};

/// The least number of statements that makes the corpus worth its name.
const STATEMENTS_MIN: usize = 1500;

#[tokio::test(flavor = "current_thread")]
async fn the_server_agrees() {
    let ground = Ground::new();
    every_function_is_known(&ground).await;
    texts_in_other_charsets(&ground).await;
    corpus(&ground).await;
}

async fn corpus(ground: &Ground) {
    let mut oracle = Oracle {
        conn: ground.connect().await,
        data: ground.folder.path().join("rows"),
        files: ground.folder.path().into(),
        file: 0,
    };
    let mut faults = Vec::new();
    let mut texts = std::collections::HashSet::new();
    for path in corpus_files() {
        let corpus = Corpus::read(&path);
        oracle.conn.query_drop("DROP DATABASE IF EXISTS corpus; CREATE DATABASE corpus; USE corpus").await.unwrap();
        for sql in &corpus.setup {
            oracle.conn.query_drop(sql).await.unwrap_or_else(|e| panic!("{}: setup {sql}: {e}", path.display()));
        }
        for entry in &corpus.entries {
            if !texts.insert(entry.sql.clone()) {
                faults.push(format!("twice in the corpus: {}", entry.sql));
            }
            if let Err(fault) = oracle.check(entry).await {
                faults.push(format!("{}:{}: {fault}\n    {}", path.display(), entry.line, entry.sql));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
    assert!(texts.len() >= STATEMENTS_MIN, "only {} statements", texts.len());
}

/// What the server lists as its own functions is not taken for stored ones.
async fn every_function_is_known(ground: &Ground) {
    let mut conn = ground.connect().await;
    let names: Vec<String> = conn.query("SELECT LOWER(function) FROM information_schema.sql_functions").await.unwrap();
    assert!(names.len() > 200, "{} functions", names.len());
    let unknown: Vec<_> = names
        .iter()
        // Listed by the server, but not callable.
        .filter(|name| *name != "schemas")
        .filter(|name| {
            classify(format!("SELECT {name}(1)").as_bytes(), LexMode::default()).why.contains("stored function")
        })
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// Texts that are no UTF-8, each valid for a server under its charset.
async fn texts_in_other_charsets(ground: &Ground) {
    let mut conn = ground.connect().await;
    conn.query_drop("CREATE DATABASE corpus; USE corpus; CREATE TABLE t (a INT, b BLOB)").await.unwrap();
    let cases: [(&str, &[u8], Class); 11] = [
        ("binary", b"SELECT '\x01\xff\xfe', \"\x80\", x'ff', a FROM t", Class::Read),
        ("binary", b"INSERT INTO t VALUES (1, '\xff\x00\\'\xfe')", Class::Write),
        ("latin1", b"SELECT 'caf\xe9' AS `\xe9t`, a FROM t -- \xe9", Class::Read),
        ("latin1", b"SET @a = '\xe9'", Class::Session),
        // White space in this charset.
        ("latin1", b"SELECT a FROM t FOR\xa0UPDATE", Class::Write),
        ("latin1", b"SELECT\xa0a FROM t", Class::Write),
        ("latin1", b"SELECT a FROM t --\xa0'\nFOR UPDATE -- '", Class::Write),
        ("latin1", b"SELECT a AS \xe9t\xe9 FROM t", Class::Write),
        ("utf8mb4", "SELECT a AS été, 'à' AS voilà FROM t".as_bytes(), Class::Read),
        // The backslash is the second half of a character, so that the string ends before FOR UPDATE.
        ("gbk", b"SELECT '\xbf\\' FROM t FOR UPDATE -- '", Class::Write),
        ("sjis", b"SELECT '\x95\\' FROM t LOCK IN SHARE MODE -- '", Class::Write),
    ];
    for (charset, text, class) in cases {
        let shown = String::from_utf8_lossy(text);
        conn.query_drop(format!("SET NAMES {charset}")).await.unwrap();
        conn.query_drop(text.to_vec()).await.unwrap_or_else(|e| panic!("{charset}: {shown}: {e}"));
        assert_eq!(classify(text, LexMode::default()).class, class, "{charset}: {shown}");
    }
}

#[test]
fn nothing_is_allocated() {
    for path in corpus_files() {
        for entry in Corpus::read(&path).entries {
            let text = entry.sql.as_bytes();
            let measured = allocation_counter::measure(|| {
                classify(text, LexMode::default());
            });
            assert_eq!(measured.count_total, 0, "{}", entry.sql);
        }
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let modes = [(false, false), (true, false), (false, true), (true, true)]
        .map(|(ansi_quotes, no_backslash_escapes)| LexMode { ansi_quotes, no_backslash_escapes });
    for path in corpus_files() {
        for entry in Corpus::read(&path).entries {
            for end in 0..entry.sql.len() {
                for mode in modes {
                    examine(&entry.sql.as_bytes()[..end], mode);
                }
            }
        }
    }
    let mut random = Random(7);
    let pieces: [&[u8]; 24] = [
        b"SELECT",
        b"SET",
        b"/*!",
        b"*/",
        b"--",
        b" ",
        b"@",
        b"@@",
        b"'",
        b"\"",
        b"`",
        b"\\",
        b";",
        b"(",
        b")",
        b",",
        b"=",
        b":=",
        b"FOR",
        b"PREPARE s FROM ",
        b"KILL",
        b"GLOBAL",
        b"\xff",
        b"\0",
    ];
    for _ in 0..20_000 {
        let mut text = Vec::new();
        for _ in 0..random.below(12) {
            match random.below(3) {
                0 => text.push(random.below(256) as u8),
                _ => text.extend_from_slice(pieces[random.below(pieces.len())]),
            }
        }
        examine(&text, modes[random.below(4)]);
    }
}

/// Everything that reads a text.
fn examine(text: &[u8], mode: LexMode) {
    let verdict = classify(text, mode);
    assert!(!verdict.why.is_empty());
    oarlock::sql::effect::change(text, mode);
    oarlock::sql::hint::hint(text, mode);
}

#[test]
fn nesting_has_no_depth() {
    for piece in
        ["(", "SET STATEMENT a=1 FOR ", "EXPLAIN ", "/*!", "WITH a AS (", "PREPARE s FROM '", "EXECUTE IMMEDIATE \""]
    {
        classify(piece.repeat(100_000).as_bytes(), LexMode::default());
    }
}

// === The corpus ===

fn corpus_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[derive(Default)]
struct Corpus {
    setup: Vec<String>,
    entries: Vec<Entry>,
}

/// One statement, and what is expected of it.
struct Entry {
    line: usize,
    sql: String,
    class: Class,
    traits: Traits,
    before: Vec<String>,
    after: Vec<String>,
    /// Refused by the server in any transaction.
    alone: bool,
}

impl Corpus {
    fn read(path: &Path) -> Corpus {
        let text = std::fs::read_to_string(path).unwrap();
        let mut corpus = Corpus::default();
        let (mut class, mut traits) = (None, Traits::empty());
        let (mut always, mut before, mut after, mut alone) = (Vec::new(), Vec::new(), Vec::new(), false);
        for (number, line) in text.lines().enumerate() {
            let directive =
                |name: &str| line.strip_prefix("-- ").and_then(|rest| rest.strip_prefix(name)).map(str::trim);
            if let Some(sql) = directive("setup ") {
                corpus.setup.push(sql.to_string());
            } else if let Some(expected) = directive("expect ") {
                let mut words = expected.split(' ');
                class = Some(class_named(words.next().unwrap()));
                traits =
                    words.map(|name| Traits::from_name(name).unwrap_or_else(|| panic!("no trait {name}"))).collect();
                always.clear();
            } else if let Some(sql) = directive("always ") {
                always.push(sql.to_string());
            } else if let Some(sql) = directive("before ") {
                before.push(sql.to_string());
            } else if let Some(sql) = directive("after ") {
                after.push(sql.to_string());
            } else if line == "-- alone" {
                alone = true;
            } else if !line.starts_with("--") && !line.trim().is_empty() {
                let class = class.unwrap_or_else(|| panic!("{}: no class above line {}", path.display(), number + 1));
                let before = always.iter().cloned().chain(std::mem::take(&mut before)).collect();
                let after = std::mem::take(&mut after);
                let entry = Entry { line: number + 1, sql: line.to_string(), class, traits, before, after, alone };
                corpus.entries.push(entry);
                alone = false;
            }
        }
        corpus
    }
}

fn class_named(name: &str) -> Class {
    match name {
        "read" => Class::Read,
        "diagnostics" => Class::Diagnostics,
        "write" => Class::Write,
        "session" => Class::Session,
        "begin" => Class::Begin { read_only: false },
        "begin-read-only" => Class::Begin { read_only: true },
        "end" => Class::End,
        "set-transaction" => Class::SetTransaction,
        "prepare" => Class::Prepare,
        "kill" => Class::Kill,
        other => panic!("no class {other}"),
    }
}

// === The oracle ===

struct Oracle {
    conn: Conn,
    data: PathBuf,
    files: PathBuf,
    /// The last number given to a `{file}`.
    file: usize,
}

/// Cannot execute statement in a READ ONLY transaction.
const ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION: u16 = 1792;

impl Oracle {
    async fn check(&mut self, entry: &Entry) -> Result<(), String> {
        let verdict = classify(entry.sql.as_bytes(), LexMode::default());
        if verdict.class != entry.class || !verdict.traits.contains(entry.traits) {
            return Err(format!("classified as {verdict:?}"));
        }
        let result = self.run(entry, if entry.alone { "DO 0" } else { "START TRANSACTION" }).await;
        let commits = self.in_transaction().await? == 0;
        self.clean_up(entry).await?;
        result.map_err(|e| format!("fails in a transaction: {e}"))?;
        let expected = verdict.traits.contains(Traits::IMPLICIT_COMMIT);
        let exempt = entry.alone
            || verdict.class == Class::End
            || verdict.traits.intersects(Traits::MULTI | Traits::TABLE_UNLOCK);
        if commits != expected && !exempt {
            return Err(format!("commits implicitly: {commits}, but {verdict:?}"));
        }
        // What commits implicitly leaves a READ ONLY transaction before it is judged, but not a READ ONLY session.
        let starts = ["START TRANSACTION READ ONLY", "SET SESSION TRANSACTION READ ONLY"];
        for start in starts.iter().skip((entry.alone || commits).into()) {
            let result = self.run(entry, start).await;
            self.clean_up(entry).await?;
            let refused = match result {
                Ok(()) => false,
                Err(mysql_async::Error::Server(error)) if error.code == ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION => {
                    true
                }
                Err(error) => return Err(format!("fails after {start:?}: {error}")),
            };
            if refused && !goes_to_writer(verdict) {
                return Err(format!("refused after {start:?}, but {verdict:?}"));
            }
        }
        Ok(())
    }

    async fn run(&mut self, entry: &Entry, start: &str) -> Result<(), mysql_async::Error> {
        self.conn.reset().await?;
        self.conn.query_drop("USE corpus").await?;
        for sql in &entry.before {
            self.conn.query_drop(sql).await?;
        }
        self.conn.query_drop(start).await?;
        self.file += 1;
        let file = self.files.join(self.file.to_string());
        let sql = entry.sql.replace("{file}", &file.to_string_lossy()).replace("{data}", &self.data.to_string_lossy());
        self.conn.query_iter(sql).await?.drop_result().await
    }

    async fn in_transaction(&mut self) -> Result<u8, String> {
        let answer = self.conn.query_first("SELECT @@in_transaction").await.map_err(|e| e.to_string())?;
        Ok(answer.unwrap_or_default())
    }

    async fn clean_up(&mut self, entry: &Entry) -> Result<(), String> {
        // Frees locks and ends the transaction, too.
        self.conn.reset().await.map_err(|e| e.to_string())?;
        self.conn.query_drop("USE corpus").await.map_err(|e| e.to_string())?;
        for sql in &entry.after {
            // Fails where the statement was refused; what is left over fails the statements below.
            let _ = self.conn.query_drop(sql).await;
        }
        Ok(())
    }
}

fn goes_to_writer(verdict: Verdict) -> bool {
    matches!(verdict.class, Class::Write | Class::Prepare | Class::Kill | Class::Begin { read_only: false })
}

/// A generator of repeatable noise (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

// === The server ===

/// A server of its own, and a place for files it reads and writes.
struct Ground {
    server: Server,
    folder: tempfile::TempDir,
}

impl Ground {
    fn new() -> Ground {
        let options = [
            ("sync_frm", "OFF"),
            ("innodb_flush_log_at_trx_commit", "0"),
            ("innodb_stats_persistent", "OFF"),
            ("log_bin_trust_function_creators", "ON"),
            ("character_set_server", "utf8mb4"),
            ("collation_server", "utf8mb4_general_ci"),
        ];
        let server = Server::start(&options).unwrap();
        let folder = tempfile::tempdir().unwrap();
        // The server runs as another user.
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(folder.path(), all).unwrap();
        std::fs::write(folder.path().join("rows"), "1,one\n2,two\n").unwrap();
        Ground { server, folder }
    }

    async fn connect(&self) -> Conn {
        let options = OptsBuilder::default().socket(Some(self.server.socket().to_string_lossy())).user(Some("root"));
        Conn::new(options).await.unwrap()
    }
}
