//! Sessions lend their node connections to each other: each finds all of its own state again, none of anybody else's, and there are
//! never more connections than allowed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

mod support;

use std::net::SocketAddrV4;
use std::time::Duration;

use futures_util::future::join_all;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, OptsBuilder};
use oarlock::lab::{APP_PASSWORD, APP_USER, Lab, Node, Server, Site, until};
use support::Proxy;

/// Until something shows that was done.
const SEEN_MAX: Duration = Duration::from_secs(20);
/// Sessions at once, far more than connections.
const CROWD: usize = 40;
/// Their connections.
const CONNECTIONS: usize = 4;
/// What each of the crowd does.
const ROUNDS: usize = 25;

/// One worker, so that all sessions share so many connections.
fn start(lab: &Lab, site: Site, connections: usize, limits: &str) -> Proxy {
    let address = lab.proxy_address(site);
    let text = lab.config_toml(site, address).replacen("[site]\n", "[site]\nthreads = 1\nstate_dir = \"STATE\"\n", 1);
    let proxy = Proxy::launch(
        address,
        &format!("{text}\n[read-write-split]\nmultiplex = true\n[limits]\nconnections_max = {connections}\n{limits}"),
    );
    assert!(until(SEEN_MAX, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
    proxy
}

async fn connect_to(address: SocketAddrV4, user: &str, password: &str, schema: Option<&str>) -> Conn {
    let options = OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .user(Some(user))
        .pass(Some(password))
        .db_name(schema)
        .prefer_socket(false)
        .max_allowed_packet(Some(1 << 24))
        .wait_timeout(Some(3600));
    Conn::new(options).await.unwrap()
}

async fn connect(proxy: &Proxy) -> Conn {
    connect_to(proxy.address(), APP_USER, APP_PASSWORD, None).await
}

async fn run(conn: &mut Conn, statements: &[&str]) {
    for sql in statements {
        conn.query_drop(*sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// The values of the first row, in one text.
async fn row(conn: &mut Conn, sql: &str) -> String {
    let row: mysql_async::Row = conn.query_first(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")).unwrap();
    let word = |value: mysql_async::Value| match value {
        mysql_async::Value::NULL => "NULL".to_owned(),
        value => mysql_async::from_value(value),
    };
    row.unwrap().into_iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The server's number of an error.
fn code(error: &Error) -> Option<u16> {
    if let Error::Server(error) = error { Some(error.code) } else { None }
}

fn connections(node: &Node) -> usize {
    let sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE user IN ('app', 'other')";
    node.value(sql).unwrap().unwrap().parse().unwrap()
}

#[tokio::test]
async fn sessions_share_connections() {
    let server = Server::start(&[]).unwrap();
    server
        .sql("CREATE DATABASE shop COLLATE utf8mb4_polish_ci; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT); CREATE USER other IDENTIFIED BY 'o';
            GRANT ALL ON *.* TO other; CREATE SEQUENCE shop.numbers; CREATE FUNCTION shop.f() RETURNS INT READS SQL DATA RETURN @left := 3")
        .unwrap();
    let proxy = start(server.lab(), Site::Dr, 1, "connection_wait = \"2s\"\n");
    all_of_a_session_is_kept(&proxy, &server).await;
    the_last_insert_id_is_kept(&proxy).await;
    what_a_statement_left_is_there_or_said_to_be_gone(&proxy).await;
    users_take_turns(&proxy, &server).await;
    what_is_held_keeps_the_connection(&proxy).await;
    who_waits_is_served(&proxy, &server).await;
    sessions_without_a_connection_can_be_killed(&proxy).await;
    drop(proxy);
    nobody_sees_anything_of_others(&start(server.lab(), Site::Dr, CONNECTIONS, ""), &server).await;
}

/// Whoever has one node's only connection waits for the other's.
#[tokio::test]
async fn nobody_waits_for_ever_for_two_nodes() {
    let lab = Lab::builder().galera(2).start().unwrap();
    let proxy = start(&lab, Site::Primary, 1, "");
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)");
    let readable = || proxy.client(&["-e", "SELECT * FROM shop.t"]).status.success();
    assert!(until(SEEN_MAX, readable));
    let member = async |number: usize| {
        let mut conn = connect(&proxy).await;
        for round in 0..ROUNDS {
            run(&mut conn, &["INSERT INTO shop.t (v) VALUES (1)", "SELECT COUNT(*) FROM shop.t"]).await;
            run(&mut conn, &["START TRANSACTION READ ONLY", "SELECT 1", "COMMIT", "BEGIN"]).await;
            run(&mut conn, &[&format!("UPDATE shop.t SET v = {round} WHERE v = -{number}"), "COMMIT"]).await;
        }
    };
    join_all((0..8).map(member)).await;
    assert_eq!(proxy.sql("SELECT COUNT(*) FROM shop.t FOR UPDATE"), (8 * ROUNDS).to_string());
    for node in lab.nodes() {
        assert!(connections(node) <= 1, "{}", node.name());
    }
}

async fn all_of_a_session_is_kept(proxy: &Proxy, node: &Node) {
    let (mut one, mut two) = (connect(proxy).await, connect(proxy).await);
    let statement = one.prep("SELECT ? + 1").await.unwrap();
    let settings = [
        "SET NAMES latin1",
        "SET @a = 5",
        "SET SESSION sql_mode = 'ANSI'",
        "SET time_zone = '+05:00'",
        "SET autocommit = 0",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "PREPARE p FROM 'SELECT @a + ?'",
        "USE shop",
        "SET CHARACTER SET latin1",
    ];
    let state = "SELECT @a, @@sql_mode LIKE '%ANSI%', @@time_zone, @@autocommit, @@tx_isolation, DATABASE(), @@character_set_client,
        @@character_set_connection, @@collation_database";
    let fresh = row(&mut two, state).await;
    for sql in settings {
        run(&mut one, &[sql]).await;
        assert_eq!(row(&mut two, state).await, fresh, "after {sql}");
    }
    for _ in 0..3 {
        assert_eq!(row(&mut one, state).await, "5 1 +05:00 0 READ-COMMITTED shop latin1 utf8mb4 utf8mb4_polish_ci");
        run(&mut one, &["COMMIT"]).await;
        assert_eq!(row(&mut two, state).await, fresh);
        let sum: Option<i64> = one.exec_first(&statement, (41,)).await.unwrap();
        assert_eq!(sum, Some(42));
        run(&mut one, &["COMMIT"]).await;
        assert_eq!(row(&mut two, state).await, fresh);
        assert_eq!(connections(node), 1);
    }
    assert_eq!(row(&mut one, "EXECUTE p USING @a").await, "10");
    run(&mut one, &["COMMIT"]).await;
    assert_eq!(row(&mut two, state).await, fresh);
    // Nobody knows what a text leaves that is made as it runs, so the connection stays.
    run(&mut one, &["EXECUTE IMMEDIATE CONCAT('DO ', 1)", "COMMIT"]).await;
    assert_eq!(code(&two.query_drop("SELECT 1").await.unwrap_err()), Some(1040));
    one.reset().await.unwrap();
    assert_eq!(row(&mut two, state).await, fresh);
    assert_eq!(row(&mut one, "SELECT @a").await, "NULL");
}

async fn the_last_insert_id_is_kept(proxy: &Proxy) {
    let (mut one, mut two) = (connect(proxy).await, connect(proxy).await);
    let last = "SELECT LAST_INSERT_ID()";
    for round in 1..=3 {
        run(&mut one, &["INSERT INTO shop.t (v) VALUES (1)"]).await;
        let mine = one.last_insert_id().unwrap().to_string();
        run(&mut two, &["UPDATE shop.t SET v = 2 WHERE id = LAST_INSERT_ID(id + 1000)"]).await;
        run(&mut two, &["INSERT INTO shop.t (v) VALUES (1), (2)"]).await;
        let other = two.last_insert_id().unwrap().to_string();
        assert_ne!(mine, other);
        run(&mut one, &["UPDATE shop.t SET v = v + 1 WHERE id = 1"]).await;
        assert_eq!(row(&mut one, last).await, mine, "round {round}");
        assert_eq!(row(&mut two, last).await, other);
        assert_eq!(row(&mut two, "SELECT LAST_INSERT_ID(7)").await, "7");
        assert_eq!(row(&mut one, last).await, mine);
        assert_eq!(row(&mut two, last).await, "7");
    }
    let mut three = connect(proxy).await;
    assert_eq!(row(&mut three, last).await, "0");
}

async fn what_a_statement_left_is_there_or_said_to_be_gone(proxy: &Proxy) {
    let (mut one, mut two) = (connect(proxy).await, connect(proxy).await);
    run(&mut one, &["UPDATE shop.t SET v = v + 1"]).await;
    assert_ne!(row(&mut one, "SELECT ROW_COUNT()").await, "0");
    run(&mut one, &["UPDATE shop.t SET v = v + 1 WHERE id = 1"]).await;
    // From now on the session is known to ask, so two has to wait a moment.
    run(&mut two, &["DO 1"]).await;
    let error = one.query_drop("SELECT ROW_COUNT()").await.unwrap_err();
    assert_eq!(code(&error), Some(1105), "{error}");
    assert!(one.query_first::<u8, _>("SHOW WARNINGS").await.unwrap().is_none(), "there were none");
    run(&mut one, &["DO 1/0"]).await;
    assert!(row(&mut one, "SHOW WARNINGS").await.contains("1365"));
    run(&mut one, &["DO 1/0"]).await;
    run(&mut two, &["DO 1"]).await;
    assert_eq!(code(&one.query_drop("SHOW WARNINGS").await.unwrap_err()), Some(1105));
    assert_eq!(row(&mut one, "SELECT SQL_CALC_FOUND_ROWS 1 UNION SELECT 2 LIMIT 1").await, "1");
    assert_eq!(row(&mut one, "SELECT FOUND_ROWS()").await, "2");
}

async fn users_take_turns(proxy: &Proxy, node: &Node) {
    let (mut app, mut other) = (connect(proxy).await, connect_to(proxy.address(), "other", "o", None).await);
    for _ in 0..5 {
        assert!(row(&mut app, "SELECT USER()").await.starts_with("app@"));
        assert!(row(&mut other, "SELECT USER()").await.starts_with("other@"));
    }
    assert!(until(SEEN_MAX, || connections(node) == 1));
}

async fn what_is_held_keeps_the_connection(proxy: &Proxy) {
    let table: [(&[&str], &[&str], &str, &str); 7] = [
        (&["BEGIN", "INSERT INTO shop.t VALUES (5000, 1)"], &["ROLLBACK"], "SELECT @@in_transaction", "1"),
        (
            &["CREATE TEMPORARY TABLE shop.own (a INT)", "INSERT INTO shop.own VALUES (6)"],
            &[],
            "SELECT a FROM shop.own",
            "6",
        ),
        (&["LOCK TABLES shop.t READ"], &["UNLOCK TABLES"], "SELECT COUNT(*) > 0 FROM shop.t", "1"),
        (&["DO GET_LOCK('held', 0)"], &[], "SELECT IS_USED_LOCK('held') = CONNECTION_ID()", "1"),
        (&["SELECT @b := 8"], &[], "SELECT @b", "8"),
        (&["SELECT NEXTVAL(shop.numbers)"], &[], "SELECT LASTVAL(shop.numbers) > 0", "1"),
        (&["SELECT shop.f()"], &[], "SELECT @left", "3"),
    ];
    for (makes, ends, asks, expected) in table {
        let (mut one, mut two) = (connect(proxy).await, connect(proxy).await);
        run(&mut one, makes).await;
        assert_eq!(code(&two.query_drop("SELECT 1").await.unwrap_err()), Some(1040), "{makes:?}");
        assert_eq!(row(&mut one, asks).await, expected, "{makes:?}");
        if ends.is_empty() {
            one.reset().await.unwrap();
        }
        run(&mut one, ends).await;
        run(&mut two, &["SELECT 1"]).await;
    }
}

async fn who_waits_is_served(proxy: &Proxy, node: &Node) {
    let (mut one, mut two) = (connect(proxy).await, connect(proxy).await);
    run(&mut one, &["BEGIN", "SELECT 1"]).await;
    let error = two.query_drop("SELECT 1").await.unwrap_err();
    let Error::Server(error) = error else { panic!("{error}") };
    assert_eq!((error.code, &*error.state), (1040, "08004"));
    assert!(error.message.contains("connections_max") && error.message.contains(node.name()), "{error}");
    let login = proxy.client(&["-e", "SELECT 1"]);
    assert!(String::from_utf8_lossy(&login.stderr).contains("ERROR 1040 (08004): Too many connections"), "{login:?}");
    let (waits, ends) = tokio::join!(row(&mut two, "SELECT 2"), async {
        tokio::task::yield_now().await;
        one.query_drop("COMMIT").await
    });
    assert_eq!((waits.as_str(), ends.is_ok()), ("2", true));
    // Whoever goes gives his seat to the next.
    run(&mut two, &["BEGIN", "SELECT 1"]).await;
    let (served, gone) = tokio::join!(row(&mut one, "SELECT 3"), two.disconnect());
    assert_eq!((served.as_str(), gone.is_ok()), ("3", true));
}

async fn sessions_without_a_connection_can_be_killed(proxy: &Proxy) {
    let (mut one, mut two) = (connect(proxy).await, connect(proxy).await);
    run(&mut two, &["SELECT 1"]).await;
    let id = one.id();
    run(&mut two, &[&format!("KILL QUERY {id}")]).await;
    run(&mut one, &["SELECT 1"]).await;
    run(&mut two, &["SELECT 1", &format!("KILL {id}")]).await;
    let error = one.query_drop("SELECT 1").await.unwrap_err();
    assert_eq!(code(&error), None, "{error}");
}

/// What one of the crowd has must be his, whoever had the connection before. They all start in the same schema, so that no connection
/// is closed to make room for another, which the node would count for a moment more.
async fn nobody_sees_anything_of_others(proxy: &Proxy, node: &Node) {
    let member = async |number: usize| {
        let mut conn = connect_to(proxy.address(), APP_USER, APP_PASSWORD, Some("shop")).await;
        run(&mut conn, &[&format!("SET @mine = {number}")]).await;
        let statement = conn.prep(format!("SELECT {number} + ?")).await.unwrap();
        for round in 0..ROUNDS {
            match (number + round) % 4 {
                0 => {
                    run(&mut conn, &["INSERT INTO t (v) VALUES (1)"]).await;
                    let id = conn.last_insert_id().unwrap();
                    tokio::task::yield_now().await;
                    assert_eq!(row(&mut conn, "SELECT LAST_INSERT_ID()").await, id.to_string());
                }
                1 => {
                    let sum: Option<usize> = conn.exec_first(&statement, (round,)).await.unwrap();
                    assert_eq!(sum, Some(number + round));
                }
                2 => {
                    run(&mut conn, &["BEGIN", "SELECT COUNT(*) FROM t", "COMMIT"]).await;
                }
                _ => run(&mut conn, &["SET @round = @mine"]).await,
            }
            let asks = "SELECT @mine, COALESCE(@round, @mine), DATABASE(), @@in_transaction";
            assert_eq!(row(&mut conn, asks).await, format!("{number} {number} shop 0"));
        }
    };
    let mut watcher = connect_to(node.address(), APP_USER, APP_PASSWORD, None).await;
    let counts = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'app' AND id <> CONNECTION_ID()";
    let mut most = 0;
    let watch = async {
        loop {
            most = most.max(row(&mut watcher, counts).await.parse::<usize>().unwrap());
        }
    };
    tokio::select! {
        _ = join_all((0..CROWD).map(member)) => {}
        () = watch => {}
    }
    assert_eq!(most, CONNECTIONS);
}
