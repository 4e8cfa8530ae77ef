//! One observation of one node: the shell around [`super::wsrep`].
//!
//! Keeps one connection of the service user and asks it one statement a probe; the client library asks nothing of its
//! own. Every wait has a deadline, since a frozen node keeps its connections open and says nothing.

use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, IoError, Opts, OptsBuilder, ServerError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::judge::Observation;
use super::login::{NoLogin, log_in, ssl};
use super::wsrep::{Facts, QUERY};
use crate::config::model::{Address, Config, Kind, Node};
use crate::wire::command::QUIT;
use crate::wire::err;
use crate::wire::handshake::Greeting;
use crate::wire::packet::{self, Header};
use crate::wire::proxy_header;

/// A greeting is never longer, and neither is a refusal.
const GREETING_BYTES_MAX: usize = 512;
/// Nothing a probe sends or expects is near this.
const PACKET_BYTES_MAX: usize = 1 << 16;
/// Nor are there ever so many rows in an answer.
const ROWS_MAX: usize = 64;
/// The service user gives its connection back if the proxy vanishes without a word.
const WAIT_TIMEOUT_S: usize = 28_800;
/// ER_HANDSHAKE_ERROR
const BAD_HANDSHAKE: u16 = 1043;
/// ER_ACCESS_DENIED_ERROR and its kin: the account, not the node, is at fault.
const DENIED: [u16; 5] = [1044, 1045, 1227, 1698, 4151];

/// The prober of one node.
pub struct Probe {
    address: Address,
    opts: Opts,
    connect_timeout: Duration,
    answer_timeout: Duration,
    /// It must let the proxy say for whom it comes.
    proxy_protocol: bool,
    connection: Option<Conn>,
    contact: Option<Contact>,
    /// What it said of who may say that when it was tried.
    proxy_networks: Option<Box<str>>,
}

/// What was learnt when the connection was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// Version string of the node's greeting, as sent.
    pub version: Box<str>,
    /// Capability flags of the greeting.
    pub capabilities: u64,
    /// Default collation of the greeting.
    pub collation: u8,
    /// The address from which this proxy reaches the node.
    pub proxy_address: IpAddr,
    /// It takes the PROXY protocol from there, as it must.
    pub proxy_protocol: bool,
}

/// Why a step gave no result.
enum Trouble {
    /// The connection is of no use any more; another one may be.
    Broken(Box<str>),
    /// This is what the probe saw.
    Seen(Observation),
}

impl Probe {
    /// A prober that has not connected yet.
    pub fn new(node: &Node, config: &Config) -> Self {
        let opts = OptsBuilder::default()
            .ip_or_hostname(&*node.address.host)
            .tcp_port(node.address.port)
            .user(Some(&*config.site.user))
            .pass(Some(config.site.password.reveal()))
            .prefer_socket(false)
            .ssl_opts(config.cluster.tls.as_ref().map(ssl))
            .max_allowed_packet(Some(PACKET_BYTES_MAX))
            .wait_timeout(Some(WAIT_TIMEOUT_S))
            .stmt_cache_size(0);
        let opts = match config.cluster.kind {
            // A node that waits until it has caught up must not look as if it were gone.
            Kind::Galera => opts.init(vec!["SET SESSION wsrep_sync_wait = 0"]),
            Kind::Standalone => opts,
        };
        Self {
            address: node.address.clone(),
            opts: opts.into(),
            connect_timeout: config.cluster.connect_timeout,
            // Question and answer are one step here: the longer of their two deadlines bounds it.
            answer_timeout: config.cluster.read_timeout.max(config.cluster.write_timeout),
            proxy_protocol: node.proxy_protocol,
            connection: None,
            contact: None,
            proxy_networks: None,
        }
    }

    /// Asks the node; takes at most the connect timeout twice and the answer timeout twice.
    pub async fn observe(&mut self) -> Observation {
        // The connection at hand may have died with the server that was restarted since: that is no news of this one.
        if self.connection.is_some() {
            match self.ask().await {
                Ok(facts) if self.takes_header_as_before(&facts) => return Observation::Seen(facts),
                Err(Trouble::Seen(observation)) => return observation,
                Ok(_) | Err(Trouble::Broken(_)) => {}
            }
        }
        let answer = match self.connect().await {
            Ok(()) => self.ask().await,
            Err(trouble) => Err(trouble),
        };
        match answer {
            Ok(facts) => {
                self.proxy_networks = Some(facts.proxy_networks.clone());
                Observation::Seen(facts)
            }
            Err(Trouble::Seen(observation)) => observation,
            Err(Trouble::Broken(why)) => Observation::Unreachable(why),
        }
    }

    /// What was learnt of the node when it was last connected to.
    pub fn contact(&self) -> Option<&Contact> {
        self.contact.as_ref()
    }

    /// Whether there is no reason to try again.
    fn takes_header_as_before(&self, facts: &Facts) -> bool {
        !self.proxy_protocol || self.proxy_networks.as_ref() == Some(&facts.proxy_networks)
    }

    async fn ask(&mut self) -> Result<Box<Facts>, Trouble> {
        // Out of its place while it is in use: after a deadline the answer may still come, and would be taken for the
        // next one's.
        let Some(mut connection) = self.connection.take() else { return Err(Trouble::Broken("not connected".into())) };
        let rows = match timeout(self.answer_timeout, read_rows(&mut connection)).await {
            Ok(rows) => rows.map_err(|error| trouble(&error))?,
            Err(_) => return Err(late("no answer", self.answer_timeout)),
        };
        let facts = Facts::read(&rows).map_err(|why| Trouble::Seen(Observation::Nonsense(why.to_string().into())))?;
        self.connection = Some(connection);
        Ok(Box::new(facts))
    }

