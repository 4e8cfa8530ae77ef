//! The watch on a client that is in the middle of something: it has only so much time to go on.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Sleep;

/// A client of which less than this many bytes come or go in the stall timeout has stalled.
const STALL_BYTES: usize = 4 << 10;

/// One watch. It is not renewed, but replaced when the client has moved.
pub(super) struct Stall {
    timer: Pin<Box<Sleep>>,
    /// What had come and gone when it began, in bytes; wraps.
    moved: usize,
}

impl Stall {
    pub(super) fn begin(timer: Pin<Box<Sleep>>, moved: usize) -> Self {
        Self { timer, moved }
    }

    /// Whether enough has come and gone since.
    pub(super) fn is_over(&self, moved: usize) -> bool {
        moved.wrapping_sub(self.moved) >= STALL_BYTES
    }

    /// Ready when the time is up.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().poll(context)
    }
}
