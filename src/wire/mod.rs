//! The MariaDB protocol as bytes (pure): packets, handshake, commands, replies.
//!
//! Nothing here knows a socket, a clock or a session. Parsers take borrowed bytes and answer "need more", a value, or
//! [`Malformed`]; writers append to a buffer of the caller's. Nothing allocates per packet; compressed frames do.

pub mod binlog;
pub mod capability;
pub mod challenge;
pub mod command;
pub mod compress;
pub mod cursor;
pub mod err;
pub mod handshake;
pub mod ok;
pub mod packet;
pub mod proxy_header;
pub mod reply;
pub mod upload;

/// Bytes that break the protocol; says what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}
