//! The task that drives the links of a site: looks at all nodes, plans, does one thing, and looks again.
//!
//! It runs each interval, when the view changes, when a remote has news, and when an operator orders something. Only the
//! proxy that has the lease acts. What it knows it has just read: it can be ended and started at any time.

mod orders;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, timeout};

use super::board::{Board, Request};
use super::course::Course;
use super::lease::{HASH_BYTES, Lease, lease, signature};
use super::line::Line;
use super::plan::{Action, Node, Site, hold};
use super::statement::{resume, statements};
use super::status::{LeaseMark, Trouble};
use super::stopped::StoppedLinks;
use crate::cluster::view::{ClusterView, Health, NodeId, ViewHandle};
use crate::config::model::{Kind, Link};
use crate::config::{Config, Live};

/// The lease lapses after 5 s without a word.
const INTERVAL_MAX: Duration = Duration::from_secs(1);
/// How often one looks while something is about to change.
const MOVING_INTERVAL: Duration = Duration::from_millis(100);
/// A node that is down is asked all the same, but not waited for long.
const DOWN_TIME_MAX: Duration = Duration::from_millis(500);
/// Actions in a row, at most, until the next interval.
const ACTIONS_MAX: usize = 16;
/// ER_SPECIFIC_ACCESS_DENIED_ERROR: a privilege is missing.
const LACKS_PRIVILEGE: u16 = 1227;

/// Errors of a service user that may not look at replication.
const LACKS_GRANT: [u16; 4] = [1044, 1045, 1142, LACKS_PRIVILEGE];

/// Drives the links until it is dropped.
pub struct Reconciler {
    live: Live,
    config: Arc<Config>,
    view: ViewHandle,
    board: Board,
    requests: mpsc::Receiver<Request>,
    wake: Arc<Notify>,
    signature: String,
    /// The configuration says something of links that has not been heard yet.
    changes: watch::Receiver<Arc<Config>>,
    lines: Vec<Line>,
    nodes: Vec<Node>,
    writer: Option<NodeId>,
    courses: Vec<Course>,
    lease: Lease,
    stopped: StoppedLinks,
}

impl Reconciler {
    /// A task for the links of the configuration in force; `requests` are those of `board`.
    pub fn new(live: Live, view: ViewHandle, board: Board, requests: mpsc::Receiver<Request>) -> io::Result<Self> {
        let mut unique = [0; HASH_BYTES];
        getrandom::fill(&mut unique)?;
        let (wake, config) = (Arc::new(Notify::new()), live.load());
        let stopped = StoppedLinks::recall(&config.site.state_dir, &config.site.name);
        Ok(Self {
            signature: signature(unique),
            changes: live.changes(),
            lines: Vec::new(),
            nodes: Vec::new(),
            courses: Vec::new(),
            writer: None,
            lease: Lease::Nowhere,
            live,
            config,
            view,
            board,
            requests,
            wake,
            stopped,
        })
    }

    /// All nodes of the configuration, by their places, each asked with the login that is in force. What is held on a connection is
    /// held on.
    fn know_nodes(&mut self) {
        self.config = self.live.load();
        let names: Vec<_> = self.courses.iter().map(|course| course.link.name.clone()).collect();
        for (place, node) in self.config.nodes.iter().enumerate() {
            let line = Line::to_node(&node.address, &self.config).of_driver(names.clone(), &self.signature);
            match self.lines.get_mut(place) {
                Some(known) => known.renew(line),
                None => self.lines.push(line),
            }
        }
        let come = self.config.nodes.iter().skip(self.nodes.len()).map(|node| Node::unasked(node.name.clone()));
        self.nodes.extend(come);
    }

