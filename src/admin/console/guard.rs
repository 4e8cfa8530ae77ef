//! What a client of the console may send: short packets, in their order. The protocol's crate trusts its peers beyond that.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::wire::command::STMT_SEND_LONG_DATA;
use crate::wire::packet::{HEADER, Header};

/// The longest packet that a client may send, in bytes: it has questions, not data.
const PACKET_MAX: usize = 64 << 10;

/// A reader that fails where the bytes are none that the console takes.
pub(super) struct Guard<R> {
    reader: R,
    packets: Packets,
}

impl<R> Guard<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, packets: Packets::default() }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Guard<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.reader).poll_read(context, into))?;
        let new = &into.filled()[before..];
        Poll::Ready(self.packets.pass(new).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why)))
    }
}

/// How far the packets have come.
#[derive(Default)]
struct Packets {
    header: [u8; HEADER],
    /// Bytes of the header that are there.
    known: usize,
    /// Bytes of the packet that are to come.
    left: usize,
    /// The next byte is a packet's first.
    is_first: bool,
}

impl Packets {
    fn pass(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.left > 0 {
                if std::mem::take(&mut self.is_first) && byte == STMT_SEND_LONG_DATA && self.header[HEADER - 1] == 0 {
                    return Err("the console takes no parameters");
                }
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = &bytes[taken..];
                continue;
            }
            self.header[self.known] = byte;
            self.known += 1;
            bytes = rest;
            if self.known == HEADER {
                self.begin()?;
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), &'static str> {
        let Some(header) = Header::parse(&self.header) else { return Ok(()) };
        // A login takes three at most; commands begin anew.
        if header.sequence > 3 {
            return Err("packets out of order");
        }
        if header.length > PACKET_MAX {
            return Err("a longer packet than the console takes");
        }
        (self.known, self.left, self.is_first) = (0, header.length, true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_packets_in_order_pass() {
        let long = [&[1, 0, 1, 0][..], &[0; 1 << 16], &[0]].concat();
        for (bytes, passes) in [
            (&b"\x01\0\0\0\x0e\x02\0\0\x01ab\0\0\0\0"[..], true),
            (b"\x01\0\0\x03\x0e", true),
            (b"\x01\0\0\x04\x0e", false),
            (b"\x01\0\0\xff\x0e", false),
            (b"\xff\xff\xff\0\x03", false),
            (&long, false),
            (b"\x02\0\0\0\x18a", false),
            (b"\x02\0\0\x01\x18a", true),
        ] {
            for step in [1, 2, 3, bytes.len()] {
                let mut packets = Packets::default();
                let passed = bytes.chunks(step).try_for_each(|piece| packets.pass(piece));
                assert_eq!(passed.is_ok(), passes, "{:?} by {step}", bytes.get(..8));
            }
        }
    }
}
