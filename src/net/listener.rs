//! Taking clients from a listening socket; each is handed on.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tracing::warn;

use super::clock::Clock;

/// After an accept has failed for want of resources.
const PAUSE: Duration = Duration::from_millis(50);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Binds; an address in use is an error that says so. Clients' sockets inherit the options that streams are to have.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Accepts for ever, and hands each socket with the client's address to `hand_on`.
pub async fn accept(listener: TcpListener, clock: &Clock, mut hand_on: impl FnMut(TcpStream, SocketAddr)) {
    loop {
        match listener.accept().await {
            Ok((socket, address)) => hand_on(socket, address),
            Err(error) => {
                // Out of file descriptors or memory: the next accept would fail at once again.
                warn!("accept failed: {error}");
                clock.sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt;
    use tokio::runtime::Builder;
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn clients_inherit_what_streams_need() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let socket = runtime.block_on(async {
            let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let listener = TcpListener::from_std(listener).unwrap();
            let (sender, mut accepted) = mpsc::unbounded_channel();
            let clock = Clock::current();
            let accepting = accept(listener, &clock, |socket, address| sender.send((socket, address)).unwrap());
            tokio::select! {
                () = accepting => None,
                accepted = accepted.recv() => {
                    let (socket, address) = accepted.unwrap();
                    assert_eq!(address, client.local_addr().unwrap());
                    Some(socket)
                }
                () = tokio::time::sleep(Duration::from_secs(10)) => None,
            }
        });
        let socket = socket.unwrap();
        assert!(sockopt::tcp_nodelay(&socket).unwrap() && sockopt::socket_keepalive(&socket).unwrap());
    }
}