    /// The links of the configuration: those that have come begin, and those that are gone from it leave, until no node has them. Returns
    /// the names of those that have come.
    fn know_links(&mut self) -> Vec<Box<str>> {
        let config = self.live.load();
        for course in &mut self.courses {
            let link = config.links.iter().find(|link| course.is_of(link));
            course.configure(&self.live, link, &self.wake);
        }
        let has_left = |course: &Course| {
            let mut staying = self.nodes.iter().zip(&config.nodes).filter(|(_, node)| !node.leaves);
            staying.all(|(node, _)| node.current().is_some_and(|status| status.channel(&course.link.name).is_none()))
        };
        let before = self.courses.len();
        self.courses.retain(|course| !course.leaves() || !has_left(course));
        let have_left = self.courses.len() < before;
        let is_known = |link: &Link| self.courses.iter().any(|course| course.is_of(link));
        let come: Vec<&Link> = config.links.iter().filter(|link| !is_known(link)).collect();
        let begin = |link: &&Link| Course::new(&self.live, link, !self.stopped.has(&link.name), &self.wake);
        let courses: Vec<Course> = come.iter().map(begin).collect();
        self.courses.extend(courses);
        if have_left || !come.is_empty() {
            self.know_nodes();
        }
        come.into_iter().map(|link| link.name.clone()).collect()
    }

    /// Runs for ever.
    pub async fn run(mut self) {
        let mut versions = self.view.versions();
        let mut request = None;
        loop {
            let had_some = !self.courses.is_empty();
            let come = self.know_links();
            if self.courses.is_empty() {
                request = self.rest(had_some, request).await;
                continue;
            }
            self.look().await;
            self.show(&come).await;
            match request.take() {
                Some(request) => self.serve(request).await,
                None => self.settle().await,
            }
            let pause = self.config.cluster.probe_interval.min(INTERVAL_MAX);
            let is_moving = self.courses.iter().any(Course::is_moving);
            request = tokio::select! {
                request = self.requests.recv() => request,
                _ = versions.changed() => None,
                _ = self.changes.changed() => None,
                () = self.wake.notified() => None,
                () = sleep(if is_moving { pause.min(MOVING_INTERVAL) } else { pause }) => None,
            };
        }
    }

    /// Waits until there may be a link: without any, nodes are not looked at, and this proxy has no lease. Returns what is ordered then.
    async fn rest(&mut self, had_some: bool, request: Option<Request>) -> Option<Request> {
        if had_some {
            self.lines.iter_mut().for_each(Line::hang_up);
            (self.lease, self.writer) = (Lease::Nowhere, None);
            (0..self.nodes.len()).for_each(|place| self.view.hold(NodeId(place as u16), None));
            self.view.adopt(None);
            self.board.show(Vec::new());
        }
        if let Some(request) = request {
            self.serve(request).await;
        }
        tokio::select! {
            request = self.requests.recv() => request,
            _ = self.changes.changed() => None,
        }
    }

    /// Shows the other proxies whether links should run that have just come.
    async fn show(&mut self, links: &[Box<str>]) {
        let Some(writer) = self.writer.filter(|_| self.lease == Lease::Held) else { return };
        for name in links {
            // Where the connection is lost, so is the lease, and whoever takes it next shows what he knows.
            let _ = self.lines[usize::from(writer.0)].show(name, !self.stopped.has(name)).await;
        }
    }

    /// Does what is to be done now.
    async fn settle(&mut self) {
        for _ in 0..ACTIONS_MAX {
            let next = |(place, course): (usize, &Course)| Some((place, course.next()?));
            let is_held = self.lease == Lease::Held;
            let Some((place, action)) = self.courses.iter().enumerate().find_map(next).filter(|_| is_held) else {
                return;
            };
            self.act(place, action).await;
            self.look().await;
        }
    }

