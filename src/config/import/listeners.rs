//! Services and their listeners (pure): where clients come in, and what they get there.

use super::draft::{Block, Fate, name, text};
use super::ini::{Section, Setting};
use super::value::{duration, size, truth};
use super::{Translation, different, lost, taken};

/// What a service is here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Router {
    Split,
    /// All on the writer.
    Writer,
    /// For operators: the admin address does that.
    Console,
    Unknown,
}

fn router(service: &Section) -> Router {
    let options = service.list("router_options");
    match service.get("router") {
        Some("readwritesplit") => Router::Split,
        Some("readconnroute") if options == ["master"] => Router::Writer,
        Some("cli" | "debugcli" | "maxinfo") => Router::Console,
        _ => Router::Unknown,
    }
}

impl<'a> Translation<'a> {
    /// All services, and the listeners of each.
    pub(super) fn services(&mut self) -> Result<(), String> {
        let sections = self.sections;
        for service in sections.iter().filter(|section| section.is_of("service")) {
            let listeners: Vec<_> = sections
                .iter()
                .filter(|section| section.is_of("listener") && section.get("service") == Some(&service.name))
                .collect();
            self.service(service);
            for listener in &listeners {
                // What operators know is the name of the service.
                let called = if listeners.len() == 1 { service } else { listener };
                self.listener(listener, called, router(service));
            }
        }
        if self.listeners.is_empty() {
            return Err(
                "no listener on a port with readwritesplit, or with readconnroute and router_options=master".to_owned()
            );
        }
        Ok(())
    }

    fn service(&mut self, service: &'a Section) {
        match router(service) {
            Router::Split => self.note_each(service, Self::split_setting),
            Router::Writer => self.note_each(service, Self::service_setting),
            Router::Console => {
                self.note_each(service, |_, _, _| taken("`oarlock list` and the like ask the admin address"))
            }
            Router::Unknown => self.note_each(service, |_, service, _| {
                let router = service.get("router").unwrap_or("none");
                let options = service
                    .get("router_options")
                    .map(|options| format!(" with router_options={options}"))
                    .unwrap_or_default();
                Fate::Lost(format!("the router {router}{options} has no counterpart"))
            }),
        }
    }

    /// What services of all routers have.
    fn service_setting(&mut self, service: &'a Section, setting: &'a Setting) -> Fate {
        let value = &*setting.value;
        let monitor = self.sections.iter().find(|section| section.is_of("monitor"));
        match (&*setting.key, truth(value)) {
            ("type", _) => taken("[[listener]]"),
            ("router" | "router_options", _) => taken("[[listener]] service"),
            ("servers", _) => {
                let mut own = service.list("servers");
                let mut all = monitor.map(|monitor| monitor.list("servers")).unwrap_or_default();
                own.sort_unstable();
                all.sort_unstable();
                if own == all { taken("all nodes") } else { different("each listener serves all nodes of the cluster") }
            }
            ("cluster", _) => taken("all nodes"),
            ("user", _) => {
                let user = self.string(value);
                self.site.set("user", user)
            }
            ("password" | "passwd", _) => self.site_password(value),
            ("max_connections", _) if value == "0" => taken("[limits] sessions_max has its default"),
            ("max_connections", _) if value.parse::<u32>().is_ok() => match self.limits.set("sessions_max", value) {
                Fate::Taken(where_) => Fate::Different(format!("{where_}, for all listeners together")),
                other => other,
            },
            ("enable_root_user", Some(true)) => taken("root logs in as its accounts allow"),
            ("enable_root_user", Some(false)) => different("root logs in as its accounts allow"),
            ("localhost_match_wildcard_host", Some(true)) => taken("accounts match as on a server"),
            ("log_auth_warnings", _) => taken("refused logins are in the log (info) and in /metrics"),
            _ => lost(),
        }
    }

    fn split_setting(&mut self, service: &'a Section, setting: &'a Setting) -> Fate {
        let value = &*setting.value;
        let replays = || {
            let on = |key| service.get(key).and_then(truth) == Some(true);
            on("transaction_replay") || on("delayed_retry")
        };
        match (&*setting.key, truth(value)) {
            ("router", _) => taken("[[listener]] service"),
            ("master_reconnection", Some(true)) => taken("sessions outlive their writer"),
            ("transaction_replay", Some(is)) => self.split.set("replay", is.to_string()),
            ("transaction_replay_retry_on_deadlock" | "transaction_replay_retry_on_mismatch", Some(false)) => {
                different("work that the cluster has aborted runs again")
            }
            ("transaction_replay_retry_on_deadlock", Some(true)) => {
                taken("work that the cluster has aborted runs again")
            }
            ("transaction_replay_max_size", _) => {
                match size(value).and_then(|size| u32::try_from(size).ok()).filter(|size| *size > 0) {
                    Some(size) => self.split.set("replay_bytes_max", size.to_string()),
                    None => lost(),
                }
            }
            ("transaction_replay_timeout" | "delayed_retry_timeout", _) => {
                match duration(value, "s").filter(|value| value != "\"0ms\"") {
                    Some(value) => self.split.set("writer_wait", value),
                    None => lost(),
                }
            }
            ("delayed_retry", Some(true)) => taken("[read-write-split] writer_wait"),
            ("master_failure_mode", _) if value == "error_on_write" && replays() => {
                taken("[read-write-split] writer_wait: reads go on, writes wait, then get an error")
            }
            ("master_failure_mode", _) => self.writer_loss(value),
            ("slave_selection_criteria", _) => self.readers(value),
            ("causal_reads", _) => self.causal_reads(value),
            ("causal_reads_timeout", _) => different("2s, then the writer reads"),
            ("master_accept_reads", Some(false)) => taken("readers read; the writer only if there is no reader"),
            ("master_accept_reads", Some(true)) => different("readers read; the writer only if there is no reader"),
            ("use_sql_variables_in", _) if value == "all" => taken("settings are made on each node"),
            ("max_slave_connections", _) if value == "1" => {
                taken("a session reads on one node as long as that does well")
            }
            ("max_slave_connections", _) => different("a session reads on one node as long as that does well"),
            _ => self.service_setting(service, setting),
        }
    }

