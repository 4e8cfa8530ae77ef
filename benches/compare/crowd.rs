//! Many clients of which few are active, over few node connections (`multiplex`), beside the same active ones with connections of
//! their own: errors, statements a second, connections on the node.

use std::cell::{Cell, RefCell};
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use oarlock::lab::{APP_PASSWORD, APP_USER, Server, Site, until};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use crate::process::Usage;
use crate::support::Proxy;

/// One in so many is active at a time.
const IDLE_RATIO: usize = 20;
/// The proxy's bound for connections to the node.
const CONNECTIONS_MAX: usize = 100;
/// Rows of the table.
const ROWS: usize = 10_000;
/// What a client does while it is active: so many reads, and a write.
const READS: usize = 9;
/// What an active client waits between two statements: not at all, or as one of flesh and blood may.
const PAUSES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(50)];
/// Logins under way at once.
const LOGINS: usize = 500;

/// What came of one run.
struct Outcome {
    statements: usize,
    errors: usize,
    p95: Duration,
    elapsed: Duration,
}

/// What clients have seen so far.
#[derive(Default)]
struct Seen {
    times: RefCell<Vec<Duration>>,
    errors: Cell<usize>,
}

/// So many clients through the proxy, and as many as are active at a time directly; in turn, so many rounds.
pub fn measure(clients: usize, seconds: usize, rounds: usize) {
    let server = Server::start(&[("max_connections", "1000")]).unwrap();
    server.sql("CREATE DATABASE crowd; CREATE TABLE crowd.t (id INT PRIMARY KEY, v INT)").unwrap();
    server.sql(&format!("USE crowd; INSERT INTO t SELECT seq, seq FROM seq_1_to_{ROWS}")).unwrap();
    let proxy = start(&server);
    let active = clients / IDLE_RATIO;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = Instant::now();
    let crowd = LocalSet::new().block_on(&runtime, logged_in(proxy.address(), clients));
    println!(
        "{clients} clients have logged in within {:.1} s; {} connections on the node",
        began.elapsed().as_secs_f64(),
        connections(&server)
    );
    let direct = LocalSet::new().block_on(&runtime, logged_in(server.address(), active));
    let (mut crowd, mut direct) = (Some(crowd), Some(direct));
    for (round, pause) in (1..=rounds).flat_map(|round| PAUSES.map(|pause| (round, pause))) {
        for (name, conns) in [("direct", &mut direct), ("oarlock", &mut crowd)] {
            let before = Usage::of(proxy.pid());
            let length = Duration::from_secs(seconds as u64);
            let work = run(conns.take().unwrap(), active, pause, length);
            let (outcome, back) = LocalSet::new().block_on(&runtime, work);
            let cpu_us = Usage::of(proxy.pid()).cpu_us - before.cpu_us;
            println!(
                "round {round} {name:<8}{:>5} clients, {active} active, pause {:>2} ms: {:>6.0} statements/s, p95 {:>5.1} ms, {} errors, \
                 proxy CPU {:.1} us/statement",
                back.len(),
                pause.as_millis(),
                outcome.statements as f64 / outcome.elapsed.as_secs_f64(),
                outcome.p95.as_secs_f64() * 1000.0,
                outcome.errors,
                cpu_us / outcome.statements as f64,
            );
            *conns = Some(back);
        }
    }
    drop(direct);
    assert!(until(Duration::from_secs(10), || connections(&server) <= CONNECTIONS_MAX), "{}", connections(&server));
    println!("{} connections of the proxy on the node, {CONNECTIONS_MAX} allowed", connections(&server));
}

fn start(server: &Server) -> Proxy {
    let address = server.lab().proxy_address(Site::Dr);
    let site = "[site]\nlog = \"warning\"\nstate_dir = \"STATE\"\n";
    let text = server.lab().config_toml(Site::Dr, address).replacen("[site]\n", site, 1);
    let more = format!("[read-write-split]\nmultiplex = true\n[limits]\nconnections_max = {CONNECTIONS_MAX}\n");
    let proxy = Proxy::launch(address, &format!("{text}\n{more}"));
    assert!(until(Duration::from_secs(30), || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
    proxy
}

fn connections(server: &Server) -> usize {
    let sql = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{APP_USER}'");
    server.value(&sql).unwrap().unwrap().parse().unwrap()
}

/// All at once, as far as logins can be under way at once.
async fn logged_in(address: SocketAddrV4, count: usize) -> Vec<Conn> {
    let gate = Rc::new(Semaphore::new(LOGINS));
    let logins: Vec<_> = (0..count)
        .map(|_| {
            let gate = gate.clone();
            tokio::task::spawn_local(async move {
                let _turn = gate.acquire().await.unwrap();
                let options = OptsBuilder::default()
                    .ip_or_hostname(address.ip().to_string())
                    .tcp_port(address.port())
                    .user(Some(APP_USER))
                    .pass(Some(APP_PASSWORD))
                    .db_name(Some("crowd"))
                    .prefer_socket(false)
                    .max_allowed_packet(Some(1 << 24))
                    .wait_timeout(Some(3600));
                Conn::new(options).await.unwrap()
            })
        })
        .collect();
    let mut conns = Vec::new();
    for login in logins {
        conns.push(login.await.unwrap());
    }
    conns
}

/// Each client waits until it is active, does its piece of work, and waits again.
async fn run(conns: Vec<Conn>, active: usize, pause: Duration, length: Duration) -> (Outcome, Vec<Conn>) {
    let (gate, seen) = (Rc::new(Semaphore::new(active)), Rc::new(Seen::default()));
    let began = Instant::now();
    let client = |(number, mut conn): (usize, Conn)| {
        let (gate, seen) = (gate.clone(), seen.clone());
        tokio::task::spawn_local(async move {
            let mut id = number;
            loop {
                let _turn = gate.acquire().await.unwrap();
                if began.elapsed() >= length {
                    return conn;
                }
                for step in 0..=READS {
                    id = (id * 7919 + 1) % ROWS;
                    statement(&mut conn, step, id, &seen).await;
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        })
    };
    let clients: Vec<_> = conns.into_iter().enumerate().map(client).collect();
    let mut back = Vec::new();
    for client in clients {
        back.push(client.await.unwrap());
    }
    let mut times = seen.times.take();
    times.sort_unstable();
    let p95 = times[times.len() * 95 / 100];
    (Outcome { statements: times.len(), errors: seen.errors.get(), p95, elapsed: began.elapsed() }, back)
}

async fn statement(conn: &mut Conn, step: usize, id: usize, seen: &Seen) {
    let sql = match step {
        READS => format!("UPDATE t SET v = v + 1 WHERE id = {id}"),
        _ => format!("SELECT v FROM t WHERE id = {id}"),
    };
    let began = Instant::now();
    match conn.query_drop(sql).await {
        Ok(()) => seen.times.borrow_mut().push(began.elapsed()),
        Err(error) => {
            eprintln!("{error}");
            seen.errors.update(|count| count + 1);
        }
    }
}
