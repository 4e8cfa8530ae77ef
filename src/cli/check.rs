//! `oarlock check`: reads a configuration and prints what it comes to.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::net::tls::{ClientTls, ServerTls};

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
    if let Some(tls) = &config.cluster.tls {
        let shown = tls.shown.as_ref().map(|(certificate, key)| (&**certificate, &**key));
        if let Err(why) = ClientTls::load(tls.ca.as_deref(), shown) {
            return super::failed(format!("TLS with nodes: {why}"));
        }
    }
    ExitCode::SUCCESS
}
