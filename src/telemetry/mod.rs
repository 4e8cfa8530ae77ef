//! Logs and counters.

pub mod counters;
pub mod log;
