//! The validated configuration: typed, complete, with every default and limit named here.
//!
//! Knows nothing of files. What the program reads at run time is this and nothing else.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;

use super::duration::print_duration;
use super::error::ConfigError;
use super::file;
use super::secret::Secret;

/// Nodes of one cluster, at most.
pub const NODES_MAX: usize = 64;
/// Listeners, at most.
pub const LISTENERS_MAX: usize = 64;
/// Worker threads, at most.
pub const THREADS_MAX: usize = 256;
/// A node's port, where none is given.
pub const NODE_PORT: u16 = 3306;
/// Where the admin API listens, where nothing is said.
pub const ADMIN_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4008);

const STATE_DIR: &str = "/var/lib/oarlock";
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
const PROBE_INTERVAL_MIN: Duration = Duration::from_millis(50);
const NODE_TIMEOUT: Duration = Duration::from_secs(3);
const WRITER_WAIT: Duration = Duration::from_secs(30);
const SESSIONS_MAX: u32 = 10_000;
const PREPARED_MAX: u32 = 16_382;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

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
    /// `[read-write-split]`
    pub read_write_split: ReadWriteSplit,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
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
    /// Deadline of handing bytes to a node.
    pub write_timeout: Duration,
    /// Does the writer's role go back to the best node as soon as that is fit again?
    pub failback: bool,
    /// Does a donor whose snapshot method doesn't block it stay in use?
    pub available_when_donor: bool,
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
        if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(Self { host: ip.to_string().into(), port: NODE_PORT });
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
            None => (text, NODE_PORT),
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
}

/// What clients of a listener get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Reads go to readers, the rest to the writer.
    ReadWriteSplit,
}

impl Service {
    /// The name in the configuration and in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadWriteSplit => "read-write-split",
        }
    }
}

/// How the read-write-split service works.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadWriteSplit {
    /// How the reader of a read is chosen.
    pub readers: ReaderChoice,
    /// How long a statement that needs the writer waits for one.
    pub writer_wait: Duration,
}

/// How the reader of a read is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReaderChoice {
    /// By response time and load.
    Adaptive,
    /// By the number of sessions on it.
    LeastConnections,
}

/// The JSON API for operators.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// Where it listens; always a loopback address.
    pub address: SocketAddr,
}

/// What a peer may use up.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Sessions at a time; further clients get error 1040.
    pub sessions_max: u32,
    /// Binary prepared statements of one session.
    pub prepared_max: u32,
    /// A client that hasn't logged in after this is disconnected.
    pub handshake_timeout: Duration,
    /// A client that takes none of its result, or stops within a packet, for so long is disconnected.
    pub stall_timeout: Duration,
    /// After SIGTERM sessions may finish for so long.
    pub drain_timeout: Duration,
}

/// Fills in the defaults and judges what depends on more than one value.
pub(super) fn build(file: file::File) -> Result<Config, ConfigError> {
    Ok(Config {
        nodes: nodes(&file)?,
        listeners: listeners(&file)?,
        site: site(file.site)?,
        cluster: cluster(&file.cluster)?,
        read_write_split: ReadWriteSplit {
            readers: file.read_write_split.readers.unwrap_or(ReaderChoice::Adaptive),
            writer_wait: or(file.read_write_split.writer_wait, WRITER_WAIT),
        },
        admin: admin(&file.admin)?,
        limits: Limits {
            sessions_max: file.limits.sessions_max.map_or(SESSIONS_MAX, |count| count.0),
            prepared_max: file.limits.prepared_max.map_or(PREPARED_MAX, |count| count.0),
            handshake_timeout: or(file.limits.handshake_timeout, HANDSHAKE_TIMEOUT),
            stall_timeout: or(file.limits.stall_timeout, STALL_TIMEOUT),
            drain_timeout: or(file.limits.drain_timeout, DRAIN_TIMEOUT),
        },
    })
}

fn or(given: Option<file::Interval>, default: Duration) -> Duration {
    given.map_or(default, |interval| interval.0)
}

fn site(site: file::Site) -> Result<Site, ConfigError> {
    if site.user.get_ref().is_empty() {
        return Err(ConfigError::at_offset(site.user.span().start, "the service user has no name"));
    }
    Ok(Site {
        name: name(&site.name)?,
        user: site.user.into_inner().into(),
        password: site.password.into_inner().0,
        threads: site.threads.unwrap_or(Threads::Auto),
        log: site.log.unwrap_or(LogLevel::Notice),
        state_dir: site.state_dir.unwrap_or_else(|| STATE_DIR.into()),
    })
}

