//! All sessions: which worker each lives on, who gets the next one, and the orders by which one thread reaches a session of another.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use tokio::sync::{mpsc, oneshot};

use super::desk::{Found, Holder, Sought};
use super::hosts::HostWatch;
use super::kill::FIRST_ID;
use super::portrait::Easel;
use super::worker::Shared;

/// Which worker each session lives on.
#[derive(Debug)]
pub struct Registry {
    sessions: DashMap<u32, usize>,
    last: AtomicU32,
    workers: std::sync::OnceLock<Box<[Handle]>>,
    /// From where clients come.
    pub hosts: Arc<HostWatch>,
}

/// A worker as others see it.
#[derive(Debug)]
struct Handle {
    orders: mpsc::UnboundedSender<Order>,
    sessions: AtomicUsize,
    /// How often it has told its numbers.
    beats: AtomicU64,
}

/// A client to be served.
pub struct Accepted {
    /// Its socket, which no runtime knows.
    pub socket: TcpStream,
    /// Its address.
    pub address: SocketAddr,
    /// The listener it came to, by its place in the configuration.
    pub listener: usize,
}

/// What a worker is to do.
pub(super) enum Order {
    /// Take the clients of this listener.
    Open(usize, TcpListener),
    /// Take them no more.
    Shut(usize),
    Serve(u32, Accepted),
    /// To be killed if `bool`.
    Find(u32, bool, oneshot::Sender<Found>),
    Seek(Sought, mpsc::UnboundedSender<Holder>),
    Portray(Easel),
    End(u32),
    Spare(u32),
    /// The configuration has changed.
    Settle,
    /// Take no clients any more, and let go of this then.
    Close(mpsc::Sender<()>),
    Drain,
    Stop,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            sessions: DashMap::new(),
            last: AtomicU32::new(FIRST_ID),
            workers: std::sync::OnceLock::new(),
            hosts: Arc::default(),
        }
    }
}

impl Registry {
    /// Sessions now.
    pub fn len(&self) -> usize {
        self.workers
            .get()
            .map_or(0, |workers| workers.iter().map(|worker| worker.sessions.load(Ordering::Relaxed)).sum())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// There are so many workers; each takes its orders from one of these queues.
    pub(super) fn begin(&self, workers: usize) -> Vec<mpsc::UnboundedReceiver<Order>> {
        let worker = |_| {
            let (orders, queue) = mpsc::unbounded_channel();
            (Handle { orders, sessions: AtomicUsize::new(0), beats: AtomicU64::new(0) }, queue)
        };
        let (handles, queues): (Vec<_>, Vec<_>) = (0..workers).map(worker).unzip();
        let _ = self.workers.set(handles.into());
        queues
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> usize {
        self.workers.get().map_or(1, |workers| workers.len())
    }

    /// A worker lives.
    pub(super) fn beat(&self, place: usize) {
        if let Some(worker) = self.workers.get().and_then(|workers| workers.get(place)) {
            worker.beats.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// For each worker a number that is another one as long as it lives.
    pub fn beats(&self) -> Vec<u64> {
        self.workers.get().into_iter().flatten().map(|worker| worker.beats.load(Ordering::Relaxed)).collect()
    }

    /// Has clients taken from a listener, by one worker: it keeps its share and orders the others to serve theirs.
    pub fn open(&self, listener: usize, socket: TcpListener) {
        let workers = self.workers.get().map(|workers| &**workers).unwrap_or_default();
        if let Some(worker) = workers.get(listener % workers.len().max(1)) {
            // A worker that has ended takes nobody.
            let _ = worker.orders.send(Order::Open(listener, socket));
        }
    }

    /// Has no clients taken from a listener any more. Its sessions go on.
    pub fn shut(&self, listener: usize) {
        self.order_all(|| Order::Shut(listener));
    }

    /// A new session's id and its worker: the one with the fewest sessions, if possible this one.
    pub(super) fn assign(&self, own: usize) -> (u32, usize) {
        let workers = self.workers.get().map(|workers| &**workers).unwrap_or_default();
        let few = |(place, worker): &(usize, &Handle)| (worker.sessions.load(Ordering::Relaxed), *place != own);
        let place = workers.iter().enumerate().min_by_key(few).map_or(own, |(place, _)| place);
        let id = self.fresh_id();
        self.sessions.insert(id, place);
        if let Some(worker) = workers.get(place) {
            worker.sessions.fetch_add(1, Ordering::Relaxed);
        }
        (id, place)
    }

    /// Tells all sessions to end when they are idle.
    pub fn drain(&self) {
        self.order_all(|| Order::Drain);
    }

    /// Has no clients taken any more, and waits until none are. Sessions go on.
    pub async fn close(&self) {
        let (closed, mut all) = mpsc::channel(1);
        self.order_all(|| Order::Close(closed.clone()));
        drop(closed);
        // Nobody says anything: all let go of it.
        let _ = all.recv().await;
    }

    /// No session has had a higher id so far.
    pub fn last_id(&self) -> u32 {
        self.last.load(Ordering::Relaxed)
    }

    /// Sessions get ids beyond this one.
    pub fn begin_after(&self, id: u32) {
        self.last.fetch_max(id.saturating_add(1), Ordering::Relaxed);
    }

    /// Has the workers take what the configuration says now.
    pub fn settle(&self) {
        self.order_all(|| Order::Settle);
    }

    /// Ends all sessions, and the workers.
    pub fn stop(&self) {
        self.order_all(|| Order::Stop);
    }

    pub(super) fn order_all(&self, order: impl Fn() -> Order) {
        for worker in self.workers.get().into_iter().flatten() {
            // A worker that has ended needs no order.
            let _ = worker.orders.send(order());
        }
    }

    /// Ids are unique among the sessions there are.
    fn fresh_id(&self) -> u32 {
        loop {
            let id = self.last.fetch_add(1, Ordering::Relaxed) | FIRST_ID;
            if !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }

    fn worker_of(&self, id: u32) -> Option<&Handle> {
        let place = *self.sessions.get(&id)?;
        self.workers.get()?.get(place)
    }

    /// Orders the worker of this session. False if there is none.
    pub(super) fn order(&self, id: u32, order: Order) -> bool {
        self.worker_of(id).is_some_and(|worker| worker.orders.send(order).is_ok())
    }

    pub(super) fn forget(&self, id: u32) {
        if let Some((_, place)) = self.sessions.remove(&id)
            && let Some(worker) = self.workers.get().and_then(|workers| workers.get(place))
        {
            worker.sessions.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(super) async fn find(shared: Arc<Shared>, id: u32, ends: bool) -> Found {
        let (asker, answer) = oneshot::channel();
        let Some(worker) = shared.registry.worker_of(id) else { return Found::Nobody };
        match worker.orders.send(Order::Find(id, ends, asker)) {
            Ok(()) => answer.await.unwrap_or(Found::Nobody),
            Err(_) => Found::Nobody,
        }
    }

    /// Each session has a way to answer until it has looked; when all are gone, all have.
    pub(super) async fn seek(shared: Arc<Shared>, sought: Sought) -> Found {
        let (asker, mut answers) = mpsc::unbounded_channel();
        shared.registry.order_all(|| Order::Seek(sought.clone(), asker.clone()));
        drop(asker);
        let mut holders = Vec::new();
        while let Some(holder) = answers.recv().await {
            holders.push(holder);
        }
        Found::Held(holders)
    }
}
