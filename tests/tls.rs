//! TLS between clients and the proxy: real clients, on the port of those that speak none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

mod support;

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use oarlock::lab::{APP_PASSWORD, APP_USER, Server, Site, until};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use support::{Proxy, path, succeeded};

const START_MAX: Duration = Duration::from_secs(30);
/// The flags of a client of 4.1 that asks for TLS: PROTOCOL_41, SSL, SECURE_CONNECTION.
const SSL_REQUEST: [u8; 4] = (1u32 << 9 | 1 << 11 | 1 << 15).to_le_bytes();

/// A certificate for the proxy's address and its key, in files; another one of which the proxy knows nothing.
fn certificates(folder: &Path, address: &str) -> (String, String, String) {
    let write = |name: &str, text: &str| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(folder.join(name)).unwrap().write_all(text.as_bytes()).unwrap();
        path(folder, name)
    };
    let own = rcgen::generate_simple_self_signed([address.to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed([address.to_owned()]).unwrap();
    (
        write("cert.pem", &own.cert.pem()),
        write("key.pem", &own.signing_key.serialize_pem()),
        write("other.pem", &other.cert.pem()),
    )
}

#[test]
fn clients_speak_tls_or_not() {
    let server = Server::start(&[("plugin_load_add", "auth_ed25519")]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let address = server.lab().proxy_address(Site::Dr);
    let (certificate, key, other) = certificates(folder.path(), &address.to_string());
    let start = |require: bool| {
        let tls = format!("tls = {{ certificate = \"{certificate}\", key = \"{key}\", require = {require} }}\n");
        let text = server.lab().config_toml(Site::Dr, address);
        let text = text.replacen("[site]\n", "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n", 1);
        let text = text.replace("service = \"read-write-split\"\n", &format!("service = \"read-write-split\"\n{tls}"));
        let proxy = Proxy::launch(address, &text);
        assert!(until(START_MAX, || proxy.client(&["--ssl", "-e", "SELECT 1"]).status.success()), "{}", proxy.log());
        proxy
    };
    let proxy = start(false);
    both_on_one_port(&proxy, &certificate, &other);
    large_pieces_pass(&proxy, folder.path());
    python_speaks_it(&proxy, &certificate);
    passwords_are_asked_for_in_tls_only(&proxy, &certificate);
    a_client_that_does_not_wait(&proxy, &certificate);
    nonsense_ends_only_itself(&proxy);
    certificates_are_renewed(&proxy, &certificate, &key, &address.to_string());
    drop(proxy);
    let proxy = start(true);
    let plain = proxy.client(&["--skip-ssl", "-e", "SELECT 1"]);
    let said = String::from_utf8_lossy(&plain.stderr);
    assert!(!plain.status.success() && said.contains("1045") && said.contains("with TLS only"), "{said}");
    assert!(!cipher(&proxy.client(&["--ssl", "-e", "status"])).is_empty());
    drop(proxy);
    keys_that_others_can_read_are_refused(server.lab().config_toml(Site::Dr, address), &certificate, &key);
}

/// What the client says of its connection: the cipher, or nothing.
#[track_caller]
fn cipher(output: &Output) -> String {
    let status = succeeded(output);
    let line = status.lines().find(|line| line.starts_with("SSL:")).unwrap().to_owned();
    line.split_once("Cipher in use is ").map(|(_, cipher)| cipher.to_owned()).unwrap_or_default()
}

fn both_on_one_port(proxy: &Proxy, certificate: &str, other: &str) {
    let ca = |file: &str| format!("--ssl-ca={file}");
    assert_eq!(cipher(&proxy.client(&["--skip-ssl", "-e", "status"])), "");
    assert!(cipher(&proxy.client(&["--ssl", "-e", "status"])).starts_with("TLS_"));
    let verified = proxy.client(&[&ca(certificate), "--ssl-verify-server-cert", "-e", "status"]);
    assert!(cipher(&verified).starts_with("TLS_"), "{verified:?}");
    let older = proxy.client(&["--ssl", "--tls-version=TLSv1.2", "-e", "status"]);
    assert!(cipher(&older).starts_with("ECDHE-"), "{older:?}");
    assert!(!proxy.client(&["--ssl", "--tls-version=TLSv1.1", "-e", "status"]).status.success());
    assert!(!proxy.client(&[&ca(other), "--ssl-verify-server-cert", "-e", "status"]).status.success());
    let wrong = proxy.client(&["--ssl", "-pwrong", "-e", "SELECT 1"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("ERROR 1045"), "{wrong:?}");
}

/// In both directions, compressed too, and from a file of the client's.
fn large_pieces_pass(proxy: &Proxy, folder: &Path) {
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, a LONGTEXT)");
    let file = path(folder, "rows");
    let row = |id: usize| format!("{id}\t{}\n", "x".repeat(1_000_000));
    fs::write(&file, (0..20).map(row).collect::<String>()).unwrap();
    let load = format!("LOAD DATA LOCAL INFILE '{file}' INTO TABLE shop.t");
    for more in [&["--ssl"][..], &["--ssl", "-C"]] {
        let run = |sql: &str| succeeded(&proxy.client(&[more, &["--local-infile=1", "-N", "-e", sql]].concat()));
        run(&load);
        assert_eq!(run("SELECT COUNT(*), SUM(LENGTH(a)) FROM shop.t"), "20\t20000000");
        let all = run("SELECT a FROM shop.t ORDER BY id");
        assert!(all.len() == 20 * 1_000_001 - 1 && all.bytes().all(|byte| byte == b'x' || byte == b'\n'), "{more:?}");
        run("DELETE FROM shop.t");
    }
}

fn python_speaks_it(proxy: &Proxy, certificate: &str) {
    let script = "import pymysql, sys\n\
        host, port, user, password, ca = sys.argv[1:]\n\
        conn = pymysql.connect(host=host, port=int(port), user=user, password=password, ssl={'ca': ca})\n\
        cursor = conn.cursor()\n\
        for i in range(200): cursor.execute('SELECT %s', (i,)); assert cursor.fetchall() == ((i,),)\n\
        print(conn._sock.version())";
    assert_eq!(python(proxy, script, [APP_USER, APP_PASSWORD, certificate]), "TLSv1.3");
}

/// An ed25519 account: only who has the password itself can log in to nodes with it.
fn passwords_are_asked_for_in_tls_only(proxy: &Proxy, certificate: &str) {
    proxy.sql(
        "CREATE USER safe@'%' IDENTIFIED VIA ed25519 USING PASSWORD('secret'); GRANT SELECT ON shop.* TO safe@'%'",
    );
    let safe = |more: &[&str]| {
        proxy.client(&[&["-usafe", "-N", "-e", "SELECT CURRENT_USER(), COUNT(*) FROM shop.t"], more].concat())
    };
    assert_eq!(succeeded(&safe(&["--ssl", "-psecret"])), "safe@%\t0");
    for (refused, reason) in [
        (safe(&["--ssl", "-pwrong"]), "(using password: YES)"),
        (safe(&["--ssl", "-p"]), "(using password: NO)"),
        (safe(&["--skip-ssl", "-psecret"]), "takes it in TLS only"),
    ] {
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("ERROR 1045") && said.contains(reason), "{said}");
    }
    let script = "import pymysql, sys\n\
        host, port, user, password, ca = sys.argv[1:]\n\
        conn = pymysql.connect(host=host, port=int(port), user=user, password=password, ssl={'ca': ca})\n\
        cursor = conn.cursor()\n\
        cursor.execute('SELECT CURRENT_USER()')\n\
        print(cursor.fetchone()[0])";
    assert_eq!(python(proxy, script, ["safe", "secret", certificate]), "safe@%");
}

/// Runs a script with the proxy's address and these arguments.
fn python(proxy: &Proxy, script: &str, arguments: [&str; 3]) -> String {
    let (host, port) = (proxy.address().ip().to_string(), proxy.address().port().to_string());
    succeeded(&Command::new("/usr/bin/python3").args(["-c", script, &host, &port]).args(arguments).output().unwrap())
}

/// TLS begins in the same segment as the wish for it: what has been read of it is not lost.
fn a_client_that_does_not_wait(proxy: &Proxy, certificate: &str) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = proxy.address().ip().to_string().try_into().unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = connect(proxy);
    let mut first = ssl_request();
    tls.write_tls(&mut first).unwrap();
    socket.write_all(&first).unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    // A response that is too short: the answer comes within TLS.
    stream.write_all(&[4, 0, 0, 2, 0, 0, 0, 0]).unwrap();
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!((answer[3], answer[4], u16::from_le_bytes([answer[5], answer[6]])), (3, 0xff, 1043));
}

