//! Hosts from which login after login fails are blocked for a time: by the client's own address, and nobody by accident.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "support/logins.rs"]
mod logins;
#[path = "support/raw_client.rs"]
mod raw_client;
mod support;

use std::net::SocketAddr;
use std::time::Duration;

use oarlock::lab::{APP_USER, Server, Site, until};
use oarlock::wire::reply::Shape;
use raw_client::{End, RawClient};
use support::{Proxy, succeeded};

const SOON: Duration = Duration::from_secs(30);
const FAILURES_MAX: usize = 5;
/// A response that is none.
const NONSENSE: [u8; 8] = [4, 0, 0, 1, 0, 0, 0, 0];
const BAD_HANDSHAKE: u16 = 1043;
const BLOCKED: u16 = 1129;

/// A client that a balancer has brought, as it says with this header.
fn brought(proxy: &Proxy, header: &str) -> RawClient {
    let mut client = RawClient::connect(SocketAddr::new((*proxy.address().ip()).into(), 4007));
    client.send(format!("PROXY {header}\r\n").as_bytes());
    client
}

fn from(address: &str) -> String {
    format!("TCP4 {address} 127.0.0.1 4000 4007")
}

/// What comes of a login that fails.
fn fail(proxy: &Proxy, header: &str) -> u16 {
    let mut client = brought(proxy, header);
    let mut end = client.reply(Shape::Text);
    if let End::Done(_) = end {
        client.send(&NONSENSE);
        end = client.reply(Shape::Ok);
    }
    if let End::Error(code, _) = end { code } else { 0 }
}

fn hosts(proxy: &Proxy) -> String {
    succeeded(&proxy.command(&["list", "hosts"]))
}

#[test]
fn a_host_that_fails_is_blocked() {
    let server = Server::start(&[]).unwrap();
    let address = server.lab().proxy_address(Site::Dr);
    let text = server.lab().config_toml(Site::Dr, address);
    let text = text.replacen("[site]\n", "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n", 1);
    let service = "service = \"replication\"\n";
    let text = text.replacen(service, &format!("{service}proxy_protocol = [\"127.0.0.0/8\"]\n"), 1);
    let proxy = Proxy::launch(address, &format!("{text}\n[limits]\nlogin_failures_max = {FAILURES_MAX}\n"));
    assert!(until(SOON, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
    server.sql(&format!("ALTER USER {APP_USER}@'%' IDENTIFIED BY ''")).unwrap();

    let (attacker, other) = (from("10.1.2.3"), from("10.1.2.4"));
    for _ in 0..FAILURES_MAX {
        assert_eq!(fail(&proxy, &attacker), BAD_HANDSHAKE);
    }
    // A session ends after its client has been told.
    assert!(until(SOON, || hosts(&proxy).contains("10.1.2.3") && hosts(&proxy).contains(" s ")), "{}", hosts(&proxy));
    assert_eq!(fail(&proxy, &attacker), BLOCKED);
    assert!(proxy.log().contains("it is blocked"), "{}", proxy.log());

    // Somebody from there is logged in: the others may be mistaken, but it is no attacker's host alone.
    let mut client = brought(&proxy, &other);
    assert!(matches!(client.try_login(), End::Done(_)));
    assert!(matches!(client.query("SELECT 1"), End::Done(_)));
    for header in [&*other, "UNKNOWN"] {
        for _ in 0..2 * FAILURES_MAX {
            assert_eq!(fail(&proxy, header), BAD_HANDSHAKE, "{header}");
        }
    }
    for _ in 0..FAILURES_MAX + 1 {
        let refused = proxy.client(&["-pwrong", "-e", "SELECT 1"]);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("ERROR 1045"), "{refused:?}");
    }
    assert!(!hosts(&proxy).contains("127."), "{}", hosts(&proxy));

    assert_eq!(fail(&proxy, &attacker), BLOCKED);
    assert_eq!(succeeded(&proxy.command(&["clear", "host", "10.1.2.3"])), "10.1.2.3 may come again");
    assert_eq!(fail(&proxy, &attacker), BAD_HANDSHAKE);
    let nobody = proxy.command(&["clear", "host", "10.1.2.5"]);
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no login from 10.1.2.5 has failed"), "{nobody:?}");
}
