//! A worker: one thread with its own runtime, and the sessions that live on it for all their life.
//!
//! Its sessions share one bench (buffer, desk). Others reach a session only through its worker's orders and the
//! session's notice, so nothing on the data path is locked or shared between threads.
//!
//! Its runtime has no timers: see [`Clock`].

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};

use crate::auth::directory::Directory;
use crate::backend::handover::Heir;
use crate::backend::pool::Pool;
use crate::backend::seats::{self, Seats};
use crate::cluster::view::{ClusterView, Duty, NodeId, ViewHandle};
use crate::config::Live;
use crate::config::model::PLACES_MAX;
use crate::net::clock::Clock;
use crate::net::stream::Stream;
use crate::net::tls::ClientTls;
use crate::outcome::{Question, Resolver};
use crate::telemetry::counters::Counters;
use crate::wire::challenge::SCRAMBLE;

use super::desk::{Desk, Settings, Sought};
use super::entrance::Entrance;
use super::errand::{Errand, Word};
use super::hosts::Presence;
use super::life;
use super::machine::{Machine, TlsPolicy};
use super::notice::{Heard, Notice};
use super::pace::Pace;
use super::publish::Gauges;
use super::registry::{Order, Registry};
use super::spell::Spell;
use super::task::Task;

/// Size of the shared read buffer in bytes.
const SCRATCH: usize = 256 << 10;
/// So many scrambles are drawn at once.
const SCRAMBLES: usize = 32;
/// How often a worker publishes its numbers.
const PUBLISH_PERIOD: Duration = Duration::from_millis(200);

/// How often those who wait for a node connection ask for one that is idle by now.
const ASK_PERIOD: Duration = Duration::from_millis(2);

/// What all workers share.
pub struct Shared {
    /// The configuration in force.
    pub config: Live,
    /// What it says to sessions.
    pub settings: ArcSwap<Settings>,
    /// The cluster.
    pub view: ViewHandle,
    /// The accounts.
    pub directory: Directory,
    /// Live numbers.
    pub counters: Arc<Counters>,
    /// Definitions that have gone through this proxy.
    pub definitions: AtomicU64,
    /// SET GLOBALs that have.
    pub defaults_set: AtomicU64,
    /// All sessions.
    pub registry: Arc<Registry>,
    /// The timers of the workers.
    pub clock: Clock,
    /// What clients get who come now, by listener.
    pub entrances: ArcSwap<Vec<Arc<Entrance>>>,
    /// What is needed to speak TLS with nodes, if that is spoken.
    pub node_tls: Option<ClientTls>,
    /// Goes on with clients that begin a dump.
    pub heir: Heir,
    /// Finds out whether interrupted writes happened.
    pub resolver: Resolver,
}

impl Shared {
    /// What a client gets who comes to this listener now.
    pub(super) fn entrance(&self, listener: usize) -> Arc<Entrance> {
        self.entrances.load().get(listener).cloned().unwrap_or_default()
    }
}

/// Starts the workers, a thread each.
pub fn start(shared: &Arc<Shared>, count: usize) -> std::io::Result<Vec<std::thread::JoinHandle<()>>> {
    let queues = shared.registry.begin(count);
    let thread = |(place, queue)| {
        let shared = shared.clone();
        std::thread::Builder::new().name(format!("worker-{place}")).spawn(move || run(shared, place, queue))
    };
    queues.into_iter().enumerate().map(thread).collect()
}

fn run(shared: Arc<Shared>, place: usize, queue: mpsc::UnboundedReceiver<Order>) {
    let runtime = Builder::new_current_thread().enable_io().build_local(LocalOptions::default());
    match runtime {
        Ok(runtime) => runtime.block_on(Rc::new(Worker::new(shared, place)).work(queue)),
        Err(error) => tracing::error!("a worker could not start: {error}"),
    }
}

