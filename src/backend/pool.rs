//! Node connections that no session uses, kept for the next one that can.
//!
//! A connection is reset between two sessions: at once if the first may have left something on it that others would feel, else
//! when the next one takes it. Each worker has a pool of its own. It knows nothing of sessions: what must be equal is in [`Fit`].

use std::collections::HashMap;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::cluster::view::{ClusterView, NodeId};
use crate::net::pipe::{Fill, Pipe};
use crate::wire::capability::Status;
use crate::wire::command::{self, QUIT};
use crate::wire::ok::OK;
use crate::wire::packet;

/// How many connections are looked at for one that is ready: the newest may still be resetting.
const LOOKS_MAX: usize = 4;

/// What a reset does not change: two sessions may have one connection after the other if all of it is equal. Connection attributes are
/// not among it: they name the process that opened the connection, and only tell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fit {
    /// The node.
    pub node: NodeId,
    /// The user. Which account a node takes him for depends on the proxy's address, so it is the same for all.
    pub user: Box<[u8]>,
    /// The generation of the accounts under which it was opened: a node keeps global privileges as they were at the login.
    pub accounts: u64,
    /// The capabilities of the handshake.
    pub capabilities: u64,
    /// The longest packet of the handshake, in bytes.
    pub packet_max: u32,
    /// The collation of the handshake.
    pub collation: u8,
    /// The current schema.
    pub schema: Option<Box<[u8]>>,
}

/// What must be known of a connection to go on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The node's id for it.
    pub thread: u32,
    /// The status that its login ended with, and a reset ends with again.
    pub status: Status,
    /// How far its reset is.
    pub reset: Reset,
}

/// How far the reset of a connection is that serves one session after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// It has not been told to.
    Due,
    /// It has been told to, and has not answered.
    Sent,
    /// It is as after its login.
    Done,
}

struct Idle {
    pipe: Pipe,
    kept: Kept,
    since: Instant,
}

/// Idle connections by what they fit.
pub struct Pool {
    idle: HashMap<Fit, Vec<Idle>>,
    /// The most of them a node.
    size_max: usize,
    /// How long one is kept.
    age_max: Duration,
    buffer: Vec<u8>,
}

impl Pool {
    /// An empty pool that keeps so many connections a node, each for so long.
    pub fn new(size_max: usize, age_max: Duration) -> Self {
        Self { idle: HashMap::new(), size_max, age_max, buffer: Vec::new() }
    }

    /// Keeps a connection, or closes it where there are enough.
    pub fn put(&mut self, fit: Fit, mut pipe: Pipe, kept: Kept) {
        if pipe.is_blocked() || pipe.is_broken() || pipe.held() > 0 {
            return;
        }
        if self.count(fit.node) >= self.size_max {
            return close(&mut pipe);
        }
        self.idle.entry(fit).or_default().push(Idle { pipe, kept, since: Instant::now() });
    }

    /// A connection that is still open. One in the middle of its reset is taken only where there is no room for a new one: how long
    /// a reset takes depends on what is rolled back.
    pub fn take(&mut self, fit: &Fit, room: bool) -> Option<(Pipe, Kept)> {
        let idle = self.idle.get_mut(fit)?;
        let mut resetting = None;
        for place in (0..idle.len()).rev().take(LOOKS_MAX) {
            match look(&mut idle[place], &mut self.buffer) {
                State::Busy => resetting = Some(place),
                State::Ended => {
                    // What was behind it has been looked at.
                    drop(idle.remove(place));
                    resetting = resetting.map(|later| later - 1);
                }
                State::Fit => return Some(idle.remove(place).parts()),
            }
        }
        let place = resetting.filter(|_| !room)?;
        Some(idle.remove(place).parts())
    }

    /// Closes the oldest connections to a node, so that no more than this many are left.
    pub fn shrink(&mut self, node: NodeId, most: usize) {
        for _ in most..self.count(node) {
            let of_node = self.idle.iter_mut().filter(|(fit, idle)| fit.node == node && !idle.is_empty());
            let Some((_, idle)) = of_node.min_by_key(|(_, idle)| idle[0].since) else { return };
            close(&mut idle.remove(0).pipe);
        }
    }

    /// How many connections to this node are kept.
    pub fn count(&self, node: NodeId) -> usize {
        self.idle.iter().filter(|(fit, _)| fit.node == node).map(|(_, idle)| idle.len()).sum()
    }

    /// Closes what has been kept long enough, and what is of nodes that are not to be used.
    pub fn tidy(&mut self, view: &ClusterView, now: Instant) {
        let age_max = self.age_max;
        for (fit, idle) in &mut self.idle {
            let usable = view.node(fit.node).is_some_and(|node| node.usable());
            idle.retain_mut(|idle| {
                let keep = usable && now.saturating_duration_since(idle.since) < age_max;
                if !keep {
                    close(&mut idle.pipe);
                }
                keep
            });
        }
        self.idle.retain(|_, idle| !idle.is_empty());
    }
}

impl Idle {
    fn parts(self) -> (Pipe, Kept) {
        (self.pipe, self.kept)
    }
}

/// What has become of an idle connection.
enum State {
    /// It has not been reset yet.
    Busy,
    /// It has said something else than that it has been reset, or closed.
    Ended,
    Fit,
}

fn look(idle: &mut Idle, buffer: &mut Vec<u8>) -> State {
    let mut context = Context::from_waker(Waker::noop());
    if idle.kept.reset == Reset::Sent {
        match idle.pipe.poll_fill(&mut context, buffer) {
            Poll::Pending => return State::Busy,
            Poll::Ready(Fill::Bytes(count)) => match packet::first(&buffer[..count]) {
                Some((header, [OK, ..])) if header.total() == count => idle.kept.reset = Reset::Done,
                _ => return State::Ended,
            },
            Poll::Ready(Fill::Closed | Fill::Garbled) => return State::Ended,
        }
    }
    match idle.pipe.poll_fill(&mut context, buffer) {
        Poll::Pending => State::Fit,
        Poll::Ready(_) => State::Ended,
    }
}

/// A node logs a connection that just vanishes as aborted.
fn close(pipe: &mut Pipe) {
    let mut quit = Vec::new();
    command::put(&mut quit, QUIT, b"");
    pipe.write(&mut Context::from_waker(Waker::noop()), &quit, false);
}
