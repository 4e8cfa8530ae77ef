//! `oarlock audit` on two real sites: the guide's settings pass, and each rule that is broken is named with what puts it right.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/replica.rs"]
mod replica;
mod support;

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use oarlock::lab::{Lab, REPLICATION_USER, SITE_PASSWORD, Site, until};
use replica::{SOON, cluster_sequence, follow, position, purge, the_same_everywhere};
use support::Proxy;

#[test]
fn broken_rules_are_found() {
    let lab = Lab::builder().standalone(true).start().unwrap();
    let node = |name: &str| lab.node(name).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = with_link(&lab, folder.path());

    // The guide's grants leave something to be desired, and no more.
    let (said, failed) = audit(&config, &[]);
    assert!(!failed && said.ends_with("0 errors, 10 warnings"), "{said}");
    for lack in [
        "warning: galera-71: maxuser lacks RELOAD ON *.*",
        "fix: GRANT SLAVE MONITOR ON *.* TO maxuser@'%'",
        "fix: GRANT BINLOG MONITOR ON *.* TO repl_user@'%'",
    ] {
        assert!(said.contains(lack), "{said}");
    }
    assert!(audit(&config, &["--strict"]).1);
    node("galera-71").sql("GRANT RELOAD, SLAVE MONITOR, BINLOG MONITOR ON *.* TO maxuser@'%'").unwrap();
    node("server-81").sql(&format!("GRANT BINLOG MONITOR ON *.* TO {REPLICATION_USER}@'%'")).unwrap();
    node("galera-72").sql("SET wsrep_sync_wait = 15; SELECT 1").unwrap();
    node("galera-73").sql("SET wsrep_sync_wait = 15; SELECT 1").unwrap();
    let (said, failed) = audit(&config, &["--strict"]);
    assert!(!failed && said == "0 errors, 0 warnings", "{said}");

    node("galera-71")
        .sql("CREATE DATABASE shop; CREATE TABLE shop.own (a INT) ENGINE = MyISAM; INSERT INTO shop.own VALUES (1)")
        .unwrap();
    node("galera-72")
        .sql("SET GLOBAL gtid_ignore_duplicates = OFF; SET GLOBAL binlog_expire_logs_seconds = 60")
        .unwrap();
    node("server-81")
        .sql(&format!(
            "SET GLOBAL auto_increment_offset = 2; REVOKE REPLICATION SLAVE ON *.* FROM {REPLICATION_USER}@'%'"
        ))
        .unwrap();
    node("galera-73").kill().unwrap();
    let (said, failed) = audit(&config, &[]);
    assert!(failed && said.ends_with("4 errors, 2 warnings"), "{said}");
    for finding in [
        "error: galera-72: gtid_ignore_duplicates is OFF",
        "fix: SET GLOBAL gtid_ignore_duplicates = ON",
        "error: galera-73: it can't be asked",
        "AUTO_INCREMENT gives 2 + n * 4 there and 2 + n * 4 on galera-72",
        "repl_user lacks REPLICATION SLAVE there",
        "warning: galera-71: it has transactions of its own, the last one is 71-7000-1",
        "warning: galera-72: binary logs are kept for 60 s only",
    ] {
        assert!(said.contains(finding), "{finding} is not in\n{said}");
    }
}

/// A link, and a replica of the running proxy, need what servers have thrown away.
#[test]
fn logs_that_are_needed_are_missed() {
    let lab = Lab::builder().standalone(true).start().unwrap();
    let (proxy, replica, other) =
        (Proxy::start(&lab, Site::Primary), lab.node("server-81").unwrap(), lab.node("galera-72").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let config = with_link(&lab, folder.path());
    lab.nodes()[0].sql("GRANT BINLOG MONITOR ON *.* TO maxuser@'%', repl_user@'%'").unwrap();
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT, w LONGTEXT)");
    follow(replica, &proxy, "");
    the_same_everywhere(&lab, replica);
    let said = audit(&config, &[]).0;
    assert!(!said.contains("its binary log begins") && !said.contains("thrown away"), "{said}");

    replica.sql("CREATE TABLE shop.own (a INT)").unwrap();
    purge(replica);
    let said = audit(&config, &[]).0;
    assert!(said.contains("its binary log begins at '81-8000-1', and this site has nothing of it"), "{said}");

    // More than fits on the way to a replica that takes nothing.
    let reached = cluster_sequence(&position(replica, "gtid_slave_pos"));
    replica.freeze().unwrap();
    for _ in 0..4 {
        proxy.sql("INSERT INTO shop.t (v, w) VALUES (1, REPEAT('z', 15000000))");
    }
    assert!(until(SOON, || cluster_sequence(&position(other, "gtid_binlog_pos")) >= reached + 4));
    purge(other);
    let said = audit(&config, &[]).0;
    let missed = format!("warning: galera-72: its binary log begins at '70-7000-{}', which replica 8000", reached + 4);
    assert!(said.contains(&missed), "{missed} is not in {said}");
    replica.thaw().unwrap();
}

/// The configuration of the cluster's proxy, with a link to the other site's server.
fn with_link(lab: &Lab, folder: &Path) -> PathBuf {
    let remote = lab.node("server-81").unwrap().address();
    let link = format!(
        "\n[[link]]\nname = \"dr\"\nremote = [\"{remote}\"]\nuser = \"{REPLICATION_USER}\"\npassword = \"{SITE_PASSWORD}\"\n"
    );
    let config = folder.join("dc.toml");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&config).unwrap();
    write!(file, "{}{link}", lab.config_toml(Site::Primary, lab.proxy_address(Site::Primary))).unwrap();
    config
}

/// What it prints, and whether it fails.
fn audit(config: &Path, more: &[&str]) -> (String, bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oarlock"));
    let output: Output = command.args(["audit", "--config"]).arg(config).args(more).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8_lossy(&output.stdout).trim_end().to_owned(), !output.status.success())
}
