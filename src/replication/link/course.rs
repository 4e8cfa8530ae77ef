//! The course of one link: what it is doing, since when, what failed, and how it is shown.

use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::board::LinkReport;
use super::pace::{Pace, SETTLED};
use super::plan::{Action, Link, Plan, Site, State, plan, reached};
use super::remote::{Asked, RemoteWatch};
use super::status::{Channel, Receiver};
use crate::cluster::view::NodeId;
use crate::config::Live;
use crate::config::model::{self, Address};
use crate::gtid::Position;

/// One link on its way.
pub struct Course {
    /// Its remote.
    pub remote: RemoteWatch,
    /// The newest plan.
    pub plan: Plan,
    pace: Pace<(Discriminant<Action>, NodeId)>,
    begun: Instant,
    /// When it came into its state.
    since: Instant,
    writer: Option<NodeId>,
    has_run: bool,
    is_wanted: bool,
    /// The last that went wrong.
    error: String,
}

impl Course {
    /// The course of the link at this place of the configuration.
    pub fn new(config: &Live, place: usize, is_wanted: bool, wake: &Arc<Notify>) -> Self {
        let now = Instant::now();
        Self {
            remote: RemoteWatch::start(config.clone(), place, wake.clone()),
            plan: Plan::first(),
            pace: Pace::default(),
            begun: now,
            since: now,
            writer: None,
            has_run: false,
            is_wanted,
            error: String::new(),
        }
    }

    /// The link as the plan knows it.
    pub fn link<'a>(&self, link: &'a model::Link) -> Link<'a> {
        let model::Link { name, remote, user, .. } = link;
        let tls = link.tls.as_ref().map(|tls| &tls.on_nodes);
        Link { name, remote, user, tls, is_wanted: self.is_wanted, has_run: self.has_run }
    }

    /// An operator wants it to run, or not to.
    pub fn want(&mut self, is_wanted: bool) {
        self.is_wanted = is_wanted;
        self.try_again();
    }

    /// Is it on its way into another state? What has not come for a while may not come soon.
    pub fn is_moving(&self) -> bool {
        let is_settled = matches!(self.plan.state, State::Running | State::Broken | State::Stopped);
        !is_settled && self.since.elapsed() < SETTLED
    }

    /// What has failed may be tried again at once.
    pub fn try_again(&mut self) {
        self.pace = Pace::default();
    }

    /// Plans anew.
    pub fn follow(&mut self, link: &model::Link, site: Site<'_>) {
        let channel = channel(link, site);
        self.has_run |= channel.is_some_and(|channel| channel.receiver == Receiver::Connected);
        if let Some(error) = channel.and_then(Channel::error) {
            self.error = error.to_string();
        }
        let is_source = |address: &&Address| channel.is_some_and(|channel| channel.source.is_at(address));
        let first = link.remote.iter().find(is_source).cloned();
        self.remote.next_for(Asked { reached: reached(self.link(link), site), first });
        let plan = plan(self.link(link), site, &self.remote.seen());
        if (plan.state, site.writer) != (self.plan.state, self.writer) {
            self.since = Instant::now();
            log(&link.name, &plan);
        }
        if plan.state == State::Waiting {
            self.remote.ask();
        }
        if plan.state == State::Running && self.since.elapsed() >= SETTLED {
            self.try_again();
            self.error.clear();
        }
        (self.plan, self.writer) = (plan, site.writer);
    }

    /// The next action, if it is its time.
    pub fn next(&self) -> Option<Action> {
        let action = self.plan.action.clone()?;
        let may_fail_again = self.pace.is_due(&(discriminant(&action), action.node()), self.begun.elapsed());
        may_fail_again.then_some(action)
    }

    /// An action is done, or has failed. One that was tried because of an error may not have helped.
    pub fn tried(&mut self, action: &Action, failure: Option<String>) {
        let is_again = matches!(self.plan.state, State::Broken | State::Blocked | State::Connecting);
        if failure.is_some() || is_again {
            self.pace.tried((discriminant(action), action.node()), self.begun.elapsed());
        }
        if let Some(failure) = failure {
            self.error = failure;
        }
    }

    /// The link for operators.
    pub fn report(&self, link: &model::Link, site: Site<'_>, lease: &str, is_standby: bool) -> LinkReport {
        let position = reached(self.link(link), site);
        let remote = self.remote.seen();
        LinkReport {
            link: link.name.to_string(),
            state: if is_standby { "Standby" } else { self.plan.state.word() }.to_owned(),
            seconds: self.since.elapsed().as_secs(),
            node: site.writer.map(|writer| site.nodes[usize::from(writer.0)].name.to_string()).unwrap_or_default(),
            remote: remote.as_ref().map(|remote| remote.address.to_string()).unwrap_or_default(),
            lag_transactions: remote.ok().map(|remote| behind(&remote.position, &position, remote.domain)),
            lag_seconds: channel(link, site).and_then(|channel| channel.lag_seconds),
            position: position.to_string(),
            reason: self.plan.reason.to_string(),
            remedy: self.plan.remedy.to_string(),
            error: self.error.clone(),
            lease: lease.to_owned(),
        }
    }
}

/// The link's connection on the writer.
fn channel<'a>(link: &model::Link, site: Site<'a>) -> Option<&'a Channel> {
    site.nodes.get(usize::from(site.writer?.0))?.current()?.channel(&link.name)
}

fn behind(remote: &Position, own: &Position, domain: u32) -> u64 {
    remote.sequence(domain).saturating_sub(own.sequence(domain))
}

fn log(link: &str, plan: &Plan) {
    let (state, reason, remedy) = (plan.state.word(), &*plan.reason, &*plan.remedy);
    match plan.state {
        State::Broken | State::Blocked => tracing::warn!(link, reason, remedy, "the link is {state}"),
        _ if reason.is_empty() => tracing::info!(link, "the link is {state}"),
        _ => tracing::info!(link, reason, "the link is {state}"),
    }
}