fn cluster(cluster: &file::Cluster) -> Result<Cluster, ConfigError> {
    Ok(Cluster {
        kind: kind(cluster),
        probe_interval: probe_interval(cluster)?,
        connect_timeout: or(cluster.connect_timeout, NODE_TIMEOUT),
        read_timeout: or(cluster.read_timeout, NODE_TIMEOUT),
        write_timeout: or(cluster.write_timeout, NODE_TIMEOUT),
        failback: cluster.failback.unwrap_or(false),
        available_when_donor: cluster.available_when_donor.unwrap_or(false),
    })
}

fn probe_interval(cluster: &file::Cluster) -> Result<Duration, ConfigError> {
    let Some(given) = &cluster.probe_interval else { return Ok(PROBE_INTERVAL) };
    if given.get_ref().0 < PROBE_INTERVAL_MIN {
        let message = format!("probe_interval is less than \"{}\"", print_duration(PROBE_INTERVAL_MIN));
        return Err(ConfigError::at_offset(given.span().start, message));
    }
    Ok(given.get_ref().0)
}

fn kind(cluster: &file::Cluster) -> Kind {
    cluster.kind.as_ref().map_or(Kind::Galera, |kind| *kind.get_ref())
}

fn nodes(file: &file::File) -> Result<Box<[Node]>, ConfigError> {
    let nodes = &file.node;
    if nodes.is_empty() {
        return Err(ConfigError::new("no node: name at least one in a [[node]] section"));
    }
    if nodes.len() > NODES_MAX {
        return Err(ConfigError::at_offset(nodes[NODES_MAX].name.span().start, format!("more than {NODES_MAX} nodes")));
    }
    if kind(&file.cluster) == Kind::Standalone && nodes.len() > 1 {
        return Err(ConfigError::at_offset(
            nodes[1].name.span().start,
            "a standalone site has one node; set kind = \"galera\" in [cluster] for a cluster",
        ));
    }
    unique("node", "name", nodes.iter().map(|node| &node.name))?;
    unique("node", "address", nodes.iter().map(|node| &node.address))?;
    nodes
        .iter()
        .map(|node| {
            let priority = node.priority.unwrap_or(0);
            Ok(Node { name: name(&node.name)?, address: node.address.get_ref().clone(), priority })
        })
        .collect()
}

fn listeners(file: &file::File) -> Result<Box<[Listener]>, ConfigError> {
    let listeners = &file.listener;
    if listeners.is_empty() {
        return Err(ConfigError::new("no listener: name at least one in a [[listener]] section"));
    }
    if listeners.len() > LISTENERS_MAX {
        let offset = listeners[LISTENERS_MAX].name.span().start;
        return Err(ConfigError::at_offset(offset, format!("more than {LISTENERS_MAX} listeners")));
    }
    unique("listener", "name", listeners.iter().map(|listener| &listener.name))?;
    unique("listener", "address", listeners.iter().map(|listener| &listener.address))?;
    listeners
        .iter()
        .map(|listener| {
            Ok(Listener {
                name: name(&listener.name)?,
                address: *listener.address.get_ref(),
                service: listener.service,
            })
        })
        .collect()
}

fn admin(admin: &file::Admin) -> Result<Admin, ConfigError> {
    let Some(address) = &admin.address else { return Ok(Admin { address: ADMIN_ADDRESS }) };
    if !address.get_ref().ip().is_loopback() {
        let message = format!(
            "the admin address {} is open to others; use a loopback address such as \"{ADMIN_ADDRESS}\"",
            address.get_ref()
        );
        return Err(ConfigError::at_offset(address.span().start, message));
    }
    Ok(Admin { address: *address.get_ref() })
}

/// Names end up in file names, tables and logs.
fn name(name: &Spanned<String>) -> Result<Box<str>, ConfigError> {
    let text = name.get_ref().as_str();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if is_plain && !text.is_empty() && text.len() <= 64 && !text.starts_with('.') {
        return Ok(text.into());
    }
    let message = format!("`{text}` is not a name: 1 to 64 letters, digits, `_`, `-` or `.`, the first no `.`");
    Err(ConfigError::at_offset(name.span().start, message))
}

fn unique<'a, T>(what: &str, setting: &str, values: impl Iterator<Item = &'a Spanned<T>>) -> Result<(), ConfigError>
where
    T: Eq + std::hash::Hash + fmt::Display + 'a,
{
    let mut seen = HashSet::new();
    for value in values {
        if !seen.insert(value.get_ref()) {
            let message = format!("two {what}s have the {setting} `{}`", value.get_ref());
            return Err(ConfigError::at_offset(value.span().start, message));
        }
    }
    Ok(())
}
