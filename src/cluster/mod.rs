//! The nodes of this site: probes, their judgement, and the view that is published.

pub mod duties;
pub mod judge;
pub mod login;
pub mod memory;
pub mod order;
pub mod probe;
mod probing;
mod switch;
pub mod values;
pub mod view;
pub mod watch;
pub mod wsrep;
