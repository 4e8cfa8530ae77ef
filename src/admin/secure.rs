//! The admin address with TLS: connections come to the API once their TLS is established, and none waits for another's.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use crate::net::clock::Clock;
use crate::net::listener;
use crate::net::tls::ServerTls;

/// Connections whose TLS is being established at a time; more are closed.
const HANDSHAKES_MAX: usize = 64;
/// How long that may take.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

type Established = (TlsStream<TcpStream>, SocketAddr);

/// Where connections come from. Dropped, it takes no more, and its socket is closed.
pub struct SecureListener {
    address: SocketAddr,
    established: mpsc::Receiver<Established>,
}

impl SecureListener {
    /// Takes connections from this socket, with the certificate that is in force when each comes. Needs a runtime.
    pub fn new(socket: TcpListener, tls: ServerTls) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let (sender, established) = mpsc::channel(1);
        tokio::spawn(async move {
            let (clock, under_way) = (Clock::current(), Arc::new(Semaphore::new(HANDSHAKES_MAX)));
            let establish = |socket, address| {
                let Ok(permit) = under_way.clone().try_acquire_owned() else { return };
                let (handshake, sender) = (tls.acceptor().accept(socket), sender.clone());
                tokio::spawn(async move {
                    let stream = timeout(HANDSHAKE_TIME_MAX, handshake).await;
                    drop(permit);
                    match stream {
                        Ok(Ok(stream)) => drop(sender.send((stream, address)).await),
                        Ok(Err(error)) => tracing::debug!(%address, "no TLS on the admin address: {error}"),
                        Err(_) => tracing::debug!(%address, "no TLS on the admin address in {HANDSHAKE_TIME_MAX:?}"),
                    }
                });
            };
            tokio::select! {
                () = listener::accept(socket, &clock, establish) => {}
                () = sender.closed() => {}
            }
        });
        Ok(Self { address, established })
    }
}

impl Listener for SecureListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Established {
        match self.established.recv().await {
            Some(established) => established,
            // Whoever accepts has ended: nothing comes any more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
