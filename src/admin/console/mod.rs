//! The SQL console: what operators see and order, in SQL, for any MariaDB client, on a loopback address of its own.
//!
//! It shows what the JSON API shows, as tables of a schema `stats`. It has no users: who reaches the address may look and order.

mod guard;
mod listen;
mod parse;
mod question;
mod tables;

pub use listen::serve;
