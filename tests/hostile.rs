//! Peers that break the protocol, stop, or never stop: their session ends or gets a clear error, and no other session notices.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "support/fake_node.rs"]
mod fake_node;
#[path = "support/logins.rs"]
mod logins;
#[path = "support/raw_client.rs"]
mod raw_client;
mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fake_node::{FakeNode, SERVICE_USER, Say, Script};
use oarlock::lab::until;
use oarlock::wire::capability::Capabilities;
use oarlock::wire::packet;
use oarlock::wire::reply::Shape;
use raw_client::{End, RawClient, command};
use support::Proxy;

/// Longer than anything here takes on a loaded machine.
const SOON: Duration = Duration::from_secs(30);
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(1);
const STALL_LIMIT: Duration = Duration::from_secs(2);
/// More than any of these proxies may ever use, in KiB: several times the buffers of a worker.
const MEMORY_MAX: u64 = 64 << 10;

/// A proxy in front of two fake nodes, and a healthy session that works all the while.
struct Scene {
    writer: FakeNode,
    reader: FakeNode,
    proxy: Proxy,
    bystander: Bystander,
}

impl Scene {
    fn start(limits: &str) -> Self {
        let address = free_address();
        let node = |port| FakeNode::start(SocketAddr::new(IpAddr::V4(address), port));
        let (writer, reader) = (node(3306), node(3307));
        let proxy = Proxy::launch(
            address,
            &format!(
                r#"
[site]
name = "hostile"
user = "{SERVICE_USER}"
password = "unused"
threads = 1
log = "info"
state_dir = "STATE"

[cluster]
kind = "galera"
probe_interval = "200ms"
connect_timeout = "1s"

[read-write-split]
writer_wait = "2s"

[[listener]]
name = "applications"
address = "{address}:4006"
service = "read-write-split"

[admin]
address = "127.0.0.1:{admin}"

[[node]]
name = "writer"
address = "{writer}"
priority = 1

[[node]]
name = "reader"
address = "{reader}"
priority = 2

[limits]
handshake_timeout = "1s"
stall_timeout = "2s"
{limits}
"#,
                admin = free_port(),
                writer = writer.address,
                reader = reader.address
            ),
        );
        let ready = until(SOON, || {
            let reached = std::net::TcpStream::connect(proxy.address()).is_ok();
            reached && matches!(RawClient::connect(proxy.address().into()).try_login(), End::Done(_))
        });
        assert!(ready, "no client can log in; its log:\n{}", proxy.log());
        let bystander = Bystander::start(proxy.address().into());
        Self { writer, reader, proxy, bystander }
    }

    fn connect(&self) -> RawClient {
        RawClient::connect(self.proxy.address().into())
    }

    fn login(&self) -> RawClient {
        RawClient::login(self.proxy.address().into())
    }

    /// This many lines of the log, or more, have these words in them.
    #[track_caller]
    fn logged(&self, words: &str, times: usize) {
        let seen = || self.proxy.log().lines().filter(|line| line.contains(words)).count();
        assert!(until(SOON, || seen() >= times), "`{words}` is {} times in the log, not {times}", seen());
    }

    /// Nobody else has noticed anything.
    #[track_caller]
    fn end(self) {
        self.bystander.end();
        let log = self.proxy.log();
        assert!(!log.contains("panicked"), "{log}");
        let peak = memory(&self.proxy, "VmHWM:");
        assert!(peak < MEMORY_MAX, "used {peak} KiB");
    }
}

/// A healthy session at work.
struct Bystander {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Bystander {
    fn start(address: SocketAddr) -> Self {
        let (stop, stopped) = channel();
        let mut client = RawClient::login(address);
        let thread = std::thread::spawn(move || {
            let mut rounds = 0;
            while stopped.recv_timeout(Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout) || rounds < 3 {
                let begun = Instant::now();
                for text in ["SELECT 1", "INSERT INTO t VALUES (1)"] {
                    let end = client.query(text);
                    assert!(matches!(end, End::Done(_)), "the healthy session: {text}: {end:?}");
                }
                assert!(begun.elapsed() < Duration::from_secs(5), "the healthy session waited {:?}", begun.elapsed());
                rounds += 1;
            }
        });
        Self { stop, thread }
    }

