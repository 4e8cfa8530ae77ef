//! Keeps the current snapshot of accounts, for sessions on every worker.
//!
//! One loader reads it at the start (again each second until it works), every 10 seconds, and when a session asks because a login
//! failed. All sessions that ask share the next load; loads may take a part of the time only, so a flood of failed logins can't
//! hammer the cluster. Runs on the control plane's runtime; sessions only wait on a channel.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::cluster::view::{ClusterView, NodeView, ViewHandle};

use super::accounts::Accounts;
use super::load::{Service, load};

/// From the end of one load to the next nobody asked for.
const PERIOD: Duration = Duration::from_secs(10);

/// The same as long as no load has worked.
const RETRY: Duration = Duration::from_secs(1);

/// From the start of one load to the next, at least. Refused logins wait for it, and some clients wait a second for a login at most.
const PAUSE_MIN: Duration = Duration::from_millis(200);

/// Loads take at most this part of the time: one in ten,
const TIME_PER_LOAD: u32 = 10;

/// but they may have so much of it in advance, so that a few failed logins, one after the other, don't wait for it even where a load
/// takes long,
const IN_ADVANCE: Duration = Duration::from_secs(10);

/// and a node that hangs doesn't keep the next one from being asked for longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The current snapshot, and how to get a newer one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Directory {
    current: Arc<ArcSwap<Accounts>>,
    /// The number of the load somebody waits for.
    wanted: watch::Sender<u64>,
    progress: watch::Receiver<Progress>,
}

/// How many loads were begun and ended, also those that failed.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    begun: u64,
    ended: u64,
}

/// Does the loading: `run` it on the control plane's runtime.
pub struct Loader {
    view: ViewHandle,
    service: Box<dyn Fn() -> Service + Send + Sync>,
    current: Arc<ArcSwap<Accounts>>,
    wanted: watch::Receiver<u64>,
    progress: watch::Sender<Progress>,
    /// What went wrong in the last load: said once, not each second.
    trouble: String,
}

impl Directory {
    /// An empty one (nobody is admitted), and what fills it from the writer or another node of this view, each time as this service user.
    pub fn new(view: ViewHandle, service: impl Fn() -> Service + Send + Sync + 'static) -> (Self, Loader) {
        let service = Box::new(service);
        let current = Arc::new(ArcSwap::from_pointee(Accounts::default()));
        let (wanted, wanted_by_sessions) = watch::channel(0);
        let (progress, progress_of_loader) = watch::channel(Progress::default());
        let directory = Self { current: current.clone(), wanted, progress: progress_of_loader };
        (directory, Loader { view, service, current, wanted: wanted_by_sessions, progress, trouble: String::new() })
    }

    /// The current snapshot; don't hold the guard over an await.
    pub fn load(&self) -> Guard<Arc<Accounts>> {
        self.current.load()
    }

    /// For a session that was refused by the snapshot of this generation: waits for a load that began after this call. True: a
    /// newer snapshot is there, which says something else, so try once more. False: there is none, or loading failed.
    pub fn refresh(&self, generation: u64) -> impl Future<Output = bool> + Send + 'static {
        let (current, wanted, mut progress) = (self.current.clone(), self.wanted.clone(), self.progress.clone());
        async move {
            let newer = move || current.load().generation() > generation;
            if newer() {
                return true;
            }
            let ticket = progress.borrow().begun + 1;
            wanted.send_if_modified(|wanted| std::mem::replace(wanted, ticket.max(*wanted)) < ticket);
            // An error means that the loader is gone: the process is about to end.
            progress.wait_for(|progress| progress.ended >= ticket).await.is_ok() && newer()
        }
    }
}

impl Loader {
    /// Loads until all directories are gone.
    pub async fn run(mut self) {
        let mut pace = Pace::new(Instant::now());
        self.first_sources().await;
        loop {
            let period = if self.current.load().generation() == 0 { RETRY } else { PERIOD };
            let begun = self.progress.borrow().begun;
            // The first load waits for nobody.
            if begun > 0
                && let Ok(Err(_)) = timeout(period, self.wanted.wait_for(|wanted| *wanted > begun)).await
            {
                return;
            }
            sleep_until(pace.next).await;
            self.progress.send_modify(|progress| progress.begun += 1);
            let start = Instant::now();
            self.load_once().await;
            pace.loaded(start, start.elapsed());
            self.progress.send_modify(|progress| progress.ended = progress.begun);
        }
    }

