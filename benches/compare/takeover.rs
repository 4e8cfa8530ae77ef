//! What a replica notices when the node it reads is killed, freezes or is withdrawn, beside what a writer on a survivor notices in
//! the same round: the difference is what the takeover of its dump costs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use oarlock::lab::{APP_PASSWORD, APP_USER, Lab, Node, Site, until};

use crate::replica::{SOON, connections, follow, servers, source_of_dump, the_same_everywhere, writer};
use crate::support::{Proxy, succeeded};

/// What happens to the source of the dump.
#[derive(Clone, Copy)]
enum Fault {
    Kill,
    Freeze,
    Maintenance,
}

/// The pause between two writes, and between two looks at the replica: more than 200 writes a second, on a machine of two processors.
const PAUSE: Duration = Duration::from_millis(2);
/// Writes before and after each fault.
const WRITES: u64 = 200;

/// The longest time between two steps.
struct Gauge {
    began: Instant,
    last_us: AtomicU64,
    widest_us: AtomicU64,
    steps: AtomicU64,
}

impl Gauge {
    fn new() -> Self {
        Self { began: Instant::now(), last_us: 0.into(), widest_us: 0.into(), steps: 0.into() }
    }

    fn step(&self) {
        let now_us = self.began.elapsed().as_micros() as u64;
        let last_us = self.last_us.swap(now_us, Ordering::Relaxed);
        self.widest_us.fetch_max(now_us - last_us, Ordering::Relaxed);
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for so many more.
    fn more(&self, more: u64) {
        let goal = self.steps.load(Ordering::Relaxed) + more;
        assert!(until(SOON, || self.steps.load(Ordering::Relaxed) >= goal), "it stands still");
    }

    fn take_ms(&self) -> f64 {
        self.widest_us.swap(0, Ordering::Relaxed) as f64 / 1e3
    }
}

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
    let victim = writer(lab, proxy).unwrap();
    assert!(until(SOON, || source_of_dump(proxy) == victim.name()));
    let survivor = lab.nodes().iter().find(|node| ![victim.name(), replica.name()].contains(&node.name())).unwrap();
    let (writes, arrivals, ends) = (Gauge::new(), Gauge::new(), AtomicBool::new(false));
    let round = std::thread::scope(|scope| {
        scope.spawn(|| drive(survivor, "INSERT INTO shop.t (v, w) VALUES (1, 'w')", &ends, |_| writes.step()));
        scope.spawn(|| {
            let mut last = String::new();
            drive(replica, "SELECT @@gtid_slave_pos", &ends, |position| {
                if position != last {
                    last = position;
                    arrivals.step();
                }
            });
        });
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

/// Runs a statement again and again on a connection of its own; `each` gets the first value of the answer.
fn drive(node: &Node, sql: &str, ends: &AtomicBool, mut each: impl FnMut(String)) {
    let options = OptsBuilder::default()
        .ip_or_hostname(node.address().ip().to_string())
        .tcp_port(node.address().port())
        .user(Some(APP_USER))
        .pass(Some(APP_PASSWORD))
        .prefer_socket(false)
        .max_allowed_packet(Some(1 << 24))
        .wait_timeout(Some(3600));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut conn = Conn::new(options).await.unwrap();
        while !ends.load(Ordering::Relaxed) {
            let value: Option<String> = match conn.query_first(sql).await {
                Ok(value) => value,
                // While the cluster changes its view a node takes no writes.
                Err(mysql_async::Error::Server(_)) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(error) => panic!("{}: {error}", node.name()),
            };
            each(value.unwrap_or_default());
            tokio::time::sleep(PAUSE).await;
        }
    });
}

fn last_takeover(proxy: &Proxy) -> f64 {
    let log = proxy.log();
    let line = log.lines().rev().find(|line| line.contains("takeover of a dump")).unwrap();
    line.rsplit("ms=").next().unwrap().trim().parse().unwrap()
}