/// A worker's own side.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) place: usize,
    /// The tasks that take clients, by listener.
    pub(super) doors: RefCell<HashMap<usize, JoinHandle<()>>>,
    bench: RefCell<Bench>,
    pub(super) sessions: RefCell<HashMap<u32, Resident>>,
    pool: RefCell<Pool>,
    seats: Seats,
    /// What others have been told of its nodes.
    pub(super) published: RefCell<Box<[Gauges]>>,
    draining: Cell<bool>,
    pub(super) pace: Pace,
    spell: Cell<Spell>,
    /// A client that takes or sends nothing for so long within a packet is cut off.
    stall_timeout: Cell<Duration>,
}

pub(super) struct Resident {
    notice: Rc<Notice>,
    listener: usize,
    /// Once its client has logged in.
    pub(super) presence: Option<Presence>,
}

/// What the sessions of a worker share during an event.
pub(super) struct Bench {
    pub(super) scratch: Vec<u8>,
    pub(super) desk: Desk,
    scrambles: Vec<[u8; SCRAMBLE]>,
    epoch: Instant,
    clock: Clock,
}

impl Bench {
    pub(super) fn tell_time(&mut self) {
        self.desk.now_us = self.epoch.elapsed().as_micros() as u64;
    }

    /// A timer for a time of the desk's clock.
    pub(super) fn timer(&self, deadline_us: u64) -> Pin<Box<Sleep>> {
        self.sleep_until(self.epoch + Duration::from_micros(deadline_us))
    }

    /// A timer.
    pub(super) fn sleep_until(&self, deadline: Instant) -> Pin<Box<Sleep>> {
        Box::pin(self.clock.sleep_until(deadline))
    }

    pub(super) fn lay_out_scramble(&mut self) {
        let scrambles = &mut self.scrambles;
        self.desk.provide_scramble(|| {
            if scrambles.is_empty() {
                *scrambles = random_scrambles();
            }
            scrambles.pop().unwrap_or_default()
        });
    }

    /// A buffer that one session had to make large is not kept for all.
    pub(super) fn tidy(&mut self) {
        if self.scratch.len() > SCRATCH {
            self.scratch.truncate(SCRATCH);
            self.scratch.shrink_to_fit();
        }
    }
}

/// Of printable ASCII, as the server makes them.
fn random_scrambles() -> Vec<[u8; SCRAMBLE]> {
    let bytes: [u8; SCRAMBLE * SCRAMBLES] = random();
    let (scrambles, _) = bytes.as_chunks();
    scrambles.iter().map(|scramble| scramble.map(|byte| 33 + byte % 94)).collect()
}

/// Unguessable bytes.
fn random<const COUNT: usize>() -> [u8; COUNT] {
    let mut bytes = [0; COUNT];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::error!("no random numbers from the system: {error}");
        std::process::abort();
    }
    bytes
}

impl Worker {
    fn new(shared: Arc<Shared>, place: usize) -> Self {
        let view = shared.view.load().clone();
        let accounts = shared.directory.load().clone();
        let settings = shared.settings.load_full();
        let mut desk = Desk::new(settings.clone(), view, accounts);
        desk.marker_base = u128::from_ne_bytes(random());
        desk.unix_offset_us = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros() as u64;
        let published = RefCell::new(vec![Gauges::default(); PLACES_MAX].into_boxed_slice());
        let (scratch, scrambles, epoch) = (vec![0; SCRATCH], Vec::new(), Instant::now());
        let bench = RefCell::new(Bench { scratch, desk, scrambles, epoch, clock: shared.clock.clone() });
        let workers = shared.registry.workers();
        let seats = Seats::new(PLACES_MAX, seats::share(settings.connections_max, place, workers));
        let pool = RefCell::new(Pool::new(0, Duration::ZERO));
        let sessions = RefCell::default();
        let (doors, draining) = (RefCell::default(), Cell::new(false));
        let worker = Self {
            shared,
            place,
            doors,
            bench,
            sessions,
            pool,
            seats,
            published,
            draining,
            pace: Pace::begin(),
            spell: Cell::default(),
            stall_timeout: Cell::default(),
        };
        worker.settle();
        worker
    }

