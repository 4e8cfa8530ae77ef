//! The replication endpoint: dumps of the cluster's binary log that outlive the nodes they come from. And [`link`]: how this
//! site follows others.
//!
//! A session of the replication service ends with its client's COM_BINLOG_DUMP; here the dump begins. Pure: what was asked
//! ([`request`]), what may be passed on ([`flow`]), which node can serve ([`source`]). Shell: making a node send ([`approach`]),
//! having it show that it numbers transactions as the one before it (`proof`), finding one (`search`), the dump itself (`dump`), what the
//! replica takes of it (`delivery`), what is kept of a long transaction ([`stash`]), the list of all dumps ([`roster`]), and where
//! replicas read that ask by file and position ([`anchors`]).

pub mod anchors;
pub mod approach;
mod delivery;
mod dump;
pub mod flow;
pub mod link;
mod proof;
pub mod request;
pub mod roster;
mod search;
pub mod source;
pub mod stash;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::handover::Heir;
use crate::cluster::view::ViewHandle;
use crate::config::{Config, Live};
use crate::net::clock::Clock;
use crate::net::tls::ClientTls;
use crate::telemetry::counters::Counters;
use anchors::Anchors;
use roster::Roster;

/// What all dumps share.
#[derive(Clone)]
pub struct Endpoint {
    /// The cluster.
    pub view: ViewHandle,
    /// Live numbers.
    pub counters: Arc<Counters>,
    /// All dumps.
    pub roster: Arc<Roster>,
    /// Where those read that don't ask by GTIDs.
    pub anchors: Arc<Anchors>,
    /// The timers of the workers, on which dumps run.
    pub clock: Clock,
    /// What a dump that begins now keeps to.
    pub bounds: Bounds,
    /// Where groups are kept that are too long for memory.
    pub state_dir: PathBuf,
    /// What is needed to speak TLS with nodes, if that is spoken.
    pub tls: Option<ClientTls>,
}

/// How long a dump waits, and what it holds.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// From dialling a node to its first byte of a dump.
    pub connect_timeout: Duration,
    /// A source that says nothing for so long has frozen.
    pub source_timeout: Duration,
    /// How long a dump waits for a node that can serve it.
    pub source_wait: Duration,
    /// A replica that takes nothing for so long is cut off.
    pub stall_timeout: Duration,
    /// The longest group that is held in memory until it is whole, in bytes.
    pub group_bytes_max: usize,
}

impl Bounds {
    /// As configured.
    pub fn of(config: &Config) -> Self {
        Self {
            connect_timeout: config.cluster.connect_timeout,
            source_timeout: config.replication.source_timeout,
            source_wait: config.replication.source_wait,
            stall_timeout: config.limits.stall_timeout,
            group_bytes_max: config.replication.group_bytes_max as usize,
        }
    }
}

impl Endpoint {
    /// As configured.
    pub fn new(
        config: &Config,
        view: ViewHandle,
        counters: Arc<Counters>,
        roster: Arc<Roster>,
        tls: Option<ClientTls>,
    ) -> Self {
        Self {
            view,
            counters,
            roster,
            anchors: Arc::new(Anchors::recall(&config.site.state_dir, &config.site.name)),
            clock: Clock::current(),
            bounds: Bounds::of(config),
            state_dir: config.site.state_dir.clone(),
            tls,
        }
    }

    /// Whoever goes on with a client that begins a dump.
    pub fn heir(self, live: Live) -> Heir {
        Box::new(move |handover| {
            let endpoint = Self { bounds: Bounds::of(&live.load()), ..self.clone() };
            Box::pin(dump::serve(Arc::new(endpoint), handover))
        })
    }
}
