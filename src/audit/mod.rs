//! The audit of a site: does what its servers are set to fit what the proxy, its links and its replicas rely on.
//!
//! Pure: what a server says of its settings ([`facts`]), of its binary log ([`reach`]) and of an account's privileges ([`grants`]),
//! and what follows from it ([`rules`]). Shell: asking the nodes, and the remotes through their links' own accounts ([`collect`]). Nothing is changed.

pub mod collect;
pub mod facts;
pub mod grants;
pub mod reach;
pub mod rules;
