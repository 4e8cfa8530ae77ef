//! `oarlock set`, `clear` and `switch-writer`: what an operator wants of a running proxy and its nodes.

use std::net::IpAddr;
use std::process::ExitCode;

use serde_json::json;

use super::proxy::Proxies;
use crate::cluster::order::Order;

/// Withdraw a node from work, or log more or less
#[derive(clap::Args)]
pub struct Set {
    #[command(subcommand)]
    what: SetWhat,
    #[command(flatten)]
    proxies: Proxies,
}

#[derive(clap::Subcommand)]
enum SetWhat {
    /// Withdraw a node from work, also over a restart of the proxy
    Server {
        /// The node
        node: String,
        /// How
        #[arg(value_enum)]
        duty: Duty,
    },
    /// Log this level and those before it, until the configuration is read again
    Log {
        /// The level
        #[arg(value_parser = ["error", "warning", "notice", "info", "debug"])]
        level: String,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Duty {
    /// No work at all, such as while it is repaired
    Maintenance,
    /// No new work; what is open may finish. It is Drained once nobody has a connection to it
    Drain,
}

/// Let a node work again, or a host in
#[derive(clap::Args)]
pub struct Clear {
    #[command(subcommand)]
    what: ClearWhat,
    #[command(flatten)]
    proxies: Proxies,
}

#[derive(clap::Subcommand)]
enum ClearWhat {
    /// Let a node work again that was withdrawn
    Server {
        /// The node
        node: String,
    },
    /// Let a host in again that is blocked, as its logins have failed again and again
    Host {
        /// Its address, as `oarlock list hosts` shows it
        address: IpAddr,
    },
}

/// Make a node the writer
#[derive(clap::Args)]
pub struct SwitchWriter {
    /// The node
    node: String,
    #[command(flatten)]
    proxies: Proxies,
}

/// Withdraws a node, or sets the level of the log.
pub fn set(Set { what, proxies }: Set) -> ExitCode {
    match what {
        SetWhat::Server { node, duty: Duty::Maintenance } => run(&proxies, &node, Order::Maintenance),
        SetWhat::Server { node, duty: Duty::Drain } => run(&proxies, &node, Order::Drain),
        SetWhat::Log { level } => proxies.order(|proxy| {
            let said = format!("{level} and what matters more is logged");
            proxy.put("log", &json!({ "level": level })).map(|()| said)
        }),
    }
}

/// Lets a node work, or a host in.
pub fn clear(Clear { what, proxies }: Clear) -> ExitCode {
    match what {
        ClearWhat::Server { node } => run(&proxies, &node, Order::Clear),
        ClearWhat::Host { address } => proxies
            .order(|proxy| proxy.delete(&format!("hosts/{address}")).map(|()| format!("{address} may come again"))),
    }
}

/// Gives a node the writer's role.
pub fn switch_writer(SwitchWriter { node, proxies }: SwitchWriter) -> ExitCode {
    run(&proxies, &node, Order::Write)
}

/// Gives the order and prints what comes of it.
fn run(proxies: &Proxies, node: &str, order: Order) -> ExitCode {
    proxies.order(|proxy| proxy.post_to("servers", node, &order))
}
