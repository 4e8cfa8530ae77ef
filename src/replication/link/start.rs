//! May a link start, from where, and what else must be so (pure).
//!
//! Each check answers with the plan that shows why not. What they guard against is silent: a server takes a position it
//! does not have, skips what carries its own server_id, and applies what it has already applied.

use super::plan::{Action, Case, Link, Node, Plan, Remote, RemoteStatus, Site, State};
use super::position::{resume, to_set};
use super::status::{Channel, NodeStatus};
use crate::cluster::view::NodeId;
use crate::config::model::Address;
use crate::gtid::Position;

/// How a link is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Where.
    pub node: NodeId,
    /// From which of the remote's addresses.
    pub address: Address,
    /// What `gtid_slave_pos` is set to first.
    pub position: Option<Position>,
    /// Is there a replication connection of the link's name, to be stopped first?
    pub exists: bool,
    /// Other running connections, which must pause while the position is set.
    pub pause: Box<[Box<str>]>,
}

/// After so many answers a remote that is behind is no longer only late: nodes of a cluster apply at their own pace.
pub const BEHIND_MIN: u32 = 3;

/// The start of a link from where an operator says; what this site has of other domains stays.
pub fn start_from(link: Link<'_>, site: Site<'_>, remote: &Remote, from: &Position) -> Result<Start, Box<str>> {
    let case = Case { link, site, remote };
    case.elsewhere().map_err(|plan| plan.reason)?;
    let (writer, status) = case.writer_status().ok_or("no writer answers")?;
    let remote = remote.as_ref().map_err(|why| format!("the remote can't be asked which domain is its own: {why}"))?;
    let safe = case.nobody_else(status).and_then(|()| case.fits(writer, status));
    safe.and_then(|()| case.is_another_site(status, remote)).map_err(|plan| plan.reason)?;
    if let Some(from) = from.get(remote.domain) {
        let at = remote.position.get(remote.domain);
        if at.is_none_or(|at| at.sequence < from.sequence) {
            return Err(format!("the remote has not written {from}; it is at {}", remote.position).into());
        }
    }
    let mut position = from.clone();
    let own = resume(&status.facts, &case.local_domains());
    own.iter().filter(|gtid| gtid.domain != remote.domain).for_each(|gtid| position.raise(gtid));
    Ok(case.start(writer, status, remote.address.clone(), Some(position)))
}

/// Nodes that do not answer although they are, or may be, members of the writer's component: what they do is unknown, and
/// it counts.
pub(super) fn silent_members<'a>(site: Site<'a>, writer: &'a NodeStatus) -> impl Iterator<Item = &'a Node> {
    let member = |node: &'a Node| node.status.as_ref().and_then(|status| status.facts.member.as_deref());
    let known: Vec<&str> = site.nodes.iter().filter_map(member).collect();
    // A node that has never answered may be any member that no other node is.
    let has_strangers = writer.members.iter().any(|member| !known.contains(&&**member));
    site.nodes.iter().filter(|node| node.trouble.is_some()).filter(move |node| match &node.status {
        None => has_strangers,
        Some(last) => last.facts.member.as_ref().is_some_and(|member| writer.members.contains(member)),
    })
}

impl<'a> Case<'a> {
    /// The start of the link, if nothing can be lost or done twice by it.
    pub(super) fn may_start(&self, writer: NodeId, status: &'a NodeStatus) -> Result<Action, Plan> {
        self.nobody_else(status)?;
        self.fits(writer, status)?;
        let remote = match self.remote {
            Ok(remote) => remote,
            Err(why) => return Err(Plan::new(State::Waiting, format!("the remote can't be asked: {why}"))),
        };
        self.is_another_site(status, remote)?;
        let local = self.local_domains();
        let position = resume(&status.facts, &local);
        if let Some(plan) = self.is_behind(&position) {
            return Err(plan);
        }
        let first = position.get(remote.domain).is_none() && !self.link.has_run;
        if let Some(written) = remote.position.get(remote.domain).filter(|_| first) {
            let why = format!("this site has replicated nothing from it yet, and it has written up to {written}");
            let remedy = format!(
                "if this site's data holds all that: `oarlock link bootstrap NAME --from-position {written}`; if it \
                holds nothing of it: `--from-position \"\"`"
            );
            return Err(Plan::new(State::Blocked, why).remedy(self.named(&remedy)));
        }
        let position = to_set(&status.facts, &local);
        Ok(Action::Start(self.start(writer, status, remote.address.clone(), position)))
    }

