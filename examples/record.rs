//! `make seeds`: records what a real server and its clients say to each other, as seeds of the fuzz targets in `fuzz/seeds`.
//!
//! What an input of a target means is said in `tests/properties`. Small ones only, and each once; a seed that is there and is not
//! recorded again stays: it was found or written by somebody.

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command as Program, Stdio};
use std::thread;

use oarlock::lab::{APP_PASSWORD, APP_USER, Server};
use oarlock::wire::capability::Capabilities;
use oarlock::wire::command::Command;
use oarlock::wire::handshake::Response;
use oarlock::wire::packet::{self, HEADER};
use oarlock::wire::reply::{Kind, ReplyTracker, Shape};

#[path = "../tests/applications/raw.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "shared with tests, which fail where they stand")]
mod raw;

use raw::{PLAIN, Raw, packets};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The longest seed in bytes.
const SEED_MAX: usize = 2 << 10;
/// One statement of the corpus in so many.
const STATEMENTS_STEP: usize = 12;

const NEW: Capabilities = PLAIN
    .union(Capabilities::DEPRECATE_EOF)
    .union(Capabilities::SESSION_TRACK)
    .union(Capabilities::STMT_BULK)
    .union(Capabilities::EXTENDED_METADATA);

/// Commands by their bytes and what follows, in an order in which they work. The first statement that is prepared has the id 1.
const COMMANDS: [(u8, &[u8]); 31] = [
    (3, b"CREATE OR REPLACE TABLE t (a INT PRIMARY KEY, b VARCHAR(20))"),
    (3, b"INSERT INTO t VALUES (1, 'one'), (2, NULL)"),
    (3, b"SELECT * FROM t"),
    (3, b"SELECT a FROM t WHERE a > 5"),
    (3, b"SELECT a FROM missing"),
    (3, b"SELECT 1/0; SHOW WARNINGS; SET @a = 1"),
    (3, b"CREATE OR REPLACE PROCEDURE p() BEGIN SELECT a FROM t; SELECT 2; END"),
    (3, b"CALL p()"),
    (3, b"SET NAMES latin1, autocommit = 0, time_zone = '+01:00'"),
    (3, b"SET autocommit = 1"),
    (3, b"START TRANSACTION READ ONLY"),
    (3, b"COMMIT"),
    (3, b"BEGIN"),
    (3, b"UPDATE t SET b = 'two' WHERE a = 2"),
    (3, b"ROLLBACK"),
    (3, b"LOAD DATA LOCAL INFILE '7,seven;8,eight' INTO TABLE t FIELDS TERMINATED BY ','"),
    (3, b"SELECT @a := 5"),
    (3, b"USE shop"),
    (2, b"shop"),
    (4, b"t\0"),
    (9, b""),
    (10, b""),
    (14, b""),
    (0x1b, b"\0\0"),
    (0x16, b"SELECT a, b FROM t WHERE a >= ?"),
    (0x17, b"\x01\0\0\0\0\x01\0\0\0\0\x01\x03\0\x01\0\0\0"),
    (0x17, b"\x01\0\0\0\x01\x01\0\0\0\0\x01\x03\0\x01\0\0\0"),
    (0x1c, b"\x01\0\0\0\x01\0\0\0"),
    (0x18, b"\x01\0\0\0\0\x0042"),
    (0x1a, b"\x01\0\0\0"),
    (0x1f, b""),
];

fn main() -> Outcome<()> {
    let server = Server::start(&[("session_track_system_variables", "*"), ("session_track_schema", "ON")])?;
    server.sql("CREATE DATABASE IF NOT EXISTS shop")?;
    let mut seeds = Seeds::default();
    for (name, capabilities) in [("old", PLAIN), ("new", NEW)] {
        conversation(&mut seeds, name, server.address(), capabilities)?;
    }
    for (name, program, arguments) in [
        ("client", "mariadb", ["-e", "SELECT 1; USE shop; SHOW TABLES"]),
        ("dump", "mariadb-dump", ["--single-transaction", "shop"]),
    ] {
        session(&mut seeds, name, server.address(), program, &arguments)?;
    }
    dump(&mut seeds, server.address())?;
    statements(&mut seeds)?;
    println!("{} seeds, {} bytes", seeds.known.len(), seeds.bytes);
    Ok(())
}

