//! Virtual time: what happens next. Things of the same moment happen in the order in which they were put down.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// What is to happen, and when.
pub struct Agenda<E> {
    pub now_us: u64,
    order: u64,
    heap: BinaryHeap<Entry<E>>,
}

struct Entry<E> {
    at_us: u64,
    order: u64,
    event: E,
}

impl<E> Agenda<E> {
    pub fn new() -> Self {
        Self { now_us: 0, order: 0, heap: BinaryHeap::new() }
    }

    pub fn at(&mut self, at_us: u64, event: E) {
        self.order += 1;
        self.heap.push(Entry { at_us: at_us.max(self.now_us), order: self.order, event });
    }

    pub fn after(&mut self, delay_us: u64, event: E) {
        self.at(self.now_us + delay_us, event);
    }

    /// Goes on to what happens next.
    pub fn next(&mut self) -> Option<E> {
        let entry = self.heap.pop()?;
        self.now_us = entry.at_us;
        Some(entry.event)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    /// The earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_us, other.order).cmp(&(self.at_us, self.order))
    }
}