    /// Takes what the configuration says now.
    fn settle(&self) {
        let (settings, config) = (self.shared.settings.load_full(), self.shared.config.load());
        let limits = &config.limits;
        self.stall_timeout.set(limits.stall_timeout);
        let workers = self.shared.registry.workers();
        self.seats.resize(seats::share(settings.connections_max, self.place, workers));
        // What is lent comes back to the pool.
        self.spell.set(self.spell.get().next(settings.multiplex));
        let kept = match settings.multiplex {
            true => self.seats.share(),
            false => usize::from(limits.idle_connections_max).div_ceil(workers),
        };
        let mut pool = self.pool();
        pool.bound(kept, limits.idle_connection_timeout);
        let view = self.shared.view.load();
        view.nodes.iter().for_each(|node| pool.shrink(node.id, kept.min(self.seats.spare(node.id))));
        self.bench().desk.settings = settings;
    }

    async fn work(self: Rc<Self>, mut queue: mpsc::UnboundedReceiver<Order>) {
        let mut versions = self.shared.view.versions();
        let clock = &self.shared.clock;
        let (mut publish, mut ask) = (clock.ticks(PUBLISH_PERIOD), clock.ticks(ASK_PERIOD));
        self.look();
        loop {
            tokio::select! {
                order = queue.recv() => match order {
                    None => return,
                    Some(Order::Stop) => return self.publish(),
                    Some(order) => self.follow(order),
                },
                Ok(()) = versions.changed() => self.look(),
                _ = publish.tick() => self.publish(),
                () = self.seats.line() => {}
                _ = ask.tick(), if self.seats.has_line() => self.ask_for_seats(),
            }
        }
    }

    fn follow(self: &Rc<Self>, order: Order) {
        match order {
            Order::Open(listener, socket) => self.open(listener, socket),
            Order::Shut(listener) => self.shut(listener),
            Order::Serve(id, accepted) => self.receive(id, accepted),
            Order::Find(id, ends, asker) => self.tell(id, |heard| heard.finds.push((ends, asker))),
            Order::Portray(easel) => self.tell_all(|heard| heard.easels.push(easel.clone())),
            Order::Seek(sought, asker) => self.tell_all(|heard| heard.seeks.push((sought.clone(), asker.clone()))),
            Order::End(id) => self.tell(id, |heard| heard.end = true),
            Order::Spare(id) => self.tell(id, |heard| heard.spared = true),
            Order::Drain => {
                self.close();
                self.draining.set(true);
                self.tell_all(|heard| heard.drain = true);
            }
            Order::Settle => self.settle(),
            Order::Close(_closed) => self.close(),
            Order::Stop => {}
        }
    }

    pub(super) fn serve(self: &Rc<Self>, id: u32, stream: Stream, address: SocketAddr, listener: usize) {
        let notice = Rc::new(Notice::default());
        notice.tell(|heard| heard.drain = self.draining.get());
        let resident = Resident { notice: notice.clone(), listener, presence: None };
        self.sessions.borrow_mut().insert(id, resident);
        if let Some(service) = self.shared.counters.services.get(listener) {
            service.sessions.fetch_add(1, Ordering::Relaxed);
            service.sessions_total.fetch_add(1, Ordering::Relaxed);
        }
        let entrance = self.shared.entrance(listener);
        let policy = match &entrance.tls {
            None => TlsPolicy::Off,
            Some(tls) if tls.required => TlsPolicy::Required,
            Some(_) => TlsPolicy::Offered,
        };
        let machine = Machine::new(id, address.ip().to_canonical()).with_port(address.port()).with_tls(policy);
        let machine = if entrance.replicates { machine.for_replicas() } else { machine };
        let task = Task::new(machine, stream, (listener, entrance), self.clone(), notice.clone());
        tokio::task::spawn_local(life::live(id, task, self.clone(), notice));
    }

    /// Takes the current view, and tells the sessions of it.
    fn look(&self) {
        let view = self.shared.view.load().clone();
        self.bench.borrow_mut().desk.take_view(view);
        self.tidy_pool();
        self.tell_all(|heard| heard.view = true);
    }

    fn tell(&self, id: u32, tell: impl FnOnce(&mut Heard)) {
        if let Some(resident) = self.sessions.borrow().get(&id) {
            resident.notice.tell(tell);
        }
    }

