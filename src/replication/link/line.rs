//! A connection to one server, on which links are looked at and changed: the shell around [`super::status`].
//!
//! It is made when it is needed and dropped at the first trouble. The server ends it after [`IDLE_MAX`] without a word:
//! a proxy that was frozen longer, or cut off, can't go on with what it had in mind, and its lease is free.

use std::fmt::Display;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, IoError, Opts, OptsBuilder, Row, ServerError as Refusal, Value};
use tokio::time::timeout;

use super::lease::{LOCK, holder, mark};
use super::status::{
    CHANNELS_QUERY, Channel, Facts, LeaseMark, MEMBERS_QUERY, NodeStatus, QUERY, ServerError, Trouble,
};
use crate::cluster::login::{NoLogin, log_in, ssl};
use crate::config::Config;
use crate::config::model::{Address, ClientTls, Kind, Link};

/// The server's `wait_timeout` for these connections.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// STOP SLAVE waits for the transaction that is being applied. One that takes longer is asked for again.
const CHANGE_TIME_MAX: Duration = Duration::from_secs(10);
/// Rows of an answer, at most: events of a transaction are the most that is asked for.
const ROWS_MAX: usize = 4096;
/// The text of an event can be that of a large statement.
const PACKET_BYTES_MAX: usize = 1 << 24;

/// The way to one server.
pub struct Line {
    opts: Opts,
    connect_timeout: Duration,
    answer_timeout: Duration,
    connection: Option<Conn>,
    /// Names of the links of which the lease shows something.
    links: Vec<Box<str>>,
    /// The lock that tells this proxy's leases from others'.
    signature: Box<str>,
}

/// Columns and values of a row; NULL is left out.
type Columns = Vec<(String, String)>;

impl Line {
    /// To a node of this site, as the service user.
    pub fn to_node(address: &Address, config: &Config) -> Self {
        let wsrep = match config.cluster.kind {
            Kind::Galera => ", wsrep_sync_wait = 0",
            Kind::Standalone => "",
        };
        Self::new(address, &config.site.user, config.site.password.reveal(), wsrep, config.cluster.tls.as_ref(), config)
    }

    /// The lease can be taken on it, and shows something of these links.
    pub fn of_driver(self, links: Vec<Box<str>>, signature: &str) -> Self {
        Self { links, signature: signature.into(), ..self }
    }

    /// Whoever connects from now on does it as on this line, and it shows something of the same links.
    pub fn renew(&mut self, other: Self) {
        (self.opts, self.links) = (other.opts, other.links);
    }

    /// To a remote, as the link's own user.
    pub fn to_remote(address: &Address, link: &Link, config: &Config) -> Self {
        Self::new(address, &link.user, link.password.reveal(), "", link.tls.as_ref().map(|tls| &tls.own), config)
    }

    fn new(
        address: &Address,
        user: &str,
        password: &str,
        settings: &str,
        tls: Option<&ClientTls>,
        config: &Config,
    ) -> Self {
        let idle = IDLE_MAX.as_secs();
        let opts = OptsBuilder::default()
            .ip_or_hostname(&*address.host)
            .tcp_port(address.port)
            .user(Some(user))
            .pass(Some(password))
            .prefer_socket(false)
            .ssl_opts(tls.map(ssl))
            .max_allowed_packet(Some(PACKET_BYTES_MAX))
            .wait_timeout(Some(idle as usize))
            .stmt_cache_size(0)
            .init(vec![format!("SET SESSION wait_timeout = {idle}, sql_mode = ''{settings}")]);
        Self {
            opts: opts.into(),
            connect_timeout: config.cluster.connect_timeout,
            answer_timeout: config.cluster.read_timeout.max(config.cluster.write_timeout),
            connection: None,
            links: Vec::new(),
            signature: Box::default(),
        }
    }

    /// What every server says of itself.
    pub async fn facts(&mut self) -> Result<Facts, Trouble> {
        let is_old = self.connection.is_some();
        let rows = match self.pairs(QUERY).await {
            // The connection may have ended for want of use: that is no news of the server.
            Err(Trouble::Lost(_)) if is_old => self.pairs(QUERY).await?,
            answer => answer?,
        };
        Facts::read(&rows).map_err(lost)
    }

    /// What a node says of its replication.
    pub async fn status(&mut self) -> Result<NodeStatus, Trouble> {
        let facts = self.facts().await?;
        let (mut members, mut lease, mut wanted) = (Box::default(), LeaseMark::Free, Box::default());
        if facts.member.is_some() {
            members = self.pairs(MEMBERS_QUERY).await?.into_iter().map(|(uuid, _)| uuid.into()).collect();
        }
        if !facts.is_outside {
            (lease, wanted) = self.lease_mark().await?;
        }
        let channels = self.rows(CHANNELS_QUERY).await?;
        let channels = channels.iter().map(|row| Channel::read(row)).collect::<Result<_, _>>().map_err(lost)?;
        Ok(NodeStatus { facts, members, channels, lease, wanted })
    }

    /// The status after all that the cluster has committed so far has been applied here.
    pub async fn status_in_step(&mut self) -> Result<NodeStatus, Trouble> {
        self.change("SET SESSION wsrep_sync_wait = 15").await?;
        let status = self.status().await;
        self.change("SET SESSION wsrep_sync_wait = 0").await?;
        status
    }

