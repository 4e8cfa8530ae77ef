//! How long it takes to find a reply's end, and what the machine adds to it: replies of rows of several sizes.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use oarlock::wire::capability::Capabilities;
use oarlock::wire::packet::{self, Header};
use oarlock::wire::reply::{ReplyTracker, Shape};

/// What a worker's read brings at most.
const READ: usize = 256 << 10;

/// A result set of one column with so many rows of so many bytes.
fn result_set(rows: usize, row: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut next = packet::put(&mut out, 1, |out| out.push(1));
    next = packet::put(&mut out, next, |out| {
        out.extend_from_slice(b"\x03def\0\0\0\x01c\0\x0c\x2d\0\xff\0\0\0\xfd\0\0\0\0\0")
    });
    next = packet::put(&mut out, next, |out| out.extend_from_slice(&[0xfe, 0, 0, 2, 0]));
    for _ in 0..rows {
        next = packet::put(&mut out, next, |out| out.resize(out.len() + row, b'r'));
    }
    packet::put(&mut out, next, |out| out.extend_from_slice(&[0xfe, 0, 0, 2, 0]));
    out
}

/// Follows a reply to its end in reads as a worker makes them; returns the number of parts.
fn follow(bytes: &[u8]) -> usize {
    let mut tracker =
        ReplyTracker::idle(Capabilities::SUPPORTED - Capabilities::DEPRECATE_EOF - Capabilities::CACHE_METADATA);
    tracker.begin(Shape::Results);
    let (mut at, mut parts) = (0, 0);
    while !tracker.is_done() {
        let read = &bytes[at..bytes.len().min(at + READ)];
        match tracker.next(read) {
            Ok(Some(part)) => at += part.length,
            Ok(None) | Err(_) => return 0,
        }
        parts += 1;
    }
    parts
}

/// Goes from header to header.
fn scan(bytes: &[u8]) -> usize {
    let (mut at, mut packets) = (0, 0);
    while let Some(header) = Header::parse(&bytes[at..]) {
        at += header.total();
        packets += 1;
    }
    packets
}

fn replies(criterion: &mut Criterion) {
    let shapes = [
        ("1 row of 120 B", 1, 120),
        ("100 of 120 B", 100, 120),
        ("10,000 of 40 B", 10_000, 40),
        ("100 of 64 KiB", 100, 64 << 10),
    ];
    for (what, work) in [("packet scan", scan as fn(&[u8]) -> usize), ("reply tracking", follow)] {
        let mut group = criterion.benchmark_group(what);
        for (name, rows, row) in shapes {
            let bytes = result_set(rows, row);
            assert!(work(&bytes) > 0);
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_function(name, |bencher| bencher.iter(|| work(black_box(&bytes))));
        }
        group.finish();
    }
}

criterion_group!(benches, replies);
criterion_main!(benches);
