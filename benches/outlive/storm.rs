//! 32 clients on few rows: transfers a second, what they were told, and how many deadlocks the writer has found. Through the proxy, where
//! they are told of none; directly, where they try again themselves; the same through HAProxy, which shows what any hop costs
//! while locks are held; and directly on all nodes in turn, where each commit may meet another one.

use std::net::SocketAddrV4;
use std::time::Duration;

use oarlock::lab::{Lab, Site};

use crate::arena::{Arena, clients_runtime};
use crate::client::{Habit, Trade};
use crate::driver::Kind;
use crate::haproxy::Haproxy;

const CLIENTS: usize = 32;
const ROWS: usize = 10;
const DEADLOCKS: &str =
    "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'Innodb_deadlocks'";
/// The length of one measurement.
const LENGTH: Duration = Duration::from_secs(10);

pub fn measure(rounds: u64) {
    let lab = Lab::builder().galera(3).start().unwrap();
    let text = lab.config_toml(Site::Primary, lab.proxy_address(Site::Primary));
    let mut arena = Arena::before(&lab, clients_runtime(), &text, Vec::new());
    arena.orders.accounts.store(ROWS, std::sync::atomic::Ordering::Relaxed);
    let habit = |_| Habit {
        kind: Kind::Text,
        trade: Trade::Transfers,
        pause_max: Duration::ZERO,
        autocommit: true,
        reads_first: false,
        insists: true,
    };
    let mut ratios = [const { Vec::new() }; 3];
    let writer = arena.writer();
    let nodes: Vec<SocketAddrV4> = lab.nodes().iter().map(|node| node.address()).collect();
    let readers: Vec<SocketAddrV4> = nodes.iter().copied().filter(|node| *node != nodes[writer]).collect();
    let haproxy = Haproxy::start(lab.address(95), nodes[writer], &readers, None);
    let deadlocks = || lab.nodes()[writer].value(DEADLOCKS).unwrap().unwrap().parse::<u64>().unwrap();
    for round in 1..=rounds.max(3) {
        let mut rates = [0.0; 4];
        let ways: [(&str, &[SocketAddrV4]); 4] = [
            ("direct", &[nodes[writer]]),
            ("all nodes", &nodes),
            ("haproxy", &[haproxy.writes]),
            ("oarlock", &[arena.proxy.address()]),
        ];
        for (rate, (way, addresses)) in rates.iter_mut().zip(ways) {
            let before = deadlocks();
            for (place, address) in addresses.iter().enumerate() {
                let clients = (place..CLIENTS).step_by(addresses.len());
                arena.enter(*address, clients.map(habit), 10 * round + place as u64);
            }
            std::thread::sleep(LENGTH);
            let record = arena.leave();
            let done = record.history.writes.len() - record.history.errors();
            *rate = done as f64 / LENGTH.as_secs_f64();
            let met = (deadlocks() - before) as f64 / done as f64;
            let told = record.history.tally();
            println!("round {round} {way:<9} {rate:>6.0} transfers/s, {met:.2} deadlocks a transfer; told: {told:?}");
        }
        for (ratios, rate) in ratios.iter_mut().zip(rates) {
            ratios.push(rates[3] / rate);
        }
    }
    for (mut ratios, way) in ratios.into_iter().zip(["direct", "all nodes", "haproxy"]) {
        ratios.sort_by(f64::total_cmp);
        println!("oarlock/{way}: {:.2} (median)", ratios[ratios.len() / 2]);
    }
}
