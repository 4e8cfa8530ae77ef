//! What both sides say in a login, where a test plays one of them.

#![allow(dead_code, reason = "each side uses a part")]

use oarlock::wire::capability::{Capabilities, Status};
use oarlock::wire::challenge::{NATIVE, SCRAMBLE};
use oarlock::wire::handshake::{Greeting, Response};
use oarlock::wire::packet;

/// The greeting of a healthy node.
pub fn greeting(thread: u32, capabilities: Capabilities) -> Vec<u8> {
    let greeting = Greeting {
        version: b"5.5.5-10.11.19-MariaDB",
        thread,
        capabilities,
        collation: 45,
        status: Status::AUTOCOMMIT,
        plugin: NATIVE,
        scramble: [b'n'; SCRAMBLE],
    };
    let mut out = Vec::new();
    packet::put(&mut out, 0, |out| greeting.put(out));
    out
}

/// The packet that logs in as `app`, without a password.
pub fn response(capabilities: Capabilities) -> Vec<u8> {
    let response = Response {
        capabilities,
        packet_max: 1 << 24,
        collation: 45,
        user: b"app",
        answer: b"",
        schema: None,
        plugin: NATIVE,
        attributes: b"",
    };
    let mut out = Vec::new();
    packet::put(&mut out, 1, |out| response.put(out));
    out
}
