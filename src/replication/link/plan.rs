//! What a link is doing, and the one next thing to do about it (pure).
//!
//! The writer, and only it, runs the link. It is looked at again after each action, so every action is safe to repeat,
//! and a plan never trusts what was done before. What could apply a transaction twice, or lose one, is not planned: the
//! link is [`State::Blocked`], says why, and names the command with which a person decides.

use super::position::{resume, to_set};
use super::status::{Channel, NodeStatus, Receiver, Trouble};
use crate::cluster::view::NodeId;
use crate::config::model::Address;
use crate::gtid::Position;

/// One link, as it should be.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// Its name.
    pub name: &'a str,
    /// Addresses of the remote.
    pub remote: &'a [Address],
    /// The replication user.
    pub user: &'a str,
    /// Should it run? An operator can stop it.
    pub is_wanted: bool,
    /// Has it replicated before, perhaps without a transaction to show for it?
    pub has_run: bool,
}

/// The nodes of this site, by [`NodeId`].
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// What is known of them.
    pub nodes: &'a [Node],
    /// The one that runs links.
    pub writer: Option<NodeId>,
}

/// What is known of a node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: Box<str>,
    /// The last that it said.
    pub status: Option<NodeStatus>,
    /// Why it does not say so now; `None` if it has just done.
    pub trouble: Option<Trouble>,
    /// May the service user remove replication connections there? It lacks RELOAD otherwise.
    pub may_remove: bool,
}

impl Node {
    /// What it has said just now.
    pub fn current(&self) -> Option<&NodeStatus> {
        self.status.as_ref().filter(|_| self.trouble.is_none())
    }
}

/// What the remote has said, or why it hasn't.
pub type Remote = Result<RemoteStatus, Box<str>>;

/// What a remote has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteStatus {
    /// Which of its addresses has answered.
    pub address: Address,
    /// Its server_id.
    pub server_id: u32,
    /// The domain of its own transactions.
    pub domain: u32,
    /// Its `gtid_binlog_pos`.
    pub position: Position,
    /// The address that was to be asked first, and does not answer.
    pub instead_of: Option<Address>,
    /// So many answers in a row were behind what this site had reached before it was asked.
    pub behind: u32,
}

/// What a link is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It replicates.
    Running,
    /// The writer tries to reach the remote.
    Connecting,
    /// It is being started.
    Starting,
    /// It is being stopped on another node.
    Moving,
    /// Something has to come back first, and then it goes on by itself.
    Waiting,
    /// A server reports an error; it is tried again and again.
    Broken,
    /// Going on could lose something: a person decides.
    Blocked,
    /// An operator has stopped it.
    Stopped,
}

impl State {
    /// The word for operators.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Connecting => "Connecting",
            Self::Starting => "Starting",
            Self::Moving => "Moving",
            Self::Waiting => "Waiting",
            Self::Broken => "Broken",
            Self::Blocked => "Blocked",
            Self::Stopped => "Stopped",
        }
    }
}

/// One change of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Stop the link.
    Stop(NodeId),
    /// Remove the stopped link.
    Remove(NodeId),
    /// Start the link, or start it again.
    Start(Start),
}

impl Action {
    /// The node it changes.
    pub fn node(&self) -> NodeId {
        match self {
            Self::Stop(node) | Self::Remove(node) => *node,
            Self::Start(start) => start.node,
        }
    }
}

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

/// What is, and what is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What the link is doing.
    pub state: State,
    /// Why, in words; empty where the state says all.
    pub reason: Box<str>,
    /// What a person can do about it.
    pub remedy: Box<str>,
    /// The next thing to do.
    pub action: Option<Action>,
}

impl Plan {
    /// Before anything is known.
    pub fn first() -> Self {
        Self::new(State::Waiting, "nothing is known yet")
    }

    fn new(state: State, reason: impl Into<Box<str>>) -> Self {
        Self { state, reason: reason.into(), remedy: "".into(), action: None }
    }

    fn remedy(self, remedy: impl Into<Box<str>>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }

    fn then(self, action: Option<Action>) -> Self {
        Self { action, ..self }
    }
}

/// After so many answers a remote that is behind is no longer only late: nodes of a cluster apply at their own pace.
pub const BEHIND_MIN: u32 = 3;

/// ER_MASTER_FATAL_ERROR_READING_BINLOG: the remote does not have what comes next.
const NOT_IN_BINLOG: u16 = 1236;

/// What the link is doing, and what to do next.
pub fn plan(link: Link<'_>, site: Site<'_>, remote: &Remote) -> Plan {
    let case = Case { link, site, remote };
    let plan = case.elsewhere().and_then(|()| case.on_writer());
    let mut plan = plan.unwrap_or_else(|plan| plan);
    plan.action = plan.action.or_else(|| case.leftover());
    plan
}

