//! The composition root: the only place that knows every part. Start order, stop order.
//!
//! Two halves that share [`Shared`] and nothing else: the control plane (watch, admin API, signals) on a thread and
//! runtime of its own, and the data plane (listeners, workers, sessions). They start in the order log, admin socket,
//! watch, data plane; on SIGTERM the data plane drains first, so that the operator can watch it do so.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admin::http::{self, Sources};
use crate::cluster::view::ViewHandle;
use crate::cluster::watch as cluster_watch;
use crate::config::Config;
use crate::telemetry::counters::Counters;
use crate::telemetry::log;

/// What both halves see.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// The current view of the cluster.
    pub view: ViewHandle,
    /// The live numbers.
    pub counters: Arc<Counters>,
    /// How far the process is from its end.
    pub phase: watch::Receiver<Phase>,
}

/// How far the process is from its end; it only ever moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Clients are taken.
    Serving,
    /// No new clients; sessions end as soon as they are idle and outside of a transaction.
    Draining,
    /// Everything ends now.
    Ending,
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

/// How often the drain looks whether the last session has gone.
const DRAIN_POLL: Duration = Duration::from_millis(50);

/// Runs the proxy until SIGTERM or SIGINT.
pub fn run(config: Config) -> Result<(), StartError> {
    log::start(config.site.log);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::of("cannot start the control plane"))?;
    runtime.block_on(control(config))
}

async fn control(config: Config) -> Result<(), StartError> {
    let config = Arc::new(config);
    let mut signals = Signals::new().map_err(StartError::of("cannot listen to signals"))?;
    let admin = TcpListener::bind(config.admin.address)
        .await
        .map_err(StartError::of(format!("cannot listen on the admin address {}", config.admin.address)))?;
    let (phase, phases) = watch::channel(Phase::Serving);
    let shared = Shared {
        view: ViewHandle::new(cluster_watch::first_view(&config)),
        counters: Arc::new(Counters::new(&config)),
        phase: phases,
        config,
    };
    let sources =
        Sources { config: shared.config.clone(), view: shared.view.clone(), counters: shared.counters.clone() };
    tokio::spawn(async move {
        if let Err(error) = http::serve(admin, sources).await {
            tracing::error!(%error, "the admin API has ended");
        }
    });
    tokio::spawn(cluster_watch::watch(shared.config.clone(), shared.view.clone()));
    let data_plane = start_data_plane(&shared)?;
    tracing::info!(site = &*shared.config.site.name, admin = %shared.config.admin.address, "oarlock runs");

    signals.stop().await;
    drain(&shared, &phase, &mut signals).await;
    phase.send_replace(Phase::Ending);
    data_plane.join();
    tracing::info!("oarlock ends");
    Ok(())
}

/// The threads of the data plane.
struct DataPlane {
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl DataPlane {
    /// Waits until they have ended, which they do in [`Phase::Ending`].
    fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the data plane had panicked");
            }
        }
    }
}

/// Binds the listeners and starts acceptor and workers.
fn start_data_plane(_shared: &Shared) -> Result<DataPlane, StartError> {
    Ok(DataPlane { threads: Vec::new() })
}

/// Lets sessions finish, up to the limit or a second signal.
async fn drain(shared: &Shared, phase: &watch::Sender<Phase>, signals: &mut Signals) {
    let limit = shared.config.limits.drain_timeout;
    tracing::info!(sessions = shared.counters.sessions(), limit = ?limit, "draining: no new sessions, open ones may finish");
    phase.send_replace(Phase::Draining);
    let empty = async {
        while shared.counters.sessions() > 0 {
            tokio::time::sleep(DRAIN_POLL).await;
        }
    };
    tokio::select! {
        () = empty => {}
        () = signals.stop() => tracing::warn!(sessions = shared.counters.sessions(), "a second signal: not waiting for the rest"),
        () = tokio::time::sleep(limit) => tracing::warn!(sessions = shared.counters.sessions(), "not waiting longer for the rest"),
    }
}

/// The signals an operator sends.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT. Can be dropped and called again.
    async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => tracing::info!("SIGHUP: ignored, a changed configuration needs a restart"),
            }
        }
    }
}
