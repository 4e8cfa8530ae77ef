//! The effective configuration as TOML: every default filled in, secrets as `***`.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::routing::reader::Policy;

use super::duration::print_duration;
use super::model::{ClientTls, Config, Kind, LogLevel, OutcomePolicy, ReadWriteSplit, Threads};

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (site, cluster, split, limits) = (&self.site, &self.cluster, &self.read_write_split, &self.limits);
        let replication = &self.replication;
        writeln!(f, "[site]\nname = {}\nuser = {}\npassword = \"***\"", text(&site.name), text(&site.user))?;
        match site.threads {
            Threads::Auto => writeln!(f, "threads = \"auto\"")?,
            Threads::Count(count) => writeln!(f, "threads = {count}")?,
        }
        writeln!(f, "log = \"{}\"\nstate_dir = {}", site.log.name(), text(&site.state_dir.to_string_lossy()))?;
        writeln!(f, "key_file = {}\n", text(&site.key_file.to_string_lossy()))?;
        writeln!(
            f,
            "[cluster]\nkind = \"{}\"\nprobe_interval = {}",
            cluster.kind.name(),
            time(cluster.probe_interval)
        )?;
        writeln!(
            f,
            "connect_timeout = {}\nread_timeout = {}",
            time(cluster.connect_timeout),
            time(cluster.read_timeout)
        )?;
        writeln!(f, "write_timeout = {}\nfailback = {}", time(cluster.write_timeout), cluster.failback)?;
        writeln!(f, "switch_wait = {}", time(cluster.switch_wait))?;
        writeln!(f, "available_when_donor = {}", cluster.available_when_donor)?;
        if let Some(tls) = &cluster.tls {
            writeln!(f, "tls = {{ {} }}", client_tls(tls))?;
        }
        self.print_peers(f)?;
        print_split(f, split)?;
        writeln!(
            f,
            "\n[replication]\nsource_timeout = {}\nsource_wait = {}\ngroup_bytes_max = {}",
            time(replication.source_timeout),
            time(replication.source_wait),
            replication.group_bytes_max
        )?;
        writeln!(f, "\n[admin]\naddress = \"{}\"", self.admin.address)?;
        if let Some(console) = self.admin.console {
            writeln!(f, "console = \"{console}\"")?;
        }
        if self.admin.token.is_some() {
            writeln!(f, "token = \"***\"")?;
        }
        if let Some(tls) = &self.admin.tls {
            writeln!(f, "tls = {{ certificate = {}, key = {} }}", file(&tls.certificate), file(&tls.key))?;
        }
        writeln!(f, "\n[limits]\nsessions_max = {}\nprepared_max = {}", limits.sessions_max, limits.prepared_max)?;
        writeln!(
            f,
            "connections_max = {}\nconnection_wait = {}",
            limits.connections_max,
            time(limits.connection_wait)
        )?;
        writeln!(
            f,
            "idle_connections_max = {}\nidle_connection_timeout = {}",
            limits.idle_connections_max,
            time(limits.idle_connection_timeout)
        )?;
        writeln!(f, "login_failures_max = {}\nblock_time = {}", limits.login_failures_max, time(limits.block_time))?;
        writeln!(
            f,
            "handshake_timeout = {}\nstall_timeout = {}",
            time(limits.handshake_timeout),
            time(limits.stall_timeout)
        )?;
        writeln!(f, "drain_timeout = {}", time(limits.drain_timeout))?;
        writeln!(f, "upgrade_wait = {}", time(limits.upgrade_wait))
    }
}

