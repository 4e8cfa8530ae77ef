//! The nodes of this site: probes, their judgement, and the view that is published.

pub mod judge;
pub mod memory;
pub mod probe;
pub mod view;
pub mod watch;
pub mod wsrep;
