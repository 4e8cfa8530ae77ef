//! Node connections as their owner sees them: the pure login as a client of a node.

pub mod handover;
pub mod login;
pub mod pool;