/// A packet of its own: 32 bytes, the second of the connection.
fn ssl_request() -> Vec<u8> {
    let mut packet = vec![32, 0, 0, 1];
    packet.extend_from_slice(&SSL_REQUEST);
    packet.resize(36, 0);
    packet
}

/// Connects, and reads the greeting.
fn connect(proxy: &Proxy) -> TcpStream {
    let mut socket = TcpStream::connect(proxy.address()).unwrap();
    socket.set_read_timeout(Some(START_MAX)).unwrap();
    let mut header = [0; 4];
    socket.read_exact(&mut header).unwrap();
    let mut greeting = vec![0; usize::from(header[0])];
    socket.read_exact(&mut greeting).unwrap();
    socket
}

fn nonsense_ends_only_itself(proxy: &Proxy) {
    for nonsense in [vec![0xff; 100], b"GET / HTTP/1.1\r\n\r\n".to_vec(), ssl_request(), vec![22, 3, 1, 0xff, 0xff]] {
        let mut socket = connect(proxy);
        socket.write_all(&[ssl_request(), nonsense].concat()).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        // Closed, or reset since not all was read; an alert of TLS may come before that.
        let _ = socket.read_to_end(&mut rest);
        assert!(rest.len() < 100, "{rest:?}");
    }
    assert_eq!(proxy.sql("SELECT 1"), "1");
}

