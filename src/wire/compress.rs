//! The compressed protocol (pure): frames below the packets, on from the end of a login that asked for it.
//!
//! A frame has seven bytes of header (length, a sequence number of its own, length before compression) and carries a
//! piece of the stream of packets, whatever their borders. A second length of 0 means that it is not compressed.
//! Source: `net_real_write` and `my_real_read` in the server's sql/net_serv.cc.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::Malformed;
use super::packet::PAYLOAD_MAX;

/// Length of a frame's header in bytes.
const HEADER: usize = 7;
/// Shorter pieces are sent as they are (server: `MIN_COMPRESS_LENGTH`).
const COMPRESS_MIN: usize = 50;

/// One side of a compressed connection.
#[derive(Debug, Default)]
pub struct Frames {
    /// What has come and was not taken out: at most a frame and what was read with its end.
    inbox: Vec<u8>,
    /// What is to go into one frame.
    outbox: Vec<u8>,
    /// Number of the last frame taken out.
    last_in: u8,
    /// Number of the next frame put.
    next_out: u8,
}

impl Frames {
    /// Takes in bytes of the peer.
    pub fn take_in(&mut self, bytes: &[u8]) {
        self.inbox.extend_from_slice(bytes);
    }

    /// Appends what the next whole frame carries to `out`; whether there was one.
    pub fn take_out(&mut self, out: &mut Vec<u8>) -> Result<bool, Malformed> {
        let Some(&[a, b, c, number, d, e, f]) = self.inbox.first_chunk() else { return Ok(false) };
        let end = HEADER + u24([a, b, c]);
        let Some(body) = self.inbox.get(HEADER..end) else { return Ok(false) };
        self.last_in = number;
        match u24([d, e, f]) {
            0 => out.extend_from_slice(body),
            length => inflate(body, length, out)?,
        }
        self.inbox.drain(..end);
        if self.inbox.is_empty() {
            self.inbox = Vec::new();
        }
        Ok(true)
    }

    /// What is put from here on answers what was taken out last.
    pub fn turn(&mut self) {
        self.next_out = self.last_in.wrapping_add(1);
    }

    /// Puts bytes into frames that are appended to `out`. With `more` to come at once they wait for it, to share a frame.
    pub fn put(&mut self, bytes: &[u8], more: bool, out: &mut Vec<u8>) {
        self.outbox.extend_from_slice(bytes);
        if !more {
            let plain = std::mem::take(&mut self.outbox);
            plain.chunks(PAYLOAD_MAX).for_each(|piece| self.put_frame(piece, out));
        }
    }

    fn put_frame(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let deflated = deflate(plain);
        let (body, before) = deflated.as_deref().map_or((plain, 0), |deflated| (deflated, plain.len()));
        out.extend_from_slice(&body.len().to_le_bytes()[..3]);
        out.push(self.next_out);
        out.extend_from_slice(&before.to_le_bytes()[..3]);
        out.extend_from_slice(body);
        self.next_out = self.next_out.wrapping_add(1);
    }
}

fn u24([a, b, c]: [u8; 3]) -> usize {
    usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16
}

/// `None` if it would not get shorter.
fn deflate(plain: &[u8]) -> Option<Vec<u8>> {
    if plain.len() < COMPRESS_MIN {
        return None;
    }
    let mut out = Vec::with_capacity(plain.len() - 1);
    let ended = Compress::new(Compression::default(), true).compress_vec(plain, &mut out, FlushCompress::Finish);
    (matches!(ended, Ok(Status::StreamEnd)) && out.len() < plain.len()).then_some(out)
}

/// Exactly `length` bytes must come out of it.
fn inflate(body: &[u8], length: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let start = out.len();
    out.reserve_exact(length);
    let ended = Decompress::new(true).decompress_vec(body, out, FlushDecompress::Finish);
    let whole = matches!(ended, Ok(Status::StreamEnd)) && out.len() - start == length;
    if whole { Ok(()) } else { Err(Malformed("a compressed frame is not what its header says")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut frames, mut out) = (Frames::default(), Vec::new());
        pieces.iter().for_each(|piece| frames.put(piece, false, &mut out));
        out
    }

    /// What comes out of a stream that comes in pieces of this length.
    fn plain(stream: &[u8], piece: usize) -> Result<Vec<u8>, Malformed> {
        let (mut frames, mut out) = (Frames::default(), Vec::new());
        for piece in stream.chunks(piece) {
            frames.take_in(piece);
            while frames.take_out(&mut out)? {}
        }
        assert!(frames.inbox.is_empty());
        Ok(out)
    }

    /// Bytes that no compression makes shorter.
    fn noise(length: usize) -> Vec<u8> {
        let step = |state: &u64| {
            let state = state ^ state << 13;
            let state = state ^ state >> 7;
            Some(state ^ state << 17)
        };
        std::iter::successors(Some(88_172_645_463_325_252), step).map(|state| state as u8).take(length).collect()
    }

    #[test]
    fn comes_out_as_it_went_in_whatever_the_pieces() {
        let text = b"SELECT 1 FROM t ".repeat(100);
        let noise = noise(3000);
        let stream = framed(&[b"short", &text, &noise, b""]);
        let expected = [&b"short"[..], &text, &noise].concat();
        assert!(stream.len() < 5 + text.len() / 4 + noise.len() + 4 * HEADER, "{}", stream.len());
        for piece in [1, 2, 6, 7, 8, 1000, stream.len()] {
            assert_eq!(plain(&stream, piece).as_deref(), Ok(&*expected), "{piece}");
        }
    }

    #[test]
    fn more_than_a_frame_holds_takes_several() {
        let long = vec![b'x'; PAYLOAD_MAX + 10];
        assert_eq!(plain(&framed(&[&long]), 1 << 20).map(|out| out == long), Ok(true));
    }

    #[test]
    fn what_comes_together_shares_a_frame() {
        let (mut frames, mut out) = (Frames::default(), Vec::new());
        frames.put(b"one", true, &mut out);
        assert!(out.is_empty());
        frames.put(b"two", false, &mut out);
        assert_eq!(out, b"\x06\0\0\0\0\0\0onetwo");
    }

    #[test]
    fn an_answer_goes_on_counting_where_the_question_ended() {
        let (mut frames, mut out) = (Frames::default(), Vec::new());
        frames.take_in(b"\x01\0\0\0\0\0\0a\x01\0\0\xff\0\0\0b");
        assert_eq!(frames.take_out(&mut out), Ok(true));
        frames.turn();
        let mut answer = Vec::new();
        frames.put(b"A", false, &mut answer);
        assert_eq!(frames.take_out(&mut out), Ok(true), "read ahead");
        frames.put(b"B", false, &mut answer);
        frames.turn();
        frames.put(b"C", false, &mut answer);
        assert_eq!(answer, b"\x01\0\0\x01\0\0\0A\x01\0\0\x02\0\0\0B\x01\0\0\0\0\0\0C");
        assert_eq!(out, b"ab");
    }

    #[test]
    fn a_frame_that_lies_is_garbled() {
        let honest = framed(&[&b"x".repeat(1000)]);
        let with = |place: usize, byte: u8| {
            let mut frame = honest.clone();
            frame[place] = byte;
            frame
        };
        for (what, frame) in [
            ("longer than said", with(4, 1)),
            ("shorter than said", with(6, 0xff)),
            ("no zlib", with(HEADER, 0)),
            ("a wrong checksum", with(honest.len() - 1, !honest[honest.len() - 1])),
        ] {
            assert!(plain(&frame, frame.len()).is_err(), "{what}");
        }
        assert!(plain(&honest, 3).is_ok());
    }
}
