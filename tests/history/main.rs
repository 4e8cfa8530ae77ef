//! Many clients at work on a real cluster while its nodes are killed, frozen, cut off and stormed: is what they are told the truth?
//!
//! `SEED` is that of a run, `MINUTES` how long it lasts.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test fails where it stands")]

mod arena;
mod beat;
mod client;
#[path = "../support/dice.rs"]
mod dice;
mod driver;
mod faults;
#[path = "../support/history.rs"]
mod history;
mod relay;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use arena::Arena;
use client::{Habit, Record, Trade, Wait};
use dice::Dice;
use driver::Kind;
use faults::{ALL, Episode};
use history::Violation;
use oarlock::lab::Lab;

/// How many clients there are.
const CLIENTS: usize = 12;
/// The length of a short run.
const SHORT: Duration = Duration::from_secs(40);
/// What a client waits for when a fault comes has begun not longer before.
const JUST_BEFORE: Duration = Duration::from_millis(100);

#[test]
fn what_clients_are_told_is_true() {
    let setting = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = setting("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let length = setting("MINUTES").map_or(SHORT, |minutes| Duration::from_secs(60 * minutes));
    let lab = Lab::builder().galera(3).fast_eviction(true).start().unwrap();
    let mut arena = Arena::start(&lab, arena::clients_runtime(), "");
    arena.enter(arena.proxy.address(), (0..CLIENTS).map(habit), seed);
    arena.progress(100);

    let (mut dice, began) = (Dice::new(seed), Instant::now());
    eprintln!("seed {seed}");
    let mut episodes = Vec::new();
    for fault in order(&mut dice, length > SHORT) {
        if began.elapsed() >= length {
            break;
        }
        let episode = arena.suffer(fault, &mut dice);
        eprintln!("{:>5.1} s: {fault:?} is over", began.elapsed().as_secs_f32());
        episodes.push(episode);
    }
    let record = arena.leave();
    let store = arena.store();
    let violations = record.history.violations(&store);
    report(&record, &episodes, &violations);
    assert!(violations.is_empty(), "seed {seed}: {violations:?}");
}

/// Clients of all kinds.
fn habit(number: usize) -> Habit {
    Habit {
        kind: [Kind::Text, Kind::Binary, Kind::Sqlx][number % 3],
        trade: match number {
            0 => Trade::Notes,
            1 => Trade::Transfers,
            _ => Trade::Everything,
        },
        pause_max: Duration::from_millis(12),
        autocommit: number % 4 != 3,
        reads_first: number % 2 == 1,
        insists: false,
    }
}

/// All faults, and those again in any order, for ever. A short run begins anywhere.
fn order(dice: &mut Dice, long: bool) -> impl Iterator<Item = faults::Fault> + use<> {
    let count = if long { ALL.len() } else { ALL.len() - 1 };
    let (first, seed) = (dice.below(count), dice.roll());
    let mut later = Dice::new(seed);
    (0..count)
        .map(move |number| ALL[(first + number) % count])
        .chain(std::iter::from_fn(move || Some(*later.pick(&ALL))))
}

/// How it went, for whoever looks at the output.
fn report(record: &Record, episodes: &[Episode], violations: &[Violation]) {
    for complaint in record.complaints.iter().take(60) {
        eprintln!("  {complaint}");
    }
    for episode in episodes {
        let within =
            |wait: &&Wait| wait.since + wait.length < episode.until && wait.since + JUST_BEFORE > episode.since;
        let touched = record.waits.iter().filter(within);
        let longest = touched.map(|wait| wait.length).max().unwrap_or_default();
        let stall = episode.stall.map_or("-".to_owned(), |stall| format!("{:.2} s", stall.as_secs_f32()));
        eprintln!(
            "{:<14}{:>6.2} s long; longest wait of a client {:.2} s, of a writer on a survivor {stall}",
            format!("{:?}", episode.fault),
            (episode.until - episode.since).as_secs_f32(),
            longest.as_secs_f32(),
        );
    }
    let mut kinds = BTreeMap::new();
    for violation in violations {
        let name = format!("{violation:?}");
        let name = name.split(['(', ' ']).next().unwrap_or_default().to_owned();
        *kinds.entry(name).or_insert(0) += 1;
    }
    let history = &record.history;
    eprintln!(
        "{} writes: {:?}; {} looks, {} sums, {} reads failed; violations: {kinds:?}",
        history.writes.len(),
        history.tally(),
        history.looks.len(),
        history.sums.len(),
        record.failed_reads
    );
}
