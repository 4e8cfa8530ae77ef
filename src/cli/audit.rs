//! `oarlock audit`: asks the servers of a site whether they are set as the proxy, its links and its replicas need it.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::audit::collect::collect;
use crate::audit::rules::{Level, audit};

/// Check the settings of all nodes and remotes, and say what to change
#[derive(clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Fail on warnings too
    #[arg(long)]
    strict: bool,
}

/// Prints what does not fit. Exit code 0: nothing that counts; 1: something.
pub fn run(args: Args) -> ExitCode {
    let config = match crate::config::load(&args.config) {
        Ok(config) => config,
        Err(error) => return super::failed(error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let picture = match runtime {
        Ok(runtime) => runtime.block_on(collect(&config)),
        Err(error) => return super::failed(error),
    };
    let findings = audit(&picture);
    findings.iter().for_each(|finding| println!("{finding}"));
    let errors = findings.iter().filter(|finding| finding.level == Level::Error).count();
    println!("{errors} errors, {} warnings", findings.len() - errors);
    let counts = if args.strict { findings.len() } else { errors };
    if counts == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
