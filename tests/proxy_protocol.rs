//! Clients that come by way of a balancer, a real HAProxy, are who they are.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use oarlock::lab::{APP_PASSWORD, APP_USER, Server, Site, until};
use support::{Proxy, path, service};

const START_MAX: Duration = Duration::from_secs(30);
/// Where the client comes from, as the balancer sees it.
const CLIENT: &str = "127.9.8.7";
/// Where the balancer comes from, as the proxy sees it; and where it listens, for each version of the protocol.
const BALANCER: &str = "127.5.0.1";
const PORTS: [(u16, &str); 2] = [(4106, "send-proxy"), (4107, "send-proxy-v2")];

struct Haproxy(Child);

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Haproxy {
    fn start(folder: &std::path::Path, proxy: &Proxy) -> Self {
        let mut text =
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n".to_owned();
        for (port, send) in PORTS {
            let to = format!("server a {} {send} source {BALANCER}", proxy.address());
            text.push_str(&format!("listen l{port}\n bind {BALANCER}:{port}\n {to}\n"));
        }
        let file = path(folder, "haproxy.cfg");
        fs::write(&file, text).unwrap();
        let mut command = service("haproxy");
        command.args(["-db", "-q", "-f", &file]).stdin(Stdio::null());
        let running = Self(command.spawn().unwrap());
        assert!(until(START_MAX, || PORTS.iter().all(|(port, _)| TcpStream::connect((BALANCER, *port)).is_ok())));
        running
    }
}

fn client(host: &str, port: u16, password: &str, sql: &str) -> Output {
    let script = "import pymysql, sys\n\
        host, port, user, password, bind, sql = sys.argv[1:]\n\
        try:\n\
        \x20   login = dict(host=host, port=int(port), user=user, password=password, bind_address=bind)\n\
        \x20   cursor = pymysql.connect(**login).cursor()\n\
        \x20   cursor.execute(sql)\n\
        \x20   print(cursor.fetchone()[0])\n\
        except pymysql.Error as error: sys.exit(str(error))";
    let arguments = [host, &port.to_string(), APP_USER, password, CLIENT, sql];
    Command::new("/usr/bin/python3").args(["-c", script]).args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_balancer_says_for_whom_it_comes() {
    let server = Server::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let address = server.lab().proxy_address(Site::Dr);
    let text = server.lab().config_toml(Site::Dr, address);
    let listener = "service = \"read-write-split\"\n";
    let text = text.replacen("[site]\n", "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n", 1);
    let proxy =
        Proxy::launch(address, &text.replace(listener, &format!("{listener}proxy_protocol = [\"{BALANCER}/32\"]\n")));
    assert!(until(START_MAX, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
    let _balancer = Haproxy::start(folder.path(), &proxy);
    for (port, _) in PORTS {
        let output = client(BALANCER, port, APP_PASSWORD, "SELECT 1");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n", "{output:?}\n{}", proxy.log());
        let refused = client(BALANCER, port, "wrong", "SELECT 1");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(&format!("Access denied for user '{APP_USER}'@'{CLIENT}'")), "{said}");
    }
    sessions_show_it(&proxy);
    who_is_no_balancer_is_not_believed(&proxy);
    a_balancer_must_say_it(&proxy);
}

fn sessions_show_it(proxy: &Proxy) {
    std::thread::scope(|scope| {
        let sleeping = scope.spawn(|| client(BALANCER, PORTS[1].0, APP_PASSWORD, "SELECT SLEEP(2)"));
        let sessions = || String::from_utf8_lossy(&proxy.command(&["list", "sessions"]).stdout).into_owned();
        assert!(until(START_MAX, || sessions().contains(CLIENT)), "{}", sessions());
        assert!(sleeping.join().unwrap().status.success());
    });
}

/// The greeting comes first, and the header is no answer to it.
fn who_is_no_balancer_is_not_believed(proxy: &Proxy) {
    let mut socket = TcpStream::connect(proxy.address()).unwrap();
    socket.set_read_timeout(Some(START_MAX)).unwrap();
    socket.write_all(format!("PROXY TCP4 {CLIENT} 10.0.0.1 4000 4006\r\n").as_bytes()).unwrap();
    let mut heard = Vec::new();
    // Closed, or reset if not all was read.
    let _ = socket.read_to_end(&mut heard);
    assert!(heard.windows(13).any(|window| window == b"Bad handshake"), "{}", String::from_utf8_lossy(&heard));
}

fn a_balancer_must_say_it(proxy: &Proxy) {
    let heard = heard_at_the_balancer(proxy);
    assert!(heard.is_empty(), "it is closed without a greeting");
    assert!(until(START_MAX, || proxy.log().contains("was not introduced")), "{}", proxy.log());
    assert_eq!(proxy.sql("SELECT 1"), "1");
}

/// What the proxy says to somebody at the balancer's address who talks something else.
fn heard_at_the_balancer(proxy: &Proxy) -> Vec<u8> {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(format!("{BALANCER}:0").parse().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(socket.connect(proxy.address().into())).unwrap();
    let mut stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(START_MAX)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    heard
}
