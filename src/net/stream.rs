//! One byte stream to a peer. What is behind it (plain TCP today) is known only here.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connected stream.
#[derive(Debug)]
pub struct Stream(TcpStream);

impl Stream {
    /// Takes over a connected socket. Small packets must not wait for each other, and a peer that vanishes must be noticed some day.
    pub fn new(socket: TcpStream) -> Self {
        // Without these the stream is slower, or kept longer, not wrong.
        let _ = socket.set_nodelay(true);
        let _ = rustix::net::sockopt::set_socket_keepalive(&socket, true);
        Self(socket)
    }

    /// Takes over a client's socket, which has all that from its listener.
    pub fn accepted(socket: TcpStream) -> Self {
        Self(socket)
    }

    /// Connects to `host:port`.
    pub async fn dial(address: Box<str>) -> io::Result<Self> {
        match address.parse::<std::net::SocketAddr>() {
            Ok(address) => TcpStream::connect(address).await.map(Self::new),
            Err(_) => TcpStream::connect(&*address).await.map(Self::new),
        }
    }

    /// Closes at once. The system would go on sending what the peer has not acknowledged, for minutes if need be.
    pub fn abort(self) {
        // A stream that is broken already sends nothing.
        let _ = self.0.set_zero_linger();
    }

    /// Reads into `buffer`; 0 bytes mean that the peer has closed.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut self.0).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.filled().len())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Reads into `buffer`; 0 bytes mean that the peer has closed. Nothing is lost if the future is dropped.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context, buffer)).await
    }

    /// Writes some of `bytes`, as soon as the peer takes any.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_write(context, bytes)).await
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

    /// Writes some of `bytes`.
    pub fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }
}
