//! Nodes are lost: what clients notice, and how soon the proxy knows. On a real cluster, whose nodes are killed, frozen and stopped.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder, Statement};
use oarlock::admin::http::Server;
use oarlock::lab::{APP_PASSWORD, APP_USER, Lab, Node, Site, until};
use support::Proxy;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Longer than anything here takes on a loaded machine.
const SOON: Duration = Duration::from_secs(30);
const MASTER: &str = "Master, Synced, Running";
const SLAVE: &str = "Slave, Synced, Running";
const NODE: &str = "SELECT @@wsrep_node_name";
/// Runs on the writer and writes nothing.
const WRITER: &str = "SELECT @@wsrep_node_name FOR UPDATE";

#[test]
fn nodes_of_a_cluster_are_lost() {
    let lab = Lab::builder().galera(3).fast_eviction(true).start().unwrap();
    let proxy = Proxy::start(&lab, Site::Primary);
    proxy.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, v INT); INSERT INTO shop.t VALUES (1, 10)",
    );
    let applied = |node: &Node| until(SOON, || node.value("SELECT v FROM shop.t").is_ok_and(|value| value.is_some()));
    assert!(lab.nodes().iter().all(applied));
    let node = |number: usize| &lab.nodes()[number - 71];
    a_reader_is_killed_under_reads(&proxy, node(73));
    restarted(&proxy, node(73), SLAVE);
    let next = the_writer_is_killed(&proxy, &lab, node(71));
    restarted(&proxy, node(71), SLAVE);
    the_writer_freezes(&proxy, next);
    no_reader_is_left(&proxy, &lab);
    no_node_is_left(proxy, &lab);
}

/// A proxy that was there before the cluster's first transaction, and has seen no change since, finds out what was interrupted, too.
#[test]
fn the_first_writer_of_a_cluster_is_lost() {
    let lab = Lab::builder().galera(3).fast_eviction(true).start().unwrap();
    let proxy = Proxy::start(&lab, Site::Primary);
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, v INT)");
    let writer = &lab.nodes()[0];
    let seen = || servers(&proxy).into_iter().find(|server| server.name == writer.name()).unwrap();
    assert!(until(SOON, || seen().gtid.starts_with("70-")), "{:?}", seen());
    let mut conn = connect(&proxy);
    assert_eq!(word(&mut conn, WRITER).unwrap(), writer.name());
    // Its worker has told its numbers since, and has looked at the nodes with it.
    assert!(until(SOON, || seen().connections > 0), "{:?}", seen());
    let write = CLIENTS.spawn(async move { conn.query_drop("INSERT INTO shop.t SELECT 7, SLEEP(2)").await });
    let running = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'INSERT%SLEEP(2)'";
    assert!(until(SOON, || writer.value(running).unwrap().as_deref() == Some("1")));
    writer.kill().unwrap();
    write.wait().unwrap().unwrap();
    assert_eq!(proxy.sql("SELECT id, v FROM shop.t"), "7\t0");
}

#[test]
fn a_standalone_server_is_lost_and_back() {
    let lab = Lab::builder().galera(0).standalone(true).start().unwrap();
    let proxy = Proxy::start(&lab, Site::Dr);
    let server = &lab.nodes()[0];
    assert!(until(SOON, || state(&proxy, "server-81") == "Master, Running"));
    let mut idle = connect(&proxy);
    for sql in ["CREATE DATABASE shop", "CREATE TABLE shop.t (a INT)", "SET @a = 7", "USE shop"] {
        idle.query_drop(sql).wait().unwrap();
    }
    server.kill().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| server.start().unwrap());
        // Asked while the server is away: waits for it.
        idle.query_drop("INSERT INTO t VALUES (1)").wait().unwrap();
    });
    let row: Option<(i32, i32)> = idle.query_first("SELECT @a, COUNT(*) FROM t").wait().unwrap();
    assert_eq!(row, Some((7, 1)));
    drains(proxy, idle);
}

/// Where clients live.
static CLIENTS: LazyLock<Handle> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
});

/// Waits for what clients do.
trait Wait: Future + Sized {
    fn wait(self) -> Self::Output {
        CLIENTS.block_on(self)
    }
}

impl<F: Future> Wait for F {}

fn connect(proxy: &Proxy) -> Conn {
    let options = OptsBuilder::default()
        .ip_or_hostname(proxy.address().ip().to_string())
        .tcp_port(proxy.address().port())
        .user(Some(APP_USER))
        .pass(Some(APP_PASSWORD))
        .prefer_socket(false)
        .max_allowed_packet(Some(1 << 24))
        .wait_timeout(Some(3600));
    Conn::new(Opts::from(options)).wait().unwrap()
}