/// How far this site has got with a link, to which the remote is compared.
pub fn reached(link: Link<'_>, site: Site<'_>) -> Position {
    let case = Case { link, site, remote: &Err("".into()) };
    case.writer_status().map_or_else(Position::default, |(_, status)| case.reached(status))
}

/// The start of a link from where an operator says; what this site has of other domains stays.
pub fn start_from(link: Link<'_>, site: Site<'_>, remote: &Remote, from: &Position) -> Result<Start, Box<str>> {
    let case = Case { link, site, remote };
    case.elsewhere().map_err(|plan| plan.reason)?;
    let (writer, status) = case.writer_status().ok_or("no writer answers")?;
    let remote = remote.as_ref().map_err(|why| format!("the remote can't be asked which domain is its own: {why}"))?;
    let mut position = from.clone();
    let own = resume(&status.facts, &case.local_domains());
    own.iter().filter(|gtid| gtid.domain != remote.domain).for_each(|gtid| position.raise(gtid));
    Ok(case.start(writer, status, remote.address.clone(), Some(position)))
}

/// Why a node must not count as fit for work: the link runs there beside the writer. One that `returns` must not even
/// have it configured, where that can be helped.
pub fn hold(link: Link<'_>, site: Site<'_>, node: NodeId, returns: bool) -> Option<Box<str>> {
    let is_other = site.writer.is_some_and(|writer| writer != node);
    let node = site.nodes.get(usize::from(node.0))?;
    let channel = node.current()?.channel(link.name)?;
    let is_held = is_other && (channel.is_active() || returns && node.may_remove);
    is_held.then(|| format!("the link '{}' has not been removed there yet", link.name).into())
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

struct Case<'a> {
    link: Link<'a>,
    site: Site<'a>,
    remote: &'a Remote,
}

