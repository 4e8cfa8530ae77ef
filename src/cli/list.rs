//! `oarlock list`: what a running proxy says of its servers and services.

use std::net::SocketAddr;
use std::process::ExitCode;

/// List the servers or services of a running proxy
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
}

/// Asks the proxy and prints its answer.
pub fn run(args: Args) -> ExitCode {
    let Args { what, json, admin } = args;
    super::failed(format_args!("{admin}: list {what:?} (json: {json}) is not part of this build"))
}