fn servers(proxy: &Proxy) -> Vec<Server> {
    let mut answer = ureq::get(format!("http://{}/v1/servers", proxy.admin())).call().unwrap();
    answer.body_mut().read_json().unwrap()
}

fn state(proxy: &Proxy, name: &str) -> String {
    servers(proxy).into_iter().find(|server| server.name == name).unwrap().state
}

/// All nodes serve again, its donor too: who is one is no writer.
fn restarted(proxy: &Proxy, node: &Node, wanted: &str) {
    node.start().unwrap();
    let serve = || servers(proxy).iter().all(|server| server.state.contains("Synced, Running"));
    assert!(until(SOON, || state(proxy, node.name()) == wanted && serve()), "{:?}", servers(proxy));
}

/// The server's number and SQLSTATE of an error; none if the connection has ended.
fn code(error: &Error) -> Option<(u16, &str)> {
    match error {
        Error::Server(error) => Some((error.code, &error.state)),
        _ => None,
    }
}

fn word(conn: &mut Conn, sql: &str) -> Result<String, Error> {
    conn.query_first::<String, _>(sql).wait().map(Option::unwrap_or_default)
}

/// Clients that read until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Result<(), Error>>>,
}

impl Load {
    fn start(proxy: &Proxy, clients: usize) -> Self {
        let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut load = Self { stop, reads, clients: Vec::new() };
        for number in 0..clients {
            let conn = connect(proxy);
            load.clients.push(CLIENTS.spawn(read(conn, number % 2 == 0, load.stop.clone(), load.reads.clone())));
        }
        load
    }

    fn reads(&self, more: usize) {
        let goal = self.reads.load(Ordering::Relaxed) + more;
        let reads = || self.reads.load(Ordering::Relaxed);
        let ended = || self.clients.iter().any(JoinHandle::is_finished);
        let done = until(SOON, || reads() >= goal || ended());
        assert!(done, "reads stand still at {}", reads());
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.wait().unwrap().unwrap();
        }
    }
}

