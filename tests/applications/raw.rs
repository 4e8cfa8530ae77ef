//! A client of the bare protocol: chosen capabilities in, every byte of the answers out.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Duration;

use oarlock::auth::native::{Sha1Password, answer};
use oarlock::lab::{APP_PASSWORD, APP_USER};
use oarlock::wire::capability::Capabilities;
use oarlock::wire::challenge::Switch;
use oarlock::wire::command::{Command, STMT_EXECUTE};
use oarlock::wire::compress::Frames;
use oarlock::wire::handshake::Greeting;
use oarlock::wire::packet::{self, HEADER, Header};
use oarlock::wire::reply::{Kind, ReplyTracker, Shape};

/// No reply of these tests takes longer.
const REPLY_MAX: Duration = Duration::from_secs(30);

/// What every client of today has.
pub const PLAIN: Capabilities = Capabilities::PROTOCOL_41
    .union(Capabilities::SECURE_CONNECTION)
    .union(Capabilities::PLUGIN_AUTH)
    .union(Capabilities::LONG_FLAG)
    .union(Capabilities::TRANSACTIONS)
    .union(Capabilities::MULTI_STATEMENTS)
    .union(Capabilities::MULTI_RESULTS)
    .union(Capabilities::PS_MULTI_RESULTS)
    .union(Capabilities::LOCAL_FILES);

/// The shape of the reply to a command. One that executes a statement may ask for a cursor instead of rows.
pub fn shape(payload: &[u8]) -> Shape {
    match payload {
        [STMT_EXECUTE, _, _, _, _, cursor, ..] if *cursor > 0 => Shape::Cursor,
        [byte, ..] => Command::from_byte(*byte).shape(),
        [] => Shape::Ok,
    }
}

/// A connection that has logged in.
pub struct Raw {
    socket: TcpStream,
    tracker: ReplyTracker,
    inbox: Vec<u8>,
    /// The id the greeting gave.
    pub thread: u32,
    /// The capabilities of the greeting.
    pub offered: Capabilities,
    /// The server's answer to the login.
    pub welcome: Vec<u8>,
    scramble: [u8; 20],
    compressed: Option<Compressed>,
    /// The last command, as text.
    asked: String,
}

impl Raw {
    pub fn login(address: SocketAddrV4, capabilities: Capabilities, schema: &[u8]) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(REPLY_MAX)).unwrap();
        socket.set_write_timeout(Some(REPLY_MAX)).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut raw = Self {
            socket,
            tracker: ReplyTracker::idle(capabilities),
            inbox: Vec::new(),
            thread: 0,
            offered: Capabilities::empty(),
            welcome: Vec::new(),
            scramble: [0; 20],
            compressed: None,
            asked: String::new(),
        };
        let greeting = raw.packet();
        let greeting = Greeting::parse(&greeting[HEADER..]).unwrap();
        raw.thread = greeting.thread;
        raw.offered = greeting.capabilities;
        raw.scramble = greeting.scramble;
        let response = response(capabilities, schema, &raw.answer(APP_PASSWORD));
        raw.write(&packets(1, &response));
        raw.welcome = raw.packet();
        raw.compressed = (capabilities & raw.offered).contains(Capabilities::COMPRESS).then(Compressed::default);
        raw
    }

    /// The answer to the greeting's scramble.
    pub fn answer(&self, password: &str) -> [u8; 20] {
        answer(&Sha1Password::of(password.as_bytes()).unwrap(), &self.scramble)
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) {
        match &mut self.compressed {
            Some(compressed) => self.socket.write_all(&compressed.pack(bytes)).unwrap(),
            None => self.socket.write_all(bytes).unwrap(),
        }
    }

    /// Sends a command.
    pub fn send(&mut self, payload: &[u8]) {
        self.asked = payload[..payload.len().min(80)].escape_ascii().to_string();
        self.write(&packets(0, payload));
    }

    /// Sends a command, and takes its whole reply.
    pub fn command(&mut self, payload: &[u8]) -> Vec<u8> {
        self.send(payload);
        self.reply(shape(payload))
    }

    /// One packet as it is.
    pub fn packet(&mut self) -> Vec<u8> {
        loop {
            if let Some((header, _)) = packet::first(&self.inbox) {
                return self.inbox.drain(..header.total()).collect();
            }
            self.read();
        }
    }

    /// Sends COM_CHANGE_USER, and takes all of its reply; answers a switch of the plugin. Its scramble is blanked out: with
    /// ones if it's the greeting's again, on which Connector/C counts.
    pub fn change_user(&mut self, payload: &[u8], password: &str) -> Vec<u8> {
        self.send(payload);
        let mut first = self.packet();
        let Some(place) = Switch::parse(&first[HEADER..]).ok().and_then(|switch| switch.native_scramble()) else {
            return first;
        };
        let again = u8::from(place == self.scramble);
        self.scramble = place;
        let answer = self.answer(password);
        self.write(&packets(first[3].wrapping_add(1), &answer));
        let end = first.len() - 1;
        first[end - 20..end].fill(again);
        [first, self.packet()].concat()
    }

    /// A whole reply. A local file that is asked for holds its own name, with a line end for each `;`.
    pub fn reply(&mut self, shape: Shape) -> Vec<u8> {
        self.tracker.begin(shape);
        // The command may have been more than one packet.
        self.tracker.resume_after_upload();
        let mut at = 0;
        while !self.tracker.is_done() {
            if self.is_compressed() {
                // The frames are in order; the packets of a server need not be.
                self.tracker.resume_after_upload();
            }
            let Some(part) = self.tracker.next(&self.inbox[at..]).unwrap() else {
                self.read();
                continue;
            };
            if part.kind == Kind::Infile {
                let request = &self.inbox[at..at + part.length];
                let sequence = request[3].wrapping_add(1);
                let content: Vec<u8> =
                    request[HEADER + 1..].iter().map(|byte| if *byte == b';' { b'\n' } else { *byte }).collect();
                let mut upload = Vec::new();
                let mut next = sequence;
                if !content.is_empty() && content != b"empty" {
                    next = packet::put_chain(&mut upload, next, &content);
                }
                packet::put_chain(&mut upload, next, b"");
                self.write(&upload);
                self.tracker.resume_after_upload();
            }
            at += part.length;
        }
        self.inbox.drain(..at).collect()
    }

    pub fn is_compressed(&self) -> bool {
        self.compressed.is_some()
    }

    /// All that comes until the server closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.socket.read_to_end(&mut bytes).unwrap();
        self.take_in(&bytes);
        std::mem::take(&mut self.inbox)
    }

    fn read(&mut self) {
        let mut bytes = [0; 65_536];
        let count = self.socket.read(&mut bytes);
        let Some(count) = count.as_ref().ok().filter(|count| **count > 0) else {
            panic!("no whole reply to {:?}: {count:?} after {:?}", self.asked, lines(&self.inbox))
        };
        self.take_in(&bytes[..*count]);
    }

    fn take_in(&mut self, bytes: &[u8]) {
        match &mut self.compressed {
            Some(compressed) => compressed.unpack(bytes, &mut self.inbox),
            None => self.inbox.extend_from_slice(bytes),
        }
    }
}

