//! `oarlock kill`: ends a session of a running proxy.

use std::process::ExitCode;

use super::proxy::Proxies;

/// End a session of a running proxy
#[derive(clap::Args)]
pub struct Args {
    /// Its id, as `oarlock list sessions` shows it
    id: u32,
    #[command(flatten)]
    proxies: Proxies,
}

/// Has the session ended.
pub fn run(Args { id, proxies }: Args) -> ExitCode {
    proxies.order(|proxy| proxy.delete(&format!("sessions/{id}")).map(|()| format!("session {id} ends")))
}
