//! Whether interrupted writes happened: what is answered about them is compared with what the cluster has afterwards.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "../support/dice.rs"]
mod dice;
mod lost;
mod refused;
#[path = "../history/relay.rs"]
mod relay;
mod rounds;
mod scene;
mod unknown;

use std::time::{Duration, Instant};

use oarlock::lab::{Lab, until};
use oarlock::outcome::Outcome;
use scene::{SOON, Scene, Wait};

#[test]
fn on_a_node_that_can_be_reached() {
    let lab = Lab::builder().galera(3).fast_eviction(true).start().unwrap();
    let scene = Scene::start(&lab, "");
    what_was_committed_is_found(&scene);
    what_still_runs_is_ended(&scene);
    what_was_rolled_back_is_absent(&scene);
    one_look_answers_many(&scene);
    rows_of_an_insert_are_told(&scene);
}

/// Of a transaction any statement proves it, under the GTID that the client was told or not told.
fn what_was_committed_is_found(scene: &Scene) {
    let mut work = scene.work(0);
    work.run("BEGIN").unwrap();
    let first = work.mark("INSERT INTO shop.t (v) VALUES ('a')");
    work.run(&first).unwrap();
    let second = work.mark("UPDATE shop.t SET v = 'b' WHERE v = 'a'");
    work.run(&second).unwrap();
    work.run("COMMIT").unwrap();
    let gtid = work.value("SELECT @@last_gtid");
    let outcome = scene.ask(&work);
    assert!(
        matches!(&outcome, Outcome::Committed { gtid: found, .. } if found.to_string() == gtid),
        "{outcome:?} {gtid}"
    );
    // What is found is certain before that.
    assert!(until(SOON, || work.run("SELECT 1").is_err()), "its connection was ended");

    let mut work = scene.work(1);
    let ddl = work.mark("CREATE TABLE shop.u (a INT)");
    work.run(&ddl).unwrap();
    assert!(matches!(scene.ask(&work), Outcome::Committed { .. }));
}

fn what_still_runs_is_ended(scene: &Scene) {
    let mut work = scene.work(0);
    let slow = work.mark("INSERT INTO shop.t (v) SELECT CONCAT('slow', SLEEP(60))");
    let asked = Instant::now();
    let running = work.begin(slow);
    scene.wait_for(0, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep'", "1");
    assert_eq!(scene.ask(&work), Outcome::Absent);
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    assert!(running.wait().unwrap().is_err());
    assert_eq!(scene.count("v LIKE 'slow%'"), 0);
}

fn what_was_rolled_back_is_absent(scene: &Scene) {
    let mut work = scene.work(2);
    work.run("BEGIN").unwrap();
    let insert = work.mark("INSERT INTO shop.t (v) VALUES ('open')");
    work.run(&insert).unwrap();
    assert_eq!(scene.ask(&work), Outcome::Absent);
    assert_eq!(scene.count("v = 'open'"), 0);
    let mut work = scene.work(2);
    let failing = work.mark("INSERT INTO shop.t (id, v) VALUES (1, 'x'), (1, 'y')");
    work.run(&failing).unwrap_err();
    assert_eq!(scene.ask(&work), Outcome::Absent);
    let work = scene.work(2);
    let outcome = scene.ask(&work);
    assert!(matches!(&outcome, Outcome::Undecidable(why) if why.contains("can't be found")), "{outcome:?}");
}

fn one_look_answers_many(scene: &Scene) {
    let works: Vec<_> = (0..60)
        .map(|number| {
            let mut work = scene.work(number % 3);
            let insert = work.mark("INSERT INTO shop.t (v) VALUES ('many')");
            if number % 2 == 0 {
                work.run(&insert).unwrap();
            }
            (number % 2 == 0, work)
        })
        .collect();
    let connections = || (0..3).map(|place| scene.status(place, "CONNECTIONS")).sum::<u64>();
    let before = connections();
    let asked: Vec<_> = works.iter().map(|(happened, work)| (*happened, scene.asked(work))).collect();
    for (happened, outcome) in asked {
        let outcome = outcome.wait();
        assert!(
            if happened { matches!(outcome, Outcome::Committed { .. }) } else { outcome == Outcome::Absent },
            "{outcome:?}"
        );
    }
    let made = connections() - before;
    assert!(made < 50, "{made} connections, the counting ones among them");
    assert!(until(SOON, || scene.count("v = 'many'") == 30));
}

/// As the server told them to the client that was not cut off.
fn rows_of_an_insert_are_told(scene: &Scene) {
    let all = "CREATE TABLE shop.wide (a TINYINT, b SMALLINT UNSIGNED, c MEDIUMINT, d BIGINT, e FLOAT, f DOUBLE, g DECIMAL(30, 7), \
        h DATE, i TIME(2), j DATETIME(3), k TIMESTAMP(6) NULL, l YEAR, m CHAR(3), n CHAR(200), o VARCHAR(20), p VARCHAR(3000), \
        q BINARY(5), r BLOB, s LONGTEXT, t JSON, u ENUM('x', 'y'), v SET('x', 'y', 'z'), w BIT(11), x GEOMETRY, y INET6, z UUID, \
        id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY) CHARACTER SET utf8mb4";
    let plain = "CREATE TABLE shop.plain (id INT PRIMARY KEY, v TEXT)";
    for ddl in [all, plain] {
        scene.lab.nodes()[0].sql(ddl).unwrap();
    }
    let wide = "INSERT INTO shop.wide (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z) \
        SELECT -1, 2, 3, 4, 5, 6, 7.5, '2024-02-29', '01:02:03.04', NOW(3), NOW(6), 2024, 'ab', 'cd', 'ef', 'gh', 'ij', 'kl', 'mn', \
        '{}', 'y', 'x,z', b'101', POINT(1, 2), '::1', UUID() UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL";
    for (sql, affected, insert_id) in [
        ("INSERT INTO shop.t (v) VALUES ('one')", true, true),
        ("INSERT INTO shop.t (v) VALUES ('one'), ('two'), ('three')", true, true),
        ("INSERT INTO shop.t VALUES (NULL, 'one')", true, true),
        ("INSERT INTO shop.t VALUES (100000, 'one')", true, true),
        ("INSERT INTO shop.t VALUES (200000, 'one'), (200001, 'two')", true, false),
        ("INSERT IGNORE INTO shop.t (id, v) VALUES (100000, 'again')", false, false),
        ("INSERT INTO shop.t (v) SELECT v FROM shop.t WHERE v = 'one' LIMIT 2", true, true),
        ("REPLACE INTO shop.plain VALUES (1, 'new')", true, true),
        ("REPLACE INTO shop.plain VALUES (1, 'newer')", false, false),
        ("INSERT INTO shop.plain VALUES (2, 'a'), (3, 'b')", true, true),
        ("INSERT INTO shop.plain VALUES (2, 'a') ON DUPLICATE KEY UPDATE v = 'c'", false, false),
        (wide, true, true),
    ] {
        let mut work = scene.work(0);
        work.wants_rows();
        let text = work.mark(sql);
        work.run(&text).unwrap();
        let (rows, id) = work.told();
        match scene.ask(&work) {
            Outcome::Committed { affected: found, insert_id: found_id, .. } => {
                let expected = (affected.then_some(rows), insert_id.then_some(id));
                assert_eq!((found, found_id), expected, "{sql}");
            }
            Outcome::Absent if sql.contains("IGNORE") => assert_eq!(rows, 0),
            outcome => panic!("{sql}: {outcome:?}"),
        }
    }
}
