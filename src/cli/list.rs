//! `oarlock list`: what running proxies say of their servers, services, listeners, links, replicas, sessions, accounts and events.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::Table;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::proxy::{Proxies, Proxy};
use crate::admin::http::{Replica, Server, Service};
use crate::admin::site::{AccountReport, HostReport, ListenerReport};
use crate::config::print_duration;
use crate::replication::link::board::LinkReport;
use crate::session::portrait::Portrait;
use crate::telemetry::events::Happening;

/// List what a running proxy knows
#[derive(clap::Args)]
pub struct Args {
    /// What to list
    #[arg(value_enum)]
    what: What,
    /// Print JSON instead of a table; of several proxies by their addresses
    #[arg(long)]
    json: bool,
    /// List again every so many seconds (2 if none are given), until the command is ended
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
    #[command(flatten)]
    proxies: Proxies,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    Servers,
    Services,
    Listeners,
    Links,
    Replicas,
    Sessions,
    Accounts,
    Hosts,
    Events,
}

impl What {
    /// Asks a proxy, and puts its answer into words, or JSON.
    fn of(self, proxy: &Proxy) -> Result<String, String> {
        match self {
            Self::Servers => list(proxy, "servers", |rows| servers(rows).to_string()),
            Self::Services => list(proxy, "services", |rows| services(rows).to_string()),
            Self::Listeners => list(proxy, "listeners", |rows| listeners(rows).to_string()),
            Self::Links => list(proxy, "links", links),
            Self::Replicas => list(proxy, "replicas", |rows| replicas(rows).to_string()),
            Self::Sessions => list(proxy, "sessions", |rows| sessions(rows).to_string()),
            Self::Accounts => list(proxy, "accounts", |rows| accounts(rows).to_string()),
            Self::Hosts => list(proxy, "hosts", |rows| hosts(rows).to_string()),
            Self::Events => list(proxy, "events", events),
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Servers => "servers",
            Self::Services => "services",
            Self::Listeners => "listeners",
            Self::Links => "links",
            Self::Replicas => "replicas",
            Self::Sessions => "sessions",
            Self::Accounts => "accounts",
            Self::Hosts => "hosts",
            Self::Events => "events",
        }
    }
}

/// The frame of the tables operators know: light lines, one between rows, none at the left and right of it.
const FRAME: &str = "││──├─┼┤│─┼├┤┬┴┌┐└┘";
/// Clears a terminal and begins at its top.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