/// Seeds as they are written.
#[derive(Default)]
struct Seeds {
    known: HashSet<Vec<u8>>,
    bytes: usize,
}

impl Seeds {
    fn add(&mut self, target: &str, name: &str, parts: &[&[u8]]) -> Outcome<()> {
        let seed = parts.concat();
        if seed.len() <= SEED_MAX && self.known.insert([target.as_bytes(), &seed].concat()) {
            let folder = Path::new("fuzz/seeds").join(target);
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(name), &seed)?;
            self.bytes += seed.len();
        }
        Ok(())
    }
}

/// All commands in one session, and what the server said to each.
fn conversation(seeds: &mut Seeds, name: &str, server: SocketAddrV4, capabilities: Capabilities) -> Outcome<()> {
    let mut raw = Raw::login(server, capabilities, b"shop");
    seeds.add("tracking", &format!("{name}-welcome"), &[&raw.welcome[HEADER..]])?;
    let flags = u8::from(capabilities.contains(Capabilities::DEPRECATE_EOF));
    // The odd capabilities of a session under way, see `tests/properties/commands.rs`.
    let kind = if capabilities == NEW { 0b1110 } else { 0 };
    let mut events: Vec<u8> = vec![kind];
    let mut asked = vec![];
    for (number, (byte, rest)) in COMMANDS.iter().enumerate() {
        let name = format!("{name}-{number:02}");
        let payload = [&[*byte], *rest].concat();
        let shape = Command::from_byte(*byte).shape();
        let reply = raw.command(&payload);
        if let Some(place) = shape_number(shape) {
            seeds.add("replies", &name, &[&[place, flags], &reply])?;
        }
        for (place, payload) in oks(&reply, shape, capabilities).into_iter().enumerate() {
            seeds.add("tracking", &format!("{name}-{place}"), &[payload])?;
        }
        let event = [&[0, *byte][..], &counted(rest), &[8, 0], &counted(&reply)].concat();
        // Within this reply the client has sent a file.
        let event = if rest.starts_with(b"LOAD") { vec![] } else { event };
        if events.len() + event.len() > SEED_MAX {
            seeds.add("commands", &format!("{name}-events"), &[&events])?;
            events = vec![kind];
        }
        events.extend(event);
        asked.extend(packets(0, &payload));
        if asked.len() > 300 {
            seeds.add("commands", &format!("{name}-stream"), &[&[kind | 1], &asked])?;
            seeds.add("packets", &name, &[&[0], &asked])?;
            asked.clear();
        }
    }
    seeds.add("commands", &format!("{name}-events"), &[&events])
}

/// A length of two bytes, and that many.
fn counted(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_le_bytes(), bytes].concat()
}

/// As in `tests/properties/replies.rs`.
fn shape_number(shape: Shape) -> Option<u8> {
    let shapes = [Shape::Ok, Shape::Text, Shape::Results, Shape::Prepare, Shape::Fields, Shape::Rows];
    shapes.iter().position(|known| *known == shape).map(|place| place as u8)
}

/// The payloads of the OK packets of a reply.
fn oks(reply: &[u8], shape: Shape, capabilities: Capabilities) -> Vec<&[u8]> {
    let mut tracker = ReplyTracker::idle(capabilities);
    tracker.begin(shape);
    let (mut at, mut found) = (0, vec![]);
    while let Ok(Some(part)) = tracker.next(&reply[at..]) {
        if matches!(part.kind, Kind::Ok(_)) {
            found.push(&reply[at + HEADER..at + part.length]);
        }
        at += part.length;
    }
    found
}

