//! `oarlock kill`: ends a session of a running proxy.

use std::net::SocketAddr;
use std::process::ExitCode;

/// End a session of a running proxy
#[derive(clap::Args)]
pub struct Args {
    /// Its id, as `oarlock list sessions` shows it
    id: u32,
    /// The admin address of the proxy
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4008")]
    admin: SocketAddr,
}

/// Has the session ended.
pub fn run(Args { id, admin }: Args) -> ExitCode {
    match super::order::remove(admin, "sessions", &id.to_string()) {
        Ok(()) => {
            println!("session {id} ends");
            ExitCode::SUCCESS
        }
        Err(why) => super::failed(why),
    }
}
