//! Accounts that require a certificate of the client: shown to the proxy, and the proxy's own to the node.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "support/authority.rs"]
mod authority;
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use authority::Authority;
use oarlock::lab::{APP_PASSWORD, Server, Site, until};
use support::{Proxy, path, succeeded};

const START_MAX: Duration = Duration::from_secs(30);

struct Scene<'a> {
    folder: &'a Path,
    proxy: &'a Proxy,
}

impl Scene<'_> {
    /// Logs in with the certificate of this name, or none.
    fn log_in(&self, user: &str, shown: Option<&str>) -> Output {
        let address = self.proxy.address();
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let login = ["--no-defaults", "-h", &host, "-P", &port, "-u", user, &format!("-p{APP_PASSWORD}"), "--ssl"];
        let mut command = Command::new("mariadb");
        command.args(login).args(["-N", "-e", "SELECT CURRENT_USER()"]);
        if let Some(name) = shown {
            let file = |ending: &str| path(self.folder, &format!("{name}.{ending}"));
            command.arg(format!("--ssl-cert={}", file("pem"))).arg(format!("--ssl-key={}", file("key")));
        }
        command.output().unwrap()
    }

    #[track_caller]
    fn admits(&self, user: &str, shown: Option<&str>) {
        assert_eq!(succeeded(&self.log_in(user, shown)), format!("{user}@%"));
    }

    #[track_caller]
    fn refuses(&self, user: &str, shown: Option<&str>, why: &str) {
        let output = self.log_in(user, shown);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{said}\n{}", self.proxy.log());
    }
}

fn launch(server: &Server, folder: &Path, shown: &str) -> Proxy {
    let address = server.lab().proxy_address(Site::Dr);
    let file = |name: &str| path(folder, name);
    let text = server.lab().config_toml(Site::Dr, address);
    let text = text.replacen("[site]\n", "[site]\nlog = \"debug\"\nstate_dir = \"STATE\"\n", 1);
    let nodes = format!("[cluster]\ntls = {{ ca = \"{}\"{shown} }}\n", file("ca.pem"));
    let text = text.replacen("[cluster]\n", &nodes, 1);
    let (certificate, key) = (file("proxy.pem"), file("proxy.key"));
    let client_ca = file("ca.pem");
    let clients =
        format!("tls = {{ certificate = \"{certificate}\", key = \"{key}\", client_ca = \"{client_ca}\" }}\n");
    let listener = "service = \"read-write-split\"\n";
    let proxy = Proxy::launch(address, &text.replace(listener, &format!("{listener}{clients}")));
    assert!(until(START_MAX, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
    proxy
}

#[test]
fn accounts_ask_for_certificates() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let (authority, stranger) = (Authority::new(folder, "ca"), Authority::new(folder, "elsewhere"));
    ["node", "proxy", "client"].iter().for_each(|name| authority.vouch(folder, name));
    stranger.vouch(folder, "stranger");
    let files = ["ca.pem", "node.pem", "node.key"].map(|name| path(folder, name));
    let options = [("ssl_ca", &*files[0]), ("ssl_cert", &*files[1]), ("ssl_key", &*files[2])];
    let server = Server::start(&options).unwrap();
    for (user, requires) in [
        ("any", "X509"),
        ("issued", "ISSUER '/CN=ca'"),
        ("other", "SUBJECT '/CN=other' AND ISSUER '/CN=ca'"),
        ("mine", "SUBJECT '/CN=client'"),
        ("old", "CIPHER 'DES-CBC3-SHA'"),
    ] {
        server.sql(&format!("CREATE USER {user}@'%' IDENTIFIED BY '{APP_PASSWORD}' REQUIRE {requires}")).unwrap();
    }
    let shown = format!(", certificate = \"{}\", key = \"{}\"", path(folder, "proxy.pem"), path(folder, "proxy.key"));
    let proxy = launch(&server, folder, &shown);
    let scene = Scene { folder, proxy: &proxy };
    for user in ["any", "issued"] {
        scene.admits(user, Some("client"));
        scene.refuses(user, None, "ERROR 1045");
    }
    scene.refuses("any", Some("stranger"), "TLS/SSL error");
    for user in ["other", "old"] {
        scene.refuses(user, Some("client"), "ERROR 1045");
    }
    // The client shows what is asked for; the proxy, of which the node asks the same, does not.
    scene.refuses("mine", Some("client"), "Access denied for user 'mine'");
    drop(proxy);
    let proxy = launch(&server, folder, "");
    let scene = Scene { folder, proxy: &proxy };
    scene.refuses("any", Some("client"), "nodes want to see one of the proxy");
}
