//! The program: parses its arguments and calls one subcommand.

use std::process::ExitCode;

fn main() -> ExitCode {
    oarlock::cli::main()
}
