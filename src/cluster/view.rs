//! One immutable snapshot of the cluster, and how it is published.
//!
//! Sessions, routing and the admin API read it; only the watch writes it. The version grows only with changes that can
//! alter a route (states, writer, capabilities), not with every GTID.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokio::sync::{Notify, oneshot, watch};

use crate::config::model::PLACES_MAX;

/// A node's place in the configuration: stable while the process runs, also when the configuration is read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u16);

/// What the judge says of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Not reachable.
    #[default]
    Down,
    /// Reachable, but the service user may not log in.
    AuthError,
    /// Reachable, but not fit for work: not Synced, not Primary, desynced, ...
    Running,
    /// Fit for work.
    Synced,
}

/// What an operator has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duty {
    /// Works as its health allows.
    #[default]
    Normal,
    /// No new work; what is open may finish.
    Draining,
    /// No work at all.
    Maintenance,
    /// It is in the configuration no more: as draining, and nothing comes after that.
    Leaving,
}

/// One node in the view; by default one of which nothing is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeView {
    /// Its place.
    pub id: NodeId,
    /// Its configured name.
    pub name: Box<str>,
    /// `host:port`.
    pub address: Box<str>,
    /// What the judge says.
    pub health: Health,
    /// It has not answered for a while, and what becomes of it is not known yet: what can as well be read elsewhere is.
    pub mute: bool,
    /// Why it is not Synced, in words for an operator; empty when it is.
    pub reason: Box<str>,
    /// What the operator wants of it.
    pub duty: Duty,
    /// Its replication position as the server prints it; empty if unknown.
    pub gtid: Box<str>,
    /// Its version string from the greeting.
    pub version: Box<str>,
    /// Capability flags of its greeting: low 32 bits CLIENT_*, high 32 bits MARIADB_CLIENT_*.
    pub capabilities: u64,
    /// The default collation id of its greeting.
    pub collation: u8,
    /// `auto_increment_increment` and `auto_increment_offset`; none if not known.
    pub auto_increment: Option<(u16, u16)>,
    /// The address from which this proxy reaches the node, as accounts there see it.
    pub proxy_address: Option<IpAddr>,
    /// It knows clients by their own addresses: connections of sessions begin with the PROXY protocol.
    pub proxy_protocol: bool,
    /// What a write that is interrupted there can be traced by.
    pub trace: Trace,
}

/// What finding out whether a write on a node has happened depends on, as it was when the node last told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Its UUID in the cluster's primary component; empty if it has never been seen there.
    pub member: Box<str>,
    /// Why its writes can't be found in a binary log; empty if they can.
    pub fault: Box<str>,
}

impl NodeView {
    /// Fit for new work.
    pub fn usable(&self) -> bool {
        self.health == Health::Synced && self.duty == Duty::Normal
    }

    /// Fit to finish work that is already there.
    pub fn tolerable(&self) -> bool {
        self.health == Health::Synced && self.duty != Duty::Maintenance
    }
}

/// The snapshot.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    /// Grows with each change that can alter a route.
    pub version: u64,
    /// All nodes that this process has known, by [`NodeId`].
    pub nodes: Box<[NodeView]>,
    /// The one node that takes writes.
    pub writer: Option<NodeId>,
    /// The node that is about to be the writer: what is open on the writer may end there, and nothing begins.
    pub successor: Option<NodeId>,
    /// The time in which this writer takes writes.
    pub term: Term,
    /// The domain in which a GTID means the same on all nodes; none if there is no such domain.
    pub gtid_domain: Option<u32>,
    /// How often a node was seen to have other settings for its new connections than before.
    pub defaults: u64,
}

impl ClusterView {
    /// The node where writes may begin: the writer, or a node that has no other beside it. That one knows best what it takes
    /// although it is read_only: temporary tables, and what its administrators write.
    pub fn write_target(&self) -> Option<NodeId> {
        if self.successor.is_some() {
            return None;
        }
        let mut members = self.members();
        let only = members.next().filter(|node| node.usable() && members.next().is_none());
        self.writer.or(only.map(|node| node.id))
    }

