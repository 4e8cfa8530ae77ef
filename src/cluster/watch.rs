//! Watches the nodes and publishes the view.
//!
//! One task a node probes it ([`super::probing`]), each interval or at once when somebody suspects the node. They report
//! to this one, which owns the histories, asks the judge and the choice of the writer, takes the orders of operators, and is the
//! only one to publish.
//! Until every node has been probed once there is no writer: the first answer must not win the role.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::duties::Duties;
use super::judge::{History, NOT_PROBED, Observation, Rules, Verdict, is_writer_awaited, judge, numbering};
use super::memory::WriterMemory;
use super::order::{self, Order, Request, Standing, unfit_to_write};
use super::probe::Contact;
use super::probing::{Probing, Report};
use super::switch::Switch;
use super::view::{ClusterView, Duty, Health, NodeId, NodeView, Term, TermEnd, Trace, ViewHandle};
use crate::config::{Config, Live, model};
use crate::routing::writer::{self, Candidate};

/// Why a node is down that has left the configuration.
const GONE: &str = "not in the configuration any more";

/// A node that leaves is gone when no session has had a connection to it for so long; workers tell of theirs five times a second.
const QUIET_MIN: Duration = Duration::from_secs(1);

/// A writer that answers from outside the primary component may be back after a change of the view, which takes far
/// less; then it has been left behind.
const WRITER_AWAITED_MAX: Duration = Duration::from_secs(3);

/// The view before the first probe: the configured nodes, all down.
pub fn first_view(config: &Config) -> ClusterView {
    let nodes = (0..config.nodes.len()).map(|place| first_look(config, place)).collect();
    ClusterView { nodes, ..ClusterView::default() }
}

fn first_look(config: &Config, place: usize) -> NodeView {
    let node = &config.nodes[place];
    NodeView {
        id: NodeId(place as u16),
        name: node.name.clone(),
        address: node.address.to_string().into(),
        reason: NOT_PROBED.into(),
        ..NodeView::default()
    }
}

/// Watches for ever, takes orders as long as somebody may give them, and follows the configuration. `view` must have been made of
/// [`first_view`] of the same one; `is_used` says whether sessions have connections to a node.
pub async fn watch(
    live: Live,
    view: ViewHandle,
    mut orders: mpsc::Receiver<Request>,
    is_used: impl Fn(NodeId) -> bool + Send + 'static,
) {
    let mut changes = live.changes();
    let (probing, mut inbox) = Probing::new(live.clone(), view.clone());
    let mut watch = Watch::new(changes.borrow_and_update().clone(), view, probing, Box::new(is_used));
    loop {
        tokio::select! {
            Some((id, report)) = inbox.recv() => {
                watch.note(id, report);
                // What came in the meantime belongs to the same judgement.
                while let Ok((id, report)) = inbox.try_recv() {
                    watch.note(id, report);
                }
                watch.publish();
            }
            Some(request) = orders.recv() => watch.carry_out(request),
            Ok(()) = changes.changed() => watch.adapt(live.load()),
            () = Switch::goes_on(&mut watch.switch) => watch.publish(),
            else => return,
        }
    }
}

/// Everything the judgement is made of.
struct Watch {
    config: Arc<Config>,
    view: ViewHandle,
    probing: Probing,
    is_used: Box<dyn Fn(NodeId) -> bool + Send>,
    /// Nodes that leave, and since when no session has had a connection there.
    quiet: BTreeMap<NodeId, Instant>,
    histories: Vec<History>,
    contacts: Vec<Option<Contact>>,
    /// How often a node's new connections were seen to begin with other settings than before.
    defaults: u64,
    writer: Option<NodeId>,
    /// Since when it has been on its way from one view into the next.
    writer_awaited: Option<Instant>,
    memory: WriterMemory,
    duties: Duties,
    /// The term of the current writer, or of its successor, and how to learn of its end.
    term: (Term, TermEnd),
    /// The role is being moved.
    switch: Option<Switch>,
    /// Who waits for that.
    askers: Vec<(Obeyed, oneshot::Sender<Result<String, String>>)>,
}

/// An order that has been carried out, as far as the watch itself goes.
struct Obeyed {
    node: NodeId,
    /// Why it will not hold over a restart.
    unkept: Option<std::io::Error>,
}

