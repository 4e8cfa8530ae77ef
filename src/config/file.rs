//! The configuration exactly as an operator writes it: the only types read from TOML.
//!
//! Every setting with a default is an `Option` here; the defaults are in [`super::model`]. A value that can be judged by
//! itself is judged here, so that the reader names its line; what depends on other values is judged by the model.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use toml::Spanned;

use crate::routing::causal::CausalReads;
use crate::routing::reader::Policy;
use crate::routing::writer::WriterLoss;

use super::duration::parse_duration;
use super::model::{Address, Kind, LogLevel, OutcomePolicy, REMOTE_PORT, Service, THREADS_MAX, Threads};
use super::secret::Secret;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub site: Site,
    #[serde(default)]
    pub cluster: Cluster,
    #[serde(default)]
    pub node: Vec<Node>,
    #[serde(default)]
    pub listener: Vec<Listener>,
    #[serde(default)]
    pub account: Vec<Account>,
    #[serde(default)]
    pub link: Vec<Link>,
    #[serde(default, rename = "read-write-split")]
    pub read_write_split: ReadWriteSplit,
    #[serde(default)]
    pub replication: Replication,
    #[serde(default)]
    pub admin: Admin,
    #[serde(default)]
    pub limits: Limits,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Site {
    pub name: Spanned<String>,
    pub user: Spanned<String>,
    pub password: Spanned<Password>,
    pub threads: Option<Threads>,
    pub log: Option<LogLevel>,
    pub state_dir: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cluster {
    pub kind: Option<Spanned<Kind>>,
    pub probe_interval: Option<Spanned<Interval>>,
    pub connect_timeout: Option<Interval>,
    pub read_timeout: Option<Interval>,
    pub write_timeout: Option<Interval>,
    pub failback: Option<bool>,
    pub switch_wait: Option<Spanned<Interval>>,
    pub available_when_donor: Option<bool>,
    pub tls: Option<Spanned<NodeTls>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub name: Spanned<String>,
    pub address: Spanned<Address>,
    pub priority: Option<i32>,
    pub proxy_protocol: Option<bool>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    pub name: Spanned<String>,
    pub address: Spanned<SocketAddr>,
    pub service: Service,
    pub tls: Option<Tls>,
    #[serde(default)]
    pub proxy_protocol: Vec<Network>,
}

#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeTls {
    pub ca: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub verify: Option<bool>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub client_ca: Option<PathBuf>,
    pub require: Option<bool>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    pub user: Spanned<String>,
    pub host: Option<String>,
    pub password: Spanned<Password>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    pub name: Spanned<String>,
    pub remote: Spanned<Remote>,
    pub user: Spanned<String>,
    pub password: Spanned<Password>,
    pub heartbeat: Option<Spanned<Interval>>,
    pub retry: Option<Spanned<Interval>>,
    pub admin: Option<SocketAddr>,
    pub admin_ca: Option<Spanned<PathBuf>>,
    pub tls: Option<Spanned<LinkTls>>,
}

#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkTls {
    pub ca: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub verify: Option<bool>,
    pub node_ca: Option<PathBuf>,
    pub node_certificate: Option<PathBuf>,
    pub node_key: Option<PathBuf>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadWriteSplit {
    pub readers: Option<Policy>,
    pub causal_reads: Option<CausalReads>,
    pub outcome: Option<OutcomePolicy>,
    pub outcome_wait: Option<Interval>,
    pub replay: Option<bool>,
    pub replay_bytes_max: Option<Count>,
    pub writer_loss: Option<WriterLoss>,
    pub writer_wait: Option<Interval>,
    pub multiplex: Option<Spanned<bool>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Replication {
    pub source_timeout: Option<Interval>,
    pub source_wait: Option<Interval>,
    pub group_bytes_max: Option<Count>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub address: Option<Spanned<SocketAddr>>,
    pub console: Option<Spanned<SocketAddr>>,
    pub token: Option<Spanned<Password>>,
    pub tls: Option<AdminTls>,
}

#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminTls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub sessions_max: Option<Count>,
    pub prepared_max: Option<Count>,
    pub connections_max: Option<Spanned<Count>>,
    pub connection_wait: Option<Interval>,
    pub idle_connections_max: Option<u16>,
    pub idle_connection_timeout: Option<Interval>,
    pub login_failures_max: Option<u32>,
    pub block_time: Option<Interval>,
    pub handshake_timeout: Option<Interval>,
    pub stall_timeout: Option<Interval>,
    pub drain_timeout: Option<Interval>,
    pub upgrade_wait: Option<Interval>,
}

/// A length of time above zero.
#[derive(Clone, Copy)]
pub(super) struct Interval(pub Duration);

/// A number above zero.
#[derive(Clone, Copy)]
pub(super) struct Count(pub u32);

/// Addresses: a network, or one alone.
#[derive(Clone, Copy)]
pub(super) struct Network(pub IpNet);

/// Where a link's remote is: one address or a list of them.
pub(super) struct Remote(pub Vec<Address>);

/// A secret as written or as found in the environment.
pub(super) struct Password(pub Secret);

const REMOTE: &str = "`host:port`, such as \"192.168.56.80:4007\"";
const INTERVAL: &str = "a duration above zero with its unit, such as \"500ms\", \"3s\", \"2m\" or \"1h\"";

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(INTERVAL, |text: &str| {
            parse_duration(text).filter(|duration| !duration.is_zero()).map(Interval)
        }))
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |text: &str| text.parse().ok().or_else(|| text.parse().ok().map(IpAddr::into)).map(Network);
        deserializer.deserialize_str(Text("an address or a network, such as \"10.0.0.0/8\"", read))
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_str(Text("`host:port`, such as \"192.168.56.71:3306\"", |text: &str| text.parse().ok()))
    }
}

impl<'de> Deserialize<'de> for Remote {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Written {
            One(String),
            Many(Vec<String>),
        }
        let texts = match Written::deserialize(deserializer) {
            Ok(Written::One(text)) => vec![text],
            Ok(Written::Many(texts)) => texts,
            Err(_) => return Err(D::Error::custom(format!("expected {REMOTE}, or a list of these"))),
        };
        let read = |text: &String| {
            Address::with_port(text, REMOTE_PORT)
                .map_err(|_| D::Error::custom(format!("invalid value: string \"{text}\", expected {REMOTE}")))
        };
        texts.iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        match u32::try_from(number) {
            Ok(number) if number > 0 => Ok(Self(number)),
            _ => Err(D::Error::custom(format!("{number} is not a number from 1 to {}", u32::MAX))),
        }
    }
}

impl<'de> Deserialize<'de> for Threads {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Threads;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"auto\" or a number from 1 to {THREADS_MAX}")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Threads, E> {
                if text == "auto" {
                    Ok(Threads::Auto)
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
                }
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Threads, E> {
                match usize::try_from(number) {
                    Ok(count) if (1..=THREADS_MAX).contains(&count) => Ok(Threads::Count(count)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Signed(number), &self)),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Reads a string with a function; what is expected is said when it returns `None`.
struct Text<F>(&'static str, F);

impl<T, F: FnOnce(&str) -> Option<T>> Visitor<'_> for Text<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let Text(expected, read) = self;
        read(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &expected))
    }
}
