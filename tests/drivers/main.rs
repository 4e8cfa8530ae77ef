//! What drivers hand to applications: through the proxy the same values as from the server itself.
//!
//! Each driver runs its script (one a language, below `scripts`) twice, against a standalone server and through a proxy in front
//! of it, without TLS and with it. The results of every check are compared value by value. `OARLOCK_DRIVERS` names the drivers, `all` means all of them;
//! by default those run that need nothing besides Debian's packages of `make tools`. What the others need is installed by
//! `make drivers-tools`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "../support/mod.rs"]
mod support;

mod difference;
mod driver;
mod in_rust;
mod with_mysql_async;
mod with_sqlx;

use std::fmt::Write;
use std::fs::{self, Permissions};
use std::net::SocketAddrV4;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use driver::{Checks, Driver};
use oarlock::lab::{Server, Site, until};
use support::{Proxy, path};

/// From the start of a proxy until a client can log in.
const START_MAX: Duration = Duration::from_secs(30);
/// Fewer checks than this are no script.
const CHECKS_MIN: usize = 40;

/// The account that scripts change to.
const OTHER: &str = "CREATE USER other@'%' IDENTIFIED BY 'other-secret'; GRANT SELECT ON *.* TO other@'%'";

/// Checks, or places in them, that differ today, each with the reason.
const KNOWN: &[(&str, &str)] = &[
    ("connection_ids", "CONNECTION_ID() is the node's, the greeting's id the proxy's"),
    ("connection ids", "CONNECTION_ID() is the node's, the greeting's id the proxy's"),
    ("kill_oneself", "KILL of one's own id ends the node connection, and the session gets another"),
    ("idle_timeout", "wait_timeout ends the node connection, and the session gets another"),
    ("prepared_failures[38]", "COM_STMT_EXECUTE without the values it needs is answered"),
];

#[test]
fn drivers_cannot_tell_the_proxy_from_the_server() {
    let drivers = Driver::chosen(std::env::var("OARLOCK_DRIVERS").ok().as_deref());
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path());
    let server = Server::start(&[
        ("max_allowed_packet", "32M"),
        // A script that waits for its own locks is told soon.
        ("lock_wait_timeout", "10"),
        ("innodb_log_file_size", "128M"),
        ("innodb_buffer_pool_size", "128M"),
        ("ssl_cert", &certificate),
        ("ssl_key", &key),
    ])
    .unwrap();
    server.sql(OTHER).unwrap();
    let proxy = proxy(&server, &certificate, folder.path());
    let doors = [("direct", server.address()), ("proxy", proxy.address())];
    let (mut table, mut faults) = (String::new(), 0);
    let ways = drivers.into_iter().flat_map(|driver| [(driver, None), (driver, Some(&*certificate))]);
    for (driver, ca) in ways {
        let (checks, found) = compare(driver, doors, ca);
        let (known, new): (Vec<_>, Vec<_>) = found.iter().partition(|fault| reason(fault).is_some());
        let _ = writeln!(
            table,
            "{:16} {checks:3} checks, {} differences, {} known",
            named(driver, ca),
            new.len(),
            known.len()
        );
        for fault in &new {
            let _ = writeln!(table, "    {fault}");
        }
        for fault in &known {
            let _ = writeln!(table, "    known, {}: {fault}", reason(fault).unwrap_or_default());
        }
        faults += new.len();
    }
    eprintln!("{table}");
    assert_eq!(faults, 0, "differences, each printed above");
}

/// A certificate for any address that the lab may give to the server and the proxy, and its key.
fn certificate(folder: &Path) -> (String, String) {
    let hosts = (0..=255).flat_map(|network| [80, 81].map(|host| format!("127.71.{network}.{host}")));
    // The one name that the driver of Node.js looks for where the host is an address.
    let names = hosts.chain(["localhost".to_owned()]).collect::<Vec<_>>();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let (certificate, key) = (path(folder, "cert.pem"), path(folder, "key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}

/// One that speaks TLS with whoever wants to, and with the server.
fn proxy(server: &Server, certificate: &str, folder: &Path) -> Proxy {
    // The server's own user reads its key, and nobody else that of the proxy.
    let key = path(folder, "own.pem");
    fs::copy(path(folder, "key.pem"), &key).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let address = server.lab().proxy_address(Site::Dr);
    let listener = "service = \"read-write-split\"\n";
    let text = server.lab().config_toml(Site::Dr, address);
    let text = text.replacen("[site]\n", "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n", 1);
    let text = text.replacen("[cluster]\n", &format!("[cluster]\ntls = {{ ca = \"{certificate}\" }}\n"), 1);
    let tls = format!("{listener}tls = {{ certificate = \"{certificate}\", key = \"{key}\" }}\n");
    let proxy = Proxy::launch(address, &text.replace(listener, &tls));
    let ready = until(START_MAX, || proxy.client(&["-e", "SELECT 1"]).status.success());
    assert!(ready, "no client can log in; its log:\n{}", proxy.log());
    proxy
}

/// A driver's name, and whether it speaks TLS.
fn named(driver: &Driver, ca: Option<&str>) -> String {
    format!("{}{}", driver.name, if ca.is_some() { "+tls" } else { "" })
}

/// Why this difference is known, if it is.
fn reason(fault: &str) -> Option<&'static str> {
    let starts = |place: &str| fault.strip_prefix(place).is_some_and(|rest| rest.starts_with(['[', '.', ':']));
    KNOWN.iter().find(|(place, _)| starts(place)).map(|(_, reason)| *reason)
}

/// Runs a driver's script on both sides: how many checks, and what differs.
fn compare(driver: &Driver, doors: [(&str, SocketAddrV4); 2], ca: Option<&str>) -> (usize, Vec<String>) {
    let [direct, proxy] = doors.map(|(side, address)| {
        let start = std::time::Instant::now();
        let checks = driver.run(address, ca);
        eprintln!("{} {side}: {:?}", named(driver, ca), start.elapsed());
        if let Ok(checks) = &checks {
            keep(&named(driver, ca), side, checks);
        }
        checks.map_err(|fault| format!("{side}: {fault}"))
    });
    match (direct, proxy) {
        (Ok(direct), Ok(proxy)) => {
            let mut found = difference::between(&direct, &proxy);
            if direct.len() < CHECKS_MIN {
                found.push(format!("{} checks, at least {CHECKS_MIN} are asked", direct.len()));
            }
            (direct.len(), found)
        }
        (direct, proxy) => (0, direct.err().into_iter().chain(proxy.err()).collect()),
    }
}

/// The results stay in the target folder, for whoever looks into a difference.
fn keep(driver: &str, side: &str, checks: &Checks) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drivers");
    std::fs::create_dir_all(&folder).unwrap();
    let lines: Vec<_> = checks.iter().map(|(name, value)| format!("{name}\t{value}\n")).collect();
    std::fs::write(folder.join(format!("{driver}.{side}")), lines.concat()).unwrap();
}