    fn end(self) {
        drop(self.stop);
        self.thread.join().unwrap();
    }
}

/// An address of this machine on which nobody listens.
fn free_address() -> Ipv4Addr {
    let pid = std::process::id().to_le_bytes();
    let mut tries = (0..=255).map(|n| Ipv4Addr::new(127, 100 + pid[1] % 100, pid[0], n));
    static TAKEN: std::sync::Mutex<Vec<Ipv4Addr>> = std::sync::Mutex::new(Vec::new());
    let mut taken = TAKEN.lock().unwrap();
    let free = tries.find(|address| !taken.contains(address) && TcpListener::bind((*address, 4006)).is_ok()).unwrap();
    taken.push(free);
    free
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A number of `/proc/PID/status`, in KiB.
fn memory(proxy: &Proxy, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    packet::put(&mut out, sequence, |out| out.extend_from_slice(payload));
    out
}

/// A packet whose header promises more than there is.
fn cut(length: u32, sequence: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = length.to_le_bytes();
    [&[a, b, c, sequence], payload].concat()
}

#[test]
fn clients_that_break_the_login() {
    let scene = Scene::start("");
    let right = raw_client::response();
    let spoiled = |at: usize, byte: u8| {
        let mut bytes = right.clone();
        bytes[at] = byte;
        bytes
    };
    let ssl_request = packet(1, &[&0x8a00_u32.to_le_bytes()[..], &[0; 28]].concat());
    let old = packet(1, b"\x05\x00\x00\x00\x40app\0password\0");
    let long_answer = spoiled(4 + 32 + 4, 0xfb);
    let oversized = cut(0xff_fffe, 1, &[b'x'; 100_000]);
    let cases: [(&str, Vec<u8>); 9] = [
        ("garbage", packet(1, b"GET / HTTP/1.1\r\n\r\n")),
        ("an empty packet", packet(1, b"")),
        ("an SSLRequest", ssl_request),
        ("a login of before 4.1", old),
        ("an answer longer than its packet", long_answer),
        ("too long a packet", oversized),
        ("out of order", spoiled(3, 7)),
        ("a chain", cut(0xff_ffff, 1, &[0; 40])),
        ("nothing but ones", packet(1, &[0xff; 64])),
    ];
    for (what, bytes) in &cases {
        let mut client = scene.connect();
        assert!(matches!(client.reply(Shape::Text), End::Done(_)), "{what}");
        client.send(bytes);
        let (_, code) = client.rest();
        assert_eq!(code, Some(1043), "{what}");
    }
    scene.logged("bad handshake", cases.len());
    // Closed in the middle of it all: nobody is left to be told.
    for bytes in [&right[..0], &right[..3], &right[..20]] {
        let mut client = scene.connect();
        client.send(bytes);
    }
    scene.end();
}

#[test]
fn clients_that_take_their_time() {
    let scene = Scene::start("");
    let begun = Instant::now();
    let mut silent = scene.connect();
    let mut halfway = scene.connect();
    halfway.send(&raw_client::response()[..30]);
    let mut slow = scene.connect();
    let right = raw_client::response();
    let cut_off = right.iter().position(|byte| {
        slow.send(&[*byte]);
        let mut buffer = [0; 256];
        slow.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        matches!(std::io::Read::read(&mut slow.stream, &mut buffer), Ok(0))
    });
    assert!(cut_off.is_some(), "a byte at a time for {:?}", begun.elapsed());
    for client in [&mut silent, &mut halfway] {
        client.rest();
    }
    assert!(begun.elapsed() >= HANDSHAKE_LIMIT);
    scene.logged("did not finish its login in time", 3);

    // Logged in, and then a byte now and then of a statement, or of none at all.
    let mut dripping = scene.login();
    dripping.send(&cut(1000, 0, b"\x03"));
    let mut stopped = scene.login();
    stopped.send(&command(0x03, b"SELECT 1")[..9]);
    let begun = Instant::now();
    dripping.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut buffer = [0; 256];
    let ended = until(SOON, || {
        dripping.send(b"\x20");
        matches!(std::io::Read::read(&mut dripping.stream, &mut buffer), Ok(0))
            || std::io::Write::write(&mut dripping.stream, b"\x20").is_err()
    });
    assert!(ended && begun.elapsed() >= STALL_LIMIT, "{:?}", begun.elapsed());
    assert_eq!(stopped.rest().1, Some(1159));
    scene.logged("the client has stalled", 2);

    // An idle session is no stalled one.
    let mut idle = scene.login();
    let begun = Instant::now();
    until(STALL_LIMIT + Duration::from_secs(1), || begun.elapsed() > STALL_LIMIT + Duration::from_millis(500));
    assert!(matches!(idle.query("SELECT 1"), End::Done(_)));
    scene.end();
}

#[test]
fn clients_that_break_commands() {
    let scene = Scene::start("");
    let cases: [(&str, Vec<u8>, u16); 6] = [
        ("out of order", packet(3, b"\x03SELECT 1"), 1156),
        ("an empty command", packet(0, b""), 1047),
        ("an unknown command", packet(0, b"\x77what"), 1047),
        ("an unknown statement", packet(0, b"\x17\x09\0\0\0\0\x01\0\0\0"), 1243),
        ("an execute without an id", packet(0, b"\x17"), 1835),
        ("a dump", packet(0, b"\x12\x04\0\0\0\0\0\x01\0\0\0"), 1235),
    ];
    for (what, bytes, code) in cases {
        let mut client = scene.login();
        client.send(&bytes);
        let End::Error(got, _) = client.reply(Shape::Ok) else { panic!("{what}") };
        assert_eq!(got, code, "{what}");
    }
    for bytes in [packet(0, b"\x11"), packet(0, b"\x11app\0\xffshort"), packet(0, b"\x11app")] {
        let mut client = scene.login();
        client.send(&bytes);
        assert_eq!(client.rest().1, Some(1047));
    }
    // What can't be decompressed. The answer is a frame, not compressed itself since it is short.
    let mut client = RawClient::connect(scene.proxy.address().into());
    assert!(matches!(client.reply(Shape::Text), End::Done(_)));
    client.send(&logins::response(raw_client::capabilities() | Capabilities::COMPRESS));
    assert_eq!(client.reply(Shape::Ok), End::Done(11));
    client.send(b"\x09\0\0\0\xff\0\0no zlib..");
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut client.stream, &mut answer).unwrap();
    assert_eq!(packet::first(&answer).unwrap().0.sequence, 1, "{}", answer.escape_ascii());
    assert!(
        answer.ends_with(b"\xff\x85\x04#08S01Couldn't uncompress communication packet"),
        "{}",
        answer.escape_ascii()
    );
    // Closed within a command, or before its answer.
    for length in [1, 4, 5, 9] {
        let mut client = scene.login();
        client.send(&command(0x03, b"SELECT 1")[..length]);
    }
    // Announces 16 MiB of an execute, sends half of it, and goes.
    let mut client = scene.login();
    client.send(&cut(0xff_0000, 0, &[&b"\x17\x01\0\0\0"[..], &[0; 8 << 20]].concat()));
    drop(client);
    scene.end();
}

#[test]
fn clients_that_never_read() {
    let scene = Scene::start("");
    let row = packet::HEADER;
    let rows: Vec<u8> = (0..200).flat_map(|n| packet(4 + n, &[&[0xfc, 0, 4][..], &[b'r'; 1024]].concat())).collect();
    assert_eq!(rows.len(), 200 * (row + 1027));
    let head = fake_node::result_set(1, &[]);
    // Rows without end; their sequence goes on by 200, so the reply breaks off after the first piece.
    let cycle: Vec<u8> = (0..256_usize).flat_map(|n| packet(n as u8, &[b'r'; 1024])).collect();
    let first: Vec<u8> = (4..=255_usize).flat_map(|n| packet(n as u8, &[b'r'; 1024])).collect();
    let head = &head[..head.len() - 9];
    scene.reader.plays(Script { reply: Some(Say::Endless([head, &first].concat(), cycle)), ..Script::default() });

    let before = memory(&scene.proxy, "VmRSS:");
    let mut clients: Vec<_> = (0..10).map(|_| scene.login()).collect();
    for client in &mut clients {
        client.send(&command(0x03, b"SELECT nonsense"));
    }
    scene.logged("the client has stalled", clients.len());
    let grown = memory(&scene.proxy, "VmHWM:").saturating_sub(before);
    assert!(grown < 20 << 10, "{grown} KiB for ten clients that don't read");
    for client in &mut clients {
        let (length, _) = client.rest();
        assert!(length > 1 << 16, "{length} bytes");
    }
    scene.end();
}

#[test]
fn more_than_the_limits() {
    let scene = Scene::start("sessions_max = 12\nprepared_max = 3\n");
    let mut client = scene.login();
    for n in 0..3 {
        assert!(matches!(client.prepare(&format!("SELECT {n}")), End::Done(_)));
    }
    assert_eq!(client.prepare("SELECT 4"), End::Error(1461, "42000".into()));
    client.send(&command(0x19, &[2, 0, 0, 0]));
    assert!(matches!(client.prepare("SELECT 5"), End::Done(_)));

    let others: Vec<_> = (0..10).map(|_| scene.login()).collect();
    let mut refused = scene.connect();
    assert_eq!(refused.rest().1, Some(1040));
    scene.logged("too many sessions", 1);
    drop(others);
    assert!(until(SOON, || matches!(scene.connect().try_login(), End::Done(_))), "room again, but nobody gets in");
    scene.end();
}

#[test]
fn nodes_that_break_their_login() {
    // Every session has connections of its own.
    let scene = Scene::start("idle_connections_max = 0");
    let greetings: [(&str, Say); 7] = [
        ("another protocol", Say::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())),
        ("protocol 9", Say::Bytes(packet(0, b"\x093.20\0\x01\0\0\0abcdefgh\0"))),
        ("too long a packet", Say::Endless(cut(0xff_ff00, 0, b""), vec![b'x'; 4096])),
        ("half a greeting", Say::Last(fake_node::greeting()[..30].to_vec())),
        ("nothing, closed", Say::Last(Vec::new())),
        ("nothing, open", Say::Silence(Vec::new())),
        ("an empty packet", Say::Bytes(packet(0, b""))),
    ];
    // The writer is tried first, and the login goes on elsewhere.
    for (what, say) in greetings {
        scene.writer.plays(Script { greeting: Some(say), ..Script::default() });
        let end = scene.connect().try_login();
        assert!(matches!(end, End::Done(_)), "{what}: {end:?}");
    }
    let answers: [(&str, Say); 6] = [
        ("a packet of no kind", Say::Bytes(packet(2, b"\x05what"))),
        ("an OK too short", Say::Bytes(packet(2, b"\0\0"))),
        ("half a packet", Say::Last(cut(20, 2, b"\0\0"))),
        ("nothing, open", Say::Silence(Vec::new())),
        ("a switch without a scramble", Say::Bytes(packet(2, b"\xfemysql_native_password\0"))),
        ("an ERR without a number", Say::Bytes(packet(2, b"\xff"))),
    ];
    for (what, say) in answers {
        scene.writer.plays(Script { login: Some(say), ..Script::default() });
        let end = scene.connect().try_login();
        assert!(matches!(end, End::Done(_) | End::Error(1045, _)), "{what}: {end:?}");
    }
    // When no node is of use, the client is told.
    let useless = Script { login: Some(Say::Bytes(packet(2, b"\x05what"))), ..Script::default() };
    scene.writer.plays(useless.clone());
    scene.reader.plays(useless);
    let End::Error(code, _) = scene.connect().try_login() else { panic!("logged in without a node") };
    assert_eq!(code, 1105);
    scene.logged("out of protocol", 8);
    scene.writer.plays(Script::default());
    scene.reader.plays(Script::default());
    scene.end();
}

