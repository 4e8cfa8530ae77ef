//! Many sessions and their failures in virtual time: whatever happens to nodes and lines, what clients are told is the truth.
//!
//! The machine of the sessions is the product's own; nodes, lines and time are models. `SEEDS` says how many runs, `SEED` is
//! the first; with `SEEDS=1` all of the run is printed. `TOLD=1213`
//! names the seeds in which a client was told that.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test fails where it stands")]

mod agenda;
mod client;
mod cluster;
#[path = "../support/dice.rs"]
mod dice;
mod faults;
#[path = "../support/history.rs"]
mod history;
#[path = "../support/logins.rs"]
mod logins;
mod server;
#[path = "../support/stage.rs"]
mod stage;
mod statement;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use history::Violation;
use world::{Outcome, World};

/// How many runs there are.
const SEEDS: u64 = 20_000;
/// After so many failures it ends.
const TOLD_MAX: usize = 20;

/// What came of many runs.
#[derive(Default)]
struct Tally {
    told: BTreeMap<String, usize>,
    violations: BTreeMap<String, usize>,
    failures: Vec<String>,
    events: u64,
}

#[test]
fn what_sessions_tell_is_true() {
    let setting = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let (first, count) = (setting("SEED").unwrap_or(0), setting("SEEDS").unwrap_or(SEEDS));
    let (next, tally) = (AtomicU64::new(first), Mutex::new(Tally::default()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let failed = tally.lock().unwrap().failures.len();
                    if seed >= first + count || failed >= TOLD_MAX {
                        return;
                    }
                    take(seed, play(seed, count == 1), &mut tally.lock().unwrap());
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    eprintln!("{} runs, {} events; clients were told: {:?}", count, tally.events, tally.told);
    eprintln!("violations: {:?}", tally.violations);
    assert!(tally.failures.is_empty(), "{} failures:\n{}", tally.failures.len(), tally.failures.join("\n"));
}

/// The same seed is the same run.
#[test]
fn a_seed_is_a_run() {
    for seed in [1, 2, 3, 500] {
        let told = || play(seed, false).map(|outcome| (outcome.events, format!("{:?}", outcome.history)));
        assert_eq!(told(), told(), "seed {seed}");
    }
}

/// A run; none if something in it panics.
fn play(seed: u64, loud: bool) -> Option<Outcome> {
    catch_unwind(AssertUnwindSafe(|| World::new(seed, loud).play())).ok()
}

fn take(seed: u64, outcome: Option<Outcome>, tally: &mut Tally) {
    let Some(outcome) = outcome else {
        *tally.violations.entry("Panic".to_owned()).or_default() += 1;
        return tally.failures.push(format!("seed {seed}: panicked"));
    };
    tally.events += outcome.events;
    let wanted = std::env::var("TOLD").unwrap_or_default();
    for (word, count) in outcome.history.tally() {
        if !wanted.is_empty() && word.starts_with(&wanted) {
            eprintln!("seed {seed}: {word}");
        }
        *tally.told.entry(word).or_default() += count;
    }
    let violations = outcome.history.violations(&outcome.store);
    for violation in &violations {
        *tally.violations.entry(name(violation)).or_default() += 1;
    }
    let mut broken: Vec<String> = violations.iter().map(|violation| format!("{violation:?}")).collect();
    broken.extend(outcome.trouble);
    if !broken.is_empty() {
        tally.failures.push(format!("seed {seed}: {}", broken.join(", ")));
    }
}

fn name(violation: &Violation) -> String {
    format!("{violation:?}").split(['(', ' ']).next().unwrap_or_default().to_owned()
}
