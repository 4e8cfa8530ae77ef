//! Two sites that replicate to each other: a cluster of three and a standalone server, a proxy before each, a link both ways.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use std::net::SocketAddrV4;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oarlock::admin::http::Server;
use oarlock::lab::{Lab, Node, REPLICATION_USER, SITE_PASSWORD, Site, until};
use oarlock::replication::link::board::LinkReport;

use crate::support::{End, Proxy, client};

/// Longer than anything here takes on a loaded machine.
pub const SOON: Duration = Duration::from_secs(60);

/// Where links connect to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Road {
    /// The servers of the other site.
    Nodes,
    /// Port 4007 of its proxy.
    Proxies,
}

/// Both sites, with a link each.
pub struct Sites<'a> {
    pub lab: &'a Lab,
    pub road: Road,
    pub dc: Proxy,
    pub dr: Proxy,
}

impl<'a> Sites<'a> {
    pub fn start(lab: &'a Lab, road: Road) -> Self {
        Self { lab, road, dc: Self::dc(lab, road), dr: Self::dr(lab, road) }
    }

    pub fn dc(lab: &Lab, road: Road) -> Proxy {
        let remote = match road {
            Road::Nodes => link("dr", &[lab.node("server-81").unwrap()]),
            Road::Proxies => link_to("dr", &[replication_address(lab, Site::Dr)]),
        };
        Proxy::start_with(lab, Site::Primary, &remote)
    }

    pub fn dr(lab: &Lab, road: Road) -> Proxy {
        let cluster: Vec<&Node> = lab.nodes().iter().filter(|node| node.name() != "server-81").collect();
        let remote = match road {
            Road::Nodes => link("dc", &cluster),
            Road::Proxies => link_to("dc", &[replication_address(lab, Site::Primary)]),
        };
        Proxy::start_with(lab, Site::Dr, &remote)
    }

    pub fn node(&self, number: u8) -> &Node {
        let name = if number == 81 { "server-81".to_owned() } else { format!("galera-{number}") };
        self.lab.node(&name).unwrap()
    }

    /// Waits until both links run, and all that either site has written is on all nodes of both.
    #[track_caller]
    pub fn settle(&self) {
        self.settle_after("");
    }

    #[track_caller]
    pub fn settle_after(&self, what: &str) {
        let same = || {
            let of = |node: &Node| node.value("SELECT @@gtid_binlog_pos").unwrap().unwrap();
            let shared = |node: &Node| -> Vec<String> {
                let position = of(node);
                position
                    .split(',')
                    .filter(|gtid| gtid.starts_with("70-") || gtid.starts_with("81-"))
                    .map(str::to_owned)
                    .collect()
            };
            let first = shared(&self.lab.nodes()[0]);
            self.lab.nodes().iter().all(|node| shared(node) == first)
        };
        let settled = until(SOON, || is(&self.dc, "Running") && is(&self.dr, "Running") && same());
        let positions: Vec<_> = self.lab.nodes().iter().map(|node| node.value("SELECT @@gtid_binlog_pos")).collect();
        assert!(settled, "{what} {positions:?}\n{:?}\n{:?}", report(&self.dc), report(&self.dr));
        let sum = "SELECT CONCAT(COUNT(*), ' ', SUM(CRC32(CONCAT_WS(',', id, site)))) FROM shop.t";
        let checksum = |node: &Node| node.value(sum).unwrap();
        let sums: Vec<_> = self.lab.nodes().iter().map(checksum).collect();
        assert!(sums.iter().all(|sum| *sum == sums[0]), "{what} {sums:?}");
    }
}

/// A link straight to nodes.
pub fn link(name: &str, remote: &[&Node]) -> String {
    let remote: Vec<SocketAddrV4> = remote.iter().map(|node| node.address()).collect();
    link_to(name, &remote)
}

/// Where a site's proxy serves replicas.
pub fn replication_address(lab: &Lab, site: Site) -> SocketAddrV4 {
    SocketAddrV4::new(lab.proxy_address(site), 4007)
}

