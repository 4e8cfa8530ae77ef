//! A whole site is lost and comes back, applications go to the other one and return as README says, and links go on by themselves.
//! On two real sites that follow each other through their proxies' 4007.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/sites.rs"]
mod sites;
mod support;

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use oarlock::gtid::Position;
use oarlock::lab::{Lab, Node, Site, until};
use sites::{Road, SOON, Sites, expect, expect_moved, first_start, report};
use support::{client, succeeded};

#[test]
fn a_site_is_lost_and_returns() {
    let lab = Lab::builder()
        .standalone(true)
        .fast_eviction(true)
        .option("general_log", "ON")
        .option("general_log_file", "general.log")
        .start()
        .unwrap();
    let mut sites = Sites::start(&lab, Road::Proxies);
    first_start(&sites);
    numbers_get_longer(&sites);
    dr_is_lost(&mut sites);
    the_primary_is_lost(&mut sites);
    the_primary_is_bootstrapped(&sites);
    for node in lab.nodes() {
        positions_only_grow(node);
    }
    for proxy in [&sites.dc, &sites.dr] {
        let log = proxy.log();
        assert!(!log.contains("the link is Broken") && !log.contains("cannot be changed there"), "{log}");
    }
}

/// 9 to 10 and 99 to 100, with a move of the link at each: as text the longer number would be the lower one.
fn numbers_get_longer(sites: &Sites<'_>) {
    let position = |node: &Node| node.value("SELECT @@gtid_slave_pos").unwrap().unwrap().parse::<Position>().unwrap();
    for goal in [9, 10, 99, 100] {
        let dr = sites.node(81);
        let written =
            || dr.value("SELECT @@gtid_binlog_pos").unwrap().unwrap().parse::<Position>().unwrap().sequence(81);
        while written() < goal {
            dr.sql("INSERT INTO shop.t (site) VALUES (8000)").unwrap();
        }
        assert_eq!(written(), goal);
        sites.settle();
        let writer = report(&sites.dc).node;
        let next = if writer == "galera-71" { "galera-72" } else { "galera-71" };
        succeeded(&sites.dc.command(&["switch-writer", next]));
        expect_moved(sites, &writer);
        assert_eq!(position(sites.lab.node(next).unwrap()).sequence(81), goal);
    }
}

/// What a node was told its position is was never lower than before, in any domain. The server itself refuses it while a connection
/// runs, which the proxy's log would show.
fn positions_only_grow(node: &Node) {
    let log = String::from_utf8_lossy(&std::fs::read(node.data().join("general.log")).unwrap()).into_owned();
    let set = log.lines().filter_map(|line| line.split_once("SET GLOBAL gtid_slave_pos = '")?.1.split('\'').next());
    let (mut highest, mut times) = (BTreeMap::new(), 0);
    for position in set.map(|text| text.parse::<Position>().unwrap()) {
        for gtid in position.iter() {
            let before = highest.insert(gtid.domain, gtid.sequence).unwrap_or_default();
            assert!(before <= gtid.sequence, "{}: from {before} back to {gtid}", node.name());
        }
        times += 1;
    }
    println!("{}: its position was set {times} times", node.name());
    assert!(times > 0 || !["galera-71", "galera-72"].contains(&node.name()));
}

/// So many rows through a site's proxy.
fn write(sites: &Sites<'_>, site: Site, rows: usize) {
    let address = SocketAddrV4::new(sites.lab.proxy_address(site), 4006);
    let many = "INSERT INTO shop.t (site) VALUES (@@server_id); ".repeat(rows);
    succeeded(&client(address, &["-e", &many]));
}

