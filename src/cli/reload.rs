//! `oarlock reload`: has a running proxy read its configuration again.

use std::process::ExitCode;

use super::proxy::{Proxies, Proxy};
use crate::admin::reload::Report;

/// Have a running proxy read its configuration again; what needs a restart is named
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    proxies: Proxies,
}

/// Says what is in force now, and what is not.
pub fn run(args: Args) -> ExitCode {
    args.proxies.order(reload)
}

fn reload(proxy: &Proxy) -> Result<String, String> {
    let report: Report = proxy.post("reload", &())?;
    Ok(report.to_string())
}