async fn read(mut conn: Conn, prepared: bool, stop: Arc<AtomicBool>, reads: Arc<AtomicUsize>) -> Result<(), Error> {
    while !stop.load(Ordering::Relaxed) {
        let v: Option<i32> = if prepared {
            conn.exec_first("SELECT v FROM shop.t WHERE id = ?", (1,)).await?
        } else {
            conn.query_first("SELECT v FROM shop.t WHERE id = 1").await?
        };
        assert_eq!(v, Some(10));
        reads.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn a_reader_is_killed_under_reads(proxy: &Proxy, victim: &Node) {
    let load = Load::start(proxy, 20);
    let busy = || servers(proxy).iter().any(|server| server.name == victim.name() && server.connections > 3);
    assert!(until(SOON, busy), "the victim has no clients: {:?}", servers(proxy));
    load.reads(500);
    victim.kill().unwrap();
    load.reads(2000);
    let down = || state(proxy, victim.name()) == "Down";
    assert!(until(SOON, down), "{:?}", servers(proxy));
    load.reads(2000);
    load.end();
    let mut conn = connect(proxy);
    assert_eq!(word(&mut conn, NODE).unwrap(), "galera-72");
}

/// What sessions are doing when the writer is killed.
struct Scenes {
    idle: Conn,
    statement: Statement,
    in_write: JoinHandle<Conn>,
    in_transaction: JoinHandle<Conn>,
    open_transaction: Conn,
    tied: Vec<(&'static str, Conn)>,
}

impl Scenes {
    fn set(proxy: &Proxy, writer: &Node) -> Self {
        let mut idle = connect(proxy);
        for sql in ["SET @a = 5", "USE shop", "SET SESSION sql_mode = 'ANSI_QUOTES'", "SET NAMES latin1"] {
            idle.query_drop(sql).wait().unwrap();
        }
        let statement = idle.prep("SELECT v + ? FROM t WHERE id = 1 FOR UPDATE").wait().unwrap();
        assert_eq!(idle.exec_first(&statement, (1,)).wait().unwrap(), Some(11));
        let mut open_transaction = connect(proxy);
        open_transaction.query_drop("BEGIN").wait().unwrap();
        open_transaction.query_drop("INSERT INTO shop.t VALUES (2, 20)").wait().unwrap();
        let mut tied = Vec::new();
        for sql in ["CREATE TEMPORARY TABLE shop.own (a INT)", "SELECT GET_LOCK('mine', 1)"] {
            let mut conn = connect(proxy);
            conn.query_drop(sql).wait().unwrap_or_else(|error| panic!("{sql}: {error}"));
            tied.push((sql, conn));
        }
        // They take long on this node only.
        let slow = format!("IF(@@wsrep_node_name = '{}', SLEEP(60), 0)", writer.name());
        let in_write = running(connect(proxy), vec![format!("INSERT INTO shop.t SELECT 3, {slow}")]);
        let in_transaction = running(connect(proxy), vec!["BEGIN".to_owned(), format!("SELECT {slow}")]);
        let sleeping =
            || writer.value("SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep'");
        let both = until(SOON, || sleeping().unwrap().as_deref() == Some("2"));
        assert!(both, "{:?}", writer.sql("SHOW PROCESSLIST"));
        Self { idle, statement, in_write, in_transaction, open_transaction, tied }
    }
}

/// Runs statements.
fn running(mut conn: Conn, statements: Vec<String>) -> JoinHandle<Conn> {
    CLIENTS.spawn(async move {
        for sql in statements {
            conn.query_drop(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        conn
    })
}

/// A session in which a trigger has set a user variable.
fn told_by_a_trigger(proxy: &Proxy) -> Conn {
    proxy.sql("CREATE TABLE shop.noted (a INT); CREATE TRIGGER shop.notes BEFORE INSERT ON shop.noted FOR EACH ROW SET @noted = NEW.a");
    let mut conn = connect(proxy);
    conn.query_drop("INSERT INTO shop.noted VALUES (6)").wait().unwrap();
    assert_eq!(word(&mut conn, "SELECT @noted").unwrap(), "6");
    conn
}

/// The variable is gone with its node: whoever reads any is told so, once.
fn is_missed(mut conn: Conn) {
    assert_eq!(word(&mut conn, "SELECT 'here'").unwrap(), "here");
    let error = word(&mut conn, "SELECT @noted").unwrap_err();
    assert_eq!(code(&error), Some((1105, "HY000")), "{error}");
    conn.query_drop("SET @noted = 7").wait().unwrap();
    assert_eq!(word(&mut conn, "SELECT @noted").unwrap(), "7");
}

/// Returns the next writer: which of the two it is depends on who is back in the primary component first.
fn the_writer_is_killed<'a>(proxy: &Proxy, lab: &'a Lab, writer: &Node) -> &'a Node {
    let mut scenes = Scenes::set(proxy, writer);
    let noting = told_by_a_trigger(proxy);
    let mut writing = connect(proxy);
    let mut reading = connect(proxy);
    assert_eq!(word(&mut reading, WRITER).unwrap(), writer.name());
    writer.kill().unwrap();
    let killed = Instant::now();

    // A read does not wait for anything.
    let reader = word(&mut reading, NODE).unwrap();
    assert!(
        reader != writer.name() && killed.elapsed() < Duration::from_secs(2),
        "{reader} after {:?}",
        killed.elapsed()
    );

    let writes = CLIENTS.spawn(async move { writing.query_drop("INSERT INTO shop.t VALUES (4, 40)").await });
    let survivor = lab.nodes().iter().find(|node| node.name() != writer.name()).unwrap();
    let next = || {
        let servers = servers(proxy);
        let server = servers.iter().find(|server| server.state == MASTER && server.name != writer.name())?;
        lab.nodes().iter().find(|node| node.name() == server.name)
    };
    let (cluster, list) = std::thread::scope(|scope| {
        let cluster = scope.spawn(|| {
                let size = || survivor.value("SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'wsrep_cluster_size'");
                assert!(until(SOON, || size().unwrap().as_deref() == Some("2")));
                killed.elapsed()
            });
        assert!(until(SOON, || next().is_some()), "{:?}", servers(proxy));
        let list = killed.elapsed();
        (cluster.join().unwrap(), list)
    });
    assert!(list < cluster + Duration::from_secs(1), "the cluster knew after {cluster:?}, the list after {list:?}");
    writes.wait().unwrap().unwrap();

    let next = next().unwrap();
    // The session's state is on the new writer.
    let idle = &mut scenes.idle;
    let row: Option<(i32, String, String, String, String)> = idle
        .query_first("SELECT @a, DATABASE(), @@sql_mode, @@character_set_client, @@wsrep_node_name FOR UPDATE")
        .wait()
        .unwrap();
    let (a, schema, mode, charset, node) = row.unwrap();
    let expected = (5, "shop", "ANSI_QUOTES", "latin1", next.name());
    assert_eq!((a, &*schema, &*mode, &*charset, &*node), expected);
    assert_eq!(idle.exec_first(&scenes.statement, (2,)).wait().unwrap(), Some(12));

    is_missed(noting);

    // What was under way has not happened, and runs again.
    let mut conn = scenes.in_write.wait().unwrap();
    assert_eq!(word(&mut conn, WRITER).unwrap(), next.name());
    let mut conn = scenes.in_transaction.wait().unwrap();
    assert_eq!(word(&mut conn, WRITER).unwrap(), next.name());
    conn.query_drop("ROLLBACK").wait().unwrap();
    let conn = &mut scenes.open_transaction;
    conn.query_drop("INSERT INTO shop.t VALUES (5, 50)").wait().unwrap();
    let ids: Vec<i32> = conn.query("SELECT id FROM shop.t ORDER BY id FOR UPDATE").wait().unwrap();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    conn.query_drop("COMMIT").wait().unwrap();

    for (what, mut conn) in scenes.tied {
        let error = conn.query_drop("SELECT 1").wait().unwrap_err();
        assert_eq!(code(&error), None, "{what}: {error}");
    }
    assert!(proxy.log().contains("the session ends: its temporary tables, locks or variables were on the lost node"));
    assert_eq!(state(proxy, writer.name()), "Down");
    next
}

fn the_writer_freezes(proxy: &Proxy, writer: &Node) {
    let (mut idle, mut reading) = (connect(proxy), connect(proxy));
    assert_eq!(word(&mut idle, WRITER).unwrap(), writer.name());
    word(&mut reading, NODE).unwrap();
    writer.freeze().unwrap();
    let frozen = Instant::now();
    word(&mut reading, NODE).unwrap();
    assert!(frozen.elapsed() < Duration::from_secs(2), "a read took {:?}", frozen.elapsed());
    let other = || servers(proxy).iter().any(|server| server.state == MASTER && server.name != writer.name());
    assert!(until(SOON, other), "{:?}", servers(proxy));
    idle.query_drop("INSERT INTO shop.t VALUES (7, 70)").wait().unwrap();
    writer.thaw().unwrap();
    let back = || state(proxy, writer.name()) == SLAVE;
    assert!(until(SOON, back), "{:?}", servers(proxy));
}

fn no_reader_is_left(proxy: &Proxy, lab: &Lab) {
    let mut conn = connect(proxy);
    let writer = word(&mut conn, WRITER).unwrap();
    assert_ne!(word(&mut conn, NODE).unwrap(), writer);
    for node in lab.nodes().iter().filter(|node| node.name() != writer) {
        node.stop().unwrap();
    }
    assert_eq!(word(&mut conn, NODE).unwrap(), writer);
    assert_eq!(word(&mut conn, WRITER).unwrap(), writer);
    let mut fresh = connect(proxy);
    assert_eq!(word(&mut fresh, NODE).unwrap(), writer);
}

fn no_node_is_left(proxy: Proxy, lab: &Lab) {
    drop(proxy);
    let proxy = Proxy::start_with(lab, Site::Primary, "\n[read-write-split]\nwriter_wait = \"1s\"\n");
    let (mut writing, mut reading) = (connect(&proxy), connect(&proxy));
    let last = lab.nodes().iter().find(|node| node.pid().is_some()).unwrap();
    last.kill().unwrap();
    let killed = Instant::now();
    let error = writing.query_drop("INSERT INTO shop.t VALUES (8, 80)").wait().unwrap_err();
    assert_eq!(code(&error), Some((1290, "HY000")), "{error}");
    let waited = killed.elapsed();
    assert!(waited > Duration::from_millis(900) && waited < Duration::from_secs(5), "{waited:?}");
    let error = reading.query_drop(NODE).wait().unwrap_err();
    assert_eq!(code(&error), Some((1105, "08S01")), "{error}");
    // Both sessions are still there for when it comes back.
    last.start().unwrap();
    assert!(until(SOON, || state(&proxy, last.name()) == MASTER), "{:?}", servers(&proxy));
    writing.query_drop("INSERT INTO shop.t VALUES (8, 80)").wait().unwrap();
    assert_eq!(word(&mut reading, NODE).unwrap(), last.name());
}

/// SIGTERM: idle sessions end, an open transaction may finish, nobody new gets in, and then the process ends.
fn drains(proxy: Proxy, mut idle: Conn) {
    let mut busy = connect(&proxy);
    busy.query_drop("BEGIN").wait().unwrap();
    busy.query_drop("INSERT INTO shop.t VALUES (2)").wait().unwrap();
    let pid = rustix::process::Pid::from_raw(proxy.pid() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(until(SOON, || std::net::TcpStream::connect(proxy.address()).is_err()), "still takes clients");
    let mut end = None;
    assert!(until(SOON, || {
        end = idle.query_drop("SELECT 1").wait().err();
        end.is_some()
    }));
    assert!(end.as_ref().is_some_and(|error| code(error).is_none()), "{end:?}");
    let count: Option<i32> = busy.query_first("SELECT COUNT(*) FROM shop.t").wait().unwrap();
    assert_eq!(count, Some(2));
    busy.query_drop("COMMIT").wait().unwrap();
    assert!(until(SOON, || proxy.log().contains("oarlock ends")), "{}", proxy.log());
}
