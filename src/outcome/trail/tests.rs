//! Dumps with markers in them, cut anywhere.

use super::*;
use crate::cluster::view::NodeId;
use crate::outcome::case::Sought;
use crate::wire::packet;

const A: Marker = Marker { session: 0xa, statement: 1 };
const B: Marker = Marker { session: 0xb, statement: 2 };

fn event(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (19 + body.len()) as u32;
    [&[0, 0, 0, 0, kind, 0x58, 0x1b, 0, 0][..], &length.to_le_bytes(), &[0; 6], body].concat()
}

fn gtid(sequence: u64, standalone: bool) -> Vec<u8> {
    event(162, &[&sequence.to_le_bytes()[..], &70u32.to_le_bytes(), &[u8::from(standalone)], &[0; 6]].concat())
}

fn query(text: &str) -> Vec<u8> {
    event(2, &[&b"\x01\0\0\0\0\0\0\0\x04\0\0\x02\0ssshop\0"[..], text.as_bytes()].concat())
}

fn marked(text: &str, marker: Marker) -> String {
    let mut out = Vec::new();
    marker::put(marker, &mut out);
    text.replacen(' ', &format!("{} ", String::from_utf8(out).unwrap()), 1)
}

fn annotation(text: &str, marker: Marker) -> Vec<u8> {
    event(160, marked(text, marker).as_bytes())
}

fn dump(events: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut sequence = 1;
    for event in events {
        sequence = packet::put(&mut out, sequence, |out| {
            out.push(0);
            out.extend_from_slice(event);
        });
    }
    packet::put(&mut out, sequence, |out| out.extend_from_slice(b"\xfe\0\0\x02\0"));
    out
}

/// Reads a dump in pieces of this size.
fn read(bytes: &[u8], size: usize) -> (Trail, Progress) {
    let mut trail = Trail::new([(A, false), (B, true)].into(), "70-7000-5,81-8000-1".parse().unwrap());
    for piece in bytes.chunks(size) {
        match trail.take(piece).unwrap() {
            Progress::More => {}
            last => return (trail, last),
        }
    }
    (trail, Progress::More)
}

fn all(events: &[Vec<u8>]) -> Trail {
    let (trail, last) = read(&dump(events), usize::MAX);
    assert_eq!(last, Progress::End);
    trail
}

fn sequences(trail: &Trail) -> (Option<u64>, Option<u64>) {
    let sequence = |marker: &Marker| trail.found(marker).map(|found| found.gtid.sequence);
    (sequence(&A), sequence(&B))
}

/// A dump is read for several cases at once, from the oldest base of them.
#[test]
fn what_is_older_than_the_base_of_a_case_is_not_its_own() {
    let rows = || [event(19, b"table"), event(23, &[7; 300]), event(16, &[0; 8])];
    let group = |sequence, marker| {
        [vec![gtid(sequence, false), annotation("INSERT INTO t VALUES (?)", marker)], rows().to_vec()].concat()
    };
    let trail = all(&[group(6, A), group(7, B), group(8, A)].concat());
    for (markers, base, expected) in [
        (vec![A], "70-7000-5,81-8000-1", Some(8)),
        (vec![A], "70-7000-7", Some(8)),
        (vec![A], "70-7000-8", None),
        (vec![B], "70-7000-6", Some(7)),
        (vec![B], "70-7000-7,81-8000-1", None),
        (vec![B, A], "70-7000-7", Some(8)),
    ] {
        let case = Sought {
            number: 1,
            node: NodeId(0),
            member: "".into(),
            markers: markers.clone().into(),
            base: base.parse().unwrap(),
            wants_rows: false,
            over: true,
            lacking: None,
        };
        assert_eq!(case.found(&trail).map(|found| found.gtid.sequence), expected, "{markers:?} {base}");
    }
}

#[test]
fn what_is_committed_is_found() {
    let rows = || [event(19, b"table"), event(23, &[7; 300]), event(16, &[0; 8])];
    let events = [
        vec![event(4, b"rotate"), event(15, b"format"), event(163, b"list"), event(28, b"")],
        vec![gtid(6, false), annotation("INSERT INTO t VALUES (1)", A)],
        rows().into(),
        vec![gtid(7, true), query(&marked("ALTER TABLE t ADD b INT", B))],
    ]
    .concat();
    let bytes = dump(&events);
    for size in [1, 2, 3, 7, 64, 1000, usize::MAX] {
        let (trail, last) = read(&bytes, size);
        assert_eq!((last, sequences(&trail), trail.hides()), (Progress::End, (Some(6), Some(7)), false), "{size}");
        assert_eq!(trail.position().to_string(), "70-7000-7,81-8000-1");
    }
}

#[test]
fn what_is_not_committed_is_not_found() {
    for (end, found) in [
        (event(16, &[0; 8]), Some(6)),
        (query("COMMIT"), Some(6)),
        (query("ROLLBACK"), None),
        (event(38, b"xid"), None),
    ] {
        let trail = all(&[gtid(6, false), annotation("DELETE FROM t", A), event(25, b"rows"), end]);
        assert_eq!((trail.found(&A).map(|found| found.gtid.sequence), trail.hides()), (found, false));
    }
}

