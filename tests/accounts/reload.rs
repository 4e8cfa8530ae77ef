//! When the snapshot is loaded again, and what a load sees.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use oarlock::auth::directory::Directory;
use oarlock::auth::load::load;
use oarlock::auth::secret::Secret;
use oarlock::cluster::view::{ClusterView, Health, NodeId, NodeView, ViewHandle};
use oarlock::lab::Lab;

use super::admit;
use super::client::Client;
use super::server::{Server, service};

/// The view of a site with this one node.
fn view_of(server: &Server) -> ViewHandle {
    let node = NodeView {
        id: NodeId(0),
        name: "node".into(),
        address: server.address.to_string().into(),
        health: Health::Synced,
        collation: 45,
        ..NodeView::default()
    };
    ViewHandle::new(ClusterView { nodes: Box::new([node]), writer: Some(NodeId(0)), ..ClusterView::default() })
}

/// How often anybody connected before this.
fn connections(server: &Server) -> u64 {
    server
        .value("SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'CONNECTIONS'")
        .parse()
        .unwrap()
}

/// A user just created gets in after one refresh; a flood of refused logins costs the node next to nothing.
#[tokio::test]
async fn a_failed_login_asks_for_a_shared_reload() {
    let server = Server::start(&[]);
    let (directory, loader) = Directory::new(view_of(&server), service);
    let from: IpAddr = "127.0.0.1".parse().unwrap();
    let password = Some(Secret::clear(b"alpha"));
    let client = Client { user: "newcomer", from, password: password.as_ref(), schema: None };
    assert_eq!(admit(&directory.load(), &client, from).unwrap_err().0, 1105, "before the first load nobody is known");
    let loading = tokio::spawn(loader.run());
    assert!(directory.refresh(0).await, "the first load");
    let generation = directory.load().generation();
    assert_eq!(admit(&directory.load(), &client, from).unwrap_err().0, 1045);

    server.run("CREATE USER newcomer@'%' IDENTIFIED BY 'alpha'");
    assert!(directory.refresh(generation).await, "there is something new");
    assert!(admit(&directory.load(), &client, from).is_ok());
    assert!(directory.refresh(generation).await, "it still is newer than what the caller has");
    let generation = directory.load().generation();
    assert!(!directory.refresh(generation).await, "nothing new");

    let before = connections(&server);
    let start = Instant::now();
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let directory = directory.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for _ in 0..3 {
                    assert!(!runtime.block_on(directory.refresh(directory.load().generation())));
                }
            })
        })
        .collect();
    tokio::task::spawn_blocking(|| waiting.into_iter().for_each(|thread| thread.join().unwrap())).await.unwrap();
    let (loads, elapsed) = (connections(&server) - before - 1, start.elapsed());
    let most = elapsed.as_millis() as u64 / 200 + 2;
    assert!((3..=most).contains(&loads), "{loads} loads in {elapsed:?}");

    drop(server);
    assert!(!directory.refresh(generation).await, "no node");
    assert!(admit(&directory.load(), &client, from).is_ok(), "the last snapshot stays");
    drop(directory);
    loading.await.unwrap();
}

/// A user created on another node is seen, also if this node is late in applying what others did.
#[tokio::test]
async fn a_load_waits_for_what_other_nodes_did() {
    let lab = Lab::builder().galera(2).standalone(false).start().unwrap();
    let [here, there] = [&lab.nodes()[0], &lab.nodes()[1]];
    let root = mysql_async::OptsBuilder::default().socket(here.socket().to_str()).user(Some("root"));
    let mut root = mysql_async::Conn::new(root).await.unwrap();
    root.query_drop("FLUSH TABLES WITH READ LOCK").await.unwrap();
    there.sql("CREATE USER newcomer@'%'").unwrap();
    let address = here.address().to_string();
    let loading = tokio::spawn(async move { load(&address, &service()).await.unwrap() });
    let waits = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'maxuser' AND info IS NOT NULL";
    let deadline = Instant::now() + Duration::from_secs(30);
    while root.query_first::<u64, _>(waits).await.unwrap() == Some(0) && !loading.is_finished() {
        assert!(Instant::now() < deadline, "the load does not begin");
        tokio::task::yield_now().await;
    }
    root.query_drop("UNLOCK TABLES").await.unwrap();
    let accounts = loading.await.unwrap();
    assert!(accounts.lookup(b"newcomer", "10.0.0.1".parse().unwrap()).is_some());
}
