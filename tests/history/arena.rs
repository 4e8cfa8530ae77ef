//! A cluster of three, a line to each node that can be cut, the proxy before them, and clients at work.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oarlock::admin::http::Server;
use oarlock::lab::{APP_USER, Lab, Node, Rows, Site, until};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::beat::Beat;
use crate::client::{self, ACCOUNTS, Habit, OPENING, Orders, Record};
use crate::dice::Dice;
use crate::history::{Deed, Row, Store};
use crate::relay::Relay;
use crate::support::{Proxy, is_one_cluster};

/// Longer than anything here takes on a loaded machine.
pub const SOON: Duration = Duration::from_secs(90);
const SCHEMA: &str = "
    CREATE DATABASE bank;
    CREATE TABLE bank.account (id INT PRIMARY KEY, balance BIGINT NOT NULL, touched BIGINT NOT NULL DEFAULT 0);
    CREATE TABLE bank.deed (pk BIGINT AUTO_INCREMENT PRIMARY KEY, id BIGINT NOT NULL, source INT, target INT, amount BIGINT, KEY (id));
    CREATE TABLE bank.beat (pk BIGINT AUTO_INCREMENT PRIMARY KEY, port INT)";

/// Where it happens.
pub struct Arena<'a> {
    pub lab: &'a Lab,
    pub proxy: Proxy,
    pub runtime: Handle,
    pub relays: Vec<Relay>,
    pub beats: Vec<Beat>,
    pub orders: Arc<Orders>,
    clients: Vec<JoinHandle<Record>>,
}

impl<'a> Arena<'a> {
    /// Everything but the clients. `more` comes at the end of the proxy's configuration.
    pub fn start(lab: &'a Lab, runtime: Handle, more: &str) -> Self {
        let (mut text, mut relays) = (lab.config_toml(Site::Primary, lab.proxy_address(Site::Primary)), Vec::new());
        for (host, node) in (91..).zip(lab.nodes()) {
            let line = SocketAddrV4::new(lab.address(host), 3306);
            relays.push(runtime.block_on(Relay::start(line, node.address())));
            text = text.replace(&format!("\"{}\"", node.address()), &format!("\"{line}\""));
        }
        Self::before(lab, runtime, &format!("{text}{more}"), relays)
    }

    /// The same with a proxy of this configuration, which knows the lines, if there are any.
    pub fn before(lab: &'a Lab, runtime: Handle, text: &str, relays: Vec<Relay>) -> Self {
        let node = &lab.nodes()[0];
        node.sql(SCHEMA).unwrap();
        node.sql(&format!(
            "USE bank; INSERT INTO account (id, balance) SELECT seq, {OPENING} FROM seq_0_to_{}",
            ACCOUNTS - 1
        ))
        .unwrap();
        for node in lab.nodes() {
            assert_eq!(table(node, "SELECT COUNT(*) FROM bank.account")[0][0].as_deref(), Some(&*ACCOUNTS.to_string()));
        }
        let text = text.replacen("[site]\n", "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n", 1);
        let proxy = Proxy::launch(lab.proxy_address(Site::Primary), &text);
        let ready = until(SOON, || proxy.client(&["-e", "SELECT 1"]).status.success());
        assert!(ready, "no client can log in; its log:\n{}", proxy.log());
        let beats = lab.nodes().iter().map(|node| Beat::start(&runtime, SocketAddr::V4(node.address()))).collect();
        Self { lab, proxy, runtime, relays, beats, orders: Arc::default(), clients: Vec::new() }
    }

    /// Sends clients in to this address, who work like this.
    pub fn enter(&mut self, address: SocketAddrV4, habits: impl IntoIterator<Item = Habit>, seed: u64) {
        for (number, habit) in habits.into_iter().enumerate() {
            let dice = Dice::new(seed.wrapping_mul(1000) + number as u64);
            let work = client::work(SocketAddr::V4(address), habit, self.orders.clone(), dice);
            self.clients.push(self.runtime.spawn(work));
        }
    }

