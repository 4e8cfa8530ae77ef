//! Replies: what they consist of and where they end does not depend on how the bytes come, and little is held.
//!
//! Input: the reply's shape, the connection's capabilities, a stream.

use oarlock::wire::Malformed;
use oarlock::wire::capability::Capabilities;
use oarlock::wire::packet::HEADER;
use oarlock::wire::reply::{Kind, ReplyTracker, STATUS_PACKET_MAX, Shape};

use crate::pieces::{Cutting, Stream};

/// In the order of their numbers in an input.
pub const SHAPES: [Shape; 6] = [Shape::Ok, Shape::Text, Shape::Results, Shape::Prepare, Shape::Fields, Shape::Rows];
/// By the bits of an input's second byte.
pub const CAPABILITIES: [Capabilities; 3] =
    [Capabilities::DEPRECATE_EOF, Capabilities::CACHE_METADATA, Capabilities::PROGRESS];

/// Any bytes will do.
pub fn holds(data: &[u8]) {
    let [shape, flags, rest @ ..] = data else { return };
    let shape = SHAPES[usize::from(*shape) % SHAPES.len()];
    let with = |bit: &usize| flags & 1 << *bit != 0;
    let capabilities = (0..CAPABILITIES.len()).filter(with).map(|bit| CAPABILITIES[bit]).collect();
    let stream = Stream::read(rest);
    let whole = follow(&stream, shape, capabilities, &mut Cutting::Whole);
    for mut cutting in Cutting::all(data) {
        assert_eq!(follow(&stream, shape, capabilities, &mut cutting), whole);
    }
}

/// What a reply consists of.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// Where each packet stands that carries a status.
    pub status: Vec<(usize, Kind)>,
    /// How many bytes were passed on in all.
    pub length: usize,
    /// How it ended, if it did.
    pub end: Option<Result<(), Malformed>>,
}

/// Follows a reply.
pub fn follow(stream: &Stream, shape: Shape, capabilities: Capabilities, cutting: &mut Cutting) -> Told {
    let mut tracker = ReplyTracker::idle(capabilities);
    tracker.begin(shape);
    let mut told = Told { status: Vec::new(), length: 0, end: None };
    stream.deliver(cutting, HEADER + STATUS_PACKET_MAX, |bytes| {
        let mut at = 0;
        loop {
            match tracker.next(&bytes[at..]) {
                Ok(Some(part)) => {
                    assert!(part.length > 0 && part.length <= bytes.len() - at);
                    if part.kind != Kind::Opaque {
                        told.status.push((told.length, part.kind));
                    }
                    if part.kind == Kind::Infile {
                        tracker.resume_after_upload();
                    }
                    at += part.length;
                    told.length += part.length;
                }
                Ok(None) => break,
                Err(malformed) => {
                    told.end = Some(Err(malformed));
                    return None;
                }
            }
        }
        if tracker.is_done() {
            told.end = Some(Ok(()));
            return None;
        }
        Some(at)
    });
    told
}