    pub(super) fn tell_all(&self, tell: impl Fn(&mut Heard)) {
        for resident in self.sessions.borrow().values() {
            resident.notice.tell(&tell);
        }
    }

    pub(super) fn tidy_pool(&self) {
        let mut bench = self.bench();
        self.hear_of_changes(&mut bench.desk);
        self.pool.borrow_mut().tidy(&bench.desk.view, bench.desk.defaults(), std::time::Instant::now());
    }

    /// Seats may be on offer now that were not when somebody began to wait.
    fn ask_for_seats(&self) {
        let mut bench = self.bench();
        bench.tell_time();
        self.seats.ask(bench.desk.now_us);
    }

    /// Are there connections to a node that was withdrawn? What was busy then may be free now.
    pub(super) fn withdraws(&self) -> bool {
        let desk = &self.bench().desk;
        desk.view.nodes.iter().zip(&desk.loads).any(|(node, load)| node.duty != Duty::Normal && load.connections > 0)
    }

    pub(super) fn bench(&self) -> RefMut<'_, Bench> {
        self.bench.borrow_mut()
    }

    pub(super) fn pool(&self) -> RefMut<'_, Pool> {
        self.pool.borrow_mut()
    }

    pub(super) fn seats(&self) -> &Seats {
        &self.seats
    }

    pub(super) fn node_tls(&self) -> Option<&ClientTls> {
        self.shared.node_tls.as_ref()
    }

    /// Do sessions lend their connections now?
    pub(super) fn spell(&self) -> Spell {
        self.spell.get()
    }

    pub(super) fn stall_timeout(&self) -> Duration {
        self.stall_timeout.get()
    }

    pub(super) fn refresh_accounts(&self, desk: &mut Desk) {
        desk.accounts = self.shared.directory.load().clone();
    }

    pub(super) fn define(&self) {
        self.shared.definitions.fetch_add(1, Ordering::Relaxed);
    }

    /// The probes look at once, so that they notice if somebody else changes it back.
    pub(super) fn set_defaults(&self, view: &ClusterView) {
        self.shared.defaults_set.fetch_add(1, Ordering::Relaxed);
        view.nodes.iter().for_each(|node| self.suspect(node.id));
    }

    pub(super) fn hear_of_changes(&self, desk: &mut Desk) {
        desk.definitions = self.shared.definitions.load(Ordering::Relaxed);
        desk.defaults_set = self.shared.defaults_set.load(Ordering::Relaxed);
    }

    pub(super) fn accounts_errand(&self, desk: &Desk) -> Errand {
        let refresh = self.shared.directory.refresh(desk.accounts.generation());
        Box::pin(async move {
            refresh.await;
            Word::Accounts
        })
    }

    pub(super) fn find_errand(&self, id: u32, ends: bool) -> Errand {
        let find = Registry::find(self.shared.clone(), id, ends);
        Box::pin(async move { Word::Found(find.await) })
    }

    pub(super) fn seek_errand(&self, sought: Sought) -> Errand {
        let seek = Registry::seek(self.shared.clone(), sought);
        Box::pin(async move { Word::Found(seek.await) })
    }

    pub(super) fn outcome_errand(&self, question: Question) -> Errand {
        let outcome = self.shared.resolver.ask(question);
        Box::pin(async move { Word::Outcome(outcome.await) })
    }

    pub(super) fn end_session(&self, id: u32) {
        // Where there is none it has ended.
        let _ = self.shared.registry.order(id, Order::End(id));
    }

    pub(super) fn spare_session(&self, id: u32) {
        let _ = self.shared.registry.order(id, Order::Spare(id));
    }

    pub(super) fn heir(&self) -> &Heir {
        &self.shared.heir
    }

    pub(super) fn suspect(&self, node: NodeId) {
        self.shared.view.suspect(node);
    }

    pub(super) fn session_ended(&self, id: u32) {
        let resident = self.sessions.borrow_mut().remove(&id);
        if let Some(service) = resident.and_then(|resident| self.shared.counters.services.get(resident.listener)) {
            service.sessions.fetch_sub(1, Ordering::Relaxed);
        }
        self.shared.registry.forget(id);
    }
}
