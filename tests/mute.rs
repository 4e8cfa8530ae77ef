//! A reader whose line is cut without a word: who reads there reads elsewhere, long before it is known what has become of the node.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "history/relay.rs"]
mod relay;
mod support;

use std::net::SocketAddrV4;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use oarlock::lab::{Lab, Site, until};
use relay::{Line, Relay};
use support::{Proxy, connect};

/// Longer than anything here takes on a loaded machine.
const SOON: Duration = Duration::from_secs(60);
/// Not before every deadline of a probe has passed.
const CONFIG: &str = "connect_timeout = \"30s\"\nread_timeout = \"30s\"\nwrite_timeout = \"30s\"";

#[test]
fn reads_leave_a_mute_node() {
    let lab = Lab::builder().galera(3).start().unwrap();
    let address = lab.proxy_address(Site::Primary);
    let runtime = behind();
    let mut text = lab.config_toml(Site::Primary, address).replace("[cluster]\n", &format!("[cluster]\n{CONFIG}\n"));
    text = text.replacen("[site]\n", "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n", 1);
    let mut relays = Vec::new();
    for (host, node) in (91..).zip(lab.nodes()) {
        let line = SocketAddrV4::new(lab.address(host), 3306);
        relays.push(runtime.block_on(Relay::start(line, node.address())));
        text = text.replace(&format!("\"{}\"", node.address()), &format!("\"{line}\""));
    }
    let proxy = Proxy::launch(address, &text);
    let fit = || servers(&proxy).matches("Synced, Running").count() == 3;
    assert!(until(SOON, fit), "{}", servers(&proxy));
    runtime.block_on(async {
        let mut session = connect(proxy.address()).await;
        let mut writer = connect(proxy.address()).await;
        writer.query_drop("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY)").await.unwrap();
        let name = "SELECT @@wsrep_node_name";
        let reader: String = session.query_first(name).await.unwrap().unwrap();
        let place = lab.nodes().iter().position(|node| node.name() == reader).unwrap();
        assert_ne!(place, 0, "it reads on a reader");
        relays[place].set(Line::Silent);
        let other: String = session.query_first(name).await.unwrap().unwrap();
        assert_ne!(other, reader);
        let known = servers(&proxy);
        assert!(!known.contains("Down"), "nobody knows yet that it is gone: {known}");
        // Whoever comes now is not sent there either, and nothing is wrong with writes.
        for id in 0..3 {
            let mut late = connect(proxy.address()).await;
            let name: String = late.query_first(name).await.unwrap().unwrap();
            assert_ne!(name, reader);
            late.query_drop(format!("INSERT INTO shop.t VALUES ({id})")).await.unwrap();
        }
        relays[place].set(Line::Whole);
    });
    assert!(until(SOON, fit), "{}", servers(&proxy));
}

/// A thread for the lines.
fn behind() -> tokio::runtime::Handle {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
}

fn servers(proxy: &Proxy) -> String {
    String::from_utf8(proxy.command(&["list", "servers"]).stdout).unwrap()
}
