//! `oarlock check`: reads a configuration and prints what it comes to.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::net::tls::ServerTls;

/// Read a configuration and print what is in force, defaults included
#[derive(clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Prints the effective configuration, or what is wrong with it.
pub fn run(args: Args) -> ExitCode {
    let config = match crate::config::load(&args.config) {
        Ok(config) => config,
        Err(error) => return super::failed(error),
    };
    print!("{config}");
    for listener in &config.listeners {
        let loaded = listener.tls.as_ref().map(|tls| ServerTls::load(&tls.certificate, &tls.key));
        if let Some(Err(why)) = loaded {
            return super::failed(format!("TLS of listener '{}': {why}", listener.name));
        }
    }
    ExitCode::SUCCESS
}
