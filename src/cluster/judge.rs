//! What the observations of all nodes mean (pure): each node's health, with the reason in words.
//!
//! Knows no clock and no socket: what is slow is counted in probes. A refused connection counts at once, a missed
//! deadline only when it is not alone, since a busy machine misses one now and then. Nodes are judged together, since
//! some faults show only in comparison: a cluster split in two, a node the others have expelled, one that numbers otherwise.

mod numbering;

use numbering::{Numbering, common, differs};

use super::view::{Health, NodeId};
use super::wsrep::{Facts, LocalState, Membership, Wsrep};
use crate::config::model::Kind;

/// What one probe of a node saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// It answered.
    Seen(Box<Facts>),
    /// No connection: refused, reset, no route, no such host.
    Unreachable(Box<str>),
    /// No answer before the deadline.
    Late(Box<str>),
    /// It refused the service user.
    Denied(Box<str>),
    /// It answered with an error, or nothing that makes sense.
    Nonsense(Box<str>),
}

/// What is remembered of a node's probes.
#[derive(Clone, Debug, Default)]
pub struct History {
    last: Option<Observation>,
    facts: Option<Box<Facts>>,
    late: Window,
    behind: Window,
    /// A probe is under way and gets no answer so far.
    silent: bool,
    /// That has been so for long.
    mute: bool,
    /// Successive answers that named the same view of the cluster.
    settled: u8,
}

/// The last eight probes, one bit each, the newest lowest.
#[derive(Clone, Copy, Debug, Default)]
struct Window(u8);

impl Window {
    fn push(&mut self, hit: bool) {
        self.0 = self.0 << 1 | u8::from(hit);
    }

    /// Hits among the last `of`.
    fn among(self, of: u32) -> u32 {
        (self.0 & ((1 << of) - 1)).count_ones()
    }
}

/// The reason of a node that no probe has seen yet.
pub const NOT_PROBED: &str = "not probed yet";
/// So many missed deadlines ...
const LATE_MIN: u32 = 2;
/// ... of so many probes, and a node is down.
const LATE_OF: u32 = 3;
/// So many probes that found it behind ...
const BEHIND_MIN: u32 = 3;
/// ... of so many, and other readers are preferred.
const BEHIND_OF: u32 = 5;
/// A longer receive queue means behind. Flow control starts at 16 to about 30 write sets on small clusters.
const RECEIVE_QUEUE_MAX: u64 = 100;
/// After so many probes that named the same view, a node that names another one is in another component.
const SETTLED_MIN: u8 = 3;
/// Snapshot methods that let the donor work.
const SST_NOT_BLOCKING: [&str; 3] = ["mariabackup", "xtrabackup-v2", "xtrabackup"];

impl History {
    /// One that begins with this.
    pub fn of(observation: Observation) -> Self {
        let mut history = Self::default();
        history.add(observation);
        history
    }

    /// Adds the newest observation.
    pub fn add(&mut self, observation: Observation) {
        self.late.push(matches!(observation, Observation::Late(_)));
        if let Observation::Seen(facts) = &observation {
            self.behind.push(facts.wsrep.as_ref().is_some_and(is_behind));
            let same = membership(self.facts.as_deref()).map(|m| m.view) == membership(Some(facts)).map(|m| m.view);
            self.settled = if same { self.settled.saturating_add(1) } else { 0 };
            self.facts = Some(facts.clone());
        }
        self.last = Some(observation);
        (self.silent, self.mute) = (false, false);
    }

    /// The probe under way is taking long. That counts for nothing by itself, since there is a deadline for it, but the
    /// others may know more.
    pub fn fall_silent(&mut self) {
        self.silent = true;
    }

    /// It takes very long.
    pub fn fall_mute(&mut self) {
        self.mute = true;
    }

    /// Has it said nothing for long, whatever may become of that?
    pub fn is_mute(&self) -> bool {
        self.mute || matches!(self.last, Some(Observation::Late(_)))
    }

