//! `/metrics`: all that is known of the proxy and its cluster, as Prometheus reads it.
//!
//! A name says what is counted, with its unit; labels say of what. What names and units must look like is tested.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster::view::{ClusterView, NodeView};
use crate::gtid::Position;
use crate::telemetry::counters::NodeCounters;
use crate::telemetry::prometheus::{Exposition, Kind};
use crate::telemetry::tally::{Event, ROUTES};

use super::http::{Replica, Sources, replicas};
use super::state::state;

use Kind::{Counter, Gauge};

/// What is counted of the whole process: its name, what it is, and by which label which events are told apart.
type Counted = (&'static str, &'static str, &'static [(Event, &'static [(&'static str, &'static str)])]);

const COUNTED: [Counted; 10] = [
    (
        "oarlock_sent_bytes_total",
        "Bytes sent to clients, nodes and replicas, before compression and encryption.",
        &[
            (Event::BytesToClients, &[("to", "clients")]),
            (Event::BytesToNodes, &[("to", "nodes")]),
            (Event::BytesToReplicas, &[("to", "replicas")]),
        ],
    ),
    ("oarlock_logins_refused_total", "Logins that were refused.", &[(Event::LoginRefused, &[])]),
    (
        "oarlock_errors_total",
        "Errors of the proxy's own that clients were told, by whose fault it was.",
        &[
            (Event::ClientFault, &[("side", "client")]),
            (Event::NodeFault, &[("side", "node")]),
            (Event::ProxyFault, &[("side", "proxy")]),
        ],
    ),
    (
        "oarlock_node_connections_lost_total",
        "Connections to nodes that ended before their sessions.",
        &[(Event::ConnectionLost, &[])],
    ),
    ("oarlock_failovers_total", "Times the writer's role has gone to another node.", &[(Event::WriterChange, &[])]),
    ("oarlock_commands_rerun_total", "Commands that were sent to a node once more.", &[(Event::Rerun, &[])]),
    (
        "oarlock_commands_aborted_total",
        "Commands that were aborted for other work, and ran again.",
        &[(Event::Abort, &[])],
    ),
    ("oarlock_transactions_replayed_total", "Transactions that were run again.", &[(Event::Replay, &[])]),
    (
        "oarlock_outcomes_total",
        "Interrupted writes by what became of them.",
        &[
            (Event::OutcomeCommitted, &[("outcome", "committed")]),
            (Event::OutcomeAbsent, &[("outcome", "absent")]),
            (Event::OutcomeUnknown, &[("outcome", "unknown")]),
        ],
    ),
    (
        "oarlock_dump_takeovers_total",
        "Times a dump of a replica has gone on at another node.",
        &[(Event::Takeover, &[])],
    ),
];

/// A number of each node: its name, what it is, and where it stands.
type OfView = (&'static str, &'static str, fn(&ClusterView, &NodeView) -> bool);
type OfCounters = (&'static str, &'static str, fn(&NodeCounters) -> &AtomicU64);

/// The whole text.
pub fn text(sources: &Sources) -> String {
    let mut text = Exposition::default();
    let view = sources.view.load();
    text.family(Gauge, "oarlock_build_info", "The program that runs here.")
        .sample(&[("version", env!("CARGO_PKG_VERSION")), ("site", &sources.config.load().site.name)], 1);
    for (name, help, events) in COUNTED {
        let mut family = text.family(Counter, name, help);
        for (event, labels) in events {
            family.sample(labels, sources.counters.totals.get(*event));
        }
    }
    services(&mut text, sources);
    nodes(&mut text, sources, &view);
    commands(&mut text, sources, &view);
    dumps(&mut text, &replicas(sources));
    links(&mut text, sources);
    text.into_text()
}

fn services(text: &mut Exposition, sources: &Sources) {
    let config = sources.config.load();
    let services = || sources.counters.listeners(&config);
    let mut family = text.family(Gauge, "oarlock_sessions", "Sessions now.");
    for (listener, counters) in services() {
        family.sample(&[("listener", &listener.name)], counters.sessions.load(Ordering::Relaxed));
    }
    let mut family = text.family(Counter, "oarlock_sessions_opened_total", "Sessions since the start.");
    for (listener, counters) in services() {
        family.sample(&[("listener", &listener.name)], counters.sessions_total.load(Ordering::Relaxed));
    }
}

