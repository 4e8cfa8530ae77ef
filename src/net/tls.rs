//! TLS of a listener: what it needs of files, and the bytes of a client that come before it.
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
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// Permission bits of a file that let anybody but its owner at it.
const OTHERS: u32 = 0o077;

/// A listener's certificate and key.
#[derive(Clone)]
pub struct ServerTls(Arc<ArcSwap<ServerConfig>>);

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

impl ServerTls {
    /// Reads a certificate, with those that vouch for it behind it, and its key, both in PEM. What is wrong is said with the file's name.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, String> {
        let fail = |path: &Path, why: &dyn fmt::Display| format!("{}: {why}", path.display());
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| fail(certificate, &error))?;
        if chain.is_empty() {
            return Err(fail(certificate, &"no certificate in it"));
        }
        let file = File::open(key).map_err(|error| fail(key, &error))?;
        let mode = file.metadata().map_err(|error| fail(key, &error))?.permissions().mode() & 0o7777;
        if mode & OTHERS != 0 {
            return Err(format!("{0}: others can open this key (mode {mode:04o}): run `chmod 600 {0}`", key.display()));
        }
        let secret = PrivateKeyDer::from_pem_reader(io::BufReader::new(file)).map_err(|error| fail(key, &error))?;
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
            .map(|config| Self(Arc::new(ArcSwap::from_pointee(config))))
            .map_err(|error| fail(certificate, &error))
    }

    /// Whoever comes from now on gets this certificate instead.
    pub fn renew(&self, fresh: &Self) {
        self.0.store(fresh.0.load_full());
    }

    /// Begins TLS on a connection.
    pub(super) fn accept(&self, socket: TcpStream) -> Handshake {
        let socket = Rewound { socket, before: Vec::new(), used: 0 };
        Handshake(TlsAcceptor::from(self.0.load_full()).accept(socket))
    }
}

/// A connection whose TLS has begun.
pub struct Handshake(Accept<Rewound>);

impl Handshake {
    /// What had been read already when TLS began.
    pub(super) fn rewind(&mut self, bytes: &[u8]) {
        if let Some(socket) = self.0.get_mut() {
            socket.before.extend_from_slice(bytes);
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<TlsStream<Rewound>>> {
        let shaken = Pin::new(&mut self.0).poll(context);
        if let Poll::Ready(Err(error)) = &shaken {
            tracing::debug!("TLS with a client has failed: {error}");
        }
        shaken
    }

    pub(super) fn socket(&self) -> Option<&TcpStream> {
        self.0.get_ref().map(|socket| &socket.socket)
    }
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
