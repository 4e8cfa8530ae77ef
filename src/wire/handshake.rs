//! The handshake: the server's greeting and the client's response, each written and read (protocol version 10, 4.1 and later).

use super::Malformed;
use super::capability::{Capabilities, Status};
use super::challenge::{NATIVE, SCRAMBLE};
use super::cursor::{Cursor, put_lenenc_bytes, put_nul_bytes};
use super::packet;

/// The only protocol version in use.
const PROTOCOL: u8 = 10;
/// Length of the scramble's first part in the greeting.
const SCRAMBLE_HEAD: usize = 8;
/// Length of an SSLRequest's payload, and of the fixed part of a response.
pub const RESPONSE_FIXED: usize = 32;

/// A server's first packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// The version, with the `5.5.5-` that MariaDB 10 puts before it.
    pub version: &'a [u8],
    /// The connection id.
    pub thread: u32,
    /// What the server can do.
    pub capabilities: Capabilities,
    /// Its default collation.
    pub collation: u8,
    /// Its status.
    pub status: Status,
    /// The plugin the scramble is for.
    pub plugin: &'a [u8],
    /// The scramble.
    pub scramble: [u8; SCRAMBLE],
}

impl<'a> Greeting<'a> {
    /// Reads a greeting's payload.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(payload);
        if cursor.u8()? != PROTOCOL {
            return Err(Malformed("not protocol version 10"));
        }
        let version = cursor.nul_bytes()?;
        let thread = cursor.u32()?;
        let head: [u8; SCRAMBLE_HEAD] = cursor.array()?;
        cursor.take(1)?;
        let low = cursor.u16()?;
        let collation = cursor.u8()?;
        let status = Status::from_bits_retain(cursor.u16()?);
        let high = cursor.u16()?;
        cursor.take(7)?;
        let extended = cursor.u32()?;
        let mut bits = u64::from(low) | u64::from(high) << 16;
        if bits & Capabilities::MYSQL.bits() == 0 {
            bits |= u64::from(extended) << 32;
        }
        let tail: [u8; SCRAMBLE - SCRAMBLE_HEAD] = cursor.array()?;
        cursor.take(1)?;
        let mut scramble = [0; SCRAMBLE];
        scramble[..SCRAMBLE_HEAD].copy_from_slice(&head);
        scramble[SCRAMBLE_HEAD..].copy_from_slice(&tail);
        let plugin = cursor.nul_bytes().unwrap_or(NATIVE);
        let capabilities = Capabilities::from_bits_retain(bits);
        Ok(Self { version, thread, capabilities, collation, status, plugin, scramble })
    }

    /// Appends the greeting's payload.
    pub fn put(&self, out: &mut Vec<u8>) {
        let [c0, c1, c2, c3, e @ ..] = self.capabilities.bits().to_le_bytes();
        out.push(PROTOCOL);
        put_nul_bytes(out, self.version);
        out.extend_from_slice(&self.thread.to_le_bytes());
        out.extend_from_slice(&self.scramble[..SCRAMBLE_HEAD]);
        out.push(0);
        out.extend_from_slice(&[c0, c1, self.collation]);
        out.extend_from_slice(&self.status.bits().to_le_bytes());
        out.extend_from_slice(&[c2, c3, SCRAMBLE as u8 + 1, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&e);
        out.extend_from_slice(&self.scramble[SCRAMBLE_HEAD..]);
        out.push(0);
        put_nul_bytes(out, self.plugin);
    }
}

/// A client's answer to the greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// What the client wants to use.
    pub capabilities: Capabilities,
    /// The longest packet it takes.
    pub packet_max: u32,
    /// Its collation.
    pub collation: u8,
    /// The user's name.
    pub user: &'a [u8],
    /// The answer to the scramble.
    pub answer: &'a [u8],
    /// The schema to start in.
    pub schema: Option<&'a [u8]>,
    /// The plugin the answer is for; empty if the client knows no plugins.
    pub plugin: &'a [u8],
    /// Connection attributes, as sent: length-encoded keys and values.
    pub attributes: &'a [u8],
}

/// Whether a client's first packet asks for TLS.
pub fn is_ssl_request(payload: &[u8]) -> bool {
    payload.len() == RESPONSE_FIXED && u64::from(payload[1]) << 8 & Capabilities::SSL.bits() != 0
}

/// The whole packet with which a client asks for TLS; its response comes within it, numbered behind this.
pub fn put_ssl_request(out: &mut Vec<u8>, sequence: u8, capabilities: Capabilities, packet_max: u32, collation: u8) {
    packet::put(out, sequence, |out| put_fixed(out, capabilities, packet_max, collation));
}

/// Length of that packet.
pub const SSL_REQUEST: usize = packet::HEADER + RESPONSE_FIXED;

fn put_fixed(out: &mut Vec<u8>, capabilities: Capabilities, packet_max: u32, collation: u8) {
    let bits = capabilities.bits();
    out.extend_from_slice(&(bits as u32).to_le_bytes());
    out.extend_from_slice(&packet_max.to_le_bytes());
    out.push(collation);
    out.extend_from_slice(&[0; 19]);
    out.extend_from_slice(&((bits >> 32) as u32).to_le_bytes());
}

