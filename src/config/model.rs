//! The validated configuration: typed, complete, with every default and limit named here.
//!
//! Knows nothing of files. What the program reads at run time is this and nothing else.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use crate::routing::causal::CausalReads;
use crate::routing::reader::Policy;
use crate::routing::writer::WriterLoss;

use super::secret::Secret;

/// Nodes of one cluster, at most.
pub const NODES_MAX: usize = 32;
/// Nodes that one process has known, at most: each keeps its place, even after it has left the configuration.
pub const PLACES_MAX: usize = 62;
/// Listeners, at most.
pub const LISTENERS_MAX: usize = 64;
/// Listeners that one process has had, at most: each keeps its place, by its name, even after it has left the configuration.
pub const LISTENER_PLACES_MAX: usize = 256;
/// Worker threads, at most.
pub const THREADS_MAX: usize = 256;
/// A node's port, where none is given.
pub const NODE_PORT: u16 = 3306;
/// A remote's port for replication, where none is given.
pub const REMOTE_PORT: u16 = 4007;
/// Accounts whose passwords are told, at most.
pub const ACCOUNTS_MAX: usize = 1000;
/// Their host, where none is given.
pub(super) const ACCOUNT_HOST: &str = "%";
/// Links, at most.
pub const LINKS_MAX: usize = 16;
/// Addresses of one remote, at most.
pub const REMOTES_MAX: usize = 8;
/// Bytes of the name of a file that is named to servers, at most.
pub(super) const SERVER_PATH_BYTES_MAX: usize = 511;
/// Where the admin API listens, where nothing is said.
pub const ADMIN_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4008);

/// Where the key of sealed secrets is, where nothing is said.
pub const KEY_FILE: &str = "/etc/oarlock/key";
/// Where the SQL console listens usually.
pub(super) const CONSOLE_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4009);

/// Characters of a token, at least and at most.
pub(super) const TOKEN_CHARS: RangeInclusive<usize> = 16..=256;

pub(super) const STATE_DIR: &str = "/var/lib/oarlock";
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(1);
pub(super) const PROBE_INTERVAL_MIN: Duration = Duration::from_millis(50);
pub(super) const SWITCH_WAIT: Duration = Duration::from_secs(1);
/// Who gives the order waits for it.
pub(super) const SWITCH_WAIT_MAX: Duration = Duration::from_secs(30);
pub(super) const NODE_TIMEOUT: Duration = Duration::from_secs(3);
pub(super) const LINK_HEARTBEAT: Duration = Duration::from_secs(5);
pub(super) const LINK_RETRY: Duration = Duration::from_secs(1);
pub(super) const OUTCOME_WAIT: Duration = Duration::from_secs(30);
pub(super) const WRITER_WAIT: Duration = Duration::from_secs(30);
pub(super) const REPLAY_BYTES_MAX: u32 = 1 << 20;
pub(super) const SOURCE_TIMEOUT: Duration = Duration::from_secs(2);
pub(super) const SOURCE_WAIT: Duration = Duration::from_secs(30);
pub(super) const GROUP_BYTES_MAX: u32 = 1 << 20;
pub(super) const SESSIONS_MAX: u32 = 10_000;
pub(super) const PREPARED_MAX: u32 = 16_382;
pub(super) const CONNECTION_WAIT: Duration = Duration::from_secs(10);
pub(super) const IDLE_CONNECTIONS_MAX: u16 = 32;
pub(super) const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
pub(super) const LOGIN_FAILURES_MAX: u32 = 100;
pub(super) const BLOCK_TIME: Duration = Duration::from_secs(60);
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(60);
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
pub(super) const UPGRADE_WAIT: Duration = Duration::from_secs(3600);

/// The whole configuration of one process.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[site]`
    pub site: Site,
    /// `[cluster]`
    pub cluster: Cluster,
    /// `[[node]]`, in order: a node's place is its `NodeId`.
    pub nodes: Box<[Node]>,
    /// `[[listener]]`, in order.
    pub listeners: Box<[Listener]>,
    /// `[[account]]`, in order.
    pub accounts: Box<[Account]>,
    /// `[[link]]`, in order.
    pub links: Box<[Link]>,
    /// `[read-write-split]`
    pub read_write_split: ReadWriteSplit,
    /// `[replication]`
    pub replication: Replication,
    /// `[admin]`
    pub admin: Admin,
    /// `[limits]`
    pub limits: Limits,
}

