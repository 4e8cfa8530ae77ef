//! Streams of a source, whole and in pieces, and what of them reaches the replica.

use super::*;
use crate::wire::packet;

const RULES: Rules =
    Rules { by_gtid: true, checksum: true, semi_sync: false, group_bytes_max: 1 << 20, heartbeat_us: 0 };
const EOF_PACKET: [u8; 9] = [5, 0, 0, 1, 0xfe, 0, 0, 2, 0];

fn event(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (19 + body.len()) as u32;
    [&[0, 0, 0, 0, kind, 0x58, 0x1b, 0, 0][..], &length.to_le_bytes(), &[0; 6], body].concat()
}

fn gtid(domain: u32, sequence: u64, flags: u8) -> Vec<u8> {
    event(162, &[&sequence.to_le_bytes()[..], &domain.to_le_bytes(), &[flags], &[0; 10]].concat())
}

fn xid() -> Vec<u8> {
    event(16, &[1; 12])
}

fn query(text: &str) -> Vec<u8> {
    event(2, &[&[0; 20], text.as_bytes(), b"crc!"].concat())
}

fn rows(length: usize) -> Vec<u8> {
    event(23, &vec![9; length])
}

const ROTATE: u8 = 4;
const FORMAT: u8 = 15;
const HEARTBEAT: u8 = 27;
const IGNORABLE: u8 = 28;
const XA_PREPARE: u8 = 38;

/// As a source sends them: packets numbered from 1.
fn sent(events: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    events
        .iter()
        .fold(1, |sequence, event| packet::put(&mut out, sequence, |out| out.extend([&[0], &event[..]].concat())));
    out
}

/// With semi-sync's bytes; those of which the flag is set ask for an acknowledgement.
fn sent_semi_sync(events: &[(Vec<u8>, u8)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (event, flag) in events {
        packet::put(&mut out, 77, |out| out.extend([&[0, 0xef, *flag], &event[..]].concat()));
    }
    out
}

fn at(text: &str) -> Position {
    text.parse().unwrap()
}

/// What a flow passes on of a source's bytes, and what it says last, if that is not that more must come.
fn run(flow: &mut Flow, bytes: &[u8], piece: usize, now_us: u64) -> (Vec<u8>, Option<Step>) {
    let (mut out, mut buffer, mut stash) = (Vec::new(), Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match flow.take(&mut buffer, now_us).unwrap() {
                Step::Pass(0) => break,
                Step::Pass(length) => out.extend(buffer.drain(..length)),
                Step::Drop(length) => drop(buffer.drain(..length)),
                Step::Stash(length) => stash.extend(buffer.drain(..length)),
                Step::Flush => out.append(&mut stash),
                step => return (out, Some(step)),
            }
        }
    }
    (out, None)
}

fn numbers(bytes: &[u8]) -> Vec<u8> {
    let (mut at, mut numbers) = (0, vec![]);
    while let Some((header, _)) = packet::first(&bytes[at..]) {
        numbers.push(header.sequence);
        at += header.total();
    }
    assert_eq!(at, bytes.len());
    numbers
}

#[test]
fn groups_end_where_they_end() {
    let cases: &[(&str, Vec<Vec<u8>>)] = &[
        ("XID", vec![gtid(1, 8, 4), event(19, b"map"), rows(40), xid()]),
        ("COMMIT", vec![gtid(1, 8, 0), query("INSERT INTO t VALUES (1)"), query("COMMIT")]),
        ("ROLLBACK", vec![gtid(1, 8, 0), query("INSERT INTO t VALUES (1)"), query("ROLLBACK")]),
        ("standalone DDL", vec![gtid(1, 8, 1), query("CREATE TABLE t (a INT)")]),
        (
            "standalone with what comes before",
            vec![gtid(1, 8, 1), event(160, b"text"), event(5, b"id"), query("INSERT")],
        ),
        ("XA PREPARE", vec![gtid(1, 8, 64), query("XA START"), rows(9), query("XA END"), event(XA_PREPARE, b"xid")]),
        ("XA COMMIT", vec![gtid(1, 8, 128), query("XA COMMIT")]),
        ("savepoints", vec![gtid(1, 8, 4), query("SAVEPOINT a"), query("ROLLBACK TO a"), rows(3), xid()]),
    ];
    for (what, group) in cases {
        let mut flow = Flow::new(RULES, at("1-7000-7"));
        let (passed, last) = run(&mut flow, &sent(&group[..group.len() - 1]), usize::MAX, 0);
        assert!(passed.is_empty() && last.is_none(), "{what}: {last:?}");
        assert_eq!(flow.position(), &at("1-7000-7"), "{what}");
        flow.begin(None);
        let whole = sent(group);
        assert_eq!(run(&mut flow, &whole, usize::MAX, 0), (whole.clone(), None), "{what}");
        assert_eq!(flow.position(), &at("1-7000-8"), "{what}");
        // What comes between groups, such as an ignorable event without a checksum, waits for nothing.
        let between = sent(&[event(IGNORABLE, b""), event(3, b"")]);
        let (passed, _) = run(&mut flow, &between, usize::MAX, 0);
        assert_eq!(passed.len(), between.len(), "{what}");
        assert!(flow.can_move());
    }
}

