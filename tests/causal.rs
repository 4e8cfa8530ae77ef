//! A session's reads see its own writes, on whichever reader they run, and however far behind that is.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::net::SocketAddrV4;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use oarlock::lab::{Lab, Site, until};
use support::{Proxy, connect};

/// Until the proxy takes clients.
const START_MAX: Duration = Duration::from_secs(30);
/// Writes and reads of one client.
const ROUNDS: u32 = 400;
const CLIENTS: u32 = 4;

#[test]
fn a_read_sees_what_its_session_wrote() {
    let lab = Lab::builder().galera(3).start().unwrap();
    let proxy = start(&lab);
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, a INT); CREATE TABLE shop.counter (id INT PRIMARY KEY, n INT)");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stale = runtime.block_on(async {
        let clients = (0..CLIENTS).map(|client| tokio::task::spawn(writes_and_reads(proxy.address(), client)));
        let mut stale = 0;
        for client in clients.collect::<Vec<_>>() {
            stale += client.await.unwrap();
        }
        stale
    });
    assert_eq!(stale, 0, "of {} reads", 2 * ROUNDS * CLIENTS);
    runtime.block_on(readers_that_stand_still(&lab, &proxy));
}

/// A proxy that does not notice when a node falls behind, so that only waits tell.
fn start(lab: &Lab) -> Proxy {
    let address = lab.proxy_address(Site::Primary);
    let text =
        lab.config_toml(Site::Primary, address).replacen("probe_interval = \"1s\"", "probe_interval = \"1h\"", 1);
    let proxy = Proxy::launch(address, &text.replacen("[site]\n", "[site]\nstate_dir = \"STATE\"\n", 1));
    assert!(until(START_MAX, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
    proxy
}

/// Readers that apply nothing any more: reads of what a session wrote wait there, and then run on the writer. Other reads go on.
async fn readers_that_stand_still(lab: &Lab, proxy: &Proxy) {
    let (mut writes, mut reads) = (connect(proxy.address()).await, connect(proxy.address()).await);
    let node = "SELECT @@wsrep_node_name";
    let name: Option<String> = writes.query_first(node).await.unwrap();
    assert_ne!(name.as_deref(), Some("galera-71"));
    let mut locks = vec![];
    for name in ["galera-72", "galera-73"] {
        let socket = lab.node(name).unwrap().socket();
        let options = OptsBuilder::default().socket(socket.to_str()).user(Some("root"));
        let mut conn = Conn::new(options.max_allowed_packet(Some(1 << 24)).wait_timeout(Some(3600))).await.unwrap();
        conn.query_drop("FLUSH TABLES WITH READ LOCK").await.unwrap();
        locks.push(conn);
    }
    writes.query_drop("UPDATE shop.counter SET n = 1000000 WHERE id = 0").await.unwrap();
    let row: Option<(u32, String)> =
        writes.query_first("SELECT n, @@wsrep_node_name FROM shop.counter WHERE id = 0").await.unwrap();
    assert_eq!(row, Some((1_000_000, "galera-71".to_owned())));
    let row: Option<(u32, String)> =
        writes.exec_first("SELECT n, @@wsrep_node_name FROM shop.counter WHERE id = ?", (0,)).await.unwrap();
    assert_eq!(row, Some((1_000_000, "galera-71".to_owned())));
    let name: Option<String> = reads.query_first(node).await.unwrap();
    assert_ne!(name.as_deref(), Some("galera-71"), "who has written nothing need not wait");
    for conn in &mut locks {
        conn.query_drop("UNLOCK TABLES").await.unwrap();
    }
    let mut name = Some("galera-71".to_owned());
    while name.as_deref() == Some("galera-71") {
        name = writes.query_first(node).await.unwrap();
    }
}

/// Reads that missed the write before them.
async fn writes_and_reads(address: SocketAddrV4, client: u32) -> u32 {
    let mut conn = connect(address).await;
    let mut stale = 0;
    conn.query_drop(format!("INSERT INTO shop.counter VALUES ({client}, 0)")).await.unwrap();
    for round in 1..=ROUNDS {
        conn.query_drop(format!("UPDATE shop.counter SET n = {round} WHERE id = {client}")).await.unwrap();
        let seen: Option<u32> =
            conn.query_first(format!("SELECT n FROM shop.counter WHERE id = {client}")).await.unwrap();
        stale += u32::from(seen != Some(round));
        let id = client * ROUNDS + round;
        let mut transaction = conn.start_transaction(mysql_async::TxOpts::default()).await.unwrap();
        transaction.exec_drop("INSERT INTO shop.t VALUES (?, ?)", (id, round)).await.unwrap();
        transaction.commit().await.unwrap();
        let seen: Option<u32> = conn.exec_first("SELECT a FROM shop.t WHERE id = ?", (id,)).await.unwrap();
        stale += u32::from(seen != Some(round));
    }
    conn.disconnect().await.unwrap();
    stale
}
