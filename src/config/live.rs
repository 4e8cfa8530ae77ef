//! The configuration in force, for those parts that follow it while the process runs.

use std::sync::Arc;

use tokio::sync::watch;

use super::Config;

/// Where it is to be had, now and after a change. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Live(Arc<watch::Sender<Arc<Config>>>);

impl Live {
    /// As the process begins.
    pub fn new(config: Config) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(config))))
    }

    /// The one in force.
    pub fn load(&self) -> Arc<Config> {
        self.0.borrow().clone()
    }

    /// Puts another one in force. It must be one that may follow: see [`super::in_force`].
    pub fn put(&self, config: Config) {
        self.0.send_replace(Arc::new(config));
    }

    /// Learns of each new one.
    pub fn changes(&self) -> watch::Receiver<Arc<Config>> {
        self.0.subscribe()
    }
}
