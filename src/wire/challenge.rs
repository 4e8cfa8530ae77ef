//! The authentication exchange after the handshake: the request to switch to another plugin.

use super::Malformed;
use super::cursor::{Cursor, put_nul_bytes};
use super::packet;

/// First byte of an AuthSwitchRequest.
pub const SWITCH: u8 = 0xfe;
/// First byte of further data from a plugin.
pub const MORE: u8 = 0x01;
/// The plugin this proxy greets with.
pub const NATIVE: &[u8] = b"mysql_native_password";
/// The plugin of clients that are asked for the password itself.
pub const CLEAR: &[u8] = b"mysql_clear_password";
/// The same with the question in words: what PAM accounts of MariaDB ask with. A byte for the kind of question, and its text.
pub const DIALOG: &[u8] = b"dialog";
/// The plugin of ed25519 accounts: 32 bytes to be signed.
pub const ED25519: &[u8] = b"client_ed25519";
/// The plugin of parsec accounts: 32 bytes to be signed, by a key that is made as the server tells when it gets nothing.
pub const PARSEC: &[u8] = b"parsec";
/// The plugin of MySQL's accounts: a hash that a server which has seen the password before compares, else the password itself.
pub const CACHING_SHA2: &[u8] = b"caching_sha2_password";
/// Length of a native password scramble in bytes.
pub const SCRAMBLE: usize = 20;

/// A server's wish to go on with another plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch<'a> {
    /// The plugin's name.
    pub plugin: &'a [u8],
    /// Its first data: for [`NATIVE`] the scramble and a NUL.
    pub data: &'a [u8],
}

impl<'a> Switch<'a> {
    /// Reads an AuthSwitchRequest payload. The one-byte form asks for the plugin of before 4.1.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(payload);
        if cursor.u8()? != SWITCH {
            return Err(Malformed("not an AuthSwitchRequest"));
        }
        if cursor.is_empty() {
            return Ok(Self { plugin: b"mysql_old_password", data: &[] });
        }
        let plugin = cursor.nul_bytes()?;
        Ok(Self { plugin, data: cursor.rest() })
    }

    /// The scramble, if this asks for [`NATIVE`].
    pub fn native_scramble(&self) -> Option<[u8; SCRAMBLE]> {
        self.scramble().filter(|_| self.plugin == NATIVE).copied()
    }

    /// The scramble of a plugin that has one.
    pub fn scramble(&self) -> Option<&[u8; SCRAMBLE]> {
        self.data.first_chunk()
    }
}

/// Appends the request to go on with [`NATIVE`] and this scramble. Returns the next sequence number.
pub fn put_native(out: &mut Vec<u8>, sequence: u8, scramble: &[u8; SCRAMBLE]) -> u8 {
    packet::put(out, sequence, |out| {
        out.push(SWITCH);
        put_nul_bytes(out, NATIVE);
        out.extend_from_slice(scramble);
        out.push(0);
    })
}

/// Appends the request for the password itself: only in TLS. Returns the next sequence number.
pub fn put_clear(out: &mut Vec<u8>, sequence: u8) -> u8 {
    packet::put(out, sequence, |out| {
        out.push(SWITCH);
        put_nul_bytes(out, CLEAR);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let scramble = [7; SCRAMBLE];
        let mut out = Vec::new();
        assert_eq!(put_native(&mut out, 2, &scramble), 3);
        let (_, payload) = packet::first(&out).unwrap();
        assert_eq!(Switch::parse(payload).unwrap().native_scramble(), Some(scramble));
        out.clear();
        assert_eq!(put_clear(&mut out, 2), 3);
        let (_, payload) = packet::first(&out).unwrap();
        assert_eq!(Switch::parse(payload), Ok(Switch { plugin: CLEAR, data: &[] }));
    }

    #[test]
    fn other_plugins() {
        assert_eq!(Switch::parse(&[SWITCH]).unwrap().plugin, b"mysql_old_password");
        let dialog = Switch::parse(b"\xfedialog\0\x04Password").unwrap();
        assert_eq!((dialog.plugin, dialog.native_scramble()), (&b"dialog"[..], None));
        assert!(Switch::parse(b"\xfedialog").is_err());
        assert_eq!(Switch::parse(b"\xfemysql_native_password\0short").unwrap().native_scramble(), None);
    }
}
