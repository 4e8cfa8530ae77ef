//! A client that speaks bytes: it can keep to the protocol, and stop doing so anywhere.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test uses a part; a test fails where it stands")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use oarlock::wire::capability::Capabilities;
use oarlock::wire::err::Error;
use oarlock::wire::packet::{self, HEADER, Header};
use oarlock::wire::reply::{Kind, ReplyTracker, Shape};

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a command, or the whole session, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Well, with so many bytes.
    Done(usize),
    /// With this error and its SQLSTATE.
    Error(u16, String),
    /// The proxy has closed.
    Closed,
}

/// A connection.
pub struct RawClient {
    pub stream: TcpStream,
    held: Vec<u8>,
}

impl RawClient {
    /// Connected, and nothing read yet.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, held: Vec::new() }
    }

    /// Logged in as the application; fails if that fails.
    pub fn login(address: SocketAddr) -> Self {
        let mut client = Self::connect(address);
        assert_eq!(client.try_login(), End::Done(11));
        client
    }

    /// Reads the greeting and logs in.
    pub fn try_login(&mut self) -> End {
        match self.reply(Shape::Text) {
            End::Done(_) => {}
            other => return other,
        }
        self.send(&response());
        self.reply(Shape::Ok)
    }

    /// Sends bytes; that the proxy has closed already is no matter.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends no more, and reads on.
    pub fn shut(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Runs a statement.
    pub fn query(&mut self, text: &str) -> End {
        self.send(&command(0x03, text.as_bytes()));
        self.reply(Shape::Results)
    }

    /// Prepares a statement.
    pub fn prepare(&mut self, text: &str) -> End {
        self.send(&command(0x16, text.as_bytes()));
        self.reply(Shape::Prepare)
    }

    /// Reads one reply to its end.
    pub fn reply(&mut self, shape: Shape) -> End {
        let mut tracker = ReplyTracker::idle(capabilities());
        tracker.begin(shape);
        // The packets of a login have other numbers.
        tracker.resume_after_upload();
        let (mut length, mut error) = (0, None);
        let mut buffer = vec![0; 1 << 16];
        loop {
            while let Some(part) = tracker.next(&self.held).unwrap() {
                if part.kind == Kind::Err {
                    let parsed = Error::parse(&self.held[HEADER..part.length]).unwrap();
                    error = Some(End::Error(parsed.code, String::from_utf8(parsed.state.to_vec()).unwrap()));
                }
                length += part.length;
                self.held.drain(..part.length);
            }
            if tracker.is_done() {
                return error.unwrap_or(End::Done(length));
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return End::Closed,
                Ok(read) => self.held.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer"),
                Err(_) => return End::Closed,
            }
        }
    }

    /// Reads one packet, whatever it is.
    pub fn packet(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            if let Some((header, _)) = packet::first(&self.held) {
                return self.held.drain(..header.total()).collect();
            }
            let read = self.stream.read(&mut buffer).unwrap();
            assert!(read > 0, "closed");
            self.held.extend_from_slice(&buffer[..read]);
        }
    }

    /// Reads all there is until the proxy closes; the code of the first error packet that begins a read, if any.
    pub fn rest(&mut self) -> (usize, Option<u16>) {
        let mut all = std::mem::take(&mut self.held);
        let mut buffer = vec![0; 1 << 16];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => all.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("not closed"),
                Err(_) => break,
            }
        }
        let (mut at, mut code) = (0, None);
        while let Some((header, payload)) = packet::first(&all[at..]) {
            code = code.or(Error::parse(payload).ok().map(|error| error.code));
            at += Header::total(header);
        }
        (all.len(), code)
    }
}

/// What this client can do.
pub fn capabilities() -> Capabilities {
    Capabilities::REQUIRED
        | Capabilities::PLUGIN_AUTH
        | Capabilities::LONG_FLAG
        | Capabilities::TRANSACTIONS
        | Capabilities::MULTI_RESULTS
        | Capabilities::PS_MULTI_RESULTS
        | Capabilities::PLUGIN_AUTH_LENENC
}

/// The packet that logs in as the application, without a password.
pub fn response() -> Vec<u8> {
    crate::logins::response(capabilities())
}

/// A command's packet.
pub fn command(byte: u8, rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    packet::put(&mut out, 0, |out| {
        out.push(byte);
        out.extend_from_slice(rest);
    });
    out
}
