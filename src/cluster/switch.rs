//! A planned move of the writer's role: the node that has it still works, so what is open there may end first.
//!
//! While it lasts no write begins anywhere. Once nothing is open on the old writer any more, its successor applies the last of what was
//! written there: what begins then meets nothing of before. All that takes `switch_wait` at most; what is open after that runs again on
//! the new writer.

use std::future::pending;

use tokio::time::{Instant, timeout_at};

use super::view::{NodeId, TermEnd};
use crate::gtid::Gtid;

/// A move that is under way.
pub(super) struct Switch {
    /// The node that had the role.
    pub(super) from: NodeId,
    until: Instant,
    stage: Stage,
}

enum Stage {
    /// Something may be open on the old writer.
    Leaving(TermEnd),
    /// Nothing is: how far has it come?
    Measuring,
    /// The successor has to come so far, too.
    Following(Gtid),
    Over,
}

impl Switch {
    pub(super) fn begin(from: NodeId, term: TermEnd, until: Instant) -> Self {
        Self { from, until, stage: Stage::Leaving(term) }
    }

    /// Waits until nothing is open on the old writer any more, or the time is up.
    pub(super) async fn goes_on(switch: &mut Option<Self>) {
        let Some(switch) = switch.as_mut().filter(|switch| !switch.is_over()) else { return pending().await };
        let left = async {
            match &mut switch.stage {
                Stage::Leaving(end) => end.wait().await,
                Stage::Measuring | Stage::Following(_) | Stage::Over => pending().await,
            }
        };
        switch.stage = match timeout_at(switch.until, left).await {
            Ok(()) => Stage::Measuring,
            Err(_) => Stage::Over,
        };
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// A node has told how far it is, if it is anywhere in the cluster's domain.
    pub(super) fn hear(&mut self, node: NodeId, at: Option<Gtid>) {
        match (&self.stage, at) {
            (Stage::Measuring, Some(at)) if node == self.from => self.stage = Stage::Following(at),
            (Stage::Measuring, None) if node == self.from => self.stage = Stage::Over,
            (Stage::Following(last), Some(at)) if node != self.from && at.sequence >= last.sequence => {
                self.stage = Stage::Over;
            }
            _ => {}
        }
    }

    /// The node that is to be asked how far it is.
    pub(super) fn asks(&self, successor: NodeId) -> Option<NodeId> {
        match self.stage {
            Stage::Leaving(_) | Stage::Over => None,
            Stage::Measuring => Some(self.from),
            Stage::Following(_) => Some(successor),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::view::Term;
    use super::*;

    const OLD: NodeId = NodeId(0);
    const NEW: NodeId = NodeId(1);

    fn at(sequence: u64) -> Option<Gtid> {
        Some(Gtid { domain: 70, server: 7000, sequence })
    }

    fn run(course: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(course);
    }

    #[test]
    fn what_is_open_ends_then_the_successor_follows() {
        run(async {
            let (term, end) = Term::begin();
            let unit = term.clone();
            let mut switch = Some(Switch::begin(OLD, end, Instant::now() + Duration::from_secs(60)));
            drop(term);
            let early = timeout_at(Instant::now() + Duration::from_millis(20), Switch::goes_on(&mut switch)).await;
            assert!(early.is_err(), "something is open");
            drop(unit);
            Switch::goes_on(&mut switch).await;
            let mut switch = switch.unwrap();
            assert_eq!(switch.asks(NEW), Some(OLD));
            switch.hear(NEW, at(9));
            switch.hear(OLD, at(7));
            assert_eq!(switch.asks(NEW), Some(NEW));
            switch.hear(NEW, at(6));
            assert!(!switch.is_over());
            switch.hear(NEW, at(7));
            assert!(switch.is_over() && switch.asks(NEW).is_none());
        });
    }

    #[test]
    fn it_takes_only_so_long() {
        run(async {
            let (_term, end) = Term::begin();
            let mut switch = Some(Switch::begin(OLD, end, Instant::now()));
            Switch::goes_on(&mut switch).await;
            assert!(switch.unwrap().is_over());
            let (term, end) = Term::begin();
            let mut switch = Some(Switch::begin(OLD, end, Instant::now() + Duration::from_millis(30)));
            drop(term);
            Switch::goes_on(&mut switch).await;
            Switch::goes_on(&mut switch).await;
            assert!(switch.unwrap().is_over(), "nobody has told how far the old writer is");
        });
    }

    #[test]
    fn without_a_domain_there_is_nothing_to_follow() {
        let (_, end) = Term::begin();
        let mut switch = Switch { stage: Stage::Measuring, ..Switch::begin(OLD, end, Instant::now()) };
        switch.hear(OLD, None);
        assert!(switch.is_over());
    }
}
