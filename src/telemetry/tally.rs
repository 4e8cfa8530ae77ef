//! What is counted (pure): a worker's own tally in plain cells, and the totals of the process, to which each worker adds its own now
//! and then. So nothing on the data path is shared between threads.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster::view::NodeId;

/// Something that is counted, whatever node it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Event {
    BytesToClients,
    BytesToNodes,
    BytesToReplicas,
    /// A login that was refused.
    LoginRefused,
    /// An error that is the client's fault.
    ClientFault,
    /// One of a node's making that the proxy had to tell.
    NodeFault,
    /// One of the proxy's own.
    ProxyFault,
    /// A node connection that ended before its session.
    ConnectionLost,
    /// A command that was sent once more.
    Rerun,
    /// A transaction that was to run again.
    Replay,
    /// Work that runs again because it was in the way of other work.
    Abort,
    /// An interrupted write that was found committed.
    OutcomeCommitted,
    /// One that did not happen.
    OutcomeAbsent,
    /// One of which nothing could be found out.
    OutcomeUnknown,
    /// The writer's role went to another node.
    WriterChange,
    /// A dump went on at another node.
    Takeover,
}

const EVENTS: usize = Event::Takeover as usize + 1;

/// By which way a command came to its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// It was for the writer.
    Writer,
    /// For a reader.
    Reader,
    /// For the node of the statement before it.
    Home,
    /// For the node that holds what it needs.
    Held,
    /// For a node that a comment names.
    Named,
}

/// All routes.
pub const ROUTES: [Route; 5] = [Route::Writer, Route::Reader, Route::Home, Route::Held, Route::Named];

impl Route {
    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::Home => "home",
            Self::Held => "held",
            Self::Named => "named",
        }
    }
}

/// Upper bounds of the classes of times, in microseconds; what is longer is counted behind the last.
pub const BOUNDS_US: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];
const CLASSES: usize = BOUNDS_US.len() + 1;
/// The cells of one node and route: the classes and the sum.
const CELLS: usize = CLASSES + 1;

/// Times of one node and route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// How many are in each class: up to the bound, and the last one beyond all.
    pub classes: [u64; CLASSES],
    /// All of them together, in microseconds.
    pub sum_us: u64,
}

fn cells(nodes: usize) -> usize {
    EVENTS + nodes * ROUTES.len() * CELLS
}

/// Where the cells of a node and route begin.
fn place(node: NodeId, route: Route) -> usize {
    EVENTS + (usize::from(node.0) * ROUTES.len() + route as usize) * CELLS
}

/// A worker's own numbers since it last gave them to the totals.
#[derive(Debug)]
pub struct Tally(Box<[u64]>);

impl Tally {
    /// Zeroes for so many nodes.
    pub fn new(nodes: usize) -> Self {
        Self(vec![0; cells(nodes)].into())
    }

    /// Once more.
    pub fn count(&mut self, event: Event) {
        self.add(event, 1);
    }

    /// So many more.
    pub fn add(&mut self, event: Event, count: u64) {
        self.0[event as usize] += count;
    }

    /// Whether this has been counted since.
    pub fn has(&self, event: Event) -> bool {
        self.0[event as usize] > 0
    }

    /// A command has ended on this node so long after the client had sent it.
    pub fn command(&mut self, node: NodeId, route: Route, time_us: u64) {
        let class = BOUNDS_US.partition_point(|bound| *bound < time_us);
        let place = place(node, route);
        if let Some(cells) = self.0.get_mut(place..place + CELLS) {
            cells[class] += 1;
            cells[CLASSES] += time_us;
        }
    }

    /// Adds all to the totals, and begins anew.
    pub fn give_to(&mut self, totals: &Totals) {
        for (cell, total) in self.0.iter_mut().zip(&totals.0).filter(|(cell, _)| **cell != 0) {
            total.fetch_add(std::mem::take(cell), Ordering::Relaxed);
        }
    }
}

/// The numbers of the process since its start.
#[derive(Debug)]
pub struct Totals(Box<[AtomicU64]>);

impl Totals {
    /// Zeroes for so many nodes.
    pub fn new(nodes: usize) -> Self {
        Self((0..cells(nodes)).map(|_| AtomicU64::new(0)).collect())
    }

    /// So many more, from where there is no tally.
    pub fn add(&self, event: Event, count: u64) {
        self.0[event as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self, event: Event) -> u64 {
        self.0[event as usize].load(Ordering::Relaxed)
    }

    /// The times of commands on this node that came by this route.
    pub fn commands(&self, node: NodeId, route: Route) -> Histogram {
        let place = place(node, route);
        let cell = |at: usize| self.0.get(place + at).map_or(0, |cell| cell.load(Ordering::Relaxed));
        Histogram { classes: std::array::from_fn(cell), sum_us: cell(CLASSES) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up() {
        let (totals, mut one, mut other) = (Totals::new(2), Tally::new(2), Tally::new(2));
        one.count(Event::Takeover);
        other.add(Event::Takeover, 2);
        totals.add(Event::Takeover, 4);
        one.command(NodeId(1), Route::Named, 100);
        other.command(NodeId(1), Route::Named, 101);
        other.command(NodeId(1), Route::Named, u64::from(u32::MAX));
        one.command(NodeId(0), Route::Writer, 0);
        // Of a node that is not configured.
        one.command(NodeId(2), Route::Writer, 0);
        for _ in 0..2 {
            one.give_to(&totals);
            other.give_to(&totals);
        }
        assert_eq!(totals.get(Event::Takeover), 7);
        let named = totals.commands(NodeId(1), Route::Named);
        assert_eq!((named.classes[0], named.classes[1], named.classes[CLASSES - 1]), (1, 1, 1));
        assert_eq!((named.classes.iter().sum::<u64>(), named.sum_us), (3, 201 + u64::from(u32::MAX)));
        assert_eq!(totals.commands(NodeId(0), Route::Writer).classes[0], 1);
        assert_eq!(totals.commands(NodeId(0), Route::Named).sum_us, 0);
    }
}
