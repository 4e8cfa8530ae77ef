//! Nodes that are not who they should be, or speak too old a TLS, or none: nobody is sent there, and operators see why. What somebody
//! on the way adds before TLS begins is never taken for a node's word.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

mod support;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use oarlock::lab::{Server, Site, until};
use oarlock::wire::packet::{self, HEADER, Header};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use support::{Proxy, path};

const START_MAX: Duration = Duration::from_secs(30);

/// Who vouches for nodes; its certificate is in `ca.pem`.
struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let (mut params, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        fs::write(folder.join(format!("{name}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
        Self(Issuer::new(params, key))
    }

    /// Gives the node another certificate, for hosts of this last byte, until the end of this year.
    fn vouch(&self, folder: &Path, host: u8, year: i32) {
        let (mut params, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
        let hosts = (0..=255).map(|network| SanType::IpAddress(Ipv4Addr::new(127, 71, network, host).into()));
        params.subject_alt_names = hosts.collect();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 12, 31));
        fs::write(folder.join("node.pem"), params.signed_by(&key, &self.0).unwrap().pem()).unwrap();
        fs::write(folder.join("node.key"), key.serialize_pem()).unwrap();
    }
}

/// A proxy that asks `ca.pem` who its node is, at this address.
fn launch(server: &Server, folder: &Path, node: SocketAddrV4) -> Proxy {
    let address = server.lab().proxy_address(Site::Dr);
    let text = server.lab().config_toml(Site::Dr, address);
    let text = text.replacen("[site]\n", "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n", 1);
    let tls = format!("[cluster]\ntls = {{ ca = \"{}\" }}\n", path(folder, "ca.pem"));
    let text = text.replacen("[cluster]\n", &tls, 1).replace(&server.address().to_string(), &node.to_string());
    Proxy::launch(address, &format!("{text}\n[read-write-split]\nwriter_wait = \"1s\"\n"))
}

fn reads(proxy: &Proxy) -> bool {
    proxy.client(&["-e", "SELECT 1"]).status.success()
}

/// The node gets no work, for this reason, and clients get an error.
#[track_caller]
fn is_refused(proxy: &Proxy, reason: &str) {
    let servers = || String::from_utf8_lossy(&proxy.command(&["list", "servers", "--json"]).stdout).into_owned();
    let sees = || servers().contains(reason) && !servers().contains("Master");
    assert!(until(START_MAX, sees), "{reason}: {}\n{}", servers(), proxy.log());
    assert!(!reads(proxy));
}

#[test]
fn a_node_is_who_its_certificate_names() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let (authority, stranger) = (Authority::new(folder, "ca"), Authority::new(folder, "stranger"));
    authority.vouch(folder, 81, 2090);
    let (certificate, key) = (path(folder, "node.pem"), path(folder, "node.key"));
    let server = Server::start(&[("ssl_cert", &*certificate), ("ssl_key", &*key)]).unwrap();
    for (by, host, until_year, reason) in [
        (&authority, 82, 2090, "invalid peer certificate: certificate not valid for name"),
        (&authority, 81, 2021, "invalid peer certificate: certificate expired"),
        (&stranger, 81, 2090, "invalid peer certificate: UnknownIssuer"),
    ] {
        by.vouch(folder, host, until_year);
        server.sql("FLUSH SSL").unwrap();
        is_refused(&launch(&server, folder, server.address()), reason);
    }
    authority.vouch(folder, 81, 2090);
    server.sql("FLUSH SSL").unwrap();
    let proxy = launch(&server, folder, server.address());
    assert!(until(START_MAX, || reads(&proxy)), "{}", proxy.log());
    drop(proxy);
    let bare = Server::start(&[("skip_ssl", "ON")]).unwrap();
    is_refused(&launch(&bare, folder, bare.address()), "it does not offer TLS");
    drop(bare);
    let old = [("tls_version", "TLSv1.1"), ("ssl_cipher", "DEFAULT@SECLEVEL=0")];
    let old = Server::start(&[&[("ssl_cert", &*certificate), ("ssl_key", &*key)][..], &old].concat()).unwrap();
    is_refused(&launch(&old, folder, old.address()), "received fatal alert: ProtocolVersion");
    drop(old);
    what_comes_before_tls_is_nobodys_word(&authority, &server, folder);
}

/// Somebody between proxy and node says in plain, right behind the greeting, that the login is good. All the rest is genuine.
fn what_comes_before_tls_is_nobodys_word(authority: &Authority, server: &Server, folder: &Path) {
    let between = SocketAddrV4::new(server.lab().address(60), 3306);
    let listener = TcpListener::bind(between).unwrap();
    let node = server.address();
    // Its threads end with the process.
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || interpose(near, node));
        }
    });
    authority.vouch(folder, 60, 2090);
    server.sql("FLUSH SSL").unwrap();
    let proxy = launch(server, folder, between);
    let told = || proxy.log().contains("bytes between greeting and TLS");
    assert!(until(START_MAX, || !reads(&proxy) && told()), "{}", proxy.log());
}

fn interpose(mut near: TcpStream, node: SocketAddrV4) -> Option<()> {
    let mut far = TcpStream::connect(node).ok()?;
    let mut header = [0; HEADER];
    far.read_exact(&mut header).ok()?;
    let mut greeting = header.to_vec();
    greeting.resize(Header::parse(&header)?.total(), 0);
    far.read_exact(&mut greeting[HEADER..]).ok()?;
    packet::put(&mut greeting, 2, |out| out.extend_from_slice(&[0, 0, 0, 2, 0, 0, 0]));
    near.write_all(&greeting).ok()?;
    let (mut back, mut forth) = (far.try_clone().ok()?, near.try_clone().ok()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut back, &mut near);
        near.shutdown(Shutdown::Both)
    });
    let _ = std::io::copy(&mut forth, &mut far);
    far.shutdown(Shutdown::Both).ok()
}
