//! A stream of bytes as sockets deliver it: whole, byte by byte, in pieces of any size.

#![allow(dead_code, reason = "each user takes a part")]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use oarlock::wire::packet::{HEADER, Header, PAYLOAD_MAX};

use crate::dice::Dice;

/// What bodies that are not written down consist of.
static BODY: LazyLock<Vec<u8>> = LazyLock::new(|| vec![0; PAYLOAD_MAX]);
/// Behind bytes that nobody took yet no more than this comes at once, in bytes: they have to be joined.
const JOINED_MAX: usize = 4 << 10;

/// Packets, written down in little: a body of which not all is there is not there at all, and stands for zeros. So four bytes
/// can be a packet of 16 MiB, and eight a chain.
pub struct Stream<'a> {
    headers: Vec<Header>,
    segments: Vec<Segment<'a>>,
}

enum Segment<'a> {
    Bytes(&'a [u8]),
    Body(usize),
}

impl<'a> Stream<'a> {
    /// Reads what was written down.
    pub fn read(mut data: &'a [u8]) -> Self {
        let (mut headers, mut segments, mut at) = (Vec::new(), Vec::new(), 0);
        while let Some(header) = Header::parse(&data[at..]) {
            headers.push(header);
            if header.total() <= data.len() - at {
                at += header.total();
            } else {
                let (bytes, rest) = data.split_at(at + HEADER);
                segments.extend([Segment::Bytes(bytes), Segment::Body(header.length)]);
                (data, at) = (rest, 0);
            }
        }
        segments.push(Segment::Bytes(data));
        Self { headers, segments }
    }

    /// The headers of its packets.
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// Delivers it. `take` is given what has come and was not taken yet; it says how many bytes at the front it has done with,
    /// `None` to stop. Nobody may leave more than `held_max` bytes.
    pub fn deliver(&self, cutting: &mut Cutting, held_max: usize, mut take: impl FnMut(&[u8]) -> Option<usize>) {
        let mut held = Vec::new();
        for segment in &self.segments {
            let mut rest = match segment {
                Segment::Bytes(bytes) => bytes,
                Segment::Body(length) => &BODY[..*length],
            };
            while !rest.is_empty() {
                let limit = if held.is_empty() { rest.len() } else { rest.len().min(JOINED_MAX) };
                let (piece, tail) = rest.split_at(cutting.next(limit));
                rest = tail;
                if held.is_empty() {
                    let Some(taken) = take(piece) else { return };
                    held.extend_from_slice(&piece[taken..]);
                } else {
                    held.extend_from_slice(piece);
                    let Some(taken) = take(&held) else { return };
                    held.drain(..taken);
                }
                assert!(held.len() <= held_max, "{} bytes are held", held.len());
            }
        }
    }
}

/// Where a stream is cut.
pub enum Cutting {
    /// Nowhere.
    Whole,
    /// Behind each byte, within long bodies only at their edges.
    Bytes,
    /// Anywhere.
    Random(Dice),
}

impl Cutting {
    /// Those that are to give what one piece gives.
    pub fn all(data: &[u8]) -> [Self; 3] {
        [Self::Bytes, Self::Random(Dice::new(seed(data))), Self::Random(Dice::new(!seed(data)))]
    }

    /// The length of the next piece, of this many bytes.
    pub fn next(&mut self, left: usize) -> usize {
        match self {
            Self::Whole => left,
            Self::Bytes if left > 1 << 10 => left - 9,
            Self::Bytes => 1,
            Self::Random(dice) => {
                let most = *dice.pick(&[4, 50, 5000, usize::MAX]);
                1 + dice.below(left.min(most))
            }
        }
    }
}

/// A number that is the same for the same bytes.
pub fn seed(data: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    hasher.finish()
}
