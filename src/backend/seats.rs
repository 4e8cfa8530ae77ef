//! The bound on a node's connections: who may have one, who waits for one, and who is asked to give his back.
//!
//! Each worker has its share of the seats of each node. Who needs one waits in line; meanwhile whoever has offered his seat for the
//! longest time is asked for it. It knows nothing of sockets and sessions: a connection in use has a [`Seat`], and whoever has
//! it is a [`Lender`].

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::cluster::view::NodeId;

/// A seat that is not offered.
const IN_USE: u64 = u64::MAX;

/// Whoever has seats, and can be asked for them.
pub trait Lender {
    /// He is to give back his seat at this node if he still can.
    fn ask_for(&self, node: NodeId);
}

/// The right to use one connection to a node, for as long as it lives.
pub struct Seat {
    node: NodeId,
    lender: Rc<dyn Lender>,
    offered_us: Cell<u64>,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    /// Offers it to others from this time of the worker's clock on, in microseconds; not at all if `None`.
    pub fn offer(&self, from_us: Option<u64>) {
        self.offered_us.set(from_us.unwrap_or(IN_USE));
    }

    /// The node.
    pub fn node(&self) -> NodeId {
        self.node
    }
}

/// A place in the line for a seat, which is given up with it.
pub type Turn = Pin<Box<dyn Future<Output = Rc<Seat>>>>;

/// A worker's seats.
pub struct Seats {
    nodes: Box<[Rc<Node>]>,
    share: usize,
}

struct Node {
    free: Arc<Semaphore>,
    waiting: Cell<usize>,
    taken: RefCell<Vec<Weak<Seat>>>,
}

impl Seats {
    /// So many seats at each of so many nodes.
    pub fn new(nodes: usize, share: usize) -> Self {
        let share = share.min(Semaphore::MAX_PERMITS);
        let node = |_| {
            let free = Arc::new(Semaphore::new(share));
            Rc::new(Node { free, waiting: Cell::new(0), taken: RefCell::default() })
        };
        Self { nodes: (0..nodes).map(node).collect(), share }
    }

    /// A seat, if one is free and nobody waits.
    pub fn take(&self, node: NodeId, lender: &Rc<dyn Lender>) -> Option<Rc<Seat>> {
        let place = self.node(node)?;
        let permit = place.free.clone().try_acquire_owned().ok()?;
        Some(place.seat(node, permit, lender.clone()))
    }

    /// A place in the line for a seat. Somebody is asked for his, if anybody has offered one by now.
    pub fn wait(&self, node: NodeId, lender: &Rc<dyn Lender>, now_us: u64) -> Turn {
        let Some(place) = self.node(node).cloned() else { return Box::pin(std::future::pending()) };
        place.waiting.update(|waiting| waiting + 1);
        place.ask(node, now_us);
        let waiter = Waiter(place);
        let lender = lender.clone();
        Box::pin(async move {
            match waiter.0.free.clone().acquire_owned().await {
                Ok(permit) => waiter.0.seat(node, permit, lender),
                // The seats are never closed.
                Err(_) => std::future::pending().await,
            }
        })
    }

    /// Whether somebody waits for a seat at this node.
    pub fn is_wanted(&self, node: NodeId) -> bool {
        self.node(node).is_some_and(|place| place.waiting.get() > 0)
    }

    /// Asks for as many of the seats on offer as there are waiters.
    pub fn ask(&self, now_us: u64) {
        for (id, place) in self.nodes.iter().enumerate() {
            for _ in 0..place.waiting.get() {
                if !place.ask(NodeId(id as u16), now_us) {
                    break;
                }
            }
        }
    }

    /// How many connections to this node may be kept that nobody uses.
    pub fn spare(&self, node: NodeId) -> usize {
        self.node(node).map_or(0, |place| place.free.available_permits())
    }

    /// This worker's share of each node's connections.
    pub fn share(&self) -> usize {
        self.share
    }

    fn node(&self, node: NodeId) -> Option<&Rc<Node>> {
        self.nodes.get(usize::from(node.0))
    }
}

