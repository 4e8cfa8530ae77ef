//! Real MariaDB servers on loopback addresses of this machine, for the demo, the tests and the benches.
//!
//! A [`Lab`] is the deployment of a small site pair: a Galera cluster (`galera-71`, `-72`, `-73`) and, of the other data centre, a
//! standalone server (`server-81`) or a second cluster (`galera-81`, ...), each on an address of its own with the standard ports, all in one /24 of 127/8 that no
//! other lab of the machine holds. A [`Server`] is a single standalone server. Both end with their owner, however it ends: see
//! `guardian`. Only what [`Lab::keep`] was asked to keep, as the command line does, stays until [`Lab::down`].
//!
//! Calls block, with a deadline on every wait; from async code use them in a blocking task.

mod claim;
mod deployment;
mod error;
mod guardian;
mod node;
mod options;
mod process;
mod query;
mod server;
mod site;
mod spec;
mod template;
mod userland;
mod wait;

pub use deployment::{Builder, Lab};
pub use error::LabError;
pub use node::{Node, Process};
pub use query::Rows;
pub use server::Server;
pub use spec::{APP_PASSWORD, APP_USER, REPLICATION_USER, SERVICE_USER, SITE_PASSWORD, Site, Sst};
pub use userland::Userland;
pub use wait::until;
