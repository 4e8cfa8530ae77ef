//! The course of one link: what it is doing, since when, what failed, and how it is shown.

use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::board::LinkReport;
use super::pace::{Pace, SETTLED};
use super::plan::{Action, Link, Plan, Site, State, Wish, plan, reached};
use super::remote::{Asked, RemoteWatch};
use super::status::{Channel, Receiver};
use crate::cluster::view::NodeId;
use crate::config::Live;
use crate::config::model::{self, Address};
use crate::gtid::Position;

/// One link on its way.
pub struct Course {
    /// As it is configured, or was before it left.
    pub link: model::Link,
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
    /// It is gone from the configuration.
    leaves: bool,
    is_renewed: bool,
    /// The last that went wrong.
    error: String,
}

impl Course {
    /// The course of a link.
    pub fn new(config: &Live, link: &model::Link, is_wanted: bool, wake: &Arc<Notify>) -> Self {
        let now = Instant::now();
        Self {
            link: link.clone(),
            remote: RemoteWatch::start(config.clone(), link.clone(), wake.clone()),
            plan: Plan::first(),
            pace: Pace::default(),
            begun: now,
            since: now,
            writer: None,
            has_run: false,
            is_wanted,
            leaves: false,
            is_renewed: false,
            error: String::new(),
        }
    }

    /// The link as the plan knows it.
    pub fn link(&self) -> Link<'_> {
        let model::Link { name, remote, user, .. } = &self.link;
        let tls = self.link.tls.as_ref().map(|tls| &tls.on_nodes);
        let wish = match (self.leaves, self.is_wanted) {
            (true, _) => Wish::Leave,
            (false, true) => Wish::Run,
            (false, false) => Wish::Stop,
        };
        Link { name, remote, user, tls, wish, is_renewed: self.is_renewed, has_run: self.has_run }
    }

    /// The configuration has this for it; nothing, if it is gone from there.
    pub fn configure(&mut self, config: &Live, link: Option<&model::Link>, wake: &Arc<Notify>) {
        let was_gone = std::mem::replace(&mut self.leaves, link.is_none());
        let Some(link) = link.filter(|link| was_gone || **link != self.link) else { return };
        let before = &self.link;
        self.is_renewed |=
            (&link.password, link.heartbeat, link.retry) != (&before.password, before.heartbeat, before.retry);
        // What has been replicated from another site says nothing of this one.
        self.has_run &= link.remote.iter().any(|address| self.link.remote.contains(address));
        // What the remote has said so far may have been another one.
        self.remote = RemoteWatch::start(config.clone(), link.clone(), wake.clone());
        self.link = link.clone();
        self.try_again();
    }

    /// Is it that of this link? Servers take names without regard to case.
    pub fn is_of(&self, link: &model::Link) -> bool {
        self.link.name.eq_ignore_ascii_case(&link.name)
    }

    /// Is it gone from the configuration?
    pub fn leaves(&self) -> bool {
        self.leaves
    }

    /// Should it run, as far as operators have said?
    pub fn is_wanted(&self) -> bool {
        self.is_wanted
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
    pub fn follow(&mut self, site: Site<'_>) {
        let channel = channel(&self.link, site);
        self.has_run |= channel.is_some_and(|channel| channel.receiver == Receiver::Connected);
        if let Some(error) = channel.and_then(Channel::error) {
            self.error = error.to_string();
        }
        let is_source = |address: &&Address| channel.is_some_and(|channel| channel.source.is_at(address));
        let first = self.link.remote.iter().find(is_source).cloned();
        self.remote.next_for(Asked { reached: reached(self.link(), site), first });
        let plan = plan(self.link(), site, &self.remote.seen());
        if (plan.state, site.writer) != (self.plan.state, self.writer) {
            self.since = Instant::now();
            log(&self.link.name, &plan);
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
        match failure {
            Some(failure) => self.error = failure,
            None => self.is_renewed &= !matches!(action, Action::Start(_)),
        }
    }

    /// The link for operators.
    pub fn report(&self, site: Site<'_>, lease: &str, is_standby: bool) -> LinkReport {
        let link = &self.link;
        let position = reached(self.link(), site);
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