impl Watch {
    fn new(
        config: Arc<Config>,
        view: ViewHandle,
        mut probing: Probing,
        is_used: Box<dyn Fn(NodeId) -> bool + Send>,
    ) -> Self {
        let mut memory = WriterMemory::new(&config.site.state_dir, &config.site.name);
        let remembered = memory.recall().and_then(|name| config.nodes.iter().position(|node| node.name == name));
        (0..config.nodes.len()).for_each(|place| probing.begin(NodeId(place as u16)));
        Self {
            probing,
            is_used,
            quiet: BTreeMap::new(),
            histories: config.nodes.iter().map(|_| History::default()).collect(),
            contacts: config.nodes.iter().map(|_| None).collect(),
            defaults: 0,
            writer: remembered.map(|place| NodeId(place as u16)),
            writer_awaited: None,
            memory,
            duties: Duties::recall(&config.site.state_dir, &config.site.name),
            term: Term::begin(),
            switch: None,
            askers: Vec::new(),
            config,
            view,
        }
    }

    /// The configuration has changed. Nodes that are new in it come after the others, and are down until they have been probed.
    fn adapt(&mut self, config: Arc<Config>) {
        let before = std::mem::replace(&mut self.config, config);
        let same_manners = probes_alike(&before, &self.config);
        for (place, node) in self.config.nodes.iter().enumerate() {
            let id = NodeId(place as u16);
            let is_new = place >= self.histories.len();
            if is_new {
                self.histories.push(History::of(Observation::Unreachable(NOT_PROBED.into())));
                self.contacts.push(None);
            }
            let is_probed = self.probing.has(id);
            let is_as_before = same_manners && (is_new || before.nodes[place].proxy_protocol == node.proxy_protocol);
            if (is_probed && !is_as_before) || (!is_probed && !node.leaves) {
                self.probing.begin(id);
            }
            if is_new || before.nodes[place].leaves != node.leaves {
                let what = if node.leaves { "leaves the configuration" } else { "has come into the configuration" };
                tracing::info!(node = &*node.name, address = %node.address, "the node {what}");
            }
        }
        self.publish();
    }

    /// Nodes that leave are probed until nothing of this proxy is there any more.
    fn let_go(&mut self) {
        for (place, node) in self.config.nodes.iter().enumerate() {
            let id = NodeId(place as u16);
            let stays = !node.leaves || self.writer == Some(id) || (self.is_used)(id);
            if stays || !self.probing.has(id) {
                self.quiet.remove(&id);
            } else if self.quiet.entry(id).or_insert_with(Instant::now).elapsed() >= QUIET_MIN {
                self.probing.end(id);
                self.histories[place] = History::of(Observation::Unreachable(GONE.into()));
                tracing::info!(node = &*node.name, "the node is gone");
            }
        }
    }

    fn note(&mut self, id: NodeId, report: Report) {
        let place = usize::from(id.0);
        if !self.probing.has(id) {
            // It was on its way when the node went.
            return;
        }
        match report {
            Report::Silent => self.histories[place].fall_silent(),
            Report::Mute => self.histories[place].fall_mute(),
            Report::Observed(observation, contact) => {
                let defaults = |history: &History| history.facts().map(|facts| facts.defaults);
                let before = defaults(&self.histories[place]);
                self.histories[place].add(observation);
                let after = defaults(&self.histories[place]);
                self.defaults += u64::from(before.zip(after).is_some_and(|(before, after)| before != after));
                self.contacts[place] = contact;
                let domain = self.view.load().gtid_domain;
                if let (Some(switch), Some(facts)) = (&mut self.switch, self.histories[place].facts()) {
                    switch.hear(id, domain.and_then(|domain| facts.position.get(domain)));
                }
            }
        }
    }

    fn publish(&mut self) {
        self.let_go();
        let current = self.view.load();
        let rules =
            Rules { kind: self.config.cluster.kind, available_when_donor: self.config.cluster.available_when_donor };
        let verdicts = judge(&self.histories, rules, self.writer);
        // As long as none is fit, what was last so is what sessions know.
        let gtid_domain = numbering(&self.histories, &verdicts).unwrap_or(current.gtid_domain);
        let look = |(place, verdict)| match current.nodes.get(place) {
            Some(before) => self.node_view(place, before, verdict),
            None => self.node_view(place, &first_look(&self.config, place), verdict),
        };
        let nodes: Box<[NodeView]> = verdicts.into_iter().enumerate().map(look).collect();
        let chosen = self.choose_writer(&nodes);
        let (writer, successor) = self.in_office(chosen, &current, &nodes);
        let defaults = self.defaults;
        let before = (current.writer, current.successor, current.gtid_domain, current.defaults);
        let same_routes = before == (writer, successor, gtid_domain, defaults)
            && current.nodes.len() == nodes.len()
            && current.nodes.iter().zip(&nodes).all(|(before, after)| is_same_route(before, after));
        let version = current.version + u64::from(!same_routes);
        log_changes(&current, &nodes, writer, successor);
        drop(current);
        let term = self.term.0.clone();
        self.view.publish(ClusterView { version, nodes, writer, successor, term, gtid_domain, defaults });
        if let (Some(switch), Some(successor)) = (&self.switch, successor) {
            switch.asks(successor).into_iter().for_each(|node| self.view.suspect(node));
        } else {
            self.answer_askers();
        }
    }

