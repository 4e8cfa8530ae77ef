//! One byte stream to a peer. What is behind it is known only here: plain TCP, or TLS on it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::peer::Peer;
use super::tls::{ClientTls, Fingerprint, Handshake, Rewound, ServerTls};
use crate::wire::proxy_header;

/// A connected stream.
pub struct Stream(Transport);

/// What TLS needs is on the heap, so that plain streams stay small.
enum Transport {
    Plain(TcpStream),
    Shaking(Box<Handshake>),
    Secure(Box<TlsStream<Rewound>>),
    /// It has gone into another transport.
    Gone,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Transport::Plain(_) => "Stream(plain)",
            Transport::Shaking(_) | Transport::Secure(_) => "Stream(TLS)",
            Transport::Gone => "Stream(gone)",
        })
    }
}

impl Stream {
    /// Takes over a connected socket. Small packets must not wait for each other, and a peer that vanishes must be noticed some day.
    pub fn new(socket: TcpStream) -> Self {
        // Without these the stream is slower, or kept longer, not wrong.
        let _ = socket.set_nodelay(true);
        let _ = rustix::net::sockopt::set_socket_keepalive(&socket, true);
        Self(Transport::Plain(socket))
    }

    /// Takes over a client's socket, which has all that from its listener.
    pub fn accepted(socket: TcpStream) -> Self {
        Self(Transport::Plain(socket))
    }

    /// Connects to `host:port`, and says there in whose name, if in anybody's.
    pub async fn dial(address: Box<str>, client: Option<SocketAddr>) -> io::Result<Self> {
        let socket = match address.parse::<SocketAddr>() {
            Ok(address) => TcpStream::connect(address).await?,
            Err(_) => TcpStream::connect(&*address).await?,
        };
        let mut stream = Self::new(socket);
        if client.is_some() {
            stream.write_all(&proxy_header::header(client)?).await?;
        }
        Ok(stream)
    }

    /// From here on all is TLS, this side as the server, by this certificate; none if it was not plain before.
    pub fn secure(&mut self, tls: &ServerTls) -> Option<Fingerprint> {
        match std::mem::replace(&mut self.0, Transport::Gone) {
            Transport::Plain(socket) => {
                let (handshake, shown) = tls.accept(socket);
                self.0 = Transport::Shaking(Box::new(handshake));
                Some(shown)
            }
            other => {
                self.0 = other;
                None
            }
        }
    }

    /// From here on all is TLS with the node at `host:port`.
    pub fn secure_to(&mut self, tls: &ClientTls, address: &str) -> io::Result<()> {
        if let Transport::Plain(socket) = std::mem::replace(&mut self.0, Transport::Gone) {
            self.0 = Transport::Shaking(Box::new(tls.connect(socket, address)?));
        }
        Ok(())
    }

    /// Gives back what was read of a stream before it was [`secure`](Self::secure).
    pub fn rewind(&mut self, bytes: &[u8]) {
        if let Transport::Shaking(handshake) = &mut self.0 {
            handshake.rewind(bytes);
        }
    }

    /// What the other side of TLS is known by, once the handshake with a client is done.
    pub fn peer(&self) -> Option<Peer> {
        match &self.0 {
            Transport::Secure(tls) => match &**tls {
                TlsStream::Server(tls) => Some(Peer::of(tls.get_ref().1)),
                TlsStream::Client(_) => None,
            },
            _ => None,
        }
    }

    /// Closes at once. The system would go on sending what the peer has not acknowledged, for minutes if need be.
    pub fn abort(self) {
        let socket = match &self.0 {
            Transport::Plain(socket) => Some(socket),
            Transport::Shaking(handshake) => handshake.socket(),
            Transport::Secure(tls) => Some(&tls.get_ref().0.socket),
            Transport::Gone => None,
        };
        // A stream that is broken already sends nothing.
        let _ = socket.map(TcpStream::set_zero_linger);
    }

    /// Reads into `buffer`; 0 bytes mean that the peer has closed.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let read = match &mut self.0 {
            Transport::Plain(socket) => Pin::new(socket).poll_read(context, &mut buffer),
            _ => self.poll_read_secure(context, &mut buffer),
        };
        read.map_ok(|()| buffer.filled().len())
    }

    fn poll_read_secure(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(tls) = ready!(self.poll_shaken(context)?) else { return Poll::Ready(Ok(())) };
        match Pin::new(&mut *tls).poll_read(context, buffer) {
            // Who closes without saying so within TLS has closed, too: no packet is taken before all of it is there.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            // What is encrypted and not sent yet goes on its way, and with it what TLS itself answers to what has come.
            Poll::Pending => {
                let _ = Pin::new(tls).poll_flush(context)?;
                Poll::Pending
            }
            read => read,
        }
    }

    /// The TLS stream once its handshake is done; none if there is nothing left to use.
    fn poll_shaken(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<&mut TlsStream<Rewound>>>> {
        if let Transport::Shaking(handshake) = &mut self.0 {
            self.0 = match ready!(handshake.poll(context)) {
                Ok(tls) => Transport::Secure(Box::new(tls)),
                Err(error) => {
                    self.0 = Transport::Gone;
                    return Poll::Ready(Err(error));
                }
            };
        }
        Poll::Ready(Ok(match &mut self.0 {
            Transport::Secure(tls) => Some(tls),
            _ => None,
        }))
    }

    /// Reads into `buffer`; 0 bytes mean that the peer has closed. Nothing is lost if the future is dropped.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context, buffer)).await
    }

    /// Writes some of `bytes`, as soon as the peer takes any.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = poll_fn(|context| self.poll_write(context, bytes)).await?;
        poll_fn(|context| self.poll_flush(context)).await?;
        Ok(written)
    }

    /// Writes all of `bytes`.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(bytes).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => bytes = &bytes[written..],
            }
        }
        Ok(())
    }

    /// Writes some of `bytes`. With TLS some of them may wait here until [`poll_flush`](Self::poll_flush) is ready.
    pub fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Transport::Plain(socket) = &mut self.0 {
            return Pin::new(socket).poll_write(context, bytes);
        }
        match ready!(self.poll_shaken(context)?) {
            Some(tls) => Pin::new(tls).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Ready when the system has all that was written.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Transport::Secure(tls) => Pin::new(tls).poll_flush(context),
            // What is written during the handshake has not been taken.
            Transport::Plain(_) | Transport::Shaking(_) | Transport::Gone => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_stream_is_little_more_than_its_socket() {
        assert!(size_of::<Stream>() <= size_of::<TcpStream>() + size_of::<usize>());
    }
}
