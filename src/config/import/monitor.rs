//! The monitor, its servers, and the settings of its script (pure): what is watched, how, and what replicates from where.

use super::draft::{Block, Fate, name, text};
use super::ini::{Section, Setting};
use super::value::{duration, truth};
use super::{MAXINFO, Translation, different, lost, taken};
use crate::config::import::Entry;

impl<'a> Translation<'a> {
    /// The one monitor there may be.
    pub(super) fn find_monitor(&self) -> Result<&'a Section, String> {
        let is_known =
            |section: &&Section| matches!(section.get("module"), Some("galeramon" | "mariadbmon" | "mysqlmon"));
        let monitors: Vec<_> = self.sections.iter().filter(|section| section.is_of("monitor")).collect();
        let known: Vec<_> = monitors.iter().copied().filter(is_known).collect();
        let [monitor] = *known else {
            return Err(format!(
                "{} monitors with module=galeramon or mariadbmon, and there must be one: a proxy serves one cluster, or one server",
                known.len()
            ));
        };
        if monitor.get("module") != Some("galeramon") && monitor.list("servers").len() > 1 {
            return Err(format!(
                "[{}] line {}: several servers that replicate from each other without Galera: only Galera clusters and single servers are served",
                monitor.name, monitor.line
            ));
        }
        Ok(monitor)
    }

    /// The monitor and its servers.
    pub(super) fn monitor(&mut self, monitor: &'a Section) {
        let galera = monitor.get("module") == Some("galeramon");
        self.cluster.set("kind", text(if galera { "galera" } else { "standalone" }));
        if galera && monitor.get("disable_master_failback").is_none() {
            self.cluster.set("failback", "true");
        }
        self.note_each(monitor, Self::monitor_setting);
        let by_priority = !galera || monitor.get("use_priority").and_then(truth) == Some(true);
        for server in monitor.list("servers") {
            if let Some(section) =
                self.sections.iter().find(|section| section.name == server && section.is_of("server"))
            {
                self.server(section, by_priority);
            }
        }
    }

    fn monitor_setting(&mut self, monitor: &'a Section, setting: &'a Setting) -> Fate {
        let value = &*setting.value;
        let mut timeout = |key| match duration(value, "s") {
            Some(value) => self.cluster.set(key, value),
            None => lost(),
        };
        match (&*setting.key, truth(value)) {
            ("type", _) => taken("[cluster]"),
            ("module", _) => taken("[cluster] kind"),
            ("servers", _) => taken("[[node]]"),
            ("backend_connect_timeout", _) => timeout("connect_timeout"),
            ("backend_read_timeout", _) => timeout("read_timeout"),
            ("backend_write_timeout", _) => timeout("write_timeout"),
            ("backend_connect_attempts", _) if value == "1" => taken("a node that can't be reached is down at once"),
            ("backend_connect_attempts", _) => different("a node that can't be reached is down at once"),
            ("user", _) => {
                let user = self.string(value);
                self.site.set("user", user)
            }
            ("password" | "passwd", _) => self.site_password(value),
            ("monitor_interval", _) => match duration(value, "ms") {
                Some(value) => self.cluster.set("probe_interval", value),
                None => lost(),
            },
            ("use_priority", Some(true)) => taken("[[node]] priority"),
            ("use_priority", Some(false)) => {
                taken("no priorities: the node with the lowest wsrep_local_index is the writer")
            }
            ("available_when_donor", Some(is)) => self.cluster.set("available_when_donor", is.to_string()),
            ("disable_master_failback", Some(is)) => self.cluster.set("failback", (!is).to_string()),
            ("disable_master_role_setting", Some(false)) => taken("there is a writer"),
            ("script" | "events" | "script_timeout", _) if self.import.maxinfo.is_some() => taken("[[link]]"),
            ("script", _) => Fate::Lost(
                "no scripts are run; if it moves a replication connection, name its file of settings with --maxinfo"
                    .to_owned(),
            ),
            // With one server there is nothing to fail over to.
            ("auto_failover" | "auto_rejoin" | "enforce_read_only_slaves", _)
                if monitor.get("module") != Some("galeramon") =>
            {
                taken("one server: nothing to do")
            }
            _ => lost(),
        }
    }

    fn server(&mut self, server: &'a Section, by_priority: bool) {
        let mut node = Block::new("[[node]]");
        node.set("name", name(&server.name));
        let (host, port) = (server.get("address").unwrap_or("127.0.0.1"), server.get("port").unwrap_or("3306"));
        let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        node.set("address", text(&address));
        if let Some(priority) =
            server.get("priority").filter(|_| by_priority && self.cluster.get("kind") == Some("\"galera\""))
        {
            node.set("priority", priority);
        }
        if server.get("proxy_protocol").and_then(truth) == Some(true) {
            node.set("proxy_protocol", "true");
        }
        self.nodes.push(node);
        self.note_each(server, if by_priority { Self::server_setting } else { Self::server_setting_unranked });
    }

    fn server_setting_unranked(&mut self, server: &'a Section, setting: &'a Setting) -> Fate {
        if setting.key == "priority" {
            taken("use_priority is off: it means nothing")
        } else {
            self.server_setting(server, setting)
        }
    }

    fn server_setting(&mut self, server: &'a Section, setting: &'a Setting) -> Fate {
        let ssl = server.get("ssl").and_then(truth) == Some(true);
        match (&*setting.key, &*setting.value) {
            ("ssl", _) if ssl => self.node_tls(server),
            ("ssl", value) if truth(value) == Some(false) => taken("no TLS with nodes"),
            ("ssl_ca" | "ssl_ca_cert" | "ssl_cert" | "ssl_key" | "ssl_verify_peer_certificate", _) if ssl => {
                taken("[cluster] tls")
            }
            ("ssl_verify_peer_host", value) if ssl && truth(value) == Some(true) => taken("[cluster] tls"),
            ("type", _) => taken("[[node]]"),
            ("address" | "port", _) => taken("[[node]] address"),
            ("priority", _) => taken("[[node]] priority"),
            ("protocol", "MariaDBBackend" | "MySQLBackend") => taken("the only one"),
            ("proxy_protocol", value) if truth(value).is_some() => taken("[[node]] proxy_protocol"),
            ("persistpoolmax", value) if value.parse::<u16>().is_ok() => self.limits.set("idle_connections_max", value),
            ("persistmaxtime", value) => match duration(value, "s") {
                Some(value) => self.limits.set("idle_connection_timeout", value),
                None => lost(),
            },
            ("max_routing_connections", value) if value.parse::<u32>().is_ok_and(|value| value > 0) => {
                self.limits.set("connections_max", value)
            }
            _ => lost(),
        }
    }

    /// One for all nodes.
    fn node_tls(&mut self, server: &Section) -> Fate {
        let on = |key| server.get(key).and_then(truth) == Some(true);
        let ca =
            server.get("ssl_ca").or_else(|| server.get("ssl_ca_cert")).filter(|_| on("ssl_verify_peer_certificate"));
        let mut settings = match ca {
            Some(ca) => format!("ca = {}", self.string(ca)),
            None => "verify = false".to_owned(),
        };
        if let Some((certificate, key)) = server.get("ssl_cert").zip(server.get("ssl_key")) {
            settings.push_str(&format!(", certificate = {}, key = {}", self.string(certificate), self.string(key)));
        }
        let fate = self.cluster.set("tls", format!("{{ {settings} }}"));
        if ca.is_some() && !on("ssl_verify_peer_host") {
            different("[cluster] tls: host names are verified, too")
        } else {
            fate
        }
    }

    pub(super) fn site_password(&mut self, written: &str) -> Fate {
        if self.import.key.is_some() && self.site.get("password").is_some() {
            // Sealed twice, the same looks different.
            return self.same_password(written);
        }
        let (password, remark) = self.password(written);
        let fate = self.site.set_hidden("password", password);
        remark.map_or(fate, different)
    }

    fn same_password(&self, written: &str) -> Fate {
        let monitor = self.sections.iter().find(|section| section.is_of("monitor")).and_then(Section::password);
        if monitor == Some(written) {
            taken("[site] password")
        } else {
            different("[site] has one password for all, and it is another")
        }
    }

    /// What the monitor's script has been told of the other site.
    pub(super) fn link(&mut self, maxinfo: &Section) -> Result<(), String> {
        let need = |key: &str| maxinfo.get(key).ok_or_else(|| format!("{MAXINFO}: {key} is missing"));
        let (remote, user, password) = (need("remotemaxscale")?, need("repuser")?, need("reppwd")?);
        let port = maxinfo.get("remotemaxscalereplicationport").unwrap_or("4007");
        let mut link = Block::new("[[link]]");
        link.set("name", name(maxinfo.get("remotemaxscalename").unwrap_or("remote")));
        link.set("remote", format!("[{}]", text(&format!("{remote}:{port}"))));
        link.set("user", text(user));
        let (password, remark) = self.password(password);
        link.set("password", password);
        self.link = Some(link);
        let monitor = self.sections.iter().find(|section| section.is_of("monitor"));
        for setting in &maxinfo.settings {
            let is_of_monitor = |value: Option<&str>| value == Some(&*setting.value);
            let hidden = ["reppwd", "maxpwd"].contains(&&*setting.key);
            let fate = match &*setting.key {
                "remotemaxscale" | "remotemaxscalereplicationport" => taken("[[link]] remote"),
                "remotemaxscalename" => taken("[[link]] name"),
                "repuser" => taken("[[link]] user"),
                "reppwd" => remark.map_or(taken("[[link]] password"), different),
                "maxuser" if is_of_monitor(monitor.and_then(|monitor| monitor.get("user"))) => taken("[site] user"),
                "maxpwd" if is_of_monitor(monitor.and_then(Section::password)) => taken("[site] password"),
                "maxuser" | "maxpwd" => different("the service user of [site] drives links, and it is another"),
                _ => lost(),
            };
            let value = if hidden { "***" } else { &setting.value };
            let setting_text = format!("{}={value}", setting.key);
            self.report.push(Entry { file: MAXINFO, line: setting.line - 1, setting: setting_text, fate });
        }
        Ok(())
    }
}