    /// The nodes that are in the configuration.
    pub fn members(&self) -> impl Iterator<Item = &NodeView> {
        self.nodes.iter().filter(|node| node.duty != Duty::Leaving)
    }

    /// The node of this id.
    pub fn node(&self, id: NodeId) -> Option<&NodeView> {
        self.nodes.get(usize::from(id.0))
    }
}

/// A time in which one node takes writes. Its views have it, and so has what was begun under one of them: when nobody has it any
/// more, nothing of that is open.
#[derive(Clone, Debug, Default)]
pub struct Term(#[expect(dead_code, reason = "it is there to be dropped")] Option<Arc<oneshot::Sender<Infallible>>>);

/// Tells when a term is over.
#[derive(Debug)]
pub struct TermEnd(oneshot::Receiver<Infallible>);

impl Term {
    /// Begins a term.
    pub fn begin() -> (Self, TermEnd) {
        let (held, end) = oneshot::channel();
        (Self(Some(Arc::new(held))), TermEnd(end))
    }
}

impl TermEnd {
    /// Waits for the end.
    pub async fn wait(&mut self) {
        // Nothing is ever sent.
        let _ = (&mut self.0).await;
    }
}

/// Where the current view is to be had. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ViewHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    view: ArcSwap<ClusterView>,
    version: watch::Sender<u64>,
    suspects: Box<[Notify]>,
    holds: Box<[ArcSwapOption<Box<str>>]>,
    adopted: ArcSwapOption<NodeId>,
}

impl ViewHandle {
    /// A handle that holds a first view.
    pub fn new(view: ClusterView) -> Self {
        let suspects = (0..PLACES_MAX).map(|_| Notify::new()).collect();
        let holds = (0..PLACES_MAX).map(|_| ArcSwapOption::empty()).collect();
        let version = watch::Sender::new(view.version);
        let (view, adopted) = (ArcSwap::from_pointee(view), ArcSwapOption::empty());
        Self { shared: Arc::new(Shared { view, version, suspects, holds, adopted }) }
    }

    /// The current view; don't hold the guard over an await.
    pub fn load(&self) -> Guard<Arc<ClusterView>> {
        self.shared.view.load()
    }

    /// Publishes a view; wakes watchers if its version differs from the current one's.
    pub fn publish(&self, view: ClusterView) {
        let version = view.version;
        self.shared.view.store(Arc::new(view));
        self.shared.version.send_if_modified(|current| std::mem::replace(current, version) != version);
    }

    /// Learns of each new version.
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// A connection to this node broke or could not be made: its probe should look now.
    pub fn suspect(&self, id: NodeId) {
        if let Some(notify) = self.shared.suspects.get(usize::from(id.0)) {
            notify.notify_one();
        }
    }

    /// Waits until somebody suspects this node.
    pub async fn suspected(&self, id: NodeId) {
        match self.shared.suspects.get(usize::from(id.0)) {
            Some(notify) => notify.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Keeps a node from counting as fit for work, whatever its health, for this reason; `None` lets it go.
    pub fn hold(&self, id: NodeId, reason: Option<Box<str>>) {
        let Some(hold) = self.shared.holds.get(usize::from(id.0)) else { return };
        if hold.load().as_deref() != reason.as_ref() {
            hold.store(reason.map(Arc::new));
            self.suspect(id);
        }
    }

    /// Why a node is held.
    pub fn held(&self, id: NodeId) -> Option<Box<str>> {
        self.shared.holds.get(usize::from(id.0))?.load().as_deref().cloned()
    }

    /// Another proxy of this site has this writer: so has this one, as long as the node is fit for it.
    pub fn adopt(&self, writer: Option<NodeId>) {
        if self.shared.adopted.load().as_deref() != writer.as_ref() {
            self.shared.adopted.store(writer.map(Arc::new));
            writer.into_iter().for_each(|id| self.suspect(id));
        }
    }

    /// The writer of another proxy of this site.
    pub fn adopted(&self) -> Option<NodeId> {
        self.shared.adopted.load().as_deref().copied()
    }
}
