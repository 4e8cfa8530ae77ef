//! Links: the writer of this site, and only it, replicates from each remote, and nobody has to see to it.
//!
//! - [`status`]: pure. What nodes and remotes say of their replication.
//! - [`position`]: pure. From where a link goes on when it moves to another node.
//! - [`plan`]: pure. What is, and the one next thing to do. [`lease`], pure: which proxy of a site may do it.
//! - [`statement`]: pure. What is to be done, as SQL.
//!
//! A link is a named replication connection, and its name is the link's: `SHOW ALL SLAVES STATUS` then tells an
//! operator which is which, a node can have several, and the default connection stays free for what people do by hand.

pub mod lease;
pub mod plan;
pub mod position;
pub mod statement;
pub mod status;
