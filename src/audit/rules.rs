//! What does not fit, why that matters, and what puts it right (pure).

mod reach;

use std::fmt;
use std::net::IpAddr;

use super::facts::Facts;
use super::grants::Grants;
use super::reach::Reach;
use crate::config::model::Kind;
use crate::gtid::{Gtid, Position};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work, or data can be lost.
    Error,
    /// Something works less well than it could, or may fail later.
    Warning,
}

/// One thing that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Where.
    pub place: String,
    /// What.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// What puts it right.
    pub fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        write!(f, "{level}: {}: {}\n    why: {}\n    fix: {}", self.place, self.what, self.why, self.fix)
    }
}

/// What is known of a site.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What its nodes are.
    pub kind: Kind,
    /// The service user.
    pub user: String,
    /// Its nodes.
    pub nodes: Vec<Server>,
    /// What it replicates from.
    pub remotes: Vec<Remote>,
    /// What replicates from it through a running proxy, by GTIDs.
    pub replicas: Vec<Replica>,
    /// Those that are to take the PROXY protocol and do not, and from where.
    pub refusals: Vec<(String, IpAddr)>,
    /// Is it to be found out whether an interrupted write happened?
    pub resolves: bool,
}

/// What is known of a server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Settings, and what the account that asked may do; or why there is no answer.
    pub answer: Result<(Facts, Grants), String>,
    /// How far back its binary log goes, if the account that asked may see it.
    pub reach: Option<Reach>,
}

/// A replica that reads.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Its server id.
    pub server: u32,
    /// What it has been sent.
    pub position: Position,
}

/// The remote of a link.
#[derive(Clone, Debug)]
pub struct Remote {
    /// The link's user there.
    pub user: String,
    /// The server that answers, named after the link.
    pub server: Server,
}

impl Picture {
    fn nodes(&self) -> impl Iterator<Item = (&str, &Facts, &Grants)> {
        self.nodes.iter().filter_map(Server::answer)
    }

    fn remotes(&self) -> impl Iterator<Item = (&str, &Facts)> {
        self.remotes.iter().filter_map(|remote| remote.server.answer()).map(|(name, facts, _)| (name, facts))
    }
}

impl Server {
    fn answer(&self) -> Option<(&str, &Facts, &Grants)> {
        self.answer.as_ref().ok().map(|(facts, grants)| (&*self.name, facts, grants))
    }

    fn log(&self) -> Option<(&str, &Facts, &Reach)> {
        self.answer().zip(self.reach.as_ref()).map(|((name, facts, _), reach)| (name, facts, reach))
    }
}

/// Whoever is away for longer than binary logs are kept has to be built anew: that is to be more than a long weekend.
const RETENTION_S_MIN: u64 = 4 * 86_400;
/// Its names: servers before 10.5 had the other one.
const BINLOG_MONITOR: [&str; 2] = ["BINLOG MONITOR", "REPLICATION CLIENT"];
/// What the proxy's own tests run against.
const TESTED: [&str; 2] = ["10.11", "11.8"];

