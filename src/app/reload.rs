//! Reading the configuration again while the process runs: all that can be applied is, or nothing if anything is wrong.
//!
//! Certificates are read again even where the file is the same: they are renewed in place. A service user must have been let in by a
//! node before it is believed.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tracing::{error, info, warn};

use super::doors::{self, Doors};
use super::operators::{self, Operators};
use super::succession::Sockets;
use super::{DataPlane, Shared, service, settings, tls};
use crate::admin::health::Stage;
use crate::admin::reload::Report;
use crate::cluster::judge::Observation;
use crate::cluster::probe::Probe;
use crate::config::{self, Config, differences, in_force};
use crate::net::tls::ClientTls;
use crate::session::worker;
use crate::telemetry::log;

/// What can be changed while the process runs.
pub(super) struct Reload {
    path: PathBuf,
    shared: Shared,
    data: Arc<worker::Shared>,
    operators: Operators,
    doors: Doors,
    stage: watch::Receiver<Stage>,
}

impl Reload {
    /// The file, and who is to know what it says.
    pub(super) fn new(
        path: PathBuf,
        shared: Shared,
        data: &DataPlane,
        operators: Operators,
        stage: watch::Receiver<Stage>,
    ) -> Self {
        Self { path, shared, data: data.shared.clone(), operators, doors: data.doors.clone(), stage }
    }

    /// Reads the file again.
    pub(super) async fn run(&mut self) -> Result<Report, String> {
        service::reloading();
        let report = self.apply().await;
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

    async fn apply(&mut self) -> Result<Report, String> {
        // What was bound at the start is on its way to the workers until then.
        let _ = self.stage.wait_for(|stage| *stage != Stage::Starting).await;
        let new = config::load(&self.path).map_err(|error| error.to_string())?;
        let old = self.shared.config.load();
        let next = in_force(&old, &new)?;
        let (entrances, to_nodes) = (doors::entrances(&next)?, to_nodes(&old, &new)?);
        let to_operators = tls::admin(&new)?;
        let links: Vec<String> =
            tls::links(&next)?.into_iter().map(|link| format!("certificates of link {link}")).collect();
        if (&next.site.user, &next.site.password) != (&old.site.user, &old.site.password) {
            self.try_login(&next).await?;
        }
        let (admin_had_tls, admin_has_tls) = (old.admin.tls.is_some(), to_operators.is_some());
        let held = self.doors.held().iter().cloned().chain(self.operators.held()).collect::<Vec<_>>();
        let mut sockets = Sockets::of(held).map_err(|error| format!("no sockets: {error}"))?;
        let change = self.doors.prepare(&old, &next, &mut sockets)?;
        let desks = operators::Change::bind(&next, to_operators, &mut sockets)?;
        let waiting = differences(&next, &new);
        let mut applied: Vec<String> = differences(&old, &next).into_iter().collect();
        applied.extend(certificates(&old, &next));
        if let (Some(tls), Some(fresh)) = (&self.data.node_tls, to_nodes) {
            tls.renew(&fresh);
            applied.push("certificates of nodes".to_owned());
        }
        applied.extend(links);
        if admin_had_tls && admin_has_tls {
            applied.push("certificate of the admin address".to_owned());
        }
        log::set(next.site.log);
        self.data.settings.store(Arc::new(settings(&next)));
        let passwords_change = next.accounts != old.accounts;
        self.data.entrances.store(Arc::new(entrances));
        self.operators.carry_out(desks);
        self.shared.config.put(next);
        self.doors.carry_out(change, &self.data.registry);
        if passwords_change {
            // They are told with the accounts. If none can be loaded now, they will be with the next that are.
            self.shared.directory.refresh(self.shared.directory.load().generation()).await;
        }
        self.data.registry.settle();
        Ok(Report { applied, waiting: waiting.into_iter().collect() })
    }

    /// Has the nodes that answer now let this service user in? One that refuses it speaks for all.
    async fn try_login(&self, next: &Config) -> Result<(), String> {
        let members: Vec<_> = self.shared.view.load().members().filter(|node| node.tolerable()).cloned().collect();
        for member in members {
            let Some(node) = next.nodes.get(usize::from(member.id.0)) else { continue };
            match Probe::new(node, next).observe().await {
                Observation::Denied(why) => {
                    return Err(format!("{} does not let the new service user in: {why}", node.name));
                }
                Observation::Seen(_) => return Ok(()),
                // Of no use now, whoever logs in.
                Observation::Unreachable(_) | Observation::Late(_) | Observation::Nonsense(_) => {}
            }
        }
        Ok(())
    }
}

/// Those of listeners that had TLS before, whose files may be the same.
fn certificates(old: &Config, next: &Config) -> Vec<String> {
    let both = old.listeners.iter().zip(&next.listeners);
    let renewed = both.filter(|(old, next)| !next.leaves && old.tls.is_some() && next.tls.is_some());
    renewed.map(|(_, listener)| format!("certificate of {}", listener.name)).collect()
}

/// If the files are the same as at the start, what is in them now.
fn to_nodes(old: &Config, new: &Config) -> Result<Option<ClientTls>, String> {
    if new.cluster.tls != old.cluster.tls { Ok(None) } else { tls::nodes(new) }
}
