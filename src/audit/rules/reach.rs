//! Do binary logs go back to what replicas and links still need of them, and will they (pure).

use super::{Findings, Level, Picture, Server};
use crate::audit::facts::Facts;
use crate::audit::reach::Reach;
use crate::gtid::Position;

const KEPT: &str = "it finds nothing to go on from when its connection ends, and has to be built anew";

impl Findings {
    pub(super) fn of_reach(&mut self, picture: &Picture) {
        let locals: Vec<u32> = picture.nodes().filter_map(|(_, facts, _)| local(facts)).collect();
        for replica in &picture.replicas {
            let name = format!("replica {}", replica.server);
            let needs = |gtid: &crate::gtid::Gtid| gtid.server != replica.server && !locals.contains(&gtid.domain);
            let holds = |place: &Position| place.iter().filter(needs).all(|gtid| replica.position.holds(gtid));
            let logs: Vec<_> = picture.nodes.iter().filter_map(Server::log).collect();
            let (serve, lack): (Vec<_>, Vec<_>) = logs.into_iter().partition(|(.., reach)| holds(&reach.start));
            match lack.first() {
                Some((.., reach)) if serve.is_empty() => {
                    let what = format!("it is at '{}', and no node's binary log goes back so far", replica.position);
                    let fix = format!("let it come as far as '{}' before its connection ends", reach.start);
                    self.add(Level::Error, &name, what, KEPT, fix);
                }
                _ => self.of_lacking(&name, &lack),
            }
            for (node, facts, reach) in serve {
                if !reach.next.as_ref().is_none_or(holds) {
                    self.of_purge(node, &name, facts);
                }
            }
        }
        self.of_remotes(picture);
    }

    /// Nodes that could not go on with a dump that other nodes can.
    fn of_lacking(&mut self, replica: &str, lack: &[(&str, &Facts, &Reach)]) {
        for (node, _, reach) in lack {
            let what = format!("its binary log begins at '{}', which {replica} has not reached", reach.start);
            let why = "it can't go on with the dump when another node is lost";
            let fix = "let the replica catch up before nodes that can are taken away";
            self.add(Level::Warning, node, what, why, fix);
        }
    }

    /// A file that is needed is the next one to go.
    fn of_purge(&mut self, place: &str, who: &str, facts: &Facts) {
        let (limit, fix) = match (facts.retention_s, facts.logs_bytes_max) {
            (None, 0) => return,
            (Some(kept_s), _) => (format!("after {kept_s} s"), "SET GLOBAL binlog_expire_logs_seconds = 0"),
            (None, bytes) => (format!("above {bytes} bytes"), "SET GLOBAL max_binlog_total_size = 0"),
        };
        let what = format!("{who} still needs its oldest binary log, which is the next to be thrown away, {limit}");
        self.add(Level::Warning, place, what, KEPT, format!("{fix}, until it has caught up"));
    }

    /// What this site still needs of others.
    fn of_remotes(&mut self, picture: &Picture) {
        let positions = picture.nodes().map(|(_, facts, _)| &facts.position);
        let own = positions.fold(Position::default(), |all, position| all.max(position));
        for (name, facts, reach) in picture.remotes.iter().filter_map(|remote| remote.server.log()) {
            let domain = facts.site_domain();
            let holds = |place: &Position| place.get(domain).is_none_or(|gtid| own.holds(gtid));
            if let Some(start) = reach.start.get(domain).filter(|_| !holds(&reach.start)) {
                let has = own.get(domain).map_or("nothing".to_owned(), |gtid| gtid.to_string());
                let what = format!("its binary log begins at '{start}', and this site has {has} of it");
                let why = "what is between is gone there: the link can't go on";
                let fix = "make this site a copy of that one, then `oarlock link bootstrap` with the copy's position";
                self.add(Level::Error, name, what, why, fix);
            } else if !reach.next.as_ref().is_none_or(holds) {
                self.of_purge(name, "this site", facts);
            }
        }
    }
}

/// The domain of what a node of a cluster keeps to itself.
fn local(facts: &Facts) -> Option<u32> {
    facts.wsrep.is_some().then_some(facts.own_domain)
}