impl Node {
    fn seat(&self, node: NodeId, permit: OwnedSemaphorePermit, lender: Rc<dyn Lender>) -> Rc<Seat> {
        let seat = Rc::new(Seat { node, lender, offered_us: Cell::new(IN_USE), _permit: permit });
        let mut taken = self.taken.borrow_mut();
        if taken.len() == taken.capacity() {
            taken.retain(|seat| seat.strong_count() > 0);
        }
        taken.push(Rc::downgrade(&seat));
        seat
    }

    /// Asks whoever has offered his seat for the longest time. False if nobody has.
    fn ask(&self, node: NodeId, now_us: u64) -> bool {
        let taken = self.taken.borrow();
        let oldest = taken.iter().filter_map(Weak::upgrade).min_by_key(|seat| seat.offered_us.get());
        let Some(seat) = oldest.filter(|seat| seat.offered_us.get() <= now_us) else { return false };
        seat.offer(None);
        seat.lender.ask_for(node);
        true
    }
}

/// One in the line.
struct Waiter(Rc<Node>);

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.waiting.update(|waiting| waiting - 1);
    }
}

/// A worker's share of what is bounded for all of them together: the shares add up to the whole.
pub fn share(whole: usize, place: usize, workers: usize) -> usize {
    whole / workers + usize::from(place < whole % workers)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    const NODE: NodeId = NodeId(0);

    #[derive(Default)]
    struct Owner(Cell<usize>);

    impl Lender for Owner {
        fn ask_for(&self, _: NodeId) {
            self.0.set(self.0.get() + 1);
        }
    }

    fn owner() -> (Rc<Owner>, Rc<dyn Lender>) {
        let owner = Rc::new(Owner::default());
        (owner.clone(), owner)
    }

    fn poll(turn: &mut Turn) -> Option<Rc<Seat>> {
        match turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(seat) => Some(seat),
            Poll::Pending => None,
        }
    }

    #[test]
    fn who_waits_is_served_in_turn() {
        let seats = Seats::new(1, 1);
        let (_, lender) = owner();
        let seat = seats.take(NODE, &lender).unwrap();
        let mut turns: Vec<Turn> = (0..3).map(|_| seats.wait(NODE, &lender, 0)).collect();
        assert!(turns.iter_mut().all(|turn| poll(turn).is_none()) && seats.is_wanted(NODE));
        drop(seat);
        assert!(seats.take(NODE, &lender).is_none(), "nobody jumps the line");
        assert!(poll(&mut turns[1]).is_none());
        let seat = poll(&mut turns[0]).unwrap();
        // The second has gone: it is the third's turn.
        drop((turns.remove(1), seat));
        assert!(poll(&mut turns[1]).is_some());
        drop(turns);
        assert!(!seats.is_wanted(NODE) && seats.take(NODE, &lender).is_some());
    }

    #[test]
    fn who_has_offered_for_the_longest_time_is_asked() {
        let seats = Seats::new(1, 3);
        let owners: Vec<_> = (0..3).map(|_| owner()).collect();
        let taken: Vec<_> = owners.iter().map(|(_, lender)| seats.take(NODE, lender).unwrap()).collect();
        let asked = || owners.iter().map(|(owner, _)| owner.0.get()).collect::<Vec<_>>();
        let _first = seats.wait(NODE, &owners[0].1, 10);
        assert_eq!(asked(), [0, 0, 0], "nobody has offered one");
        taken[0].offer(Some(9));
        taken[1].offer(Some(5));
        taken[2].offer(Some(30));
        seats.ask(10);
        assert_eq!(asked(), [0, 1, 0]);
        let _second = seats.wait(NODE, &owners[0].1, 10);
        assert_eq!(asked(), [1, 1, 0]);
        seats.ask(20);
        assert_eq!(asked(), [1, 1, 0], "who has been asked is not asked again, and who offers later is not asked yet");
        seats.ask(30);
        assert_eq!(asked(), [1, 1, 1]);
    }

    #[test]
    fn shares_add_up() {
        for (whole, workers) in [(100, 1), (100, 3), (7, 7), (5, 2)] {
            let shares = (0..workers).map(|place| share(whole, place, workers));
            assert_eq!(shares.clone().sum::<usize>(), whole);
            assert!(shares.clone().max().unwrap() - shares.min().unwrap() <= 1);
        }
    }
}
