//! `oarlock settings`: what a configuration may say.

use std::process::ExitCode;

use crate::config::settings::markdown;

/// Print every setting of a configuration with its default and its meaning
#[derive(clap::Args)]
pub struct Args {}

/// Prints the table that README has.
pub fn run(Args {}: Args) -> ExitCode {
    print!("{}", markdown());
    ExitCode::SUCCESS
}
