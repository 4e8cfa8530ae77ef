//! Node connections that no session uses, kept for the next one that can.
//!
//! A connection is reset when a session leaves it, so that nobody waits for that; one on which nothing but reads has run needs no
//! reset. Each worker has a pool of its own. It knows nothing of sessions: what must be equal is in [`Fit`].

use std::collections::HashMap;
use std::net::IpAddr;
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
/// A schema that others may have dropped is believed to be there for so long after it was seen.
const SCHEMA_TRUST_US: u64 = 1_000_000;

/// What a reset does not change: two sessions may have one connection after the other if all of it is equal. Connection attributes are
/// not among it: they name the process that opened the connection, and only tell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fit {
    /// The node.
    pub node: NodeId,
    /// The user. Which account a node takes him for depends on the proxy's address, so it is the same for all.
    pub user: Box<[u8]>,
    /// But where the node is told of the client's address: then it depends on that.
    pub client: Option<IpAddr>,
    /// The generation of the accounts under which it was opened: a node keeps global privileges as they were at the login.
    pub accounts: u64,
    /// What it began with.
    pub defaults: Defaults,
    /// The capabilities of the handshake.
    pub capabilities: u64,
    /// The longest packet of the handshake, in bytes.
    pub packet_max: u32,
    /// The collation of the handshake.
    pub collation: u8,
    /// The current schema.
    pub schema: Option<Box<[u8]>>,
}

/// What a new connection begins with, which SET GLOBAL and GRANT change: not the values, but how often they were changed when it was
/// opened, at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Defaults {
    /// Through this proxy.
    pub set: u64,
    /// As the probes of nodes have seen.
    pub seen: u64,
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
    /// When its schema was there.
    pub schema_seen: Sighting,
    /// What it began with, at its login or at its reset.
    pub defaults: Defaults,
}

/// When something was seen that a definition (DDL) may end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// At this time of the worker's clock, in microseconds.
    pub at_us: u64,
    /// After so many definitions had gone through this proxy.
    pub definitions: u64,
}

impl Sighting {
    /// Whether it holds now: nothing was defined through this proxy since, and nobody else has had much time to.
    pub fn holds(self, now: Self) -> bool {
        self.definitions == now.definitions && now.at_us.saturating_sub(self.at_us) < SCHEMA_TRUST_US
    }
}

/// How far the reset of a connection is that serves one session after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Nothing but reads has run on it, of which only row counts are left.
    Unneeded,
    /// It has been told to, and to go into its schema again; so many answers are to come.
    Sent(u8),
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

    /// From now on it keeps so many, each for so long.
    pub fn bound(&mut self, size_max: usize, age_max: Duration) {
        (self.size_max, self.age_max) = (size_max, age_max);
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

    /// Closes what has been kept long enough, what is of nodes that are not to be used, and what new connections are unlike.
    pub fn tidy(&mut self, view: &ClusterView, defaults: Defaults, now: Instant) {
        let age_max = self.age_max;
        for (fit, idle) in &mut self.idle {
            let usable = fit.defaults == defaults && view.node(fit.node).is_some_and(|node| node.usable());
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
    while let Reset::Sent(answers) = idle.kept.reset {
        let count = match idle.pipe.poll_fill(&mut context, buffer) {
            Poll::Pending => return State::Busy,
            Poll::Ready(Fill::Bytes(count)) => count,
            Poll::Ready(Fill::Closed | Fill::Garbled) => return State::Ended,
        };
        let (taken, left) = match done(&buffer[..count], answers) {
            Some(progress) => progress,
            None => return State::Ended,
        };
        idle.pipe.hold(&buffer[taken..count]);
        idle.kept.reset = if left == 0 { Reset::Done } else { Reset::Sent(left) };
    }
    match idle.pipe.poll_fill(&mut context, buffer) {
        Poll::Pending => State::Fit,
        Poll::Ready(_) => State::Ended,
    }
}

/// How many of these bytes are answers that say that all went well, and how many answers are still to come. None if one says something
/// else, or there are more.
fn done(bytes: &[u8], mut answers: u8) -> Option<(usize, u8)> {
    let mut taken = 0;
    while let Some((header, payload)) = packet::first(&bytes[taken..]) {
        answers = answers.checked_sub(1).filter(|_| payload.first() == Some(&OK))?;
        taken += header.total();
    }
    (answers > 0 || taken == bytes.len()).then_some((taken, answers))
}

/// A node logs a connection that just vanishes as aborted.
fn close(pipe: &mut Pipe) {
    let mut quit = Vec::new();
    command::put(&mut quit, QUIT, b"");
    pipe.write(&mut Context::from_waker(Waker::noop()), &quit, false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_any_pieces() {
        const FINE: &[u8] = &[7, 0, 0, 1, OK, 0, 0, 2, 0, 0, 0];
        const ERROR: &[u8] = &[3, 0, 0, 1, 0xff, 0x19, 4];
        type Row<'a> = (&'a [&'a [u8]], u8, Option<(usize, u8)>);
        let table: [Row; 8] = [
            (&[FINE, FINE], 2, Some((22, 0))),
            (&[FINE], 2, Some((11, 1))),
            (&[FINE, &FINE[..5]], 2, Some((11, 1))),
            (&[&FINE[..3]], 1, Some((0, 1))),
            (&[FINE, ERROR], 2, None),
            (&[ERROR], 1, None),
            (&[FINE, FINE], 1, None),
            (&[FINE, &FINE[..5]], 1, None),
        ];
        for (pieces, answers, expect) in table {
            assert_eq!(done(&pieces.concat(), answers), expect, "{pieces:?}");
        }
    }

    #[test]
    fn a_schema_is_trusted_for_a_while() {
        let seen = Sighting { at_us: 5, definitions: 1 };
        assert!(seen.holds(Sighting { at_us: 4 + SCHEMA_TRUST_US, definitions: 1 }));
        assert!(!seen.holds(Sighting { at_us: 5 + SCHEMA_TRUST_US, definitions: 1 }));
        assert!(!seen.holds(Sighting { at_us: 6, definitions: 2 }));
    }
}
