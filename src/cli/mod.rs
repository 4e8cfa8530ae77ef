//! The subcommands, one file each.

pub mod classify;

use std::process::ExitCode;

/// Runs the subcommand named by the arguments of the process.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
