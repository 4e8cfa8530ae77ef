//! What an error of a node proves: 1213, 1047 and 1290 that the work did not happen, 1205 on a definition nothing.

use std::time::Duration;

use mysql_async::Error;
use oarlock::lab::{APP_USER, Lab, until};
use oarlock::outcome::Outcome;

use super::scene::{SOON, Scene, Wait};

/// So many commits that are refused with 1213 are looked at.
const ABORTED_MIN: usize = 5;

#[test]
fn what_an_error_proves() {
    let lab = Lab::builder().galera(3).fast_eviction(true).start().unwrap();
    let scene = Scene::start(&lab, "");
    aborted(&scene);
    read_only(&scene);
    outside_of_the_cluster(&scene);
    late_definitions(&scene);
}

fn code(told: &Result<(), Error>) -> u16 {
    match told {
        Err(Error::Server(error)) => error.code,
        Err(error) => panic!("{error}"),
        Ok(()) => 0,
    }
}

/// Two nodes commit changes of one row at the same time.
fn aborted(scene: &Scene) {
    scene.lab.nodes()[0]
        .sql("CREATE TABLE shop.hot (id INT PRIMARY KEY, n INT); INSERT INTO shop.hot VALUES (1, 0)")
        .unwrap();
    let mut refused = 0;
    for round in 0..500 {
        let rivals = [0, 1].map(|place| {
            let mut work = scene.work(place);
            let insert = work.mark(&format!("INSERT INTO shop.t (v) VALUES ('r{round}n{place}')"));
            let update = work.mark("UPDATE shop.hot SET n = n + 1 WHERE id = 1");
            let texts = vec!["BEGIN".to_owned(), insert, update, "COMMIT".to_owned()];
            let running = work.begin_all(texts, Duration::ZERO);
            (place, work, running)
        });
        for (place, work, running) in rivals {
            let told = running.wait().unwrap();
            let there = scene.count(&format!("v = 'r{round}n{place}'"));
            match code(&told) {
                0 => assert_eq!(there, 1),
                1213 => {
                    assert_eq!((there, scene.ask(&work)), (0, Outcome::Absent));
                    refused += 1;
                }
                other => panic!("{other}"),
            }
        }
        if refused >= ABORTED_MIN {
            return;
        }
    }
    panic!("only {refused} were refused");
}

fn read_only(scene: &Scene) {
    let node = &scene.lab.nodes()[0];
    // Who has all privileges writes all the same.
    node.sql(&format!("REVOKE READ_ONLY ADMIN ON *.* FROM {APP_USER}@'%'; SET GLOBAL read_only = ON")).unwrap();
    let mut works = [scene.work(0), scene.work(0)];
    let insert = works[0].mark("INSERT INTO shop.t (v) VALUES ('read only')");
    assert_eq!(code(&works[0].run(&insert)), 1290);
    works[1].run("BEGIN").unwrap();
    let insert = works[1].mark("INSERT INTO shop.t (v) VALUES ('read only')");
    assert_eq!(code(&works[1].run(&insert)), 1290);
    node.sql("SET GLOBAL read_only = OFF").unwrap();
    for work in &works {
        assert_eq!(scene.ask(work), Outcome::Absent);
    }
    assert_eq!(scene.count("v = 'read only'"), 0);
}

fn outside_of_the_cluster(scene: &Scene) {
    let others = &scene.lab.nodes()[1..];
    let mut works = [scene.work(0), scene.work(0)];
    works[1].run("BEGIN").unwrap();
    others.iter().for_each(|other| other.freeze().unwrap());
    assert!(until(SOON, || scene.is_outside(0)));
    for work in &mut works {
        let insert = work.mark("INSERT INTO shop.t (v) VALUES ('outside')");
        assert_eq!(code(&work.run(&insert)), 1047);
    }
    others.iter().for_each(|other| other.thaw().unwrap());
    for work in &works {
        assert_eq!(scene.ask(work), Outcome::Absent);
    }
    scene.wait_until_fit();
    assert_eq!(scene.count("v = 'outside'"), 0);
}

/// Its node has stopped waiting for its turn, and it may be executed yet. The log says whether it was.
fn late_definitions(scene: &Scene) {
    let others = &scene.lab.nodes()[1..];
    for round in 0..3 {
        let mut work = scene.work(0);
        work.run("SET SESSION lock_wait_timeout = 1").unwrap();
        let table = work.mark(&format!("CREATE TABLE shop.late{round} (a INT)"));
        others.iter().for_each(|other| other.freeze().unwrap());
        assert_eq!(code(&work.run(&table)), 1205);
        let outcome = scene.asked(&work);
        others.iter().for_each(|other| other.thaw().unwrap());
        let outcome = outcome.wait();
        scene.wait_until_fit();
        let exists = format!("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME = 'late{round}'");
        let exists = scene.survivor().value(&exists).unwrap().as_deref() == Some("1");
        match outcome {
            Outcome::Committed { .. } => assert!(exists),
            Outcome::Absent => assert!(!exists),
            Outcome::Undecidable(why) => panic!("{why}"),
        }
    }
}