impl Config {
    /// Who it talks to.
    fn print_peers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in self.nodes.iter().filter(|node| !node.leaves) {
            let address = text(&node.address.to_string());
            writeln!(f, "\n[[node]]\nname = {}\naddress = {address}\npriority = {}", text(&node.name), node.priority)?;
            writeln!(f, "proxy_protocol = {}", node.proxy_protocol)?;
        }
        for listener in self.listeners.iter().filter(|listener| !listener.leaves) {
            let (name, service) = (text(&listener.name), listener.service.name());
            writeln!(f, "\n[[listener]]\nname = {name}\naddress = \"{}\"\nservice = \"{service}\"", listener.address)?;
            if !listener.proxy_protocol.is_empty() {
                let networks = listener.proxy_protocol.iter().map(|network| format!("\"{network}\""));
                writeln!(f, "proxy_protocol = [{}]", networks.collect::<Vec<_>>().join(", "))?;
            }
            if let Some(tls) = &listener.tls {
                let (certificate, key) = (tls.certificate.to_string_lossy(), tls.key.to_string_lossy());
                let (certificate, key) = (text(&certificate), text(&key));
                let client_ca = tls.client_ca.iter().map(|ca| format!("client_ca = {}, ", text(&ca.to_string_lossy())));
                let (client_ca, require): (String, _) = (client_ca.collect(), tls.require);
                writeln!(f, "tls = {{ certificate = {certificate}, key = {key}, {client_ca}require = {require} }}")?;
            }
        }
        for account in &self.accounts {
            let (user, host) = (text(&account.user), text(&account.host));
            writeln!(f, "\n[[account]]\nuser = {user}\nhost = {host}\npassword = \"***\"")?;
        }
        for link in &self.links {
            let remote: Vec<String> = link.remote.iter().map(|address| text(&address.to_string())).collect();
            writeln!(f, "\n[[link]]\nname = {}\nremote = [{}]", text(&link.name), remote.join(", "))?;
            writeln!(f, "user = {}\npassword = \"***\"", text(&link.user))?;
            writeln!(f, "heartbeat = {}\nretry = {}", time(link.heartbeat), time(link.retry))?;
            if let Some(admin) = link.admin {
                writeln!(f, "admin = \"{admin}\"")?;
            }
            if let Some(ca) = &link.admin_ca {
                writeln!(f, "admin_ca = {}", file(ca))?;
            }
            if let Some(tls) = &link.tls {
                let mut settings = client_tls(&tls.own);
                if let Some(ca) = &tls.on_nodes.ca {
                    settings += &format!(", node_ca = {}", file(ca));
                }
                if let Some((certificate, key)) = &tls.on_nodes.shown {
                    settings += &format!(", node_certificate = {}, node_key = {}", file(certificate), file(key));
                }
                writeln!(f, "tls = {{ {settings} }}")?;
            }
        }
        Ok(())
    }
}

/// The settings of TLS with servers.
fn client_tls(tls: &ClientTls) -> String {
    let mut settings: Vec<String> = tls.ca.iter().map(|ca| format!("ca = {}", file(ca))).collect();
    if let Some((certificate, key)) = &tls.shown {
        settings.push(format!("certificate = {}, key = {}", file(certificate), file(key)));
    }
    settings.push(format!("verify = {}", tls.ca.is_some()));
    settings.join(", ")
}

fn print_split(f: &mut fmt::Formatter<'_>, split: &ReadWriteSplit) -> fmt::Result {
    writeln!(f, "\n[read-write-split]\nreaders = \"{}\"", policy(split.readers))?;
    writeln!(f, "causal_reads = \"{}\"", split.causal_reads.name())?;
    if split.outcome == OutcomePolicy::Resolve {
        writeln!(
            f,
            "# \"resolve\" needs, on the nodes: GRANT REPLICATION SLAVE ON *.*, and REFERENCES ON *.* for insert ids, for the service user"
        )?;
    }
    writeln!(f, "outcome = \"{}\"\noutcome_wait = {}", split.outcome.name(), time(split.outcome_wait))?;
    writeln!(f, "replay = {}\nreplay_bytes_max = {}", split.replay, split.replay_bytes_max)?;
    writeln!(f, "writer_loss = \"{}\"", split.writer_loss.name())?;
    writeln!(f, "writer_wait = {}\nmultiplex = {}", time(split.writer_wait), split.multiplex)
}

fn file(path: &Path) -> String {
    text(&path.to_string_lossy())
}

fn text(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn time(duration: Duration) -> String {
    format!("\"{}\"", print_duration(duration))
}

impl LogLevel {
    /// The name in the configuration and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl Kind {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Galera => "galera",
            Self::Standalone => "standalone",
        }
    }
}

fn policy(policy: Policy) -> &'static str {
    match policy {
        Policy::Adaptive => "adaptive",
        Policy::LeastConnections => "least-connections",
    }
}
