//! Two proxies of one site, of which one drives the links: it is killed, frozen, and cut off from the writer. At most one changes
//! links at a time, and both come to the same writer. On real servers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/sites.rs"]
mod sites;
mod support;
#[path = "support/wire.rs"]
mod wire;

use std::net::SocketAddrV4;

use oarlock::lab::{Lab, Site, until};
use sites::{Road, SOON, Sites, expect, first_start, is, link, report, runner, server, signal};
use support::{Proxy, succeeded};
use wire::Wire;

#[test]
fn two_proxies_share_a_site() {
    let lab = Lab::builder().standalone(true).fast_eviction(true).start().unwrap();
    let mut sites = Sites::start(&lab, Road::Nodes);
    first_start(&sites);
    let (second, wires) = second(&sites);
    it_stands_by(&sites, &second);
    the_first_freezes(&sites, &second);
    the_second_is_cut_off(&sites, &second, &wires);
    the_driver_is_killed(&mut sites, &second);
    the_driver_is_cut_off(&sites, &second, &wires);
    the_only_one_is_cut_off(&mut sites, &second, &wires);
    drop(second);
    expect(&sites.dc, "Running");
    sites.settle();
}

/// Another proxy of the cluster, whose first choice as writer is another node, and the wires by which it reaches the nodes.
fn second(sites: &Sites<'_>) -> (Proxy, Vec<(String, Wire)>) {
    let (lab, address) = (sites.lab, sites.lab.address(69));
    let link = link("dr", &[sites.node(81)]);
    let mut text = format!("{}{link}", lab.config_toml(Site::Primary, address));
    text = text.replacen("[site]\n", "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n", 1);
    text = text.replace("priority = 1\n", "priority = 9\n");
    let mut wires = vec![];
    for number in [71, 72, 73] {
        let (node, wire) = (sites.node(number), SocketAddrV4::new(lab.address(100 + number), 3306));
        wires.push((node.name().to_owned(), Wire::lay(wire, node.address())));
        text = text.replace(&format!("\"{}\"", node.address()), &format!("\"{wire}\""));
    }
    (Proxy::launch(address, &text), wires)
}

fn wire_to<'a>(wires: &'a [(String, Wire)], node: &str) -> &'a Wire {
    &wires.iter().find(|(name, _)| name == node).unwrap().1
}

/// What a proxy has changed of links so far.
fn changes(proxy: &Proxy) -> Vec<String> {
    let change = |line: &&str| line.contains("the link is") && line.contains(" there ");
    proxy.log().lines().filter(change).map(str::to_owned).collect()
}

/// The link runs on the writer of this proxy and nowhere else, and the other one has that writer too.
#[track_caller]
fn agreed(sites: &Sites<'_>, driver: &Proxy, other: &Proxy) {
    let agreed = || {
        let link = report(driver);
        link.state == "Running"
            && link.lease == "this proxy"
            && is(other, "Standby")
            && report(other).node == link.node
            && runner(sites) == Some(link.node)
    };
    assert!(until(SOON, agreed), "{:?}\n{:?}\n{:?}", report(driver), report(other), runner(sites));
}

fn it_stands_by(sites: &Sites<'_>, second: &Proxy) {
    let standby = expect(second, "Standby");
    assert!(standby.lease.starts_with("127."), "{standby:?}");
    // It would prefer another node.
    agreed(sites, &sites.dc, second);
    let refused = |arguments: &[&str], why: &str| {
        let output = second.command(arguments);
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{output:?}");
    };
    for order in ["retry", "stop"] {
        refused(&["link", order, "dr"], "drives the links of this site: ask that one");
    }
    refused(&["switch-writer", "galera-73"], "drives the links of this site");
    let writer = report(second).node;
    refused(&["set", "server", &writer, "drain"], "tell that one first");
    // The role moves by order, there and back: both follow.
    for node in ["galera-73", &writer] {
        succeeded(&sites.dc.command(&["switch-writer", node]));
        assert!(until(SOON, || report(&sites.dc).node == node), "{:?}", report(&sites.dc));
        agreed(sites, &sites.dc, second);
    }
    assert_eq!(changes(second), [""; 0]);
}

