//! One client's connection, from accept to close: a pure machine, and the small shell that drives it on a worker.
//!
//! The machine ([`machine`] and its parts) takes events and leaves actions on a [`desk::Desk`]; it has no socket, clock, task or
//! lock. `task` drives one machine with real sockets, `worker` owns a thread's sessions. Sessions know the cluster only
//! through its view.

mod causal;
mod client;
mod close;
mod command;
mod conn;
mod data;
pub mod desk;
mod door;
pub mod entrance;
mod errand;
mod file;
mod greet;
mod heritage;
pub mod hosts;
mod journal;
mod kill;
mod life;
mod loss;
pub mod machine;
mod mark;
mod node_end;
mod notice;
mod outcome;
mod own;
mod pace;
mod part;
mod place;
pub mod portrait;
mod prepared;
mod publish;
mod record;
mod refused;
pub mod registry;
mod replay;
mod replica;
mod reply;
mod resume;
mod spell;
mod stall;
mod state;
pub mod task;
mod tracking;
mod turns;
mod upcoming;
mod work;
pub mod worker;
mod writerless;
