//! The tasks that probe: one a node, all in parallel, begun and ended as nodes come and go. They report to the watch.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::judge::Observation;
use super::probe::{Contact, Probe};
use super::view::{NodeId, ViewHandle};
use crate::config::Live;
use crate::config::model::PLACES_MAX;

/// A suspected node is probed at once, but not more often than this, however many connections to it break.
const SUSPECT_PAUSE: Duration = Duration::from_millis(20);

/// A node that answers nothing for so long is silent: far below every timeout, far above a healthy answer.
const SILENCE: Duration = Duration::from_millis(500);
/// After so much more nobody waits for it who can have the same elsewhere. A busy machine may be slow for a moment.
const MUTENESS: Duration = Duration::from_secs(1);

/// What a task has to say of its node.
pub(super) enum Report {
    /// The probe under way gets no answer so far.
    Silent,
    /// The same for long.
    Mute,
    /// What a probe saw.
    Observed(Observation, Option<Contact>),
}

/// All of them. They end with this.
pub(super) struct Probing {
    live: Live,
    view: ViewHandle,
    reports: mpsc::Sender<(NodeId, Report)>,
    tasks: Vec<Option<Task>>,
}

struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Probing {
    /// None yet, and where they will report.
    pub(super) fn new(live: Live, view: ViewHandle) -> (Self, mpsc::Receiver<(NodeId, Report)>) {
        let (reports, inbox) = mpsc::channel(PLACES_MAX);
        (Self { live, view, reports, tasks: Vec::new() }, inbox)
    }

    /// Begins to probe a node, or begins anew, with the login that is in force.
    pub(super) fn begin(&mut self, id: NodeId) {
        let place = usize::from(id.0);
        if self.tasks.len() <= place {
            self.tasks.resize_with(place + 1, || None);
        }
        let task = tokio::spawn(probe_node(id, self.live.clone(), self.view.clone(), self.reports.clone()));
        self.tasks[place] = Some(Task(task.abort_handle()));
    }

    /// Probes it no more.
    pub(super) fn end(&mut self, id: NodeId) {
        if let Some(task) = self.tasks.get_mut(usize::from(id.0)) {
            *task = None;
        }
    }

    /// Whether it is probed.
    pub(super) fn has(&self, id: NodeId) -> bool {
        self.tasks.get(usize::from(id.0)).is_some_and(Option::is_some)
    }
}

async fn probe_node(id: NodeId, live: Live, view: ViewHandle, reports: mpsc::Sender<(NodeId, Report)>) {
    let config = live.load();
    let mut probe = Probe::new(&config.nodes[usize::from(id.0)], &config);
    loop {
        let observation = {
            let mut observing = pin!(probe.observe());
            let mut seen = None;
            for (limit, report) in [(SILENCE, Report::Silent), (MUTENESS, Report::Mute)] {
                seen = timeout(limit, &mut observing).await.ok();
                if seen.is_some() {
                    break;
                }
                if reports.send((id, report)).await.is_err() {
                    return;
                }
            }
            match seen {
                Some(observation) => observation,
                None => observing.await,
            }
        };
        // The deadline was wait enough, and the judge needs a second opinion soon.
        let is_late = matches!(observation, Observation::Late(_));
        if reports.send((id, Report::Observed(observation, probe.contact().cloned()))).await.is_err() {
            return;
        }
        sleep(SUSPECT_PAUSE).await;
        if !is_late {
            let _ = timeout(config.cluster.probe_interval, view.suspected(id)).await;
        }
    }
}