/// For longer than the lease: the second goes on, and the first is told so when it wakes.
fn the_first_freezes(sites: &Sites<'_>, second: &Proxy) {
    let pid = sites.dc.pid().to_string();
    signal("-STOP", &pid);
    let before = changes(&sites.dc);
    expect(second, "Running");
    let writer = report(second).node;
    let node = sites.lab.node(&writer).unwrap();
    node.sql("SET GLOBAL read_only = ON").unwrap();
    assert!(until(SOON, || report(second).node != writer && is(second, "Running")), "{:?}", report(second));
    signal("-CONT", &pid);
    agreed(sites, second, &sites.dc);
    node.sql("SET GLOBAL read_only = OFF").unwrap();
    assert_eq!(changes(&sites.dc), before, "both have changed links");

    // And back, the same way.
    let pid = second.pid().to_string();
    signal("-STOP", &pid);
    let before = changes(second);
    expect(&sites.dc, "Running");
    signal("-CONT", &pid);
    agreed(sites, &sites.dc, second);
    assert_eq!(changes(second), before, "both have changed links");
}

/// It can't know who holds the lease on a node that is a member and does not answer: it takes none.
fn the_second_is_cut_off(sites: &Sites<'_>, second: &Proxy, wires: &[(String, Wire)]) {
    let (writer, before) = (report(&sites.dc).node, changes(second));
    wire_to(wires, &writer).cut();
    let unknown = || report(second).lease == format!("unknown: {writer} does not answer");
    assert!(until(SOON, unknown), "{:?}", report(second));
    sites.node(81).sql("INSERT INTO shop.t (site) VALUES (8000)").unwrap();
    sites.settle();
    assert_eq!(runner(sites).as_deref(), Some(&*writer));
    wire_to(wires, &writer).mend();
    agreed(sites, &sites.dc, second);
    assert_eq!(changes(second), before, "both have changed links");
}

/// What an operator has told it holds for whoever goes on, and for itself when it comes back what the other one was told.
fn the_driver_is_killed(sites: &mut Sites<'_>, second: &Proxy) {
    succeeded(&sites.dc.command(&["link", "stop", "dr"]));
    let noted = || second.log().contains("an operator has the link stopped");
    assert!(until(SOON, noted), "{:?}", report(second));
    sites.dc.kill();
    expect(second, "Stopped");
    succeeded(&second.command(&["link", "start", "dr"]));
    expect(second, "Running");
    sites.dc.restart();
    agreed(sites, second, &sites.dc);
    let noted = || sites.dc.log().contains("an operator has the link started");
    assert!(until(SOON, noted), "{:?}", report(&sites.dc));
}

/// The server ends its lease, and the other one goes on with the same writer.
fn the_driver_is_cut_off(sites: &Sites<'_>, second: &Proxy, wires: &[(String, Wire)]) {
    let (writer, before) = (report(second).node, changes(second));
    wire_to(wires, &writer).cut();
    let goes_on = || report(&sites.dc).lease == "this proxy" && is(&sites.dc, "Running");
    assert!(until(SOON, goes_on), "{:?}", report(&sites.dc));
    assert_eq!(report(&sites.dc).node, writer);
    let unknown = || report(second).lease == format!("unknown: {writer} does not answer");
    assert!(until(SOON, unknown), "{:?}", report(second));
    sites.settle();
    wire_to(wires, &writer).mend();
    agreed(sites, &sites.dc, second);
    assert_eq!(changes(second), before, "both have changed links");
}

/// The writer is a member still, so the link may be running there, as it is: it is started nowhere else, also once the lease has ended.
fn the_only_one_is_cut_off(sites: &mut Sites<'_>, second: &Proxy, wires: &[(String, Wire)]) {
    sites.dc.kill();
    expect(second, "Running");
    let writer = report(second).node;
    wire_to(wires, &writer).cut();
    let blocked = expect(second, "Blocked");
    assert!(blocked.reason.contains(&writer), "{blocked:?}");
    let free = "SELECT IS_FREE_LOCK('oarlock.links')";
    let node = sites.lab.node(&writer).unwrap();
    assert!(until(SOON, || node.value(free).unwrap().as_deref() == Some("1")));
    let moved = || server(second, &writer).state == "Down" && cluster(second).contains("Master");
    assert!(until(SOON, moved), "{}", cluster(second));
    let rows = || node.value("SELECT COUNT(*) FROM shop.t").unwrap();
    let before = rows();
    sites.node(81).sql("INSERT INTO shop.t (site) VALUES (8000)").unwrap();
    assert!(until(SOON, || rows() != before), "the link does not run there any more");
    assert!(is(second, "Blocked"), "{:?}", report(second));
    assert_eq!(runner(sites), Some(writer.clone()), "the link runs twice");
    wire_to(wires, &writer).mend();
    let goes_on = || is(second, "Running") && runner(sites) == Some(report(second).node);
    assert!(until(SOON, goes_on), "{:?} {:?}", report(second), runner(sites));
    sites.dc.restart();
}

fn cluster(proxy: &Proxy) -> String {
    succeeded(&proxy.command(&["list", "servers"]))
}
