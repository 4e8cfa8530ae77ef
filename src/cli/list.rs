//! `oarlock list`: what a running proxy says of its servers, services and replicas.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::Table;
use serde::de::DeserializeOwned;

use crate::admin::http::{Replica, Server, Service};

/// List the servers, services or replicas of a running proxy
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
    Replicas,
}

/// The proxy answers from memory; more than this is a proxy that is stuck.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The frame of the tables operators know: light lines, one between rows, none at the left and right of it.
const FRAME: &str = "││──├─┼┤│─┼├┤┬┴┌┐└┘";

/// Asks the proxy and prints its answer.
pub fn run(args: Args) -> ExitCode {
    let printed = match args.what {
        What::Servers => list(&args, "servers", servers),
        What::Services => list(&args, "services", services),
        What::Replicas => list(&args, "replicas", replicas),
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
fn list<T: DeserializeOwned>(args: &Args, what: &str, table: fn(&[T]) -> Table) -> Result<String, String> {
    let admin = args.admin;
    let text = fetch(admin, what).map_err(|error| match error {
        ureq::Error::Io(error) => {
            format!("no proxy answers on {admin} ({error}); is `oarlock run` up, and is this its admin address?")
        }
        error => format!("the proxy on {admin} answers with an error: {error}"),
    })?;
    let foreign = |error| format!("what answers on {admin} is not oarlock: {error}");
    if args.json {
        let value: serde_json::Value = serde_json::from_str(&text).map_err(foreign)?;
        return Ok(format!("{value:#}"));
    }
    let rows: Vec<T> = serde_json::from_str(&text).map_err(foreign)?;
    Ok(table(&rows).to_string())
}

fn fetch(admin: SocketAddr, what: &str) -> Result<String, ureq::Error> {
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
}
