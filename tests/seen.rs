//! README's "What an operator sees", row by row: each row is shown here, on real servers, or by the test that is named for it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/exposition.rs"]
mod exposition;
#[path = "support/sites.rs"]
mod sites;
mod support;

use std::collections::BTreeSet;
use std::fs;

use exposition::Exposition;
use oarlock::lab::{Lab, Site, until};
use sites::{Road, SOON, Sites, expect, is, report, server};
use support::{Proxy, succeeded};

/// How a row is shown.
enum Shown {
    Here(fn(&mut Sites<'_>)),
    /// By this function of this file.
    By(&'static str, &'static str),
}

use Shown::{By, Here};

/// The rows by their first cells, in the order in which they are shown.
const ROWS: [(&str, Shown); 18] = [
    ("a node", Here(a_node)),
    ("a node is donor, desynced, joining, slow, or has other GTIDs", Here(a_node_is_desynced)),
    ("the other site, or the way there", Here(the_other_site)),
    ("the writer", Here(the_writer)),
    ("outcomes can't be found out", Here(outcomes)),
    ("what is read again is wrong", Here(what_is_read_again)),
    ("more clients than `sessions_max`", Here(more_clients)),
    ("all of `connections_max` in use", Here(all_connections)),
    ("`state_dir` can't be written", Here(the_state_dir)),
    ("the service user can't log in", By("monitor", "a_standalone_server")),
    ("a node does not take the PROXY protocol", By("client_hosts", "a_node_that_does_not_believe_it")),
    (
        "a node's certificate has ended, names another host, or nobody vouches for it; its TLS is older than 1.2, or there is none",
        By("node_identity", "a_node_is_who_its_certificate_names"),
    ),
    ("a transaction of the other site does not fit here", By("links", "an_error_and_a_skip")),
    ("going on could lose transactions or apply them twice", By("links", "a_rebuilt_remote")),
    ("a replica asks for what no node's binary log holds", By("replicas", "logs_are_purged")),
    ("two replicas have one server id", By("replicas", "the_newest_of_one_server_id_stays")),
    ("the proxy itself", By("monitor", "keeps_the_writer")),
    ("the cluster has no primary component", By("metrics", "monitoring_sees_what_happens")),
];

#[test]
fn operators_see_what_readme_says() {
    let readme = fs::read_to_string("README.md").unwrap();
    let (_, section) = readme.split_once("\n## What an operator sees\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let first = |line: &str| line.strip_prefix("| ")?.split(" | ").next().map(|cell| cell.trim().to_owned());
    let rows: BTreeSet<String> = section.lines().skip(3).filter_map(first).collect();
    assert_eq!(rows, ROWS.iter().map(|(row, _)| (*row).to_owned()).collect());

    let lab = Lab::builder().galera(3).standalone(true).fast_eviction(true).start().unwrap();
    let mut sites = Sites::start(&lab, Road::Nodes);
    expect(&sites.dc, "Running");
    expect(&sites.dr, "Running");
    for (row, shown) in ROWS {
        match shown {
            Here(show) => show(&mut sites),
            By(file, function) => {
                let test = fs::read_to_string(format!("tests/{file}.rs")).unwrap();
                assert!(test.contains(&format!("fn {function}(")), "{row}: tests/{file}.rs has no {function}");
            }
        }
        println!("shown: {row}");
    }
}

fn metrics(proxy: &Proxy) -> Exposition {
    let mut answer = ureq::get(format!("http://{}/metrics", proxy.admin())).call().unwrap();
    Exposition::read(&answer.body_mut().read_to_string().unwrap())
}

#[track_caller]
fn logged(proxy: &Proxy, words: &str) {
    assert!(until(SOON, || proxy.log().contains(words)), "{words}: {}", proxy.log());
}

/// A node is not the one that gets work, and everybody is told.
#[track_caller]
fn is_unfit(proxy: &Proxy, name: &str, state: &str) {
    let seen = || server(proxy, name);
    assert!(until(SOON, || seen().state == state && !seen().reason.is_empty()), "{:?}", seen());
    logged(proxy, "the node is not fit for work");
    assert_eq!(metrics(proxy).sum("oarlock_node_fit", &[("node", name)]), 0.0);
}

#[track_caller]
fn is_fit(proxy: &Proxy, name: &str) {
    let fit = || server(proxy, name).state.contains("Synced, Running") && server(proxy, name).reason.is_empty();
    assert!(until(SOON, fit), "{:?}", server(proxy, name));
}

fn a_node(sites: &mut Sites<'_>) {
    sites.node(73).kill().unwrap();
    is_unfit(&sites.dc, "galera-73", "Down");
    sites.node(73).start().unwrap();
    is_fit(&sites.dc, "galera-73");
}

fn a_node_is_desynced(sites: &mut Sites<'_>) {
    sites.node(73).sql("SET GLOBAL wsrep_desync = ON").unwrap();
    is_unfit(&sites.dc, "galera-73", "Running");
    sites.node(73).sql("SET GLOBAL wsrep_desync = OFF").unwrap();
    is_fit(&sites.dc, "galera-73");
}

fn the_other_site(sites: &mut Sites<'_>) {
    sites.node(81).stop().unwrap();
    expect(&sites.dc, "Connecting");
    logged(&sites.dc, "the link is Connecting");
    assert_eq!(metrics(&sites.dc).sum("oarlock_link_info", &[("link", "dr"), ("state", "Connecting")]), 1.0);
    sites.node(81).start().unwrap();
    expect(&sites.dc, "Running");
    expect(&sites.dr, "Running");
}

/// Meanwhile something is written there of which nobody can find out what became: the proxy may not read binary logs.
fn the_writer(sites: &mut Sites<'_>) {
    sites.dc.sql("CREATE DATABASE seen; CREATE TABLE seen.t (a INT)");
    sites.node(71).sql("REVOKE REPLICATION SLAVE ON *.* FROM maxuser@'%'").unwrap();
    let failovers = metrics(&sites.dc).sum("oarlock_failovers_total", &[]);
    let said = std::thread::scope(|scope| {
        let write = scope.spawn(|| sites.dc.client(&["-e", "INSERT INTO seen.t SELECT SLEEP(20)"]));
        let naps = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep'";
        assert!(until(SOON, || sites.node(71).value(naps).unwrap().as_deref() == Some("1")));
        sites.node(71).kill().unwrap();
        write.join().unwrap()
    });
    assert!(String::from_utf8_lossy(&said.stderr).contains("is unknown"), "{said:?}");
    sites.node(72).sql("GRANT REPLICATION SLAVE ON *.* TO maxuser@'%'").unwrap();
    is_unfit(&sites.dc, "galera-71", "Down");
    let next = || succeeded(&sites.dc.command(&["list", "servers"])).contains("Master, Synced, Running");
    assert!(until(SOON, next), "{}", sites.dc.log());
    let moved = || is(&sites.dc, "Running") && report(&sites.dc).node != "galera-71";
    assert!(until(SOON, moved), "{:?}", report(&sites.dc));
    logged(&sites.dc, "the link is Blocked");
    logged(&sites.dc, "the node is the writer");
    assert!(metrics(&sites.dc).sum("oarlock_failovers_total", &[]) > failovers);
    sites.node(71).start().unwrap();
    is_fit(&sites.dc, "galera-71");
}

fn outcomes(sites: &mut Sites<'_>) {
    assert_eq!(metrics(&sites.dc).sum("oarlock_outcomes_total", &[("outcome", "unknown")]), 1.0);
}

fn what_is_read_again(sites: &mut Sites<'_>) {
    let (file, proxy) = (sites.dr.config_file(), &sites.dr);
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("nonsense = 1\n{good}")).unwrap();
    let said = proxy.command(&["reload"]);
    fs::write(&file, good).unwrap();
    let told = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success() && told.contains("nonsense") && told.contains(":1:"), "{told}");
    logged(proxy, "nothing changes");
}

/// Has the proxy of the other site take these limits, for as long as `during` runs.
fn limited(sites: &Sites<'_>, limits: &str, during: impl FnOnce(&Proxy)) {
    let file = sites.dr.config_file();
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{good}\n[limits]\n{limits}\n")).unwrap();
    succeeded(&sites.dr.command(&["reload"]));
    during(&sites.dr);
    fs::write(&file, good).unwrap();
    succeeded(&sites.dr.command(&["reload"]));
}

fn more_clients(sites: &mut Sites<'_>) {
    limited(sites, "sessions_max = 1", |proxy| {
        std::thread::scope(|scope| {
            let one = scope.spawn(|| proxy.client(&["-e", "SELECT SLEEP(3)"]));
            let sessions = || metrics(proxy).sum("oarlock_sessions", &[("listener", "applications")]);
            assert!(until(SOON, || sessions() == 1.0));
            let refused = proxy.client(&["-e", "SELECT 1"]);
            assert!(String::from_utf8_lossy(&refused.stderr).contains("1040"), "{refused:?}");
            let listed = succeeded(&proxy.command(&["list", "services", "--json"]));
            assert!(listed.contains("\"connections\": 1") || listed.contains("\"connections\":1"), "{listed}");
            assert!(one.join().unwrap().status.success());
        });
    });
}

/// A client more than there may be connections, of all workers together.
fn all_connections(sites: &mut Sites<'_>) {
    limited(sites, "connections_max = 2\nconnection_wait = \"30s\"", |proxy| {
        std::thread::scope(|scope| {
            let nap = || proxy.client(&["-e", "SELECT SLEEP(3) FOR UPDATE"]);
            let clients: Vec<_> = (0..3).map(|_| scope.spawn(nap)).collect();
            let awaited = || metrics(proxy).sum("oarlock_node_connections_awaited", &[("node", "server-81")]);
            assert!(until(SOON, || awaited() == 1.0), "{}", proxy.log());
            // Who waits has not got beyond his login, or has.
            let listed = succeeded(&proxy.command(&["list", "sessions"]));
            assert!(listed.contains("waiting") || listed.contains("login"), "{listed}");
            assert!(clients.into_iter().all(|client| client.join().unwrap().status.success()));
        });
    });
}

fn the_state_dir(sites: &mut Sites<'_>) {
    let (address, file) = (sites.lab.proxy_address(Site::Dr), sites.dr.config_file());
    let text = fs::read_to_string(file).unwrap();
    let folder = sites.dr.config_file().parent().unwrap().to_str().unwrap().to_owned();
    sites.dr.end();
    let other = Proxy::launch(address, &text.replace(&folder, "/proc/nowhere"));
    logged(&other, "cannot remember the writer");
    drop(other);
    sites.dr = Sites::dr(sites.lab, sites.road);
}
