//! A cluster that is watched, the service that answers, and clients whose work is marked as a session's is.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, OptsBuilder};
use oarlock::cluster::order::Orders;
use oarlock::cluster::view::{NodeId, ViewHandle};
use oarlock::cluster::watch::{first_view, watch};
use oarlock::config::{self, Live};
use oarlock::gtid::Position;
use oarlock::lab::{APP_PASSWORD, APP_USER, Lab, Node, Site, until};
use oarlock::outcome::{Outcome, Question, Resolver};
use oarlock::sql::marker::{self, Marker};
use oarlock::sql::statement::LexMode;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Longer than anything here takes on a loaded machine.
pub const SOON: Duration = Duration::from_secs(60);

/// Where clients, the watch and the service live.
static BEHIND: LazyLock<Handle> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
});

/// Waits for what happens there.
pub trait Wait: Future + Sized {
    fn wait(self) -> Self::Output {
        BEHIND.block_on(self)
    }
}

impl<F: Future> Wait for F {}

/// Runs something there to its end.
pub fn behind<F: Future>(what: F) -> F::Output {
    what.wait()
}

/// A cluster under watch.
pub struct Scene<'a> {
    pub lab: &'a Lab,
    pub view: ViewHandle,
    resolver: Resolver,
    _folder: tempfile::TempDir,
}

/// One client's work on a node, as a session knows it.
pub struct Work {
    conn: Option<Conn>,
    question: Question,
    session: u128,
}

static SESSIONS: AtomicU64 = AtomicU64::new(1);

impl<'a> Scene<'a> {
    /// Watches a lab's cluster, with more settings at the end of the configuration.
    pub fn start(lab: &'a Lab, more: &str) -> Self {
        let site = if lab.nodes()[0].name().starts_with("galera") { Site::Primary } else { Site::Dr };
        Self::with(lab, &format!("{}{more}", lab.config_toml(site, lab.proxy_address(site))))
    }

    /// The same with a configuration of its own.
    pub fn with(lab: &'a Lab, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = format!("[site]\nstate_dir = \"{}\"\n", folder.path().display());
        let path = folder.path().join("oarlock.toml");
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.write_all(text.replacen("[site]\n", &state_dir, 1).as_bytes()).unwrap();
        let config = Live::new(config::load(&path).unwrap());
        let view = ViewHandle::new(first_view(&config.load()));
        let (_, requests) = Orders::new(config.clone());
        BEHIND.spawn(watch(config.clone(), view.clone(), requests, |_| false));
        let (resolver, service) = Resolver::new(config, view.clone(), None);
        BEHIND.spawn(service.run());
        let scene = Self { lab, view, resolver, _folder: folder };
        scene.wait_until_fit();
        let table =
            "CREATE DATABASE shop; CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(40), KEY (v))";
        lab.nodes()[0].sql(table).unwrap();
        scene
    }

    /// Waits until all nodes serve and can be traced.
    pub fn wait_until_fit(&self) {
        let fit = || self.view.load().nodes.iter().all(|node| node.usable() && node.trace.fault.is_empty());
        assert!(until(SOON, fit), "{:?}", self.view.load());
    }

    /// A client of a node that has done nothing yet.
    pub fn work(&self, place: usize) -> Work {
        let base = self.lab.nodes()[place].value("SELECT @@gtid_binlog_pos").unwrap().unwrap();
        self.work_from(place, &base)
    }

    /// The same, where this position is known.
    pub fn work_from(&self, place: usize, base: &str) -> Work {
        let node = &self.lab.nodes()[place];
        let options = OptsBuilder::default()
            .ip_or_hostname(node.address().ip().to_string())
            .user(Some(APP_USER))
            .pass(Some(APP_PASSWORD))
            .prefer_socket(false)
            .max_allowed_packet(Some(1 << 24))
            .wait_timeout(Some(3600));
        let conn = Conn::new(options).wait().unwrap();
        let base: Position = base.parse().unwrap();
        let question =
            Question { node: NodeId(place as u16), thread: conn.id(), markers: [].into(), base, wants_rows: false };
        let session = u128::from(SESSIONS.fetch_add(1, Ordering::Relaxed)) << 64 | 0xfeed;
        Work { conn: Some(conn), question, session }
    }

