//! oarlock: a replication-aware SQL proxy for MariaDB Galera.
//!
//! The map, in order of dependency; arrows point up this list only (`tests/tidy.rs` checks them):
//!
//! - [`wire`], [`sql`], [`gtid`]: pure. Bytes of the MariaDB protocol, text of statements, replication positions.
//! - [`fault`]: the one error type towards clients: whose fault, may it be retried, which code.
//! - [`config`]: the file an operator writes, and the validated model made of it.
//! - [`cluster`]: watches the nodes and publishes one immutable [`cluster::view::ClusterView`].
//! - [`routing`]: pure. Which node a statement goes to, which node is the writer.
//! - [`auth`]: accounts of the cluster; the proxy as server and as client of a login.
//! - [`net`]: sockets, and nothing of SQL or sessions.
//! - [`backend`]: the pure login of a node connection; how many there may be, and those that nobody uses.
//! - [`outcome`]: whether a write happened whose node was lost.
//! - [`session`]: one client's connection: a pure machine, and the small shell that drives it on a worker.
//! - [`replication`]: dumps of replicas, which outlive the nodes they come from, and the links by which this site follows others.
//! - [`audit`]: whether servers are set as all this needs it.
//! - [`telemetry`], [`admin`]: what an operator sees.
//! - [`lab`]: real MariaDB servers on loopback addresses, for the demo, the tests and the benches.
//! - [`app`], [`cli`]: put the parts together.

pub mod admin;
pub mod app;
pub mod audit;
pub mod auth;
pub mod backend;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod fault;
pub mod gtid;
pub mod lab;
pub mod net;
pub mod outcome;
pub mod replication;
pub mod routing;
pub mod session;
pub mod sql;
pub mod telemetry;
pub mod wire;
