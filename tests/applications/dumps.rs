//! `mariadb-dump`, and `source` of what it wrote: 100 MB each way.

use std::fs;
use std::net::SocketAddrV4;
use std::process::{Command, Stdio};

use oarlock::lab::{APP_PASSWORD, APP_USER, Lab};

use crate::support::{Proxy, client, path, succeeded};

const MEGABYTES: usize = 100;
/// Filled on one node only, in no time.
const FILL: &str = "SET wsrep_on = OFF; CREATE DATABASE origin; USE origin;
    CREATE TABLE origin.big (a INT PRIMARY KEY, b VARCHAR(2000) CHARSET latin1, c DATETIME, d DOUBLE, e VARBINARY(20));
    INSERT INTO origin.big SELECT seq, REPEAT(MD5(seq), 30), '2020-02-02' + INTERVAL seq SECOND, SQRT(seq),
        IF(seq % 7, UNHEX(MD5(seq)), NULL) FROM seq_1_to_100000";

pub fn all(lab: &Lab, proxy: &Proxy) {
    let folder = tempfile::tempdir().unwrap();
    let writer = lab.node("galera-71").unwrap();
    writer.sql(FILL).unwrap();
    let file = path(folder.path(), "direct.sql");
    dump(writer.address(), "origin", &file);
    let size = fs::metadata(&file).unwrap().len() as usize;
    assert!(size > MEGABYTES * 1_000_000, "{size}");

    let output = proxy.client(&["shop", "-e", &format!("source {file}")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // With streaming replication CHECKSUM TABLE is refused (1235) as soon as it has read a fragment's rows.
    let ask = |sql: &str| succeeded(&client(writer.address(), &["-N", "-e", sql]));
    let [copy, original] = ["shop", "origin"].map(|schema| {
        ask(&format!("SET wsrep_trx_fragment_size = 0; USE {schema}; CHECKSUM TABLE big EXTENDED; SHOW WARNINGS"))
    });
    assert_eq!(copy.replace("shop", "origin"), original);
    assert!(!copy.contains("NULL"), "{copy}");

    let proxied = path(folder.path(), "proxied.sql");
    dump(proxy.address(), "shop", &proxied);
    assert!(fs::read(&file).unwrap() == fs::read(&proxied).unwrap(), "the dumps differ: {file} {proxied}");
}

fn dump(address: SocketAddrV4, schema: &str, file: &str) {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let password = format!("-p{APP_PASSWORD}");
    let status = Command::new("mariadb-dump")
        .args(["--no-defaults", "-h", &host, "-P", &port, "-u", APP_USER, &password])
        .args(["--single-transaction", "--skip-comments", "--result-file", file, schema, "big"])
        .stdin(Stdio::null())
        .status();
    assert!(status.unwrap().success());
}
