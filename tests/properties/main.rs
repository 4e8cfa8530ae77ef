//! What holds for any bytes, tried on real traffic, on the same a little spoiled, and on noise. `make fuzz` looks for more.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "../support/actors.rs"]
mod actors;
mod commands;
#[path = "../support/dice.rs"]
mod dice;
mod dumps;
mod growth;
mod handshake;
#[path = "../support/logins.rs"]
mod logins;
mod packets;
mod pieces;
#[path = "../support/play.rs"]
mod play;
mod replies;
#[path = "../support/stage.rs"]
mod stage;
mod statements;
mod text;
mod tracking;

use std::fs::{read, read_dir};
use std::panic::catch_unwind;
use std::path::Path;

use dice::Dice;

/// Tries a property on the seeds of its fuzz target, on so many spoiled ones, and on as much noise.
fn check(target: &str, holds: fn(&[u8]), tries: u64) {
    let seeds = seeds(target);
    assert!(seeds.len() > 5, "the seeds are not there");
    let hold = |data: &[u8], what: &str| {
        assert!(catch_unwind(|| holds(data)).is_ok(), "{what}: {}", data.escape_ascii());
    };
    for (name, seed) in &seeds {
        hold(seed, name);
    }
    for number in 0..tries {
        let dice = &mut Dice::new(number);
        let (name, seed) = dice.pick(&seeds);
        let mut spoiled = seed.clone();
        for _ in 0..=dice.below(3) {
            dice.spoil(&mut spoiled);
        }
        hold(&spoiled, &format!("{name}, spoiled"));
        let length_max = *dice.pick(&[8, 60, 400]);
        hold(&dice.bytes(length_max), "noise");
    }
}

/// What was recorded for a fuzz target, and what was found by it.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new("fuzz/seeds").join(target);
    let mut seeds: Vec<_> = read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), read(&path).unwrap()))
        .collect();
    seeds.sort();
    seeds
}

#[test]
fn packets_end_where_their_headers_say() {
    check("packets", packets::holds, 5000);
}

#[test]
fn replies_do_not_depend_on_how_they_come() {
    check("replies", replies::holds, 20_000);
}

#[test]
fn logins_do_not_depend_on_how_they_come() {
    check("handshake", handshake::holds, 5000);
}

#[test]
fn sessions_take_anything() {
    check("commands", commands::holds, 3000);
}

#[test]
fn any_text_is_classified() {
    check("statements", statements::holds, 20_000);
}

#[test]
fn long_texts_take_time_in_proportion() {
    check("growth", growth::holds, 100);
}

#[test]
fn tracking_is_read_as_written() {
    check("tracking", tracking::holds, 20_000);
}

#[test]
fn dumps_do_not_depend_on_how_they_come() {
    check("dumps", dumps::holds, 10_000);
}
