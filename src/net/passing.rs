//! Open sockets that go from one process to another over a unix socket, with a few words.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Sockets that go at once, at most.
pub const SOCKETS_MAX: usize = 128;
/// The words with them, in bytes, at most.
const WORDS_MAX: usize = 256;

/// Sends sockets. Both processes have them afterwards.
pub async fn pass(stream: &UnixStream, words: &str, sockets: &[impl AsFd]) -> io::Result<()> {
    let borrowed: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    let write = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)) {
            return Err(io::Error::other(format!("more than {SOCKETS_MAX} sockets")));
        }
        Ok(sendmsg(stream, &[IoSlice::new(words.as_bytes())], &mut ancillary, SendFlags::NOSIGNAL)?)
    };
    match stream.async_io(Interest::WRITABLE, write).await? {
        count if count == words.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Receives what one call of [`pass`] has sent; nothing must have been sent after it.
pub async fn receive(stream: &UnixStream) -> io::Result<(String, Vec<OwnedFd>)> {
    let read = || {
        let mut words = [0; WORDS_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut buffers = [IoSliceMut::new(&mut words)];
        let count = recvmsg(stream, &mut buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?.bytes;
        let mut sockets = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = message {
                sockets.extend(passed);
            }
        }
        Ok((String::from_utf8_lossy(&words[..count]).into_owned(), sockets))
    };
    stream.async_io(Interest::READABLE, read).await
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn who_has_been_passed_a_listener_takes_its_clients() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let (here, there) = UnixStream::pair().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let early = TcpStream::connect(address).unwrap();
            pass(&here, "all yours\n", &[listener]).await.unwrap();
            let (words, mut sockets) = receive(&there).await.unwrap();
            assert_eq!((&*words, sockets.len()), ("all yours\n", 1));
            let listener = TcpListener::from(sockets.remove(0));
            assert_eq!(listener.local_addr().unwrap(), address);
            let (client, from) = listener.accept().unwrap();
            assert_eq!(from, early.local_addr().unwrap());
            drop(client);
            assert_eq!((&early).read(&mut [0]).unwrap(), 0);
            drop(here);
            let (words, sockets) = receive(&there).await.unwrap();
            assert!(words.is_empty() && sockets.is_empty(), "the other side has gone");
        });
    }
}
