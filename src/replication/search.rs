//! Finding a source for a dump: asks the nodes in their order until one sends, and looks for a better one when the cluster has changed.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::anchors::elsewhere;
use super::approach::{Refusal, Wanted, approach};
use super::dump::{Dump, End, Source};
use super::source::{Dilemma, Unfit, better, choose, weigh};
use crate::cluster::view::{ClusterView, NodeId};
use crate::fault::{Fault, Retry};
use crate::gtid::Gtid;

/// How long a node may take to come as far as the replica is: when it is needed, and when it would only be better.
const BEHIND_MAX: Duration = Duration::from_secs(10);
const BETTER_BEHIND_MAX: Duration = Duration::from_millis(500);
/// After so long, if nothing else happens, one that could not be reached, when there is no other.
const ABSENT_PAUSE: Duration = Duration::from_millis(100);

impl Dump {
    /// Has a source send, whichever can. Waits for one as long as is configured.
    pub(super) async fn find(&mut self, tolerated: &mut Option<Gtid>) -> Result<Source, End> {
        let give_up = Instant::now() + self.endpoint.bounds.source_wait;
        loop {
            let view = self.endpoint.view.load().clone();
            self.versions.mark_unchanged();
            let node = if self.flow.can_move() { choose(&view, &self.unfit) } else { self.home(&view)? };
            let dilemma = match node {
                Some(node) => match self.approach(node, BEHIND_MAX).await {
                    Ok(source) => return Ok(source),
                    Err(Refusal::Account(fault)) => return Err(End::Tell(fault)),
                    Err(Refusal::Unfit(why)) if self.flow.can_move() => {
                        self.unfit.insert(node, why);
                        continue;
                    }
                    Err(Refusal::Unfit(Unfit::Lacks(_, why))) => {
                        return Err(End::Tell(Fault::node(Retry::Never, 1236, b"HY000", why)));
                    }
                    Err(Refusal::Unfit(_)) => Dilemma::Wait,
                },
                None => weigh(&view, &self.unfit, self.flow.position()),
            };
            match dilemma {
                Dilemma::Tell(fault) => return Err(End::Tell(fault)),
                Dilemma::Tolerate(gap) => {
                    warn!(server = self.seat.entry.server, position = %self.flow.position(), next = %gap, "every node's binary log goes on behind a gap");
                    *tolerated = Some(gap);
                    self.unfit.clear();
                }
                Dilemma::Wait if Instant::now() >= give_up => {
                    warn!(
                        server = self.seat.entry.server,
                        "no node can serve a dump now; the replica comes again by itself"
                    );
                    return Err(End::Over);
                }
                Dilemma::Wait => {
                    let _ = self.endpoint.clock.timeout(ABSENT_PAUSE, self.versions.changed()).await;
                    self.unfit.retain(|_, why| !matches!(why, Unfit::Absent(_)));
                }
            }
        }
    }

    /// By file and position there is one source: the writer, as long as that is the node whose files the replica means.
    fn home(&self, view: &ClusterView) -> Result<Option<NodeId>, End> {
        let Some(writer) = view.write_target() else { return Ok(None) };
        let home = self.request.reader().and_then(|server| self.endpoint.anchors.node_of(server));
        match home.filter(|home| **home != *self.name(writer)) {
            Some(home) => Err(End::Tell(elsewhere(&self.request.file(), &home, &self.name(writer)))),
            None => Ok(Some(writer)),
        }
    }

    async fn approach(&mut self, node: NodeId, patience: Duration) -> Result<Source, Refusal> {
        let view = self.endpoint.view.load().clone();
        let Some(node) = view.node(node) else { return Err(Refusal::Unfit(Unfit::Absent("unknown".into()))) };
        let landmark = view.gtid_domain.and_then(|domain| self.flow.landmark(domain));
        let position = self.flow.position();
        let had_source = !self.seat.entry.place().source.is_empty();
        let (request, who, client) = (&self.request, &self.credentials, self.address);
        let wanted = Wanted { request, who, client, position, patience, had_source, landmark };
        let line = approach(&self.endpoint, node, &wanted, &mut self.locals).await;
        match &line {
            Err(Refusal::Unfit(Unfit::Absent(why))) => {
                debug!(server = self.seat.entry.server, node = &*node.name, %why, "the node can't be asked for a dump");
                self.endpoint.view.suspect(node.id);
            }
            Err(Refusal::Unfit(Unfit::Differs(gtid))) => {
                warn!(server = self.seat.entry.server, node = &*node.name, %gtid, "the node has another transaction under this GTID: it can't serve a dump");
            }
            Err(Refusal::Unfit(Unfit::Stray(gtid))) => {
                warn!(server = self.seat.entry.server, node = &*node.name, %gtid, "the node's binary log has transactions of the cluster under other GTIDs: it can't serve a dump");
            }
            Err(Refusal::Unfit(why)) => {
                info!(server = self.seat.entry.server, node = &*node.name, ?why, "the node can't serve a dump");
            }
            _ => {}
        }
        Ok(Source::new(node.id, line?))
    }

    /// A source that is better than this one and sends already, if there is one.
    pub(super) async fn improve(&mut self, current: NodeId) -> Option<Source> {
        // What was absent may be back.
        self.unfit.retain(|_, why| !matches!(why, Unfit::Absent(_)));
        loop {
            let view = self.endpoint.view.load().clone();
            self.versions.mark_unchanged();
            let node = better(&view, current, &self.unfit)?;
            match self.approach(node, BETTER_BEHIND_MAX).await {
                Ok(source) => return Some(source),
                Err(Refusal::Account(_)) => return None,
                Err(Refusal::Unfit(why)) => drop(self.unfit.insert(node, why)),
            }
        }
    }
}
