//! The log and its last events, counters, and the form in which Prometheus reads them.

pub mod counters;
pub mod events;
pub mod log;
pub mod prometheus;
pub mod tally;
