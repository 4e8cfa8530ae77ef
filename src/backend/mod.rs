//! Node connections as their owner sees them: the pure login as a client of a node, how many there may be, and those nobody uses.

pub mod handover;
pub mod login;
pub mod pool;
pub mod seats;
