//! The task that answers: one for all sessions, on the control plane.
//!
//! It opens a case for each question, tells the warden of the node at once, and looks at the cluster for all cases together: now, whenever
//! something may have changed, and a few times a second as long as anybody waits. One look is under way at most.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval};
use tracing::{info, warn};

use super::access::Access;
use super::case::{Finding, Sought, Told};
use super::survey::{Report, Survey};
use super::warden::{News, Thread, Warden};
use super::{Asked, Outcome};
use crate::cluster::view::{NodeId, ViewHandle};
use crate::config::Live;
use crate::config::model::OutcomePolicy;
use crate::config::print_duration;
use crate::net::tls::ClientTls;

/// How often the cluster is looked at while somebody waits.
const LOOK_PERIOD: Duration = Duration::from_millis(100);

/// The task.
pub struct Service {
    live: Live,
    view: ViewHandle,
    access: Arc<Access>,
    inbox: mpsc::UnboundedReceiver<Asked>,
    wardens: Vec<mpsc::UnboundedSender<Thread>>,
    cases: BTreeMap<u64, Case>,
    last_number: u64,
    /// Something that everybody waits for is not granted: that is logged once.
    told: bool,
}

/// A question that waits for its answer.
struct Case {
    sought: Sought,
    thread: Thread,
    /// What keeps its writes from being found at all.
    untraced: Box<str>,
    /// What was last in the way.
    trouble: Box<str>,
    answer: oneshot::Sender<Outcome>,
}

impl Service {
    pub(super) fn new(
        live: Live,
        view: ViewHandle,
        tls: Option<ClientTls>,
        inbox: mpsc::UnboundedReceiver<Asked>,
    ) -> Self {
        let access = Arc::new(Access::new(live.clone(), tls));
        Self { live, view, access, inbox, wardens: Vec::new(), cases: BTreeMap::new(), last_number: 0, told: false }
    }

