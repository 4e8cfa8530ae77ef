//! `oarlock completions`: what a shell needs to complete the program's arguments.

use std::process::ExitCode;

use clap_complete::{Shell, generate};

/// Print the completions for a shell; `oarlock completions bash > /etc/bash_completion.d/oarlock`
#[derive(clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints them.
pub fn run(args: Args, mut command: clap::Command) -> ExitCode {
    let name = command.get_name().to_owned();
    generate(args.shell, &mut command, name, &mut std::io::stdout());
    ExitCode::SUCCESS
}
