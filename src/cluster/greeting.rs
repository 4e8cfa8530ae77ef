//! A server's first packet, as far as the view needs it (pure): version, capabilities, collation.
//!
//! Layout: MariaDB's manual, "Connecting", Initial Handshake Packet. Peer bytes: every read is checked.

/// What a server says before any login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Its version, without the `5.5.5-` that MariaDB puts before it for old clients.
    pub version: Box<str>,
    /// Low 32 bits CLIENT_*, high 32 bits MARIADB_CLIENT_*.
    pub capabilities: u64,
    /// Its default collation id.
    pub collation: u8,
}

/// CLIENT_MYSQL: set by MySQL, which has no MARIADB_CLIENT_* bits; MariaDB leaves it out.
const CLIENT_MYSQL: u64 = 1;
/// A greeting is never longer.
pub const BYTES_MAX: usize = 512;

impl Greeting {
    /// Reads the payload of the packet. `None` if it is no greeting of protocol 10.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let rest = payload.strip_prefix(&[10])?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        let (version, rest) = (&rest[..end], &rest[end + 1..]);
        // Connection id 4, scramble 8, filler 1, then: capabilities 2, collation 1, status 2, capabilities 2,
        // length of the scramble 1, filler 6, MariaDB's capabilities 4.
        let fixed = rest.get(13..31)?;
        let bits = |at: usize, bytes: usize| {
            fixed[at..at + bytes].iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
        };
        let low = bits(0, 2) | bits(5, 2) << 16;
        let high = if low & CLIENT_MYSQL == 0 { bits(14, 4) } else { 0 };
        let version = std::str::from_utf8(version).ok()?;
        Some(Self {
            version: version.strip_prefix("5.5.5-").unwrap_or(version).into(),
            capabilities: low | high << 32,
            collation: fixed[2],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As sent by 10.11.19.
    const REAL: &[u8] = b"\x0a5.5.5-10.11.19-MariaDB-0+deb12u1-log\0\x22\0\0\0abcdefgh\0\xfe\xf7\x2d\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0ijklmnopqrst\0mysql_native_password\0";

    #[test]
    fn reads_a_real_one() {
        let greeting = Greeting::read(REAL).unwrap();
        assert_eq!(&*greeting.version, "10.11.19-MariaDB-0+deb12u1-log");
        assert_eq!((greeting.capabilities, greeting.collation), (0x1d_81ff_f7fe, 45));
    }

    #[test]
    fn truncated_or_other_bytes_are_no_greeting() {
        let end = REAL.iter().position(|byte| *byte == b'i').unwrap();
        for length in 0..end {
            assert_eq!(Greeting::read(&REAL[..length]), None, "{length}");
        }
        assert!(Greeting::read(&REAL[..end]).is_some());
        assert_eq!(Greeting::read(b"\xff\x10\x04Too many connections"), None);
    }
}
