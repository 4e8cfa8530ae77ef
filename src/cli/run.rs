//! `oarlock run`: the proxy itself.

use std::path::PathBuf;
use std::process::ExitCode;

/// Run the proxy in the foreground until SIGTERM
#[derive(clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs until a signal ends it.
pub fn run(args: Args) -> ExitCode {
    super::failed(format_args!("{}: the proxy is not part of this build", args.config.display()))
}
