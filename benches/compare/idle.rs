//! What idle sessions cost in memory: each has logged in, run one statement, and waits.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use oarlock::lab::until;

use crate::fake_node::{FakeNode, SERVICE_USER};
use crate::process::Usage;
use crate::raw_client::{End, RawClient};
use crate::support::Proxy;

/// The argument that makes this program a fake node and nothing else.
pub const FAKE_NODE: &str = "fake-node";
/// The proxy's address.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 99, 0, 1);
/// Sessions before the first measurement, so that what is needed once is there.
const WARM: usize = 100;
/// Files a process needs besides those of sessions.
const FILES_SPARE: u64 = 200;

/// Runs a fake node until standard input ends.
pub fn fake_node(address: &str) {
    let _node = FakeNode::start(address.parse().unwrap());
    let _ = std::io::stdin().read(&mut [0]);
}

struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Opens so many sessions, or as many as there are files for: a session has two.
pub fn measure(wanted: usize) {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = files.current.map_or(wanted, |files| (files.saturating_sub(FILES_SPARE) / 2) as usize);
    let sessions = wanted.min(most);
    let port = TcpListener::bind((ADDRESS, 0)).unwrap().local_addr().unwrap().port();
    let node = SocketAddrV4::new(ADDRESS, port);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([FAKE_NODE, &node.to_string()]).stdin(Stdio::piped());
    let _node = Node(command.spawn().unwrap());
    let proxy = Proxy::launch(ADDRESS, &configuration(node));
    let address = SocketAddr::V4(proxy.address());
    let up = || {
        std::net::TcpStream::connect(address).is_ok() && matches!(RawClient::connect(address).try_login(), End::Done(_))
    };
    assert!(until(Duration::from_secs(30), up), "no client can log in; its log:\n{}", proxy.log());

    let mut clients: Vec<_> = (0..WARM).map(|_| session(address)).collect();
    let before = Usage::of(proxy.pid());
    clients.extend((0..sessions - WARM).map(|_| session(address)));
    let after = Usage::of(proxy.pid());
    println!(
        "{sessions} idle sessions: RSS {:.1} MiB, {:.2} KiB a session",
        after.rss_kib / 1024.0,
        (after.rss_kib - before.rss_kib) / (sessions - WARM) as f64
    );
}

fn session(address: SocketAddr) -> RawClient {
    let mut client = RawClient::login(address);
    assert!(matches!(client.query("SELECT 1"), End::Done(_)));
    client
}

fn configuration(node: SocketAddrV4) -> String {
    format!(
        r#"
[site]
name = "idle"
user = "{SERVICE_USER}"
password = "unused"
log = "warning"
state_dir = "STATE"

[cluster]
kind = "galera"

[[listener]]
name = "applications"
address = "{ADDRESS}:4006"
service = "read-write-split"

[admin]
address = "{ADDRESS}:4008"

[[node]]
name = "fake"
address = "{node}"
priority = 1

[limits]
sessions_max = 20000
"#
    )
}
