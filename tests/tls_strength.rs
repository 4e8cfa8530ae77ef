//! What a client can and can't talk a listener into: old protocols, weak suites, compression, a password in plain, commands before TLS.
//!
//! Both listeners, one with an ECDSA key and one with an RSA key, below a certificate that another one stands between. OpenSSL's client
//! does what a library can do, a hello made by hand the rest.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/hello.rs"]
mod hello;
#[path = "support/logins.rs"]
mod logins;
#[path = "support/raw_client.rs"]
mod raw_client;
mod support;

use std::fs::{self, Permissions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use hello::{Answer, EXTENDED_MASTER_SECRET, Hello, RENEGOTIATION_INFO, SSL_3_0, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3};
use oarlock::lab::{Server, Site, until};
use oarlock::wire::capability::Capabilities;
use oarlock::wire::challenge::NATIVE;
use oarlock::wire::handshake::{Response, put_ssl_request};
use oarlock::wire::packet;
use raw_client::{End, RawClient, capabilities, command};
use support::{Proxy, path, succeeded};

const START_MAX: Duration = Duration::from_secs(30);
/// Those with forward secrecy and authenticated encryption, by the kind of the key: AES-256-GCM, AES-128-GCM, ChaCha20-Poly1305.
const ECDHE_ECDSA: [u16; 3] = [0xc02c, 0xc02b, 0xcca9];
const ECDHE_RSA: [u16; 3] = [0xc030, 0xc02f, 0xcca8];
/// The same of TLS 1.3, where there are no others.
const SUITES_1_3: [u16; 3] = [0x1302, 0x1301, 0x1303];
/// No suites, but signals: renegotiation is known, and a newer version had been tried first.
const SIGNALS: [u16; 2] = [0x00ff, 0x5600];
/// Alerts of TLS.
const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;
/// So many suites are offered at once that all numbers are 16 offers.
const SUITES_AT_ONCE: u32 = 4096;

#[test]
fn clients_get_nothing_weak() {
    let server = Server::start(&[("plugin_load_add", "auth_ed25519")]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let address = server.lab().proxy_address(Site::Dr);
    let authority = authority(folder.path());
    for (name, algorithm) in [("ecdsa", "ec:prime256v1"), ("rsa", "rsa:2048")] {
        certificate(folder.path(), name, algorithm, address);
    }
    let proxy = start(&server, folder.path(), false);
    let listeners = [(4006, ECDHE_ECDSA), (4007, ECDHE_RSA)];
    for (port, suites) in listeners {
        let listener = SocketAddr::from((address, port));
        only_new_protocols(listener);
        only_strong_suites(listener, suites);
        nothing_is_compressed(listener);
        as_openssl_sees_it(listener, &authority);
        renegotiation_is_refused(listener);
        nothing_before_tls_is_a_command(listener, &proxy);
        passwords_are_not_asked_for_in_plain(listener, &proxy);
    }
    drop(proxy);
    server.sql("SET GLOBAL require_secure_transport = ON").unwrap();
    let error = refusal(server.address());
    server.sql("SET GLOBAL require_secure_transport = OFF").unwrap();
    let _proxy = start(&server, folder.path(), true);
    for port in [4006, 4007] {
        plain_clients_are_refused(SocketAddrV4::new(address, port), &error);
    }
}

/// The applications' listener has the ECDSA key, that of replicas the RSA key.
fn start(server: &Server, folder: &Path, require: bool) -> Proxy {
    let address = server.lab().proxy_address(Site::Dr);
    let mut text = server.lab().config_toml(Site::Dr, address);
    text = text.replacen("[site]\n", "[site]\nlog = \"warning\"\nstate_dir = \"STATE\"\n", 1);
    for (service, name) in [("read-write-split", "ecdsa"), ("replication", "rsa")] {
        let (certificate, key) = (path(folder, &format!("{name}.pem")), path(folder, &format!("{name}.key")));
        let tls = format!("tls = {{ certificate = \"{certificate}\", key = \"{key}\", require = {require} }}\n");
        let service = format!("service = \"{service}\"\n");
        text = text.replace(&service, &format!("{service}{tls}"));
    }
    let proxy = Proxy::launch(address, &text);
    let ready = until(START_MAX, || proxy.client(&["--ssl", "-e", "SELECT 1"]).status.success());
    assert!(ready, "no client can log in; its log:\n{}", proxy.log());
    proxy
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").current_dir(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// One that vouches for another one, which vouches for servers. Returns the file of the first.
fn authority(folder: &Path) -> String {
    let ca = "basicConstraints=critical,CA:TRUE";
    let new = ["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    let root = ["-subj", "/CN=root", "-keyout", "root.key", "-out", "root.pem", "-addext", ca];
    openssl(folder, &[&new[..], &root].concat());
    let between = ["-CA", "root.pem", "-CAkey", "root.key", "-subj", "/CN=between"];
    openssl(folder, &[&new[..], &between, &["-keyout", "between.key", "-out", "between.pem", "-addext", ca]].concat());
    path(folder, "root.pem")
}

/// Its chain in `NAME.pem`, without the root, and its key in `NAME.key`.
fn certificate(folder: &Path, name: &str, algorithm: &str, address: Ipv4Addr) {
    let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
    let kind = match algorithm.split_once(':').unwrap() {
        ("ec", curve) => vec!["-newkey".into(), "ec".into(), "-pkeyopt".into(), format!("ec_paramgen_curve:{curve}")],
        _ => vec!["-newkey".into(), algorithm.to_owned()],
    };
    let kind: Vec<&str> = kind.iter().map(String::as_str).collect();
    let names = format!("subjectAltName=IP:{address}");
    let new = ["req", "-x509", "-nodes", "-days", "2", "-CA", "between.pem", "-CAkey", "between.key"];
    let own = ["-subj", "/CN=proxy", "-addext", &names, "-addext", "basicConstraints=CA:FALSE"];
    openssl(folder, &[&new[..], &kind, &own, &["-keyout", &key, "-out", &certificate]].concat());
    let between = fs::read(folder.join("between.pem")).unwrap();
    fs::OpenOptions::new().append(true).open(folder.join(&certificate)).unwrap().write_all(&between).unwrap();
    fs::set_permissions(folder.join(&key), Permissions::from_mode(0o600)).unwrap();
}

/// A client that has read the greeting and asked for TLS.
fn before_tls(listener: SocketAddr) -> RawClient {
    let mut client = RawClient::connect(listener);
    let greeting = client.packet();
    assert!(packet::first(&greeting).is_some());
    client.send(&ssl_request());
    client
}

fn ssl_request() -> Vec<u8> {
    let mut request = Vec::new();
    put_ssl_request(&mut request, 1, capabilities() | Capabilities::SSL, 1 << 24, 45);
    request
}

fn ask(listener: SocketAddr, hello: &Hello) -> Answer {
    hello.ask(&mut before_tls(listener).stream)
}

/// Every suite there could be, in offers of this many.
fn all_suites() -> impl Iterator<Item = Vec<u16>> {
    let offer = |number: u32| (number * SUITES_AT_ONCE..(number + 1) * SUITES_AT_ONCE).map(|suite| suite as u16);
    (0..0x10000 / SUITES_AT_ONCE).map(move |number| offer(number).filter(|suite| !SIGNALS.contains(suite)).collect())
}

fn only_new_protocols(listener: SocketAddr) {
    let suites = [&SUITES_1_3[..], &ECDHE_ECDSA, &ECDHE_RSA, &[0xc013, 0xc014, 0xc009, 0xc00a, 0x002f, 0x0035, 0x000a]];
    let suites = suites.concat();
    for version in [SSL_3_0, TLS_1_0, TLS_1_1] {
        let answer = ask(listener, &Hello { version, suites: &suites, compressions: &[0] });
        assert_eq!(answer, Answer::Alert(PROTOCOL_VERSION), "{version:#x}");
    }
    for version in [TLS_1_2, TLS_1_3] {
        let Answer::Hello(chosen) = ask(listener, &Hello { version, suites: &suites, compressions: &[0] }) else {
            panic!("{version:#x} is refused")
        };
        assert_eq!(chosen.version, version);
        // Who can speak 1.3 sees by it that somebody on the way has made 1.2 of it (RFC 8446, 4.1.3).
        assert_eq!(chosen.sentinel == *b"DOWNGRD\x01", version == TLS_1_2);
        let tells = |extension| chosen.extensions.contains(&extension);
        assert_eq!(
            (tells(EXTENDED_MASTER_SECRET), tells(RENEGOTIATION_INFO)),
            (version == TLS_1_2, version == TLS_1_2)
        );
        assert!(!tells(16) && !tells(15), "application protocols and heartbeats: {:?}", chosen.extensions);
    }
    // The hello of SSL 2: its own form, for 3.0.
    let mut old = before_tls(listener);
    old.send(&[&[0x80, 46, 1, 3, 0, 0, 21, 0, 0, 0, 16][..], &[0, 0, 0x2f, 1, 0, 0x80, 7], &[0; 30]].concat());
    let (length, _) = old.rest();
    assert!(length <= 7, "at most an alert: {length} bytes");
}

/// Of all numbers that a suite could have these are taken, and no others.
fn only_strong_suites(listener: SocketAddr, of_key: [u16; 3]) {
    for (version, strong) in [(TLS_1_2, of_key), (TLS_1_3, SUITES_1_3)] {
        let mut taken = Vec::new();
        for mut suites in all_suites() {
            loop {
                match ask(listener, &Hello { version, suites: &suites, compressions: &[0] }) {
                    Answer::Hello(chosen) => {
                        assert_eq!(chosen.version, version);
                        suites.retain(|suite| *suite != chosen.suite);
                        taken.push(chosen.suite);
                    }
                    answer => break assert_eq!(answer, Answer::Alert(HANDSHAKE_FAILURE)),
                }
            }
        }
        taken.sort_unstable();
        let mut strong = strong.to_vec();
        strong.sort_unstable();
        assert_eq!(taken, strong, "{version:#x}");
    }
}

fn nothing_is_compressed(listener: SocketAddr) {
    let suites = [&ECDHE_ECDSA[..], &ECDHE_RSA].concat();
    let offers = |compressions| ask(listener, &Hello { version: TLS_1_2, suites: &suites, compressions });
    let Answer::Hello(chosen) = offers(&[1, 64, 0]) else { panic!("DEFLATE besides nothing is refused") };
    assert_eq!(chosen.compression, 0);
    assert!(matches!(offers(&[1]), Answer::Alert(_)), "only DEFLATE");
}

/// What OpenSSL's client says of a connection.
fn s_client(listener: SocketAddr, input: &[u8], more: &[&str]) -> String {
    let connect = listener.to_string();
    let mut client = Command::new("openssl")
        .args(["s_client", "-starttls", "mysql", "-connect", &connect])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(input).unwrap();
    let output = client.wait_with_output().unwrap();
    [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
}

fn as_openssl_sees_it(listener: SocketAddr, authority: &str) {
    let ip = listener.ip().to_string();
    let verified = ["-CAfile", authority, "-verify_ip", &ip, "-verify_return_error", "-alpn", "h2,mysql", "-status"];
    for (version, protocol) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = s_client(listener, b"", &[&verified[..], &[version]].concat());
        let new = format!("New, {protocol}, Cipher is ");
        for line in [&*new, "Verify return code: 0 (ok)", "Compression: NONE", "No ALPN negotiated"] {
            assert!(said.contains(line), "no {line:?} in {said}");
        }
        assert_eq!(said.contains("Secure Renegotiation IS supported"), protocol == "TLSv1.2", "{said}");
    }
    // What a careless library of today could still do.
    for weak in ["NULL", "eNULL", "aNULL", "RC4", "3DES", "EXPORT", "CBC", "kRSA", "PSK", "SEED", "CAMELLIA", "AES"] {
        let offer = format!("{weak}:!ECDHE:@SECLEVEL=0");
        let said = s_client(listener, b"", &["-tls1_2", "-cipher", &offer]);
        // Some the library itself does not know any more.
        assert!(said.contains("Cipher is (NONE)") || said.contains("no cipher match"), "{weak}: {said}");
    }
    for old in ["-tls1", "-tls1_1"] {
        let said = s_client(listener, b"", &[old, "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(said.contains("SSL alert number") && said.contains("Cipher is (NONE)"), "{old}: {said}");
    }
}

/// `R` has OpenSSL's client ask for it.
fn renegotiation_is_refused(listener: SocketAddr) {
    let said = s_client(listener, b"R\n", &["-tls1_2"]);
    assert!(said.contains("RENEGOTIATING") && said.contains("no renegotiation"), "{said}");
}

/// A login and a statement, sent in plain right behind the wish for TLS, as somebody on the way would add them.
fn nothing_before_tls_is_a_command(listener: SocketAddr, proxy: &Proxy) {
    proxy.sql("CREATE OR REPLACE USER loose@'%'; GRANT ALL ON *.* TO loose@'%'");
    let login = |sequence: u8| {
        let mut login = Vec::new();
        packet::put(&mut login, sequence, |out| response(b"loose", NATIVE, b"").put(out));
        login
    };
    let statement = command(3, b"CREATE DATABASE injected");
    let mut honest = RawClient::connect(listener);
    honest.packet();
    honest.send(&login(1));
    assert!(matches!(honest.reply(oarlock::wire::reply::Shape::Ok), End::Done(_)), "such a login is good by itself");
    assert_eq!(honest.query("SELECT 1 FROM DUAL WHERE 1 = 0"), honest.query("SELECT 1 FROM DUAL WHERE 1 = 0"));
    for added in [vec![login(2)], vec![login(2), statement.clone()], vec![statement], vec![login(1), login(2)]] {
        // In one piece, and in two.
        for at_once in [true, false] {
            let mut client = RawClient::connect(listener);
            client.packet();
            let pieces = [ssl_request(), added.concat()];
            if at_once {
                client.send(&pieces.concat());
            } else {
                pieces.iter().for_each(|piece| client.send(piece));
            }
            client.shut();
            let (length, error) = client.rest();
            assert!(length <= 7 && error.is_none(), "at most an alert of TLS: {length} bytes, {error:?}");
        }
    }
    assert_eq!(proxy.client(&["--ssl", "-N", "-e", "SHOW DATABASES LIKE 'injected'"]).stdout, b"");
    proxy.sql("DROP USER loose@'%'");
}

fn response<'a>(user: &'a [u8], plugin: &'a [u8], answer: &'a [u8]) -> Response<'a> {
    Response {
        capabilities: capabilities(),
        packet_max: 1 << 24,
        collation: 45,
        user,
        answer,
        schema: None,
        plugin,
        attributes: b"",
    }
}

/// Neither those that need one, nor those of clients that would send one by themselves.
fn passwords_are_not_asked_for_in_plain(listener: SocketAddr, proxy: &Proxy) {
    const CLEAR: &[u8] = b"mysql_clear_password";
    proxy.sql(
        "CREATE OR REPLACE USER signs@'%' IDENTIFIED VIA ed25519 USING PASSWORD('secret'); GRANT SELECT ON *.* TO signs@'%'",
    );
    for user in [&b"app"[..], b"signs", b"nobody"] {
        for plugin in [NATIVE, CLEAR, b"dialog", b"client_ed25519", b"caching_sha2_password", b"parsec"] {
            let mut client = RawClient::connect(listener);
            let mut heard = client.packet();
            let mut login = Vec::new();
            packet::put(&mut login, 1, |out| response(user, plugin, b"app-secret\0").put(out));
            client.send(&login);
            let answer = client.packet();
            let asks = answer[4] == 0xfe;
            assert_eq!(asks, plugin != NATIVE, "another plugin is answered by the wish for ours");
            heard.extend_from_slice(&answer);
            if asks {
                let mut password = Vec::new();
                packet::put(&mut password, 3, |out| out.extend_from_slice(b"app-secret\0"));
                client.send(&password);
                let answer = client.packet();
                assert_eq!(answer[4], 0xff, "a password in plain is no answer");
                heard.extend_from_slice(&answer);
            }
            let asked = heard.windows(CLEAR.len()).any(|name| name == CLEAR);
            assert!(!asked, "{}", String::from_utf8_lossy(&heard));
        }
    }
    proxy.sql("DROP USER signs@'%'");
}

/// The error that a client without TLS gets.
fn refusal(address: SocketAddrV4) -> String {
    let output = support::client(address, &["--skip-ssl", "-e", "SELECT 1"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    said.split(':').next().unwrap_or_default().to_owned()
}

/// With the error that a server has for it.
fn plain_clients_are_refused(listener: SocketAddrV4, error: &str) {
    assert_eq!(refusal(listener), error);
    assert_eq!(succeeded(&support::client(listener, &["--ssl", "-N", "-e", "SELECT 1"])), "1");
    // Nor is the password listened to.
    let mut client = RawClient::connect(listener.into());
    client.packet();
    let mut login = Vec::new();
    packet::put(&mut login, 1, |out| response(b"nobody", NATIVE, b"").put(out));
    client.send(&login);
    let answer = client.packet();
    assert!(String::from_utf8_lossy(&answer).contains("with TLS only"), "{answer:?}");
}