    /// Waits until so many more writes have been acknowledged.
    pub fn progress(&self, writes: u64) {
        let goal = self.orders.done.load(Ordering::Relaxed) + writes;
        let done = || self.orders.done.load(Ordering::Relaxed) >= goal;
        assert!(until(SOON, || done() || self.clients.iter().any(JoinHandle::is_finished)), "clients stand still");
        assert!(done(), "a client has ended early");
    }

    /// Lets the clients finish what they are at; what they have seen.
    pub fn leave(&mut self) -> Record {
        self.orders.stop.store(true, Ordering::Relaxed);
        let mut record = Record::default();
        for client in self.clients.drain(..) {
            record.join(self.runtime.block_on(client).unwrap());
        }
        self.orders.stop.store(false, Ordering::Relaxed);
        record
    }

    /// What the proxy says of the nodes.
    pub fn servers(&self) -> Vec<Server> {
        let mut answer = ureq::get(format!("http://{}/v1/servers", self.proxy.admin())).call().unwrap();
        answer.body_mut().read_json().unwrap()
    }

    /// The place of the writer; waits until there is one.
    pub fn writer(&self) -> usize {
        let place = || self.servers().iter().position(|server| server.state == "Master, Synced, Running");
        assert!(until(SOON, || place().is_some()), "{:?}", self.servers());
        place().unwrap_or_else(|| self.writer())
    }

    /// Waits until another node is the writer.
    pub fn moved_from(&self, place: usize) {
        let moved = || {
            let servers = self.servers();
            servers[place].state.contains("Master") || !servers.iter().any(|server| server.state.contains("Master"))
        };
        assert!(until(SOON, || !moved()), "{:?}", self.servers());
    }

    /// Waits until the proxy says so of a node.
    pub fn is_down(&self, place: usize) {
        assert!(until(SOON, || self.servers()[place].state == "Down"), "{:?}", self.servers());
    }

    /// Waits until all nodes serve together, and the proxy says so.
    pub fn whole(&self) {
        self.lab.nodes().iter().for_each(|node| node.wait_started().unwrap());
        let fit = || self.servers().iter().all(|server| server.state.contains("Synced, Running"));
        let whole = || is_one_cluster(self.lab.nodes().iter()) && fit();
        assert!(until(SOON, whole), "{:?}", self.servers());
    }

    /// What is there once nothing of the clients runs any more; the same on all nodes.
    pub fn store(&mut self) -> Store {
        self.whole();
        self.beats.clear();
        self.proxy.kill();
        let sql = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{APP_USER}'");
        for node in self.lab.nodes() {
            assert!(until(SOON, || node.value(&sql).unwrap().as_deref() == Some("0")), "{}", node.name());
        }
        let tables = |node: &Node| {
            let deeds = table(node, "SELECT pk, id, source, target, amount FROM bank.deed ORDER BY pk");
            (deeds, table(node, "SELECT balance FROM bank.account ORDER BY id"))
        };
        let (deeds, balances) = tables(&self.lab.nodes()[0]);
        for node in &self.lab.nodes()[1..] {
            assert!(tables(node) == (deeds.clone(), balances.clone()), "{} has other rows", node.name());
        }
        let rows = deeds.iter().map(|columns| row(&numbers(columns))).collect();
        let balances = balances.iter().filter_map(|columns| numbers(columns)[0]).collect();
        Store { rows, balances, opening: OPENING }
    }
}

/// Where clients live: a thread of its own.
pub fn clients_runtime() -> Handle {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
}

/// What the node knows once it has applied all that was committed before.
fn table(node: &Node, sql: &str) -> Rows {
    node.sql(&format!("SET wsrep_sync_wait = 15; {sql}")).unwrap()
}

fn numbers(columns: &[Option<String>]) -> Vec<Option<i64>> {
    columns.iter().map(|value| value.as_ref().map(|text| text.parse().unwrap())).collect()
}

fn row(columns: &[Option<i64>]) -> Row {
    let deed = match (columns[2], columns[3], columns[4]) {
        (Some(from), Some(to), Some(amount)) => Deed::Transfer { from: from as usize, to: to as usize, amount },
        _ => Deed::Note,
    };
    Row { key: columns[0].unwrap_or_default() as u64, id: columns[1].unwrap_or_default() as u64, deed }
}
