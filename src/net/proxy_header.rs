//! The PROXY protocol, versions 1 and 2: who a client is that comes by way of a balancer, as that says in front of all else.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use ppp::{HeaderResult, PartialResult, v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The longest header that is taken, in bytes: of version 1 all are shorter, and of version 2 all with usual notes on the client.
const HEADER_MAX: usize = 536;

/// How one of version 1 begins, and how long it is at most.
const FIRST_VERSION: &[u8] = b"PROXY ";
const FIRST_VERSION_MAX: usize = 107;

/// Balancers whose word is taken, and expected.
#[derive(Clone, Debug, Default)]
pub struct Balancers(Box<[IpNet]>);

impl Balancers {
    /// All in these networks.
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// Whether what comes from this address begins with a header.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Reads the header from a connection on which the server speaks first, and so nothing else has come: the client's address, or the
/// balancer's own if it comes for itself.
pub async fn read(socket: &mut TcpStream, balancer: SocketAddr) -> io::Result<SocketAddr> {
    let mut header = [0; HEADER_MAX];
    let mut there = 0;
    loop {
        let count = socket.read(&mut header[there..]).await?;
        there += count;
        match parse(&header[..there]) {
            Some(Parsed::Of(client)) => return Ok(client.unwrap_or(balancer)),
            Some(Parsed::Nonsense(why)) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
            None if count == 0 || there == HEADER_MAX => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no PROXY header"));
            }
            None => {}
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    /// The client; none if the balancer comes for itself, or does not say for whom.
    Of(Option<SocketAddr>),
    Nonsense(&'static str),
}

/// Nothing if more is to come.
fn parse(bytes: &[u8]) -> Option<Parsed> {
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
    fn balancers_are_known_by_their_networks() {
        let balancers = Balancers::new(&["10.0.0.0/8".parse().unwrap(), "192.168.56.70/32".parse().unwrap()]);
        for (address, is_one) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("192.168.56.70", true),
            ("192.168.56.71", false),
            ("::1", false),
        ] {
            assert_eq!(balancers.contain(address.parse().unwrap()), is_one, "{address}");
        }
        assert!(!Balancers::default().contain("127.0.0.1".parse().unwrap()));
    }
}
