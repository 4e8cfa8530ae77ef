//! Packets and uploads: where each ends is what its headers say, however the bytes come.
//!
//! Input: a byte that says what kind of upload it is, a stream.

use oarlock::wire::packet::{self, HEADER, Header};
use oarlock::wire::upload::Upload;

use crate::pieces::{Cutting, Stream};

/// Any bytes will do.
pub fn holds(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let stream = Stream::read(rest);
    let file = kind & 1 == 1;
    let expected = end(&stream, file);
    assert_eq!(follow(&stream, file, &mut Cutting::Whole), expected);
    for mut cutting in Cutting::all(data) {
        assert_eq!(follow(&stream, file, &mut cutting), expected);
    }
    copies_are_the_same(rest);
}

/// How much of a stream an upload is, whether that is all of it, and the number of what answers it.
#[derive(Debug, PartialEq, Eq)]
struct End {
    length: usize,
    complete: bool,
    answer: u8,
}

/// The end by the headers alone: a command ends with a packet that is not full, a file with an empty one that ends no chain.
fn end(stream: &Stream, file: bool) -> End {
    let (mut length, mut chained, mut answer) = (0, false, 1);
    for header in stream.headers() {
        length += header.total();
        answer = header.sequence.wrapping_add(1);
        let complete = if file { header.length == 0 && !chained } else { !header.continued() };
        if complete {
            return End { length, complete, answer };
        }
        chained = header.continued();
    }
    End { length, complete: false, answer }
}

fn follow(stream: &Stream, file: bool, cutting: &mut Cutting) -> End {
    let mut upload = if file { Upload::file(0, false) } else { Upload::command() };
    let mut length = 0;
    // Only what may be the start of a header waits.
    stream.deliver(cutting, HEADER - 1, |bytes| {
        let taken = upload.advance(bytes);
        length += taken;
        assert_eq!(upload.is_fresh(), length == 0);
        (!upload.is_complete()).then_some(taken)
    });
    End { length, complete: upload.is_complete(), answer: upload.next_sequence() }
}

/// Packets that were read and written again are the same bytes.
fn copies_are_the_same(bytes: &[u8]) {
    let (mut copy, mut at) = (Vec::new(), 0);
    while let Some((header, payload)) = packet::first(&bytes[at..]) {
        let next = packet::put(&mut copy, header.sequence, |out| out.extend_from_slice(payload));
        assert_eq!(next, header.sequence.wrapping_add(1));
        at += header.total();
    }
    assert_eq!(copy, bytes[..at]);
    assert!(Header::parse(&bytes[at..]).is_none_or(|header| header.total() > bytes.len() - at));
}
