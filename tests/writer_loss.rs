//! What becomes of sessions whose writer is lost, by `writer_loss`: three proxies before one real cluster.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

mod support;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use mysql_async::Error;
use mysql_async::prelude::Queryable;
use oarlock::lab::{Lab, Site, until};
use support::{Proxy, connect};
use tokio::runtime::Builder;

/// Longer than anything here takes on a loaded machine.
const SOON: Duration = Duration::from_secs(30);
/// An error that nobody has waited for.
const AT_ONCE: Duration = Duration::from_secs(2);

const WRITE: &str = "UPDATE shop.t SET v = v + 1";
const READ: &str = "SELECT COUNT(*) FROM shop.t";

#[test]
fn sessions_do_what_is_configured() {
    let lab = Lab::builder().galera(3).start().unwrap();
    let proxies = ["wait", "error-on-write", "disconnect"].map(|policy| start(&lab, policy));
    lab.nodes()[0].sql("CREATE DATABASE shop; CREATE TABLE shop.t (v INT); INSERT INTO shop.t VALUES (0)").unwrap();
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        nobody_takes_writes(&lab, &proxies).await;
        the_writer_moves_by_order(&proxies).await;
        the_writer_is_killed(&lab, &proxies).await;
    });
}

fn start(lab: &Lab, policy: &str) -> Proxy {
    let host = match policy {
        "wait" => 7,
        "error-on-write" => 8,
        _ => 9,
    };
    let address: Ipv4Addr = lab.address(host);
    let text = lab.config_toml(Site::Primary, address).replacen(
        "[site]\n",
        "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n",
        1,
    );
    let proxy = Proxy::launch(address, &format!("{text}\n[read-write-split]\nwriter_loss = \"{policy}\"\n"));
    assert!(until(SOON, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
    proxy
}

fn read_only(lab: &Lab, value: &str) {
    lab.nodes().iter().for_each(|node| drop(node.sql(&format!("SET GLOBAL read_only = {value}")).unwrap()));
}

fn has_writer(proxy: &Proxy) -> bool {
    support::succeeded(&proxy.command(&["list", "servers"])).contains("Master")
}

fn is_lost(error: &Error) -> bool {
    !matches!(error, Error::Server(_))
}

async fn nobody_takes_writes(lab: &Lab, [wait, error, disconnect]: &[Proxy; 3]) {
    let mut waits = connect(wait.address()).await;
    let mut fails = connect(error.address()).await;
    let (mut ends, mut reads) = (connect(disconnect.address()).await, connect(disconnect.address()).await);
    read_only(lab, "ON");
    assert!(until(SOON, || [wait, error, disconnect].iter().all(|proxy| !has_writer(proxy))));
    let begun = Instant::now();
    let refused = fails.query_drop(WRITE).await.unwrap_err();
    assert!(matches!(&refused, Error::Server(error) if error.code == 1290), "{refused}");
    let cut = ends.query_drop(WRITE).await.unwrap_err();
    assert!(is_lost(&cut), "{cut}");
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    for conn in [&mut fails, &mut reads, &mut waits] {
        assert_eq!(conn.query_first::<i64, _>(READ).await.unwrap(), Some(1));
    }
    let waiting = tokio::spawn(async move { waits.query_drop(WRITE).await });
    read_only(lab, "OFF");
    waiting.await.unwrap().unwrap();
    assert!(until(SOON, || [error, disconnect].iter().all(|proxy| has_writer(proxy))));
    fails.query_drop(WRITE).await.unwrap();
    reads.query_drop(WRITE).await.unwrap();
}

/// A move by order is no loss, whatever is configured.
async fn the_writer_moves_by_order(proxies: &[Proxy; 3]) {
    for proxy in proxies {
        let mut conn = connect(proxy.address()).await;
        conn.query_drop("BEGIN").await.unwrap();
        conn.query_drop(WRITE).await.unwrap();
        for node in ["galera-72", "galera-71"] {
            support::succeeded(&proxy.command(&["switch-writer", node]));
        }
        conn.query_drop("COMMIT").await.unwrap();
        conn.query_drop(WRITE).await.unwrap();
    }
}

async fn the_writer_is_killed(lab: &Lab, [wait, error, disconnect]: &[Proxy; 3]) {
    let mut idle = [connect(wait.address()).await, connect(error.address()).await];
    let mut ends = connect(disconnect.address()).await;
    for conn in idle.iter_mut().chain([&mut ends]) {
        conn.query_drop(WRITE).await.unwrap();
    }
    lab.node("galera-71").unwrap().kill().unwrap();
    let cut = ends.query_drop(READ).await.unwrap_err();
    assert!(is_lost(&cut), "{cut}");
    assert!(until(SOON, || [wait, error, disconnect].iter().all(|proxy| has_writer(proxy))));
    for conn in &mut idle {
        conn.query_drop(WRITE).await.unwrap();
    }
    connect(disconnect.address()).await.query_drop(WRITE).await.unwrap();
}
