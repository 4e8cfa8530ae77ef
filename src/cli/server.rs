//! `oarlock set server`, `clear server` and `switch-writer`: what an operator wants of the nodes of a running proxy.

use std::net::SocketAddr;
use std::process::ExitCode;

use super::order::give;
use crate::cluster::order::Order;

/// Withdraw a node from work
#[derive(clap::Args)]
pub struct Set {
    #[command(subcommand)]
    what: SetWhat,
    /// The admin address of the proxy
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4008", global = true)]
    admin: SocketAddr,
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
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Duty {
    /// No work at all, such as while it is repaired
    Maintenance,
    /// No new work; what is open may finish. It is Drained once nobody has a connection to it
    Drain,
}

/// Let a node work again
#[derive(clap::Args)]
pub struct Clear {
    #[command(subcommand)]
    what: ClearWhat,
    /// The admin address of the proxy
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4008", global = true)]
    admin: SocketAddr,
}

#[derive(clap::Subcommand)]
enum ClearWhat {
    /// Let a node work again that was withdrawn
    Server {
        /// The node
        node: String,
    },
}

/// Make a node the writer
#[derive(clap::Args)]
pub struct SwitchWriter {
    /// The node
    node: String,
    /// The admin address of the proxy
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4008")]
    admin: SocketAddr,
}

/// Withdraws a node.
pub fn set(Set { what: SetWhat::Server { node, duty }, admin }: Set) -> ExitCode {
    let order = match duty {
        Duty::Maintenance => Order::Maintenance,
        Duty::Drain => Order::Drain,
    };
    run(admin, &node, order)
}

/// Lets a node work.
pub fn clear(Clear { what: ClearWhat::Server { node }, admin }: Clear) -> ExitCode {
    run(admin, &node, Order::Clear)
}

/// Gives a node the writer's role.
pub fn switch_writer(SwitchWriter { node, admin }: SwitchWriter) -> ExitCode {
    run(admin, &node, Order::Write)
}

/// Gives the order and prints what comes of it.
fn run(admin: SocketAddr, node: &str, order: Order) -> ExitCode {
    match give::<String>(admin, "servers", node, &order) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(why) => super::failed(why),
    }
}
