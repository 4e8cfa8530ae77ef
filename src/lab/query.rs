//! One statement to one server over its unix socket, as root.

use std::path::Path;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row, Value};

/// The rows of a reply as text; NULL is `None`.
pub type Rows = Vec<Vec<Option<String>>>;

/// Why a statement failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server's error number (0 if there was no connection) and text.
    Sql(u16, String),
    /// No answer in time.
    Late,
}

/// Runs `sql`, which may be several statements; the rows of all results, one after another.
pub(super) fn query(socket: &Path, sql: &str, limit: Duration) -> Result<Rows, Failure> {
    // On a thread of its own: the caller may be inside a runtime, where another one can't be driven.
    let ask = || -> Result<Rows, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Failure::Sql(0, e.to_string()))?;
        let answer = runtime.block_on(async { tokio::time::timeout(limit, converse(socket, sql)).await });
        answer.map_err(|_| Failure::Late)?.map_err(|e| match e {
            mysql_async::Error::Server(e) => Failure::Sql(e.code, e.message),
            e => Failure::Sql(0, e.to_string()),
        })
    };
    std::thread::scope(|scope| scope.spawn(ask).join())
        .unwrap_or_else(|_| Err(Failure::Sql(0, "query ended early".into())))
}

async fn converse(socket: &Path, sql: &str) -> mysql_async::Result<Rows> {
    // Limits given here are not asked for at connect.
    let options = OptsBuilder::default().socket(socket.to_str()).user(Some("root"));
    let mut conn = Conn::new(options.max_allowed_packet(Some(1 << 24)).wait_timeout(Some(3600))).await?;
    let mut rows = Rows::new();
    let mut result = conn.query_iter(sql).await?;
    while !result.is_empty() {
        rows.extend(result.collect::<Row>().await?.into_iter().map(texts));
    }
    drop(result);
    conn.disconnect().await?;
    Ok(rows)
}

fn texts(row: Row) -> Vec<Option<String>> {
    row.unwrap()
        .into_iter()
        .map(|value| match value {
            Value::NULL => None,
            Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            other => Some(other.as_sql(true)),
        })
        .collect()
}
