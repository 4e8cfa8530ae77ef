//! Each reply shape as packets, in pieces of every size; nonsense; noise.

use super::*;
use crate::wire::packet::put;

const OLD: Capabilities = Capabilities::PROTOCOL_41;
const NEW: Capabilities = Capabilities::DEPRECATE_EOF;

fn packets(payloads: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut sequence = 1;
    for payload in payloads {
        sequence = put(&mut out, sequence, |out| out.extend_from_slice(payload));
    }
    out
}

/// Scans `bytes` in pieces; the kinds in order, opaque runs joined, and how much was taken.
fn scan(shape: Shape, capabilities: Capabilities, bytes: &[u8], piece: usize) -> Result<(Vec<Kind>, usize), Malformed> {
    let mut tracker = ReplyTracker::idle(capabilities);
    tracker.begin(shape);
    let (mut kinds, mut at, mut end) = (Vec::new(), 0, 0);
    loop {
        match tracker.next(&bytes[at..end])? {
            Some(part) => {
                assert!(part.length <= end - at);
                at += part.length;
                if part.kind != Kind::Opaque || kinds.last() != Some(&Kind::Opaque) {
                    kinds.push(part.kind);
                }
            }
            None if tracker.is_done() || end == bytes.len() => {
                assert!(tracker.is_done() || kinds.contains(&Kind::Infile), "not done after {at} of {}", bytes.len());
                return Ok((kinds, at));
            }
            None => end = (end + piece).min(bytes.len()),
        }
    }
}

fn check(shape: Shape, capabilities: Capabilities, payloads: &[&[u8]], expect: &[Kind]) {
    let bytes = packets(payloads);
    let mut followed = bytes.clone();
    followed.extend_from_slice(b"\x01\0\0\x01\0");
    for piece in (1..20).chain([bytes.len(), followed.len()]) {
        let (kinds, taken) = scan(shape, capabilities, &followed, piece).unwrap();
        assert_eq!((kinds.as_slice(), taken), (expect, bytes.len()), "pieces of {piece}");
    }
}

const COLUMN: &[u8] = b"\x03def\0\0\0\x011\0\x0c\x3f\0\x01\0\0\0\x03\x81\0\0\0\0";
const EOF_2: &[u8] = b"\xfe\0\0\x02\0";
const EOF_MORE: &[u8] = b"\xfe\0\0\x0a\0";
const OK_2: &[u8] = b"\0\0\0\x02\0\0\0";
const OK_MORE: &[u8] = b"\0\0\0\x0a\0\0\0";
const END_2: &[u8] = b"\xfe\0\0\x02\0\0\0";
const ERR_1064: &[u8] = b"\xff\x28\x04#42000no";
const AC: Status = Status::AUTOCOMMIT;
const ACM: Status = Status::AUTOCOMMIT.union(Status::MORE_RESULTS);

#[test]
fn plain_answers() {
    check(Shape::Ok, OLD, &[OK_2], &[Kind::Ok(AC)]);
    check(Shape::Ok, OLD, &[EOF_2], &[Kind::Eof(AC)]);
    check(Shape::Ok, NEW, &[END_2], &[Kind::Ok(AC)]);
    check(Shape::Ok, OLD, &[ERR_1064], &[Kind::Err]);
    check(Shape::Text, OLD, &[b"Uptime: 1"], &[Kind::Opaque]);
    check(Shape::Results, OLD, &[ERR_1064], &[Kind::Err]);
}

#[test]
fn result_sets() {
    check(Shape::Results, OLD, &[b"\x01", COLUMN, EOF_2, b"\x011", b"\xfb", EOF_2], &[Kind::Opaque, Kind::Eof(AC)]);
    check(Shape::Results, NEW, &[b"\x01", COLUMN, b"\x011", END_2], &[Kind::Opaque, Kind::Ok(AC)]);
    check(Shape::Results, OLD, &[b"\x02", COLUMN, COLUMN, EOF_2, ERR_1064], &[Kind::Opaque, Kind::Err]);
    // An empty string is a row of one zero byte, which reads like OK elsewhere.
    check(Shape::Results, NEW, &[b"\x01", COLUMN, b"\0", END_2], &[Kind::Opaque, Kind::Ok(AC)]);
}

