//! ERR packets, both ways.

use super::Malformed;
use super::cursor::Cursor;
use super::packet;
use crate::fault::Fault;

/// First byte of an ERR packet.
pub const ERR: u8 = 0xff;
/// The error number that marks a progress report, which is no error and ends nothing.
pub const PROGRESS: u16 = 0xffff;
/// The longest error text in bytes (server: MYSQL_ERRMSG_SIZE).
pub const MESSAGE_MAX: usize = 512;

/// An ERR payload, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error<'a> {
    /// MariaDB's error number.
    pub code: u16,
    /// SQLSTATE; `HY000` if the packet has none.
    pub state: [u8; 5],
    /// The text.
    pub message: &'a [u8],
}

impl<'a> Error<'a> {
    /// Reads an ERR payload. One sent before the handshake is done has no SQLSTATE.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(payload);
        if cursor.u8()? != ERR {
            return Err(Malformed("not an ERR packet"));
        }
        let code = cursor.u16()?;
        let mut state = *b"HY000";
        if cursor.rest().first() == Some(&b'#') {
            cursor.take(1)?;
            state = cursor.array()?;
        }
        Ok(Self { code, state, message: cursor.rest() })
    }
}

/// Appends a fault as an ERR packet. Returns the next sequence number.
pub fn put(out: &mut Vec<u8>, sequence: u8, fault: &Fault) -> u8 {
    packet::put(out, sequence, |out| {
        out.push(ERR);
        out.extend_from_slice(&fault.code.to_le_bytes());
        out.push(b'#');
        out.extend_from_slice(&fault.state);
        let end = fault.message.floor_char_boundary(MESSAGE_MAX - 1);
        out.extend_from_slice(&fault.message.as_bytes()[..end]);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let fault = Fault::client(1045, b"28000", "Access denied");
        let mut out = Vec::new();
        assert_eq!(put(&mut out, 2, &fault), 3);
        let (header, payload) = packet::first(&out).unwrap();
        assert_eq!(header.sequence, 2);
        assert_eq!(Error::parse(payload), Ok(Error { code: 1045, state: *b"28000", message: b"Access denied" }));
    }

    #[test]
    fn without_sqlstate() {
        assert_eq!(
            Error::parse(b"\xff\x10\x04Too many"),
            Ok(Error { code: 1040, state: *b"HY000", message: b"Too many" })
        );
        assert!(Error::parse(b"\xff\x10").is_err());
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let fault = Fault::client(1, b"HY000", "\u{e4}".repeat(400));
        let mut out = Vec::new();
        put(&mut out, 0, &fault);
        let text = &out[packet::HEADER + 9..];
        assert!(text.len() < MESSAGE_MAX && std::str::from_utf8(text).is_ok());
    }
}