/// For as long as 500 rows take, or OUTAGE_SECONDS.
fn dr_is_lost(sites: &mut Sites<'_>) {
    let wanted = std::env::var("OUTAGE_SECONDS").map_or(0, |seconds| seconds.parse().unwrap());
    write(sites, Site::Dr, 20);
    sites.node(81).kill().unwrap();
    sites.dr.kill();
    let (began, mut rows) = (Instant::now(), 0);
    while rows < 500 || began.elapsed() < Duration::from_secs(wanted) {
        write(sites, Site::Primary, 20);
        rows += 20;
        // A long outage is to leave some of the machine to others.
        std::thread::sleep(Duration::from_millis(if rows < 500 { 0 } else { 500 }));
    }
    expect(&sites.dc, "Connecting");
    println!("DR was down for {:.0?} and {rows} rows", began.elapsed());
    sites.node(81).start().unwrap();
    sites.dr.restart();
    let back = Instant::now();
    sites.settle();
    println!("all is the same everywhere {:.1?} after its return", back.elapsed());
}

/// All power fails while transactions are on their way. Every command of README's page is run as it stands there.
fn the_primary_is_lost(sites: &mut Sites<'_>) {
    let page = Page::read();
    write(sites, Site::Primary, 200);
    for number in [71, 72, 73] {
        sites.node(number).kill().unwrap();
    }
    sites.dc.kill();
    page.follow("Applications go to the other site", sites);
    let nodes = [71, 72, 73].map(|number| sites.node(number));
    nodes.iter().for_each(|node| node.launch().unwrap());
    nodes.iter().for_each(|node| node.wait_started().unwrap());
    sites.dc.restart();
    page.follow("Applications come back", sites);
    sites.settle();
}

/// Stopped in order and begun again by its first node, while the other site goes on.
fn the_primary_is_bootstrapped(sites: &Sites<'_>) {
    for number in [73, 72, 71] {
        sites.node(number).stop().unwrap();
    }
    expect(&sites.dc, "Waiting");
    write(sites, Site::Dr, 200);
    for number in [71, 72, 73] {
        sites.node(number).start().unwrap();
    }
    sites.settle();
}

/// README's page on the loss of a site.
struct Page(String);

impl Page {
    fn read() -> Self {
        let text = std::fs::read_to_string("README.md").unwrap();
        let (_, page) = text.split_once("\n## When a site is lost\n").unwrap();
        Self(page.split("\n## ").next().unwrap().to_owned())
    }

    /// The lines of the block behind these words, with this lab's addresses.
    fn commands(&self, words: &str, sites: &Sites<'_>) -> Vec<String> {
        let (_, rest) = self.0.split_once(words).unwrap();
        let block = rest.split("```").nth(1).unwrap();
        let address = |line: &str| {
            let line = line.replace("192.168.56.70", &sites.lab.proxy_address(Site::Primary).to_string());
            line.replace("192.168.56.80", &sites.lab.proxy_address(Site::Dr).to_string())
        };
        block.lines().skip(1).map(address).collect()
    }

    fn follow(&self, words: &str, sites: &Sites<'_>) {
        let commands = self.commands(words, sites);
        assert!(!commands.is_empty());
        for line in commands {
            println!("{line}");
            let (command, comment) = line.split_once('#').unwrap_or((&line, ""));
            let words: Vec<&str> = command.split_whitespace().collect();
            match &words[..] {
                ["oarlock", "list", "links", "--admin", admin] => {
                    let proxy = if *admin == sites.dc.admin().to_string() { &sites.dc } else { &sites.dr };
                    let says = || succeeded(&proxy.command(&["list", "links"]));
                    let is_even =
                        |text: String| text.contains("│ Running") && report(proxy).lag_transactions == Some(0);
                    assert!(!comment.contains("until") || until(SOON, || is_even(says())), "{}", says());
                }
                ["mariadb", "-h", host, "-P", "4006", "-u", "app", "-p"] => {
                    let site = [Site::Primary, Site::Dr]
                        .into_iter()
                        .find(|site| sites.lab.proxy_address(*site).to_string() == *host);
                    write(sites, site.unwrap(), 100);
                }
                _ => panic!("README says {line}"),
            }
        }
    }
}
