//! `oarlock audit`: asks the servers of a site whether they are set as the proxy, its links and its replicas need it.

use std::path::PathBuf;
use std::process::ExitCode;

use super::proxy::{Proxy, Trust};
use crate::admin::http::Replica as Listed;
use crate::audit::collect::collect;
use crate::audit::rules::{Level, Replica, audit};
use crate::config::Config;

/// Check the settings of all nodes and remotes, and say what to change
#[derive(clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Fail on warnings too
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    trust: Trust,
}

/// Prints what does not fit. Exit code 0: nothing that counts; 1: something.
pub fn run(args: Args) -> ExitCode {
    let config = match crate::config::load(&args.config) {
        Ok(config) => config,
        Err(error) => return super::failed(error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let picture = match runtime {
        Ok(runtime) => runtime.block_on(collect(&config, replicas(&config, &args.trust))),
        Err(error) => return super::failed(error),
    };
    let findings = audit(&picture);
    findings.iter().for_each(|finding| println!("{finding}"));
    let errors = findings.iter().filter(|finding| finding.level == Level::Error).count();
    println!("{errors} errors, {} warnings", findings.len() - errors);
    let counts = if args.strict { findings.len() } else { errors };
    if counts == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The replicas of the proxy that runs with this configuration, if one does. By file and position there is nothing to compare.
fn replicas(config: &Config, trust: &Trust) -> Vec<Replica> {
    let proxy = match Proxy::of(&config.admin, trust) {
        Ok(proxy) => proxy,
        Err(why) => {
            eprintln!("oarlock: the replicas of the running proxy are not known: {why}");
            return Vec::new();
        }
    };
    let listed = proxy.look("replicas").ok();
    let listed: Vec<Listed> = listed.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let read = |listed: Listed| Some(Replica { server: listed.server_id, position: listed.position?.parse().ok()? });
    listed.into_iter().filter_map(read).collect()
}