    fn site(&self) -> Site<'_> {
        Site { nodes: &self.nodes, writer: self.writer }
    }

    // === Looking ===

    /// Reads all nodes, holds back those that must not count yet, sees who has the lease, and plans.
    async fn look(&mut self) {
        // The view has no node that the configuration has not had before it.
        let view = Arc::clone(&self.view.load());
        if !Arc::ptr_eq(&self.config, &self.live.load()) {
            self.know_nodes();
        }
        self.read_nodes(&view).await;
        self.writer = view.writer;
        self.see_lease(&view).await;
        self.hold_nodes(&view);
        self.plan();
    }

    async fn read_nodes(&mut self, view: &ClusterView) {
        let patience = self.config.cluster.read_timeout;
        let reads = self.lines.iter_mut().zip(&view.nodes).map(|(line, node)| async move {
            let limit = if node.health == Health::Down { patience.min(DOWN_TIME_MAX) } else { patience };
            timeout(limit, line.status()).await.unwrap_or_else(|_| Err(Trouble::Lost("no answer".into())))
        });
        let answers = join_all(reads).await;
        for (node, answer) in self.nodes.iter_mut().zip(answers) {
            let (status, trouble) = answer.map_or_else(|trouble| (None, Some(trouble)), |status| (Some(status), None));
            if let Some(trouble) = trouble.as_ref().filter(|_| node.trouble.is_none()) {
                tracing::debug!(node = &*node.name, %trouble, "its links can't be looked at");
            }
            // A node that comes back may have other grants.
            node.may_remove |= node.trouble.is_some();
            node.status = status.or(node.status.take());
            node.trouble = trouble;
        }
    }

    /// A node that returns counts once it is known that no link runs there.
    fn hold_nodes(&self, view: &ClusterView) {
        if self.config.cluster.kind == Kind::Standalone {
            return;
        }
        for node in &view.nodes {
            let held = self.view.held(node.id);
            let reason = match &self.nodes[usize::from(node.id.0)].trouble {
                None => {
                    let mut links = self.courses.iter().map(Course::link);
                    links.find_map(|link| hold(link, self.site(), node.id, held.is_some()))
                }
                // A missing grant must not take nodes out of use.
                Some(Trouble::Refused(error)) if LACKS_GRANT.contains(&error.code) => None,
                Some(_) if node.health == Health::Down => Some("its links have not been looked at yet".into()),
                Some(_) => held,
            };
            self.view.hold(node.id, reason);
        }
    }

    /// Takes the lease where it is free, and adopts the writer of the proxy that has it.
    async fn see_lease(&mut self, view: &ClusterView) {
        self.end_what_was_left().await;
        let mut found = lease(self.site());
        if let (Lease::Free, Some(writer)) = (&found, self.writer)
            && self.take_lease(usize::from(writer.0)).await == Ok(true)
        {
            // Another may have taken it elsewhere meanwhile: who comes second and sees the other gives way.
            self.read_nodes(view).await;
            found = match lease(Site { writer: None, ..self.site() }) {
                other @ Lease::Other { .. } => other,
                _ => lease(self.site()),
            };
        }
        let keeps = self.writer.filter(|_| found == Lease::Held);
        for (id, (node, line)) in (0..).map(NodeId).zip(self.nodes.iter_mut().zip(&mut self.lines)) {
            if let Some(status) =
                node.status.as_mut().filter(|status| status.lease == LeaseMark::Own && Some(id) != keeps)
            {
                line.hang_up();
                status.lease = LeaseMark::Free;
            }
        }
        let adopted = if let Lease::Other { node, .. } = &found { Some(*node) } else { None };
        self.note_stopped(adopted);
        self.view.adopt(adopted);
        self.writer = adopted.or(self.writer);
        if found != self.lease {
            match &found {
                Lease::Held => tracing::info!("this proxy drives the links of the site"),
                Lease::Other { holder, .. } => tracing::info!(%holder, "another proxy drives the links of the site"),
                Lease::Unknown(node) => {
                    tracing::info!(%node, "the node is a member and does not answer: another proxy may drive the links");
                }
                Lease::Free | Lease::Nowhere => {}
            }
        }
        self.lease = found;
    }

    /// Nodes that were frozen, or cut off, still have what this proxy has given up, and would carry out what was last sent there.
    async fn end_what_was_left(&mut self) {
        for (node, line) in self.nodes.iter().zip(&mut self.lines) {
            let Some(LeaseMark::Left(connection)) = node.current().map(|status| &status.lease) else { continue };
            // One that has ended meanwhile is unknown there.
            let ended = line.end(*connection).await;
            tracing::debug!(
                node = &*node.name,
                connection,
                ?ended,
                "an earlier connection of this proxy still had the lease there"
            );
        }
    }

    /// What is shown of the links comes first: who sees the lease sees that too.
    async fn take_lease(&mut self, place: usize) -> Result<bool, Trouble> {
        for course in &self.courses {
            self.lines[place].show(&course.link.name, course.is_wanted()).await?;
        }
        self.lines[place].take_lease().await
    }

    /// What an operator has told the proxy that has the lease, on this node, holds here too.
    fn note_stopped(&mut self, holder_at: Option<NodeId>) {
        let status = holder_at.and_then(|node| self.nodes[usize::from(node.0)].current());
        let shown: Vec<Option<bool>> = status.map_or_else(Vec::new, |status| status.wanted.to_vec());
        for (place, is_wanted) in shown.into_iter().enumerate() {
            let is_stopped = self.stopped.has(&self.courses[place].link.name);
            if let Some(is_wanted) = is_wanted.filter(|is_wanted| *is_wanted == is_stopped)
                && let Err(why) = self.want(place, is_wanted)
            {
                tracing::warn!(link = &*self.courses[place].link.name, why);
            }
        }
    }

    fn plan(&mut self) {
        let site = Site { nodes: &self.nodes, writer: self.writer };
        let (lease, is_standby) = match &self.lease {
            Lease::Held => ("this proxy".to_owned(), false),
            Lease::Other { holder, .. } => (holder.to_string(), true),
            Lease::Unknown(node) => (format!("unknown: {node} does not answer"), false),
            Lease::Free | Lease::Nowhere => (String::new(), false),
        };
        let mut reports = Vec::with_capacity(self.courses.len());
        for course in &mut self.courses {
            course.follow(site);
            reports.push(course.report(site, &lease, is_standby));
        }
        self.board.show(reports);
    }

    // === Acting ===

    async fn act(&mut self, place: usize, action: Action) {
        let Some(action) = self.confirmed(place, action).await else { return };
        let failure = self.run_statements(place, &action).await.err();
        let node = &mut self.nodes[usize::from(action.node().0)];
        let (link, name) = (&*self.courses[place].link.name, &*node.name);
        match (&action, &failure) {
            (Action::Stop(_), None) => tracing::info!(link, node = name, "the link is stopped there"),
            (Action::Remove(_), None) => tracing::info!(link, node = name, "the link is removed there"),
            (Action::Start(start), None) => {
                let position = start.position.as_ref().map(ToString::to_string);
                tracing::info!(link, node = name, from = %start.address, position, "the link is started there");
            }
            (Action::Remove(_), Some(Trouble::Refused(error))) if error.code == LACKS_PRIVILEGE => {
                node.may_remove = false;
                let user = &*self.config.site.user;
                tracing::warn!(
                    link,
                    node = name,
                    "the link is stopped there and stays configured: removing it takes `GRANT RELOAD ON *.* TO {user}`, and then `oarlock link retry {link}`"
                );
            }
            (_, Some(trouble)) => tracing::warn!(link, node = name, %trouble, "the link cannot be changed there"),
        }
        self.courses[place].tried(&action, failure.map(|failure| format!("{name}: {failure}")));
    }

    /// A start is planned again once the writer has applied all that other nodes have committed: what the link has done
    /// elsewhere is in its position then.
    async fn confirmed(&mut self, place: usize, action: Action) -> Option<Action> {
        if !matches!(action, Action::Start(_)) || self.config.cluster.kind == Kind::Standalone {
            return Some(action);
        }
        let at = usize::from(action.node().0);
        if let Err(trouble) = self.look_in_step(at).await {
            self.courses[place].tried(&action, Some(format!("{}: {trouble}", self.nodes[at].name)));
            return None;
        }
        self.plan();
        self.courses[place].next().filter(|action| matches!(action, Action::Start(_)))
    }

    /// A connection that had to be made anew has waited for nothing, and has no lease.
    async fn look_in_step(&mut self, node: usize) -> Result<(), Trouble> {
        let status = self.lines[node].status_in_step().await?;
        let is_ours = status.lease == LeaseMark::Own;
        self.nodes[node].status = Some(status);
        if is_ours { Ok(()) } else { Err(Trouble::Lost("the lease has ended".into())) }
    }

    /// On the connection that holds the lease, if the node is the writer.
    async fn run_statements(&mut self, place: usize, action: &Action) -> Result<(), Trouble> {
        let line = &mut self.lines[usize::from(action.node().0)];
        for statement in statements(action, &self.courses[place].link) {
            if let Err(trouble) = line.change(&statement).await {
                // What paused for it goes on, as far as the connection and with it the lease are still there.
                for statement in resume(action).iter().filter(|_| matches!(trouble, Trouble::Refused(_))) {
                    let _ = line.change(statement).await;
                }
                return Err(trouble);
            }
        }
        Ok(())
    }
}
