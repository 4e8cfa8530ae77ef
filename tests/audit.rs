//! `oarlock audit` on two real sites: the guide's settings pass, and each rule that is broken is named with what puts it right.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Output};

use oarlock::lab::{Lab, REPLICATION_USER, SITE_PASSWORD, Site};

#[test]
fn broken_rules_are_found() {
    let lab = Lab::builder().standalone(true).start().unwrap();
    let node = |name: &str| lab.node(name).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let remote = node("server-81").address();
    let link = format!(
        "\n[[link]]\nname = \"dr\"\nremote = [\"{remote}\"]\nuser = \"{REPLICATION_USER}\"\npassword = \"{SITE_PASSWORD}\"\n"
    );
    let config = folder.path().join("dc.toml");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&config).unwrap();
    write!(file, "{}{link}", lab.config_toml(Site::Primary, lab.proxy_address(Site::Primary))).unwrap();

    // The guide's grants leave something to be desired, and no more.
    let (said, failed) = audit(&config, &[]);
    assert!(!failed && said.ends_with("0 errors, 6 warnings"), "{said}");
    for lack in ["warning: galera-71: maxuser lacks RELOAD ON *.*", "fix: GRANT SLAVE MONITOR ON *.* TO maxuser@'%'"] {
        assert!(said.contains(lack), "{said}");
    }
    assert!(audit(&config, &["--strict"]).1);
    node("galera-71").sql("GRANT RELOAD, SLAVE MONITOR ON *.* TO maxuser@'%'").unwrap();
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

/// What it prints, and whether it fails.
fn audit(config: &Path, more: &[&str]) -> (String, bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oarlock"));
    let output: Output = command.args(["audit", "--config"]).arg(config).args(more).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8_lossy(&output.stdout).trim_end().to_owned(), !output.status.success())
}