/// A session of a real client, and its login.
fn session(seeds: &mut Seeds, name: &str, server: SocketAddrV4, program: &str, arguments: &[&str]) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port().to_string();
    let password = format!("-p{APP_PASSWORD}");
    let login = ["--no-defaults", "-h127.0.0.1", "--skip-ssl", "-P", &port, "-u", APP_USER, &password];
    let mut client = Program::new(program);
    let mut client = client.args(login).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let (said, answered) = relay(listener.accept()?.0, server)?;
    client.wait()?;
    let whole = |bytes: &[u8]| packet::first(bytes).map(|(header, payload)| (header.total(), payload.to_vec()));
    let (Some((login, response)), Some((_, greeting))) = (whole(&said), whole(&answered)) else {
        return Err(format!("{program} said nothing").into());
    };
    let mut welcome_here = Response::parse(&response)?;
    welcome_here.answer = b"";
    let mut here = vec![4];
    packet::put(&mut here, 1, |out| welcome_here.put(out));
    here.extend_from_slice(&said[login..said.len().min(SEED_MAX - here.len())]);
    seeds.add("handshake", &format!("{name}-without-password"), &[&here])?;
    let stream = &said[..said.len().min(SEED_MAX - 1)];
    seeds.add("handshake", &format!("{name}-response"), &[&[0], &response])?;
    seeds.add("handshake", &format!("{name}-greeting"), &[&[1], &greeting])?;
    seeds.add("handshake", &format!("{name}-node"), &[&[3], &answered[..answered.len().min(200)]])?;
    seeds.add("handshake", &format!("{name}-stream"), &[&[4], stream])?;
    seeds.add("packets", name, &[&[0], stream])?;
    seeds.add("commands", name, &[&[0b1111], &stream[login..]])
}

/// What `mariadb-binlog` is sent of the first file, in pieces.
fn dump(seeds: &mut Seeds, server: SocketAddrV4) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port().to_string();
    let password = format!("-p{APP_PASSWORD}");
    let login = ["--no-defaults", "-h127.0.0.1", "-P", &port, "-u", APP_USER, &password];
    let mut client = Program::new("mariadb-binlog");
    client.args(login).args(["--read-from-remote-server", "bin.000001"]).stdout(Stdio::null());
    let mut client = client.stdin(Stdio::null()).spawn()?;
    let (_, answered) = relay(listener.accept()?.0, server)?;
    client.wait()?;
    let (mut at, mut packets) = (0, vec![]);
    while let Some((header, payload)) = packet::first(&answered[at..]) {
        // The dump begins with a Rotate event.
        if !packets.is_empty() || (payload.len() > 19 && payload[0] == 0 && payload[5] == 4) {
            packets.push(&answered[at..at + header.total()]);
        }
        at += header.total();
    }
    for (number, part) in packets.chunks(4).enumerate() {
        seeds.add("dumps", &format!("log-{number:02}"), &[&[(number % 2) as u8 * 2], &part.concat()])?;
    }
    Ok(())
}

/// Passes bytes on between a client and the server until both have closed; what each has said.
fn relay(mut client: TcpStream, server: SocketAddrV4) -> Outcome<(Vec<u8>, Vec<u8>)> {
    let mut server = TcpStream::connect(server)?;
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    let said = thread::spawn(move || pass(from, to));
    let answered = pass(server.try_clone()?, client.try_clone()?)?;
    // Both may have closed already.
    let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
    let _ = (client.flush(), server.flush());
    let said = said.join().map_err(|_| "the relay has failed")??;
    Ok((said, answered))
}

fn pass(mut from: TcpStream, mut to: TcpStream) -> std::io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (vec![], [0; 4096]);
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(all);
        }
        all.extend_from_slice(&buffer[..read]);
        // Who has got enough may be gone.
        if to.write_all(&buffer[..read]).is_err() {
            return Ok(all);
        }
    }
}

/// Some of the statements that the classifier is tested with.
fn statements(seeds: &mut Seeds) -> Outcome<()> {
    for entry in fs::read_dir("tests/corpus")? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path)?;
        let lines = text.lines().filter(|line| !line.starts_with("--"));
        for (number, line) in lines.step_by(STATEMENTS_STEP).enumerate() {
            seeds.add("statements", &format!("{name}-{number:02}"), &[&[(number % 4) as u8], line.as_bytes()])?;
        }
    }
    Ok(())
}