#[test]
fn the_newest_transaction_with_a_number_is_a_landmark() {
    let number = |xid: u8| event(16, &[xid, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
    let mut flow = Flow::new(RULES, at("1-7000-7"));
    let landmark = |flow: &Flow| flow.landmark(1).map(|found| (found.gtid.sequence, found.xid));
    assert_eq!(landmark(&flow), None);
    run(
        &mut flow,
        &sent(&[gtid(1, 8, 0), rows(5), number(40), gtid(1, 9, 1), query("CREATE TABLE t (a INT)")]),
        usize::MAX,
        0,
    );
    assert_eq!(landmark(&flow), Some((8, 40)), "a statement has no number");
    run(&mut flow, &sent(&[gtid(1, 10, 0), rows(5), number(43), gtid(1, 11, 0), rows(5)]), 7, 0);
    assert_eq!(landmark(&flow), Some((10, 43)), "the last one has not ended");
    flow.begin(None);
    run(&mut flow, &sent(&[gtid(1, 11, 0), rows(RULES.group_bytes_max), number(44)]), usize::MAX, 0);
    assert_eq!((flow.position().sequence(1), landmark(&flow)), (11, Some((10, 43))), "one that long is not compared");
    assert_eq!(flow.landmark(2), None);
}

#[test]
fn a_checksum_is_known_by_its_value() {
    let bare = |text: &str| event(2, &[&[0; 20], text.as_bytes()].concat());
    let group = sent(&[gtid(1, 8, 0), bare("COMMIT")]);
    for (checksum, passes) in [(false, true), (true, false)] {
        let mut flow = Flow::new(Rules { checksum, ..RULES }, Position::default());
        assert_eq!(!run(&mut flow, &group, usize::MAX, 0).0.is_empty(), passes);
    }
}

#[test]
fn a_new_source_goes_on_with_the_next_group() {
    let mut flow = Flow::new(RULES, at("1-7000-7"));
    let first = sent(&[event(FORMAT, b"a"), gtid(1, 8, 0), xid(), gtid(1, 9, 0), rows(5)]);
    let (passed, _) = run(&mut flow, &first, usize::MAX, 0);
    assert_eq!(numbers(&passed), [1, 2, 3]);
    assert!(flow.can_move());
    flow.begin(None);
    let second = sent(&[event(FORMAT, b"b"), gtid(1, 9, 0), rows(5), xid(), gtid(2, 1, 0), xid()]);
    let (passed, _) = run(&mut flow, &second, usize::MAX, 0);
    assert_eq!(numbers(&passed), [4, 5, 6, 7, 8, 9]);
    assert_eq!(flow.position(), &at("1-7000-9,2-7000-1"));
    flow.begin(None);
    // Only the first group of a domain must be the next one: what a source has in its own log it has.
    let (passed, last) = run(&mut flow, &sent(&[gtid(1, 10, 0), xid(), gtid(1, 15, 0), xid()]), usize::MAX, 0);
    assert_eq!((numbers(&passed), last), (vec![10, 11, 12, 13], None));
    for (next, gap) in [(14, true), (15, true), (17, true), (16, false)] {
        flow.begin(None);
        let (_, last) = run(&mut flow, &sent(&[gtid(2, 2, 0)]), usize::MAX, 0);
        assert_eq!(last, None);
        flow.begin(None);
        let (passed, last) = run(&mut flow, &sent(&[event(FORMAT, b"c"), gtid(1, next, 0)]), usize::MAX, 0);
        let found = Gtid { domain: 1, server: 7000, sequence: next };
        assert_eq!((last, passed.is_empty()), (gap.then_some(Step::Gap(found)), false), "{next}");
    }
    let next = Gtid { domain: 1, server: 7000, sequence: 20 };
    flow.begin(Some(next));
    assert_eq!(run(&mut flow, &sent(&[gtid(1, 20, 0), xid()]), usize::MAX, 0).1, None);
    assert_eq!(flow.position(), &at("1-7000-20,2-7000-1"));
}

#[test]
fn long_groups_are_stashed() {
    let mut flow = Flow::new(Rules { group_bytes_max: 1000, ..RULES }, Position::default());
    let long = sent(&[gtid(1, 1, 0), rows(600), rows(700), rows(5000), xid(), gtid(1, 2, 0), rows(3000)]);
    let first = long.len() - sent(&[gtid(1, 2, 0), rows(3000)]).len();
    let (mut buffer, mut out, mut stash) = (Vec::new(), Vec::new(), Vec::new());
    for piece in long.chunks(100) {
        buffer.extend_from_slice(piece);
        loop {
            match flow.take(&mut buffer, 0).unwrap() {
                Step::Pass(0) => break,
                Step::Pass(length) => out.extend(buffer.drain(..length)),
                Step::Stash(length) => stash.extend(buffer.drain(..length)),
                Step::Flush => out.append(&mut stash),
                step => panic!("{step:?}"),
            }
        }
        assert!(buffer.len() <= 1100 && flow.can_move(), "{}", buffer.len());
        assert!(out.is_empty() || out.len() >= first, "a piece of a group has gone: {}", out.len());
    }
    assert!(out == long[..first] && stash.len() > 2000);
    assert_eq!(flow.position(), &at("1-7000-1"));
    // Another source begins the second group again, in the packets that follow the first.
    flow.begin(None);
    let second = sent(&[gtid(1, 2, 0), rows(3000), xid()]);
    assert_eq!(numbers(&run(&mut flow, &second, 100, 0).0), [6, 7, 8]);
    // One that ends without an end that is known.
    let open = sent(&[gtid(1, 3, 0), rows(3000), gtid(1, 4, 0)]);
    assert_eq!(numbers(&run(&mut flow, &open, 100, 0).0), [9, 10]);
    assert_eq!(flow.position(), &at("1-7000-3"));
}

#[test]
fn by_file_and_position_everything_passes() {
    let rules = Rules { by_gtid: false, group_bytes_max: 0, ..RULES };
    let bytes = sent(&[gtid(1, 8, 0), rows(5000)]);
    let mut flow = Flow::new(rules, Position::default());
    assert_eq!(run(&mut flow, &bytes[..bytes.len() - 7], 64, 0).0, bytes[..bytes.len() - 7]);
    assert!(!flow.can_move());
}

#[test]
fn files_are_named_before_they_are_read() {
    let rules = Rules { by_gtid: false, group_bytes_max: 0, ..RULES };
    let rotate = |file: &str| event(ROTATE, &[b"\x04\0\0\0\0\0\0\0", file.as_bytes()].concat());
    let mut announced = event(ROTATE, b"\x04\0\0\0\0\0\0\0bin.000009\xff\xff\xff\xff");
    announced[0] = 7;
    let mut format = event(FORMAT, b"crc!");
    format[0] = 7;
    let mut flow = Flow::new(rules, Position::default());
    for file in ["bin.000001", "bin.000002"] {
        let bytes = sent(&[rotate(file), format.clone(), rows(50)]);
        let (passed, told) = run(&mut flow, &bytes, usize::MAX, 0);
        assert_eq!((told, flow.file(), passed.len()), (Some(Step::Opens(7)), file, 4 + 1 + rotate(file).len()));
        let rest = &mut bytes[passed.len()..].to_vec();
        assert_eq!(flow.take(rest, 0), Ok(Step::Pass(rest.len())), "it is told once");
        assert_eq!(run(&mut flow, &sent(&[announced.clone()]), usize::MAX, 0).1, None);
        assert_eq!(flow.file(), file);
    }
    let long = sent(&[rotate(&"x".repeat(1000))]);
    assert!(flow.take(&mut long.clone(), 0).is_err());
}

#[test]
fn heartbeats_pass_only_as_asked() {
    let beat = || sent(&[event(HEARTBEAT, b"bin.000001")]);
    let mut flow = Flow::new(RULES, Position::default());
    assert_eq!(run(&mut flow, &beat(), 5, 1 << 40), (vec![], None));
    let mut flow = Flow::new(Rules { heartbeat_us: 1000, ..RULES }, Position::default());
    for (now_us, passes) in [(400, false), (999, false), (1000, true), (1400, false), (2100, true)] {
        assert_eq!(!run(&mut flow, &beat(), usize::MAX, now_us).0.is_empty(), passes, "{now_us}");
    }
    run(&mut flow, &sent(&[gtid(1, 1, 0), xid()]), usize::MAX, 3000);
    assert!(run(&mut flow, &beat(), usize::MAX, 3900).0.is_empty());
    // Packets that nobody got have no number.
    assert_eq!(numbers(&run(&mut flow, &beat(), usize::MAX, 4000).0), [5]);
}

#[test]
fn ends_and_errors_are_told() {
    let group = sent(&[gtid(1, 1, 0), xid(), gtid(1, 2, 0), rows(9)]);
    let whole = sent(&[gtid(1, 1, 0), xid()]).len();
    for (packet, step) in [
        (&EOF_PACKET[..], Step::Ended(EOF_PACKET.len())),
        (b"\x09\0\0\x01\xff\xd4\x04#HY000", Step::Failed(group.len() - whole)),
    ] {
        let mut flow = Flow::new(RULES, Position::default());
        let (passed, last) = run(&mut flow, &[&group, packet].concat(), usize::MAX, 0);
        assert_eq!((passed.len(), last), (whole, Some(step)));
        assert_eq!(flow.position(), &at("1-7000-1"));
    }
    let mut flow = Flow::new(RULES, Position::default());
    assert!(flow.take(&mut [1, 0, 0, 0, 7], 0).is_err());
    assert!(flow.take(&mut [3, 0, 0, 0, 0, 1, 2], 0).is_err());
}

#[test]
fn semi_sync_numbers_and_acknowledgements() {
    let mut flow = Flow::new(Rules { semi_sync: true, ..RULES }, Position::default());
    let group = |n| [(gtid(1, n, 0), 0), (rows(20), 0), (xid(), 1)];
    let (passed, _) = run(&mut flow, &sent_semi_sync(&[group(1), group(2)].concat()), usize::MAX, 0);
    assert_eq!(numbers(&passed), [1, 2, 3, 1, 2, 3]);
    assert!(flow.acknowledge(), "the source waits for it");
    flow.begin(None);
    let (passed, _) = run(&mut flow, &sent_semi_sync(&group(3)), usize::MAX, 0);
    assert_eq!(numbers(&passed), [1, 2, 3]);
    assert!(!flow.acknowledge(), "that was for the source that is gone");
    assert!(flow.acknowledge());
}

#[test]
fn pieces_do_not_matter() {
    let mut events = vec![event(4, b"rotate"), event(FORMAT, b"format")];
    for n in 1..60_u64 {
        let body = rows((n * n * 7 % 900) as usize);
        events.extend(match n % 5 {
            0 => vec![gtid(1, n, 1), query("CREATE TABLE t (a INT)")],
            1 => vec![gtid(1, n, 0), body, query("COMMIT"), event(IGNORABLE, b"")],
            _ => vec![gtid(1, n, 4), event(19, b"map"), body, xid()],
        });
    }
    let bytes = sent(&events);
    for group_bytes_max in [1 << 20, 300, 30] {
        let rules = Rules { group_bytes_max, ..RULES };
        let mut flow = Flow::new(rules, Position::default());
        let whole = run(&mut flow, &bytes, usize::MAX, 0).0;
        assert_eq!(whole.len(), bytes.len());
        for piece in [1, 2, 3, 7, 19, 100, 1000, 4097] {
            let mut other = Flow::new(rules, Position::default());
            assert!(run(&mut other, &bytes, piece, 0).0 == whole, "{piece}");
            assert_eq!((other.position(), other.sequence()), (flow.position(), flow.sequence()));
        }
    }
    // A payload of 16 MiB and more comes in several packets.
    let chain = sent(&[gtid(1, 1, 0), rows(packet::PAYLOAD_MAX + 100), xid()]);
    for (piece, group_bytes_max) in [(usize::MAX, usize::MAX), (1 << 20, 1 << 20), (100_003, 1 << 20)] {
        let mut flow = Flow::new(Rules { group_bytes_max, ..RULES }, Position::default());
        let passed = run(&mut flow, &chain, piece, 0).0;
        assert_eq!((passed.len(), numbers(&passed)), (chain.len(), vec![1, 2, 3, 4]));
        assert_eq!(flow.position(), &at("1-7000-1"));
    }
}
