//! The subcommands, one file each.

use std::process::ExitCode;

/// Runs the subcommand named by the arguments of the process.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
