//! Links that speak TLS: a cluster follows the proxy of a site that takes replicas with TLS only, and later with a certificate only.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/sites.rs"]
mod sites;
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use authority::Authority;
use oarlock::lab::{Lab, Node, REPLICATION_USER, Site, until};
use sites::{SOON, expect, link_to, replication_address, report};
use support::{Proxy, path, succeeded};

/// The proxy of the single server: TLS with it, and only TLS for replicas.
fn remote(lab: &Lab, folder: &Path) -> Proxy {
    let (address, file) = (lab.proxy_address(Site::Dr), |name: &str| path(folder, name));
    let (ca, certificate, key) = (file("ca.pem"), file("proxy.pem"), file("proxy.key"));
    let pair = format!("certificate = \"{certificate}\", key = \"{key}\"");
    let text = lab.config_toml(Site::Dr, address);
    let text = text.replacen("[site]\n", "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n", 1);
    let text = text.replacen("[cluster]\n", &format!("[cluster]\ntls = {{ ca = \"{ca}\", {pair} }}\n"), 1);
    let listener = "service = \"replication\"\n";
    let replicas = format!("{listener}tls = {{ {pair}, client_ca = \"{ca}\", require = true }}\n");
    let proxy = Proxy::launch(address, &text.replace(listener, &replicas));
    assert!(until(SOON, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
    proxy
}

/// The proxy of the cluster, with these settings of its link's TLS.
fn follower(lab: &Lab, tls: &str) -> Proxy {
    let tls = if tls.is_empty() { String::new() } else { format!("tls = {{ {tls} }}\n") };
    let link = link_to("dr", &[replication_address(lab, Site::Dr)]);
    Proxy::start_with(lab, Site::Primary, &format!("{link}{tls}"))
}

#[track_caller]
fn expect_because(proxy: &Proxy, state: &str, why: &str) {
    let is_so = || {
        let link = report(proxy);
        link.state == state && link.reason.contains(why)
    };
    assert!(until(SOON, is_so), "{:?}", report(proxy));
}

/// What is written there arrives here.
#[track_caller]
fn follows(dc: &Node, dr: &Node, value: u32) {
    dr.sql(&format!("INSERT INTO shop.t VALUES ({value})")).unwrap();
    let arrived = || dc.value(&format!("SELECT a FROM shop.t WHERE a = {value}")).is_ok_and(|found| found.is_some());
    assert!(until(SOON, arrived), "{:?}", dc.sql("SHOW ALL SLAVES STATUS"));
}

/// Whether the replication connection verifies the remote, as the node has it.
fn verifies(dc: &Node) -> bool {
    let rows = dc.sql("SHOW ALL SLAVES STATUS").unwrap();
    let row: Vec<&str> = rows[0].iter().map(|value| value.as_deref().unwrap_or_default()).collect();
    // Allowed, the authority, its folder, certificate, cipher, key, lag, and then this.
    let allowed = row.iter().position(|value| value.ends_with("/link.pem")).unwrap() - 1;
    row[allowed] == "Yes" && row[allowed + 7] == "Yes"
}

#[test]
fn a_link_speaks_tls() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let authority = Authority::new(folder, "ca");
    ["node", "proxy", "follower"].iter().for_each(|name| authority.vouch(folder, name));
    Authority::new(folder, "link");
    let file = |name: &str| path(folder, name);
    let lab = Lab::builder().galera(2).standalone(true);
    let lab = lab.option("ssl_ca", &file("ca.pem")).option("ssl_cert", &file("node.pem"));
    let lab = lab.option("ssl_key", &file("node.key")).start().unwrap();
    let (dc, dr) = (lab.node("galera-71").unwrap(), lab.node("server-81").unwrap());
    let require = |what: &str| {
        dr.sql(&format!("SET sql_log_bin = 0; ALTER USER {REPLICATION_USER}@'%' REQUIRE {what}")).unwrap();
    };
    require("SSL");
    let remote = remote(&lab, folder);

    let plain = follower(&lab, "");
    expect_because(&plain, "Waiting", "with TLS only");
    drop(plain);

    let proxy = follower(&lab, &format!("ca = \"{}\"", file("link.pem")));
    expect_because(&proxy, "Waiting", "invalid peer certificate");
    fs::copy(folder.join("ca.pem"), folder.join("link.pem")).unwrap();
    assert_eq!(succeeded(&proxy.command(&["reload"])), "in force now: certificates of link dr");
    expect(&proxy, "Running");
    dr.sql("CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY)").unwrap();
    follows(dc, dr, 1);
    assert!(verifies(dc));

    let by_hand = "CHANGE MASTER 'dr' TO MASTER_SSL_VERIFY_SERVER_CERT = 0";
    dc.sql(&format!("STOP SLAVE 'dr'; {by_hand}; START SLAVE 'dr'")).unwrap();
    assert!(until(SOON, || verifies(dc)), "{}", proxy.log());
    assert!(proxy.log().contains("its TLS is another"), "{}", proxy.log());
    expect(&proxy, "Running");
    follows(dc, dr, 2);
    drop(proxy);

    // Whoever replicates has to show a certificate, and so has the proxy that passes it on.
    require("X509");
    let shown = format!("certificate = \"{}\", key = \"{}\"", file("follower.pem"), file("follower.key"));
    let on_node = format!("node_certificate = \"{}\", node_key = \"{}\"", file("node.pem"), file("node.key"));
    let proxy = follower(&lab, &format!("ca = \"{}\", {shown}, {on_node}", file("link.pem")));
    dc.sql("STOP SLAVE 'dr'").unwrap();
    expect(&proxy, "Running");
    follows(dc, dr, 3);
    assert!(verifies(dc), "{}", remote.log());
}
