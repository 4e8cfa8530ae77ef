//! What a replica notices when the node it reads is killed, freezes or is withdrawn, beside what a writer on a survivor notices in
//! the same round: the difference is what the takeover of its dump costs.

use std::sync::atomic::{AtomicBool, Ordering};

use oarlock::lab::{Lab, Node, Site, until};

use crate::gauge::Gauge;
use crate::replica::{SOON, connections, follow, servers, source_of_dump, the_same_everywhere, writer};
use crate::support::{Proxy, succeeded};

/// What happens to the source of the dump.
#[derive(Clone, Copy)]
enum Fault {
    Kill,
    Freeze,
    Maintenance,
}

/// Writes before and after each fault.
const WRITES: u64 = 200;

/// What one round came to, in milliseconds.
struct Round {
    stall: f64,
    gap: f64,
    takeover: f64,
}

/// So many rounds of each fault.
pub fn measure(rounds: usize) {
    let lab = Lab::builder().galera(3).standalone(true).fast_eviction(true).start().unwrap();
    let proxy = Proxy::start(&lab, Site::Primary);
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT, w VARCHAR(300))");
    let replica = lab.node("server-81").unwrap();
    follow(replica, &proxy, "");
    println!(
        "Medians of {rounds} rounds, in ms. stall: the longest time between two commits of a client on a survivor; gap: between two \
         arrivals at the replica;\ntakeover: from the loss known to the new source sending."
    );
    println!(
        "{:<13}{:>10}{:>10}{:>12}{:>16}{:>12}",
        "source", "stall", "gap", "gap - stall", "most of these", "takeover"
    );
    for (fault, name) in [(Fault::Kill, "killed"), (Fault::Freeze, "frozen"), (Fault::Maintenance, "withdrawn")] {
        let done: Vec<Round> = (0..rounds).map(|_| round(&lab, &proxy, replica, fault)).collect();
        let sorted = |value: fn(&Round) -> f64| {
            let mut values: Vec<f64> = done.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let median = |value| sorted(value)[rounds / 2];
        let added = |round: &Round| round.gap - round.stall;
        let (stall, gap, takeover) =
            (median(|round| round.stall), median(|round| round.gap), median(|round| round.takeover));
        let most = sorted(added)[rounds - 1];
        println!("{name:<13}{stall:>10.0}{gap:>10.0}{:>12.0}{most:>16.0}{takeover:>12.1}", median(added));
        the_same_everywhere(&lab, replica);
    }
    println!("the replica has connected {} time(s)", connections(&proxy));
}

fn round(lab: &Lab, proxy: &Proxy, replica: &Node, fault: Fault) -> Round {
    // A dump may know of a loss before the watch does.
    let is_settled = || writer(lab, proxy).is_some_and(|writer| writer.name() == source_of_dump(proxy));
    assert!(until(SOON, is_settled), "{:?} {}", servers(proxy), source_of_dump(proxy));
    let victim = writer(lab, proxy).unwrap();
    let survivor = lab.nodes().iter().find(|node| ![victim.name(), replica.name()].contains(&node.name())).unwrap();
    let (writes, arrivals, ends) = (Gauge::new(), Gauge::new(), AtomicBool::new(false));
    let round = std::thread::scope(|scope| {
        scope.spawn(|| writes.of_writes(survivor.address(), "INSERT INTO shop.t (v, w) VALUES (1, 'w')", &ends));
        scope.spawn(|| arrivals.of_changes(replica.address(), "SELECT @@gtid_slave_pos", &ends));
        writes.more(WRITES);
        arrivals.more(1);
        writes.take_ms();
        arrivals.take_ms();
        break_it(proxy, victim, fault);
        assert!(until(SOON, || source_of_dump(proxy) != victim.name()), "{}", proxy.log());
        writes.more(WRITES);
        arrivals.more(10);
        ends.store(true, Ordering::Relaxed);
        Round { stall: writes.take_ms(), gap: arrivals.take_ms(), takeover: last_takeover(proxy) }
    });
    mend(proxy, victim, fault);
    round
}

fn break_it(proxy: &Proxy, victim: &Node, fault: Fault) {
    match fault {
        Fault::Kill => victim.kill().unwrap(),
        Fault::Freeze => victim.freeze().unwrap(),
        Fault::Maintenance => drop(succeeded(&proxy.command(&["set", "server", victim.name(), "maintenance"]))),
    }
}

fn mend(proxy: &Proxy, victim: &Node, fault: Fault) {
    match fault {
        Fault::Kill => victim.start().unwrap(),
        Fault::Freeze => victim.thaw().unwrap(),
        Fault::Maintenance => drop(succeeded(&proxy.command(&["clear", "server", victim.name()]))),
    }
    let is_back =
        || servers(proxy).iter().any(|server| server.name == victim.name() && server.state.contains("Synced"));
    assert!(until(SOON, is_back), "{:?}", servers(proxy));
}

fn last_takeover(proxy: &Proxy) -> f64 {
    let log = proxy.log();
    let line = log.lines().rev().find(|line| line.contains("takeover of a dump")).unwrap();
    line.rsplit("ms=").next().unwrap().trim().parse().unwrap()
}