/// The frames of a compressed connection, whose numbers must be in order.
#[derive(Default)]
struct Compressed {
    frames: Frames,
    inbox: Vec<u8>,
    /// The number of the next frame.
    number: u8,
}

impl Compressed {
    /// Packets into frames: those of a command count from 0, others go on from the server's. A command that shares its
    /// frame with another is lost on a server.
    fn pack(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (mut packed, mut from, mut at) = (Vec::new(), 0, 0);
        let mut own = Frames::default();
        while let Some(header) = Header::parse(&bytes[at..]) {
            at = (at + header.total()).min(bytes.len());
            let next = Header::parse(&bytes[at..]);
            if bytes[3] != 0 {
                self.frames.turn();
                self.frames.put(&bytes[from..], false, &mut packed);
                break;
            } else if next.is_none_or(|next| next.sequence == 0) {
                own.put(&bytes[from..at], false, &mut packed);
                (own, from) = (Frames::default(), at);
            }
        }
        let mut rest = &packed[..];
        while let Some(header) = Header::parse(rest) {
            self.number = header.sequence.wrapping_add(1);
            rest = &rest[header.total() + 3..];
        }
        packed
    }

    fn unpack(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.inbox.extend_from_slice(bytes);
        while let Some(header) = Header::parse(&self.inbox).filter(|header| self.inbox.len() >= header.total() + 3) {
            // Each of several commands sent at once has an answer that starts again.
            assert!(
                header.sequence == self.number || header.sequence == 1,
                "{} after {}",
                header.sequence,
                self.number
            );
            self.number = header.sequence.wrapping_add(1);
            self.frames.take_in(&self.inbox.drain(..header.total() + 3).collect::<Vec<u8>>());
            assert_eq!(self.frames.take_out(out), Ok(true));
        }
    }
}

/// A payload as packets.
pub fn packets(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet::put_chain(&mut bytes, sequence, payload);
    bytes
}

/// A command of this byte with these parts.
pub fn command(byte: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[byte][..], &parts.concat()].concat()
}

/// The packets of a reply, each as text.
pub fn lines(reply: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut at = 0;
    while let Some(header) = Header::parse(&reply[at..]) {
        let end = (at + header.total()).min(reply.len());
        let shown = (at + HEADER + 160).min(end);
        lines.push(format!("{:3} {:6} {}", header.sequence, header.length, reply[at + HEADER..shown].escape_ascii()));
        at = end;
    }
    lines
}

fn response(capabilities: Capabilities, schema: &[u8], answer: &[u8]) -> Vec<u8> {
    let mut flags = capabilities;
    flags.set(Capabilities::CONNECT_WITH_DB, !schema.is_empty());
    let bits = flags.bits();
    let mut out = Vec::new();
    out.extend_from_slice(&(bits as u32).to_le_bytes());
    out.extend_from_slice(&(1u32 << 30).to_le_bytes());
    out.push(33);
    out.extend_from_slice(&[0; 19]);
    out.extend_from_slice(&((bits >> 32) as u32).to_le_bytes());
    out.extend_from_slice(APP_USER.as_bytes());
    out.extend_from_slice(&[0, answer.len() as u8]);
    out.extend_from_slice(answer);
    if !schema.is_empty() {
        out.extend_from_slice(schema);
        out.push(0);
    }
    if flags.contains(Capabilities::PLUGIN_AUTH) {
        out.extend_from_slice(b"mysql_native_password\0");
    }
    if flags.contains(Capabilities::CONNECT_ATTRS) {
        out.extend_from_slice(b"\x0c\x04_pid\x06123456");
    }
    out
}
