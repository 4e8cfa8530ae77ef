//! Which node a dump comes from (pure): the writer, else a node that is fit and holds what the replica needs.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::cluster::view::{ClusterView, NodeId};
use crate::fault::{Fault, Retry};
use crate::gtid::{Gtid, Position};

/// Why a node can't serve a dump now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It could not be reached, or refused for a reason of its own.
    Absent(Box<str>),
    /// It has not come so far yet: its position.
    Behind(Position),
    /// Its binary log begins later, or lacks something: its position, and its own words.
    Lacks(Position, Box<str>),
    /// It would go on with this group, which is not the next one.
    Gap(Gtid),
    /// It has another transaction under this GTID than the source before it.
    Differs(Gtid),
    /// It has this, and with it others, under a GTID that the cluster does not know.
    Stray(Gtid),
}

/// The nodes that can't serve a dump where it is now.
pub type Verdicts = BTreeMap<NodeId, Unfit>;

/// The node to ask first. One that is mute may never answer, so it comes last.
pub fn choose(view: &ClusterView, unfit: &Verdicts) -> Option<NodeId> {
    let others = view.nodes.iter().filter(|node| node.usable()).map(|node| node.id);
    let mut fit: Vec<_> = view.writer.into_iter().chain(others).filter(|id| !unfit.contains_key(id)).collect();
    fit.sort_by_key(|id| is_mute(view, *id));
    fit.first().copied()
}

fn is_mute(view: &ClusterView, id: NodeId) -> bool {
    view.node(id).is_some_and(|node| node.mute)
}

/// The node that a dump should come from instead of `current`, which still sends.
pub fn better(view: &ClusterView, current: NodeId, unfit: &Verdicts) -> Option<NodeId> {
    let stays = view.node(current).is_some_and(|node| node.tolerable());
    let best = choose(view, unfit).filter(|id| *id != current && !is_mute(view, *id))?;
    (!stays || view.writer == Some(best)).then_some(best)
}

/// Domains that only one node writes, by node: what it does not replicate to the others (server: `gtid_domain_id`).
pub type Locals = BTreeMap<NodeId, u32>;

/// What a node has, and what else there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its own position.
    pub position: Position,
    /// Its server id.
    pub server: Option<u32>,
    /// The domain of its cluster, in which all nodes write.
    pub shared: Option<u32>,
    /// What all nodes together have.
    pub anywhere: Position,
}

/// What this node lacks of what the replica has, whose server id is `replica`. What other nodes keep to themselves it will never
/// have; what no node knows of the replica has from elsewhere; and what the replica has written itself it does not expect of anybody:
/// two sites that were apart would wait for each other for ever.
pub fn missing(wanted: &Position, held: &Held, node: NodeId, locals: &Locals, replica: u32) -> Option<Gtid> {
    let Held { position, shared, anywhere, .. } = held;
    let own = locals.get(&node).copied();
    let is_elsewhere = |domain| Some(domain) != own && Some(domain) != *shared && locals.values().any(|d| *d == domain);
    wanted.iter().find(|gtid| {
        let is_known = position.get(gtid.domain).or(anywhere.get(gtid.domain)).is_some();
        !position.holds(*gtid) && is_known && !is_elsewhere(gtid.domain) && gtid.server != replica
    })
}

/// What this node would send although the replica has it under another GTID: what the cluster wrote while the node had lost
/// `wsrep_gtid_domain_id` stays in its log in another domain. Nothing else is of the cluster's server id, in no domain that is known,
/// and unknown elsewhere: `others` are the positions of other nodes. A replica that has had all from another source has no need of them.
pub fn stray(
    wanted: &Position,
    held: &Held,
    local: Option<u32>,
    had_source: bool,
    others: &[Position],
) -> Option<Gtid> {
    let shared = held.shared?;
    held.position.iter().find(|gtid| {
        let is_cluster = Some(gtid.server) == held.server && gtid.domain != shared && Some(gtid.domain) != local;
        let is_unknown = had_source || others.iter().any(|other| other.get(gtid.domain).is_none());
        is_cluster && is_unknown && wanted.get(gtid.domain).is_none()
    })
}

/// All nodes that could serve have refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dilemma {
    /// Some may be able to, later.
    Wait,
    /// All go on with the same group: what is between is nowhere.
    Tolerate(Gtid),
    /// The replica is to be told.
    Tell(Fault),
}

/// What the verdicts of all usable nodes come to.
pub fn weigh(view: &ClusterView, unfit: &Verdicts, wanted: &Position) -> Dilemma {
    let asked: Vec<_> = view.nodes.iter().filter(|node| node.usable()).map(|node| unfit.get(&node.id)).collect();
    if asked.is_empty() || asked.iter().any(|verdict| matches!(verdict, None | Some(Unfit::Absent(_)))) {
        return Dilemma::Wait;
    }
    if let Some(Some(Unfit::Gap(first))) = asked.first()
        && asked.iter().all(|verdict| *verdict == Some(&Unfit::Gap(*first)))
        && view.members().count() == asked.len()
        && wanted.get(first.domain).is_none_or(|last| last.sequence < first.sequence)
    {
        return Dilemma::Tolerate(*first);
    }
    let mut text = format!("No node's binary log goes on from '{wanted}', which the replica has");
    for node in view.members() {
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "; {} {}",
            node.name,
            unfit.get(&node.id).map_or("can't be asked now".into(), |why| says(why, wanted))
        );
    }
    // 1236 stops a replica until somebody looks. As long as there are nodes that could not be asked it is to try again.
    let code = if asked.len() == view.members().count() { 1236 } else { 1105 };
    Dilemma::Tell(Fault::proxy(Retry::Never, code, b"HY000", text))
}

/// A verdict in few words: an error has room for 512 bytes.
fn says(why: &Unfit, wanted: &Position) -> String {
    let domains = |ahead: &Position, behind: &Position| {
        ahead
            .iter()
            .filter(|gtid| !behind.holds(*gtid))
            .map(|gtid| gtid.domain.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    };
    match why {
        Unfit::Absent(why) => format!("can't be asked: {why}"),
        Unfit::Behind(held) => format!("has only '{held}', so it is behind in domain {}", domains(wanted, held)),
        Unfit::Differs(gtid) => format!("has another transaction as {gtid}"),
        Unfit::Stray(gtid) => format!("has up to {gtid} what the cluster calls otherwise"),
        Unfit::Gap(next) => format!("goes on in domain {} with {next}", next.domain),
        Unfit::Lacks(held, why) if why.contains("purged") => {
            format!("is at '{held}' and has purged what comes next in domain {}", domains(held, wanted))
        }
        Unfit::Lacks(held, why) => format!("is at '{held}': {why}"),
    }
}

#[cfg(test)]
#[path = "source/tests.rs"]
mod tests;
