//! How a worker shares the CPUs with whoever else wants them (see sched(7)).
//!
//! As a rule it yields: when it is woken it waits until whoever runs has done its piece, as long as no CPU is free. Where each service is
//! a scheduling group of its own (systemd's units, autogroups), events gather meanwhile and one wake serves many: measured with 16
//! clients on 2 CPUs, 1.2 times the queries a second at two thirds of the CPU for each. Within one group it makes no difference.
//!
//! But where transactions are in each other's way, every such wait is one with locks held. As long as some are aborted it runs at once:
//! measured with 32 clients on 10 rows on 2 CPUs, 1.5 times the transfers.

use std::cell::Cell;

use preempt_rt::sched::{Scheduler, SchedulerParams};

/// The pace of the thread that asks.
#[derive(Default)]
pub(super) struct Pace {
    hurries: Cell<bool>,
}

impl Pace {
    /// That of a thread that begins to work.
    pub(super) fn begin() -> Self {
        set(Scheduler::SCHED_BATCH);
        Self::default()
    }

    /// Since the last time work was aborted by other work, or wasn't.
    pub(super) fn follow(&self, aborted: bool) {
        if self.hurries.replace(aborted) != aborted {
            set(if aborted { Scheduler::SCHED_NORMAL } else { Scheduler::SCHED_BATCH });
        }
    }
}

fn set(policy: Scheduler) {
    if let Err(error) = policy.with_params(SchedulerParams { priority: 0 }).set_current() {
        tracing::debug!("a worker keeps its scheduling policy: {error}");
    }
}
