//! Whether interrupted writes happened: what is answered about them is compared with what the cluster has afterwards.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

mod lost;
#[path = "../history/relay.rs"]
mod relay;
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
    assert!(work.run("SELECT 1").is_err(), "its connection was ended");

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
