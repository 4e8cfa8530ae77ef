//! The console's connections: the protocol is opensrv-mysql's, the answers are this proxy's.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use opensrv_mysql::{
    AsyncMysqlIntermediary, AsyncMysqlShim, Column, ColumnFlags, ColumnType, ErrorKind, InitWriter, OkResponse,
    ParamParser, QueryResultWriter, StatementMetaWriter,
};
use serde_json::Value;
use sha1::{Digest, Sha1};
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

use super::guard::Guard;
use super::parse::{SCHEMA, is_like, parse};
use super::question::{Constant, Question, Refusal};
use super::tables::{Cell, Kind, Table, VARIABLES, VERSION};
use crate::admin::health;
use crate::admin::http::{self, Sources};
use crate::admin::site;
use crate::auth::native;
use crate::replication::link::board::OrderText;
use crate::telemetry::events;

/// Connections at a time.
const CONNECTIONS_MAX: usize = 32;
/// Statements that a connection has prepared at a time.
const PREPARED_MAX: usize = 256;

/// Answers on this socket until it is over or another process has taken over.
pub async fn serve(socket: TcpListener, sources: Sources, over: oneshot::Receiver<()>) -> io::Result<()> {
    let mut ends = pin!(health::ends(sources.stage.clone(), over));
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let ids = AtomicU32::new(1);
    loop {
        // Those who come while all are in use wait in the backlog.
        let Ok(seat) = seats.clone().acquire_owned().await else { return Ok(()) };
        let (client, address) = tokio::select! {
            accepted = socket.accept() => accepted?,
            () = &mut ends => return Ok(()),
        };
        let console = Console {
            sources: sources.clone(),
            id: ids.fetch_add(1, Ordering::Relaxed),
            scramble: scramble()?,
            user: address.ip().to_string(),
            prepared: HashMap::new(),
            last_statement: 0,
        };
        tokio::spawn(async move {
            let _seat = seat;
            let (reader, writer) = client.into_split();
            if let Err(error) = AsyncMysqlIntermediary::run_on(console, Guard::new(reader), writer).await {
                tracing::debug!(%error, client = %address, "a connection of the console has broken");
            }
        });
    }
}

/// One connection.
struct Console {
    sources: Sources,
    id: u32,
    /// By which it is proved that a client knows the token.
    scramble: [u8; native::HASH_BYTES],
    /// What USER() says: where the client is. There are no users here.
    user: String,
    prepared: HashMap<u32, Question>,
    last_statement: u32,
}

/// What is sent back.
enum Answer {
    Rows(Vec<(String, Kind)>, Vec<Vec<Cell>>),
    Done(String),
}

/// Random bytes that a client takes as a text.
fn scramble() -> io::Result<[u8; native::HASH_BYTES]> {
    let mut bytes = [0; native::HASH_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.map(|byte| b'0' + byte % (b'z' - b'0' + 1)))
}

impl Console {
    async fn answer(&self, question: &Question) -> Result<Answer, Refusal> {
        let done = |said: Result<String, String>| said.map(Answer::Done).map_err(|why| Refusal::new(1105, why));
        match question {
            Question::Node(node, order) => done(self.sources.orders.give(node.clone(), *order).await),
            Question::Link(link, order) => {
                let text = OrderText { order: (*order).to_owned(), argument: String::new() };
                let order = text.try_into().map_err(|error| Refusal::new(1105, format!("{error}")))?;
                done(self.sources.links.order(link.clone(), order).await.map(|answer| answer.text))
            }
            Question::End(id) if self.sources.registry.end(*id) => Ok(Answer::Done(format!("session {id} ends"))),
            Question::End(id) => Err(Refusal::new(1094, format!("Unknown thread id: {id}"))),
            Question::Forgive(address) if self.sources.forgive(*address) => Ok(Answer::Done(String::new())),
            Question::Forgive(address) => Err(Refusal::new(
                1105,
                format!("no login from {address} has failed lately; SHOW HOSTS shows from where some have"),
            )),
            Question::Reload => done(self.sources.reloads.wish().await.map(|report| report.to_string())),
            Question::Nothing => Ok(Answer::Done(String::new())),
            Question::Rows(selection) => {
                let rows = selection.rows(&self.table(selection.table).await);
                Ok(Answer::Rows(selection.headings(), rows))
            }
            _ => Ok(Answer::Rows(headings(question), self.constants(question))),
        }
    }

