//! The SQL console, asked by real clients: it shows what the JSON API shows, and does what it is ordered.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use oarlock::lab::{Lab, Site, until};
use sqlx::{Connection, Executor, MySqlConnection, Row};
use support::{Proxy, succeeded};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn the_console_answers_in_sql() {
    let lab = Lab::builder().galera(0).standalone(true).start().unwrap();
    let address = SocketAddrV4::new(lab.proxy_address(Site::Dr), 4009);
    let admin = format!("address = \"{}:4008\"\n", address.ip());
    let text = lab.config_toml(Site::Dr, *address.ip());
    let text = text.replace(&admin, &format!("{admin}console = \"{address}\"\n"));
    let text = text.replacen("[site]\n", "[site]\nstate_dir = \"STATE\"\n", 1);
    let proxy = Proxy::launch(*address.ip(), &text);
    assert!(until(SOON, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
    tables_show_what_the_api_shows(address);
    orders_are_carried_out(address);
    sessions_are_seen_and_ended(address, &proxy);
    drivers_get_typed_values(address);
    what_is_no_client_ends_alone(address);
}

fn ask(address: SocketAddrV4, more: &[&str]) -> Output {
    let (host, port) = (format!("-h{}", address.ip()), format!("-P{}", address.port()));
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", &host, &port, "-uoperator", "--skip-ssl"]).args(more);
    command.stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn said(address: SocketAddrV4, sql: &str) -> String {
    succeeded(&ask(address, &["-N", "-e", sql]))
}

fn tables_show_what_the_api_shows(address: SocketAddrV4) {
    let table = succeeded(&ask(address, &["stats", "-e", "SHOW SERVERS"]));
    assert!(table.starts_with("name\taddress\tport\tconnections\tstate\tgtid\treason\n"), "{table}");
    assert!(table.contains("\nserver-81\t"), "{table}");
    assert_eq!(said(address, "SELECT name, state FROM stats.servers WHERE port = 3306"), "server-81\tMaster, Running");
    assert_eq!(said(address, "SELECT router FROM services WHERE service = 'replicas'"), "replication");
    assert_eq!(said(address, "SELECT COUNT(*) FROM links"), "0");
    assert_eq!(
        said(address, "SHOW TABLES"),
        "servers\nservices\nlinks\nreplicas\nsessions\nlisteners\naccounts\nhosts\nevents"
    );
    assert_eq!(said(address, "SELECT service FROM listeners WHERE listener = 'replicas'"), "replication");
    assert_eq!(said(address, "SELECT plugins FROM accounts WHERE user = 'app'"), "mysql_native_password");
    assert_eq!(said(address, "SHOW HOSTS"), "");
    assert!(said(address, "SHOW EVENTS").contains("oarlock runs"));
    assert_eq!(said(address, "SHOW GLOBAL STATUS LIKE 'Threads%'"), "Threads_connected\t0");
    assert_eq!(said(address, "SHOW VARIABLES LIKE 'version_c%'"), "version_comment\toarlock console");
    let error = ask(address, &["-e", "DROP TABLE stats.servers"]);
    let error = String::from_utf8_lossy(&error.stderr).into_owned();
    assert!(error.contains("ERROR 1064 (42000)") && error.contains("SHOW SERVERS"), "{error}");
    let error = ask(address, &["mysql", "-e", "SELECT 1"]);
    assert!(String::from_utf8_lossy(&error.stderr).contains("ERROR 1049 (42000)"), "{error:?}");
}

fn orders_are_carried_out(address: SocketAddrV4) {
    let state = || said(address, "SELECT state FROM servers");
    said(address, "SET SERVER server-81 MAINTENANCE");
    assert_eq!(state(), "Maintenance");
    said(address, "CLEAR SERVER server-81");
    assert!(until(SOON, || state() == "Master, Running"), "{}", state());
    let reload = succeeded(&ask(address, &["-vvv", "-e", "RELOAD"]));
    assert!(reload.contains("in force now: nothing"), "{reload}");
    let error = ask(address, &["-e", "CLEAR HOST '10.0.0.1'"]);
    assert!(String::from_utf8_lossy(&error.stderr).contains("no login from 10.0.0.1 has failed lately"), "{error:?}");
    let error = ask(address, &["-e", "SET SERVER server-99 DRAIN"]);
    let error = String::from_utf8_lossy(&error.stderr).into_owned();
    assert!(error.contains("no node is named `server-99`; there are: server-81"), "{error}");
}

fn sessions_are_seen_and_ended(address: SocketAddrV4, proxy: &Proxy) {
    std::thread::scope(|scope| {
        let client = scope.spawn(|| proxy.client(&["-e", "SELECT SLEEP(60)"]));
        let find = || said(address, "SELECT id FROM sessions WHERE state = 'running' AND statement = 'read'");
        assert!(until(SOON, || !find().is_empty()), "{}", said(address, "SHOW SESSIONS"));
        said(address, &format!("KILL {}", find()));
        assert!(!client.join().unwrap().status.success());
        assert!(until(SOON, || said(address, "SELECT COUNT(*) FROM sessions") == "0"));
    });
}

/// sqlx prepares what it asks, in the binary protocol.
fn drivers_get_typed_values(address: SocketAddrV4) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = MySqlConnection::connect(&format!("mysql://operator@{address}/stats")).await.unwrap();
        let row = connection.fetch_one(sqlx::query("SELECT name, port, connections FROM servers")).await.unwrap();
        assert_eq!((row.get::<String, _>(0).as_str(), row.get::<i64, _>(1)), ("server-81", 3306));
        let none = connection.fetch_all(sqlx::query("SELECT lag FROM replicas")).await.unwrap();
        assert!(none.is_empty());
    });
    let script = format!(
        "import pymysql; q = pymysql.connect(host='{}', port={}, user='x').cursor(); \
         q.execute('SELECT port, name FROM servers'); print(q.fetchall())",
        address.ip(),
        address.port()
    );
    let output = Command::new("/usr/bin/python3").args(["-c", &script]).output().unwrap();
    assert_eq!(succeeded(&output), "((3306, 'server-81'),)");
}

/// Others are served on.
fn what_is_no_client_ends_alone(address: SocketAddrV4) {
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &[0, 0, 0, 255], &[255, 255, 255, 1, 0]] {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(bytes).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        let mut rest = Vec::new();
        // The greeting, perhaps an error, and the end; a reset is an end, too.
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let ended = socket.read_to_end(&mut rest);
        assert!(!matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{ended:?}");
        assert_eq!(said(address, "SELECT 1"), "1");
    }
}
