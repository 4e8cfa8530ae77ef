//! Drives one machine with real sockets: a future that reads, feeds the machine, and does what it says.
//!
//! It decides nothing about SQL. It owns the client's and the nodes' pipes, the session's timers and the one thing the
//! session may be waiting for outside of its own sockets (an errand). Reads stop where writes are blocked.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};
use tracing::info;

use crate::backend::handover::Handover;
use crate::cluster::view::NodeId;
use crate::config::model::{LISTENER_PLACES_MAX, PLACES_MAX};
use crate::net::pipe::{Fill, Pipe};
use crate::net::signals::{SOURCES_MAX, Signals};
use crate::net::stream::Stream;
use crate::net::tls::Fingerprint;

use super::client::Standing;
use super::desk::{Action, Peer, Slot};
use super::entrance::Entrance;
use super::errand::{Errand, Word};
use super::machine::{ClientLost, Machine};
use super::node_end::NodeEnd;
use super::notice::Notice;
use super::spell::Spell;
use super::stall::Stall;
use super::worker::{Bench, Worker};

/// What a client may send ahead while a command is under way, in bytes.
const AHEAD_MAX: usize = 16 << 10;

/// The session's sources of events: what is no socket, the client, the nodes by their slots.
const OTHER: usize = 0;
const CLIENT: usize = 1;
pub(super) const FIRST_NODE: usize = 2;
const _: () = assert!(FIRST_NODE + PLACES_MAX <= SOURCES_MAX && LISTENER_PLACES_MAX <= u8::MAX as usize + 1);

/// One session's task.
pub(super) struct Task {
    pub(super) machine: Machine,
    pub(super) client: Pipe,
    pub(super) nodes: Vec<NodeEnd>,
    pub(super) signals: Signals,
    pub(super) worker: Rc<Worker>,
    pub(super) notice: Rc<Notice>,
    deadline: Option<Pin<Box<Sleep>>>,
    stall: Option<Stall>,
    errand: Option<Errand>,
    /// What is held of the client's bytes has been offered to the machine, and nothing has happened since.
    offered: bool,
    client_closed: bool,
    draining: bool,
    begun: bool,
    /// The worker knows that the client has logged in.
    welcome: bool,
    /// As it was when the session began.
    spell: Spell,
    /// TLS with the client has begun with what the machine has not taken.
    secured: Option<Fingerprint>,
    /// The listener by which it came, by its place in the configuration.
    pub(super) listener: u8,
    /// And what that was when it came.
    entrance: Arc<Entrance>,
    /// Somebody else goes on with the client and this node connection.
    left: Option<(Slot, NodeId)>,
}

impl Task {
    pub(super) fn new(
        machine: Machine,
        client: Stream,
        (listener, entrance): (usize, Arc<Entrance>),
        worker: Rc<Worker>,
        notice: Rc<Notice>,
    ) -> Self {
        let mut signals = Signals::default();
        signals.begin(OTHER);
        signals.begin(CLIENT);
        notice.attend(signals.waker(OTHER));
        let spell = worker.spell();
        Self {
            machine,
            client: Pipe::new(client),
            nodes: Vec::new(),
            signals,
            worker,
            notice,
            deadline: None,
            stall: None,
            errand: None,
            offered: false,
            client_closed: false,
            draining: false,
            begun: false,
            welcome: false,
            spell,
            secured: None,
            listener: listener as u8,
            entrance,
            left: None,
        }
    }

    /// What the session has left, once it is over.
    pub(super) fn handover(mut self) -> Option<Handover> {
        let (slot, node) = self.left?;
        let NodeEnd::Open(connection, _) = self.vacate(slot) else { return None };
        Some(self.machine.handover(self.client, connection, node))
    }

