//! What a link is doing, and the one next thing to do about it (pure).
//!
//! The writer, and only it, runs the link. It is looked at again after each action, so every action is safe to repeat,
//! and a plan never trusts what was done before. What could apply a transaction twice, or lose one, is not planned: the
//! link is [`State::Blocked`], says why, and names the command with which a person decides.

use super::position::resume;
use super::start::Start;
use super::status::{Channel, NodeStatus, Receiver, Source, SourceTls, Trouble};
use crate::cluster::view::NodeId;
use crate::config::model::{Address, ClientTls};
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
    /// The files of nodes for TLS with the remote, if that is spoken.
    pub tls: Option<&'a ClientTls>,
    /// What is to become of it.
    pub wish: Wish,
    /// Have settings changed that a server does not show, such as the password, since it was started?
    pub is_renewed: bool,
    /// Has it replicated before, perhaps without a transaction to show for it?
    pub has_run: bool,
}

/// What is to become of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It runs.
    Run,
    /// An operator has stopped it.
    Stop,
    /// It is gone from the configuration, and so from all nodes.
    Leave,
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
    /// One that has not been asked yet.
    pub fn unasked(name: Box<str>) -> Self {
        Self { name, status: None, trouble: Some(Trouble::Lost("not asked yet".into())), may_remove: true }
    }

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
    /// It is being removed from all nodes.
    Leaving,
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
            Self::Leaving => "Leaving",
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

    pub(super) fn new(state: State, reason: impl Into<Box<str>>) -> Self {
        Self { state, reason: reason.into(), remedy: "".into(), action: None }
    }

    pub(super) fn remedy(self, remedy: impl Into<Box<str>>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }

    pub(super) fn then(self, action: Option<Action>) -> Self {
        Self { action, ..self }
    }
}

/// ER_MASTER_FATAL_ERROR_READING_BINLOG: the remote does not have what comes next.
const NOT_IN_BINLOG: u16 = 1236;

/// What the link is doing, and what to do next.
pub fn plan(link: Link<'_>, site: Site<'_>, remote: &Remote) -> Plan {
    let case = Case { link, site, remote };
    if link.wish == Wish::Leave {
        return case.leave();
    }
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

/// Why a node must not count as fit for work: the link runs there beside the writer. One that `returns` must not even
/// have it configured, where that can be helped.
pub fn hold(link: Link<'_>, site: Site<'_>, node: NodeId, returns: bool) -> Option<Box<str>> {
    let is_other = site.writer.is_some_and(|writer| writer != node);
    let node = site.nodes.get(usize::from(node.0))?;
    let channel = node.current()?.channel(link.name)?;
    let is_held = is_other && (channel.is_active() || returns && node.may_remove);
    is_held.then(|| format!("the link '{}' has not been removed there yet", link.name).into())
}

/// A link among its nodes and with its remote: what a plan is made of.
pub(super) struct Case<'a> {
    pub(super) link: Link<'a>,
    pub(super) site: Site<'a>,
    pub(super) remote: &'a Remote,
}