    async fn connect(&mut self) -> Result<(), Trouble> {
        let connection = log_in(&self.opts, self.connect_timeout).await.map_err(|why| match why {
            NoLogin::Failed(error) => trouble(&error),
            NoLogin::Nonsense => Trouble::Seen(Observation::Nonsense("its greeting makes no sense".into())),
            NoLogin::Late => late("no connection", self.connect_timeout),
        })?;
        // After the login, which clears the server's count of connections that were not finished (max_connect_errors).
        let contact = match timeout(self.connect_timeout, greet(&self.address, self.proxy_protocol)).await {
            Ok(contact) => contact?,
            Err(_) => return Err(late("no greeting", self.connect_timeout)),
        };
        self.contact = Some(contact);
        self.connection = Some(connection);
        Ok(())
    }
}

/// Rows of name and value; what a healthy node sends is complete well before the limit.
async fn read_rows(connection: &mut Conn) -> Result<Vec<(String, String)>, Error> {
    let mut result = connection.query_iter(QUERY).await?;
    let mut rows = Vec::with_capacity(ROWS_MAX);
    while let Some(row) = result.next().await? {
        let row =
            mysql_async::from_row_opt(row).map_err(|error| Error::Driver(DriverError::FromRow { row: error.0 }))?;
        rows.push(row);
        if rows.len() > ROWS_MAX {
            return Err(Error::Driver(DriverError::PacketTooLarge));
        }
    }
    Ok(rows)
}

/// Reads the node's first packet on a connection of its own, which the client library doesn't show; and finds out, if it matters,
/// whether the node takes the PROXY protocol from here.
async fn greet(address: &Address, proxy_protocol: bool) -> Result<Contact, Trouble> {
    let nonsense = || Trouble::Seen(Observation::Nonsense("its greeting makes no sense".into()));
    let mut stream = TcpStream::connect((&*address.host, address.port)).await?;
    let proxy_address = stream.local_addr()?.ip().to_canonical();
    let payload = read_packet(&mut stream).await?;
    let greeting = Greeting::parse(&payload).map_err(|_| nonsense())?;
    let contact = Contact {
        version: String::from_utf8_lossy(greeting.version).into(),
        capabilities: greeting.capabilities.bits(),
        collation: greeting.collation,
        proxy_address,
        proxy_protocol,
    };
    if proxy_protocol && !takes_header(&mut stream).await? {
        let why = format!(
            "it does not take the PROXY protocol from this proxy at {proxy_address}: its proxy_protocol_networks must have that"
        );
        return Err(Trouble::Seen(Observation::Denied(why.into())));
    }
    Ok(contact)
}

/// The address from which a node does not take the PROXY protocol, if it is to and does not. What does not answer does not refuse.
pub async fn refused_from(node: &Node, limit: Duration) -> Option<IpAddr> {
    let ask = async {
        let mut stream = TcpStream::connect((&*node.address.host, node.address.port)).await?;
        read_packet(&mut stream).await?;
        let takes = takes_header(&mut stream).await?;
        Ok::<_, io::Error>((!takes).then_some(stream.local_addr()?.ip().to_canonical()))
    };
    if node.proxy_protocol { timeout(limit, ask).await.ok()?.ok()? } else { None }
}

/// Says that the proxy comes for itself, and then nothing that is a login: a node that takes the first answers the second with error
/// 1043, and one that doesn't says so, or closes at once.
async fn takes_header(stream: &mut TcpStream) -> io::Result<bool> {
    let mut said = proxy_header::header(None)?;
    packet::put(&mut said, 1, |out| out.push(QUIT));
    stream.write_all(&said).await?;
    match read_packet(stream).await {
        Ok(answer) => Ok(err::Error::parse(&answer).is_ok_and(|error| error.code == BAD_HANDSHAKE)),
        Err(error) if [io::ErrorKind::ConnectionReset, io::ErrorKind::UnexpectedEof].contains(&error.kind()) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

async fn read_packet(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut header = [0; packet::HEADER];
    stream.read_exact(&mut header).await?;
    let length = Header::parse(&header).map_or(0, |header| header.length);
    let mut payload = vec![0; length.min(GREETING_BYTES_MAX)];
    stream.read_exact(&mut payload).await?;
    Ok(payload)
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string().into())
    }
}

fn late(what: impl Display, deadline: Duration) -> Trouble {
    let text = format!("{what} within {}", crate::config::print_duration(deadline));
    Trouble::Seen(Observation::Late(text.into()))
}

/// The error texts of the client library may hold packets: only those of the server and the system are passed on.
fn trouble(error: &Error) -> Trouble {
    match error {
        Error::Server(ServerError { code, message, .. }) if DENIED.contains(code) => {
            Trouble::Seen(Observation::Denied(format!("{message} (error {code})").into()))
        }
        Error::Server(ServerError { code, message, .. }) => {
            Trouble::Seen(Observation::Nonsense(format!("{message} (error {code})").into()))
        }
        Error::Io(IoError::Io(error)) => Trouble::Broken(error.to_string().into()),
        Error::Io(IoError::Tls(error)) => Trouble::Seen(Observation::Nonsense(format!("no TLS: {error}").into())),
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            Trouble::Seen(Observation::Nonsense("it does not offer TLS".into()))
        }
        Error::Driver(DriverError::ConnectionClosed) => Trouble::Broken("the connection was closed".into()),
        Error::Driver(_) | Error::Other(_) | Error::Url(_) => {
            Trouble::Seen(Observation::Nonsense("it answers with something other than MariaDB's protocol".into()))
        }
    }
}

#[cfg(test)]
#[path = "probe/tests.rs"]
mod tests;
