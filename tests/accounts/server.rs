//! A server of a test's own, and what the proxy loads from it.

use std::net::SocketAddr;

use oarlock::auth::accounts::Accounts;
use oarlock::auth::load::{Service, load};
use oarlock::lab::{self, SERVICE_USER, SITE_PASSWORD};

/// One server with the guide's users.
pub struct Server {
    server: lab::Server,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// On an address of its own.
    pub fn start(options: &[(&str, &str)]) -> Self {
        let server = lab::Server::start(options).unwrap();
        let address = server.address().into();
        Self { server, address }
    }

    /// Also on ::1, so on a port of its own.
    pub fn start_with_ipv6(options: &[(&str, &str)]) -> Self {
        let port = free_port();
        let text = port.to_string();
        let mut server = Self::start(&[options, &[("bind_address", "*"), ("port", &text)]].concat());
        server.address.set_port(port);
        server
    }

    /// Runs statements as root.
    pub fn run(&self, statements: &str) {
        self.server.sql(statements).unwrap();
    }

    /// One value, as root.
    pub fn value(&self, query: &str) -> String {
        self.server.value(query).unwrap().unwrap_or_default()
    }

    /// All accounts, by the guide's service user.
    pub async fn snapshot(&self) -> Accounts {
        load(&self.address.to_string(), &service()).await.unwrap().with_generation(1)
    }
}

/// The guide's service user.
pub fn service() -> Service {
    Service { user: SERVICE_USER.into(), password: SITE_PASSWORD.into(), tls: None, told: Vec::new() }
}

/// Below the ports the kernel gives to clients, of which these tests use thousands.
fn free_port() -> u16 {
    loop {
        let mut random = [0; 2];
        getrandom::fill(&mut random).unwrap();
        let port = 10_000 + u16::from_ne_bytes(random) % 20_000;
        if std::net::TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}