#[test]
fn other_markers_are_nobodys() {
    let other = Marker { session: 0xc, statement: 1 };
    let trail = all(&[gtid(6, false), annotation("DELETE FROM t", other), event(16, &[0; 8])]);
    assert!(trail.found.is_empty() && !trail.hides());
    let trail = all(&[annotation("DELETE FROM t", A), event(16, &[0; 8])]);
    assert!(trail.found.is_empty(), "no group");
}

#[test]
fn what_may_hide_a_marker_is_told() {
    for events in [
        vec![gtid(6, true), event(165, b"compressed")],
        vec![gtid(6, false), annotation("DELETE FROM t", A)],
        vec![gtid(6, false), event(23, b"rows"), gtid(7, false), event(16, &[0; 8])],
    ] {
        let trail = all(&events);
        assert!(trail.hides() && trail.found.is_empty(), "{events:?}");
    }
}

#[test]
fn long_events_are_not_kept() {
    let long = event(23, &vec![1; packet::PAYLOAD_MAX + 5000]);
    let late = [annotation("INSERT INTO t VALUES (1)", A), vec![b'x'; 1 << 20]].concat();
    let bytes = dump(&[gtid(6, false), late, long, event(16, &[0; 8])]);
    let mut trail = Trail::new([(A, true)].into(), Position::default());
    for piece in bytes.chunks(16 << 10) {
        trail.take(piece).unwrap();
        assert!(trail.held.capacity() < 192 << 10, "{}", trail.held.capacity());
    }
    assert_eq!(trail.found(&A).map(|found| found.gtid.sequence), Some(6));
}

/// `t` with one INT.
fn table(name: &str) -> Vec<u8> {
    event(19, &[&[7, 0, 0, 0, 0, 0, 1, 0, 1, b's', 0, 1][..], name.as_bytes(), b"\0\x01\x03\0\xff"].concat())
}

fn row(value: u8) -> Vec<u8> {
    event(23, &[7, 0, 0, 0, 0, 0, 1, 0, 1, 0xff, 0, value, 0, 0, 0])
}

#[test]
fn rows_of_an_insert_are_told() {
    let (start, xid) = (|| gtid(6, false), || event(16, &[0; 8]));
    let insert = || annotation("INSERT INTO t VALUES (1), (2)", B);
    let trail = all(&[start(), insert(), table("t"), row(1), table("t"), row(2), xid()]);
    let insert_found = trail.found(&B).unwrap().insert.clone().unwrap();
    assert_eq!((insert_found.rows.count, &*insert_found.table.name), (2, &b"t"[..]));
    assert_eq!((insert_found.rows.first[0], insert_found.rows.last[0]), (Some((1, 4)), Some((2, 4))));
    assert!(insert_found.text.as_ref().is_some_and(|text| text.ends_with(b"(2)")));
    let long = [insert(), vec![b' '; TEXT_BYTES]].concat();
    for (events, told) in [
        (vec![insert(), table("t"), row(1)], true),
        (vec![insert(), table("t"), row(1), query("COMMIT")], true),
        (vec![long, table("t"), row(1)], true),
        (vec![insert(), table("t"), table("u"), row(1)], false),
        (vec![insert(), table("t"), row(1), event(24, b"updated")], false),
        (vec![insert(), table("t"), row(1)[..30].to_vec()], false),
        (vec![insert(), row(1)], false),
        (vec![insert(), table("t"), event(23, &vec![0; ROWS_BYTES_MAX])], false),
        (vec![insert(), table("t"), row(1), insert(), row(1)], false),
        (vec![annotation("INSERT INTO t VALUES (1)", A), table("t"), row(1)], false),
        (vec![insert()], false),
    ] {
        let trail = all(&[vec![start()], events.clone(), vec![xid()]].concat());
        let found = trail.found(&B).or(trail.found(&A)).unwrap();
        assert_eq!(
            found.insert.is_some(),
            told,
            "{} events, the last of {} bytes",
            events.len(),
            events[events.len() - 1].len()
        );
    }
}

#[test]
fn checksums_are_no_text() {
    let events = [
        event(15, b"\x04\0version\x01"),
        gtid(6, false),
        annotation("INSERT INTO t VALUES (1)", B),
        table("t"),
        row(1),
    ];
    let with = |ends: Vec<u8>| {
        let events = events.iter().chain([&ends]).map(|event| [&event[..], b"crc!"].concat());
        all(&events.collect::<Vec<_>>())
    };
    let found = with(query("COMMIT")).found(&B).cloned().unwrap();
    let insert = found.insert.unwrap();
    assert!(insert.text.as_ref().is_some_and(|text| text.ends_with(b"(1)")) && insert.rows.count == 1);
    assert!(with(query("ROLLBACK")).found(&B).is_none());
}

#[test]
fn a_node_may_refuse() {
    let mut bytes = Vec::new();
    packet::put(&mut bytes, 1, |out| out.extend_from_slice(b"\xff\xd4\x04#HY000Could not find GTID state"));
    let (_, last) = read(&bytes, 3);
    assert!(matches!(last, Progress::Refused(fault) if fault.code == 1236));
    let mut trail = Trail::new([(A, true)].into(), Position::default());
    assert!(trail.take(b"\x01\0\0\x01\x05").is_err());
    assert!(Trail::new([(A, true)].into(), Position::default()).take(b"\0\0\0\x01").is_err());
    assert!(Trail::new([(A, true)].into(), Position::default()).take(b"\x05\0\0\x01\0\0\0\0\0").is_err());
}
