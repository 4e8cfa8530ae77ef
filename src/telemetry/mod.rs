//! Logs, counters, and the form in which Prometheus reads them.

pub mod counters;
pub mod log;
pub mod prometheus;
pub mod tally;
