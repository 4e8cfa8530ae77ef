//! Accounts whose passwords the configuration tells: clients without TLS prove them, and a real node gets what its plugin asks for.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::fs;
use std::process::Output;
use std::time::Duration;

use oarlock::lab::{Server, Site, until};
use support::{Proxy, succeeded};

const SOON: Duration = Duration::from_secs(30);

fn log_in(proxy: &Proxy, user: &str, password: &str) -> Output {
    let (user, password) = (format!("-u{user}"), format!("-p{password}"));
    proxy.client(&[&user, &password, "--skip-ssl", "-N", "-e", "SELECT CURRENT_USER()"])
}

#[track_caller]
fn refused(output: &Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("ERROR 1045") && said.contains(why), "{said}");
}

fn account(user: &str, password: &str) -> String {
    format!("\n[[account]]\nuser = \"{user}\"\npassword = \"{password}\"\n")
}

#[test]
fn the_configuration_tells_a_password() {
    let server = Server::start(&[("plugin_load_add", "auth_ed25519")]).unwrap();
    for user in ["reports", "other"] {
        let create = format!("CREATE USER {user}@'%' IDENTIFIED VIA ed25519 USING PASSWORD('secret')");
        server.sql(&create).unwrap();
    }
    let told = [account("reports", "secret"), account("nobody", "secret")].concat();
    let proxy = Proxy::start_with(server.lab(), Site::Dr, &told);
    assert_eq!(succeeded(&log_in(&proxy, "reports", "secret")), "reports@%");
    refused(&log_in(&proxy, "reports", "wrong"), "(using password: YES)");
    refused(&log_in(&proxy, "other", "secret"), "[[account]]");
    assert!(proxy.log().contains("tells the password of 'nobody'@'%'"), "{}", proxy.log());
    let accounts = succeeded(&proxy.command(&["list", "accounts", "--json"]));
    assert!(accounts.contains("password in the proxy's configuration") && !accounts.contains("secret"), "{accounts}");

    // The account has another one: a node says so until the configuration tells it.
    server.sql("ALTER USER reports@'%' IDENTIFIED VIA ed25519 USING PASSWORD('newer')").unwrap();
    let stale = || log_in(&proxy, "reports", "secret");
    assert!(until(SOON, || !stale().status.success()), "{}", proxy.log());
    refused(&stale(), "reports");
    let file = proxy.config_file();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(&told, &account("reports", "newer"))).unwrap();
    let said = succeeded(&proxy.command(&["reload"]));
    assert_eq!(said, "in force now: account.nobody@%, account.reports@%.password");
    assert_eq!(succeeded(&log_in(&proxy, "reports", "newer")), "reports@%");
    refused(&log_in(&proxy, "reports", "secret"), "(using password: YES)");
}
