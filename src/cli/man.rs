//! `oarlock man`: the manual, as `man` shows it.

use std::path::PathBuf;
use std::process::ExitCode;

/// Write the manual's pages into a folder, one a subcommand; such as /usr/share/man/man1
#[derive(clap::Args)]
pub struct Args {
    /// The folder
    folder: PathBuf,
}

/// Writes them.
pub fn run(args: Args, command: clap::Command) -> ExitCode {
    match std::fs::create_dir_all(&args.folder).and_then(|()| clap_mangen::generate_to(command, &args.folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::failed(format!("the manual cannot be written to {}: {error}", args.folder.display())),
    }
}