    /// At the start of the process no node has been probed yet: gives that a moment.
    async fn first_sources(&self) {
        let mut versions = self.view.versions();
        let known = versions.wait_for(|_| !sources(&self.view.load()).is_empty());
        // Without any the first load says so.
        let _ = timeout(RETRY, known).await;
    }

    /// From the first node that gives them.
    async fn load_once(&mut self) {
        let mut trouble = String::new();
        let service = (self.service)();
        for address in sources(&self.view.load()) {
            match load(&address, &service).await {
                Ok(accounts) => {
                    self.publish(accounts, &address);
                    self.trouble.clear();
                    return;
                }
                Err(error) => trouble.push_str(&format!("; {address}: {error}")),
            }
        }
        if trouble.is_empty() {
            trouble.push_str("; no node is Synced and out of maintenance");
        }
        if trouble != self.trouble {
            tracing::warn!("accounts could not be loaded{trouble}");
            self.trouble = trouble;
        }
    }

    fn publish(&self, accounts: Accounts, address: &str) {
        let old = self.current.load();
        if old.generation() > 0 && old.same_content(&accounts) {
            return;
        }
        let generation = old.generation() + 1;
        tracing::info!("{} accounts loaded from {address} (generation {generation})", accounts.len());
        for stranger in accounts.strangers() {
            tracing::warn!("the configuration tells the password of {stranger}, and there is no such account");
        }
        self.current.store(Arc::new(accounts.with_generation(generation)));
    }
}

/// When loads may begin.
struct Pace {
    /// Not before.
    next: Instant,
    /// The loads until now have used up their part of the time until then.
    used_up: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { next: now, used_up: now }
    }

    /// A load has begun then and taken so long.
    fn loaded(&mut self, start: Instant, cost: Duration) {
        self.used_up = self.used_up.max(start) + cost * TIME_PER_LOAD;
        let pause = (self.used_up - start).saturating_sub(IN_ADVANCE);
        self.next = start + pause.clamp(PAUSE_MIN, PAUSE_MAX);
    }
}

/// Nodes fit for it, the writer first.
fn sources(view: &ClusterView) -> Vec<Box<str>> {
    let mut nodes: Vec<&NodeView> = view.nodes.iter().filter(|node| node.tolerable()).collect();
    nodes.sort_by_key(|node| view.writer != Some(node.id));
    nodes.into_iter().map(|node| node.address.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pause after each of so many loads that cost so many ms, each begun as soon as it may.
    fn pauses(cost: u64, loads: usize) -> Vec<u128> {
        let mut pace = Pace::new(Instant::now());
        let one = |_| {
            let start = pace.next;
            pace.loaded(start, Duration::from_millis(cost));
            (pace.next - start).as_millis()
        };
        (0..loads).map(one).collect()
    }

    #[test]
    fn a_few_loads_wait_for_nothing_and_a_flood_takes_a_tenth_of_the_time() {
        assert_eq!(pauses(15, 100), [200; 100]);
        assert_eq!(pauses(100, 15), [[200; 12].as_slice(), &[600, 1000, 1000]].concat());
        assert_eq!(pauses(400, 5), [200, 200, 1600, 4000, 4000]);
    }

    #[test]
    fn a_node_that_hangs_is_not_waited_for_longer_than_the_pause() {
        assert_eq!(pauses(60_000, 3), [10_000; 3]);
    }

    #[test]
    fn what_was_used_up_comes_back_with_time() {
        let mut pace = Pace::new(Instant::now());
        pace.loaded(pace.next, Duration::from_secs(2));
        assert_eq!(pace.next, pace.used_up - IN_ADVANCE);
        let later = pace.used_up;
        pace.loaded(later, Duration::from_millis(50));
        assert_eq!(pace.next, later + PAUSE_MIN);
    }
}