    /// Answers for as long as anybody may ask.
    pub async fn run(mut self) {
        let (news, mut heard) = mpsc::unbounded_channel();
        let mut versions = self.view.versions();
        let mut ticks = interval(LOOK_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks: JoinSet<Report> = JoinSet::new();
        // Something has happened since the last look began.
        let mut due = false;
        loop {
            tokio::select! {
                asked = self.inbox.recv() => match asked {
                    None => return,
                    Some(asked) => {
                        self.station(asked.question.node, &news);
                        self.open(asked);
                        due = true;
                    }
                },
                Some(news) = heard.recv() => due |= self.hear(news),
                Ok(()) = versions.changed() => due = true,
                Some(report) = looks.join_next() => self.conclude(report.unwrap_or_default()),
                _ = ticks.tick(), if !self.cases.is_empty() => {
                    self.give_up();
                    due = true;
                }
            }
            if due && looks.is_empty() && self.inbox.is_empty() && !self.cases.is_empty() {
                due = false;
                let survey = Survey {
                    access: self.access.clone(),
                    kind: self.live.load().cluster.kind,
                    view: self.view.load().clone(),
                };
                looks.spawn(survey.run(self.cases.values().map(|case| case.sought.clone()).collect()));
            }
        }
    }

    /// Gives a node its warden, and those before it theirs, if they have none yet.
    fn station(&mut self, node: NodeId, news: &mpsc::UnboundedSender<News>) {
        for place in self.wardens.len()..=usize::from(node.0) {
            let (orders, queue) = mpsc::unbounded_channel();
            let (node, kind) = (NodeId(place as u16), self.live.load().cluster.kind);
            let (access, view, news) = (self.access.clone(), self.view.clone(), news.clone());
            tokio::spawn(Warden { node, kind, access, view, news }.run(queue));
            self.wardens.push(orders);
        }
    }

    fn open(&mut self, Asked { question, answer }: Asked) {
        let view = self.view.load();
        let Some(node) = view.node(question.node) else { return };
        if self.live.load().read_write_split.outcome == OutcomePolicy::Error {
            let _ = answer.send(Outcome::Undecidable("it is not looked for (outcome = \"error\")".into()));
            return;
        }
        let thread = Thread { id: question.thread, asked: Instant::now() };
        if let Some(warden) = self.wardens.get(usize::from(question.node.0)) {
            // It lives as long as this.
            let _ = warden.send(thread);
        }
        let untraced = match question.markers.is_empty() {
            true => "its kind of statement can't be found in a binary log".into(),
            false => node.trace.fault.clone(),
        };
        self.last_number += 1;
        let sought = Sought {
            number: self.last_number,
            node: question.node,
            member: node.trace.member.clone(),
            markers: question.markers,
            base: question.base,
            wants_rows: question.wants_rows,
            over: false,
            lacking: None,
        };
        let case = Case { sought, thread, untraced, trouble: Box::default(), answer };
        self.cases.insert(self.last_number, case);
    }

    /// Takes in what a warden says; true if that may answer something.
    fn hear(&mut self, news: News) -> bool {
        match news {
            News::Over(node, thread) => {
                let ended = self.cases.values_mut().filter(|case| case.sought.node == node && case.thread == thread);
                ended.for_each(|case| case.sought.over = true);
                true
            }
            News::Trouble(node, why) => {
                self.hinder(node, |name| format!("node {name} can't be asked to end it: {why}").into());
                false
            }
            News::Denied(node) => {
                let grant = format!("GRANT CONNECTION ADMIN ON *.* TO {}", self.access.user());
                self.tell(&grant);
                self.hinder(node, |name| format!("the service user may not kill it on node {name}: {grant}").into());
                false
            }
        }
    }

    fn hinder(&mut self, node: NodeId, why: impl Fn(&str) -> Box<str>) {
        let name = self.name(node);
        for case in self.cases.values_mut().filter(|case| case.sought.node == node) {
            case.trouble = why(&name);
        }
    }

    fn name(&self, node: NodeId) -> Box<str> {
        self.view.load().node(node).map(|node| node.name.clone()).unwrap_or_default()
    }

    fn tell(&mut self, grant: &str) {
        if !std::mem::replace(&mut self.told, true) {
            warn!("whether an interrupted write happened can't be found out for want of a grant: {grant}");
        }
    }

    /// Draws the conclusions of a look.
    fn conclude(&mut self, report: Report) {
        for number in report.expelled {
            if let Some(case) = self.cases.get_mut(&number) {
                case.sought.over = true;
            }
        }
        for (node, why) in report.troubles {
            let name = self.name(node);
            for case in self.cases.values_mut().filter(|case| case.sought.over) {
                case.trouble = format!("node {name} can't be asked for it: {why}").into();
            }
        }
        for (number, finding) in report.findings {
            if let Some(outcome) = self.judge(number, finding) {
                self.answer(number, outcome);
            }
        }
    }

    /// The outcome of a case, if it is known by now.
    fn judge(&mut self, number: u64, finding: Finding) -> Option<Outcome> {
        let case = self.cases.get(&number)?;
        match finding {
            Finding::Committed(gtid, Told { affected, insert_id }) => {
                Some(Outcome::Committed { gtid, affected, insert_id })
            }
            Finding::Missing { over: false, .. } => None,
            Finding::Missing { .. } if !case.untraced.is_empty() => Some(Outcome::Undecidable(case.untraced.clone())),
            Finding::Missing { hidden: true, .. } => {
                Some(Outcome::Undecidable("the binary log has statements in a form that can't be read".into()))
            }
            Finding::Missing { .. } => Some(Outcome::Absent),
            Finding::Lacking(why) if case.sought.over => Some(Outcome::Undecidable(why)),
            Finding::Lacking(_) => None,
            Finding::Denied => {
                let grant = format!("GRANT REPLICATION SLAVE ON *.* TO {}", self.access.user());
                self.tell(&grant);
                Some(Outcome::Undecidable(format!("the service user may not read binary logs: {grant}").into()))
            }
        }
    }

    fn answer(&mut self, number: u64, outcome: Outcome) {
        let Some(case) = self.cases.remove(&number) else { return };
        let name = self.name(case.sought.node);
        let (thread, waited) = (case.thread.id, case.thread.asked.elapsed());
        info!(node = &*name, thread, ?waited, ?outcome, "the outcome of an interrupted write");
        // The session may have ended.
        let _ = case.answer.send(outcome);
    }

    /// Answers those who have waited long enough.
    fn give_up(&mut self) {
        let limit = self.live.load().read_write_split.outcome_wait;
        let late = self.cases.iter().filter(|(_, case)| case.thread.asked.elapsed() >= limit);
        for number in late.map(|(number, _)| *number).collect::<Vec<_>>() {
            let trouble = self.cases.get(&number).map(|case| case.trouble.clone()).unwrap_or_default();
            let why = match &*trouble {
                "" => format!("it has not ended within {}", print_duration(limit)),
                trouble => format!("not known within {}: {trouble}", print_duration(limit)),
            };
            self.answer(number, Outcome::Undecidable(why.into()));
        }
    }
}