    fn writer_loss(&mut self, value: &str) -> Fate {
        match value {
            "error_on_write" => self.split.set("writer_loss", text("error-on-write")),
            "fail_instantly" => self.split.set("writer_loss", text("disconnect")),
            "fail_on_write" => {
                self.split.set("writer_loss", text("error-on-write"));
                different("[read-write-split] writer_loss = \"error-on-write\": an error, and the session goes on")
            }
            _ => lost(),
        }
    }

    fn readers(&mut self, value: &str) -> Fate {
        match &*value.to_ascii_uppercase() {
            "ADAPTIVE_ROUTING" => self.split.set("readers", text("adaptive")),
            "LEAST_GLOBAL_CONNECTIONS" | "LEAST_ROUTER_CONNECTIONS" => {
                self.split.set("readers", text("least-connections"))
            }
            _ => {
                self.split.set("readers", text("adaptive"));
                different("[read-write-split] readers = \"adaptive\": by response time and load")
            }
        }
    }

    fn causal_reads(&mut self, value: &str) -> Fate {
        match &*value.to_ascii_lowercase() {
            "none" | "false" | "0" | "off" => self.split.set("causal_reads", text("off")),
            "local" | "true" | "1" | "on" | "fast" => self.split.set("causal_reads", text("session")),
            "global" | "fast_global" | "universal" | "fast_universal" => {
                self.split.set("causal_reads", text("cluster"))
            }
            _ => lost(),
        }
    }

    fn listener(&mut self, listener: &'a Section, called: &Section, router: Router) {
        let service = match router {
            Router::Split => "read-write-split",
            Router::Writer => "replication",
            Router::Console => {
                return self.note_each(listener, |_, _, _| taken("`oarlock list` and the like ask the admin address"));
            }
            Router::Unknown => {
                return self.note_each(listener, |_, _, _| Fate::Lost("its service has no counterpart".to_owned()));
            }
        };
        if let Some(port) = listener.get("port") {
            let address = listener.get("address").unwrap_or("::");
            let address =
                if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
            let mut block = Block::new("[[listener]]");
            block.set("name", name(&called.name));
            block.set("address", text(&address));
            block.set("service", text(service));
            let balancers = listener.list("proxy_protocol_networks");
            if !balancers.is_empty() && balancers != ["*"] {
                let networks: Vec<_> = balancers.into_iter().map(text).collect();
                block.set("proxy_protocol", format!("[{}]", networks.join(", ")));
            }
            if let Some((certificate, key)) = tls_files(listener) {
                let (certificate, key) = (self.string(certificate), self.string(key));
                block.set("tls", format!("{{ certificate = {certificate}, key = {key}, require = true }}"));
            }
            self.listeners.push(block);
        }
        self.note_each(listener, Self::listener_setting);
    }

    fn listener_setting(&mut self, listener: &'a Section, setting: &'a Setting) -> Fate {
        match (&*setting.key, &*setting.value) {
            ("proxy_protocol_networks", "*") => Fate::Lost("name the networks of the balancers".to_owned()),
            ("proxy_protocol_networks", _) => taken("[[listener]] proxy_protocol"),
            ("ssl", value) if truth(value) == Some(false) => taken("no TLS"),
            ("ssl" | "ssl_cert" | "ssl_key", _) if tls_files(listener).is_some() => taken("[[listener]] tls"),
            ("type" | "service", _) => taken("[[listener]] service"),
            ("port" | "address", _) => taken("[[listener]] address"),
            ("protocol", "MariaDBClient" | "MySQLClient" | "MariaDB" | "MariaDBProtocol" | "mariadb") => {
                taken("the only one")
            }
            ("authenticator", "MariaDBAuth" | "MySQLAuth" | "mariadbauth") => taken("mysql_native_password"),
            ("socket", _) => Fate::Lost("clients are taken on ports only".to_owned()),
            _ => lost(),
        }
    }
}

/// The files of a listener that takes clients with TLS only: its certificate and key.
fn tls_files(listener: &Section) -> Option<(&str, &str)> {
    let on = listener.get("ssl").is_some_and(|value| truth(value) == Some(true) || value == "required");
    if on { listener.get("ssl_cert").zip(listener.get("ssl_key")) } else { None }
}
