//! Reading the configuration again while the process runs: all that can be applied is, or nothing if anything is wrong.
//!
//! Certificates are read again even where the file is the same: they are renewed in place.

use std::path::PathBuf;
use std::sync::Arc;

use tracing::{error, info, warn};

use super::service;
use crate::admin::reload::Report;
use crate::config::{self, Config, differences};
use crate::net::tls::{ClientTls, ServerTls};
use crate::session::worker;
use crate::telemetry::log;

/// What can be changed while the process runs.
pub(super) struct Reload {
    path: PathBuf,
    config: Arc<Config>,
    data: Arc<worker::Shared>,
}

impl Reload {
    /// The file, and what it said at the start.
    pub(super) fn new(path: PathBuf, config: Arc<Config>, data: Arc<worker::Shared>) -> Self {
        Self { path, config, data }
    }

    /// Reads the file again.
    pub(super) fn run(&mut self) -> Result<Report, String> {
        service::reloading();
        let report = self.apply();
        service::ready();
        match &report {
            Ok(Report { applied, waiting }) => {
                info!(applied = applied.join(", "), "the configuration was read again");
                if !waiting.is_empty() {
                    warn!(settings = waiting.join(", "), "changed in the file, and in force after a restart only");
                }
            }
            Err(why) => error!("the configuration was read again, and nothing changes: {why}"),
        }
        report
    }

    fn apply(&mut self) -> Result<Report, String> {
        let new = config::load(&self.path).map_err(|error| error.to_string())?;
        let (fresh, to_nodes) = (self.certificates(&new)?, self.to_nodes(&new)?);
        let mut waiting = differences(&self.config, &new);
        let mut applied = Vec::new();
        for (listener, server) in fresh {
            waiting.remove(&format!("listener.{listener}.tls.certificate"));
            waiting.remove(&format!("listener.{listener}.tls.key"));
            if let Some(tls) = self.place(&listener).and_then(|place| self.data.tls[place].as_ref()) {
                tls.server.renew(&server);
                applied.push(format!("certificate of {listener}"));
            }
        }
        if let (Some(tls), Some(fresh)) = (&self.data.node_tls, to_nodes) {
            tls.renew(&fresh);
            applied.push("certificates of nodes".to_owned());
        }
        if waiting.remove("site.log") {
            log::set(new.site.log);
            applied.push("site.log".to_owned());
        }
        Arc::make_mut(&mut self.config).site.log = new.site.log;
        Ok(Report { applied, waiting: waiting.into_iter().collect() })
    }

    /// Those of listeners that have had TLS from the start.
    fn certificates(&self, new: &Config) -> Result<Vec<(Box<str>, ServerTls)>, String> {
        let had = |name: &str| self.place(name).is_some_and(|place| self.config.listeners[place].tls.is_some());
        let loaded = super::listener_tls(new)?.into_iter().zip(&new.listeners);
        let fresh = loaded.filter_map(|(tls, listener)| Some((listener.name.clone(), tls?.server)));
        Ok(fresh.filter(|(name, _)| had(name)).collect())
    }

    /// If the files are the same as at the start, what is in them now.
    fn to_nodes(&self, new: &Config) -> Result<Option<ClientTls>, String> {
        if new.cluster.tls != self.config.cluster.tls { Ok(None) } else { super::node_tls(new) }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.config.listeners.iter().position(|listener| &*listener.name == name)
    }
}
