//! A TLS client's first message of any kind, and what a server answers: what a library would never offer is tried with it.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::io::{Read, Write};
use std::net::TcpStream;

use oarlock::wire::cursor::Cursor;

pub const SSL_3_0: u16 = 0x300;
pub const TLS_1_0: u16 = 0x301;
pub const TLS_1_1: u16 = 0x302;
pub const TLS_1_2: u16 = 0x303;
pub const TLS_1_3: u16 = 0x304;

pub const EXTENDED_MASTER_SECRET: u16 = 23;
pub const RENEGOTIATION_INFO: u16 = 0xff01;
const SUPPORTED_VERSIONS: u16 = 43;
/// A record holds no more, in bytes.
const RECORD_MAX: usize = 1 << 14;

/// What is offered.
pub struct Hello<'a> {
    pub version: u16,
    pub suites: &'a [u16],
    pub compressions: &'a [u8],
}

/// What comes of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The server has chosen.
    Hello(Chosen),
    /// It refuses, and says why.
    Alert(u8),
    /// It closes without a word.
    Closed,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Chosen {
    pub version: u16,
    pub suite: u16,
    pub compression: u8,
    /// The last bytes of the server's random number, which say that it could have spoken a newer version.
    pub sentinel: [u8; 8],
    pub extensions: Vec<u16>,
}

impl Hello<'_> {
    /// Sends it and reads the first record of the answer.
    pub fn ask(&self, socket: &mut TcpStream) -> Answer {
        // Who refuses may close before all of it is read.
        let _ = socket.write_all(&self.records());
        let Some((kind, record)) = record(socket) else { return Answer::Closed };
        match (kind, &*record) {
            (21, [_, reason]) => Answer::Alert(*reason),
            (22, [2, ..]) => Answer::Hello(chosen(&record[4..])),
            _ => panic!("neither a hello nor an alert: {kind} {record:?}"),
        }
    }

    fn records(&self) -> Vec<u8> {
        let mut body = self.version.min(TLS_1_2).to_be_bytes().to_vec();
        body.extend_from_slice(&[7; 32]);
        body.push(0);
        put(&mut body, 2, |out| self.suites.iter().for_each(|suite| out.extend_from_slice(&suite.to_be_bytes())));
        put(&mut body, 1, |out| out.extend_from_slice(self.compressions));
        put(&mut body, 2, |out| self.put_extensions(out));
        let mut message = vec![1];
        put(&mut message, 3, |out| out.extend_from_slice(&body));
        let mut records = Vec::new();
        for piece in message.chunks(RECORD_MAX) {
            records.extend_from_slice(&[22, 3, 1]);
            put(&mut records, 2, |out| out.extend_from_slice(piece));
        }
        records
    }

    fn put_extensions(&self, out: &mut Vec<u8>) {
        // X25519 and both NIST curves; their points as they are.
        extension(out, 10, &[0, 6, 0, 29, 0, 23, 0, 24]);
        extension(out, 11, &[1, 0]);
        // All signatures that certificates here can make, and those by SHA-1.
        let schemes = [4, 3, 5, 3, 8, 4, 8, 5, 8, 6, 4, 1, 5, 1, 6, 1, 2, 3, 2, 1];
        extension(out, 13, &[&[0, schemes.len() as u8], &schemes[..]].concat());
        // Application protocols: h2.
        extension(out, 16, &[0, 3, 2, b'h', b'2']);
        // Heartbeats; what MySQL's clients have no use for.
        extension(out, 15, &[1]);
        extension(out, EXTENDED_MASTER_SECRET, &[]);
        extension(out, RENEGOTIATION_INFO, &[0]);
        if self.version >= TLS_1_3 {
            let [high, low] = self.version.to_be_bytes();
            extension(out, SUPPORTED_VERSIONS, &[2, high, low]);
            // The base point of X25519 is as good as any.
            extension(out, 51, &[&[0, 36, 0, 29, 0, 32, 9][..], &[0; 31]].concat());
        }
    }
}

fn extension(out: &mut Vec<u8>, kind: u16, content: &[u8]) {
    out.extend_from_slice(&kind.to_be_bytes());
    put(out, 2, |out| out.extend_from_slice(content));
}

/// Something with its length before it, in so many bytes.
fn put(out: &mut Vec<u8>, length_bytes: usize, content: impl FnOnce(&mut Vec<u8>)) {
    let mut inside = Vec::new();
    content(&mut inside);
    out.extend_from_slice(&(inside.len() as u64).to_be_bytes()[8 - length_bytes..]);
    out.extend_from_slice(&inside);
}

fn record(socket: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 5];
    socket.read_exact(&mut header).ok()?;
    let mut record = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    socket.read_exact(&mut record).ok()?;
    Some((header[0], record))
}

fn chosen(hello: &[u8]) -> Chosen {
    let mut cursor = Cursor::new(hello);
    let number = |cursor: &mut Cursor| u16::from_be_bytes(cursor.array().unwrap());
    let mut version = number(&mut cursor);
    cursor.take(24).unwrap();
    let sentinel = cursor.array().unwrap();
    let session = usize::from(cursor.u8().unwrap());
    cursor.take(session).unwrap();
    let (suite, compression) = (number(&mut cursor), cursor.u8().unwrap());
    let mut extensions = Vec::new();
    // Their length; without any it may be missing.
    let _ = cursor.take(2);
    while !cursor.is_empty() {
        let (kind, length) = (number(&mut cursor), usize::from(number(&mut cursor)));
        let content = cursor.take(length).unwrap();
        if kind == SUPPORTED_VERSIONS {
            version = u16::from_be_bytes(content.try_into().unwrap());
        }
        extensions.push(kind);
    }
    Chosen { version, suite, compression, sentinel, extensions }
}