    async fn table(&self, table: Table) -> Vec<Value> {
        let sources = &self.sources;
        let value = match table {
            Table::Servers => serde_json::to_value(http::servers(sources)),
            Table::Services => serde_json::to_value(http::services(sources)),
            Table::Links => serde_json::to_value(http::links(sources)),
            Table::Replicas => serde_json::to_value(http::replicas(sources)),
            Table::Sessions => serde_json::to_value(http::sessions(sources).await),
            Table::Listeners => serde_json::to_value(site::listeners(sources)),
            Table::Accounts => serde_json::to_value(site::accounts(sources)),
            Table::Hosts => serde_json::to_value(site::hosts(sources)),
            Table::Events => serde_json::to_value(events::after(0)),
        };
        // These shapes have no maps with other keys than texts, which is all that could fail.
        if let Ok(Value::Array(rows)) = value { rows } else { Vec::new() }
    }

    fn constants(&self, question: &Question) -> Vec<Vec<Cell>> {
        let text = |text: &str| Cell::Text(text.to_owned());
        match question {
            Question::Values(values) => vec![values.iter().map(|(_, value)| self.cell(value)).collect()],
            Question::Databases => vec![vec![text(SCHEMA)]],
            Question::Tables => Table::ALL.map(|table| vec![text(table.name())]).into(),
            Question::Variables(pattern) => {
                let all = VARIABLES.into_iter().chain([("version", VERSION)]);
                all.filter(|(name, _)| fits(name, pattern)).map(|(name, value)| vec![text(name), text(value)]).collect()
            }
            Question::Status(pattern) => {
                let site = site::site(&self.sources);
                let all = [("Questions", site.commands), ("Threads_connected", site.sessions), ("Uptime", site.uptime)];
                let shown = all.into_iter().filter(|(name, _)| fits(name, pattern));
                shown.map(|(name, value)| vec![text(name), text(&value.to_string())]).collect()
            }
            _ => Vec::new(),
        }
    }

    fn cell(&self, constant: &Constant) -> Cell {
        match constant {
            Constant::Text(text) => Cell::Text(text.clone()),
            Constant::Number(number) => Cell::Number(*number),
            Constant::User => Cell::Text(self.user.clone()),
            Constant::Connection => Cell::Number(i64::from(self.id)),
        }
    }
}

fn fits(name: &str, pattern: &Option<String>) -> bool {
    pattern.as_ref().is_none_or(|pattern| is_like(name.as_bytes(), pattern.as_bytes()))
}

/// Headings and kinds of the columns of an answer; none if it has no rows.
fn headings(question: &Question) -> Vec<(String, Kind)> {
    let text = |name: &str| (name.to_owned(), Kind::Text);
    match question {
        Question::Rows(selection) => selection.headings(),
        Question::Values(values) => {
            let kind = |value: &Constant| match value {
                Constant::Number(_) | Constant::Connection => Kind::Number,
                Constant::Text(_) | Constant::User => Kind::Text,
            };
            values.iter().map(|(heading, value)| (heading.clone(), kind(value))).collect()
        }
        Question::Variables(_) | Question::Status(_) => vec![text("Variable_name"), text("Value")],
        Question::Databases => vec![text("Database")],
        Question::Tables => vec![text(&format!("Tables_in_{SCHEMA}"))],
        Question::Empty(names) => names.iter().map(|name| text(name)).collect(),
        Question::Node(..)
        | Question::Link(..)
        | Question::End(_)
        | Question::Forgive(_)
        | Question::Reload
        | Question::Nothing => Vec::new(),
    }
}

