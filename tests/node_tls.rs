//! TLS between the proxy and a node that takes nobody without: sessions, probes, accounts and dumps.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use oarlock::lab::{APP_PASSWORD, REPLICATION_USER, SITE_PASSWORD, Server, Site, until};
use support::{Proxy, path, succeeded};

const START_MAX: Duration = Duration::from_secs(30);
const SECURE_USER: &str = "careful";

/// A certificate for any address that the lab may give to the node, and its key, which the server's own user can read.
fn certificate(folder: &Path) -> (String, String) {
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let (certificate, key) = (path(folder, "node.pem"), path(folder, "node.key"));
    renew(&certificate, &key);
    (certificate, key)
}

fn renew(certificate: &str, key: &str) {
    let names: Vec<_> = (0..=255).flat_map(|network| [80, 81].map(|host| format!("127.71.{network}.{host}"))).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(certificate, made.cert.pem()).unwrap();
    fs::write(key, made.signing_key.serialize_pem()).unwrap();
}

struct Scene {
    server: Server,
    certificate: String,
    key: String,
}

impl Scene {
    /// With these settings for TLS with nodes.
    fn launch(&self, tls: &str) -> Proxy {
        let address = self.server.lab().proxy_address(Site::Dr);
        let text = self.server.lab().config_toml(Site::Dr, address);
        let text = text.replacen("[site]\n", "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n", 1);
        let text = text.replacen("[cluster]\n", &format!("[cluster]\ntls = {{ {tls} }}\n"), 1);
        let own = format!("tls = {{ certificate = \"{}\", key = \"{}\" }}\n", self.certificate, self.key);
        let listener = "service = \"read-write-split\"\n";
        let text = text.replace(listener, &format!("{listener}{own}"));
        // Each session has a connection that was made for it.
        let more = "[read-write-split]\nwriter_wait = \"2s\"\n[limits]\nidle_connections_max = 0\n";
        Proxy::launch(address, &format!("{text}\n{more}"))
    }

    fn start(&self, tls: &str) -> Proxy {
        let proxy = self.launch(tls);
        assert!(until(START_MAX, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
        proxy
    }
}

#[test]
fn the_proxy_speaks_tls_with_nodes() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path());
    let options = [("ssl_cert", &*certificate), ("ssl_key", &*key), ("require_secure_transport", "ON")];
    let server = Server::start(&options).unwrap();
    // The proxy's own key is for nobody else.
    let own_key = path(folder.path(), "own.key");
    fs::copy(&key, &own_key).unwrap();
    fs::set_permissions(&own_key, Permissions::from_mode(0o600)).unwrap();
    let scene = Scene { server, certificate, key: own_key };
    let verified = format!("ca = \"{}\"", scene.certificate);
    let proxy = scene.start(&verified);
    assert!(cipher(&proxy.client(&CIPHER)).starts_with("TLS_"));
    large_pieces_pass(&proxy);
    accounts_may_require_it(&scene, &proxy);
    replicas_read_through_it(&scene, &proxy);
    certificates_are_renewed(&scene, &proxy, &key);
    drop(proxy);
    strangers_are_not_believed(&scene, folder.path());
    let proxy = scene.start("verify = false");
    assert!(cipher(&proxy.client(&CIPHER)).starts_with("TLS_"));
}

/// The node's word of the session's connection.
const CIPHER: [&str; 3] = ["-N", "-e", "SHOW SESSION STATUS LIKE 'Ssl_cipher'"];

#[track_caller]
fn cipher(output: &Output) -> String {
    succeeded(output).split_whitespace().nth(1).unwrap_or_default().to_owned()
}

fn large_pieces_pass(proxy: &Proxy) {
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (a LONGTEXT)");
    for _ in 0..20 {
        proxy.sql(&format!("INSERT INTO shop.t VALUES ('{}')", "x".repeat(100_000)));
    }
    proxy.sql("INSERT INTO shop.t SELECT REPEAT(a, 100) FROM shop.t");
    let all = proxy.sql("SELECT a FROM shop.t");
    assert_eq!(all.bytes().filter(|byte| *byte == b'x').count(), 20 * 101 * 100_000);
}

