//! The bound on a node's connections: who may have one, who waits for one, and who is asked to give his back.
//!
//! Each worker has its share of the seats of each node. Who needs one waits in line; meanwhile whoever has offered his seat for the
//! longest time is asked for it. It knows nothing of sockets and sessions: a connection in use has a [`Seat`], and whoever has
//! it is a [`Lender`].

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::cluster::view::NodeId;

/// While others wait, a seat is kept for so long where one command follows the other: it costs more to change seats than to wait.
const SPELL_US: u64 = 100_000;
/// The next command of such a spell comes within this time.
const PAUSE_US: u64 = 3_000;
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
    taken_us: u64,
    offered_us: Cell<u64>,
    permit: Option<OwnedSemaphorePermit>,
    /// Of its node.
    excess: Rc<Cell<usize>>,
}

impl Drop for Seat {
    /// Nobody gets it after this one if there are more than there may be.
    fn drop(&mut self) {
        if let Some(excess) = self.excess.get().checked_sub(1) {
            self.excess.set(excess);
            self.permit.take().into_iter().for_each(OwnedSemaphorePermit::forget);
        }
    }
}

impl Seat {
    /// Offers it to others: it is idle from this time of the worker's clock on, in microseconds, or in use if `None`.
    pub fn offer(&self, idle_us: Option<u64>) {
        let pause = |idle_us: u64| if idle_us < self.taken_us + SPELL_US { PAUSE_US } else { 0 };
        self.offered_us.set(idle_us.map_or(IN_USE, |idle_us| idle_us + pause(idle_us)));
    }

    /// Whether others may have it now.
    pub fn is_offered(&self, now_us: u64) -> bool {
        self.offered_us.get() <= now_us
    }

    /// The node.
    pub fn node(&self) -> NodeId {
        self.node
    }
}

/// A place in the line for a seat, which is given up with it.
pub type Turn = Pin<Box<dyn Future<Output = Permit>>>;

/// A seat that nobody has taken yet.
pub struct Permit(OwnedSemaphorePermit);

/// A worker's seats.
pub struct Seats {
    nodes: Box<[Rc<Node>]>,
    share: Cell<usize>,
    line: Notify,
}

struct Node {
    free: Arc<Semaphore>,
    /// So many seats that are in use are to be given up.
    excess: Rc<Cell<usize>>,
    waiting: Cell<usize>,
    taken: RefCell<Vec<Weak<Seat>>>,
}

impl Seats {
    /// So many seats at each of so many nodes.
    pub fn new(nodes: usize, share: usize) -> Self {
        let share = share.min(Semaphore::MAX_PERMITS);
        let node = |_| {
            let free = Arc::new(Semaphore::new(share));
            Rc::new(Node { free, excess: Rc::default(), waiting: Cell::new(0), taken: RefCell::default() })
        };
        Self { nodes: (0..nodes).map(node).collect(), share: Cell::new(share), line: Notify::new() }
    }

    /// From now on there are so many. Those in use stay in use.
    pub fn resize(&self, share: usize) {
        let share = share.min(Semaphore::MAX_PERMITS);
        let before = self.share.replace(share);
        for place in &self.nodes {
            let kept = place.excess.get().min(share.saturating_sub(before));
            let gone = before.saturating_sub(share);
            place.free.add_permits(share.saturating_sub(before) - kept);
            place.excess.update(|excess| excess - kept + gone - place.free.forget_permits(gone));
        }
    }

    /// A seat, if one is free and nobody waits.
    pub fn take(&self, node: NodeId, lender: &Rc<dyn Lender>, now_us: u64) -> Option<Rc<Seat>> {
        let place = self.node(node)?;
        let permit = place.free.clone().try_acquire_owned().ok()?;
        Some(place.seat(node, permit, lender.clone(), now_us))
    }

    /// A place in the line for a seat. Somebody is asked for his, if anybody has offered one by now.
    pub fn wait(&self, node: NodeId, now_us: u64) -> Turn {
        let Some(place) = self.node(node).cloned() else { return Box::pin(std::future::pending()) };
        place.waiting.update(|waiting| waiting + 1);
        self.line.notify_one();
        place.ask(node, now_us);
        let waiter = Waiter(place);
        Box::pin(async move {
            match waiter.0.free.clone().acquire_owned().await {
                Ok(permit) => Permit(permit),
                // The seats are never closed.
                Err(_) => std::future::pending().await,
            }
        })
    }

    /// The seat of whoever has come to the end of the line.
    pub fn sit(&self, node: NodeId, permit: Permit, lender: &Rc<dyn Lender>, now_us: u64) -> Option<Rc<Seat>> {
        Some(self.node(node)?.seat(node, permit.0, lender.clone(), now_us))
    }

    /// Returns when somebody has begun to wait.
    pub async fn line(&self) {
        self.line.notified().await;
    }