#[test]
fn nodes_that_break_their_replies() {
    let scene = Scene::start("");
    let head = fake_node::result_set(1, &[]);
    let columns: Vec<u8> = (2..=255_usize).chain(0..2).flat_map(|n| packet(n as u8, b"a column")).collect();
    let cases: [(&str, Say); 9] = [
        ("wrong sequence", Say::Bytes(packet(5, b"\0\0\0\x02\0\0\0"))),
        ("wrong sequence later", Say::Bytes([&head[..head.len() - 9], &packet(9, b"\x011")].concat())),
        ("cut off at once", Say::Last(Vec::new())),
        ("cut off within a packet", Say::Last(head[..head.len() - 3].to_vec())),
        ("cut off between packets", Say::Last(head[..head.len() - 9].to_vec())),
        ("a status packet too long", Say::Endless(cut(0xff_ff00, 1, b"\0"), vec![b'x'; 4096])),
        ("an empty packet", Say::Bytes(packet(1, b""))),
        ("no columns at all", Say::Bytes(packet(1, b"\xfc\0\0"))),
        ("a count that is none", Say::Bytes(packet(1, b"\x01 and more"))),
    ];
    for (what, say) in cases {
        scene.reader.plays(Script { reply: Some(say.clone()), ..Script::default() });
        let mut client = scene.login();
        // Before anything was shown the read runs elsewhere, afterwards the client is told; mid-packet it can only be cut off.
        let end = client.query("SELECT nonsense");
        let told = matches!(end, End::Done(_) | End::Closed) || end == End::Error(1105, "08S01".into());
        assert!(told, "{what}: a read: {end:?}");

        scene.reader.plays(Script::default());
        scene.writer.plays(Script { reply: Some(say), ..Script::default() });
        let mut client = scene.login();
        let end = client.query("INSERT INTO nonsense VALUES (1)");
        let unknown = end == End::Error(1105, "08007".into()) || end == End::Closed;
        assert!(unknown, "{what}: a write: {end:?}");
        scene.writer.plays(Script::default());
        if end != End::Closed {
            assert!(matches!(client.query("SELECT 1"), End::Done(_)), "{what}: afterwards");
        }
    }
    scene.logged("out of protocol", 10);

    // More than was asked for: the answer counts, the connection does not.
    for extra in [fake_node::done(), packet(1, b"\xff"), cut(0xff_ff00, 0, &[1; 100])] {
        scene.reader.plays(Script { reply: Some(Say::Extra(extra)), ..Script::default() });
        let mut client = scene.login();
        for _ in 0..3 {
            let end = client.query("SELECT nonsense");
            assert!(matches!(end, End::Done(_)), "{end:?}");
        }
    }
    // Columns without end pass through a client that reads for a while, and end with it.
    scene.reader.plays(Script {
        reply: Some(Say::Endless(packet(1, b"\xfe\xff\xff\xff\xff\0\0\0\0"), columns)),
        ..Script::default()
    });
    let mut client = scene.login();
    client.send(&command(0x03, b"SELECT nonsense"));
    let mut buffer = vec![0; 1 << 16];
    for _ in 0..100 {
        std::io::Read::read_exact(&mut client.stream, &mut buffer).unwrap();
    }
    drop(client);
    // A node that never answers: a client that goes away is no session any more.
    scene.reader.plays(Script { reply: Some(Say::Silence(Vec::new())), ..Script::default() });
    let mut client = scene.login();
    client.send(&command(0x03, b"SELECT nonsense"));
    client.shut();
    assert_eq!(client.rest(), (0, None));
    scene.end();
}
