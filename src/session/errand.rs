//! What a session may be waiting for outside of its own sockets: one thing at a time.

use std::pin::Pin;

use crate::outcome::Outcome;

use super::desk::Found;

/// Something a session waits for that is no socket of its own.
pub(super) type Errand = Pin<Box<dyn Future<Output = Word>>>;

/// What an errand brings back.
pub(super) enum Word {
    /// The accounts have been loaded again, or can't be now.
    Accounts,
    /// Where another session is at work.
    Found(Found),
    /// What became of interrupted work.
    Outcome(Outcome),
}