    /// Whether somebody waits for any seat.
    pub fn has_line(&self) -> bool {
        self.nodes.iter().any(|node| node.waiting.get() > 0)
    }

    /// Whether somebody waits for a seat at this node.
    pub fn is_wanted(&self, node: NodeId) -> bool {
        self.waiting(node) > 0
    }

    /// How many wait for a seat at this node.
    pub fn waiting(&self, node: NodeId) -> usize {
        self.node(node).map_or(0, |place| place.waiting.get())
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
        self.share.get()
    }

    fn node(&self, node: NodeId) -> Option<&Rc<Node>> {
        self.nodes.get(usize::from(node.0))
    }
}

impl Node {
    fn seat(&self, node: NodeId, permit: OwnedSemaphorePermit, lender: Rc<dyn Lender>, taken_us: u64) -> Rc<Seat> {
        let (offered_us, excess) = (Cell::new(IN_USE), self.excess.clone());
        let seat = Rc::new(Seat { node, lender, taken_us, offered_us, permit: Some(permit), excess });
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
        let Some(seat) = oldest.filter(|seat| seat.is_offered(now_us)) else { return false };
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

    fn poll(turn: &mut Turn) -> Option<Permit> {
        match turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    #[test]
    fn who_waits_is_served_in_turn() {
        let seats = Seats::new(1, 1);
        let (_, lender) = owner();
        let seat = seats.take(NODE, &lender, 0).unwrap();
        let mut turns: Vec<Turn> = (0..3).map(|_| seats.wait(NODE, 0)).collect();
        assert!(turns.iter_mut().all(|turn| poll(turn).is_none()) && seats.is_wanted(NODE));
        drop(seat);
        assert!(seats.take(NODE, &lender, 0).is_none(), "nobody jumps the line");
        assert!(poll(&mut turns[1]).is_none());
        let permit = poll(&mut turns[0]).unwrap();
        // The second has gone: it is the third's turn.
        drop((turns.remove(1), permit));
        assert!(poll(&mut turns[1]).is_some());
        drop(turns);
        assert!(!seats.has_line() && seats.take(NODE, &lender, 0).is_some());
    }

    #[test]
    fn who_has_offered_for_the_longest_time_is_asked() {
        let now_us = 10 * SPELL_US;
        let seats = Seats::new(1, 3);
        let owners: Vec<_> = (0..3).map(|_| owner()).collect();
        let taken: Vec<_> = owners.iter().map(|(_, lender)| seats.take(NODE, lender, 0).unwrap()).collect();
        let asked = || owners.iter().map(|(owner, _)| owner.0.get()).collect::<Vec<_>>();
        let _first = seats.wait(NODE, now_us);
        assert_eq!(asked(), [0, 0, 0], "nobody has offered one");
        for (seat, idle_us) in taken.iter().zip([now_us - 1, now_us - 5, now_us + 10]) {
            seat.offer(Some(idle_us));
        }
        seats.ask(now_us);
        assert_eq!(asked(), [0, 1, 0]);
        let _second = seats.wait(NODE, now_us);
        assert_eq!(asked(), [1, 1, 0]);
        seats.ask(now_us + 9);
        assert_eq!(asked(), [1, 1, 0], "who has been asked is not asked again, and who offers later is not asked yet");
        seats.ask(now_us + 10);
        assert_eq!(asked(), [1, 1, 1]);
    }

    #[test]
    fn a_seat_is_kept_for_a_spell() {
        let seats = Seats::new(1, 1);
        let (_, lender) = owner();
        let seat = seats.take(NODE, &lender, 1000).unwrap();
        seat.offer(Some(2000));
        assert!(!seat.is_offered(2000) && seat.is_offered(2000 + PAUSE_US), "a pause of the client");
        seat.offer(Some(1000 + SPELL_US));
        assert!(seat.is_offered(1000 + SPELL_US), "the spell is over");
    }

    #[test]
    fn there_may_be_more_or_fewer() {
        let seats = Seats::new(1, 2);
        let (_, lender) = owner();
        let take = || seats.take(NODE, &lender, 0);
        let (one, two) = (take().unwrap(), take().unwrap());
        seats.resize(3);
        let three = take().unwrap();
        seats.resize(1);
        let mut turn = seats.wait(NODE, 0);
        drop((one, two));
        assert!(poll(&mut turn).is_none(), "that is one still");
        drop(three);
        assert!(poll(&mut turn).is_some());
        drop(turn);
        seats.resize(0);
        assert!(take().is_none());
        seats.resize(2);
        let both = (take().unwrap(), take().unwrap());
        assert!(take().is_none());
        seats.resize(1);
        seats.resize(2);
        drop(both);
        let _both = (take().unwrap(), take().unwrap());
        assert!(take().is_none(), "none is lost, and none too many");
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
