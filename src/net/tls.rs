//! TLS with clients, servers and operators: what it needs of files, and the bytes that come before it.
//!
//! rustls does all of it, TLS 1.2 and 1.3, by ring.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, io};

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{Accept, Connect, TlsAcceptor, TlsConnector, TlsStream};

use crate::config::OTHERS;

/// SHA-256 of a certificate.
pub type Fingerprint = [u8; 32];

/// A listener's certificate and key.
#[derive(Clone)]
pub struct ServerTls(Arc<ArcSwap<Own>>);

/// What clients are shown at one time.
struct Own {
    config: Arc<ServerConfig>,
    fingerprint: Fingerprint,
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

impl ServerTls {
    /// Reads a certificate, with those that vouch for it behind it, and its key, and if clients are asked for certificates those that
    /// vouch for them, all in PEM. What is wrong is said with the file's name.
    pub fn load(certificate: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Self, String> {
        let (chain, secret) = (certificates(certificate)?, key_of(key)?);
        let fingerprint = chain.first().map(|own| Sha256::digest(own).into()).unwrap_or_default();
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider);
                let verifier = verifier.allow_unauthenticated().build().map_err(|error| fail(ca, &error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder.with_single_cert(chain, secret).map_err(|error| fail(certificate, &error))?;
        Ok(Self(Arc::new(ArcSwap::from_pointee(Own { config: Arc::new(config), fingerprint }))))
    }

    /// Whoever comes from now on gets this certificate instead.
    pub fn renew(&self, fresh: &Self) {
        self.0.store(fresh.0.load_full());
    }

    /// Begins TLS on connections of programs that are no clients of MariaDB.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.load().config.clone())
    }

    /// Begins TLS on a connection; the certificate that is shown there.
    pub(super) fn accept(&self, socket: TcpStream) -> (Handshake, Fingerprint) {
        let own = self.0.load_full();
        let socket = Rewound { socket, before: Vec::new(), used: 0 };
        (Handshake::Accept(TlsAcceptor::from(own.config.clone()).accept(socket)), own.fingerprint)
    }
}

/// What servers must show, and what they are shown.
#[derive(Clone)]
pub struct ClientTls(Arc<ArcSwap<ClientConfig>>);

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

impl ClientTls {
    /// Reads the certificates that vouch for nodes, or believes any node if there are none; and what to show to nodes that ask, a
    /// certificate and its key.
    pub fn load(ca: Option<&Path>, shown: Option<(&Path, &Path)>) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match ca {
            Some(ca) => builder.with_root_certificates(roots(ca)?),
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        };
        let config = match shown {
            Some((certificate, key)) => builder
                .with_client_auth_cert(certificates(certificate)?, key_of(key)?)
                .map_err(|error| fail(certificate, &error))?,
            None => builder.with_no_client_auth(),
        };
        Ok(Self(Arc::new(ArcSwap::from_pointee(config))))
    }

    /// Connections from now on are made with this instead, wherever a copy of it is used.
    pub fn renew(&self, fresh: &Self) {
        self.0.store(fresh.0.load_full());
    }

    /// Begins TLS on a connection to `host:port`.
    pub(super) fn connect(&self, socket: TcpStream, address: &str) -> io::Result<Handshake> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let socket = Rewound { socket, before: Vec::new(), used: 0 };
        Ok(Handshake::Connect(TlsConnector::from(self.0.load_full()).connect(name, socket)))
    }
}

fn fail(path: &Path, why: &dyn fmt::Display) -> String {
    format!("{}: {why}", path.display())
}

/// What is in a PEM file; none is an error.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fail(path, &error))?;
    if chain.is_empty() { Err(fail(path, &"no certificate in it")) } else { Ok(chain) }
}

fn roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| fail(path, &error))?;
    }
    Ok(roots)
}

/// A key that nobody else can read.
fn key_of(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let file = File::open(path).map_err(|error| fail(path, &error))?;
    let mode = file.metadata().map_err(|error| fail(path, &error))?.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(format!("{0}: others can open this key (mode {mode:04o}): run `chmod 600 {0}`", path.display()));
    }
    PrivateKeyDer::from_pem_reader(io::BufReader::new(file)).map_err(|error| fail(path, &error))
}

/// Believes that any node is who it says: TLS against those who only listen.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A connection whose TLS has begun.
pub enum Handshake {
    /// A client's.
    Accept(Accept<Rewound>),
    /// To a node.
    Connect(Connect<Rewound>),
}

impl Handshake {
    /// What had been read already when TLS began.
    pub(super) fn rewind(&mut self, bytes: &[u8]) {
        let socket = match self {
            Self::Accept(accept) => accept.get_mut(),
            Self::Connect(connect) => connect.get_mut(),
        };
        if let Some(socket) = socket {
            socket.before.extend_from_slice(bytes);
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<TlsStream<Rewound>>> {
        match self {
            Self::Accept(accept) => Pin::new(accept)
                .poll(context)
                .map_ok(TlsStream::Server)
                .map_err(|error| told(error, "TLS with a client has failed")),
            Self::Connect(connect) => Pin::new(connect)
                .poll(context)
                .map_ok(TlsStream::Client)
                .map_err(|error| told(error, "TLS with a node has failed")),
        }
    }

    pub(super) fn socket(&self) -> Option<&TcpStream> {
        let socket = match self {
            Self::Accept(accept) => accept.get_ref(),
            Self::Connect(connect) => connect.get_ref(),
        };
        socket.map(|socket| &socket.socket)
    }
}

fn told(error: io::Error, what: &str) -> io::Error {
    tracing::debug!("{what}: {error}");
    error
}

/// A socket, and what was read from it before its reader had it.
pub struct Rewound {
    pub(super) socket: TcpStream,
    before: Vec<u8>,
    used: usize,
}

impl AsyncRead for Rewound {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = &this.before[this.used..];
        if before.is_empty() {
            return Pin::new(&mut this.socket).poll_read(context, buffer);
        }
        let count = before.len().min(buffer.remaining());
        buffer.put_slice(&before[..count]);
        this.used += count;
        if this.used == this.before.len() {
            (this.before, this.used) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }
}