#[test]
fn several_results() {
    let expect = [Kind::Ok(ACM), Kind::Opaque, Kind::Eof(ACM), Kind::Ok(AC)];
    check(Shape::Results, OLD, &[OK_MORE, b"\x01", COLUMN, EOF_MORE, b"\x011", EOF_MORE, OK_2], &expect);
    check(Shape::Results, OLD, &[OK_MORE, ERR_1064], &[Kind::Ok(ACM), Kind::Err]);
}

#[test]
fn prepared_statements() {
    let head = |columns: u8, parameters: u8| [0, 1, 0, 0, 0, columns, 0, parameters, 0, 0, 0, 0];
    check(Shape::Prepare, OLD, &[&head(0, 0)], &[Kind::Prepared]);
    check(Shape::Prepare, OLD, &[&head(1, 2), COLUMN, COLUMN, EOF_2, COLUMN, EOF_2], &[Kind::Prepared, Kind::Opaque]);
    check(Shape::Prepare, OLD, &[&head(1, 0), COLUMN, EOF_2], &[Kind::Prepared, Kind::Opaque]);
    check(Shape::Prepare, NEW, &[&head(1, 2), COLUMN, COLUMN, COLUMN], &[Kind::Prepared, Kind::Opaque]);
    check(Shape::Prepare, NEW, &[ERR_1064], &[Kind::Err]);
}

#[test]
fn cursors() {
    let cursor = AC | Status::CURSOR_EXISTS;
    check(Shape::Cursor, OLD, &[b"\x01", COLUMN, b"\xfe\0\0\x42\0"], &[Kind::Opaque, Kind::Eof(cursor)]);
    check(Shape::Cursor, NEW, &[b"\x01", COLUMN, b"\xfe\0\0\x42\0\0\0"], &[Kind::Opaque, Kind::Ok(cursor)]);
    // A routine's own cursor sets the flag too.
    let of_routine = &[b"\x01", COLUMN, b"\xfe\0\0\x42\0", b"\x011", EOF_2];
    check(Shape::Results, OLD, of_routine, &[Kind::Opaque, Kind::Eof(AC)]);
    check(Shape::Rows, OLD, &[b"\0\0\x01", b"\0\0\x02", EOF_2], &[Kind::Opaque, Kind::Eof(AC)]);
    check(Shape::Rows, NEW, &[END_2], &[Kind::Ok(AC)]);
}

#[test]
fn field_lists() {
    check(Shape::Fields, OLD, &[COLUMN, COLUMN, EOF_2], &[Kind::Opaque, Kind::Eof(AC)]);
    check(Shape::Fields, NEW, &[COLUMN, END_2], &[Kind::Opaque, Kind::Ok(AC)]);
    check(Shape::Fields, OLD, &[ERR_1064], &[Kind::Err]);
}

#[test]
fn cached_metadata() {
    let capabilities = NEW | Capabilities::CACHE_METADATA;
    check(Shape::Results, capabilities, &[b"\x01\0", b"\0\0\x01", END_2], &[Kind::Opaque, Kind::Ok(AC)]);
    check(Shape::Results, capabilities, &[b"\x01\x01", COLUMN, END_2], &[Kind::Opaque, Kind::Ok(AC)]);
}

#[test]
fn progress_reports_end_nothing() {
    let report = b"\xff\xff\xff\x01\x01\x02\x10\0\0\x05stage".as_slice();
    check(Shape::Results, OLD | Capabilities::PROGRESS, &[report, report, OK_2], &[Kind::Opaque, Kind::Ok(AC)]);
}

#[test]
fn local_files() {
    let bytes = packets(&[b"\xfbdata.csv"]);
    let (kinds, taken) = scan(Shape::Results, OLD, &bytes, 3).unwrap();
    assert_eq!((kinds, taken), (vec![Kind::Infile], bytes.len()));
}

