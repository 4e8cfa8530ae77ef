//! `oarlock lab`: real servers on loopback addresses to try things on.

use std::process::ExitCode;

/// Bring up and break a cluster of real servers on this machine
#[derive(clap::Args)]
pub struct Args {}

/// Does what the arguments say.
pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
