//! Whether a node has what a read must see (pure).
//!
//! A read sees the session's own writes: the node must have applied the last GTID that the session was told of. What
//! proves it is the worker's memory of what each node was seen to have applied; else the node itself is asked to wait.
//!
//! A node's own position in its binary log proves nothing: it is written before the transaction can be seen.

use serde::Deserialize;

/// Which writes a read sees (`causal_reads` in the configuration).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CausalReads {
    /// Those that its node happens to have applied.
    Off,
    /// Those of its own session.
    #[default]
    Session,
    /// All that were acknowledged to anybody before it began.
    Cluster,
}

impl CausalReads {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Session => "session",
            Self::Cluster => "cluster",
        }
    }
}

/// What one worker knows of how far a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Everything up to this sequence number of the cluster's domain is applied.
    applied: u64,
    /// The node has kept a read waiting for too long: until then it is not asked again, in microseconds of the desk's clock.
    behind_until_us: u64,
}

/// How long a node that was found behind is not asked to wait, in microseconds.
const BEHIND_US: u64 = 1_000_000;

impl Progress {
    /// Whether everything up to this sequence number is applied, as far as is known.
    pub fn has(&self, sequence: u64) -> bool {
        self.applied >= sequence
    }

    /// Everything up to this sequence number has been seen to be applied.
    pub fn reached(&mut self, sequence: u64) {
        self.applied = self.applied.max(sequence);
    }

    /// The node did not get so far in time.
    pub fn fell_behind(&mut self, now_us: u64) {
        self.behind_until_us = now_us + BEHIND_US;
    }

    /// Whether it was found behind a moment ago.
    pub fn is_behind(&self, now_us: u64) -> bool {
        now_us < self.behind_until_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_goes_forward_only() {
        let mut progress = Progress::default();
        assert!(progress.has(0) && !progress.has(1));
        progress.reached(7);
        progress.reached(5);
        assert!(progress.has(7) && !progress.has(8));
    }

    #[test]
    fn behind_for_a_while() {
        let mut progress = Progress::default();
        assert!(!progress.is_behind(0));
        progress.fell_behind(10);
        assert!(progress.is_behind(BEHIND_US) && !progress.is_behind(BEHIND_US + 10));
    }
}
