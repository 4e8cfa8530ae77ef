//! `oarlock classify`: what a statement is, where it would go, and why.

use std::process::ExitCode;

/// Print the class of a statement, where it would go, and why
#[derive(clap::Args)]
pub struct Args {
    /// The statement
    sql: String,
}

/// Prints class, route and reason.
pub fn run(args: Args) -> ExitCode {
    super::failed(format_args!("classify is not part of this build: {}", args.sql))
}