    fn start(&self, node: NodeId, status: &NodeStatus, address: Address, position: Option<Position>) -> Start {
        let is_own = |channel: &Channel| channel.name.eq_ignore_ascii_case(self.link.name);
        let others = status.channels.iter().filter(|channel| channel.is_active() && !is_own(channel));
        let pause =
            if position.is_some() { others.map(|channel| channel.name.clone()).collect() } else { Box::default() };
        Start { node, address, position, exists: status.channels.iter().any(is_own), pause }
    }

    /// No node that doesn't answer can be running the link.
    fn nobody_else(&self, writer: &NodeStatus) -> Result<(), Plan> {
        let may_run = |node: &&Node| {
            node.status.as_ref().is_none_or(|last| last.channel(self.link.name).is_some_and(Channel::is_active))
        };
        match silent_members(self.site, writer).find(may_run) {
            None => Ok(()),
            Some(node) => {
                let why =
                    format!("{} does not answer, is still a member of the cluster, and may be running it", node.name);
                let remedy = format!("make {0} answer, or end its server: then it goes on by itself", node.name);
                Err(Plan::new(State::Blocked, why).remedy(remedy))
            }
        }
    }

    /// The writer is set up for it, and replicates from there in no other way.
    fn fits(&self, writer: NodeId, status: &NodeStatus) -> Result<(), Plan> {
        let name = &self.site.nodes[usize::from(writer.0)].name;
        if !status.facts.ignores_duplicates {
            let why = format!("gtid_ignore_duplicates is OFF on {name}: what both sites have would be applied twice");
            let remedy =
                format!("SET GLOBAL gtid_ignore_duplicates = ON on {name}, and in the configuration of all nodes");
            return Err(Plan::new(State::Blocked, why).remedy(remedy));
        }
        if !status.facts.shares_gtids {
            let why = format!("wsrep_gtid_mode is OFF on {name}: its GTIDs are not those of the other nodes");
            return Err(Plan::new(State::Blocked, why).remedy("set wsrep_gtid_mode = ON on all nodes"));
        }
        let is_same_remote = |channel: &&Channel| {
            !channel.name.eq_ignore_ascii_case(self.link.name) && self.is_elsewhere(&channel.source).is_none()
        };
        let foreign =
            self.nodes().find_map(|(_, node)| Some((node, node.current()?.channels.iter().find(is_same_remote)?)));
        match foreign {
            None => Ok(()),
            Some((node, channel)) => {
                let why = format!("the connection '{}' on {} replicates from the same remote", channel.name, node.name);
                let remedy = format!("on {}: STOP SLAVE '{1}'; RESET SLAVE '{1}' ALL", node.name, channel.name);
                Err(Plan::new(State::Blocked, why).remedy(remedy))
            }
        }
    }

    /// Events with our server_id are skipped, and a domain has one site that writes to it.
    fn is_another_site(&self, status: &NodeStatus, remote: &RemoteStatus) -> Result<(), Plan> {
        let (own, blocked) = (&status.facts, |why: String| Plan::new(State::Blocked, why));
        if own.server_id == remote.server_id {
            let why =
                format!("both sites have the server_id {}: what the remote writes would be skipped", own.server_id);
            return Err(blocked(why).remedy("give each site a server_id of its own"));
        }
        if own.domain == remote.domain {
            let why = format!("both sites write to the GTID domain {}: one would hide the other's", own.domain);
            return Err(blocked(why).remedy("give each site a domain of its own"));
        }
        Ok(())
    }

    /// With gtid_ignore_duplicates a remote with lower numbers is taken silently, and what it writes is skipped.
    pub(super) fn is_behind(&self, reached: &Position) -> Option<Plan> {
        let remote = self.remote.as_ref().ok()?;
        let reached = reached.get(remote.domain)?;
        let at = remote.position.get(remote.domain);
        if at.is_some_and(|at| at.sequence >= reached.sequence) {
            return None;
        }
        if remote.behind < BEHIND_MIN {
            return Some(Plan::new(State::Waiting, format!("the remote has not reached {reached} yet")));
        }
        let at = at.map_or_else(|| "nothing".to_owned(), |at| at.to_string());
        let why = format!(
            "this site has replicated up to {reached}, and the remote has {at}: it was rebuilt or restored, and what it \
            writes would be skipped until it passes that"
        );
        let remedy = "find what is missing there; then `oarlock link bootstrap NAME --from-position P`, where P is the \
            last of the remote's transactions that this site holds";
        Some(Plan::new(State::Blocked, why).remedy(self.named(remedy)))
    }
}