    /// Was it probed at all?
    pub fn has_begun(&self) -> bool {
        self.last.is_some()
    }

    /// The newest facts, perhaps older than the last probe.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_deref()
    }

    /// Though not fit for new work it goes on with what is open: it does not keep step with the others for a while, as donors don't,
    /// and nodes that were desynced.
    pub fn only_lags(&self) -> bool {
        let lags = |wsrep: &Wsrep| {
            let takes_work = wsrep.is_primary() && wsrep.ready && !wsrep.rejects_queries;
            takes_work
                && match wsrep.state {
                    LocalState::Donor => !wsrep.donor_rejects_queries,
                    LocalState::Joined => true,
                    LocalState::Synced => wsrep.desync,
                    LocalState::Joining | LocalState::Other(_) => false,
                }
        };
        self.is_fresh() && self.facts().and_then(|facts| facts.wsrep.as_ref()).is_some_and(lags)
    }

    /// Has it named the same view for a while?
    fn is_settled(&self) -> bool {
        self.settled >= SETTLED_MIN
    }

    /// Does it answer?
    fn is_fresh(&self) -> bool {
        !self.silent && matches!(self.last, Some(Observation::Seen(_)))
    }
}

fn membership(facts: Option<&Facts>) -> Option<&Membership> {
    Some(&facts?.wsrep.as_ref()?.membership)
}

fn is_behind(wsrep: &Wsrep) -> bool {
    wsrep.requests_pause || wsrep.receive_queue > RECEIVE_QUEUE_MAX
}

/// What depends on the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What the nodes are.
    pub kind: Kind,
    /// Does a donor stay in use when its snapshot method lets it?
    pub available_when_donor: bool,
}

/// The judgement of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What may be done with it.
    pub health: Health,
    /// Why it isn't Synced; empty when it is.
    pub reason: Box<str>,
}

impl Verdict {
    fn new(health: Health, reason: impl Into<Box<str>>) -> Self {
        Self { health, reason: reason.into() }
    }

    fn is_synced(&self) -> bool {
        self.health == Health::Synced
    }
}

/// Judges all nodes, in their order. `writer` is the current one: it decides ties, and isn't set aside for being slow.
pub fn judge(nodes: &[History], rules: Rules, writer: Option<NodeId>) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = nodes.iter().map(|node| alone(node, rules)).collect();
    let writer = writer.map(|id| usize::from(id.0));
    set_split_apart(nodes, &mut verdicts, writer);
    set_misnumbered_aside(nodes, &mut verdicts, writer);
    set_slow_aside(nodes, &mut verdicts, writer);
    verdicts
}

/// How those that are fit for work number their transactions, if they do so alike. None if none is fit.
pub fn numbering(nodes: &[History], verdicts: &[Verdict]) -> Option<Numbering> {
    let mut all = numberings(nodes, verdicts).map(|(_, numbering)| numbering);
    let first = all.next()?;
    Some(first.filter(|_| all.all(|numbering| numbering == first)))
}

fn numberings(nodes: &[History], verdicts: &[Verdict]) -> impl Iterator<Item = (usize, Numbering)> {
    let fit = nodes.iter().zip(verdicts).enumerate().filter(|(_, (_, verdict))| verdict.is_synced());
    fit.filter_map(|(n, (node, _))| Some((n, node.facts()?.wsrep.as_ref()?.gtid_domain)))
}

/// The health of a node by its own observations.
fn alone(node: &History, rules: Rules) -> Verdict {
    match (&node.last, &node.facts) {
        (None, _) => Verdict::new(Health::Down, NOT_PROBED),
        (Some(Observation::Unreachable(why)), _) => Verdict::new(Health::Down, why.clone()),
        (Some(Observation::Denied(why)), _) => Verdict::new(Health::AuthError, why.clone()),
        (Some(Observation::Nonsense(why)), _) => Verdict::new(Health::Running, why.clone()),
        (Some(Observation::Late(why)), None) => Verdict::new(Health::Down, why.clone()),
        (Some(Observation::Late(why)), Some(_)) if node.late.among(LATE_OF) >= LATE_MIN => {
            let probes = format!("{why} ({} of the last {LATE_OF} probes)", node.late.among(LATE_OF));
            Verdict::new(Health::Down, probes)
        }
        (Some(Observation::Late(_) | Observation::Seen(_)), Some(facts)) => match unfit(facts, rules) {
            None => Verdict::new(Health::Synced, ""),
            Some(why) => Verdict::new(Health::Running, why),
        },
        (Some(Observation::Seen(_)), None) => Verdict::new(Health::Down, NOT_PROBED),
    }
}