impl<'a> Response<'a> {
    /// Reads a response's payload. One of before 4.1 is refused.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(payload);
        let low = cursor.u32()?;
        let mut capabilities = Capabilities::from_bits_retain(u64::from(low));
        if !capabilities.contains(Capabilities::PROTOCOL_41) {
            return Err(Malformed("a handshake of before 4.1"));
        }
        let packet_max = cursor.u32()?;
        let collation = cursor.u8()?;
        cursor.take(19)?;
        let extended = cursor.u32()?;
        if !capabilities.contains(Capabilities::MYSQL) {
            capabilities |= Capabilities::from_bits_retain(u64::from(extended) << 32);
        }
        let user = cursor.nul_bytes()?;
        let answer = if capabilities.contains(Capabilities::PLUGIN_AUTH_LENENC) {
            cursor.lenenc_bytes()?
        } else if capabilities.contains(Capabilities::SECURE_CONNECTION) {
            let length = usize::from(cursor.u8()?);
            cursor.take(length)?
        } else {
            cursor.nul_bytes()?
        };
        let with_schema = capabilities.contains(Capabilities::CONNECT_WITH_DB) && !cursor.is_empty();
        let schema = if with_schema { Some(until_nul(&mut cursor)?).filter(|name| !name.is_empty()) } else { None };
        let with_plugin = capabilities.contains(Capabilities::PLUGIN_AUTH) && !cursor.is_empty();
        let plugin = if with_plugin { until_nul(&mut cursor)? } else { &[] };
        let with_attributes = capabilities.contains(Capabilities::CONNECT_ATTRS) && !cursor.is_empty();
        let attributes = if with_attributes { cursor.lenenc_bytes()? } else { &[] };
        Ok(Self { capabilities, packet_max, collation, user, answer, schema, plugin, attributes })
    }

    /// Appends the response's payload; the flags say which fields are in it.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_fixed(out, self.capabilities, self.packet_max, self.collation);
        put_nul_bytes(out, self.user);
        put_lenenc_bytes(out, self.answer);
        if let Some(schema) = self.schema {
            put_nul_bytes(out, schema);
        }
        put_nul_bytes(out, self.plugin);
        if self.capabilities.contains(Capabilities::CONNECT_ATTRS) {
            put_lenenc_bytes(out, self.attributes);
        }
    }
}

/// A NUL-terminated field that old clients leave without its NUL when it is the last one.
fn until_nul<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Malformed> {
    cursor.nul_bytes().or_else(|_| cursor.take(cursor.rest().len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting() -> Greeting<'static> {
        Greeting {
            version: b"5.5.5-10.11.19-MariaDB",
            thread: 77,
            capabilities: Capabilities::SUPPORTED,
            collation: 45,
            status: Status::AUTOCOMMIT,
            plugin: NATIVE,
            scramble: *b"abcdefghijklmnopqrst",
        }
    }

    #[test]
    fn greetings_round_trip_and_short_ones_are_refused() {
        let mut payload = Vec::new();
        greeting().put(&mut payload);
        assert_eq!(Greeting::parse(&payload), Ok(greeting()));
        let plugin = NATIVE.len() + 1;
        for cut in 0..payload.len() - plugin {
            assert!(Greeting::parse(&payload[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_mysql_greeting_has_no_extended_flags() {
        let mut payload = Vec::new();
        let capabilities = Capabilities::SUPPORTED | Capabilities::MYSQL;
        Greeting { capabilities, ..greeting() }.put(&mut payload);
        assert_eq!(Greeting::parse(&payload).unwrap().capabilities.bits() >> 32, 0);
    }

    #[test]
    fn responses_round_trip_and_short_ones_never_panic() {
        let response = Response {
            capabilities: Capabilities::SUPPORTED,
            packet_max: 1 << 30,
            collation: 224,
            user: b"app",
            answer: &[9; 20],
            schema: Some(b"shop"),
            plugin: NATIVE,
            attributes: b"\x04_pid\x0242",
        };
        let mut payload = Vec::new();
        response.put(&mut payload);
        assert_eq!(Response::parse(&payload), Ok(response));
        for cut in 0..payload.len() {
            let _ = Response::parse(&payload[..cut]);
        }
    }

    #[test]
    fn old_clients() {
        let mut payload = Vec::new();
        let flags = Capabilities::PROTOCOL_41 | Capabilities::SECURE_CONNECTION | Capabilities::CONNECT_WITH_DB;
        payload.extend_from_slice(&(flags.bits() as u32).to_le_bytes());
        payload.extend_from_slice(&[0; 28]);
        payload.extend_from_slice(b"joe\0\x02xyshop");
        let response = Response::parse(&payload).unwrap();
        assert_eq!((response.user, response.answer, response.schema), (&b"joe"[..], &b"xy"[..], Some(&b"shop"[..])));
        payload[1] = 0;
        assert_eq!(Response::parse(&payload), Err(Malformed("a handshake of before 4.1")));
    }

    #[test]
    fn ssl_requests() {
        let mut payload = [0; RESPONSE_FIXED];
        assert!(!is_ssl_request(&payload));
        payload[1] = 8;
        assert!(is_ssl_request(&payload));
    }
}
