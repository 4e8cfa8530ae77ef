//! Links: the writer of this site, and only it, replicates from each remote, and nobody has to see to it.
//!
//! - [`status`]: pure. What nodes and remotes say of their replication.
//! - [`position`]: pure. From where a link goes on when it moves to another node.
//! - [`plan`]: pure. What a link is doing, and the one next thing to do. [`start`], pure: whether it may start.
//! - [`lease`]: pure. Which proxy of the site may act.
//! - [`statement`], [`skip`], [`pace`]: pure. An action as SQL; the transaction a link has stopped at; when to try again.
//! - [`line`], [`remote`]: connections to nodes, and the watch on a remote.
//! - [`reconcile`]: the task that looks, plans and acts, and does what is ordered, with a [`course`] for each link.
//! - [`board`]: what operators see and order. [`stopped`]: what they stopped, in a file.
//!
//! A link is a named replication connection, and its name is the link's: `SHOW ALL SLAVES STATUS` then tells an
//! operator which is which, as the guide's own script has it, a node can have several, and the default connection stays
//! free for what people do by hand.

pub mod board;
pub mod course;
pub mod lease;
pub mod line;
pub mod pace;
pub mod plan;
pub mod position;
pub mod reconcile;
pub mod remote;
pub mod skip;
pub mod start;
pub mod statement;
pub mod status;
pub mod stopped;
