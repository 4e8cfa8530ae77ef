//! One side of a relay: a stream, what was read from it but could not be used yet, and what could not be written yet.
//!
//! Bytes are read into a buffer of the caller's, shared by all pipes of a worker, so an idle pipe holds none. Invariants:
//! `held` is what is to be seen again before anything new; while `blocked` is not empty nothing is written past it.

use std::task::{Context, Poll};

use super::peer::Peer;
use super::stream::Stream;
use super::tls::{ClientTls, Fingerprint, ServerTls};
use crate::wire::compress::Frames;

/// Least room for new bytes in the shared buffer.
const ROOM_MIN: usize = 16 << 10;

/// A side of a relay.
#[derive(Debug)]
pub struct Pipe {
    stream: Stream,
    held: Vec<u8>,
    blocked: Vec<u8>,
    written: usize,
    moved: usize,
    broken: bool,
    /// The stream has taken what it has not sent yet.
    unsent: bool,
    frames: Option<Box<Frames>>,
}

/// What filling the shared buffer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// This many bytes are at the front of the buffer, what was held first.
    Bytes(usize),
    /// The peer has closed, or the stream broke.
    Closed,
    /// What it sent can't be decompressed.
    Garbled,
}

impl Pipe {
    /// A pipe with nothing in it.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            held: Vec::new(),
            blocked: Vec::new(),
            written: 0,
            moved: 0,
            broken: false,
            unsent: false,
            frames: None,
        }
    }

    /// Reads more behind what is held. The buffer grows if that needs it.
    pub fn poll_fill(&mut self, context: &mut Context<'_>, buffer: &mut Vec<u8>) -> Poll<Fill> {
        if self.broken {
            return Poll::Ready(Fill::Closed);
        }
        if self.frames.is_some() {
            return self.poll_fill_compressed(context, buffer);
        }
        let held = self.held.len();
        if buffer.len() < held + ROOM_MIN {
            buffer.resize((held + ROOM_MIN).next_power_of_two(), 0);
        }
        match self.stream.poll_read(context, &mut buffer[held..]) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Fill::Closed),
            Poll::Ready(Ok(read)) => {
                self.unhold(buffer);
                self.moved = self.moved.wrapping_add(read);
                Poll::Ready(Fill::Bytes(held + read))
            }
        }
    }

    fn poll_fill_compressed(&mut self, context: &mut Context<'_>, buffer: &mut Vec<u8>) -> Poll<Fill> {
        let Some(frames) = &mut self.frames else { return Poll::Pending };
        loop {
            let mut plain = Vec::new();
            match frames.take_out(&mut plain) {
                Err(_) => {
                    frames.turn();
                    return Poll::Ready(Fill::Garbled);
                }
                Ok(true) if !plain.is_empty() => {
                    let held = self.held.len();
                    self.held.extend_from_slice(&plain);
                    self.unhold(buffer);
                    return Poll::Ready(Fill::Bytes(held + plain.len()));
                }
                Ok(true) => {}
                Ok(false) => {
                    let room = buffer.len().max(ROOM_MIN);
                    buffer.resize(room, 0);
                    match self.stream.poll_read(context, buffer) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Fill::Closed),
                        Poll::Ready(Ok(read)) => {
                            frames.take_in(&buffer[..read]);
                            self.moved = self.moved.wrapping_add(read);
                        }
                    }
                }
            }
        }
    }

    /// From here on bytes come and go in TLS, this side as the server, by this certificate; none if they did before.
    pub fn secure(&mut self, tls: &ServerTls) -> Option<Fingerprint> {
        self.stream.secure(tls)
    }

    /// What a client that speaks TLS is known by, once the handshake is done.
    pub fn peer(&self) -> Option<Peer> {
        self.stream.peer()
    }

    /// From here on bytes come and go in TLS with the node at `host:port`.
    pub fn secure_to(&mut self, tls: &ClientTls, address: &str) {
        // Who is no host name has no certificate.
        self.broken |= self.stream.secure_to(tls, address).is_err();
    }

    /// Gives back what was read before the pipe was [`secure`](Self::secure).
    pub fn rewind(&mut self, bytes: &[u8]) {
        self.stream.rewind(bytes);
    }

    /// From here on bytes come and go in compressed frames.
    pub fn compress(&mut self) {
        if self.frames.is_none() {
            let mut frames = Frames::default();
            frames.take_in(&std::mem::take(&mut self.held));
            self.frames = Some(Box::new(frames));
        }
    }

    /// What is written from here on answers what was read last.
    pub fn turn(&mut self) {
        if let Some(frames) = &mut self.frames {
            frames.turn();
        }
    }

    /// Puts what is held to the front of the buffer again; returns how much that is.
    pub fn unhold(&mut self, buffer: &mut Vec<u8>) -> usize {
        let held = std::mem::take(&mut self.held);
        if buffer.len() < held.len() {
            buffer.resize(held.len(), 0);
        }
        buffer[..held.len()].copy_from_slice(&held);
        held.len()
    }

    /// Keeps bytes until more have come, or until they can be used.
    pub fn hold(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.held.extend_from_slice(bytes);
        }
    }

    /// How many bytes are held.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Writes, and keeps what the stream does not take. With `more` to come at once, waits for that to save a system call.
    pub fn write(&mut self, context: &mut Context<'_>, bytes: &[u8], more: bool) {
        if let Some(frames) = &mut self.frames {
            if !self.broken {
                frames.put(bytes, more, &mut self.blocked);
                let _ = self.poll_drain(context);
            }
            return;
        }
        let mut rest = bytes;
        if self.blocked.is_empty() && !more && !self.broken {
            match self.stream.poll_write(context, rest) {
                Poll::Ready(Ok(written)) => {
                    rest = &rest[written..];
                    self.send(context);
                }
                Poll::Ready(Err(_)) => self.broken = true,
                Poll::Pending => {}
            }
        }
        if !self.broken && !rest.is_empty() {
            self.blocked.extend_from_slice(rest);
            if !more {
                let _ = self.poll_drain(context);
            }
        }
    }

    /// Writes what is kept. Ready when nothing is left, or nothing can be written any more.
    pub fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.broken && self.written < self.blocked.len() {
            match self.stream.poll_write(context, &self.blocked[self.written..]) {
                Poll::Ready(Ok(written)) if written > 0 => {
                    self.written += written;
                    self.moved = self.moved.wrapping_add(written);
                }
                Poll::Ready(_) => self.broken = true,
                Poll::Pending => return Poll::Pending,
            }
        }
        self.written = 0;
        self.blocked = Vec::new();
        self.send(context);
        if self.is_blocked() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Has the stream send what it has taken.
    fn send(&mut self, context: &mut Context<'_>) {
        match self.stream.poll_flush(context) {
            Poll::Ready(Ok(())) => self.unsent = false,
            Poll::Ready(Err(_)) => self.broken = true,
            Poll::Pending => self.unsent = true,
        }
    }

    /// The stream alone; what is held and what is blocked is gone.
    pub fn into_stream(self) -> Stream {
        self.stream
    }

    /// Bytes read, and bytes written late, so far; wraps.
    pub fn moved(&self) -> usize {
        self.moved
    }

    /// Closes at once: what the peer has not got yet, it never gets.
    pub fn abort(self) {
        self.stream.abort();
    }

    /// Writes and reads nothing any more.
    pub fn give_up(&mut self) {
        self.broken = true;
    }

    /// Whether writing waits for the peer.
    pub fn is_blocked(&self) -> bool {
        (!self.blocked.is_empty() || self.unsent) && !self.broken
    }

    /// Whether a write has failed.
    pub fn is_broken(&self) -> bool {
        self.broken
    }
}
