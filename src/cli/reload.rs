//! `oarlock reload`: has a running proxy read its configuration again.

use std::net::SocketAddr;
use std::process::ExitCode;

use super::order::post;
use crate::admin::reload::Report;

/// Have a running proxy read its configuration again; what needs a restart is named
#[derive(clap::Args)]
pub struct Args {
    /// The admin address of the proxy
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4008")]
    admin: SocketAddr,
}

/// Says what is in force now, and what is not.
pub fn run(args: Args) -> ExitCode {
    match post::<Report>(args.admin, "reload", &()) {
        Ok(report) => {
            let list = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
            println!("in force now: {}", list(&report.applied));
            if !report.waiting.is_empty() {
                println!("after a restart: {}", list(&report.waiting));
            }
            ExitCode::SUCCESS
        }
        Err(why) => super::failed(why),
    }
}
