//! The node connections of a task: getting one from the pool or the node, when there is a seat for it; reading it; lending it.
//!
//! It decides nothing: what to get and what can be spared is the machine's, who is next in line is the seats'.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::backend::pool::{Fit, Kept};
use crate::backend::seats::{Lender, Permit, Seat, Turn};
use crate::net::pipe::{Fill, Pipe};
use crate::net::stream::Stream;
use crate::routing::reader::NodeSet;

use super::desk::Slot;
use super::task::{FIRST_NODE, Task};
use super::worker::Bench;

type Dial = Pin<Box<dyn Future<Output = io::Result<Stream>>>>;

/// What a slot of the machine stands for.
pub(super) enum NodeEnd {
    Closed,
    /// In the line for a seat.
    Queued(Queued),
    Dialling(Dial, Rc<Seat>),
    /// Found in the pool.
    TakenOver(Pipe, Kept, Rc<Seat>),
    Open(Pipe, Rc<Seat>),
}

/// A connection that there is no room for yet.
pub(super) struct Queued {
    fit: Fit,
    turn: Turn,
    /// The machine knows of it.
    told: bool,
}

impl Task {
    pub(super) fn poll_node(&mut self, place: usize, bench: &mut Bench) -> bool {
        let slot = place as Slot;
        let context = &mut Context::from_waker(self.signals.waker(FIRST_NODE + place));
        match &mut self.nodes[place] {
            NodeEnd::Closed => return false,
            NodeEnd::Queued(queued) => {
                let told = std::mem::replace(&mut queued.told, true);
                match queued.turn.as_mut().poll(context) {
                    Poll::Pending if told => {
                        self.signals.rest(FIRST_NODE + place);
                        return false;
                    }
                    Poll::Pending => self.machine.on_queued(slot, &mut bench.desk),
                    Poll::Ready(permit) => self.seated(place, permit, bench),
                }
            }
            NodeEnd::Dialling(dial, seat) => match dial.as_mut().poll(context) {
                Poll::Pending => {
                    self.signals.rest(FIRST_NODE + place);
                    return false;
                }
                Poll::Ready(Ok(stream)) => {
                    self.nodes[place] = NodeEnd::Open(Pipe::new(stream), seat.clone());
                    self.machine.on_dialled(slot);
                }
                Poll::Ready(Err(_)) => self.node_closed(slot, bench),
            },
            NodeEnd::TakenOver(..) => self.take_over(place, bench),
            NodeEnd::Open(pipe, _) => {
                if pipe.is_blocked() {
                    let _ = pipe.poll_drain(context);
                }
                if self.client.is_blocked() {
                    return false;
                }
                match pipe.poll_fill(context, &mut bench.scratch) {
                    Poll::Pending => {
                        self.signals.rest(FIRST_NODE + place);
                        return false;
                    }
                    Poll::Ready(Fill::Closed | Fill::Garbled) => self.node_closed(slot, bench),
                    Poll::Ready(Fill::Bytes(count)) => {
                        let taken = self.machine.on_node(slot, &mut bench.scratch[..count], &mut bench.desk);
                        self.perform(bench);
                        if let NodeEnd::Open(pipe, _) = &mut self.nodes[place] {
                            pipe.hold(&bench.scratch[taken..count]);
                        }
                        return true;
                    }
                }
            }
        }
        self.perform(bench);
        true
    }

    fn take_over(&mut self, place: usize, bench: &mut Bench) {
        if let NodeEnd::TakenOver(pipe, kept, seat) = self.vacate(place as Slot) {
            self.worker.hear_of_changes(&mut bench.desk);
            self.nodes[place] = NodeEnd::Open(pipe, seat);
            self.machine.on_taken_over(place as Slot, kept, &mut bench.desk);
        }
    }

    fn node_closed(&mut self, slot: Slot, bench: &mut Bench) {
        self.nodes[usize::from(slot)] = NodeEnd::Closed;
        self.machine.on_node_closed(slot, &mut bench.desk);
    }