fn nodes(text: &mut Exposition, sources: &Sources, view: &ClusterView) {
    let kind = sources.config.load().cluster.kind;
    let mut family = text.family(Gauge, "oarlock_node_info", "A node: 1, with its state as lists show it.");
    for node in view.members() {
        let state = state(view, node, kind, sources.counters.connections(node.id));
        family.sample(&[("node", &node.name), ("address", &node.address), ("state", state)], 1);
    }
    let by_node: [OfView; 2] = [
        ("oarlock_node_fit", "Whether a node is fit for new work.", |_, node| node.usable()),
        ("oarlock_node_writer", "Whether a node is the writer.", |view, node| view.writer == Some(node.id)),
    ];
    for (name, help, is) in by_node {
        let mut family = text.family(Gauge, name, help);
        for node in view.members() {
            family.sample(&[("node", &node.name)], u8::from(is(view, node)));
        }
    }
    let gauges: [OfCounters; 3] = [
        ("oarlock_node_connections", "Connections of sessions and dumps to a node.", |node| &node.connections),
        ("oarlock_node_connections_idle", "Connections to a node that no session uses.", |node| &node.idle),
        ("oarlock_node_connections_awaited", "Sessions that wait for a connection to a node.", |node| &node.waiting),
    ];
    for (name, help, gauge) in gauges {
        let mut family = text.family(Gauge, name, help);
        for node in view.members() {
            let Some(counters) = sources.counters.nodes.get(usize::from(node.id.0)) else { continue };
            family.sample(&[("node", &node.name)], gauge(counters).load(Ordering::Relaxed));
        }
    }
    let help = "How far a node is in a replication domain: a GTID's last part.";
    let mut family = text.family(Gauge, "oarlock_node_gtid_sequence", help);
    for node in view.members() {
        for gtid in node.gtid.parse::<Position>().iter().flat_map(Position::iter) {
            family.sample(&[("node", &node.name), ("domain", &gtid.domain.to_string())], gtid.sequence);
        }
    }
}

fn commands(text: &mut Exposition, sources: &Sources, view: &ClusterView) {
    let help =
        "From when a client had sent a command to the end of its answer, by the node that ran it and how it got there.";
    let mut family = text.family(Kind::Histogram, "oarlock_command_duration_seconds", help);
    for node in view.members() {
        for route in ROUTES {
            let labels = [("node", &*node.name), ("route", route.name())];
            family.histogram(&labels, &sources.counters.totals.commands(node.id, route));
        }
    }
}

/// Programs that only read have no server id to tell them apart by.
fn dumps(text: &mut Exposition, replicas: &[Replica]) {
    text.family(Gauge, "oarlock_dumps", "Replicas and other programs that read the binary log.")
        .sample(&[], replicas.len());
    let replicas: BTreeMap<u32, &Replica> =
        replicas.iter().filter(|replica| replica.server_id != 0).map(|replica| (replica.server_id, replica)).collect();
    let help = "Transactions that the writer has and a replica has not been sent.";
    let mut family = text.family(Gauge, "oarlock_replica_lag_transactions", help);
    for (id, replica) in replicas {
        if let Some(lag) = replica.lag {
            family.sample(&[("server_id", &id.to_string()), ("address", &replica.address)], lag);
        }
    }
}

fn links(text: &mut Exposition, sources: &Sources) {
    let reports = sources.links.reports();
    let mut family = text.family(Gauge, "oarlock_link_info", "A link: 1, with its state as lists show it.");
    for link in reports.iter() {
        family.sample(&[("link", &link.link), ("state", &link.state), ("node", &link.node)], 1);
    }
    let help = "Transactions of a link's remote that are not here yet.";
    let mut family = text.family(Gauge, "oarlock_link_lag_transactions", help);
    for (link, lag) in reports.iter().filter_map(|link| Some((link, link.lag_transactions?))) {
        family.sample(&[("link", &link.link)], lag);
    }
    let mut family = text.family(Gauge, "oarlock_link_lag_seconds", "Age of what a link applies now.");
    for (link, lag) in reports.iter().filter_map(|link| Some((link, link.lag_seconds?))) {
        family.sample(&[("link", &link.link)], lag);
    }
}