/// The proxy itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Its name: letters, digits, `_`, `-`, `.`.
    pub name: Box<str>,
    /// The service user: watches nodes, loads accounts.
    pub user: Box<str>,
    /// Its password.
    pub password: Secret,
    /// How many worker threads.
    pub threads: Threads,
    /// What is logged.
    pub log: LogLevel,
    /// Where the process keeps what must survive its restart.
    pub state_dir: PathBuf,
    /// The file with the key of sealed secrets.
    pub key_file: PathBuf,
}

/// How many worker threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One a core.
    Auto,
    /// So many.
    Count(usize),
}

impl Threads {
    /// The number, with `Auto` resolved for this machine.
    pub fn count(self) -> usize {
        match self {
            Self::Auto => std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX),
            Self::Count(count) => count,
        }
    }
}

/// What is logged: this level and those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum LogLevel {
    Error,
    Warning,
    Notice,
    Info,
    Debug,
}

/// How the nodes are watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// What the nodes are.
    pub kind: Kind,
    /// Pause between two probes of a node.
    pub probe_interval: Duration,
    /// Deadline of connecting to a node.
    pub connect_timeout: Duration,
    /// Deadline of a node's answer to a probe.
    pub read_timeout: Duration,
    /// Deadline of handing a probe's question to a node.
    pub write_timeout: Duration,
    /// Does the writer's role go back to the best node as soon as that is fit again?
    pub failback: bool,
    /// How long what is open on a writer that works may take to end when another node is to be the writer.
    pub switch_wait: Duration,
    /// Does a donor whose snapshot method doesn't block it stay in use?
    pub available_when_donor: bool,
    /// What it takes to speak TLS with nodes; none if that is not spoken.
    pub tls: Option<ClientTls>,
}

/// TLS with servers, of whoever connects to them.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientTls {
    /// A PEM file with the certificates that vouch for those of servers, which must be for their host names or addresses; none if every
    /// server is believed.
    pub ca: Option<PathBuf>,
    /// The PEM files of a certificate, and of its key, to show to servers that ask.
    pub shown: Option<(PathBuf, PathBuf)>,
}

/// What the nodes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A Galera cluster.
    Galera,
    /// One server without Galera.
    Standalone,
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name, unique.
    pub name: Box<str>,
    /// Where it is, unique.
    pub address: Address,
    /// 1 is first choice as writer; 0 only if no positive one is fit; negative never.
    pub priority: i32,
    /// Connections of sessions begin by saying, as the PROXY protocol has it, who the client is.
    pub proxy_protocol: bool,
    /// It is in the file no more: it gets no new work, and keeps its place as long as the process lives.
    pub leaves: bool,
}

/// `host:port` of a node; the host is a name or an IP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Name or IP address, without brackets.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
}

/// An address that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidAddress;

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        Self::with_port(text, NODE_PORT)
    }
}

impl Address {
    /// Reads an address; this is its port where the text has none.
    pub fn with_port(text: &str, port: u16) -> Result<Self, InvalidAddress> {
        if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(Self { host: ip.to_string().into(), port });
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return if address.port() == 0 {
                Err(InvalidAddress)
            } else {
                Ok(Self { host: address.ip().to_string().into(), port: address.port() })
            };
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| InvalidAddress)?),
            None => (text, port),
        };
        let is_name =
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if is_name && port != 0 { Ok(Self { host: host.into(), port }) } else { Err(InvalidAddress) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Where clients are taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its name, unique.
    pub name: Box<str>,
    /// Its address, unique.
    pub address: SocketAddr,
    /// What clients get there.
    pub service: Service,
    /// What they need who speak TLS with it; none if they can't.
    pub tls: Option<Tls>,
    /// Whoever comes from there says by the PROXY protocol for whom.
    pub proxy_protocol: Box<[IpNet]>,
    /// It is in the file no more: it takes no clients.
    pub leaves: bool,
}

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// A PEM file with its certificate, those that vouch for it behind it.
    pub certificate: PathBuf,
    /// A PEM file with the key of that.
    pub key: PathBuf,
    /// A PEM file with the certificates that vouch for those of clients; none if clients are not asked for any.
    pub client_ca: Option<PathBuf>,
    /// Must clients use TLS?
    pub require: bool,
}

/// What clients of a listener get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Reads go to readers, the rest to the writer.
    ReadWriteSplit,
    /// All goes to the writer; replicas dump, and their dumps outlive nodes.
    Replication,
}

impl Service {
    /// The name in the configuration and in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadWriteSplit => "read-write-split",
            Self::Replication => "replication",
        }
    }
}

/// The password of an account of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Its user name.
    pub user: Box<str>,
    /// Its host pattern.
    pub host: Box<str>,
    /// Its password, not empty.
    pub password: Secret,
}