/// Who is connected stays so; who comes gets the new one. If anything is wrong, nothing changes.
fn certificates_are_renewed(proxy: &Proxy, certificate: &str, key: &str, address: &str) {
    let (host, port) = (proxy.address().ip().to_string(), proxy.address().port().to_string());
    let login = ["--no-defaults", "-h", &host, "-P", &port, "-u", APP_USER, &format!("-p{APP_PASSWORD}")];
    let mut client = Command::new("mariadb")
        .args(login)
        .args(["--ssl", "-n", "-N"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (client.stdin.take().unwrap(), BufReader::new(client.stdout.take().unwrap()));
    let mut ask = || {
        input.write_all(b"SELECT CONNECTION_ID();\n").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line
    };
    let connection = ask();
    let fresh = rcgen::generate_simple_self_signed([address.to_owned()]).unwrap();
    let old = (fs::read(certificate).unwrap(), fs::read(key).unwrap());
    fs::write(certificate, fresh.cert.pem()).unwrap();
    let reload = || proxy.command(&["reload"]);
    let refused = reload();
    assert!(!refused.status.success(), "a certificate without its key: {refused:?}");
    let verified = || {
        let ca = format!("--ssl-ca={certificate}");
        proxy.client(&[&ca, "--ssl-verify-server-cert", "-e", "SELECT 1"]).status.success()
    };
    assert!(!verified(), "nothing has changed");
    fs::write(key, fresh.signing_key.serialize_pem()).unwrap();
    assert_eq!(succeeded(&reload()), "in force now: certificate of applications");
    assert!(verified());
    assert_eq!(ask(), connection);
    fs::write(certificate, old.0).unwrap();
    fs::write(key, old.1).unwrap();
    assert!(Command::new("kill").args(["-HUP", &proxy.pid().to_string()]).status().unwrap().success());
    assert!(until(START_MAX, verified), "SIGHUP does the same");
    assert_eq!(ask(), connection);
    drop(input);
    assert!(client.wait().unwrap().success());
    what_needs_a_restart_is_named(proxy);
}

fn what_needs_a_restart_is_named(proxy: &Proxy) {
    let file = proxy.log_file().with_file_name("oarlock.toml");
    let text = fs::read_to_string(&file).unwrap();
    let reload = || proxy.command(&["reload"]);
    fs::write(&file, text.replacen("log = \"info\"", "log = \"warning\"\nthreads = 7", 1)).unwrap();
    let said = succeeded(&reload());
    assert_eq!(said, "in force now: site.log, certificate of applications\nafter a restart: site.threads");
    fs::write(&file, text.replacen("[site]", "[stie]", 1)).unwrap();
    let refused = reload();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("did you mean `site`?"), "{refused:?}");
    fs::write(&file, text).unwrap();
    assert_eq!(succeeded(&reload()), "in force now: site.log, certificate of applications");
}

fn keys_that_others_can_read_are_refused(config: String, certificate: &str, key: &str) {
    let folder = tempfile::tempdir().unwrap();
    let check = |key: &str| {
        let file = folder.path().join("oarlock.toml");
        let tls =
            format!("service = \"read-write-split\"\ntls = {{ certificate = \"{certificate}\", key = \"{key}\" }}\n");
        let _ = fs::remove_file(&file);
        let mut options = OpenOptions::new();
        let text = config.replace("service = \"read-write-split\"\n", &tls);
        options.write(true).create_new(true).mode(0o600).open(&file).unwrap().write_all(text.as_bytes()).unwrap();
        Command::new(env!("CARGO_BIN_EXE_oarlock")).args(["check", "--config"]).arg(&file).output().unwrap()
    };
    assert!(succeeded(&check(key)).contains("require = false }"));
    let open = path(folder.path(), "open.pem");
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o644).open(&open).unwrap().write_all(&fs::read(key).unwrap()).unwrap();
    for (key, why) in
        [(&*open, "others can open this key"), (certificate, "TLS of listener"), ("/nowhere", "No such file")]
    {
        let output = check(key);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{said}");
    }
}