#[test]
fn rows_of_16_mib_are_not_mistaken_for_ends() {
    let mut row = vec![0xfe];
    row.extend_from_slice(&(PAYLOAD_MAX as u64).to_le_bytes());
    row.resize(row.len() + PAYLOAD_MAX, b'x');
    // The chain's second packet starts with 0xff.
    row[PAYLOAD_MAX] = 0xff;
    let bytes = packets(&[b"\x01", COLUMN, &row, END_2]);
    // `packets` numbers each payload's chain on.
    for piece in [4093, bytes.len()] {
        let (kinds, taken) = scan(Shape::Results, NEW, &bytes, piece).unwrap();
        assert_eq!((kinds, taken), (vec![Kind::Opaque, Kind::Ok(AC)], bytes.len()));
    }
}

#[test]
fn nonsense_is_refused() {
    let refused: &[(Shape, &[&[u8]])] = &[
        (Shape::Ok, &[b"\x05hello"]),
        (Shape::Results, &[b""]),
        (Shape::Results, &[b"\x01trailing"]),
        (Shape::Results, &[b"\0\0"]),
        (Shape::Prepare, &[b"\0\x01"]),
        (Shape::Results, &[b"\x01", COLUMN, EOF_2, b"\xfe\0\0\x02\0\0\0\0\0\0\0"]),
    ];
    for (shape, payloads) in refused {
        assert!(scan(*shape, OLD, &packets(payloads), usize::MAX >> 1).is_err(), "{payloads:?}");
    }
    let mut unordered = packets(&[b"\x01", COLUMN, EOF_2]);
    unordered[8] = 9;
    assert_eq!(scan(Shape::Results, OLD, &unordered, 1), Err(Malformed("packets out of order")));
    let long = packets(&[&[&[0u8][..], &vec![b'x'; STATUS_PACKET_MAX]].concat()]);
    assert_eq!(scan(Shape::Ok, OLD, &long, long.len()), Err(Malformed("status packet too long")));
}

/// What comes before something malformed is passed on, whether both come at once or not.
#[test]
fn what_is_well_formed_is_taken_first() {
    let mut bytes = packets(&[b"\x01", COLUMN, EOF_2, b"\x011", b"\x012"]);
    let last = bytes.len() - HEADER - 2;
    bytes[last + 3] = 9;
    let mut tracker = ReplyTracker::idle(OLD);
    tracker.begin(Shape::Results);
    assert_eq!(tracker.next(&bytes), Ok(Some(Part { length: last, kind: Kind::Opaque })));
    assert_eq!(tracker.next(&bytes[last..]), Err(Malformed("packets out of order")));
}

#[test]
fn any_bytes_in_any_pieces_never_panic() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        let mut bytes = Vec::new();
        for sequence in 0..6u8 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = seed.to_be_bytes();
            let length = usize::from(noise[0] % 9);
            put(&mut bytes, sequence + 1, |out| {
                out.extend_from_slice(&[[0, 1, 2, 0xfb, 0xfe, 0xff, noise[7], 3][usize::from(noise[1] % 8)]]);
                out.extend_from_slice(&noise[2..][..length.min(6)]);
            });
        }
        let shape = [Shape::Ok, Shape::Text, Shape::Results, Shape::Prepare, Shape::Fields, Shape::Rows]
            [(seed >> 33) as usize % 6];
        let capabilities =
            if seed & 1 == 0 { OLD } else { NEW | Capabilities::CACHE_METADATA | Capabilities::PROGRESS };
        let mut tracker = ReplyTracker::idle(capabilities);
        tracker.begin(shape);
        let mut whole = Vec::new();
        let mut at = 0;
        while let Ok(Some(part)) = tracker.next(&bytes[at..]) {
            whole.push(part);
            at += part.length;
        }
        // The same bytes one at a time give the same status packets.
        let mut tracker = ReplyTracker::idle(capabilities);
        tracker.begin(shape);
        let (mut pieces, mut from) = (Vec::new(), 0);
        for end in 1..=bytes.len() {
            while let Ok(Some(part)) = tracker.next(&bytes[from..end]) {
                pieces.push(part);
                from += part.length;
            }
        }
        let status =
            |parts: &[Part]| parts.iter().filter(|part| part.kind != Kind::Opaque).copied().collect::<Vec<_>>();
        assert_eq!(status(&whole), status(&pieces), "{bytes:?} {shape:?}");
    }
}
