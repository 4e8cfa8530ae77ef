//! The composition root: the only place that knows every part. Start order, stop order.
//!
//! Two halves that share [`Shared`] and nothing else: the control plane (watch, links, admin API, signals) on a thread and
//! runtime of its own, and the data plane (listeners, workers, sessions). They start in the order log, admin socket,
//! watch, links, data plane; on SIGTERM the data plane drains first, so that the operator can watch it do so.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustix::process::{Resource, Rlimit};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::admin::health::{self, Stage};
use crate::admin::http::Sources;
use crate::admin::reload::Reloads;
use crate::admin::remote::Remotes;
use crate::auth::directory::Directory;
use crate::auth::known::{Known, Told};
use crate::auth::load::Service;
use crate::cluster::login;
use crate::cluster::order::{self, Orders};
use crate::cluster::view::ViewHandle;
use crate::cluster::watch as cluster_watch;
use crate::config::{Config, Live, model};
use crate::net::clock::Clock;
use crate::outcome::Resolver;
use crate::replication::Endpoint;
use crate::replication::link::board::{self, Board};
use crate::replication::link::reconcile::Reconciler;
use crate::replication::roster::Roster;
use crate::session::desk::Settings;
use crate::session::registry::Registry;
use crate::session::worker;
use crate::telemetry::counters::Counters;
use crate::telemetry::log;

mod doors;
mod operators;
mod reload;
mod service;
mod signals;
mod succession;
pub mod tls;

use doors::{Doors, Opening};
use operators::Operators;
use reload::Reload;
use signals::{Signal, Signals};
use succession::{Estate, Predecessor, Program, Sockets, Successor};

/// What both halves see.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The configuration in force.
    pub config: Live,
    /// The current view of the cluster.
    pub view: ViewHandle,
    /// The live numbers.
    pub counters: Arc<Counters>,
    /// The dumps of replicas.
    pub roster: Arc<Roster>,
    /// All sessions.
    pub registry: Arc<Registry>,
    /// The accounts.
    pub directory: Directory,
}

/// Why the proxy could not start.
#[derive(Debug)]
pub struct StartError {
    what: String,
    cause: io::Error,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.cause)
    }
}

impl std::error::Error for StartError {}

impl StartError {
    fn of(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |cause| Self { what, cause }
    }
}

/// The most bytes of session commands that one session keeps for new node connections.
const HISTORY_BYTES_MAX: usize = 1 << 20;
/// Clients are taken after this at the latest, whatever is known of the cluster.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(5);
/// How often the drain looks whether the last session has gone.
const DRAIN_POLL: Duration = Duration::from_millis(50);

/// Runs the proxy until SIGTERM or SIGINT, or until another process has taken over from it. If it `takes_over` there is one from which
/// it does that itself.
pub fn run(config: Config, path: PathBuf, takes_over: bool) -> Result<(), StartError> {
    log::start(config.site.log);
    allow_many_files();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::of("cannot start the control plane"))?;
    runtime.block_on(control(config, path, takes_over))
}

/// A session has a socket for its client and one for each node: takes all descriptors the system gives.
fn allow_many_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!("the limit of open files stays at {:?}: {error}", limit.current);
    }
}

