//! `oarlock list`: what a running proxy says of its servers, services, links, replicas and sessions.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::Table;
use serde::de::DeserializeOwned;

use crate::admin::http::{Replica, Server, Service};
use crate::config::print_duration;
use crate::replication::link::board::LinkReport;
use crate::session::portrait::Portrait;

/// List the servers, services, links, replicas or sessions of a running proxy
#[derive(clap::Args)]
pub struct Args {
    /// What to list
    #[arg(value_enum)]
    what: What,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// The admin address of the proxy
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4008")]
    admin: SocketAddr,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    Servers,
    Services,
    Links,
    Replicas,
    Sessions,
}

/// The proxy answers from memory; more than this is a proxy that is stuck.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The frame of the tables operators know: light lines, one between rows, none at the left and right of it.
const FRAME: &str = "││──├─┼┤│─┼├┤┬┴┌┐└┘";

/// Asks the proxy and prints its answer.
pub fn run(args: Args) -> ExitCode {
    let printed = match args.what {
        What::Servers => list(&args, "servers", |rows| servers(rows).to_string()),
        What::Services => list(&args, "services", |rows| services(rows).to_string()),
        What::Links => list(&args, "links", links),
        What::Replicas => list(&args, "replicas", |rows| replicas(rows).to_string()),
        What::Sessions => list(&args, "sessions", |rows| sessions(rows).to_string()),
    };
    match printed {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => super::failed(why),
    }
}

/// Fetches a list and puts it into words.
fn list<T: DeserializeOwned>(args: &Args, what: &str, print: fn(&[T]) -> String) -> Result<String, String> {
    let admin = args.admin;
    let text = fetch(admin, what).map_err(|error| unanswered(admin, &error))?;
    let foreign = |error| format!("what answers on {admin} is not oarlock: {error}");
    if args.json {
        let value: serde_json::Value = serde_json::from_str(&text).map_err(foreign)?;
        return Ok(format!("{value:#}"));
    }
    let rows: Vec<T> = serde_json::from_str(&text).map_err(foreign)?;
    Ok(print(&rows))
}

/// Why the proxy on this address gave no answer.
pub(super) fn unanswered(admin: SocketAddr, error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => {
            format!("no proxy answers on {admin} ({error}); is `oarlock run` up, and is this its admin address?")
        }
        error => format!("the proxy on {admin} answers with an error: {error}"),
    }
}

/// What the proxy says of one of its lists.
pub(super) fn fetch(admin: SocketAddr, what: &str) -> Result<String, ureq::Error> {
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).proxy(None).build().into();
    agent.get(format!("http://{admin}/v1/{what}")).call()?.body_mut().read_to_string()
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
