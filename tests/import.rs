//! The guide's configuration, imported and started in front of a cluster: operators see what the guide shows.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::Duration;

use oarlock::lab::{Lab, Site, until};
use support::{Proxy, path, succeeded};

const START_MAX: Duration = Duration::from_secs(30);

fn oarlock(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oarlock")).args(arguments).output().unwrap()
}

/// What the guide shows, in the lab's network.
fn shown(lab: &Lab) -> String {
    let rows = "\
┌───────────┬───────────────┬──────┬─────────────┬─────────────────────────┬───────────┐
│ Server    │ Address       │ Port │ Connections │ State                   │ GTID      │
├───────────┼───────────────┼──────┼─────────────┼─────────────────────────┼───────────┤
│ Galera-71 │ 192.168.56.71 │ 3306 │ 0           │ Master, Synced, Running │ 70-7000-6 │
├───────────┼───────────────┼──────┼─────────────┼─────────────────────────┼───────────┤
│ Galera-72 │ 192.168.56.72 │ 3306 │ 0           │ Slave, Synced, Running  │ 70-7000-6 │
├───────────┼───────────────┼──────┼─────────────┼─────────────────────────┼───────────┤
│ Galera-73 │ 192.168.56.73 │ 3306 │ 0           │ Slave, Synced, Running  │ 70-7000-6 │
└───────────┴───────────────┴──────┴─────────────┴─────────────────────────┴───────────┘";
    cells(&in_the_lab(lab, rows))
}

fn in_the_lab(lab: &Lab, text: &str) -> String {
    let network = lab.address(0).to_string();
    text.replace("192.168.56.", network.trim_end_matches('0'))
}

/// The cells of a table, without the widths of its columns, and without what the cluster has done so far.
fn cells(table: &str) -> String {
    let cell = |cell: &str| {
        let cell = cell.trim();
        if cell.starts_with("70-7000-") { "70-7000-n".to_owned() } else { cell.to_owned() }
    };
    let row = |line: &str| line.split('│').map(cell).collect::<Vec<_>>().join("|");
    table.lines().filter(|line| line.contains('│')).map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_guides_site_is_the_same_after_the_move() {
    let lab = Lab::builder().galera(3).start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cnf, maxinfo, output) =
        (path(folder.path(), "maxscale.cnf"), path(folder.path(), "maxinfo"), path(folder.path(), "oarlock.toml"));
    let proxy_address = lab.proxy_address(Site::Primary);
    let text = in_the_lab(&lab, include_str!("maxscale/primary-dc.cnf"));
    fs::write(&cnf, text.replace("address=0.0.0.0", &format!("address={proxy_address}"))).unwrap();
    fs::write(&maxinfo, in_the_lab(&lab, include_str!("maxscale/maxinfo"))).unwrap();
    let report = succeeded(&oarlock(&["import", &cnf, "--maxinfo", &maxinfo, "--output", &output]));
    assert!(report.contains("\n0 different\n0 without a counterpart\n"), "{report}");
    assert_eq!(fs::metadata(&output).unwrap().permissions().mode() & 0o777, 0o600);
    succeeded(&oarlock(&["check", "--config", &output]));
    assert!(!oarlock(&["import", &cnf, "--output", &output]).status.success(), "an existing file is left alone");

    let text = fs::read_to_string(&output).unwrap();
    let text = text.replacen("[site]\n", "[site]\nstate_dir = \"STATE\"\n", 1);
    let proxy = Proxy::launch(proxy_address, &format!("{text}\n[admin]\naddress = \"{proxy_address}:4008\"\n"));
    assert!(until(START_MAX, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
    // Accounts and grants in the guide, which the lab's copy of a server comes with.
    proxy.sql("CREATE DATABASE shop");
    let servers = || cells(&succeeded(&proxy.command(&["list", "servers"])));
    assert!(until(START_MAX, || servers() == shown(&lab)), "{}", servers());
    let services = succeeded(&proxy.command(&["list", "services"]));
    let nodes = "Galera-71, Galera-72, Galera-73";
    for service in ["Replication-Service", "Galera-RW-Service"] {
        let row = services.lines().find(|line| line.contains(service)).unwrap();
        assert!(row.contains(&format!("│ {nodes} │")), "{services}");
    }
    assert_eq!(proxy.sql("SELECT @@wsrep_node_name IS NULL"), "0");
    let links = succeeded(&proxy.command(&["list", "links"]));
    assert!(links.contains("│ DR-MaxScale "), "{links}");
}