    /// Who has the lease, and what he shows of the links.
    async fn lease_mark(&mut self) -> Result<(LeaseMark, Box<[Option<bool>]>), Trouble> {
        let marks = self.links.iter().flat_map(|link| [mark(link, true), mark(link, false)]);
        let marks: String = marks.map(|mark| format!(", IS_USED_LOCK('{mark}')")).collect();
        let signature = &self.signature;
        let question = format!("SELECT CONNECTION_ID(), IS_USED_LOCK('{LOCK}'), IS_USED_LOCK('{signature}'){marks}");
        let rows = self.ask(&question, self.answer_timeout).await?;
        let row = rows.first().ok_or_else(|| lost("it has no answer about the lease"))?;
        let value = |at| row.as_ref(at).and_then(text)?.parse::<u64>().ok();
        let own = value(0).ok_or_else(|| lost("its connection has no id"))?;
        let Some(id) = value(1) else { return Ok((LeaseMark::Free, Box::default())) };
        let shows = |at| value(at) == Some(id);
        let shown = |link: usize| match (shows(3 + 2 * link), shows(4 + 2 * link)) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        };
        let wanted = (0..self.links.len()).map(shown).collect();
        let signed = value(2);
        let question =
            format!("SELECT HOST, IS_USED_LOCK('{LOCK}') FROM information_schema.PROCESSLIST WHERE ID = {id}");
        let rows = self.pairs(&question).await?;
        let address = rows.first().filter(|(_, still)| *still == id.to_string()).map(|(address, _)| &**address);
        Ok((holder(own, signed, id, address), wanted))
    }

    /// Shows whether a link should run, for as long as the connection lives. A lock that is held twice would have to be released twice.
    pub async fn show(&mut self, link: &str, is_wanted: bool) -> Result<(), Trouble> {
        let (new, old) = (mark(link, is_wanted), mark(link, !is_wanted));
        self.pairs(&format!("SELECT RELEASE_LOCK('{new}'), GET_LOCK('{new}', 0), RELEASE_LOCK('{old}')"))
            .await
            .map(drop)
    }

    /// Takes the lease for this connection, if nobody has it: signed first, so that it is never without a signature.
    pub async fn take_lease(&mut self) -> Result<bool, Trouble> {
        let signature = &self.signature;
        let question = format!("SELECT IF(GET_LOCK('{signature}', 0), GET_LOCK('{LOCK}', 0), 0)");
        let answer = self.pairs(&question).await?;
        Ok(answer.first().is_some_and(|(taken, _)| taken == "1"))
    }

    /// Ends another connection.
    pub async fn end(&mut self, connection: u64) -> Result<(), Trouble> {
        self.change(&format!("KILL {connection}")).await
    }

    /// Gives up what this connection holds.
    pub fn hang_up(&mut self) {
        self.connection = None;
    }

    /// Runs a statement that changes something.
    pub async fn change(&mut self, statement: &str) -> Result<(), Trouble> {
        self.ask(statement, CHANGE_TIME_MAX).await.map(drop)
    }

    /// Rows of an answer, as names and values.
    pub async fn rows(&mut self, question: &str) -> Result<Vec<Columns>, Trouble> {
        Ok(self.ask(question, self.answer_timeout).await?.iter().map(columns).collect())
    }

    /// The first two values of each row.
    pub async fn pairs(&mut self, question: &str) -> Result<Columns, Trouble> {
        let rows = self.ask(question, self.answer_timeout).await?;
        let value = |row: &Row, at| row.as_ref(at).and_then(text).unwrap_or_default();
        Ok(rows.iter().map(|row| (value(row, 0), value(row, 1))).collect())
    }

    /// The connection is out of its place while it is in use: whoever stops waiting drops it with the answer it owes.
    async fn ask(&mut self, statement: &str, limit: Duration) -> Result<Vec<Row>, Trouble> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let answer = timeout(limit, read(&mut connection, statement)).await;
        let answer = answer.map_err(|_| late("no answer", limit))?.map_err(|error| trouble(&error));
        if !matches!(answer, Err(Trouble::Lost(_))) {
            self.connection = Some(connection);
        }
        answer
    }

    async fn connect(&self) -> Result<Conn, Trouble> {
        log_in(&self.opts, self.connect_timeout).await.map_err(|why| match why {
            NoLogin::Failed(error) => trouble(&error),
            NoLogin::Nonsense => lost("its greeting makes no sense"),
            NoLogin::Late => late("no connection", self.connect_timeout),
        })
    }
}

async fn read(connection: &mut Conn, statement: &str) -> Result<Vec<Row>, Error> {
    let mut result = connection.query_iter(statement).await?;
    let mut rows = Vec::new();
    while let Some(row) = result.next().await? {
        rows.push(row);
        if rows.len() > ROWS_MAX {
            return Err(Error::Driver(DriverError::PacketTooLarge));
        }
    }
    Ok(rows)
}

fn columns(row: &Row) -> Columns {
    let names = row.columns_ref().iter().map(|column| column.name_str().into_owned());
    names.enumerate().filter_map(|(at, name)| Some((name, text(row.as_ref(at)?)?))).collect()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

fn lost(why: impl Display) -> Trouble {
    Trouble::Lost(why.to_string().into())
}

fn late(what: &str, limit: Duration) -> Trouble {
    lost(format!("{what} within {}", crate::config::print_duration(limit)))
}

/// The error texts of the client library may hold packets: only those of the server and the system are passed on.
fn trouble(error: &Error) -> Trouble {
    match error {
        Error::Server(Refusal { code, message, .. }) => {
            Trouble::Refused(ServerError { code: *code, text: message.as_str().into() })
        }
        Error::Io(IoError::Io(error)) => lost(error),
        Error::Io(IoError::Tls(error)) => Trouble::Lost(format!("no TLS: {error}").into()),
        Error::Driver(DriverError::ConnectionClosed) => lost("the connection was closed"),
        _ => lost("it answers with something other than MariaDB's protocol"),
    }
}
