//! Balancers, which say by the PROXY protocol for whom they come, and reading that from them.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::wire::proxy_header::{HEADER_MAX, Parsed, parse};

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

#[cfg(test)]
mod tests {
    use super::*;

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