/// Asks the proxies and prints their answers.
pub fn run(args: Args) -> ExitCode {
    let proxies = match args.proxies.open() {
        Ok(proxies) => proxies,
        Err(why) => return super::failed(why),
    };
    let Some(seconds) = args.watch else {
        let (text, all) = ask(&args, &proxies);
        print!("{text}");
        return if all { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    };
    let mut out = std::io::stdout();
    let clear = if out.is_terminal() { CLEAR } else { "" };
    // Whoever has read enough closes the pipe.
    while write!(out, "{clear}{}", ask(&args, &proxies).0).and_then(|()| out.flush()).is_ok() {
        std::thread::sleep(Duration::from_secs(seconds));
    }
    ExitCode::SUCCESS
}

/// What is printed, and whether all have answered. Who does not answer is said on stderr, unless there is more to come.
fn ask(args: &Args, proxies: &[Proxy]) -> (String, bool) {
    let (mut text, mut all) = (String::new(), true);
    let mut answers = serde_json::Map::new();
    for proxy in proxies {
        let answer = if args.json { json(proxy, args.what.path()) } else { args.what.of(proxy).map(Value::from) };
        match answer {
            Ok(value) => {
                answers.insert(proxy.admin.to_string(), value);
            }
            Err(why) if args.watch.is_some() => text.push_str(&format!("{why}\n")),
            Err(why) => drop(super::failed(why)),
        }
        all &= answers.contains_key(&proxy.admin.to_string());
    }
    match (args.json, proxies) {
        (true, [_]) => answers.values().for_each(|value| text.push_str(&format!("{value:#}\n"))),
        (true, _) => text.push_str(&format!("{:#}\n", Value::from(answers))),
        (false, [_]) => answers.values().for_each(|table| text.push_str(&format!("{}\n", said(table)))),
        (false, _) => {
            answers.iter().for_each(|(admin, table)| text.push_str(&format!("{admin}\n{}\n", said(table))));
        }
    }
    (text, all)
}

fn said(table: &Value) -> &str {
    table.as_str().unwrap_or_default()
}

fn json(proxy: &Proxy, path: &str) -> Result<Value, String> {
    proxy.read(path)
}

/// Fetches a list and puts it into words.
fn list<T: DeserializeOwned>(proxy: &Proxy, path: &str, print: fn(&[T]) -> String) -> Result<String, String> {
    proxy.read(path).map(|rows: Vec<T>| print(&rows))
}

fn servers(servers: &[Server]) -> Table {
    let mut table = frame(["Server", "Address", "Port", "Connections", "State", "GTID"]);
    for server in servers {
        let (port, connections) = (server.port.to_string(), server.connections.to_string());
        table.add_row([&server.name, &server.address, &port, &connections, &server.state, &server.gtid]);
    }
    table
}

fn services(services: &[Service]) -> Table {
    let mut table = frame(["Service", "Router", "Connections", "Total Connections", "Servers"]);
    for service in services {
        let (now, total) = (service.connections.to_string(), service.total_connections.to_string());
        table.add_row([&service.service, &service.router, &now, &total, &service.servers.join(", ")]);
    }
    table
}

fn listeners(listeners: &[ListenerReport]) -> Table {
    let mut table = frame(["Listener", "Address", "Service", "TLS", "PROXY protocol from", "Sessions", "Total"]);
    for listener in listeners {
        let (now, total) = (listener.sessions.to_string(), listener.sessions_total.to_string());
        let ListenerReport { listener, address, service, tls, proxy_protocol, .. } = listener;
        table.add_row([listener, address, service, tls, &proxy_protocol.join(", "), &now, &total]);
    }
    table
}

fn accounts(accounts: &[AccountReport]) -> Table {
    let mut table = frame(["User", "Host", "Plugins", "Locked", "Requires", "Default role"]);
    for account in accounts {
        let locked = if account.locked { "yes" } else { "" };
        let requires = if account.requires == "nothing" { "" } else { &account.requires };
        let plugins = account.plugins.join(", ");
        table.add_row([&*account.user, &account.host, &plugins, locked, requires, &account.default_role]);
    }
    table
}

/// Those from which logins fail.
fn hosts(hosts: &[HostReport]) -> Table {
    let mut table = frame(["Host", "Failed logins", "Blocked for"]);
    for host in hosts {
        let blocked = if host.blocked_for > 0.0 { format!("{:.0} s", host.blocked_for.ceil()) } else { String::new() };
        table.add_row([host.address.clone(), host.failures.to_string(), blocked]);
    }
    table
}

/// As the log has them.
fn events(events: &[Happening]) -> String {
    let line = |event: &Happening| format!("{} {} {}: {}", event.time, event.level, event.part, event.text);
    events.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A table, and below it what there is to say of links that don't just run.
fn links(links: &[LinkReport]) -> String {
    let mut table = frame(["Link", "State", "For", "Node", "Remote", "GTID", "Behind", "Lag", "Lease"]);
    let known = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let time = |seconds: u64| print_duration(Duration::from_secs(seconds));
    let mut notes = String::new();
    for link in links {
        let lag = link.lag_seconds.map(time).unwrap_or_default();
        let (since, behind) = (time(link.seconds), known(link.lag_transactions));
        table.add_row([
            &link.link,
            &link.state,
            &since,
            &link.node,
            &link.remote,
            &link.position,
            &behind,
            &lag,
            &link.lease,
        ]);
        let error = if link.reason.contains(&link.error) { "" } else { &link.error };
        for (label, note) in [("", &*link.reason), ("last error: ", error), ("-> ", &*link.remedy)] {
            if !note.is_empty() {
                notes.push_str(&format!("\n{}: {label}{note}", link.link));
            }
        }
    }
    format!("{table}{notes}")
}

fn replicas(replicas: &[Replica]) -> Table {
    let mut table = frame(["Server ID", "Address", "Source", "Position", "Lag", "Bytes", "Takeovers", "Warning"]);
    for replica in replicas {
        let (id, bytes, takeovers) =
            (replica.server_id.to_string(), replica.bytes.to_string(), replica.takeovers.to_string());
        let lag = replica.lag.map_or_else(String::new, |lag| lag.to_string());
        let position = replica.position.as_deref().unwrap_or("by file");
        let row = [&id, &replica.address, &replica.source, position, &lag, &bytes, &takeovers, &replica.warning];
        table.add_row(row);
    }
    table
}

fn sessions(sessions: &[Portrait]) -> Table {
    let header = [
        "ID",
        "User",
        "Client",
        "Service",
        "Schema",
        "State",
        "For",
        "Node",
        "Transaction",
        "Statement",
        "Age",
        "Memory",
    ];
    let mut table = frame(header);
    for session in sessions {
        let (id, memory) = (session.id.to_string(), session.memory.to_string());
        let past = print_duration(Duration::from_millis(session.for_ms));
        let age = print_duration(Duration::from_secs(session.age));
        let transaction = if session.transaction { "open" } else { "" };
        let Portrait { user, client, service, schema, state, node, statement, .. } = session;
        table.add_row([&id, user, client, service, schema, state, &past, node, transaction, statement, &age, &memory]);
    }
    table
}

fn frame<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_preset(FRAME).set_header(header);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_the_known_ones() {
        let server = |name: &str, state: &str, gtid: &str| Server {
            name: name.to_owned(),
            address: "192.168.56.71".to_owned(),
            port: 3306,
            connections: 0,
            state: state.to_owned(),
            gtid: gtid.to_owned(),
            reason: String::new(),
        };
        let table =
            servers(&[server("Galera-71", "Master, Synced, Running", "70-7000-6"), server("Galera-72", "Down", "")]);
        assert_eq!(
            table.to_string(),
            "\
┌───────────┬───────────────┬──────┬─────────────┬─────────────────────────┬───────────┐
│ Server    │ Address       │ Port │ Connections │ State                   │ GTID      │
├───────────┼───────────────┼──────┼─────────────┼─────────────────────────┼───────────┤
│ Galera-71 │ 192.168.56.71 │ 3306 │ 0           │ Master, Synced, Running │ 70-7000-6 │
├───────────┼───────────────┼──────┼─────────────┼─────────────────────────┼───────────┤
│ Galera-72 │ 192.168.56.71 │ 3306 │ 0           │ Down                    │           │
└───────────┴───────────────┴──────┴─────────────┴─────────────────────────┴───────────┘"
        );
    }

    #[test]
    fn a_link_in_trouble_says_why() {
        let link = LinkReport {
            link: "dr".to_owned(),
            state: "Broken".to_owned(),
            seconds: 90,
            node: "galera-71".to_owned(),
            remote: "192.168.56.80:4007".to_owned(),
            position: "70-7000-6,81-8000-12".to_owned(),
            lag_transactions: Some(3),
            reason: "error 1062: Duplicate entry".to_owned(),
            remedy: "oarlock link skip dr".to_owned(),
            error: "error 1062: Duplicate entry".to_owned(),
            lease: "this proxy".to_owned(),
            ..LinkReport::default()
        };
        assert_eq!(
            links(&[link]),
            "\
┌──────┬────────┬─────┬───────────┬────────────────────┬──────────────────────┬────────┬─────┬────────────┐
│ Link │ State  │ For │ Node      │ Remote             │ GTID                 │ Behind │ Lag │ Lease      │
├──────┼────────┼─────┼───────────┼────────────────────┼──────────────────────┼────────┼─────┼────────────┤
│ dr   │ Broken │ 90s │ galera-71 │ 192.168.56.80:4007 │ 70-7000-6,81-8000-12 │ 3      │     │ this proxy │
└──────┴────────┴─────┴───────────┴────────────────────┴──────────────────────┴────────┴─────┴────────────┘
dr: error 1062: Duplicate entry
dr: -> oarlock link skip dr"
        );
    }
}