/// Why a server that answers is not fit for work.
fn unfit(facts: &Facts, rules: Rules) -> Option<String> {
    let wsrep = match (rules.kind, &facts.wsrep) {
        (Kind::Standalone, _) => return None,
        (Kind::Galera, None) => return Some("not a Galera node: wsrep_on is OFF".to_owned()),
        (Kind::Galera, Some(wsrep)) => wsrep,
    };
    if !wsrep.is_primary() {
        return Some(format!("not in the primary component: wsrep_cluster_status is {}", wsrep.status));
    }
    if wsrep.rejects_queries {
        return Some("wsrep_reject_queries is on".to_owned());
    }
    if wsrep.desync {
        return Some("desynced: wsrep_desync is ON".to_owned());
    }
    match wsrep.state {
        LocalState::Synced => {}
        LocalState::Donor => return donor_unfit(wsrep, rules),
        state => return Some(format!("not in step: wsrep_local_state is {state}")),
    }
    (!wsrep.ready).then(|| "wsrep_ready is OFF".to_owned())
}

fn donor_unfit(wsrep: &Wsrep, rules: Rules) -> Option<String> {
    if !rules.available_when_donor {
        Some("donor or locked for a backup, and available_when_donor is off".to_owned())
    } else if !SST_NOT_BLOCKING.contains(&&*wsrep.sst_method) {
        Some(format!("donor or locked for a backup, and the snapshot method {} blocks it", wsrep.sst_method))
    } else if wsrep.donor_rejects_queries {
        Some("donor or locked for a backup, and wsrep_sst_donor_rejects_queries is ON".to_owned())
    } else {
        (!wsrep.ready).then(|| "donor or locked for a backup, and wsrep_ready is OFF".to_owned())
    }
}

/// A view of the cluster that nodes here are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Side {
    /// All its members answer here: it is real, and who is not in it is not a member.
    complete: bool,
    /// Nodes that name it.
    reporters: u64,
    /// The writer is one of them.
    has_writer: bool,
    /// Number of the view.
    view: u64,
    /// One of them has named it for a while.
    settled: bool,
}

fn primary_membership(node: &History) -> Option<&Membership> {
    node.facts()?.wsrep.as_ref().filter(|wsrep| wsrep.is_primary()).map(|wsrep| &wsrep.membership)
}

/// The views that answering nodes name.
fn reports(nodes: &[History]) -> impl Iterator<Item = (usize, &Membership)> {
    let fresh = nodes.iter().enumerate().filter(|(_, node)| node.is_fresh());
    fresh.filter_map(|(n, node)| Some((n, primary_membership(node)?)))
}

fn side(nodes: &[History], of: &Membership, writer: Option<usize>) -> Side {
    let same = || reports(nodes).filter(|(_, m)| (m.view, &m.state_uuid) == (of.view, &of.state_uuid));
    let reporters = same().count() as u64;
    Side {
        complete: reporters > 0 && reporters >= of.size,
        reporters,
        has_writer: same().any(|(n, _)| Some(n) == writer),
        view: of.view,
        settled: same().any(|(n, _)| nodes[n].is_settled()),
    }
}