    /// Asks for the outcome of a client's work.
    pub fn asked(&self, work: &Work) -> impl Future<Output = Outcome> + use<> {
        self.resolver.ask(work.question.clone())
    }

    /// Asks, and waits for the answer.
    pub fn ask(&self, work: &Work) -> Outcome {
        self.asked(work).wait()
    }

    /// A node that serves and has everything.
    pub fn survivor(&self) -> &Node {
        let up = |node: &&Node| node.sql_within(SOON, "SET wsrep_sync_wait = 15; SELECT COUNT(*) FROM shop.t").is_ok();
        let mut found = None;
        until(SOON, || {
            found = self.lab.nodes().iter().rev().find(up);
            found.is_some()
        });
        found.unwrap()
    }

    /// Rows of the table on a node that has everything.
    pub fn count(&self, condition: &str) -> u64 {
        let sql = format!("SELECT COUNT(*) FROM shop.t WHERE {condition}");
        self.survivor().value(&sql).unwrap().unwrap().parse().unwrap()
    }

    /// Whether a node is outside of the primary component.
    pub fn is_outside(&self, place: usize) -> bool {
        let sql =
            "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'wsrep_cluster_status'";
        self.lab.nodes()[place].value(sql).is_ok_and(|status| status.as_deref() == Some("non-Primary"))
    }

    /// A status counter of a node.
    pub fn status(&self, place: usize, name: &str) -> u64 {
        let sql = format!("SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = '{name}'");
        self.lab.nodes()[place].value(&sql).unwrap().unwrap().parse().unwrap()
    }

    /// Waits until a statement has this value on a node.
    pub fn wait_for(&self, place: usize, sql: &str, wanted: &str) {
        let value = || self.lab.nodes()[place].value(sql).unwrap();
        assert!(until(SOON, || value().as_deref() == Some(wanted)), "{sql}: {:?}", value());
    }
}

impl Work {
    /// A statement with a marker, which is asked for later.
    pub fn mark(&mut self, sql: &str) -> String {
        let marker = Marker { session: self.session, statement: self.question.markers.len() as u64 };
        let at = marker::place(sql.as_bytes(), LexMode::default()).unwrap();
        let mut text = Vec::new();
        marker::put(marker, &mut text);
        self.question.markers = self.question.markers.iter().copied().chain([marker]).collect();
        format!("{}{}{}", &sql[..at], String::from_utf8(text).unwrap(), &sql[at..])
    }

    /// It is one INSERT, whose rows are asked for.
    pub fn wants_rows(&mut self) {
        self.question.wants_rows = true;
    }

    /// What the node has told of the last statement: its rows and LAST_INSERT_ID().
    pub fn told(&self) -> (u64, u64) {
        let conn = self.conn.as_ref().unwrap();
        (conn.affected_rows(), conn.last_insert_id().unwrap_or(0))
    }

    /// Runs a statement.
    pub fn run(&mut self, sql: &str) -> Result<(), Error> {
        self.conn.as_mut().unwrap().query_drop(sql).wait()
    }

    /// The value of a query.
    pub fn value(&mut self, sql: &str) -> String {
        self.conn.as_mut().unwrap().query_first(sql).wait().unwrap().unwrap()
    }

    /// Runs statements after a pause, up to the first that fails.
    pub fn begin_all(&mut self, texts: Vec<String>, pause: Duration) -> JoinHandle<Result<(), Error>> {
        let mut conn = self.conn.take().unwrap();
        BEHIND.spawn(async move {
            tokio::time::sleep(pause).await;
            for text in texts {
                conn.query_drop(text).await?;
            }
            Ok(())
        })
    }

    /// Sends a statement and does not wait for its end.
    pub fn begin(&mut self, sql: String) -> JoinHandle<Result<(), Error>> {
        let mut conn = self.conn.take().unwrap();
        BEHIND.spawn(async move { conn.query_drop(sql).await })
    }
}
