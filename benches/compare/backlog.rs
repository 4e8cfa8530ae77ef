//! A replica that has much to catch up with, through 4007 and through HAProxy in TCP mode: bytes a second, CPU and memory.
//!
//! The reader takes as fast as it can and does nothing with what it gets, so that the road is what is measured.

use std::io::{Read, Write};
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use oarlock::auth::native::{Sha1Password, answer};
use oarlock::lab::{REPLICATION_USER, SITE_PASSWORD, Server, Site};
use oarlock::wire::capability::Capabilities;
use oarlock::wire::challenge::NATIVE;
use oarlock::wire::handshake::{Greeting, Response};
use oarlock::wire::packet::{self, HEADER, Header};

use crate::haproxy::Haproxy;
use crate::process::Usage;
use crate::support::Proxy;

/// A transaction: so many rows of so many bytes.
const ROWS: usize = 64;
const ROW_BYTES: usize = 1024;
/// Statements that are run at once.
const CHUNK: usize = 1024;
/// Longer than it takes to write a chunk.
const CHUNK_TIME: Duration = Duration::from_secs(120);
/// At the end of the log the dump ends.
const NON_BLOCK: u16 = 1;
const EOF: u8 = 0xfe;
const ERR: u8 = 0xff;

/// What one run came to.
#[derive(Clone, Copy, Default)]
struct Run {
    bytes: f64,
    seconds: f64,
    cpu_us: f64,
    rss_kib: f64,
}

/// A backlog of so many MB, read so many times each way.
pub fn measure(megabytes: usize, rounds: usize) {
    let server = Server::start(&[]).unwrap();
    write(&server, megabytes);
    let proxy = Proxy::start(server.lab(), Site::Dr);
    let haproxy = Haproxy::start(server.lab().address(60), server.address(), &[], None);
    let ways = [
        ("direct", server.address(), None),
        ("haproxy", haproxy.writes, Some(haproxy.pid())),
        ("oarlock", SocketAddrV4::new(*proxy.address().ip(), 4007), Some(proxy.pid())),
    ];
    let mut runs: [Vec<Run>; 3] = Default::default();
    for _ in 0..rounds {
        for ((_, address, pid), runs) in ways.iter().zip(&mut runs) {
            runs.push(run(*address, *pid));
        }
    }
    println!("A backlog of {:.0} MB, {rounds} times each way; medians", runs[0][0].bytes / 1e6);
    println!("{:<10}{:>10}{:>12}{:>14}", "way", "MB/s", "CPU us/MB", "peak RSS MiB");
    let median = |runs: &[Run], value: fn(&Run) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let rate = |run: &Run| run.bytes / 1e6 / run.seconds;
    let cost = |run: &Run| run.cpu_us / (run.bytes / 1e6);
    for ((name, ..), runs) in ways.iter().zip(&runs) {
        let (rate, cost, rss) = (median(runs, rate), median(runs, cost), median(runs, |run| run.rss_kib / 1024.0));
        println!("{name:<10}{rate:>10.0}{cost:>12.0}{rss:>14.1}");
    }
    println!(
        "oarlock/haproxy: rate {:.2}, CPU {:.2}",
        median(&runs[2], rate) / median(&runs[1], rate),
        median(&runs[2], cost) / median(&runs[1], cost)
    );
}

/// Into the log and nowhere else.
fn write(server: &Server, megabytes: usize) {
    server.sql("INSTALL SONAME 'ha_blackhole'; CREATE DATABASE big").unwrap();
    server.sql("CREATE TABLE big.t (id INT, w VARCHAR(2000)) ENGINE = BLACKHOLE").unwrap();
    let insert =
        format!("INSERT INTO big.t SELECT seq, REPEAT(CHAR(97 + seq MOD 26), {ROW_BYTES}) FROM seq_1_to_{ROWS}");
    let chunk = format!("USE big; BEGIN NOT ATOMIC FOR i IN 1..{CHUNK} DO {insert}; END FOR; END");
    for _ in 0..(megabytes * 1_000_000).div_ceil(CHUNK * ROWS * ROW_BYTES) {
        server.sql_within(CHUNK_TIME, &chunk).unwrap();
    }
}