fn columns(headings: &[(String, Kind)]) -> Vec<Column> {
    let column = |(heading, kind): &(String, Kind)| Column {
        table: String::new(),
        column: heading.clone(),
        coltype: match kind {
            Kind::Text => ColumnType::MYSQL_TYPE_VAR_STRING,
            Kind::Number => ColumnType::MYSQL_TYPE_LONGLONG,
        },
        colflags: ColumnFlags::empty(),
    };
    headings.iter().map(column).collect()
}

async fn send<W: AsyncWrite + Send + Unpin>(
    answer: Result<Answer, Refusal>,
    results: QueryResultWriter<'_, W>,
) -> io::Result<()> {
    match answer {
        Err(refusal) => results.error(ErrorKind::from(refusal.code), refusal.text.as_bytes()).await,
        Ok(Answer::Done(info)) => results.completed(OkResponse { info, ..OkResponse::default() }).await,
        Ok(Answer::Rows(headings, rows)) => {
            let columns = columns(&headings);
            let mut writer = results.start(&columns).await?;
            for row in rows {
                for cell in row {
                    match cell {
                        Cell::Null => writer.write_col(None::<String>)?,
                        Cell::Text(text) => writer.write_col(text)?,
                        Cell::Number(number) => writer.write_col(number)?,
                    }
                }
                writer.end_row().await?;
            }
            writer.finish().await
        }
    }
}

#[async_trait]
impl<W: AsyncWrite + Send + Unpin> AsyncMysqlShim<W> for Console {
    type Error = io::Error;

    fn version(&self) -> String {
        VERSION.to_owned()
    }

    fn connect_id(&self) -> u32 {
        self.id
    }

    fn salt(&self) -> [u8; native::HASH_BYTES] {
        self.scramble
    }

    /// With a token that is the password of any user, as who sees the console can order by it.
    async fn authenticate(&self, _: &str, _: &[u8], _: &[u8], answer: &[u8]) -> bool {
        let config = self.sources.config.load();
        let Some(token) = &config.admin.token else { return true };
        let stored = Sha1::digest(Sha1::digest(token.reveal())).into();
        native::verify(&self.scramble, answer, &stored).is_some()
    }

    async fn on_prepare<'a>(&'a mut self, query: &'a str, info: StatementMetaWriter<'a, W>) -> io::Result<()> {
        let full = Refusal::new(1461, format!("Can't create more than {PREPARED_MAX} prepared statements"));
        let parsed = if self.prepared.len() < PREPARED_MAX { parse(query) } else { Err(full) };
        match parsed {
            Err(refusal) => info.error(ErrorKind::from(refusal.code), refusal.text.as_bytes()).await,
            Ok(question) => {
                self.last_statement += 1;
                let columns = columns(&headings(&question));
                self.prepared.insert(self.last_statement, question);
                info.reply(self.last_statement, &[], &columns).await
            }
        }
    }

    async fn on_execute<'a>(
        &'a mut self,
        id: u32,
        _: ParamParser<'a>,
        results: QueryResultWriter<'a, W>,
    ) -> io::Result<()> {
        let answer = match self.prepared.get(&id) {
            Some(question) => self.answer(question).await,
            None => Err(Refusal::new(1243, format!("Unknown prepared statement handler ({id}) given to EXECUTE"))),
        };
        send(answer, results).await
    }

    async fn on_close<'a>(&'a mut self, id: u32)
    where
        W: 'async_trait,
    {
        self.prepared.remove(&id);
    }

    async fn on_query<'a>(&'a mut self, query: &'a str, results: QueryResultWriter<'a, W>) -> io::Result<()> {
        let answer = match parse(query) {
            Ok(question) => self.answer(&question).await,
            Err(refusal) => Err(refusal),
        };
        send(answer, results).await
    }

    async fn on_init<'a>(&'a mut self, schema: &'a str, writer: InitWriter<'a, W>) -> io::Result<()> {
        if schema.eq_ignore_ascii_case(SCHEMA) {
            return writer.ok().await;
        }
        let text = format!("Unknown database '{schema}'; there is: {SCHEMA}");
        writer.error(ErrorKind::ER_BAD_DB_ERROR, text.as_bytes()).await
    }
}
