//! A certificate that nobody vouches for, and a client that takes none but those it can trust: the password has to do, and does no more
//! than it can.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oarlock::lab::{APP_PASSWORD, APP_USER, Lab, Server, Site, until};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::{Proxy, path, succeeded};
use crate::{client, refused};

const START_MAX: Duration = Duration::from_secs(30);
const ASK: [&str; 2] = ["-e", "SELECT CURRENT_USER()"];
const UNTRUSTED: &str = "ERROR 2026 (HY000): TLS/SSL error: Failed to verify the server certificate";

type Own = rcgen::CertifiedKey<rcgen::KeyPair>;

/// A certificate for an address, and its key: nobody vouches for it but itself.
fn certificate(folder: &Path, name: &str, address: Ipv4Addr) -> Own {
    let own = rcgen::generate_simple_self_signed([address.to_string()]).unwrap();
    let (certificate, key) = (path(folder, &format!("{name}.pem")), path(folder, &format!("{name}.key")));
    fs::write(&certificate, own.cert.pem()).unwrap();
    fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    own
}

/// A proxy whose listeners show `proxy.pem`; more of its configuration.
pub fn proxy(lab: &Lab, site: Site, folder: &Path, more: &str) -> (Proxy, Own) {
    let address = lab.proxy_address(site);
    let own = certificate(folder, "proxy", address);
    let (shown, key) = (path(folder, "proxy.pem"), path(folder, "proxy.key"));
    let mut text = lab.config_toml(site, address);
    text = text.replacen("[site]\n", "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n", 1);
    for service in ["service = \"read-write-split\"\n", "service = \"replication\"\n"] {
        text = text.replace(service, &format!("{service}tls = {{ certificate = \"{shown}\", key = \"{key}\" }}\n"));
    }
    let proxy = Proxy::launch(address, &format!("{text}{more}"));
    assert!(until(START_MAX, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
    (proxy, own)
}

#[test]
fn a_password_vouches_for_a_certificate() {
    let server = Server::start(&[("plugin_load_add", "auth_ed25519")]).unwrap();
    server.sql("CREATE USER free@'%'; CREATE USER ed@'%' IDENTIFIED VIA ed25519 USING PASSWORD('secret')").unwrap();
    let told = "CREATE USER told@'%' IDENTIFIED VIA ed25519 USING PASSWORD('secret')";
    server.sql(told).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let account = "\n[[account]]\nuser = \"told\"\npassword = \"secret\"\n";
    let (proxy, own) = proxy(server.lab(), Site::Dr, folder.path(), account);
    let ask =
        |user: &str, password: &str, more: &[&str]| client(proxy.address(), user, password, &[more, &ASK].concat());

    let status = succeeded(&client(proxy.address(), APP_USER, APP_PASSWORD, &["-e", "status"]));
    assert!(status.contains("Cipher in use is TLS_") && status.contains("cert is OK"), "{status}");
    assert_eq!(succeeded(&ask(APP_USER, APP_PASSWORD, &["--ssl-verify-server-cert"])), "app@%");
    assert_eq!(succeeded(&ask("told", "secret", &[])), "told@%", "by the password in the configuration");
    // A schema, and what is told of it, come behind the proof.
    assert_eq!(succeeded(&ask(APP_USER, APP_PASSWORD, &["mysql"])), "app@%");

    let wrong = refused(&ask(APP_USER, "wrong", &[]));
    assert!(wrong.contains("ERROR 1045 (28000): Access denied for user 'app'@"), "{wrong}");
    let nobody = refused(&ask("nobody", "secret", &[]));
    assert!(nobody.contains("ERROR 1045 (28000): Access denied for user 'nobody'@"), "{nobody}");
    // Without a password there is nothing to prove, and a password is not sent to just anybody.
    let nothing = refused(&ask("free", "", &["--ssl-verify-server-cert"]));
    assert_eq!(nothing, "ERROR 2026 (HY000): TLS/SSL error: self-signed certificate");
    assert_eq!(refused(&ask("ed", "secret", &[])), UNTRUSTED);
    let ca = format!("--ssl-ca={}", path(folder.path(), "proxy.pem"));
    assert_eq!(succeeded(&ask("free", "", &[&ca])), "free@%");
    assert_eq!(succeeded(&ask("ed", "secret", &[&ca])), "ed@%");
    // 10.11 neither asks nor minds.
    let old = proxy.client(&["--ssl", "-N", "-e", "SELECT CURRENT_USER()"]);
    assert_eq!(succeeded(&old), "app@%");
    somebody_in_between_is_noticed(&proxy, &own, folder.path());
}

/// Who shows a certificate of his own and passes on all else has the right proof for the wrong certificate.
fn somebody_in_between_is_noticed(proxy: &Proxy, own: &Own, folder: &Path) {
    let address = *proxy.address().ip();
    let fake = certificate(folder, "fake", address);
    let relay = std::net::TcpListener::bind((address, 0)).unwrap();
    let port = relay.local_addr().unwrap().port();
    let (to, trusted) = (proxy.address(), own.cert.der().clone());
    // It ends with the test's process; nobody waits for it.
    std::thread::spawn(move || relays(relay, to, trusted, &fake));
    let ask = |more: &[&str]| client(SocketAddrV4::new(address, port), APP_USER, APP_PASSWORD, &[more, &ASK].concat());
    // As the very last thing, of all the client has been told.
    let disproved =
        "ERROR 2026 (HY000): TLS/SSL error: Certificate verification failure: The certificate is NOT trusted.";
    assert_eq!(refused(&ask(&[])), disproved);
    assert_eq!(succeeded(&ask(&["--skip-ssl-verify-server-cert"])), "app@%", "else it would pass all on");
}

/// Stands between clients and a server, and ends the TLS of both.
#[tokio::main(flavor = "current_thread")]
async fn relays(relay: std::net::TcpListener, server: SocketAddrV4, trusted: CertificateDer<'static>, fake: &Own) {
    relay.set_nonblocking(true).unwrap();
    let relay = TcpListener::from_std(relay).unwrap();
    let key = PrivateKeyDer::try_from(fake.signing_key.serialize_der()).unwrap();
    let shown = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![fake.cert.der().clone()], key);
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let asked = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let (acceptor, connector) = (TlsAcceptor::from(Arc::new(shown.unwrap())), TlsConnector::from(Arc::new(asked)));
    loop {
        let (mut client, _) = relay.accept().await.unwrap();
        let mut upstream = TcpStream::connect(server).await.unwrap();
        // The greeting, and the wish for TLS.
        pass_packet(&mut upstream, &mut client).await;
        pass_packet(&mut client, &mut upstream).await;
        let name = ServerName::IpAddress((*server.ip()).into());
        let mut upstream = connector.connect(name, upstream).await.unwrap();
        let Ok(mut client) = acceptor.accept(client).await else { continue };
        // Each end may close as it likes.
        let _ = copy_bidirectional(&mut client, &mut upstream).await;
    }
}

async fn pass_packet(from: &mut TcpStream, to: &mut TcpStream) {
    let mut packet = vec![0; 4];
    from.read_exact(&mut packet).await.unwrap();
    let length = usize::from(packet[0]) | usize::from(packet[1]) << 8;
    packet.resize(4 + length, 0);
    from.read_exact(&mut packet[4..]).await.unwrap();
    to.write_all(&packet).await.unwrap();
}