    pub(super) fn vacate(&mut self, slot: Slot) -> NodeEnd {
        let end = self.nodes.get_mut(usize::from(slot));
        end.map_or(NodeEnd::Closed, |end| std::mem::replace(end, NodeEnd::Closed))
    }

    pub(super) fn dial(&mut self, slot: Slot, fit: &Fit, bench: &Bench) {
        let place = usize::from(slot);
        if self.nodes.len() <= place {
            // Most sessions have one or two, and there are many sessions.
            self.nodes.reserve_exact(place + 1 - self.nodes.len());
            self.nodes.resize_with(place + 1, || NodeEnd::Closed);
        }
        let seats = self.worker.seats();
        let lender: Rc<dyn Lender> = self.notice.clone();
        self.nodes[place] = match seats.take(fit.node, &lender, bench.desk.now_us) {
            Some(seat) => self.connect(fit, seat, bench),
            None => {
                let turn = seats.wait(fit.node, bench.desk.now_us);
                NodeEnd::Queued(Queued { fit: fit.clone(), turn, told: false })
            }
        };
        self.signals.begin(FIRST_NODE + place);
    }

    /// A connection from the pool, or else a new one.
    fn connect(&self, fit: &Fit, seat: Rc<Seat>, bench: &Bench) -> NodeEnd {
        let (mut pool, node) = (self.worker.pool(), fit.node);
        let spare = self.worker.seats().spare(node);
        let room = pool.count(node) <= spare;
        if let Some((pipe, kept)) = pool.take(fit, room) {
            return NodeEnd::TakenOver(pipe, kept, seat);
        }
        pool.shrink(node, spare);
        let address = bench.desk.view.node(node).map(|node| node.address.clone()).unwrap_or_default();
        let client = fit.client.map(|_| self.machine.client_address());
        NodeEnd::Dialling(Box::pin(Stream::dial(address, client)), seat)
    }

    pub(super) fn secure_node(&mut self, slot: Slot, bench: &Bench) {
        let Some(NodeEnd::Open(pipe, seat)) = self.nodes.get_mut(usize::from(slot)) else { return };
        if let (Some(tls), Some(node)) = (self.worker.node_tls(), bench.desk.view.node(seat.node())) {
            pipe.secure_to(tls, &node.address);
        }
    }

    /// The line has come to this session.
    fn seated(&mut self, place: usize, permit: Permit, bench: &mut Bench) {
        let NodeEnd::Queued(queued) = self.vacate(place as Slot) else { return };
        let lender: Rc<dyn Lender> = self.notice.clone();
        let seat = self.worker.seats().sit(queued.fit.node, permit, &lender, bench.desk.now_us);
        let Some(seat) = seat else { return };
        self.nodes[place] = self.connect(&queued.fit, seat, bench);
        self.signals.begin(FIRST_NODE + place);
        self.machine.on_seated(place as Slot, &mut bench.desk);
    }

    /// Lets others have the connections that the session can do without, if it `lends`: at once if somebody waits, else when he asks.
    pub(super) fn offer_seats(&mut self, lends: bool, bench: &mut Bench) {
        let mut wanted = NodeSet::default();
        for (place, end) in self.nodes.iter().enumerate() {
            let NodeEnd::Open(_, seat) = end else { continue };
            seat.offer(self.machine.spare_from(place as Slot).filter(|_| lends));
            if seat.is_offered(bench.desk.now_us) && self.worker.seats().is_wanted(seat.node()) {
                wanted.insert(seat.node());
            }
        }
        if !wanted.is_empty() {
            self.give_back(wanted, bench);
        }
    }

    pub(super) fn give_back(&mut self, nodes: NodeSet, bench: &mut Bench) {
        for node in nodes.iter() {
            self.machine.on_asked_for(node, &mut bench.desk);
        }
        self.perform(bench);
    }
}
