//! 32 clients on few rows, through the proxy and directly, where they try again themselves: transfers a second, what they were told, and how
//! many deadlocks their node has found. Nothing else stands between them and the node.

use std::time::Duration;

use oarlock::lab::{Lab, Site};

use crate::arena::{Arena, clients_runtime};
use crate::client::{Habit, Trade};
use crate::driver::Kind;

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
    let mut ratios = Vec::new();
    for round in 1..=rounds.max(3) {
        let writer = arena.writer();
        let direct = lab.nodes()[writer].address();
        let deadlocks = || lab.nodes()[writer].value(DEADLOCKS).unwrap().unwrap().parse::<u64>().unwrap();
        let mut rates = [0.0; 2];
        for (rate, (way, address)) in rates.iter_mut().zip([("direct", direct), ("oarlock", arena.proxy.address())]) {
            let before = deadlocks();
            arena.enter(address, (0..CLIENTS).map(habit), round);
            std::thread::sleep(LENGTH);
            let record = arena.leave();
            let done = record.history.writes.len() - record.history.errors();
            *rate = done as f64 / LENGTH.as_secs_f64();
            let met = (deadlocks() - before) as f64 / done as f64;
            let told = record.history.tally();
            println!("round {round} {way:<8} {rate:>6.0} transfers/s, {met:.2} deadlocks a transfer; told: {told:?}");
        }
        ratios.push(rates[1] / rates[0]);
    }
    ratios.sort_by(f64::total_cmp);
    println!("oarlock/direct: {:.2} (median)", ratios[ratios.len() / 2]);
}
