//! Taking clients: one task a listener, which hands every accepted socket on.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

/// After an accept has failed for want of resources.
const PAUSE: Duration = Duration::from_millis(50);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Binds; an address in use is an error that says so.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts for ever, and hands each socket with the client's address to `hand_on`.
pub async fn accept(listener: TcpListener, mut hand_on: impl FnMut(TcpStream, SocketAddr)) {
    loop {
        match listener.accept().await {
            Ok((socket, address)) => hand_on(socket, address),
            Err(error) => {
                // Out of file descriptors or memory: the next accept would fail at once again.
                warn!("accept failed: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
