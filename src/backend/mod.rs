//! Node connections as their owner sees them: the pure login as a client of a node, how many there may be, those nobody uses, and
//! quiet ones on which the proxy itself asks.

pub mod answer;
pub mod handover;
pub mod line;
pub mod login;
pub mod pool;
pub mod seats;
