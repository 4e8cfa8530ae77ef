//! Who may log in: the cluster's accounts, and both sides of a login.
//!
//! - [`native`], [`ed25519`], [`parsec`], [`caching_sha2`], [`known`], [`secret`], [`pattern`], [`account`], [`grants`], [`accounts`], [`admit`], [`hosts`]: pure. What the server's access control would say.
//! - [`load`]: reads the grant tables of one node.
//! - [`directory`]: keeps the current snapshot, reloads it periodically and when a login fails.

pub mod account;
pub mod accounts;
pub mod admit;
pub mod caching_sha2;
pub mod directory;
pub mod ed25519;
pub mod grants;
pub mod hosts;
pub mod known;
pub mod load;
pub mod native;
pub mod parsec;
pub mod pattern;
pub mod secret;

#[cfg(test)]
mod tests;
