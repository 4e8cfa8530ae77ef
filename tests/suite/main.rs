//! MariaDB's own test suite (package mariadb-test): no test that passes against a server may fail through the proxy in front of it.
//!
//! `main.list` has the tests of the suite `main` that a server with default options can run and that need nothing but its port.
//! `cannot.list` has those that can't pass through a proxy, with the reason; one of them that passes fails the run, so the list stays
//! true. A part of the tests is run by default, all of them with OARLOCK_SUITE=whole (`make conformance`).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

mod run;
mod stand;
#[path = "../support/mod.rs"]
mod support;

use run::Outcome;
use stand::Stand;

const TESTS: &str = include_str!("main.list");
const CANNOT: &str = include_str!("cannot.list");
/// Much of the protocol in little time.
const PART: &str = include_str!("part.list");

#[test]
fn the_servers_own_suite_passes_through_the_proxy() {
    let whole = std::env::var("OARLOCK_SUITE").is_ok_and(|value| value == "whole");
    let names: Vec<&str> = if whole { TESTS } else { PART }.lines().collect();
    let all = |way: &str, stand: Stand| -> Vec<Outcome> {
        let outcomes = names.iter().map(|name| run(way, &stand, name)).collect();
        stand.nothing_left();
        outcomes
    };
    let (proxied, direct) = std::thread::scope(|scope| {
        let direct = scope.spawn(|| all("direct", Stand::direct()));
        (all("proxied", Stand::proxied()), direct.join().unwrap())
    });

    let passed = |outcomes: &[Outcome]| outcomes.iter().filter(|outcome| **outcome == Outcome::Passed).count();
    let count = passed(&direct);
    eprintln!("{} tests: {count} pass direct, {} through the proxy", names.len(), passed(&proxied));
    let pairs = names.iter().zip(direct).zip(proxied).filter(|((_, direct), _)| *direct == Outcome::Passed);
    let wrong: Vec<String> = pairs.filter_map(|((name, _), proxied)| fault(name, proxied == Outcome::Passed)).collect();
    assert!(count > 0 && wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn run(way: &str, stand: &Stand, name: &str) -> Outcome {
    let (outcome, time) = stand.run(name);
    eprintln!("{way} {} ms {name}: {outcome}", time.as_millis());
    outcome
}

/// What is wrong with how a test has ended through the proxy that passes without it.
fn fault(name: &str, passes: bool) -> Option<String> {
    let listed = CANNOT.lines().any(|line| line.split_whitespace().next() == Some(name));
    match (passes, listed) {
        (true, true) => Some(format!("{name} passes through the proxy: it does not belong into cannot.list")),
        (false, false) => Some(format!("{name} passes direct and not through the proxy, see above")),
        _ => None,
    }
}