impl<'a> Case<'a> {
    pub(super) fn nodes(&self) -> impl Iterator<Item = (NodeId, &'a Node)> + use<'a> {
        (0..).map(NodeId).zip(self.site.nodes)
    }

    fn others(&self) -> impl Iterator<Item = (NodeId, &'a Node)> + use<'a> {
        let writer = self.site.writer;
        self.nodes().filter(move |(id, _)| Some(*id) != writer)
    }

    pub(super) fn writer_status(&self) -> Option<(NodeId, &'a NodeStatus)> {
        let writer = self.site.writer?;
        Some((writer, self.site.nodes.get(usize::from(writer.0))?.current()?))
    }

    fn channel(&self, status: &'a NodeStatus) -> Option<&'a Channel> {
        status.channel(self.link.name)
    }

    pub(super) fn local_domains(&self) -> Vec<u32> {
        self.nodes().filter_map(|(_, node)| node.status.as_ref()?.facts.local_domain).collect()
    }

    fn reached(&self, status: &NodeStatus) -> Position {
        match status.channel(self.link.name) {
            Some(channel) if channel.is_active() => status.facts.slave_position.clone(),
            _ => resume(&status.facts, &self.local_domains()),
        }
    }

    /// Nothing runs where it shouldn't, as far as that matters: a node outside of the primary component can't commit.
    pub(super) fn elsewhere(&self) -> Result<(), Plan> {
        let active =
            |node: &Node| node.current().and_then(|s| s.channel(self.link.name)).is_some_and(Channel::is_active);
        if self.link.wish != Wish::Run {
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
            let plan = Plan::new(State::Starting, format!("it is not as configured: {what}"));
            return match self.may_start(writer, status) {
                // What comes from elsewhere must not go on while a person is waited for.
                Err(why) if why.state == State::Blocked => {
                    why.then(channel.is_active().then_some(Action::Stop(writer)))
                }
                start => plan.then(start.ok()),
            };
        }
        if let Some(error) = &channel.apply_error {
            let remedy = "make the rows agree, and then `oarlock link retry NAME`; or `oarlock link skip NAME`";
            return Plan::new(State::Broken, error.to_string()).remedy(self.named(remedy)).then(again());
        }
        match (channel.receiver, &channel.receive_error) {
            (Receiver::Stopped, Some(error)) if error.code == NOT_IN_BINLOG => {
                let remedy = "rebuild this site's data from the remote, and then `oarlock link bootstrap NAME \
                    --from-position P` with the position of that copy";
                match self.may_start(writer, status) {
                    // That a remote was rebuilt says more than that its logs are not the old ones.
                    Err(why) if why.state == State::Blocked => why,
                    start => Plan::new(State::Blocked, error.to_string()).remedy(self.named(remedy)).then(start.ok()),
                }
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
        let tls = || match (&channel.source.tls, self.link.tls.map(SourceTls::of)) {
            (None, Some(_)) => Some("it speaks no TLS".to_owned()),
            (Some(_), None) => Some("it speaks TLS".to_owned()),
            (found, wanted) => (*found != wanted).then(|| "its TLS is another".to_owned()),
        };
        let renewed = || self.link.is_renewed.then(|| "its settings are older ones".to_owned());
        self.is_elsewhere(&channel.source).or_else(tls).or_else(renewed)
    }

    /// What is not that of the link where a connection replicates from, and how.
    pub(super) fn is_elsewhere(&self, source: &Source) -> Option<String> {
        if !self.link.remote.iter().any(|address| source.is_at(address)) {
            Some(format!("it replicates from {}:{}", source.host, source.port))
        } else if *source.user != *self.link.user {
            Some(format!("its user is '{}'", source.user))
        } else {
            (!source.by_slave_position).then(|| "it does not go by MASTER_USE_GTID=slave_pos".to_owned())
        }
    }

    /// A link that nobody wants any more: stopped wherever it runs, and then removed. Where that can't be, a restart of the server would
    /// start it again.
    fn leave(&self) -> Plan {
        let plan = Plan::new(State::Leaving, "it is gone from the configuration");
        let found = self.nodes().filter_map(|(id, node)| Some((id, node, self.channel(node.current()?)?)));
        let found = found.min_by_key(|(_, node, channel)| (!channel.is_active(), !node.may_remove));
        match found {
            Some((id, _, channel)) if channel.is_active() => plan.then(Some(Action::Stop(id))),
            Some((id, node, _)) if node.may_remove => plan.then(Some(Action::Remove(id))),
            Some((_, node, _)) => {
                let why =
                    format!("it is gone from the configuration, and stopped on {}, but not removed there", node.name);
                let remedy = "GRANT RELOAD ON *.* to the service user, and then `oarlock link retry NAME`";
                Plan::new(State::Leaving, why).remedy(self.named(remedy))
            }
            None => match self.nodes().find(|(_, node)| node.trouble.is_some()) {
                Some((_, node)) => {
                    let why = format!("it is gone from the configuration; whether {} has it is not known", node.name);
                    Plan::new(State::Leaving, why)
                }
                None => plan,
            },
        }
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

    pub(super) fn named(&self, text: &str) -> String {
        text.replace("NAME", self.link.name)
    }
}

#[cfg(test)]
#[path = "plan/tests.rs"]
mod tests;