/// Is the writer on its way into the view that forms?
///
/// A change of the view takes every member out of the primary component for a moment, and probes see them leave and
/// come back one after the other: another one must not win the role by that. A view that is whole without the writer
/// proves that it is out. Where a member is never probed no view is ever whole, so there must be an end to the wait.
pub fn is_writer_awaited(nodes: &[History], writer: NodeId) -> bool {
    let writer = usize::from(writer.0);
    let is_between_views = |node: &History| {
        let outside = |facts: &Facts| facts.wsrep.as_ref().is_some_and(|wsrep| !wsrep.is_primary());
        node.is_fresh() && node.facts().is_some_and(outside)
    };
    nodes.get(writer).is_some_and(is_between_views)
        && !reports(nodes).map(|(_, of)| side(nodes, of, Some(writer))).any(|side| side.complete)
}

/// Nodes with different histories, or in different components that both call themselves primary, are two clusters.
/// The one with more nodes here is the site's; the writer's side wins a tie, then the greater UUID or view.
///
/// A node that was frozen for a while still believes in the view from before, until it has heard of the new one. It
/// shows as soon as the others make up a whole view among themselves. While they don't (an arbitrator is never probed,
/// and a change of the view reaches nodes and probes one after the other), only views named for a while are compared.
fn set_split_apart(nodes: &[History], verdicts: &mut [Verdict], writer: Option<usize>) {
    let fit: Vec<(usize, &Membership)> = (0..nodes.len())
        .filter(|&n| verdicts[n].is_synced())
        .filter_map(|n| Some((n, primary_membership(&nodes[n])?)))
        .collect();
    let followers = |of: &Membership| {
        let same = fit.iter().filter(|(_, m)| m.state_uuid == of.state_uuid);
        (same.clone().count(), same.clone().any(|(n, _)| Some(*n) == writer))
    };
    let Some((_, history)) = fit.iter().map(|(_, of)| (followers(of), &of.state_uuid)).max() else { return };

    let sides = reports(nodes).filter(|(_, of)| of.state_uuid == *history).map(|(_, of)| side(nodes, of, writer));
    let Some(best) = sides.max() else { return };
    for (n, of) in fit.iter() {
        if of.state_uuid != *history {
            let why = format!("belongs to another cluster: wsrep_cluster_state_uuid is {}", of.state_uuid);
            verdicts[*n] = Verdict::new(Health::Running, why);
        } else if of.view != best.view && (best.complete || (best.settled && nodes[*n].is_settled())) {
            verdicts[*n] = if nodes[*n].is_fresh() {
                Verdict::new(Health::Running, "not in the view of the cluster that the other nodes are in")
            } else {
                Verdict::new(Health::Down, "silent, and no longer a member of the cluster")
            };
        }
    }
}

/// What a session or a replica has seen by its GTID must be that everywhere.
fn set_misnumbered_aside(nodes: &[History], verdicts: &mut [Verdict], writer: Option<usize>) {
    let all: Vec<(usize, Numbering)> = numberings(nodes, verdicts).collect();
    let Some(common) = common(all.iter().map(|(n, own)| (*own, Some(*n) == writer))) else { return };
    for (n, own) in all {
        if let Some(why) = differs(own, common) {
            verdicts[n] = Verdict::new(Health::Running, why);
        }
    }
}

/// A node that can't keep up gives way to readers that can.
fn set_slow_aside(nodes: &[History], verdicts: &mut [Verdict], writer: Option<usize>) {
    let is_slow = |n: usize| Some(n) != writer && nodes[n].behind.among(BEHIND_OF) >= BEHIND_MIN;
    let in_step = (0..nodes.len()).any(|n| verdicts[n].is_synced() && !is_slow(n));
    for n in (0..nodes.len()).filter(|n| in_step && is_slow(*n)) {
        if verdicts[n].is_synced() {
            let queue = nodes[n].facts().and_then(|facts| facts.wsrep.as_ref()).map_or(0, |wsrep| wsrep.receive_queue);
            verdicts[n] = Verdict::new(Health::Running, format!("falls behind: {queue} write sets wait to be applied"));
        }
    }
}

#[cfg(test)]
#[path = "judge/tests.rs"]
mod tests;
