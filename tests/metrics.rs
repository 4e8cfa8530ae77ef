//! What monitoring sees of a proxy: that it lives, whether it can serve writes, and what has been counted, while a cluster loses its nodes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/exposition.rs"]
mod exposition;
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use exposition::Exposition;
use mysql_async::prelude::Queryable;
use oarlock::lab::{Lab, Site, until};
use support::{Proxy, connect};

/// Until a number that has changed is seen: workers tell theirs five times a second; and until a node is missed.
const SEEN_MAX: Duration = Duration::from_secs(30);
const TIMES: &str = "oarlock_command_duration_seconds_count";

#[test]
fn monitoring_sees_what_happens() {
    let lab = Lab::builder().galera(3).fast_eviction(true).start().unwrap();
    let mut proxy = Proxy::start(&lab, Site::Primary);
    assert_eq!(get(&proxy, "/live"), (200, "live".to_owned()));
    assert_eq!(get(&proxy, "/ready"), (200, "ready".to_owned()));
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, filler VARCHAR(1000))");
    the_dashboard_shows_what_there_is(&proxy);
    work_is_counted(&proxy);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(sessions_and_refusals_are_counted(&proxy));
    runtime.block_on(a_lost_writer_is_counted(&lab, &proxy));
    lab.node("galera-72").unwrap().kill().unwrap();
    assert!(until(SEEN_MAX, || get(&proxy, "/ready") == (503, "no node takes writes".to_owned())));
    let last = scrape(&proxy);
    assert_eq!((last.sum("oarlock_node_writer", &[]), last.sum("oarlock_node_fit", &[])), (0.0, 0.0));
    proxy.end();
}

/// Its panels ask for nothing that is not told, and all that is told is in one of them.
fn the_dashboard_shows_what_there_is(proxy: &Proxy) {
    let dashboard: serde_json::Value = serde_json::from_str(include_str!("../config/grafana.json")).unwrap();
    let mut asked = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let words = target["expr"].as_str().unwrap().split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let parts = ["_bucket", "_sum", "_count"];
            let family = |name: &str| parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name).to_owned();
            asked.extend(words.filter(|word| word.starts_with("oarlock_")).map(family));
        }
    }
    let told: BTreeSet<_> = scrape(proxy).families().map(str::to_owned).collect();
    assert_eq!(asked, told);
}

/// Each statement once, where it ran, with a time in the same class as everything else says.
fn work_is_counted(proxy: &Proxy) {
    // What has been done so far: the two definitions, and the SELECT by which the proxy was found ready.
    let so_far = |now: &Exposition| (now.sum(TIMES, &[("route", "writer")]), now.sum(TIMES, &[("route", "reader")]));
    assert!(until(SEEN_MAX, || so_far(&scrape(proxy)) == (2.0, 1.0)), "{:?}", so_far(&scrape(proxy)));
    let before = scrape(proxy);
    let writes: String = (0..10).map(|id| format!("INSERT INTO shop.t VALUES ({id}, REPEAT('x', 1000));")).collect();
    let reads = "SELECT filler FROM shop.t WHERE id = 9;".repeat(20);
    proxy.sql(&format!("{writes}{reads}"));
    let grown = |now: &Exposition, name, labels: &[_]| now.sum(name, labels) - before.sum(name, labels);
    let counted =
        |now: &Exposition| (grown(now, TIMES, &[("route", "writer")]), grown(now, TIMES, &[("route", "reader")]));
    assert!(until(SEEN_MAX, || counted(&scrape(proxy)) == (10.0, 20.0)), "{:?}", counted(&scrape(proxy)));
    let now = scrape(proxy);
    assert_eq!(grown(&now, TIMES, &[("node", "galera-71")]), 10.0);
    let sum = grown(&now, "oarlock_command_duration_seconds_sum", &[]);
    assert!(sum > 0.0 && sum < 30.0, "{sum}");
    let bytes = grown(&now, "oarlock_sent_bytes_total", &[("to", "clients")]);
    assert!((20_000.0..30_000.0).contains(&bytes), "{bytes}");
    assert!(grown(&now, "oarlock_sent_bytes_total", &[("to", "nodes")]) > 0.0);
    assert_eq!(now.sum("oarlock_node_writer", &[("node", "galera-71")]), 1.0);
    assert_eq!(now.sum("oarlock_node_fit", &[]), 3.0);
    assert_eq!(now.sum("oarlock_node_info", &[("node", "galera-72"), ("state", "Slave, Synced, Running")]), 1.0);
}

async fn sessions_and_refusals_are_counted(proxy: &Proxy) {
    let of_listener = [("listener", "applications")];
    let before = scrape(proxy);
    let mut conn = connect(proxy.address()).await;
    let _: Option<u8> = conn.query_first("SELECT 1").await.unwrap();
    let open = |now: &Exposition| {
        let opened = "oarlock_sessions_opened_total";
        let connections = now.sum("oarlock_node_connections", &[]);
        (
            now.sum("oarlock_sessions", &of_listener),
            now.sum(opened, &of_listener) - before.sum(opened, &of_listener),
            connections > 0.0,
        )
    };
    assert!(until(SEEN_MAX, || open(&scrape(proxy)) == (1.0, 1.0, true)), "{:?}", open(&scrape(proxy)));
    conn.disconnect().await.unwrap();
    assert!(until(SEEN_MAX, || open(&scrape(proxy)) == (0.0, 1.0, false)), "{:?}", open(&scrape(proxy)));
    let refused = proxy.client(&["-pwrong", "-e", "SELECT 1"]);
    assert!(!refused.status.success());
    let refusals = |now: &Exposition| {
        now.sum("oarlock_logins_refused_total", &[]) - before.sum("oarlock_logins_refused_total", &[])
    };
    assert!(until(SEEN_MAX, || refusals(&scrape(proxy)) == 1.0), "{}", refusals(&scrape(proxy)));
}

/// Under an open transaction, which runs again elsewhere.
async fn a_lost_writer_is_counted(lab: &Lab, proxy: &Proxy) {
    let mut conn = connect(proxy.address()).await;
    conn.query_drop("BEGIN").await.unwrap();
    conn.query_drop("INSERT INTO shop.t VALUES (100, '')").await.unwrap();
    lab.node("galera-71").unwrap().kill().unwrap();
    conn.query_drop("COMMIT").await.unwrap();
    let counted = |now: &Exposition| {
        let count = |name| now.sum(name, &[]);
        (count("oarlock_failovers_total"), count("oarlock_transactions_replayed_total"), count("oarlock_errors_total"))
    };
    assert!(until(SEEN_MAX, || counted(&scrape(proxy)) == (1.0, 1.0, 0.0)), "{:?}", counted(&scrape(proxy)));
    let now = scrape(proxy);
    assert!(now.sum("oarlock_node_connections_lost_total", &[]) >= 1.0);
    assert_eq!(now.sum("oarlock_node_writer", &[("node", "galera-72")]), 1.0);
    assert_eq!(now.sum("oarlock_node_info", &[("node", "galera-71"), ("state", "Down")]), 1.0);
}

/// What is there now; nothing is ever wrong with its form.
#[track_caller]
fn scrape(proxy: &Proxy) -> Exposition {
    let (status, text) = get(proxy, "/metrics");
    assert_eq!(status, 200);
    let read = Exposition::read(&text);
    assert!(read.faults().is_empty(), "{:#?}", read.faults());
    read
}

fn get(proxy: &Proxy, path: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let mut answer = agent.get(format!("http://{}{path}", proxy.admin())).call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}
