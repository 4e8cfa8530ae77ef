//! One client connection, by whichever driver and protocol: statements whose values are numbers.

use std::net::SocketAddr;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Params, Value};
use oarlock::lab::{APP_PASSWORD, APP_USER};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlSslMode};
use sqlx::{Connection as _, Executor, Row as _};

/// What client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// mysql_async, statements as text.
    Text,
    /// mysql_async, prepared statements.
    Binary,
    /// sqlx, prepared statements.
    Sqlx,
}

/// A connection.
pub enum Driver {
    Text(Conn),
    Binary(Conn),
    Sqlx(MySqlConnection),
}

/// Why a statement failed.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// With this error.
    Error { code: u16, state: String, text: String },
    /// The connection is gone, for this reason.
    Gone(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Error { code, state, text } => write!(f, "{code} ({state}): {text}"),
            Self::Gone(why) => write!(f, "gone: {why}"),
        }
    }
}

/// What a statement that wrote was answered.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    pub rows: u64,
    pub insert_id: u64,
}

impl Driver {
    /// Connected and logged in.
    pub async fn connect(kind: Kind, address: SocketAddr) -> Result<Self, Trouble> {
        let (host, port) = (address.ip().to_string(), address.port());
        let options = OptsBuilder::default()
            .ip_or_hostname(host.clone())
            .tcp_port(port)
            .user(Some(APP_USER))
            .pass(Some(APP_PASSWORD))
            .db_name(Some("bank"))
            .prefer_socket(false)
            .max_allowed_packet(Some(1 << 24))
            .wait_timeout(Some(3600));
        let sqlx = MySqlConnectOptions::new()
            .host(&host)
            .port(port)
            .username(APP_USER)
            .password(APP_PASSWORD)
            .database("bank")
            .ssl_mode(MySqlSslMode::Disabled);
        Ok(match kind {
            Kind::Text => Self::Text(Conn::new(options).await?),
            Kind::Binary => Self::Binary(Conn::new(options).await?),
            Kind::Sqlx => Self::Sqlx(MySqlConnection::connect_with(&sqlx).await?),
        })
    }

    /// Runs a statement without values, always as text.
    pub async fn say(&mut self, sql: &'static str) -> Result<(), Trouble> {
        match self {
            Self::Text(conn) | Self::Binary(conn) => conn.query_drop(sql).await?,
            Self::Sqlx(conn) => conn.execute(sqlx::raw_sql(sql)).await.map(drop)?,
        }
        Ok(())
    }

    /// Runs a statement that writes.
    pub async fn write(&mut self, sql: &'static str, values: &[i64]) -> Result<Written, Trouble> {
        Ok(match self {
            Self::Text(conn) => {
                conn.query_drop(filled(sql, values)).await?;
                written(conn)
            }
            Self::Binary(conn) => {
                conn.exec_drop(sql, positional(values)).await?;
                written(conn)
            }
            Self::Sqlx(conn) => {
                let query = values.iter().fold(sqlx::query(sql), |query, value| query.bind(*value));
                let done = query.execute(conn).await?;
                Written { rows: done.rows_affected(), insert_id: done.last_insert_id() }
            }
        })
    }

    /// Runs a read of one number; none if there is no row.
    pub async fn number(&mut self, sql: &'static str, values: &[i64]) -> Result<Option<i64>, Trouble> {
        Ok(match self {
            Self::Text(conn) => conn.query_first(filled(sql, values)).await?,
            Self::Binary(conn) => conn.exec_first(sql, positional(values)).await?,
            Self::Sqlx(conn) => {
                let query = values.iter().fold(sqlx::query(sql), |query, value| query.bind(*value));
                let row = query.fetch_optional(conn).await?;
                row.map(|row| row.try_get_unchecked(0)).transpose()?
            }
        })
    }
}

fn written(conn: &Conn) -> Written {
    Written { rows: conn.affected_rows(), insert_id: conn.last_insert_id().unwrap_or_default() }
}

/// The statement with its values written into it.
fn filled(sql: &str, values: &[i64]) -> String {
    let mut parts = sql.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.zip(values).fold(first, |text, (part, value)| format!("{text}{value}{part}"))
}

fn positional(values: &[i64]) -> Params {
    if values.is_empty() {
        Params::Empty
    } else {
        Params::Positional(values.iter().map(|value| Value::Int(*value)).collect())
    }
}

impl From<mysql_async::Error> for Trouble {
    fn from(error: mysql_async::Error) -> Self {
        match error {
            mysql_async::Error::Server(error) => {
                Self::Error { code: error.code, state: error.state, text: error.message }
            }
            gone => Self::Gone(gone.to_string()),
        }
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>()) {
            Some(error) => Self::Error {
                code: error.number(),
                state: error.code().unwrap_or_default().to_owned(),
                text: error.message().to_owned(),
            },
            None => Self::Gone(error.to_string()),
        }
    }
}