/// Reads the whole log.
fn run(address: SocketAddrV4, pid: Option<u32>) -> Run {
    let mut dump = Dump::begin(address);
    let (before, began) = (pid.map(Usage::of), Instant::now());
    let mut run = Run::default();
    while dump.read() {
        if let Some(pid) = pid.filter(|_| dump.reads.is_multiple_of(1024)) {
            run.rss_kib = run.rss_kib.max(Usage::of(pid).rss_kib);
        }
    }
    run.seconds = began.elapsed().as_secs_f64();
    run.bytes = dump.bytes as f64;
    if let (Some(pid), Some(before)) = (pid, before) {
        run.cpu_us = Usage::of(pid).cpu_us - before.cpu_us;
    }
    run
}

/// A connection that dumps the log by GTID, from its beginning.
struct Dump {
    stream: std::net::TcpStream,
    buffer: Vec<u8>,
    bytes: usize,
    reads: usize,
    /// What is still to come of the packet that is being read.
    left: usize,
    /// A header that came in pieces.
    head: Vec<u8>,
}

impl Dump {
    fn begin(address: SocketAddrV4) -> Self {
        let stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut dump = Self { stream, buffer: vec![0; 256 << 10], bytes: 0, reads: 0, left: 0, head: vec![] };
        let greeting = dump.packet();
        let greeting = Greeting::parse(&greeting).unwrap();
        let password = Sha1Password::of(SITE_PASSWORD.as_bytes()).unwrap();
        let response = Response {
            capabilities: Capabilities::REQUIRED | Capabilities::PLUGIN_AUTH,
            packet_max: 1 << 24,
            collation: 45,
            user: REPLICATION_USER.as_bytes(),
            answer: &answer(&password, &greeting.scramble),
            schema: None,
            plugin: NATIVE,
            attributes: b"",
        };
        let mut out = Vec::new();
        packet::put(&mut out, 1, |out| response.put(out));
        dump.stream.write_all(&out).unwrap();
        assert_eq!(dump.packet()[0], 0, "no login");
        let setup = "SET @mariadb_slave_capability = 4, @slave_connect_state = '', @master_binlog_checksum = 'CRC32'";
        dump.command(3, setup.as_bytes());
        assert_eq!(dump.packet()[0], 0, "no setup");
        let mut request = vec![];
        request.extend_from_slice(&4u32.to_le_bytes());
        request.extend_from_slice(&NON_BLOCK.to_le_bytes());
        request.extend_from_slice(&0u32.to_le_bytes());
        dump.command(0x12, &request);
        dump
    }

    fn command(&mut self, command: u8, body: &[u8]) {
        let mut out = Vec::new();
        packet::put(&mut out, 0, |out| {
            out.push(command);
            out.extend_from_slice(body);
        });
        self.stream.write_all(&out).unwrap();
    }

    /// One small packet's payload.
    fn packet(&mut self) -> Vec<u8> {
        let mut head = [0; HEADER];
        self.stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; Header::parse(&head).unwrap().length];
        self.stream.read_exact(&mut payload).unwrap();
        payload
    }

    /// Reads on, from packet to packet; false at the end.
    fn read(&mut self) -> bool {
        let there = self.stream.read(&mut self.buffer).unwrap();
        assert!(there > 0, "the dump has broken off after {} bytes", self.bytes);
        (self.bytes, self.reads) = (self.bytes + there, self.reads + 1);
        let mut rest = &self.buffer[..there];
        loop {
            let skipped = self.left.min(rest.len());
            self.left -= skipped;
            rest = &rest[skipped..];
            let missing = (HEADER + 1 - self.head.len()).min(rest.len());
            self.head.extend_from_slice(&rest[..missing]);
            rest = &rest[missing..];
            if self.head.len() <= HEADER {
                return true;
            }
            let header = Header::parse(&self.head).unwrap();
            assert_ne!(self.head[HEADER], ERR, "the dump ends with an error after {} bytes", self.bytes);
            if self.head[HEADER] == EOF {
                return false;
            }
            self.head.clear();
            self.left = header.length - 1;
        }
    }
}
