//! What applications in Rust do, whatever their driver: the script of Rust.

use std::net::SocketAddrV4;
use std::time::Duration;

use serde_json::{Value, json};

use super::driver::{Checks, SCRIPT_MAX};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/drivers/scripts");
const BIG: usize = 20 << 20;
/// For a statement to begin.
const RUNNING_MAX: Duration = Duration::from_secs(20);

/// How to log in.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    pub address: SocketAddrV4,
    pub user: &'a str,
    pub password: &'a str,
    pub schema: Option<&'a str>,
    pub found_rows: bool,
    /// A file of certificates: all of it goes in TLS, verified by them.
    pub ca: Option<&'a str>,
}

/// A value to give to a prepared statement.
pub enum Given {
    Null,
    Int(i64),
    Unsigned(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A connection of a driver.
pub trait Connection: Sized {
    async fn open(login: Login<'_>) -> Result<Self, Value>;
    /// All that comes of a statement.
    async fn text(&mut self, sql: &str) -> Value;
    async fn prepared(&mut self, sql: &str, values: Vec<Given>) -> Value;
    async fn ping(&mut self) -> Value;
    async fn close(self);
    /// What only this driver does.
    async fn own(login: Login<'_>) -> Checks;
}

/// Runs all checks.
pub fn run<C: Connection>(address: SocketAddrV4, ca: Option<&str>) -> Result<Checks, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let login = Login {
        address,
        user: oarlock::lab::APP_USER,
        password: oarlock::lab::APP_PASSWORD,
        schema: Some("driven"),
        found_rows: false,
        ca,
    };
    let script = Script::<C> { login, checks: vec![], driver: std::marker::PhantomData };
    let checks = runtime.block_on(async { tokio::time::timeout(SCRIPT_MAX, script.run()).await });
    checks.map_err(|_| format!("not done after {SCRIPT_MAX:?}"))
}

/// The statements of a file with their names.
fn sections(file: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(format!("{SCRIPTS}/{file}")).unwrap();
    let sections = format!("\n{text}");
    let parts = sections.split("\n-- ").skip(1).filter_map(|part| part.split_once('\n').or(Some((part, ""))));
    parts.map(|(name, sql)| (name.to_owned(), sql.trim().to_owned())).collect()
}

/// Bytes as JSON: text if they are, only a digest if they are many.
pub fn bytes(value: &[u8]) -> Value {
    use sha1::{Digest, Sha1};
    match std::str::from_utf8(value) {
        _ if value.len() > 2000 => json!(["long", value.len(), format!("{:x?}", Sha1::digest(value))]),
        Ok(text) => json!(text),
        Err(_) => json!(["bytes", format!("{value:02x?}")]),
    }
}

/// What many statements have in common, one after the other on one connection.
async fn all<C: Connection>(conn: &mut C, statements: &[&str]) -> Value {
    let mut found = vec![];
    for sql in statements {
        found.push(conn.text(sql).await);
    }
    json!(found)
}

fn given() -> Vec<[Given; 2]> {
    let texts = ["", "it's \\ \"quoted\" ? ü😀\n\0", "2024-02-29 01:02:03.000004", "12345678901234567890.123456789"];
    let mut values: Vec<[Given; 2]> = texts.map(|text| [Given::Text(text.into()), Given::Text(text.into())]).into();
    values.push([Given::Null, Given::Int(0)]);
    values.push([Given::Int(i64::MIN), Given::Int(i64::MAX)]);
    values.push([Given::Unsigned(u64::MAX), Given::Double(-0.25)]);
    values.push([Given::Double(1.797e308), Given::Bytes(vec![0, 255, 39, 92, 10])]);
    values.push([Given::Text("x".repeat(70_000)), Given::Null]);
    values
}

struct Script<'a, C> {
    login: Login<'a>,
    checks: Checks,
    driver: std::marker::PhantomData<C>,
}

impl<C: Connection> Script<'_, C> {
    async fn run(mut self) -> Checks {
        let mut conn = C::open(Login { schema: None, ..self.login }).await.unwrap_or_else(|fault| panic!("{fault}"));
        for (name, sql) in sections("schema.sql") {
            let found = conn.text(&sql).await;
            assert!(!found.to_string().contains("\"error\""), "{name}: {found}");
        }
        conn.close().await;
        self.statements().await;
        self.values().await;
        self.sizes().await;
        self.transactions().await;
        self.logins().await;
        self.kills().await;
        let own = C::own(self.login).await;
        self.checks.extend(own);
        self.checks
    }

    async fn open(&self) -> C {
        C::open(self.login).await.unwrap_or_else(|fault| panic!("{fault}"))
    }

    fn note(&mut self, name: &str, value: Value) {
        self.checks.push((name.to_owned(), value));
    }

    async fn statements(&mut self) {
        for (name, sql) in sections("sequences.sql") {
            let mut conn = self.open().await;
            let found = all(&mut conn, &sql.lines().collect::<Vec<_>>()).await;
            conn.close().await;
            self.note(&name, found);
        }
        for file in ["reads", "failures", "chatter/hibernate", "chatter/laravel"] {
            let mut conn = self.open().await;
            let (mut text, mut prepared) = (vec![], vec![]);
            for (name, sql) in sections(&format!("{file}.sql")) {
                text.push((name, conn.text(&sql).await));
            }
            conn.close().await;
            let mut conn = self.open().await;
            for (name, sql) in sections(&format!("{file}.sql")) {
                prepared.push((name, conn.prepared(&sql, vec![]).await));
            }
            conn.close().await;
            self.note(file, json!(text));
            self.note(&format!("{file} prepared"), json!(prepared));
        }
    }

    async fn values(&mut self) {
        let mut conn = self.open().await;
        let mut found = vec![];
        for pair in given() {
            found.push(conn.prepared("SELECT ? AS a, ? AS b", pair.into()).await);
        }
        self.note("parameters", json!(found));
        let mut found = vec![];
        for round in 0..3 {
            for number in 0..150 {
                let sql = format!("SELECT {number} + ?, word FROM many WHERE id = ?");
                found.push(conn.prepared(&sql, vec![Given::Int(round), Given::Int(number)]).await);
            }
        }
        self.note("many prepared", json!(found));
        for word in ["Zażółć", "日本語", "😀👍🏽", "e\u{301}", "a\\b'c\"d"] {
            conn.prepared("INSERT INTO work (note) VALUES (?)", vec![Given::Text(word.into())]).await;
        }
        let found = all(&mut conn, &["SELECT note, HEX(note) FROM work ORDER BY id", "TRUNCATE work"]).await;
        self.note("unicode", found);
        let found = conn
            .text("SELECT 1; SELECT 2, 3; INSERT INTO work (note) VALUES ('a'); SELECT * FROM nowhere; SELECT 4")
            .await;
        self.note("multi statements", json!([found, all(&mut conn, &["SELECT 'after'", "TRUNCATE work"]).await]));
        let found = [
            conn.prepared("CALL two_sets(?)", vec![Given::Int(2)]).await,
            conn.prepared("CALL complain()", vec![]).await,
        ];
        self.note("prepared procedures", json!([found, conn.text("SELECT 'after'").await]));
        self.note(
            "zero dates",
            json!([
                conn.text("SELECT * FROM zero_dates").await,
                conn.prepared("SELECT * FROM zero_dates", vec![]).await,
                conn.prepared("SELECT * FROM dates", vec![]).await
            ]),
        );
    }

    async fn sizes(&mut self) {
        let mut conn = self.open().await;
        let blob: Vec<u8> = (0..BIG).map(|place| (place % 251) as u8).collect();
        let written = conn.prepared("INSERT INTO blobs (data) VALUES (?)", vec![Given::Bytes(blob.clone())]).await;
        let found = [
            conn.text("SELECT SHA1(data), data FROM blobs").await,
            conn.prepared("SELECT data FROM blobs", vec![]).await,
        ];
        self.note("big values", json!([written, found, bytes(&blob), conn.text("TRUNCATE blobs").await]));
        let mut found = vec![];
        for size in [(1 << 24) - 2, (1 << 24) - 1, 1 << 24, (1 << 24) + 1] {
            found.push(conn.text(&format!("SELECT LENGTH('{}')", "x".repeat(size - 18))).await);
            found.push(conn.text(&format!("SELECT REPEAT('y', {})", size - 5)).await);
        }
        self.note("packet edges", json!(found));
        self.note(
            "many rows",
            json!([conn.text("SELECT * FROM many").await, conn.prepared("SELECT * FROM many", vec![]).await]),
        );
    }

    async fn transactions(&mut self) {
        let (mut one, mut two) = (self.open().await, self.open().await);
        let mut found = vec![];
        for number in 0..20 {
            one.text("BEGIN").await;
            found.push(one.prepared("INSERT INTO work (note) VALUES (?)", vec![Given::Int(number)]).await);
            found.push(one.text("SELECT note FROM work WHERE id = LAST_INSERT_ID()").await);
            found.push(one.text(if number % 3 == 0 { "ROLLBACK" } else { "COMMIT" }).await);
        }
        self.note(
            "read your write",
            json!([found, one.text("SELECT note FROM work ORDER BY id").await, one.text("TRUNCATE work").await]),
        );
        let before = all(&mut one, &["BEGIN", "UPDATE many SET word = 'locked' WHERE id = 1"]).await;
        let waited = all(
            &mut two,
            &[
                "SET innodb_lock_wait_timeout = 1",
                "BEGIN",
                "UPDATE many SET word = 'other' WHERE id = 1",
                "SELECT @@in_transaction",
                "ROLLBACK",
            ],
        )
        .await;
        self.note("lock wait timeout", json!([before, waited, one.text("ROLLBACK").await]));
        let isolated = all(
            &mut one,
            &["SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "BEGIN", "SELECT COUNT(*) FROM work"],
        )
        .await;
        two.text("INSERT INTO work (note) VALUES ('unseen')").await;
        self.note(
            "isolation",
            json!([
                isolated,
                all(&mut one, &["SELECT COUNT(*) FROM work", "COMMIT", "SELECT COUNT(*) FROM work", "TRUNCATE work"])
                    .await
            ]),
        );
        one.text("SET @idle = 7; BEGIN; INSERT INTO work (note) VALUES ('idle')").await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        self.note(
            "idle then use",
            all(&mut one, &["SELECT @idle, note FROM work", "ROLLBACK", "SELECT COUNT(*) FROM work"]).await,
        );
        self.note("pings", json!([one.ping().await, one.ping().await, two.ping().await]));
    }

    async fn logins(&mut self) {
        let mut found = vec![];
        for (user, password, schema) in [
            ("app", "wrong", "driven"),
            ("nobody", "x", "driven"),
            ("app", "app-secret", "nowhere"),
            ("other", "other-secret", "driven"),
        ] {
            let login = Login { user, password, schema: Some(schema), ..self.login };
            found.push(match C::open(login).await {
                Ok(mut conn) => {
                    all(&mut conn, &["SELECT CURRENT_USER(), DATABASE()", "INSERT INTO work (note) VALUES ('refused')"])
                        .await
                }
                Err(fault) => fault,
            });
        }
        self.note("logins", json!(found));
        let mut found = vec![];
        for found_rows in [false, true] {
            let mut conn = C::open(Login { found_rows, ..self.login }).await.unwrap_or_else(|fault| panic!("{fault}"));
            found.push(
                all(
                    &mut conn,
                    &["INSERT INTO parents VALUES (1, 'a')", "UPDATE parents SET name = 'a'", "DELETE FROM parents"],
                )
                .await,
            );
        }
        self.note("found rows of clients", json!(found));
        let mut found = vec![];
        for number in 0..100 {
            let mut conn = self.open().await;
            found.push(
                all(
                    &mut conn,
                    &[
                        &format!("SELECT {number}, @dirt, @@in_transaction, COUNT(*) FROM work"),
                        "SET @dirt = 1",
                        "BEGIN",
                        "INSERT INTO work (note) VALUES ('dirt')",
                    ],
                )
                .await,
            );
            conn.close().await;
        }
        self.note("short connections", json!(found));
        let mut conn = self.open().await;
        self.note("server version", conn.text("SELECT VERSION()").await);
    }

    async fn kills(&mut self) {
        for order in ["QUERY", "CONNECTION"] {
            let (mut one, mut two) = (self.open().await, self.open().await);
            let id = one.text("SELECT CONCAT('<', CONNECTION_ID(), '>') AS id").await.to_string();
            let id: String = id.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
            let kill = async {
                let sql = "SELECT CONCAT('<', COUNT(*), '>') AS running FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(19)%'";
                let running = async {
                    while !two.text(sql).await.to_string().contains("<1>") {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                };
                tokio::time::timeout(RUNNING_MAX, running).await.unwrap();
                two.text(&format!("KILL {order} {id}")).await
            };
            let (killed, order_answer) = tokio::join!(one.text("SELECT SLEEP(19), 'killed'"), kill);
            let after = one.text("SELECT 'after'").await;
            self.note(&format!("kill {order}"), json!([killed, order_answer, after]));
        }
    }
}
