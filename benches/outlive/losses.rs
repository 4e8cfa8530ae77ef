//! 16 clients, the writer killed, its successor frozen: errors, what is missing or doubled, what clients did not see of their own,
//! and the longest wait beside that of a writer on the node that nothing was done to.

use std::time::{Duration, Instant};

use oarlock::lab::{Lab, Sst};

use crate::arena::{Arena, clients_runtime};
use crate::client::{Habit, Trade};
use crate::driver::Kind;
use crate::history::Violation;

const CLIENTS: usize = 16;
/// When what is done, from the start of the clients.
const KILL: Duration = Duration::from_secs(5);
const FREEZE: Duration = Duration::from_secs(24);
const END: Duration = Duration::from_secs(40);

pub fn measure(rounds: u64) {
    let mut over = Vec::new();
    for round in 1..=rounds {
        let kind = [Kind::Text, Kind::Binary, Kind::Sqlx][round as usize % 3];
        let (waited, stalled) = play(round, kind);
        over.push(waited.saturating_sub(stalled));
    }
    over.sort();
    println!("median of the longest wait beyond the survivor's: {:.2} s", over[over.len() / 2].as_secs_f32());
}

/// One round; the longest waits of a client and of a writer on the survivor.
fn play(round: u64, kind: Kind) -> (Duration, Duration) {
    let lab = Lab::builder().galera(3).sst(Sst::Rsync).start().unwrap();
    let mut arena = Arena::start(&lab, clients_runtime(), "");
    let habit = |number: usize| Habit {
        kind,
        trade: if number.is_multiple_of(2) { Trade::Notes } else { Trade::Transfers },
        pause_max: Duration::from_millis(12),
        autocommit: true,
        reads_first: false,
        insists: false,
    };
    let began = Instant::now();
    arena.enter(arena.proxy.address(), (0..CLIENTS).map(habit), round);
    let at = |time: Duration| std::thread::sleep((began + time).saturating_duration_since(Instant::now()));
    at(KILL);
    let first = arena.writer();
    lab.nodes()[first].kill().unwrap();
    arena.moved_from(first);
    lab.nodes()[first].start().unwrap();
    arena.whole();
    at(FREEZE);
    let second = arena.writer();
    lab.nodes()[second].freeze().unwrap();
    arena.moved_from(second);
    arena.is_down(second);
    lab.nodes()[second].thaw().unwrap();
    arena.whole();
    at(END);
    let survivor = (0..3).find(|place| ![first, second].contains(place)).unwrap();
    let record = arena.leave();
    let stalled = arena.beats[survivor].longest(began);
    let store = arena.store();
    let violations = record.history.violations(&store);
    let count = |wanted: fn(&Violation) -> bool| violations.iter().filter(|violation| wanted(violation)).count();
    let longest = record.waits.iter().max_by_key(|wait| wait.length).unwrap();
    let waited = longest.length;
    println!(
        "round {round} ({kind:?}): {} writes, {} errors {:?}, {} reads failed, {} of {} looks stale, {} missing, {} doubled, {} untrue, \
         {} violations in all; longest wait {:.2} s from {:.1} s on, on the survivor {:.2} s",
        record.history.writes.len(),
        record.history.errors(),
        record.history.tally(),
        record.failed_reads,
        count(|violation| matches!(violation, Violation::Stale(_))),
        record.history.looks.len(),
        count(|violation| matches!(violation, Violation::Missing(_))),
        count(|violation| matches!(violation, Violation::Doubled(_))),
        count(|violation| matches!(violation, Violation::Untrue { .. })),
        violations.len(),
        waited.as_secs_f32(),
        (longest.since - began).as_secs_f32(),
        stalled.as_secs_f32(),
    );
    record.complaints.iter().take(20).for_each(|complaint| println!("  {complaint}"));
    (waited, stalled)
}