async fn control(config: Config, path: PathBuf, takes_over: bool) -> Result<(), StartError> {
    let mut signals = Signals::new().map_err(StartError::of("cannot listen to signals"))?;
    let program = Program::current().map_err(StartError::of("cannot tell where this program is"))?;
    let (past, mut sockets) = before(&config, takes_over).await?;
    let operators = Operators::bind(&config, &mut sockets)?;
    let view = ViewHandle::new(cluster_watch::first_view(&config));
    let (counters, live) = (Arc::new(Counters::new()), Live::new(config));
    let directory = accounts(view.clone(), live.clone());
    let shared = Shared { view, counters, roster: Arc::default(), registry: Arc::default(), directory, config: live };
    past.iter().for_each(|past| shared.registry.begin_after(past.last_session));
    let config = shared.config.load();
    let (links, link_orders) = Board::new();
    let (orders, node_orders) = Orders::new(shared.config.clone());
    let (reloads, mut reload_requests) = Reloads::new();
    let (stage, stage_seen) = watch::channel(Stage::Starting);
    let sources = Sources {
        config: shared.config.clone(),
        view: shared.view.clone(),
        counters: shared.counters.clone(),
        orders,
        links: links.clone(),
        roster: shared.roster.clone(),
        registry: shared.registry.clone(),
        reloads,
        directory: shared.directory.clone(),
        remotes: Remotes::default(),
        started: Instant::now(),
        stage: stage_seen,
    };
    shared.watch_nodes(node_orders);
    let links = shared.drive_links(links, link_orders)?;
    let open = sources.stage.clone();
    let data_plane = DataPlane::start(&shared, Arc::new(stage), sockets)?;
    let (arrived, mut successors) = mpsc::channel(1);
    let estate =
        Estate { doors: data_plane.doors.clone(), operators: operators.clone(), registry: shared.registry.clone() };
    tokio::spawn(take_office(past, operators.clone(), sources, estate, arrived));
    tracing::info!(site = &*config.site.name, admin = %config.admin.address, "oarlock runs");

    let mut reload = Reload::new(path.clone(), shared.clone(), &data_plane, operators.clone(), open);
    let successor = loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => break None,
                // What came of it is in the log.
                Signal::Reload => drop(reload.run().await),
                Signal::Succeed => program.start(&path),
            },
            Some(answer) = reload_requests.recv() => {
                // Who asked may have gone.
                let _ = answer.send(reload.run().await);
            }
            Some(successor) = successors.recv() => break Some(successor),
        }
    };
    match successor {
        None => service::stopping(),
        Some(successor) => {
            links.abort();
            data_plane.retire(&shared.roster).await;
            operators.close();
            linger(successor, &shared, &mut signals).await;
        }
    }
    data_plane.drain();
    wait_until_drained(&shared, &mut signals).await;
    data_plane.stop();
    tracing::info!("oarlock ends");
    Ok(())
}

/// The process that this one is to take over from, and the sockets there are.
async fn before(config: &Config, takes_over: bool) -> Result<(Option<Predecessor>, Sockets), StartError> {
    if !takes_over {
        return Ok((None, Sockets::default()));
    }
    let meeting = succession::meeting_point(config);
    let what = format!("no process to take over from, at {}", meeting.display());
    let mut past = Predecessor::find(&meeting).await.map_err(StartError::of(what))?;
    let sockets = Sockets::inherit(&mut past);
    Ok((Some(past), sockets))
}

/// What only one process of a site does: answers operators, and waits for the next one. Where another process does it that one has to
/// give it up first, which it does once clients are taken here.
async fn take_office(
    past: Option<Predecessor>,
    operators: Operators,
    sources: Sources,
    estate: Estate,
    arrived: mpsc::Sender<Successor>,
) {
    let (mut stage, view) = (sources.stage.clone(), sources.view.clone());
    let meeting = succession::meeting_point(&sources.config.load());
    let mut relieved = None;
    if let Some(past) = past {
        if stage.wait_for(|stage| *stage == Stage::Serving).await.is_err() {
            return;
        }
        match past.relieve().await {
            Ok(process) => relieved = Some(process),
            Err(error) => tracing::warn!("the process before this one has gone: {error}"),
        }
        tracing::info!("this process has taken over");
        service::ready();
    }
    operators.serve(&sources);
    let lead = async {
        if let Some(relieved) = relieved {
            relieved.lead(view).await;
        }
    };
    let pass_on = async {
        tokio::select! {
            () = succession::await_successor(meeting, estate, arrived) => {}
            // As long as there are sockets to pass on, clients would wait at them.
            () = health::reached(stage, Stage::Draining) => {}
        }
    };
    tokio::join!(lead, pass_on);
}

/// The accounts, which are loaded from now on.
fn accounts(view: ViewHandle, config: Live) -> Directory {
    let (directory, loader) = Directory::new(view, move || service(&config.load()));
    tokio::spawn(loader.run());
    directory
}

