//! Faults of any kind on two real sites, one after the other, under writes on both, which follow each other through their proxies'
//! 4007. Afterwards both have the same, and nobody has done anything about it.
//!
//! `FAULTS` says how many, `SEED` which.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/dice.rs"]
mod dice;
#[path = "support/sites.rs"]
mod sites;
mod support;

use dice::Dice;
use oarlock::lab::{Lab, Node, until};
use sites::{Road, SOON, Sites, expect_moved, first_start, report, server, signal, under_writes};
use support::{Proxy, is_one_cluster, succeeded};

#[test]
fn random_faults() {
    let setting = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (faults, seed) = (setting("FAULTS", 3), setting("SEED", u64::from(std::process::id())));
    let lab = Lab::builder().standalone(true).fast_eviction(true).start().unwrap();
    let mut sites = Sites::start(&lab, Road::Proxies);
    first_start(&sites);
    let mut dice = Dice::new(seed);
    let mut told = vec![format!("seed {seed}")];
    under_writes(&lab, || {
        for number in 1..=faults {
            let fault = random_fault(&mut sites, &mut dice);
            eprintln!("{number} of seed {seed}: {fault}");
            told.push(fault);
        }
    });
    sites.settle_after(&told.join(", "));
    let rows = sites.node(81).sql("SELECT site, COUNT(*) FROM shop.t GROUP BY site").unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    eprintln!("{faults} faults of seed {seed}, and the same everywhere: {rows:?}");
}

/// Does one and waits until all servers are back; what it was.
fn random_fault(sites: &mut Sites<'_>, dice: &mut Dice) -> String {
    let lab = sites.lab;
    let number = [71, 72, 73, 81][dice.below(4)];
    let said = match dice.below(8) {
        kind @ 0..4 => format!("{number} was {}", fault_of_node(sites, number, kind, dice)),
        kind => format!("the proxy beside {number} was {}", fault_of_proxy(sites, number, kind, dice)),
    };
    lab.nodes().iter().for_each(|node| node.wait_started().unwrap());
    assert!(until(SOON, || is_whole(lab)), "{said}: the cluster does not come together");
    said
}

/// All nodes are in one view. One that has just been thawed may not know yet that it was expelled: with the next fault the cluster would
/// lose two nodes at once, and its primary component with them.
fn is_whole(lab: &Lab) -> bool {
    is_one_cluster(lab.nodes().iter().filter(|node| node.name() != "server-81"))
}

fn fault_of_node(sites: &Sites<'_>, number: u8, kind: usize, dice: &mut Dice) -> &'static str {
    let node = sites.node(number);
    let proxy = if number == 81 { &sites.dr } else { &sites.dc };
    match kind {
        0 => {
            node.kill().unwrap();
            node.start().unwrap();
            "killed"
        }
        1 => {
            node.stop().unwrap();
            node.start().unwrap();
            "restarted"
        }
        2 => {
            node.freeze().unwrap();
            // For a moment, or until it is given up.
            let is_down = || server(proxy, node.name()).state == "Down";
            assert!(dice.one_in(3) || until(SOON, is_down), "{:?}", server(proxy, node.name()));
            node.thaw().unwrap();
            "frozen"
        }
        _ if dice.one_in(2) && number != 81 => {
            node.sql("SET GLOBAL read_only = ON").unwrap();
            expect_moved(sites, node.name());
            node.sql("SET GLOBAL read_only = OFF").unwrap();
            "read_only"
        }
        _ => {
            let word = if dice.one_in(2) { "maintenance" } else { "drain" };
            withdraw(sites, proxy, node, word);
            word
        }
    }
}

/// An order comes when it comes: a proxy that has just started may not have looked at the node yet.
fn withdraw(sites: &Sites<'_>, proxy: &Proxy, node: &Node, word: &str) {
    succeeded(&proxy.command(&["set", "server", node.name(), word]));
    if node.name() == "server-81" {
        assert!(until(SOON, || report(proxy).state == "Waiting"), "{:?}", report(proxy));
    } else {
        expect_moved(sites, node.name());
    }
    succeeded(&proxy.command(&["clear", "server", node.name()]));
}

fn fault_of_proxy(sites: &mut Sites<'_>, number: u8, kind: usize, dice: &mut Dice) -> &'static str {
    let nodes: Vec<&Node> =
        sites.lab.nodes().iter().filter(|node| (node.name() == "server-81") == (number == 81)).collect();
    let proxy = if number == 81 { &mut sites.dr } else { &mut sites.dc };
    match kind {
        4 | 5 => {
            proxy.restart();
            "killed"
        }
        6 => {
            proxy.end();
            proxy.restart();
            "restarted"
        }
        _ => {
            let pid = proxy.pid().to_string();
            signal("-STOP", &pid);
            // For a moment, or until its lease has lapsed.
            let is_free = |node: &&Node| node.value("SELECT IS_USED_LOCK('oarlock.links')").unwrap().is_none();
            let lapsed = dice.one_in(3) || until(SOON, || nodes.iter().all(is_free));
            signal("-CONT", &pid);
            assert!(lapsed);
            "frozen"
        }
    }
}
