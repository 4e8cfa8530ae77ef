//! sqlx: how it opens connections and runs statements, and what only it does.

use futures_util::TryStreamExt;
use serde_json::{Value, json};
use sqlx::mysql::{
    MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlPoolOptions, MySqlRow,
};
use sqlx::mysql::{MySqlQueryResult, MySqlSslMode};
use sqlx::{Column, Connection as _, Either, Executor, Row, TypeInfo};

use super::driver::Checks;
use super::in_rust::{Connection, Given, Login, bytes};

pub struct Sqlx(MySqlConnection);

fn options(login: Login<'_>) -> MySqlConnectOptions {
    let options = MySqlConnectOptions::new()
        .host(&login.address.ip().to_string())
        .port(login.address.port())
        .username(login.user)
        .password(login.password);
    let options = match login.ca {
        Some(ca) => options.ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca(ca),
        None => options.ssl_mode(MySqlSslMode::Disabled),
    };
    match login.schema {
        Some(schema) => options.database(schema),
        None => options,
    }
}

fn fault(fault: &sqlx::Error) -> Value {
    match fault.as_database_error().and_then(|fault| fault.try_downcast_ref::<MySqlDatabaseError>()) {
        Some(fault) => json!(["error", fault.number(), fault.code(), fault.message()]),
        None => json!(["error", fault.to_string()]),
    }
}

fn row(row: &MySqlRow) -> Value {
    let values = row.columns().iter().map(|column| {
        let value = row.try_get_unchecked::<Option<Vec<u8>>, _>(column.ordinal());
        let value = value.map_or_else(|error| fault(&error), |value| value.as_deref().map_or(Value::Null, bytes));
        json!([column.name(), column.type_info().name(), value])
    });
    values.collect()
}

fn part(part: Either<MySqlQueryResult, MySqlRow>) -> Value {
    match part {
        Either::Left(done) => json!({ "affected": done.rows_affected(), "id": done.last_insert_id() }),
        Either::Right(found) => row(&found),
    }
}

impl Connection for Sqlx {
    async fn open(login: Login<'_>) -> Result<Self, Value> {
        MySqlConnection::connect_with(&options(login)).await.map(Self).map_err(|error| fault(&error))
    }

    async fn text(&mut self, sql: &str) -> Value {
        let mut found = vec![];
        let mut parts = self.0.fetch_many(sqlx::raw_sql(sql));
        loop {
            match parts.try_next().await {
                Ok(Some(next)) => found.push(part(next)),
                Ok(None) => return json!(found),
                Err(error) => return json!([found, fault(&error)]),
            }
        }
    }

    async fn prepared(&mut self, sql: &str, values: Vec<Given>) -> Value {
        let mut query = sqlx::query::<sqlx::MySql>(sql);
        for value in values {
            query = bind(query, value);
        }
        let mut found = vec![];
        let mut parts = self.0.fetch_many(query);
        loop {
            match parts.try_next().await {
                Ok(Some(next)) => found.push(part(next)),
                Ok(None) => return json!(found),
                Err(error) => return json!([found, fault(&error)]),
            }
        }
    }

    async fn ping(&mut self) -> Value {
        self.0.ping().await.map_or_else(|error| fault(&error), |()| json!("pong"))
    }

    async fn close(self) {
        // A server that has gone away is no news here.
        let _ = self.0.close().await;
    }

    async fn own(login: Login<'_>) -> Checks {
        let name = |name: &str, value| (name.to_owned(), value);
        vec![
            name("pool", pool(login).await),
            name("begin", begin(login).await),
            name("describe", describe(login).await),
        ]
    }
}

type Query<'a> = sqlx::query::Query<'a, sqlx::MySql, MySqlArguments>;

fn bind(query: Query<'_>, value: Given) -> Query<'_> {
    match value {
        Given::Null => query.bind(None::<String>),
        Given::Int(value) => query.bind(value),
        Given::Unsigned(value) => query.bind(value),
        Given::Double(value) => query.bind(value),
        Given::Text(value) => query.bind(value),
        Given::Bytes(value) => query.bind(value),
    }
}

/// Connections come back dirty, and are checked by a ping before they are given out.
async fn pool(login: Login<'_>) -> Value {
    let pool = MySqlPoolOptions::new().max_connections(3).connect_with(options(login)).await.unwrap();
    let mut found = vec![];
    for number in 0..60_i64 {
        let mut transaction = pool.begin().await.unwrap();
        let rows = sqlx::query("SELECT ? + 1, @@in_transaction, COUNT(*) FROM work")
            .bind(number)
            .fetch_all(&mut *transaction)
            .await;
        found.push(rows.map_or_else(|error| fault(&error), |rows| rows.iter().map(row).collect()));
        sqlx::query("INSERT INTO work (note) VALUES ('dirt')").execute(&mut *transaction).await.unwrap();
        drop(transaction);
    }
    pool.close().await;
    json!(found)
}

/// Transactions within transactions.
async fn begin(login: Login<'_>) -> Value {
    let mut conn = Sqlx::open(login).await.unwrap();
    let mut outer = conn.0.begin().await.unwrap();
    sqlx::query("INSERT INTO work (note) VALUES ('outer')").execute(&mut *outer).await.unwrap();
    let mut inner = outer.begin().await.unwrap();
    sqlx::query("INSERT INTO work (note) VALUES ('inner')").execute(&mut *inner).await.unwrap();
    inner.rollback().await.unwrap();
    outer.commit().await.unwrap();
    json!([conn.text("SELECT note FROM work").await, conn.text("TRUNCATE work").await])
}

/// What a statement would give, by preparing it only.
async fn describe(login: Login<'_>) -> Value {
    let mut conn = Sqlx::open(login).await.unwrap();
    let mut found = vec![];
    for sql in
        ["SELECT * FROM numbers", "SELECT * FROM texts WHERE id = ?", "INSERT INTO work (note) VALUES (?)", "SELEC"]
    {
        found.push(conn.0.prepare(sql).await.map_or_else(
            |error| fault(&error),
            |statement| json!(format!("{:?}", sqlx::Statement::columns(&statement))),
        ));
    }
    json!(found)
}