impl Shared {
    /// Sessions that come to an end: not the dumps.
    fn sessions(&self) -> u64 {
        self.counters.sessions().saturating_sub(self.roster.count())
    }

    /// Waits until there is none.
    async fn empty(&self) {
        while self.sessions() > 0 {
            tokio::time::sleep(DRAIN_POLL).await;
        }
    }

    /// Waits until there is no dump either: those that have stayed could not go on elsewhere.
    async fn deserted(&self) {
        while self.counters.sessions() > 0 {
            tokio::time::sleep(DRAIN_POLL).await;
        }
    }

    fn watch_nodes(&self, orders: mpsc::Receiver<order::Request>) {
        let (counters, view) = (self.counters.clone(), self.view.clone());
        let is_used = {
            let counters = counters.clone();
            move |node| counters.connections(node) > 0
        };
        tokio::spawn(cluster_watch::watch(self.config.clone(), view.clone(), orders, is_used));
        tokio::spawn(async move { counters.count_writers(view).await });
    }

    /// The task that drives the links, as soon as there are any.
    fn drive_links(&self, board: Board, orders: mpsc::Receiver<board::Request>) -> Result<JoinHandle<()>, StartError> {
        let reconciler = Reconciler::new(self.config.clone(), self.view.clone(), board, orders);
        Ok(tokio::spawn(reconciler.map_err(StartError::of("cannot drive the links"))?.run()))
    }
}

/// Workers and what they share.
struct DataPlane {
    workers: Vec<std::thread::JoinHandle<()>>,
    shared: Arc<worker::Shared>,
    stage: Arc<watch::Sender<Stage>>,
    opening: JoinHandle<()>,
    doors: Doors,
}

impl DataPlane {
    /// Binds the listeners, and starts to serve.
    fn start(shared: &Shared, stage: Arc<watch::Sender<Stage>>, mut sockets: Sockets) -> Result<Self, StartError> {
        let (live, config) = (shared.config.clone(), &*shared.config.load());
        let refused = |why| StartError::of("cannot start")(io::Error::other(why));
        let node_tls = tls::nodes(config).map_err(refused)?;
        tls::links(config).map_err(refused)?;
        let (view, counters, roster) = (shared.view.clone(), shared.counters.clone(), shared.roster.clone());
        let (resolver, outcomes) = Resolver::new(live.clone(), view.clone(), node_tls.clone());
        tokio::spawn(outcomes.run());
        let endpoint = Endpoint::new(config, view, counters, roster, node_tls.clone());
        let data = Arc::new(worker::Shared {
            settings: ArcSwap::from_pointee(settings(config)),
            config: live,
            view: shared.view.clone(),
            directory: shared.directory.clone(),
            counters: shared.counters.clone(),
            definitions: AtomicU64::new(0),
            defaults_set: AtomicU64::new(0),
            registry: shared.registry.clone(),
            clock: Clock::current(),
            entrances: ArcSwap::from_pointee(doors::entrances(config).map_err(refused)?),
            node_tls,
            heir: endpoint.heir(shared.config.clone()),
            resolver,
        });
        let workers =
            worker::start(&data, config.site.threads.count()).map_err(StartError::of("cannot start the workers"))?;
        let (doors, openings) = doors::bind(config, &mut sockets)?;
        tokio::spawn(service::keep_alive(data.clone()));
        let opening = tokio::spawn(open(openings, data.clone(), stage.clone()));
        Ok(Self { workers, shared: data, stage, opening, doors })
    }

    /// Takes no more clients: another process does. Sessions go on. Replicas come again at once, and must not come here.
    async fn retire(&self, roster: &Roster) {
        self.opening.abort();
        self.doors.close();
        self.stage.send_replace(Stage::Relieved);
        self.shared.registry.close().await;
        roster.dismiss();
    }

    /// Takes no more clients; sessions end as they become idle.
    fn drain(&self) {
        self.opening.abort();
        self.doors.close();
        self.stage.send_replace(Stage::Draining);
        self.shared.registry.drain();
    }