    /// Goes on until nothing moves.
    fn turn(&mut self, bench: &mut Bench) -> Poll<()> {
        if !std::mem::replace(&mut self.begun, true) {
            bench.lay_out_scramble();
            self.machine.start(&mut bench.desk);
            self.perform(bench);
        }
        if self.signals.is_ready(OTHER) {
            self.hear(bench);
        }
        loop {
            let mut moved = self.signals.is_ready(OTHER) && self.poll_other(bench);
            for slot in 0..self.nodes.len() {
                moved |= self.signals.is_ready(FIRST_NODE + slot) && self.poll_node(slot, bench);
            }
            if moved {
                self.offered = false;
            }
            moved |= self.poll_client(bench);
            if !moved && !self.machine.is_ended() {
                self.rest(bench);
            }
            if self.machine.is_ended() && !self.client.is_blocked() {
                return Poll::Ready(());
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    /// Takes notice of what others want of this session.
    fn hear(&mut self, bench: &mut Bench) {
        let heard = self.notice.take();
        // An asker that has gone meanwhile needs no answer.
        for (ends, asker) in heard.finds {
            let _ = asker.send(self.machine.sought(ends));
        }
        if !heard.asked_for.is_empty() {
            self.give_back(heard.asked_for, bench);
        }
        for (sought, asker) in heard.seeks {
            let _ = self.machine.on_sought(&sought).map(|holder| asker.send(holder));
        }
        for easel in heard.easels {
            let _ = easel.send((self.listener, self.machine.portrait(&bench.desk)));
        }
        if heard.spared {
            self.machine.on_spared(&mut bench.desk);
            self.perform(bench);
        }
        if heard.view {
            self.machine.on_view(&mut bench.desk);
            self.perform(bench);
        }
        self.draining |= heard.drain;
        if heard.end {
            self.machine.on_end(&mut bench.desk);
            self.perform(bench);
        }
    }

    /// Nothing moves: what is to be done before the session waits.
    fn rest(&mut self, bench: &mut Bench) {
        if !self.welcome && self.machine.client.standing == Standing::Welcome {
            self.welcome = true;
            self.worker.welcomed(self.machine.id, self.machine.client.address);
        }
        self.watch_stall(bench);
        let now = self.worker.spell();
        if now.has_begun() {
            self.offer_seats(now.lends(self.spell), bench);
        }
        if self.draining {
            self.machine.on_drain(&mut bench.desk);
            self.perform(bench);
        }
    }

    fn poll_other(&mut self, bench: &mut Bench) -> bool {
        let moved = self.poll_timers(bench) | self.poll_errand(bench);
        if !moved {
            self.signals.rest(OTHER);
        }
        moved
    }

    fn poll_timers(&mut self, bench: &mut Bench) -> bool {
        let context = &mut Context::from_waker(self.signals.waker(OTHER));
        if let Some(stall) = &mut self.stall
            && stall.poll(context).is_ready()
        {
            info!(session = self.machine.id(), "the client has stalled; its session ends");
            self.stall = None;
            if self.client.is_blocked() {
                self.client_closed = true;
                self.client.give_up();
                self.machine.on_client_closed(&mut bench.desk);
            } else {
                self.machine.on_client_lost(ClientLost::Stalled, &mut bench.desk);
            }
            self.perform(bench);
            return true;
        }
        let Some(timer) = &mut self.deadline else { return false };
        if timer.as_mut().poll(context).is_pending() {
            return false;
        }
        self.deadline = None;
        bench.tell_time();
        self.machine.on_deadline(&mut bench.desk);
        self.perform(bench);
        true
    }

    fn poll_errand(&mut self, bench: &mut Bench) -> bool {
        let context = &mut Context::from_waker(self.signals.waker(OTHER));
        let Some(errand) = &mut self.errand else { return false };
        let Poll::Ready(word) = errand.as_mut().poll(context) else { return false };
        self.errand = None;
        match word {
            Word::Accounts => {
                self.worker.refresh_accounts(&mut bench.desk);
                self.machine.on_accounts(&mut bench.desk);
            }
            Word::Found(found) => self.machine.on_found(found, &mut bench.desk),
            Word::Outcome(outcome) => self.machine.on_outcome(outcome, &mut bench.desk),
        }
        self.perform(bench);
        true
    }

    fn poll_client(&mut self, bench: &mut Bench) -> bool {
        let context = &mut Context::from_waker(self.signals.waker(CLIENT));
        if self.client.is_blocked() && self.client.poll_drain(context).is_ready() {
            self.offered = false;
            return true;
        }
        if self.machine.is_ended() {
            return false;
        }
        let wants = self.machine.wants_client();
        if wants && self.upload_is_blocked() {
            return false;
        }
        if wants && !self.offered && self.client.held() > 0 {
            let count = self.client.unhold(&mut bench.scratch);
            if self.feed(count, bench) > 0 {
                return true;
            }
        }
        if self.client_closed {
            return self.client_gone(bench);
        }
        if !self.signals.is_ready(CLIENT) || (!wants && self.client.held() >= AHEAD_MAX) {
            return false;
        }
        let context = &mut Context::from_waker(self.signals.waker(CLIENT));
        match self.client.poll_fill(context, &mut bench.scratch) {
            Poll::Pending => {
                self.signals.rest(CLIENT);
                false
            }
            Poll::Ready(Fill::Bytes(count)) => {
                self.feed(count, bench);
                true
            }
            Poll::Ready(Fill::Garbled) => {
                self.machine.on_client_lost(ClientLost::Garbled, &mut bench.desk);
                self.perform(bench);
                true
            }
            Poll::Ready(Fill::Closed) => {
                self.client_closed = true;
                self.client_gone(bench)
            }
        }
    }

    /// The client has closed. What it sent before is still done.
    fn client_gone(&mut self, bench: &mut Bench) -> bool {
        let waits = self.client.held() > 0 && !self.machine.wants_client() && !self.client.is_broken();
        if !waits {
            self.machine.on_client_closed(&mut bench.desk);
            self.perform(bench);
        }
        !waits
    }

    /// Gives the machine the front of the shared buffer as bytes of the client; returns how many it has done with.
    fn feed(&mut self, count: usize, bench: &mut Bench) -> usize {
        if self.machine.is_greeting() {
            self.worker.refresh_accounts(&mut bench.desk);
            self.worker.hear_of_changes(&mut bench.desk);
            if self.machine.awaits_peer() {
                self.client.peer().into_iter().for_each(|peer| self.machine.on_peer(peer));
            }
        }
        bench.lay_out_scramble();
        if self.machine.wants_client() {
            self.client.turn();
        }
        let taken = self.machine.on_client(&mut bench.scratch[..count], &mut bench.desk);
        self.perform(bench);
        if let Some(shown) = self.secured.take() {
            self.client.rewind(&bench.scratch[taken..count]);
            self.machine.on_secured(shown);
            return taken;
        }
        self.client.hold(&bench.scratch[taken..count]);
        self.offered = true;
        if taken > 0 {
            self.stall = None;
        }
        taken
    }

    fn upload_is_blocked(&self) -> bool {
        let node = self.machine.upload_slot().and_then(|slot| self.nodes.get(usize::from(slot)));
        matches!(node, Some(NodeEnd::Open(pipe, _)) if pipe.is_blocked())
    }

    /// Does what the machine has said, in order.
    pub(super) fn perform(&mut self, bench: &mut Bench) {
        if bench.desk.actions.is_empty() {
            return;
        }
        let actions = std::mem::take(&mut bench.desk.actions);
        let own = std::mem::take(&mut bench.desk.own);
        for (place, action) in actions.iter().enumerate() {
            match action {
                Action::Forward { to, range } => {
                    self.write(*to, &bench.scratch[range.clone()], actions.get(place + 1));
                    bench.desk.tally.add(to.bytes(), range.len() as u64);
                }
                Action::Write { to, range } => {
                    self.write(*to, &own[range.clone()], actions.get(place + 1));
                    bench.desk.tally.add(to.bytes(), range.len() as u64);
                }
                Action::Dial { slot, fit } => self.dial(*slot, fit, bench),
                Action::Close(slot) => drop(self.vacate(*slot)),
                Action::Abort(slot) => {
                    if let NodeEnd::Open(pipe, _seat) = self.vacate(*slot) {
                        pipe.abort();
                    }
                }
                Action::Keep { slot, fit, kept } => {
                    // The seat is free once the pool has what was on it: whoever is next in line will look there.
                    if let NodeEnd::Open(pipe, _seat) = self.vacate(*slot) {
                        self.worker.pool().put(fit.clone(), pipe, *kept);
                    }
                }
                Action::Arm(deadline) => {
                    self.deadline = deadline.map(|us| bench.timer(us));
                    self.signals.begin(OTHER);
                }
                Action::Compress => self.client.compress(),
                Action::Secure => self.secure(),
                Action::SecureNode(slot) => self.secure_node(*slot, bench),
                Action::RefreshAccounts => self.start_errand(self.worker.accounts_errand(&bench.desk)),
                Action::Suspect(node) => self.worker.suspect(*node),
                Action::FindSession { id, ends } => self.start_errand(self.worker.find_errand(*id, *ends)),
                Action::FindSessions(sought) => self.start_errand(self.worker.seek_errand(sought.clone())),
                Action::FindOutcome(question) => self.start_errand(self.worker.outcome_errand((**question).clone())),
                Action::EndSession(id) => self.worker.end_session(*id),
                Action::SpareSession(id) => self.worker.spare_session(*id),
                Action::Define => self.worker.define(),
                Action::SetDefaults => self.worker.set_defaults(&bench.desk.view),
                // The machine has ended: the turn ends with it once the client has all that was written.
                Action::Hangup => {}
                Action::HandOver { slot, node } => self.left = Some((*slot, *node)),
            }
        }
        bench.desk.actions = actions;
        bench.desk.own = own;
        bench.desk.clear();
    }

    fn secure(&mut self) {
        if let Some(tls) = &self.entrance.tls {
            self.secured = self.client.secure(&tls.server);
        }
    }

    fn start_errand(&mut self, errand: Errand) {
        self.errand = Some(errand);
        self.signals.begin(OTHER);
    }

    fn write(&mut self, to: Peer, bytes: &[u8], next: Option<&Action>) {
        let more =
            matches!(next, Some(Action::Forward { to: also, .. } | Action::Write { to: also, .. }) if *also == to);
        let (source, pipe) = match to {
            Peer::Client => (CLIENT, &mut self.client),
            Peer::Node(slot) => match self.nodes.get_mut(usize::from(slot)) {
                Some(NodeEnd::Open(pipe, _)) => (FIRST_NODE + usize::from(slot), pipe),
                _ => return,
            },
        };
        pipe.write(&mut Context::from_waker(self.signals.waker(source)), bytes, more);
        if pipe.is_broken() {
            self.signals.begin(source);
        }
    }

    /// A client that takes next to nothing of what it is sent, or stops within a packet, has only so much time.
    fn watch_stall(&mut self, bench: &mut Bench) {
        let within = self.client.held() > 0 || self.machine.is_uploading();
        let waits_for_it = within && self.machine.wants_client() && !self.upload_is_blocked();
        let moved = self.client.moved();
        if !waits_for_it && !self.client.is_blocked() {
            self.stall = None;
        } else if self.stall.as_ref().is_none_or(|stall| stall.is_over(moved)) {
            let timer = bench.sleep_until(Instant::now() + self.worker.stall_timeout());
            self.stall = Some(Stall::begin(timer, moved));
            // Registers the timer; it can't have passed yet.
            let _ = self.poll_timers(bench);
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let task = self.get_mut();
        let worker = task.worker.clone();
        let mut bench = worker.bench();
        bench.tell_time();
        task.signals.gather(context.waker());
        let polled = task.turn(&mut bench);
        bench.tidy();
        polled
    }
}