/// Everything that does not fit, the worst first.
pub fn audit(picture: &Picture) -> Vec<Finding> {
    let mut findings = Findings(vec![]);
    findings.unanswered(picture);
    for (name, facts, _) in picture.nodes() {
        findings.of_log(name, facts, picture);
        findings.of_cluster(name, facts, picture.kind);
        findings.of_writes(name, facts);
    }
    findings.of_headers(picture);
    findings.among_nodes(picture);
    findings.among_sites(picture);
    findings.of_counters(picture);
    findings.of_accounts(picture);
    findings.of_reach(picture);
    findings.0.sort();
    findings.0.dedup();
    findings.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, level: Level, place: &str, what: impl Into<String>, why: &str, fix: impl Into<String>) {
        let (place, what, why, fix) = (place.to_owned(), what.into(), why.to_owned(), fix.into());
        self.0.push(Finding { level, place, what, why, fix });
    }

    fn unanswered(&mut self, picture: &Picture) {
        let remotes = picture.remotes.iter().map(|remote| &remote.server);
        for server in picture.nodes.iter().chain(remotes) {
            if let Err(why) = &server.answer {
                let fix = "make it answer, and run the audit again";
                self.add(
                    Level::Error,
                    &server.name,
                    format!("it can't be asked: {why}"),
                    "it may be set in any way",
                    fix,
                );
            }
        }
    }

    fn of_headers(&mut self, picture: &Picture) {
        for (name, address) in &picture.refusals {
            let what = format!("it does not take the PROXY protocol from this proxy at {address}");
            let why =
                "nobody could log in there: proxy_protocol is on for it, so connections of sessions begin with that";
            let fix = format!("{address} in its proxy_protocol_networks, by SET GLOBAL and in its configuration");
            self.add(Level::Error, name, what, why, fix);
        }
    }

    fn of_log(&mut self, name: &str, facts: &Facts, picture: &Picture) {
        let restart = |setting: &str| format!("{setting} in its configuration, and a restart");
        if !facts.logs {
            self.add(Level::Error, name, "log_bin is OFF", "no replica can read it", restart("log_bin"));
        }
        if !facts.logs_replicated {
            let why = "what comes from other nodes and sites is not in its binary log, so it can't take over a dump";
            self.add(Level::Error, name, "log_slave_updates is OFF", why, restart("log_slave_updates = ON"));
        }
        if !facts.format.eq_ignore_ascii_case("ROW") {
            let why = "a statement may do something else on another node; Galera replicates rows";
            let fix = "SET GLOBAL binlog_format = ROW, and in its configuration";
            self.add(Level::Error, name, format!("binlog_format is {}", facts.format), why, fix);
        }
        if picture.resolves && !facts.annotates {
            let why = "it can't be found out whether a write happened whose node was lost: clients get error 08007";
            let fix = "SET GLOBAL binlog_annotate_row_events = ON, and in its configuration";
            self.add(Level::Warning, name, "binlog_annotate_row_events is OFF", why, fix);
        }
        if !picture.remotes.is_empty() && !facts.ignores_duplicates {
            let why = "transactions that have gone round by the other site would be applied twice: links don't start";
            let fix = "SET GLOBAL gtid_ignore_duplicates = ON, and in its configuration";
            self.add(Level::Error, name, "gtid_ignore_duplicates is OFF", why, fix);
        }
        if let Some(kept_s) = facts.retention_s.filter(|kept_s| *kept_s < RETENTION_S_MIN) {
            let why = "a replica that was away for longer finds nothing to go on from, and has to be built anew";
            let fix =
                format!("SET GLOBAL binlog_expire_logs_seconds = {}, and in its configuration", 2 * RETENTION_S_MIN);
            self.add(Level::Warning, name, format!("binary logs are kept for {kept_s} s only"), why, fix);
        }
        if facts.logs_bytes_max > 0 {
            let what = format!("binary logs are thrown away above {} bytes, however young", facts.logs_bytes_max);
            let why = "a burst of writes is enough, and a replica that is behind has to be built anew";
            self.add(Level::Warning, name, what, why, "SET GLOBAL max_binlog_total_size = 0, and in its configuration");
        }
    }

    fn of_cluster(&mut self, name: &str, facts: &Facts, kind: Kind) {
        let wsrep = match (kind, facts.wsrep) {
            (Kind::Standalone, None) => return,
            (Kind::Standalone, Some(_)) => {
                let why =
                    "a node of a cluster is watched as a server of its own: what the cluster does to it is not seen";
                return self.add(Level::Error, name, "wsrep_on is ON", why, "kind = \"galera\" in [cluster]");
            }
            (Kind::Galera, None) => {
                let why = "it is no node of the cluster, and gets no work";
                return self.add(Level::Error, name, "wsrep_on is OFF", why, "wsrep_on = ON in its configuration");
            }
            (Kind::Galera, Some(wsrep)) => wsrep,
        };
        if !wsrep.gtid_mode {
            let why = "each node gives a transaction another GTID, so a position means nothing on the next node";
            self.add(
                Level::Error,
                name,
                "wsrep_gtid_mode is OFF",
                why,
                "wsrep_gtid_mode = ON in its configuration, and a restart",
            );
        }
        if wsrep.controls_counter {
            let why = "it sets increment and offset after the number of nodes, and they meet those of the other site";
            let fix = "SET GLOBAL wsrep_auto_increment_control = OFF, and in its configuration";
            self.add(Level::Warning, name, "wsrep_auto_increment_control is ON", why, fix);
        }
        if wsrep.splits_loads {
            let why = "LOAD DATA commits in pieces, and one whose node is lost runs again: rows could be there twice";
            let fix = "SET GLOBAL wsrep_load_data_splitting = OFF, and in its configuration";
            self.add(Level::Error, name, "wsrep_load_data_splitting is ON", why, fix);
        }
        if facts.counter_lock_mode != 2 {
            let what = format!("innodb_autoinc_lock_mode is {}", facts.counter_lock_mode);
            let why = "rows that are applied and rows that are written can wait for each other";
            self.add(
                Level::Warning,
                name,
                what,
                why,
                "innodb_autoinc_lock_mode = 2 in its configuration, and a restart",
            );
        }
    }

    /// What is written past the cluster.
    fn of_writes(&mut self, name: &str, facts: &Facts) {
        let local = facts.position.get(facts.own_domain).filter(|_| facts.own_domain != facts.site_domain());
        if let Some(last) = local {
            let why = "no other node has them: MyISAM and Aria tables, and what was done with wsrep_on or wsrep_OSU_method changed";
            let fix = "ALTER TABLE ... ENGINE = InnoDB for tables that are written";
            self.add(Level::Warning, name, format!("it has transactions of its own, the last one is {last}"), why, fix);
        }
        if !TESTED.contains(&facts.series()) {
            let what = format!("its version is {}", facts.version);
            let tested = TESTED.join(" and ");
            let why =
                format!("the proxy is tested against {tested}; before 10.5 clusters and GTIDs work in another way");
            self.add(Level::Warning, name, what, &why, "try what you need before you rely on it");
        }
    }

    /// What a node has written of the cluster's while it had lost the domain is in its log under GTIDs that nobody else knows.
    fn of_strays(&mut self, nodes: &[(&str, &Facts, &Grants)]) {
        for (name, facts, _) in nodes.iter().filter(|(_, facts, _)| facts.wsrep.is_some()) {
            let is_known = |domain: u32| {
                let is_kept = nodes.iter().any(|(_, other, _)| other.own_domain == domain);
                is_kept || nodes.iter().all(|(_, other, _)| other.position.get(domain).is_some())
            };
            let is_of_cluster = |gtid: &Gtid| gtid.server == facts.server_id && gtid.domain != facts.site_domain();
            let is_stray = |gtid: &Gtid| is_of_cluster(gtid) && !is_known(gtid.domain);
            if let Some(stray) = facts.position.iter().find(is_stray) {
                let what =
                    format!("its binary log has the cluster's transactions under other GTIDs, the last one is {stray}");
                let why = "a replica would get them twice: it is no source of dumps";
                self.add(Level::Warning, name, what, why, "RESET MASTER there, while no replica reads from it");
            }
        }
    }

    fn among_nodes(&mut self, picture: &Picture) {
        let nodes: Vec<_> = picture.nodes().collect();
        self.of_strays(&nodes);
        let Some((first, of_first, _)) = nodes.first() else { return };
        for (at, (name, facts, _)) in nodes.iter().enumerate().skip(1) {
            if facts.server_id != of_first.server_id {
                let what = format!("its server_id is {}, that of {first} is {}", facts.server_id, of_first.server_id);
                let why = "GTIDs carry it, and after a move of the writer they would differ";
                self.add(Level::Error, name, what, why, "the same server_id in the configuration of all nodes");
            }
            if facts.site_domain() != of_first.site_domain() && facts.wsrep.is_some() {
                let (own, firsts) = (facts.site_domain(), of_first.site_domain());
                let what = format!("its wsrep_gtid_domain_id is {own}, that of {first} is {firsts}");
                let why = "a position must mean the same on all nodes";
                self.add(
                    Level::Error,
                    name,
                    what,
                    why,
                    "the same wsrep_gtid_domain_id in the configuration of all nodes",
                );
            }
            if facts.series() != of_first.series() {
                let what = format!("its version is {}, that of {first} is {}", facts.version, of_first.version);
                let why = "capabilities and state transfers differ: that is for the time of an upgrade only";
                self.add(Level::Warning, name, what, why, "upgrade the rest");
            }
            if let Some((twin, ..)) = nodes[..at].iter().find(|(_, other, _)| other.own_domain == facts.own_domain) {
                let what = format!("its gtid_domain_id is {}, as that of {twin}", facts.own_domain);
                let why = "what each keeps to itself would look like the same transactions";
                self.add(Level::Error, name, what, why, "a gtid_domain_id of its own in its configuration");
            }
        }
        for (name, facts, _) in nodes.iter().filter(|(_, facts, _)| facts.wsrep.is_some()) {
            if facts.own_domain == facts.site_domain() {
                let why = "what it keeps to itself would look like the cluster's transactions";
                let what = format!("its gtid_domain_id is the cluster's, {}", facts.own_domain);
                self.add(Level::Error, name, what, why, "a gtid_domain_id of its own in its configuration");
            }
        }
    }

    fn among_sites(&mut self, picture: &Picture) {
        let Some((_, own, _)) = picture.nodes().next() else { return };
        for (name, remote) in picture.remotes() {
            if remote.server_id == own.server_id {
                let what = format!("both sites have the server_id {}", own.server_id);
                let why = "a server skips transactions with its own server_id";
                self.add(Level::Error, name, what, why, "a server_id for each site");
            }
            if remote.site_domain() == own.site_domain() {
                let what = format!("both sites write to the GTID domain {}", own.site_domain());
                self.add(Level::Error, name, what, "one would hide the other's transactions", "a domain for each site");
            }
        }
    }

    fn of_counters(&mut self, picture: &Picture) {
        for (remote, facts) in picture.remotes() {
            for (node, own, _) in picture.nodes().filter(|(_, own, _)| own.counter.meets(facts.counter)) {
                let text = |counter: super::facts::Counter| format!("{} + n * {}", counter.offset, counter.increment);
                let what =
                    format!("AUTO_INCREMENT gives {} there and {} on {node}", text(facts.counter), text(own.counter));
                let why = "rows that both sites insert get the same key, and links stop with error 1062";
                let fix = "auto_increment_increment as the number of all writers of both sites, and another auto_increment_offset for each";
                self.add(Level::Error, remote, what, why, fix);
            }
        }
    }

    fn of_accounts(&mut self, picture: &Picture) {
        let user = &picture.user;
        let has_links = !picture.remotes.is_empty();
        for (name, facts, grants) in picture.nodes() {
            let mut lacks = |level, has: bool, privilege: &str, why: &str| {
                if !has {
                    self.add(
                        level,
                        name,
                        format!("{user} lacks {privilege}"),
                        why,
                        format!("GRANT {privilege} TO {user}@'%'"),
                    );
                }
            };
            let (any, all) =
                (|names: &[&str]| names.iter().any(|name| grants.has(name)), |name: &str| grants.has(name));
            let any_or_super = |names: &[&str]| any(names) || facts.super_holds_all() && all("SUPER");
            let why = "the proxy reads accounts there: nobody can log in";
            lacks(Level::Error, grants.has_on("mysql.*", "SELECT"), "SELECT ON mysql.*", why);
            let why = "schemas can't be seen, and so logins into one not be checked";
            lacks(Level::Warning, all("SHOW DATABASES"), "SHOW DATABASES ON *.*", why);
            let why =
                "it can't be seen how far back the binary log goes, and whether replicas find there what they need";
            lacks(Level::Warning, any(&BINLOG_MONITOR), "BINLOG MONITOR ON *.*", why);
            if picture.resolves {
                let why = "it can't be found out whether a write happened whose node was lost: clients get error 08007";
                lacks(Level::Warning, all("REPLICATION SLAVE"), "REPLICATION SLAVE ON *.*", why);
                let why = "what was interrupted can't be ended, and so not be found out: clients get error 08007";
                lacks(Level::Warning, any_or_super(&["CONNECTION ADMIN"]), "CONNECTION ADMIN ON *.*", why);
            }
            if has_links {
                let why = "links can't be started and stopped";
                let has = any_or_super(&["REPLICATION SLAVE ADMIN", "REPLICA ADMIN"]);
                lacks(Level::Error, has, "REPLICATION SLAVE ADMIN ON *.*", why);
                let why = "a link that has moved away stays configured on its old node, stopped";
                lacks(Level::Warning, all("RELOAD"), "RELOAD ON *.*", why);
                let (level, why) = if any_or_super(&[]) {
                    (Level::Warning, "`oarlock link skip` can't show the transaction that it would skip")
                } else {
                    (Level::Error, "links can't be looked at, and stand still")
                };
                lacks(level, any(&["SLAVE MONITOR", "REPLICA MONITOR"]), "SLAVE MONITOR ON *.*", why);
            }
        }
        for Remote { user, server } in &picture.remotes {
            let Some((name, _, grants)) = server.answer() else { continue };
            let mut lacks = |level, privilege: &str, why: &str| {
                let fix = format!("GRANT {privilege} ON *.* TO {user}@'%'");
                self.add(level, name, format!("{user} lacks {privilege} there"), why, fix);
            };
            if !grants.has("REPLICATION SLAVE") {
                lacks(Level::Error, "REPLICATION SLAVE", "the link can't replicate");
            }
            if !BINLOG_MONITOR.iter().any(|name| grants.has(name)) {
                let why = "it can't be seen whether that site still has what this one needs of its binary log";
                lacks(Level::Warning, "BINLOG MONITOR", why);
            }
        }
    }
}

#[cfg(test)]
#[path = "rules/tests.rs"]
mod tests;
