//! mysql_async: how it opens connections and runs statements, and what only it does.

use std::path::Path;

use futures_util::{StreamExt, stream};
use mysql_async::prelude::{Protocol, Queryable};
use mysql_async::{
    ChangeUserOpts, Conn, Error, OptsBuilder, Params, Pool, QueryResult, Row, SslOpts, TxOpts, Value as Cell,
};
use serde_json::{Value, json};

use super::driver::Checks;
use super::in_rust::{Connection, Given, Login, bytes};

pub struct MysqlAsync(Conn);

fn options(login: Login<'_>) -> OptsBuilder {
    OptsBuilder::default()
        .ip_or_hostname(login.address.ip().to_string())
        .tcp_port(login.address.port())
        .user(Some(login.user))
        .pass(Some(login.password))
        .db_name(login.schema)
        .client_found_rows(login.found_rows)
        .max_allowed_packet(Some(32 << 20))
        .prefer_socket(false)
        .ssl_opts(login.ca.map(|ca| {
            SslOpts::default().with_disable_built_in_roots(true).with_root_certs(vec![Path::new(ca).to_owned().into()])
        }))
}

fn fault(fault: &Error) -> Value {
    match fault {
        Error::Server(fault) => json!(["error", fault.code, fault.state, fault.message]),
        other => json!(["error", other.to_string()]),
    }
}

fn cell(value: &Cell) -> Value {
    match value {
        Cell::NULL => Value::Null,
        Cell::Bytes(value) => bytes(value),
        other => json!(format!("{other:?}")),
    }
}

/// All results, until one is an error.
async fn results<P: Protocol>(mut result: QueryResult<'_, '_, P>) -> Value {
    let mut found = vec![];
    loop {
        let columns: Vec<_> = result
            .columns_ref()
            .iter()
            .map(|column| {
                json!([
                    column.name_str(),
                    format!("{:?}", column.column_type()),
                    column.character_set(),
                    column.column_length(),
                    column.flags().bits(),
                    column.table_str()
                ])
            })
            .collect();
        match result.collect::<Row>().await {
            Ok(rows) => {
                let rows: Vec<Value> = rows.into_iter().map(|row| row.unwrap().iter().map(cell).collect()).collect();
                found.push(json!({ "columns": columns, "rows": rows, "affected": result.affected_rows(), "id": result.last_insert_id(), "warnings": result.warnings(), "info": result.info() }));
            }
            Err(error) => return json!([found, fault(&error)]),
        }
        if result.is_empty() {
            return json!(found);
        }
    }
}

impl Connection for MysqlAsync {
    async fn open(login: Login<'_>) -> Result<Self, Value> {
        Conn::new(options(login)).await.map(Self).map_err(|error| fault(&error))
    }

    async fn text(&mut self, sql: &str) -> Value {
        match self.0.query_iter(sql).await {
            Ok(result) => results(result).await,
            Err(error) => fault(&error),
        }
    }

    async fn prepared(&mut self, sql: &str, values: Vec<Given>) -> Value {
        let values: Vec<Cell> = values.into_iter().map(given).collect();
        let values = if values.is_empty() { Params::Empty } else { Params::Positional(values) };
        match self.0.exec_iter(sql, values).await {
            Ok(result) => results(result).await,
            Err(error) => fault(&error),
        }
    }

    async fn ping(&mut self) -> Value {
        self.0.ping().await.map_or_else(|error| fault(&error), |()| json!("pong"))
    }

    async fn close(self) {
        // A server that has gone away is no news here.
        let _ = self.0.disconnect().await;
    }

    async fn own(login: Login<'_>) -> Checks {
        let name = |name: &str, value| (name.to_owned(), value);
        vec![
            name("pool", pool(login).await),
            name("batch", batch(login).await),
            name("change user", change_user(login).await),
            name("reset", reset(login).await),
            name("local infile", local_infile(login).await),
            name("connection ids", connection_ids(login).await),
        ]
    }
}

fn given(value: Given) -> Cell {
    match value {
        Given::Null => Cell::NULL,
        Given::Int(value) => Cell::Int(value),
        Given::Unsigned(value) => Cell::UInt(value),
        Given::Double(value) => Cell::Double(value),
        Given::Text(value) => Cell::Bytes(value.into()),
        Given::Bytes(value) => Cell::Bytes(value),
    }
}