    /// Ends all sessions, and waits for the workers.
    fn stop(self) {
        self.shared.registry.stop();
        for thread in self.workers {
            if thread.join().is_err() {
                tracing::error!("a worker had panicked");
            }
        }
    }
}

/// Has the workers take clients. Those that come while the first look at the cluster is under way wait for it in the backlog.
async fn open(openings: Vec<Opening>, shared: Arc<worker::Shared>, stage: Arc<watch::Sender<Stage>>) {
    let first = timeout(FIRST_LOOK_MAX, async { while !shared.directory.refresh(0).await {} });
    if first.await.is_err() {
        tracing::warn!("no accounts could be loaded in {FIRST_LOOK_MAX:?}; clients are told so until they are");
    }
    openings.into_iter().for_each(|(listener, socket)| shared.registry.open(listener, socket));
    stage.send_replace(Stage::Serving);
    service::ready();
}

fn service(config: &Config) -> Service {
    Service {
        user: config.site.user.to_string(),
        password: config.site.password.reveal().to_owned(),
        tls: config.cluster.tls.as_ref().map(login::ssl),
        told: config.accounts.iter().map(told).collect(),
    }
}

fn told(account: &model::Account) -> Told {
    Told { user: account.user.clone(), host: account.host.clone(), password: Known::new(account.password.reveal()) }
}

fn settings(config: &Config) -> Settings {
    // A session has one connection to a node at most.
    let bounded = config.limits.connections_max < config.limits.sessions_max;
    Settings {
        readers: config.read_write_split.readers,
        causal_reads: config.read_write_split.causal_reads,
        writer_loss: config.read_write_split.writer_loss,
        handshake_timeout: config.limits.handshake_timeout,
        connect_timeout: config.cluster.connect_timeout,
        replay: config.read_write_split.replay,
        outcome: config.read_write_split.outcome == model::OutcomePolicy::Resolve,
        replay_bytes_max: config.read_write_split.replay_bytes_max as usize,
        writer_wait: config.read_write_split.writer_wait,
        node_tls: config.cluster.tls.is_some(),
        node_certificate: config.cluster.tls.as_ref().is_some_and(|tls| tls.shown.is_some()),
        multiplex: config.read_write_split.multiplex,
        keeps_connections: config.limits.idle_connections_max > 0 || config.read_write_split.multiplex,
        galera: config.cluster.kind == model::Kind::Galera,
        connections_max: if bounded { config.limits.connections_max as usize } else { usize::MAX },
        connection_wait: config.limits.connection_wait,
        prepared_max: config.limits.prepared_max as usize,
        history_bytes_max: HISTORY_BYTES_MAX,
    }
}

/// Lets sessions stay until they end by themselves, the limit, or a signal; and follows the process that has taken over.
async fn linger(successor: Successor, shared: &Shared, signals: &mut Signals) {
    let limit = shared.config.load().limits.upgrade_wait;
    tracing::info!(sessions = shared.sessions(), limit = ?limit, "another process has taken over: sessions may stay");
    successor.pid.into_iter().for_each(service::succeeded);
    tokio::spawn(successor.follow(shared.view.clone()));
    tokio::select! {
        () = shared.deserted() => {}
        () = signals.stop() => {}
        () = tokio::time::sleep(limit) => tracing::warn!(sessions = shared.sessions(), "they have stayed long enough"),
    }
}

/// Lets sessions finish, up to the limit or a second signal. Dumps have no end: their replicas come again by themselves.
async fn wait_until_drained(shared: &Shared, signals: &mut Signals) {
    let limit = shared.config.load().limits.drain_timeout;
    let sessions = || shared.sessions();
    tracing::info!(sessions = sessions(), limit = ?limit, "draining: no new sessions, open ones may finish");
    tokio::select! {
        () = shared.empty() => {}
        () = signals.stop() => tracing::warn!(sessions = sessions(), "a second signal: not waiting for the rest"),
        () = tokio::time::sleep(limit) => tracing::warn!(sessions = sessions(), "not waiting longer for the rest"),
    }
}