    /// The node that is the writer, and the one that is about to be: as long as the writer works, the role is handed over in order.
    fn in_office(
        &mut self,
        chosen: Option<NodeId>,
        current: &ClusterView,
        nodes: &[NodeView],
    ) -> (Option<NodeId>, Option<NodeId>) {
        let works = |id: NodeId| {
            let place = usize::from(id.0);
            nodes.get(place).is_some_and(|node| node.health == Health::Synced || self.histories[place].only_lags())
        };
        if chosen != current.successor.or(current.writer) {
            let (_, end) = std::mem::replace(&mut self.term, Term::begin());
            if let (Some(from), Some(_), None) = (current.writer, chosen, current.successor) {
                self.switch = Some(Switch::begin(from, end, Instant::now() + self.config.cluster.switch_wait));
            }
        }
        let goes_on = |switch: &Switch| !switch.is_over() && works(switch.from) && Some(switch.from) != chosen;
        self.switch.take_if(|switch| chosen.is_none() || !goes_on(switch));
        match &self.switch {
            Some(switch) => (Some(switch.from), chosen),
            None => (chosen, None),
        }
    }

    fn node_view(&self, place: usize, before: &NodeView, verdict: Verdict) -> NodeView {
        let mut node = NodeView { health: verdict.health, reason: verdict.reason, ..before.clone() };
        node.duty = if self.config.nodes[place].leaves { Duty::Leaving } else { self.duties.of(&node.name) };
        // If nobody says anything, it is this process that does not hear.
        let mut others = self.histories.iter().zip(&self.config.nodes);
        let deaf = others.all(|(history, node)| node.leaves || history.is_mute());
        node.mute = self.histories[place].is_mute() && !deaf;
        // Not the writer: nothing is beside it that could be in its way.
        if let Some(reason) = self.view.held(node.id)
            && node.health == Health::Synced
            && self.writer != Some(node.id)
        {
            (node.health, node.reason) = (Health::Running, reason);
        }
        node.gtid = match (node.health, self.histories[place].facts()) {
            (Health::Synced | Health::Running, Some(facts)) => facts.position.to_string().into(),
            _ => "".into(),
        };
        if let Some(facts) = self.histories[place].facts() {
            let member = facts.wsrep.as_ref().filter(|wsrep| wsrep.is_primary()).map(|wsrep| &wsrep.membership.member);
            let fault = facts.untraced.map(|setting| format!("{setting} is OFF on node {}", node.name));
            node.trace = Trace {
                member: member.unwrap_or(&before.trace.member).clone(),
                fault: fault.unwrap_or_default().into(),
            };
        }
        node.auto_increment =
            self.histories[place].facts().and_then(|facts| facts.auto_increment).or(node.auto_increment);
        if let Some(contact) = &self.contacts[place] {
            node.version = contact.version.clone();
            node.capabilities = contact.capabilities;
            node.collation = contact.collation;
            node.proxy_address = Some(contact.proxy_address);
            node.proxy_protocol = contact.proxy_protocol;
        }
        node
    }

    /// Does the writer only change views? It is asked again and again meanwhile.
    fn awaits_writer(&mut self) -> bool {
        let Some(writer) = self.writer.filter(|writer| is_writer_awaited(&self.histories, *writer)) else {
            self.writer_awaited = None;
            return false;
        };
        self.view.suspect(writer);
        self.writer_awaited.get_or_insert_with(Instant::now).elapsed() < WRITER_AWAITED_MAX
    }

    fn choose_writer(&mut self, nodes: &[NodeView]) -> Option<NodeId> {
        if !self.histories.iter().all(History::has_begun) {
            return None;
        }
        if self.awaits_writer() {
            return None;
        }
        let candidate = |(place, node): (usize, &NodeView)| {
            let facts = self.histories[place].facts();
            Candidate {
                id: node.id,
                fit: node.usable() && facts.is_some_and(|facts| !facts.read_only),
                priority: self.config.nodes[place].priority,
                index: facts.and_then(|facts| facts.wsrep.as_ref()?.membership.index),
            }
        };
        let candidates: Vec<Candidate> = nodes.iter().enumerate().map(candidate).collect();
        let adopted = self.view.adopted().filter(|id| candidates.iter().any(|other| other.id == *id && other.fit));
        let writer =
            writer::choose(&candidates, adopted.or(self.writer), self.config.cluster.failback && adopted.is_none());
        // With no fit node the last writer stays remembered: it comes first when nodes return.
        if let Some(id) = writer.filter(|id| Some(*id) != self.writer) {
            self.give_role(id);
        }
        writer
    }