impl<'a> Case<'a> {
    fn nodes(&self) -> impl Iterator<Item = (NodeId, &'a Node)> + use<'a> {
        (0..).map(NodeId).zip(self.site.nodes)
    }

    fn others(&self) -> impl Iterator<Item = (NodeId, &'a Node)> + use<'a> {
        let writer = self.site.writer;
        self.nodes().filter(move |(id, _)| Some(*id) != writer)
    }

    fn writer_status(&self) -> Option<(NodeId, &'a NodeStatus)> {
        let writer = self.site.writer?;
        Some((writer, self.site.nodes.get(usize::from(writer.0))?.current()?))
    }

    fn channel(&self, status: &'a NodeStatus) -> Option<&'a Channel> {
        status.channel(self.link.name)
    }

    fn local_domains(&self) -> Vec<u32> {
        self.nodes().filter_map(|(_, node)| node.status.as_ref()?.facts.local_domain).collect()
    }

    fn reached(&self, status: &NodeStatus) -> Position {
        match status.channel(self.link.name) {
            Some(channel) if channel.is_active() => status.facts.slave_position.clone(),
            _ => resume(&status.facts, &self.local_domains()),
        }
    }

    /// Nothing runs where it shouldn't, as far as that matters: a node outside of the primary component can't commit.
    fn elsewhere(&self) -> Result<(), Plan> {
        let active =
            |node: &Node| node.current().and_then(|s| s.channel(self.link.name)).is_some_and(Channel::is_active);
        if !self.link.is_wanted {
            let found = self.nodes().find(|(_, node)| active(node));
            let why = "an operator has stopped it";
            let remedy = format!("oarlock link start {}", self.link.name);
            return Err(Plan::new(State::Stopped, why).remedy(remedy).then(found.map(|(id, _)| Action::Stop(id))));
        }
        let members = self.writer_status().map_or(&[][..], |(_, status)| &status.members);
        let is_member = |node: &Node| {
            let member = node.status.as_ref().and_then(|status| status.facts.member.as_ref());
            member.is_some_and(|member| members.contains(member))
        };
        match self.others().find(|(_, node)| active(node) && is_member(node)) {
            Some((id, node)) if self.site.writer.is_some() => {
                let why = format!("{} is not the writer any more", node.name);
                Err(Plan::new(State::Moving, why).then(Some(Action::Stop(id))))
            }
            _ => Ok(()),
        }
    }

    fn on_writer(&self) -> Result<Plan, Plan> {
        let Some(writer) = self.site.writer else { return Err(Plan::new(State::Waiting, "there is no writer")) };
        let Some((_, status)) = self.writer_status() else {
            let node = &self.site.nodes[usize::from(writer.0)];
            let why = node.trouble.as_ref().map_or_else(String::new, ToString::to_string);
            return Err(Plan::new(State::Waiting, format!("its links on {} can't be looked at: {why}", node.name)));
        };
        match self.channel(status) {
            Some(channel) if channel.is_active() || channel.error().is_some() => {
                Ok(self.of_channel(writer, status, channel))
            }
            _ => {
                let start = self.may_start(writer, status)?;
                Ok(Plan::new(State::Starting, "").then(Some(start)))
            }
        }
    }

    /// What the link's connection on the writer needs.
    fn of_channel(&self, writer: NodeId, status: &'a NodeStatus, channel: &Channel) -> Plan {
        let again = || self.may_start(writer, status).ok();
        if let Some(what) = self.is_changed(channel) {
            return Plan::new(State::Starting, format!("it was changed by hand: {what}")).then(again());
        }
        if let Some(error) = &channel.apply_error {
            let remedy = "make the rows agree, and then `oarlock link retry NAME`; or `oarlock link skip NAME`";
            return Plan::new(State::Broken, error.to_string()).remedy(self.named(remedy)).then(again());
        }
        match (channel.receiver, &channel.receive_error) {
            (Receiver::Stopped, Some(error)) if error.code == NOT_IN_BINLOG => {
                let remedy = "rebuild this site's data from the remote, and then `oarlock link bootstrap NAME \
                    --from-position P` with the position of that copy";
                Plan::new(State::Blocked, error.to_string()).remedy(self.named(remedy)).then(again())
            }
            (Receiver::Stopped, Some(error)) => Plan::new(State::Broken, error.to_string()).then(again()),
            (Receiver::Connecting, Some(error)) => {
                // What this proxy can reach with the link's own user, the writer should reach too: with other words.
                Plan::new(State::Connecting, error.to_string()).then(again())
            }
            (Receiver::Stopped, None) => Plan::new(State::Starting, "it was half stopped by hand").then(again()),
            (_, _) if !channel.applies => Plan::new(State::Starting, "it was half stopped by hand").then(again()),
            (Receiver::Connecting, None) => Plan::new(State::Connecting, ""),
            (Receiver::Connected, _) => self.running(writer, status, channel),
        }
    }

    fn running(&self, writer: NodeId, status: &'a NodeStatus, channel: &Channel) -> Plan {
        if let Some(blocked) = self.is_behind(&self.reached(status)).filter(|plan| plan.state == State::Blocked) {
            return blocked.then(Some(Action::Stop(writer)));
        }
        // A server waits for a frozen source for slave_net_timeout, which is a minute; another address does answer.
        let silent = self.remote.as_ref().ok().and_then(|remote| remote.instead_of.as_ref());
        match silent.filter(|address| channel.source.is_at(address)) {
            Some(address) => Plan::new(State::Connecting, format!("{address} does not answer any more"))
                .then(self.may_start(writer, status).ok()),
            None => Plan::new(State::Running, ""),
        }
    }

    /// How a connection differs from what the link should be.
    fn is_changed(&self, channel: &Channel) -> Option<String> {
        let source = &channel.source;
        if !self.link.remote.iter().any(|address| source.is_at(address)) {
            Some(format!("it replicates from {}:{}", source.host, source.port))
        } else if *source.user != *self.link.user {
            Some(format!("its user is '{}'", source.user))
        } else {
            (!source.by_slave_position).then(|| "it does not go by MASTER_USE_GTID=slave_pos".to_owned())
        }
    }

    /// The start of the link, if nothing can be lost or done twice by it.
    fn may_start(&self, writer: NodeId, status: &'a NodeStatus) -> Result<Action, Plan> {
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
            !channel.name.eq_ignore_ascii_case(self.link.name) && self.is_changed(channel).is_none()
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
    fn is_behind(&self, reached: &Position) -> Option<Plan> {
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

    /// What is left on nodes that are not the writer: first what runs there.
    fn leftover(&self) -> Option<Action> {
        self.site.writer?;
        let found = self.others().filter_map(|(id, node)| Some((id, node, self.channel(node.current()?)?)));
        // Outside of the primary component nothing can be changed, and by nothing.
        let found = found.filter(|(_, node, _)| node.current().is_some_and(|status| !status.facts.is_outside));
        let found = found.filter(|(_, node, channel)| channel.is_active() || node.may_remove);
        let (id, _, channel) = found.min_by_key(|(_, _, channel)| !channel.is_active())?;
        Some(if channel.is_active() { Action::Stop(id) } else { Action::Remove(id) })
    }

    fn named(&self, text: &str) -> String {
        text.replace("NAME", self.link.name)
    }
}

#[cfg(test)]
#[path = "plan/tests.rs"]
mod tests;
