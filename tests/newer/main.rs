//! MariaDB 11.8 beside this system's own: its client in front of the proxy, its replica, its servers behind it. `make newer` has made
//! the folder that `NEWER` names, and only it runs this.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

mod certificate;
mod follower;
mod parsec;
#[path = "../support/replica.rs"]
mod replica;
mod rolling;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/sysbench.rs"]
mod sysbench;

use std::net::SocketAddrV4;
use std::process::{Output, Stdio};

use oarlock::lab::Userland;

/// The system that has 11.8.
fn newer() -> Userland {
    let Ok(root) = std::env::var("NEWER") else { panic!("NEWER names no folder with MariaDB 11.8: run `make newer`") };
    Userland::of(root.as_ref())
}

/// Runs its client against an address.
fn client(address: SocketAddrV4, user: &str, password: &str, arguments: &[&str]) -> Output {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let password = format!("--password={password}");
    let login = ["--no-defaults", "-h", &host, "-P", &port, "-u", user, &password, "-N"];
    newer().command("mariadb").args(login).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Why it has failed.
#[track_caller]
fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).trim_end().to_owned()
}
