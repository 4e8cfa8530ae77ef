//! What a worker tells and takes at a steady pace: its numbers, here its own cells meet those of the process; and how far the nodes are.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster::view::NodeId;
use crate::routing::reader::Load;
use crate::telemetry::tally::Event;

use super::worker::Worker;

/// A worker's share of what a node has now.
#[derive(Clone, Copy, Default)]
pub(super) struct Gauges {
    connections: u64,
    idle: u64,
    waiting: u64,
}

impl Worker {
    /// Gives what has been counted to the totals, tells what has changed at the nodes, and takes what has become known of them.
    pub(super) fn publish(&self) {
        self.shared.registry.beat(self.place);
        self.tidy_pool();
        if self.withdraws() {
            self.tell_all(|heard| heard.view = true);
        }
        let mut bench = self.bench();
        // How far nodes are changes no route, so nobody is woken by it; where an interrupted write is looked for begins there.
        bench.desk.take_view(self.shared.view.load().clone());
        let (pool, counters) = (self.pool(), &self.shared.counters);
        self.pace.follow(bench.desk.tally.has(Event::Abort));
        bench.desk.tally.give_to(&counters.totals);
        bench.desk.loads.iter_mut().for_each(Load::age);
        let known = bench.desk.loads.len();
        let mut published = self.published.borrow_mut();
        for (place, (before, node)) in published.iter_mut().zip(&counters.nodes).enumerate().take(known) {
            let id = NodeId(place as u16);
            let now = Gauges {
                connections: bench.desk.load(id).map_or(0, |load| u64::from(load.connections)),
                idle: pool.count(id) as u64,
                waiting: self.seats().waiting(id) as u64,
            };
            shift(&node.connections, before.connections, now.connections);
            shift(&node.idle, before.idle, now.idle);
            shift(&node.waiting, before.waiting, now.waiting);
            *before = now;
        }
    }
}

/// Moves a sum by what one part of it has changed.
fn shift(sum: &AtomicU64, before: u64, now: u64) {
    if before != now {
        sum.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }
}
