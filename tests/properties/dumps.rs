//! Dumps: what of a source's bytes goes to the replica, and where it then is, does not depend on how the bytes come.
//!
//! Input: what kind of dump it is, the bytes.

use oarlock::gtid::Position;
use oarlock::replication::flow::{Flow, Rules, Step};
use oarlock::wire::Malformed;

use crate::pieces::Cutting;

/// A group longer than this is stashed, in bytes.
const SHORT: usize = 300;

/// Any bytes will do.
pub fn holds(data: &[u8]) {
    let [kind, bytes @ ..] = data else { return };
    let with = |bit: u8| kind & 1 << bit != 0;
    let rules = Rules {
        by_gtid: !with(0),
        checksum: !with(1),
        semi_sync: with(2),
        group_bytes_max: if with(0) { 0 } else { usize::MAX },
        heartbeat_us: 0,
    };
    let whole = follow(bytes, rules, &mut Cutting::Whole);
    // What is too long for memory goes the same way, only later.
    let short = Rules { group_bytes_max: SHORT.min(rules.group_bytes_max), ..rules };
    let stashed = follow(bytes, short, &mut Cutting::Whole);
    assert!(whole.passed.len() == stashed.passed.len() || whole.end.is_none());
    for mut cutting in Cutting::all(data) {
        assert!(follow(bytes, rules, &mut cutting) == whole);
        let other = follow(bytes, short, &mut cutting);
        assert!(other.passed.starts_with(&whole.passed) && other.position == whole.position);
    }
}

#[derive(PartialEq)]
struct Told {
    passed: Vec<u8>,
    position: Position,
    end: Option<Result<Step, Malformed>>,
}

fn follow(bytes: &[u8], rules: Rules, cutting: &mut Cutting) -> Told {
    let mut flow = Flow::new(rules, "0-1-5".parse().unwrap_or_default());
    let (mut passed, mut held, mut stash, mut rest) = (Vec::new(), Vec::new(), Vec::new(), bytes);
    let mut end = None;
    'stream: while !rest.is_empty() {
        let (piece, tail) = rest.split_at(cutting.next(rest.len()));
        held.extend_from_slice(piece);
        rest = tail;
        loop {
            match flow.take(&mut held, 0) {
                Ok(Step::Pass(0)) => break,
                Ok(Step::Pass(length)) => passed.extend(held.drain(..length)),
                Ok(Step::Stash(length)) => stash.extend(held.drain(..length)),
                Ok(Step::Flush) => passed.append(&mut stash),
                Ok(Step::Drop(length)) => drop(held.drain(..length)),
                last => {
                    end = Some(last);
                    break 'stream;
                }
            }
        }
    }
    Told { passed, position: flow.position().clone(), end }
}