    fn give_role(&mut self, id: NodeId) {
        self.writer = Some(id);
        self.memory.keep(&self.config.nodes[usize::from(id.0)].name);
    }

    // === Orders ===

    fn carry_out(&mut self, request: Request) {
        let Request { node: name, order, answer } = request;
        let is_there = |node: &model::Node| !node.leaves;
        let obeyed = match self.config.nodes.iter().position(|node| *node.name == *name && is_there(node)) {
            Some(place) => self.obey(place, order),
            None => {
                let names: Vec<&str> =
                    self.config.nodes.iter().filter(|node| is_there(node)).map(|node| &*node.name).collect();
                Err(format!("no node is named `{name}`; there are: {}", names.join(", ")))
            }
        };
        match obeyed {
            Ok(obeyed) => {
                self.askers.push((obeyed, answer));
                self.publish();
            }
            // Who asked may have stopped waiting.
            Err(refusal) => drop(answer.send(Err(refusal))),
        }
    }

    /// Tells what has come of orders, now that the writer's role is where it is to be.
    fn answer_askers(&mut self) {
        let view = self.view.load();
        for (Obeyed { node, unkept }, answer) in self.askers.drain(..) {
            let said = view.node(node).map(|node| order::summary(&view, node)).unwrap_or_default();
            let answered = match unkept {
                None => Ok(said),
                Some(error) => Err(format!(
                    "{said}; it holds until the proxy restarts: state_dir in [site] must be a folder it can write ({error})"
                )),
            };
            // Who asked may have stopped waiting.
            let _ = answer.send(answered);
        }
    }

    fn obey(&mut self, place: usize, order: Order) -> Result<Obeyed, String> {
        let (id, config, adopted) = (NodeId(place as u16), self.config.clone(), self.view.adopted());
        let name = &*config.nodes[place].name;
        let mut unkept = None;
        match order.duty() {
            Some(duty) if duty != Duty::Normal && adopted == Some(id) => {
                let why = "is the writer of the proxy that drives the links of this site: tell that one first";
                return Err(format!("{name} {why}"));
            }
            Some(duty) => unkept = self.duties.set(name, duty).err(),
            None => {
                let standing = Standing {
                    read_only: self.histories[place].facts().map(|facts| facts.read_only),
                    priority: config.nodes[place].priority,
                    failback: config.cluster.failback,
                    is_led: adopted.is_some(),
                };
                let refusal = self.view.load().node(id).and_then(|node| unfit_to_write(node, standing));
                refusal.map_or(Ok(()), Err)?;
                self.give_role(id);
            }
        }
        tracing::info!(node = name, ?order, "an operator's order");
        Ok(Obeyed { node: id, unkept })
    }
}

/// Are nodes asked in the same way, as far as that is the same for all?
fn probes_alike(before: &Config, after: &Config) -> bool {
    let login = |config: &Config| (config.site.user.clone(), config.site.password.clone());
    let times =
        |model::Cluster { probe_interval, connect_timeout, read_timeout, write_timeout, .. }: &model::Cluster| {
            (*probe_interval, *connect_timeout, *read_timeout, *write_timeout)
        };
    login(before) == login(after) && times(&before.cluster) == times(&after.cluster)
}

/// Would every route made with the one be made with the other? The position is no part of it: it changes all the time.
fn is_same_route(before: &NodeView, after: &NodeView) -> bool {
    let route =
        |node: &NodeView| (node.health, node.mute, node.duty, node.capabilities, node.collation, node.proxy_address);
    let same_greeting = before.version == after.version && before.proxy_protocol == after.proxy_protocol;
    route(before) == route(after) && same_greeting
}

fn log_changes(before: &ClusterView, nodes: &[NodeView], writer: Option<NodeId>, successor: Option<NodeId>) {
    let is_first = |was: &NodeView, is: &NodeView| &*was.reason == NOT_PROBED && was.reason != is.reason;
    for (_, is) in before.nodes.iter().zip(nodes).filter(|(was, is)| was.health != is.health || is_first(was, is)) {
        match is.health {
            Health::Synced => tracing::info!(node = &*is.name, "the node is fit for work"),
            health => {
                tracing::warn!(node = &*is.name, reason = &*is.reason, "the node is not fit for work: {health:?}")
            }
        }
    }
    let name = |id: NodeId| nodes.get(usize::from(id.0)).map_or("", |node| &node.name);
    if let Some(id) = successor.filter(|_| before.successor != successor) {
        tracing::info!(node = name(id), before = writer.map(name), "the node is about to be the writer");
    }
    if before.writer != writer {
        match writer {
            Some(id) => tracing::info!(node = name(id), before = before.writer.map(name), "the node is the writer"),
            None => tracing::warn!(before = before.writer.map(name), "there is no writer"),
        }
    }
}
