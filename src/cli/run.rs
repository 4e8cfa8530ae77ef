//! `oarlock run`: the proxy itself.

use std::path::PathBuf;
use std::process::ExitCode;

/// Run the proxy in the foreground until SIGTERM
#[derive(clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Take over from the process that runs with the same name and state_dir: its listening sockets, and then its work
    #[arg(long)]
    takeover: bool,
}

/// Runs until a signal ends it.
pub fn run(args: Args) -> ExitCode {
    let config = match crate::config::load(&args.config) {
        Ok(config) => config,
        Err(error) => return super::failed(error),
    };
    match crate::app::run(config, args.config, args.takeover) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::failed(error),
    }
}
