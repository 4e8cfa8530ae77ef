//! Speaks TLS for a sysbench that speaks none, so that proxies which begin it differently get the same work from the same client: at once,
//! as HAProxy expects it, or when the greeting has offered it, as MySQL's protocol does. TLS 1.3 with AES-256-GCM, and nothing else.
//!
//! It runs in a process of its own: what it costs is not the proxy's.

use std::net::{Ipv4Addr, SocketAddrV4, TcpStream as Blocking};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use oarlock::lab::until;
use oarlock::wire::capability::Capabilities;
use oarlock::wire::handshake::{Greeting, put_ssl_request};
use oarlock::wire::packet::{self, HEADER, Header};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::support::service;

/// The argument that makes this program an envoy and nothing else; behind it stand when TLS begins, the certificate to trust, and the
/// addresses to listen at and to connect to.
pub const ENVOY: &str = "envoy";
/// A query or its answer, and some.
const PIECE: usize = 16 << 10;

/// When TLS begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    AtOnce,
    WhenOffered,
}

/// A running envoy; ends with its owner.
pub struct Envoy {
    pub address: SocketAddrV4,
    child: Child,
}

impl Envoy {
    /// Starts it on this address.
    pub fn start(address: Ipv4Addr, to: SocketAddrV4, begins: Begins, certificate: &Path) -> Self {
        let address = SocketAddrV4::new(address, 4006);
        let program = std::env::current_exe().unwrap();
        let mut command = service(program.to_str().unwrap());
        let begins = if begins == Begins::AtOnce { "at-once" } else { "when-offered" };
        command.args([ENVOY, begins]).arg(certificate).args([address, to].map(|address| address.to_string()));
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        assert!(until(Duration::from_secs(10), || Blocking::connect(address).is_ok()), "the envoy does not listen");
        Self { address, child }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until it is killed.
pub fn envoy(arguments: &[String]) {
    let [begins, certificate, from, to] = arguments else { panic!("{arguments:?}") };
    let begins = if begins == "at-once" { Begins::AtOnce } else { Begins::WhenOffered };
    let (from, to): (SocketAddrV4, SocketAddrV4) = (from.parse().unwrap(), to.parse().unwrap());
    let connector = TlsConnector::from(Arc::new(config(Path::new(certificate))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(from).await.unwrap();
        loop {
            if let Ok((near, _)) = listener.accept().await {
                tokio::spawn(serve(near, to, begins, connector.clone()));
            }
        }
    });
}

fn config(certificate: &Path) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let suites = vec![ring::cipher_suite::TLS13_AES_256_GCM_SHA384];
    let provider = CryptoProvider { cipher_suites: suites, ..ring::default_provider() };
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    builder
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// None once one of them has gone.
async fn serve(mut near: TcpStream, to: SocketAddrV4, begins: Begins, connector: TlsConnector) -> Option<()> {
    let mut far = TcpStream::connect(to).await.ok()?;
    near.set_nodelay(true).ok()?;
    far.set_nodelay(true).ok()?;
    let response = match begins {
        Begins::AtOnce => None,
        Begins::WhenOffered => Some(ask_for_tls(&mut near, &mut far).await?),
    };
    let name = ServerName::from(std::net::IpAddr::from(*to.ip()));
    let mut far = connector.connect(name, far).await.ok()?;
    if let Some(response) = response {
        far.write_all(&response).await.ok()?;
        far.flush().await.ok()?;
        // The verdict, which is the next packet for the client: it knows nothing of the one between.
        let mut verdict = read_packet(&mut far).await?;
        verdict[3] -= 1;
        near.write_all(&verdict).await.ok()?;
    }
    copy_bidirectional_with_sizes(&mut near, &mut far, PIECE, PIECE).await.ok().map(drop)
}

/// The client's response to the greeting, as it is to be sent in TLS.
async fn ask_for_tls(near: &mut TcpStream, far: &mut TcpStream) -> Option<Vec<u8>> {
    let packet = read_packet(far).await?;
    let mut greeting = Greeting::parse(&packet[HEADER..]).ok()?;
    greeting.capabilities -= Capabilities::SSL;
    let mut plain = Vec::new();
    packet::put(&mut plain, 0, |out| greeting.put(out));
    near.write_all(&plain).await.ok()?;
    let mut response = read_packet(near).await?;
    let (low, ssl) = (u32::from_le_bytes(*response[HEADER..].first_chunk()?), Capabilities::SSL.bits() as u32);
    response[HEADER..HEADER + 4].copy_from_slice(&(low | ssl).to_le_bytes());
    response[3] = 2;
    let mut wish = Vec::new();
    put_ssl_request(&mut wish, 1, Capabilities::from_bits_retain(u64::from(low | ssl)), 1 << 24, 45);
    far.write_all(&wish).await.ok()?;
    Some(response)
}

async fn read_packet(from: &mut (impl AsyncReadExt + Unpin)) -> Option<Vec<u8>> {
    let mut packet = vec![0; HEADER];
    from.read_exact(&mut packet).await.ok()?;
    packet.resize(Header::parse(&packet)?.total(), 0);
    from.read_exact(&mut packet[HEADER..]).await.ok()?;
    Some(packet)
}