pub fn link_to(name: &str, remote: &[SocketAddrV4]) -> String {
    let remote: Vec<String> = remote.iter().map(|address| format!("\"{address}\"")).collect();
    let remote = remote.join(", ");
    format!(
        "\n[[link]]\nname = \"{name}\"\nremote = [{remote}]\nuser = \"{REPLICATION_USER}\"\npassword = \"{SITE_PASSWORD}\"\n"
    )
}

pub fn report(proxy: &Proxy) -> LinkReport {
    // A proxy that is starting has no answer yet.
    let answer = ureq::get(format!("http://{}/v1/links", proxy.admin())).call();
    let reports: Option<Vec<LinkReport>> = answer.ok().and_then(|mut answer| answer.body_mut().read_json().ok());
    reports.into_iter().flatten().next().unwrap_or_default()
}

pub fn is(proxy: &Proxy, state: &str) -> bool {
    report(proxy).state == state
}

#[track_caller]
pub fn expect(proxy: &Proxy, state: &str) -> LinkReport {
    assert!(until(SOON, || is(proxy, state)), "not {state}: {:?}", report(proxy));
    report(proxy)
}

pub fn server(proxy: &Proxy, name: &str) -> Server {
    let mut answer = ureq::get(format!("http://{}/v1/servers", proxy.admin())).call().unwrap();
    let servers: Vec<Server> = answer.body_mut().read_json().unwrap();
    servers.into_iter().find(|server| server.name == name).unwrap()
}

pub fn channels(node: &Node) -> usize {
    node.sql("SHOW ALL SLAVES STATUS").unwrap().len()
}

/// Inserts through both proxies, row after row, while `during` runs. Errors are the clients' business, not the links'.
pub fn under_writes(lab: &Lab, during: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for site in [Site::Primary, Site::Dr] {
            let (done, address) = (&done, SocketAddrV4::new(lab.proxy_address(site), 4006));
            scope.spawn(move || {
                let many = "INSERT INTO shop.t (site) VALUES (@@server_id); ".repeat(20);
                while !done.load(Ordering::Relaxed) {
                    client(address, &["-f", "-e", &many]);
                }
            });
        }
        let _end = End(&done);
        during();
    });
}

pub fn first_start(sites: &Sites<'_>) {
    let dr = expect(&sites.dc, "Running");
    assert_eq!((&*dr.link, &*dr.node, &*dr.lease), ("dr", "galera-71", "this proxy"));
    expect(&sites.dr, "Running");
    // What the guide's grants lack; it gets to the other site by the link.
    sites.node(71).sql("GRANT RELOAD, SLAVE MONITOR ON *.* TO maxuser@'%'").unwrap();
    let create = "CREATE DATABASE shop; CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, site INT)";
    sites.node(71).sql(create).unwrap();
    assert!(until(SOON, || sites.node(81).sql("SELECT * FROM shop.t").is_ok()), "{:?}", report(&sites.dr));
    sites.node(81).sql("INSERT INTO shop.t (site) VALUES (8000)").unwrap();
    assert!(
        until(SOON, || sites.node(73).sql("SELECT * FROM shop.t").is_ok_and(|rows| rows.len() == 1)),
        "{:?}",
        report(&sites.dc)
    );
    sites.settle();
    assert_eq!(runner(sites).as_deref(), Some("galera-71"));
}

/// The cluster's node whose replication connection there is, if there is exactly one.
pub fn runner(sites: &Sites<'_>) -> Option<String> {
    let runs = |node: &&Node| {
        node.sql_within(Duration::from_secs(2), "SHOW ALL SLAVES STATUS").is_ok_and(|rows| !rows.is_empty())
    };
    let found: Vec<&Node> = [71, 72, 73].map(|number| sites.node(number)).into_iter().filter(runs).collect();
    if let [node] = found[..] { Some(node.name().to_owned()) } else { None }
}

/// Waits until the link runs on the writer of the cluster, which is not this node, and is configured on no other one.
#[track_caller]
pub fn expect_moved(sites: &Sites<'_>, from: &str) {
    let moved = || {
        let link = report(&sites.dc);
        link.state == "Running" && link.node != from && runner(sites) == Some(link.node)
    };
    assert!(until(SOON, moved), "{:?} {:?}", report(&sites.dc), runner(sites));
}

/// Sends a signal to a process.
pub fn signal(signal: &str, pid: &str) {
    assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
}
