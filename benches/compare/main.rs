//! oarlock beside HAProxy, a bare relay and no proxy at all, in turn in one run, on a real cluster; what idle sessions cost; and what replicas get.
//!
//! Every server, proxy and sysbench has a session of its own, so that the kernel shares the processors out between them
//! as between services on a host of their own.
//!
//! `BENCH_SECONDS` is the length of one measurement (5), `BENCH_ROUNDS` how many of them count by their median (3),
//! `BENCH_SESSIONS` the number of idle sessions (9900), `BENCH_CLIENTS` that of mostly idle ones over few connections (5000),
//! `BENCH_TAKEOVERS` the rounds of each kind of takeover (10), `BENCH_BACKLOG` the MB of a replica's backlog (2000),
//! `BENCH_ONLY` = `idle`, `crowd`, `safety`, `tls`, `sysbench`, the name of one of its workloads, `takeover` or `backlog` for a part of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails says so and ends")]

mod backlog;
mod crowd;
mod envoy;
#[path = "../../tests/support/fake_node.rs"]
mod fake_node;
#[path = "../../tests/support/gauge.rs"]
mod gauge;
mod haproxy;
mod idle;
#[path = "../../tests/support/logins.rs"]
mod logins;
mod process;
#[path = "../../tests/support/raw_client.rs"]
mod raw_client;
mod relay;
#[path = "../../tests/support/replica.rs"]
mod replica;
mod safety;
mod secure;
#[path = "../../tests/support/mod.rs"]
mod support;
mod sysbench;
mod takeover;

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

use haproxy::Haproxy;
use oarlock::lab::{Lab, Site};
use process::Usage;
use relay::Relay;
use support::Proxy;
use sysbench::{Run, Workload};

/// From the start of a proxy until a client can log in.
const START_MAX: Duration = Duration::from_secs(30);

/// Directly, through HAProxy, through a bare relay, through oarlock.
const WAYS: usize = 4;

/// One way from sysbench to the nodes.
struct Way {
    name: &'static str,
    /// Where statements that only read are sent.
    reads: SocketAddrV4,
    writes: SocketAddrV4,
    /// The proxy's process.
    pid: Option<u32>,
    /// Where sysbench finds what it needs to speak TLS itself; it speaks none without.
    tls: Option<PathBuf>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(place) = arguments.iter().position(|argument| argument == idle::FAKE_NODE) {
        return idle::fake_node(&arguments[place + 1]);
    }
    if let Some(place) = arguments.iter().position(|argument| argument == relay::RELAY) {
        return relay::relay(&arguments[place + 1..]);
    }
    if let Some(place) = arguments.iter().position(|argument| argument == envoy::ENVOY) {
        return envoy::envoy(&arguments[place + 1..]);
    }
    if arguments.iter().any(|argument| argument == "--test") || !arguments.iter().any(|argument| argument == "--bench")
    {
        return;
    }
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let wanted = |part: &str| only.is_empty() || only == part;
    let one = Workload::ALL.into_iter().find(|workload| workload.name() == only);
    if wanted("sysbench") || one.is_some() {
        compare(one);
    }
    if wanted("idle") {
        idle::measure(setting("BENCH_SESSIONS", 9900));
    }
    if wanted("crowd") {
        crowd::measure(setting("BENCH_CLIENTS", 5000), setting("BENCH_SECONDS", 5), setting("BENCH_ROUNDS", 3));
    }
    if wanted("safety") {
        safety::measure(setting("BENCH_SECONDS", 5), setting("BENCH_ROUNDS", 3));
    }
    if wanted("tls") {
        secure::measure(setting("BENCH_SECONDS", 5), setting("BENCH_ROUNDS", 3));
    }
    if wanted("takeover") {
        takeover::measure(setting("BENCH_TAKEOVERS", 10));
    }
    if wanted("backlog") {
        backlog::measure(setting("BENCH_BACKLOG", 2000), setting("BENCH_ROUNDS", 3));
    }
}

/// A number from the environment.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name)
        .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

