//! The site as a whole, its listeners and its accounts: what operators see of them, in the shapes of the JSON API.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::health;
use super::http::Sources;
use crate::auth::account::{Account, Requirement};
use crate::config::model::{Listener, LogLevel};
use crate::session::hosts::FailingHost;
use crate::telemetry::counters::ServiceCounters;
use crate::telemetry::tally::{Event, ROUTES};

/// The proxy and its site, as `show site` shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteReport {
    /// Its name.
    pub site: String,
    /// What its nodes are: `galera` or `standalone`.
    pub kind: String,
    /// The program's.
    pub version: String,
    /// Seconds since the process has started.
    pub uptime: u64,
    /// Can a client that comes now write?
    pub ready: bool,
    /// `ready`, or why not.
    pub condition: String,
    /// The node that takes writes; empty if there is none.
    pub writer: String,
    /// Sessions now.
    pub sessions: u64,
    /// And at most.
    pub sessions_max: u64,
    /// Commands of clients since the start.
    pub commands: u64,
    /// How often the writer's role has gone to another node since then.
    pub failovers: u64,
}

/// A listener, as `list listeners` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerReport {
    /// Its name.
    pub listener: String,
    /// Where clients connect.
    pub address: String,
    /// What they get there.
    pub service: String,
    /// `none`, `offered` or `required`.
    pub tls: String,
    /// Who says by the PROXY protocol for whom he comes.
    pub proxy_protocol: Vec<String>,
    /// Sessions now.
    pub sessions: u64,
    /// Sessions since the start.
    pub sessions_total: u64,
}

/// A host whose logins fail, as `list hosts` shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostReport {
    /// Its address.
    pub address: String,
    /// Logins that have failed since the last that succeeded.
    pub failures: u32,
    /// For so many seconds it is blocked; 0 if it is not.
    pub blocked_for: f64,
}

/// An account, as `list accounts` shows it: nothing of its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountReport {
    /// The user; empty for anybody.
    pub user: String,
    /// Where from.
    pub host: String,
    /// The plugins by which one may log in.
    pub plugins: Vec<String>,
    /// Is it locked?
    pub locked: bool,
    /// What it requires: `nothing`, `tls` or `certificate`.
    pub requires: String,
    /// The role it begins with; empty if there is none.
    pub default_role: String,
}

/// How much is logged, both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// This level and those before it.
    pub level: LogLevel,
}

/// The site as it is now.
pub(super) fn site(sources: &Sources) -> SiteReport {
    let (view, config) = (sources.view.load(), sources.config.load());
    let ready = health::ready(*sources.stage.borrow(), &view);
    let totals = &sources.counters.totals;
    let commands = |node| ROUTES.iter().map(move |route| totals.commands(node, *route).classes.iter().sum::<u64>());
    SiteReport {
        site: config.site.name.to_string(),
        kind: config.cluster.kind.name().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime: sources.started.elapsed().as_secs(),
        ready: ready.is_ok(),
        condition: ready.unwrap_or_else(|why| why).to_owned(),
        writer: view.writer.and_then(|id| view.node(id)).map(|node| node.name.to_string()).unwrap_or_default(),
        sessions: sources.counters.sessions(),
        sessions_max: config.limits.sessions_max.into(),
        commands: view.nodes.iter().flat_map(|node| commands(node.id)).sum(),
        failovers: totals.get(Event::WriterChange),
    }
}

/// In the order of the configuration.
pub(super) fn listeners(sources: &Sources) -> Vec<ListenerReport> {
    let report = |(listener, counters): (&Listener, &ServiceCounters)| ListenerReport {
        listener: listener.name.to_string(),
        address: listener.address.to_string(),
        service: listener.service.name().to_owned(),
        tls: listener.tls.as_ref().map_or("none", |tls| if tls.require { "required" } else { "offered" }).to_owned(),
        proxy_protocol: listener.proxy_protocol.iter().map(ToString::to_string).collect(),
        sessions: counters.sessions.load(Ordering::Relaxed),
        sessions_total: counters.sessions_total.load(Ordering::Relaxed),
    };
    let config = sources.config.load();
    sources.counters.listeners(&config).map(report).collect()
}

/// By address.
pub(super) fn hosts(sources: &Sources) -> Vec<HostReport> {
    let report = |host: FailingHost| HostReport {
        address: host.address.to_string(),
        failures: host.failures,
        blocked_for: host.blocked_for.map_or(0.0, |left| left.as_secs_f64()),
    };
    sources.registry.hosts.list(&sources.config.load().limits).into_iter().map(report).collect()
}

/// By user and host.
pub(super) fn accounts(sources: &Sources) -> Vec<AccountReport> {
    let report = |account: &Account| AccountReport {
        user: account.user.to_string(),
        host: account.host.text().to_owned(),
        plugins: account.auth.iter().map(|way| format!("{way:?}")).collect(),
        locked: account.locked,
        requires: match account.requires {
            Requirement::Nothing => "nothing",
            Requirement::Tls => "tls",
            Requirement::Certificate | Requirement::Named(_) => "certificate",
        }
        .to_owned(),
        default_role: account.default_role.to_string(),
    };
    let mut accounts: Vec<_> = sources.directory.load().iter().map(report).collect();
    accounts.sort_unstable_by(|a, b| (&a.user, &a.host).cmp(&(&b.user, &b.host)));
    accounts
}
