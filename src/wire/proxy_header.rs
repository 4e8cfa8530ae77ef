//! The PROXY protocol: who a client is that comes by way of somebody else, as that says in front of all else.
//!
//! What balancers say is read in both versions; nodes are told in version 2.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use ppp::{HeaderResult, PartialResult, v1, v2};

/// The longest header that is taken, in bytes: of version 1 all are shorter, and of version 2 all with usual notes on the client.
pub const HEADER_MAX: usize = 536;

/// How one of version 1 begins, and how long it is at most.
const FIRST_VERSION: &[u8] = b"PROXY ";
const FIRST_VERSION_MAX: usize = 107;

/// Says that a client comes from this address, or, without one, that the proxy comes for itself. Where the client has connected to is
/// left open: nodes don't ask.
pub fn header(client: Option<SocketAddr>) -> io::Result<Vec<u8>> {
    let stream = |client: SocketAddr| match client {
        SocketAddr::V4(_) => (client, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).into(),
        SocketAddr::V6(_) => (client, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).into(),
    };
    let (command, protocol, addresses) = match client {
        Some(client) => (v2::Command::Proxy, v2::Protocol::Stream, stream(client)),
        None => (v2::Command::Local, v2::Protocol::Unspecified, v2::Addresses::Unspecified),
    };
    v2::Builder::with_addresses(v2::Version::Two | command, protocol, addresses).build()
}

/// What the beginning of a connection says.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The client; none if the balancer comes for itself, or does not say for whom.
    Of(Option<SocketAddr>),
    /// It is no header.
    Nonsense(&'static str),
}

/// Reads a header of either version, with nothing behind it. Nothing if more is to come.
pub fn parse(bytes: &[u8]) -> Option<Parsed> {
    let start = bytes.len().min(FIRST_VERSION.len());
    if bytes[..start] == FIRST_VERSION[..start] && !bytes.contains(&b'\n') {
        // The parser takes a port that is not all there for none.
        let is_long = bytes.len() > FIRST_VERSION_MAX;
        return is_long.then_some(Parsed::Nonsense("no PROXY header"));
    }
    let result = HeaderResult::parse(bytes);
    if result.is_incomplete() {
        return None;
    }
    let (client, length) = match &result {
        HeaderResult::V1(Ok(header)) => (first_version(header), header.header.len()),
        HeaderResult::V2(Ok(header)) => (second_version(header), header.len()),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => return Some(Parsed::Nonsense("no PROXY header")),
    };
    let all = length == bytes.len();
    Some(if all { Parsed::Of(client) } else { Parsed::Nonsense("something before the server's greeting") })
}

fn first_version(header: &v1::Header) -> Option<SocketAddr> {
    match header.addresses {
        v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Unknown => None,
    }
}

fn second_version(header: &v2::Header) -> Option<SocketAddr> {
    match (header.command, header.addresses) {
        (v2::Command::Proxy, v2::Addresses::IPv4(ip)) => Some((ip.source_address, ip.source_port).into()),
        (v2::Command::Proxy, v2::Addresses::IPv6(ip)) => Some((ip.source_address, ip.source_port).into()),
        (v2::Command::Local, _) | (v2::Command::Proxy, v2::Addresses::Unix(_) | v2::Addresses::Unspecified) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2: command, family and protocol, addresses and ports.
    fn second(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        header.extend([0x20 | command, family, 0, rest.len() as u8]);
        header.extend(rest);
        header
    }

    #[test]
    fn says_who_comes() {
        let six = "2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets();
        let six = [&six[..], &[0; 16], &[0x11, 0x22, 0, 1]].concat();
        for (header, client) in [
            (b"PROXY TCP4 10.9.8.7 10.0.0.1 4000 4006\r\n".to_vec(), Some("10.9.8.7:4000")),
            (b"PROXY TCP6 2001:db8::7 ::1 4000 4006\r\n".to_vec(), Some("[2001:db8::7]:4000")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (second(1, 0x11, &[10, 9, 8, 7, 10, 0, 0, 1, 0x0f, 0xa0, 0, 1]), Some("10.9.8.7:4000")),
            (second(1, 0x21, &six), Some("[2001:db8::7]:4386")),
            (second(0, 0, &[]), None),
        ] {
            let client = client.map(|client| client.parse().unwrap());
            assert_eq!(parse(&header), Some(Parsed::Of(client)), "{header:?}");
            for length in 0..header.len() {
                assert_eq!(parse(&header[..length]), None, "{length} of {header:?}");
            }
            let more = [&header[..], b"x"].concat();
            assert!(matches!(parse(&more), Some(Parsed::Nonsense(_))), "{header:?}");
        }
        for nonsense in [&b"GET / HTTP/1.1\r\n"[..], b"PROXY TCP4 a b c d\r\n", b"\x20\0\0\x01\0\0\0\0", &[0xff; 200]] {
            assert!(matches!(parse(nonsense), Some(Parsed::Nonsense(_))), "{nonsense:?}");
        }
    }

    #[test]
    fn says_it_again() {
        for (client, octets) in [
            (Some("10.9.8.7:4000"), &b"\x21\x11\0\x0c\x0a\x09\x08\x07\0\0\0\0\x0f\xa0\0\0"[..]),
            (
                Some("[2001:db8::7]:4386"),
                b"\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x11\x22\0\0",
            ),
            (None, b"\x20\0\0\0"),
        ] {
            let client = client.map(|client| client.parse().unwrap());
            let header = header(client).unwrap();
            assert_eq!(header, [b"\r\n\r\n\0\r\nQUIT\n", octets].concat(), "{client:?}");
            assert_eq!(parse(&header), Some(Parsed::Of(client)));
        }
    }
}