/// What this site replicates from.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Its name, unique, and that of the replication connection on the writer.
    pub name: Box<str>,
    /// Where the remote is to be had, first choice first; never empty.
    pub remote: Box<[Address]>,
    /// The replication user at the remote.
    pub user: Box<str>,
    /// Its password.
    pub password: Secret,
    /// How often an idle remote says that it is there.
    pub heartbeat: Duration,
    /// How long the writer waits before it connects to the remote again; whole seconds.
    pub retry: Duration,
    /// The admin address of the remote's proxy, by which its nodes are shown; none if they are not.
    pub admin: Option<SocketAddr>,
    /// A PEM file with the certificates that vouch for the one at that address; none if it speaks no TLS.
    pub admin_ca: Option<PathBuf>,
    /// What it takes to speak TLS with the remote; none if that is not spoken.
    pub tls: Option<LinkTls>,
}

/// TLS with a remote, which both the writer and the proxy connect to.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkTls {
    /// The proxy's files.
    pub own: ClientTls,
    /// The same as the nodes have them.
    pub on_nodes: ClientTls,
}

/// How the read-write-split service works.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadWriteSplit {
    /// How the reader of a read is chosen.
    pub readers: Policy,
    /// Which writes a read sees.
    pub causal_reads: CausalReads,
    /// What becomes of a session when the writer is lost.
    pub writer_loss: WriterLoss,
    /// What becomes of a write whose outcome is unknown.
    pub outcome: OutcomePolicy,
    /// How long the outcome of a write is looked for.
    pub outcome_wait: Duration,
    /// Does work run again that certainly did not happen?
    pub replay: bool,
    /// The longest transaction that can, in bytes of its commands.
    pub replay_bytes_max: u32,
    /// How long a statement that needs the writer waits for one.
    pub writer_wait: Duration,
    /// Do sessions lend their node connections to others between transactions?
    pub multiplex: bool,
}

/// What becomes of a write that was interrupted, so that nobody knows whether it happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutcomePolicy {
    /// It is ended on its node, and looked for in another one's binary log.
    #[default]
    Resolve,
    /// The client is told that it is unknown.
    Error,
}

impl OutcomePolicy {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Error => "error",
        }
    }
}

/// How the replication service works.
#[derive(Clone, Debug, PartialEq)]
pub struct Replication {
    /// A node that sends a replica nothing for so long has frozen: another one goes on.
    pub source_timeout: Duration,
    /// How long a replica waits for a node that can go on, before it has to come again by itself.
    pub source_wait: Duration,
    /// The longest transaction that is held in memory until it is whole, in bytes. A longer one is kept in a file of `state_dir`.
    pub group_bytes_max: u32,
}

/// The JSON API for operators.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// Where it listens; a loopback address unless there is a token.
    pub address: SocketAddr,
    /// Where the SQL console listens, if there is one; always a loopback address.
    pub console: Option<SocketAddr>,
    /// What whoever gives orders must know; none if whoever gets at these addresses may.
    pub token: Option<Secret>,
    /// What it takes to speak TLS at the first of these addresses; none if that is not spoken.
    pub tls: Option<AdminTls>,
}

/// TLS with operators.
#[derive(Clone, Debug, PartialEq)]
pub struct AdminTls {
    /// A PEM file with a certificate, those that vouch for it behind it.
    pub certificate: PathBuf,
    /// A PEM file with the key of that.
    pub key: PathBuf,
}

/// What a peer may use up.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Sessions at a time; further clients get error 1040.
    pub sessions_max: u32,
    /// Binary prepared statements of one session.
    pub prepared_max: u32,
    /// Connections to each node at a time, over all workers. A session has one at most, so as many as sessions is no bound.
    pub connections_max: u32,
    /// How long a session waits for one of them.
    pub connection_wait: Duration,
    /// Node connections kept for each node while no session uses them, rounded up to a multiple of the workers; 0 keeps none.
    pub idle_connections_max: u16,
    /// How long such a connection is kept.
    pub idle_connection_timeout: Duration,
    /// A host from which so many logins in a row fail is blocked; 0 for none.
    pub login_failures_max: u32,
    /// For so long.
    pub block_time: Duration,
    /// A client that hasn't logged in after this is disconnected.
    pub handshake_timeout: Duration,
    /// A client that takes none of its result, or stops within a packet, for so long is disconnected.
    pub stall_timeout: Duration,
    /// After SIGTERM sessions may finish for so long.
    pub drain_timeout: Duration,
    /// After another process has taken over sessions stay in this one for so long; then it drains.
    pub upgrade_wait: Duration,
}