/// Of clients and of the proxy; whoever speaks none gets what a server says.
fn accounts_may_require_it(scene: &Scene, proxy: &Proxy) {
    let user = format!("'{SECURE_USER}'@'%'");
    let create =
        format!("CREATE USER {user} IDENTIFIED BY '{APP_PASSWORD}' REQUIRE SSL; GRANT SELECT ON shop.* TO {user}");
    for statement in create.split("; ") {
        scene.server.sql(statement).unwrap();
    }
    let (host, port) = (proxy.address().ip().to_string(), proxy.address().port().to_string());
    let log_in = |more: &[&str]| {
        let login = ["--no-defaults", "-h", &host, "-P", &port, "-u", SECURE_USER, &format!("-p{APP_PASSWORD}")];
        Command::new("mariadb")
            .args(login)
            .args(more)
            .args(["-N", "-e", "SELECT COUNT(*) FROM shop.t"])
            .output()
            .unwrap()
    };
    assert_eq!(succeeded(&log_in(&["--ssl"])), "40");
    let plain = log_in(&["--skip-ssl"]);
    assert!(String::from_utf8_lossy(&plain.stderr).contains("ERROR 1045"), "{plain:?}");
    scene.server.sql(&format!("ALTER USER {user} REQUIRE X509")).unwrap();
    let refused = || log_in(&["--ssl"]);
    let says = || String::from_utf8_lossy(&refused().stderr).contains("ERROR 1045");
    assert!(until(START_MAX, says), "{:?}", refused());
}

fn replicas_read_through_it(scene: &Scene, proxy: &Proxy) {
    let since = scene.server.value("SELECT @@gtid_binlog_pos").unwrap().unwrap();
    let file = scene.server.value("SELECT SUBSTRING_INDEX(@@log_bin_basename, '/', -1)").unwrap().unwrap();
    proxy.sql("CREATE TABLE shop.followed (a INT)");
    let output = Command::new("mariadb-binlog")
        .args(["--no-defaults", "--read-from-remote-server", "-h", &proxy.address().ip().to_string(), "-P", "4007"])
        .args(["-u", REPLICATION_USER, &format!("-p{SITE_PASSWORD}"), &format!("--start-position={since}")])
        .arg(format!("{file}.000001"))
        .output()
        .unwrap();
    let read = succeeded(&output);
    assert!(read.contains("CREATE TABLE shop.followed"), "{read}");
}

/// The node has another one, which the same file vouches for once it has been read again.
fn certificates_are_renewed(scene: &Scene, proxy: &Proxy, key: &str) {
    renew(&scene.certificate, key);
    scene.server.sql("FLUSH SSL").unwrap();
    let reads = || proxy.client(&["-e", "SELECT 1"]).status.success();
    assert!(!reads(), "a stranger");
    fs::write(&scene.key, fs::read(key).unwrap()).unwrap();
    let said = succeeded(&proxy.command(&["reload"]));
    assert_eq!(said, "in force now: certificate of applications, certificates of nodes");
    assert!(until(START_MAX, reads), "{}", proxy.log());
}

/// Whose certificate nobody vouches for is no node, and operators see why.
fn strangers_are_not_believed(scene: &Scene, folder: &Path) {
    let other = rcgen::generate_simple_self_signed(["127.71.0.1".to_owned()]).unwrap();
    let file = folder.join("other.pem");
    fs::write(&file, other.cert.pem()).unwrap();
    let proxy = scene.launch(&format!("ca = \"{}\"", file.display()));
    let servers = || String::from_utf8_lossy(&proxy.command(&["list", "servers", "--json"]).stdout).into_owned();
    assert!(until(START_MAX, || servers().contains("invalid peer certificate")), "{}", servers());
    assert!(servers().contains("\"state\": \"Down\""), "{}", servers());
    assert!(!proxy.client(&["-e", "SELECT 1"]).status.success());
}