/// All workloads, or one only.
fn compare(only: Option<Workload>) {
    let (seconds, rounds) = (setting("BENCH_SECONDS", 5), setting("BENCH_ROUNDS", 3));
    println!("Starting a cluster of three, and a proxy of each kind in front of it ...");
    let lab = Lab::builder().galera(3).start().unwrap();
    let nodes: Vec<SocketAddrV4> = lab.nodes().iter().map(|node| node.address()).collect();
    let haproxy = Haproxy::start(lab.address(60), nodes[0], &nodes[1..], None);
    let relay = Relay::start(lab.address(61), nodes[0], &nodes[1..]);
    let oarlock = Proxy::start(&lab, Site::Primary);
    oarlock.sql("CREATE DATABASE sbtest");
    sysbench::prepare(nodes[0]);
    let ways = [
        Way { name: "direct", reads: nodes[1], writes: nodes[0], pid: None, tls: None },
        Way { name: "haproxy", reads: haproxy.reads, writes: haproxy.writes, pid: Some(haproxy.pid()), tls: None },
        Way { name: "relay", reads: relay.reads, writes: relay.writes, pid: Some(relay.pid()), tls: None },
        Way {
            name: "oarlock",
            reads: oarlock.address(),
            writes: oarlock.address(),
            pid: Some(oarlock.pid()),
            tls: None,
        },
    ];
    println!(
        "Medians of {rounds} rounds of {seconds} s. point_select, read_only (without transactions) and logins: direct to one reader, HAProxy \
         (leastconn),\na bare relay (in turn) and oarlock to both readers. read_write: all but oarlock to the writer alone, oarlock splits."
    );
    println!(
        "{:<14}{:>8} {:<9}{:>10}{:>10}{:>12}{:>10}",
        "workload", "threads", "way", "qps", "p95 ms", "CPU us/q", "RSS MiB"
    );
    for workload in Workload::ALL.into_iter().filter(|workload| only.is_none_or(|only| only == *workload)) {
        for threads in workload.threads().iter().copied() {
            let mut runs: [Vec<Run>; WAYS] = Default::default();
            for _ in 0..rounds {
                for (way, runs) in ways.iter().zip(&mut runs) {
                    runs.push(run(way, workload, threads, seconds));
                }
            }
            report(workload, threads, &ways, &runs);
        }
    }
}

fn run(way: &Way, workload: Workload, threads: usize, seconds: usize) -> Run {
    let before = way.pid.map(Usage::of);
    let to = if workload.writes() { way.writes } else { way.reads };
    let mut run = sysbench::run(to, workload, threads, seconds, (way.pid, way.tls.as_deref()));
    if let (Some(pid), Some(before)) = (way.pid, before) {
        run.cpu_us = (Usage::of(pid).cpu_us - before.cpu_us) / run.queries;
    }
    run
}

fn median(runs: &[Run], value: fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(workload: Workload, threads: usize, ways: &[Way; WAYS], runs: &[Vec<Run>; WAYS]) {
    for (way, runs) in ways.iter().zip(runs) {
        print!("{:<14}{threads:>8} {:<9}", workload.name(), way.name);
        print!("{:>10.0}{:>10.2}", median(runs, |run| run.qps), median(runs, |run| run.p95_ms));
        match way.pid {
            Some(_) => {
                println!("{:>12.1}{:>10.1}", median(runs, |run| run.cpu_us), median(runs, |run| run.rss_kib / 1024.0))
            }
            None => println!(),
        }
    }
    let ratio = |value: fn(&Run) -> f64, to: usize| median(&runs[3], value) / median(&runs[to], value);
    println!(
        "{:<14}{threads:>8} oarlock/haproxy: qps {:.2}, p95 {:.2}, CPU {:.2}; oarlock/relay: CPU {:.2}; oarlock/direct: qps {:.2}",
        workload.name(),
        ratio(|run| run.qps, 1),
        ratio(|run| run.p95_ms, 1),
        ratio(|run| run.cpu_us, 1),
        ratio(|run| run.cpu_us, 2),
        ratio(|run| run.qps, 0)
    );
}
