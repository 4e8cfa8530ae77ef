//! What clients notice of nodes that are lost, and of a storm on few rows: beside writers who are connected to a node directly.
//!
//! `ROUNDS` is how often each is measured (1). Clients are those of `tests/history`, and their records are checked as there.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a measurement that fails says so and ends")]
#![allow(dead_code, reason = "the test uses more of what they share")]

#[path = "../../tests/history/arena.rs"]
mod arena;
#[path = "../../tests/history/beat.rs"]
mod beat;
#[path = "../../tests/history/client.rs"]
mod client;
#[path = "../../tests/support/dice.rs"]
mod dice;
#[path = "../../tests/history/driver.rs"]
mod driver;
#[path = "../compare/haproxy.rs"]
mod haproxy;
#[path = "../../tests/support/history.rs"]
mod history;
mod losses;
#[path = "../../tests/history/relay.rs"]
mod relay;
mod storm;
#[path = "../../tests/support/mod.rs"]
mod support;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let setting = |name: &str| std::env::var(name).unwrap_or_default();
    let rounds = setting("ROUNDS").parse().unwrap_or(1);
    let only = setting("BENCH_ONLY");
    if only.is_empty() || only == "losses" {
        losses::measure(rounds);
    }
    if only.is_empty() || only == "storm" {
        storm::measure(rounds);
    }
}
