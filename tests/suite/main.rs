//! MariaDB's own test suite (package mariadb-test): no test that passes against a server may fail through the proxy in front of it.
//!
//! `main.list` has the tests of the suite `main` that a server with default options can run and that need nothing but its port.
//! `cannot.list` has those that can't pass through a proxy, with the reason; one of them that passes fails the run, so the list stays
//! true. The same once more with a cluster of three in place of the server, where reads and writes go to different nodes. A part of
//! the tests is run by default, all of them with `OARLOCK_SUITE=whole` (`make conformance`), every eighth beginning with the third
//! with `OARLOCK_SUITE=3/8`, and those of a list with `OARLOCK_SUITE=main.kill,main.ps`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

mod run;
mod stand;
#[path = "../support/mod.rs"]
mod support;

use std::sync::mpsc::channel;

use run::Outcome;
use stand::{Kind, Stand};

const TESTS: &str = include_str!("main.list");
const CANNOT: &str = include_str!("cannot.list");
const CANNOT_IN_A_CLUSTER: &str = include_str!("cannot_in_a_cluster.list");
/// Much of the protocol in little time.
const PART: &str = include_str!("part.list");
const PART_IN_A_CLUSTER: &str = include_str!("part_in_a_cluster.list");

/// How the reason of a test begins that fails now and then by what the proxy has no part in, or by when its own queries come.
const BY_CHANCE: &str = "by chance: ";

#[test]
fn the_servers_own_suite_passes_through_the_proxy() {
    compare(Kind::Server, PART, CANNOT);
}

#[test]
fn the_suite_passes_in_front_of_a_cluster() {
    compare(Kind::Cluster, PART_IN_A_CLUSTER, CANNOT_IN_A_CLUSTER);
}

/// What passes direct must pass through the proxy, unless it is listed.
fn compare(kind: Kind, part: &'static str, cannot: &str) {
    let names = chosen(std::env::var("OARLOCK_SUITE").ok().as_deref(), part);
    let (passing, all, mut passed, mut wrong) = (channel(), names.len(), 0, Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut stand = Stand::direct(kind);
            for name in names {
                if run("direct", &mut stand, name) {
                    passing.0.send(name).unwrap();
                }
            }
            stand.nothing_left();
        });
        let mut stand = Stand::proxied(kind);
        for name in passing.1 {
            let passes = run("proxied", &mut stand, name);
            passed += usize::from(passes);
            wrong.extend(fault(name, cannot, passes));
        }
        stand.nothing_left();
    });
    eprintln!("{all} tests, of which {passed} pass through the proxy");
    assert!(passed > 0 && wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Which tests are run.
fn chosen(choice: Option<&str>, part: &'static str) -> Vec<&'static str> {
    let number = |text: &str| -> usize { text.parse().unwrap() };
    match choice.map(|choice| (choice, choice.split_once('/'))) {
        None => part.lines().collect(),
        Some(("whole", _)) => TESTS.lines().collect(),
        Some((_, Some((first, step)))) => TESTS.lines().skip(number(first) - 1).step_by(number(step)).collect(),
        Some((list, None)) => TESTS.lines().filter(|name| list.split(',').any(|chosen| chosen == *name)).collect(),
    }
}

/// Whether the test passes. What a hanging one has left nobody may be able to end, so the next one gets another stand.
fn run(way: &str, stand: &mut Stand, name: &str) -> bool {
    let (outcome, time) = stand.run(name);
    eprintln!("{way} {} ms {name}: {outcome}", time.as_millis());
    if outcome == Outcome::Late {
        *stand = stand.another();
    }
    outcome == Outcome::Passed
}

/// What is wrong with how a test has ended through the proxy that passes without it.
fn fault(name: &str, cannot: &str, passes: bool) -> Option<String> {
    let listed = cannot.lines().find_map(|line| line.split_once(' ').filter(|(listed, _)| *listed == name));
    match (passes, listed) {
        (_, Some((_, reason))) if reason.trim_start().starts_with(BY_CHANCE) => None,
        (true, Some(_)) => Some(format!("{name} passes through the proxy: it does not belong into cannot.list")),
        (false, None) => Some(format!("{name} passes direct and not through the proxy, see above")),
        _ => None,
    }
}
