//! The admin address with TLS: the command line, programs and other proxies ask it, and nobody else is answered.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/authority.rs"]
mod authority;
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Output;
use std::time::Duration;

use authority::Authority;
use oarlock::admin::client::Client;
use oarlock::lab::{REPLICATION_USER, SITE_PASSWORD, Server, Site, until};
use support::{Proxy, path, succeeded};

const SOON: Duration = Duration::from_secs(30);
const TOKEN: &str = "correct-horse-battery-staple";

#[track_caller]
fn refused(output: &Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(why), "{said}");
}

#[test]
fn operators_speak_tls() {
    let server = Server::start(&[]).unwrap();
    let home = tempfile::tempdir().unwrap();
    let (folder, file) = (home.path(), |name: &str| path(home.path(), name));
    let authority = Authority::new(folder, "ca");
    Authority::new(folder, "elsewhere");
    authority.vouch(folder, "admin");
    let address = server.lab().proxy_address(Site::Dr);
    let text = server.lab().config_toml(Site::Dr, address);
    let text = text.replacen("[site]\n", "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n", 1);
    let (certificate, key) = (file("admin.pem"), file("admin.key"));
    let tls = format!("tls = {{ certificate = \"{certificate}\", key = \"{key}\" }}\ntoken = \"{TOKEN}\"\n");
    let text = text.replacen("[admin]\n", &format!("[admin]\n{tls}"), 1);
    // It stands for another site's: of that one the page shows the nodes, by its admin address.
    let link = format!(
        "[[link]]\nname = \"other\"\nremote = \"{address}\"\nuser = \"{REPLICATION_USER}\"\npassword = \"{SITE_PASSWORD}\"\n\
        admin = \"{address}:4008\"\nadmin_ca = \"{}\"\n",
        file("ca.pem")
    );
    let proxy = Proxy::launch(address, &format!("{text}{link}"));
    let (ca, token) = (file("ca.pem"), file("token"));
    fs::write(&token, TOKEN).unwrap();
    let list = |more: &[&str]| proxy.command(&[&["list", "servers"], more].concat());
    let shows = |output: Output| String::from_utf8_lossy(&output.stdout).contains("server-81");
    assert!(until(SOON, || shows(list(&["--ca", &ca]))), "{:?}", list(&["--ca", &ca]));

    refused(&list(&[]), "--ca FILE");
    refused(&list(&["--ca", &file("elsewhere.pem")]), "UnknownIssuer");
    refused(&list(&["--ca", &key]), "no certificate in it");
    let maintain = ["set", "server", "server-81", "maintenance", "--ca", &ca];
    refused(&proxy.command(&maintain), "a token is needed");
    refused(&proxy.command(&["reload", "--ca", &ca]), "a token is needed");
    nobody_waits_for_who_says_nothing(&proxy, || shows(list(&["--ca", &ca])));

    let client = Client::trusting(Some(ca.as_ref())).unwrap();
    let remotes = client.agent(SOON).get(client.url(proxy.admin().into(), "remotes")).call();
    let remotes = remotes.unwrap().body_mut().read_to_string().unwrap();
    assert!(remotes.contains("server-81"), "{remotes}");

    // Another authority has made a new one.
    Authority::new(folder, "new").vouch(folder, "admin");
    let reload = |ca: &str| proxy.command(&["reload", "--ca", ca, "--token-file", &token]);
    assert_eq!(succeeded(&reload(&ca)), "in force now: certificate of the admin address");
    refused(&list(&["--ca", &ca]), "no TLS with the proxy");
    assert!(shows(list(&["--ca", &file("new.pem")])));
    fs::remove_file(&key).unwrap();
    refused(&reload(&file("new.pem")), "TLS of the admin address");
    assert!(shows(list(&["--ca", &file("new.pem")])), "nothing has changed");
}

/// Neither does who speaks HTTP get an answer.
fn nobody_waits_for_who_says_nothing(proxy: &Proxy, is_answered: impl Fn() -> bool) {
    let silent: Vec<_> = (0..10).map(|_| TcpStream::connect(proxy.admin()).unwrap()).collect();
    let mut plain = TcpStream::connect(proxy.admin()).unwrap();
    plain.write_all(b"GET /v1/servers HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(is_answered());
    let mut answer = Vec::new();
    // An alert of TLS, or nothing; closed, or reset since not all was read.
    let _ = plain.read_to_end(&mut answer);
    assert!(answer.len() < 10, "{answer:?}");
    drop(silent);
}