/// Connections come back in a transaction, and are reset before they are given out.
async fn pool(login: Login<'_>) -> Value {
    let pool = Pool::new(options(login));
    let mut found = vec![];
    for number in 0..60 {
        let mut conn = MysqlAsync(pool.get_conn().await.unwrap());
        found.push(conn.text(&format!("SELECT {number}, @dirt, @@in_transaction, COUNT(*) FROM work")).await);
        conn.text("SET @dirt = 1").await;
        let mut transaction = conn.0.start_transaction(TxOpts::default()).await.unwrap();
        transaction.query_drop("INSERT INTO work (note) VALUES ('dirt')").await.unwrap();
    }
    pool.disconnect().await.unwrap();
    json!(found)
}

async fn batch(login: Login<'_>) -> Value {
    let mut conn = MysqlAsync::open(login).await.unwrap();
    let rows: Vec<Params> = (0..300).map(|number| Params::from((number % 7, number))).collect();
    let done = conn.0.exec_batch("INSERT INTO work (note, amount) VALUES (?, ?)", rows).await;
    let failed = conn.0.exec_batch("INSERT INTO many VALUES (?, ?)", vec![(9001, "batch"), (1, "twice")]).await;
    let answers = [done, failed].map(|done| done.map_or_else(|error| fault(&error), |()| json!("done")));
    let mut found = vec![];
    for sql in ["SELECT COUNT(*), SUM(amount) FROM work", "DELETE FROM many WHERE id > 9000", "TRUNCATE work"] {
        found.push(conn.text(sql).await);
    }
    json!([answers, found])
}

async fn change_user(login: Login<'_>) -> Value {
    let mut conn = MysqlAsync::open(login).await.unwrap();
    let mut found = vec![];
    for (user, password, schema) in [("other", "other-secret", "mysql"), ("app", "app-secret", "driven")] {
        conn.text("SET @kept = 1, time_zone = '+05:00'").await;
        let next = ChangeUserOpts::new()
            .with_user(Some(user.into()))
            .with_pass(Some(password.into()))
            .with_db_name(Some(schema.into()));
        found.push(conn.0.change_user(next).await.map_or_else(|error| fault(&error), |()| json!("changed")));
        found.push(conn.text("SELECT CURRENT_USER(), DATABASE(), @kept, @@time_zone").await);
    }
    json!(found)
}

async fn reset(login: Login<'_>) -> Value {
    let mut conn = MysqlAsync::open(login).await.unwrap();
    for sql in [
        "SET @kept = 1, time_zone = '+05:00'",
        "CREATE TEMPORARY TABLE mine (id INT)",
        "BEGIN",
        "INSERT INTO work (note) VALUES ('lost')",
    ] {
        conn.text(sql).await;
    }
    let reset = conn.0.reset().await.map_or_else(|error| fault(&error), |done| json!(done));
    let mut found = vec![reset];
    for sql in
        ["SELECT @kept, @@time_zone, @@in_transaction, DATABASE()", "SELECT * FROM mine", "SELECT COUNT(*) FROM work"]
    {
        found.push(conn.text(sql).await);
    }
    json!(found)
}

async fn local_infile(login: Login<'_>) -> Value {
    // Without a handler the driver gives the connection up.
    let mut conn = MysqlAsync::open(login).await.unwrap();
    let load = "LOAD DATA LOCAL INFILE 'rows' INTO TABLE work FIELDS TERMINATED BY ',' (id, note)";
    let mut found = vec![conn.text(load).await];
    let mut conn = MysqlAsync::open(login).await.unwrap();
    conn.0.set_infile_handler(async {
        let chunks: Vec<std::io::Result<_>> =
            (1..=50).map(|number| Ok(format!("{number},note {number}\n").into())).collect();
        Ok(stream::iter(chunks).boxed())
    });
    for sql in [load, "SHOW WARNINGS", "SELECT COUNT(*), MAX(note) FROM work", "TRUNCATE work"] {
        found.push(conn.text(sql).await);
    }
    json!(found)
}

async fn connection_ids(login: Login<'_>) -> Value {
    let mut conn = MysqlAsync::open(login).await.unwrap();
    let id = conn.0.id();
    conn.text(&format!("SELECT CONNECTION_ID() = {id} AS same")).await
}
