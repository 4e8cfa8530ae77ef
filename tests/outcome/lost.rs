//! The node on which a write was under way is killed, frozen, expelled, alone, or cut off from the proxy only.

use std::time::{Duration, Instant};

use oarlock::lab::{Lab, until};
use oarlock::outcome::Outcome;

use super::relay::{Line, Relay};
use super::scene::{SOON, Scene, Wait};

const SLEEPERS: &str = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep'";

#[test]
fn on_a_node_that_is_lost() {
    let lab = Lab::builder().galera(3).fast_eviction(true).start().unwrap();
    let scene = Scene::start(&lab, "");
    killed(&scene);
    frozen_for_a_moment(&scene);
    frozen_until_it_is_expelled(&scene);
    alone(&scene);
}

fn killed(scene: &Scene) {
    let node = &scene.lab.nodes()[0];
    let mut done = scene.work(0);
    let insert = done.mark("INSERT INTO shop.t (v) VALUES ('done')");
    done.run(&insert).unwrap();
    let mut slow = scene.work(0);
    let running = slow.mark("INSERT INTO shop.t (v) SELECT CONCAT('killed', SLEEP(60))");
    let running = slow.begin(running);
    scene.wait_for(0, SLEEPERS, "1");
    node.kill().unwrap();
    assert!(running.wait().unwrap().is_err());
    let asked = Instant::now();
    let outcome = scene.asked(&slow);
    assert!(matches!(scene.ask(&done), Outcome::Committed { .. }));
    assert!(asked.elapsed() < Duration::from_secs(2), "what is there needs no waiting: {:?}", asked.elapsed());
    assert_eq!(outcome.wait(), Outcome::Absent);
    node.start().unwrap();
    scene.wait_until_fit();
    assert_eq!(scene.count("v LIKE 'killed%'"), 0);
}

/// Nobody notices but the session, and the statement would go on.
fn frozen_for_a_moment(scene: &Scene) {
    let node = &scene.lab.nodes()[0];
    let mut slow = scene.work(0);
    let insert = slow.mark("INSERT INTO shop.t (v) SELECT CONCAT('moment', SLEEP(3))");
    let running = slow.begin(insert);
    scene.wait_for(0, SLEEPERS, "1");
    node.freeze().unwrap();
    let outcome = scene.asked(&slow);
    std::thread::sleep(Duration::from_millis(500));
    node.thaw().unwrap();
    assert_eq!(outcome.wait(), Outcome::Absent);
    assert!(running.wait().unwrap().is_err());
    assert_eq!(scene.count("v LIKE 'moment%'"), 0);
}

/// It comes back as a member with what it was doing: that is ended before it can commit.
fn frozen_until_it_is_expelled(scene: &Scene) {
    let node = &scene.lab.nodes()[0];
    let mut slow = scene.work(0);
    let insert = slow.mark("INSERT INTO shop.t (v) SELECT CONCAT('expelled', SLEEP(12))");
    let running = slow.begin(insert);
    scene.wait_for(0, SLEEPERS, "1");
    node.freeze().unwrap();
    assert_eq!(scene.ask(&slow), Outcome::Absent);
    node.thaw().unwrap();
    assert!(running.wait().unwrap().is_err(), "it was ended");
    node.wait_synced(SOON).unwrap();
    scene.wait_until_fit();
    assert_eq!(scene.count("v LIKE 'expelled%'"), 0);
}

/// The others are frozen: what it wants to commit hangs in the air, and may still happen.
fn alone(scene: &Scene) {
    let others = &scene.lab.nodes()[1..];
    let mut works = Vec::new();
    for other in others {
        other.freeze().unwrap();
    }
    for number in 0..8 {
        let mut work = scene.work_from(0, "70-7000-1");
        let insert = work.mark(&format!("INSERT INTO shop.t (v) VALUES ('alone{number}')"));
        let running = work.begin(insert);
        works.push((number, work, running));
    }
    assert!(until(SOON, || scene.is_outside(0)));
    let outcomes: Vec<_> = works.iter().map(|(_, work, _)| scene.asked(work)).collect();
    for other in others {
        other.thaw().unwrap();
    }
    for ((number, _, running), outcome) in works.into_iter().zip(outcomes) {
        let (outcome, told) = (outcome.wait(), running.wait().unwrap().err().map(|error| error.to_string()));
        scene.wait_until_fit();
        let there = scene.count(&format!("v = 'alone{number}'"));
        match outcome {
            Outcome::Committed { .. } => assert_eq!(there, 1, "{number}: {told:?}"),
            Outcome::Absent => assert_eq!(there, 0, "{number}: {told:?}"),
            Outcome::Undecidable(why) => panic!("{number}: {why}, {told:?}"),
        }
    }
}

#[test]
fn behind_a_line_that_is_cut() {
    let lab = Lab::builder().galera(3).fast_eviction(true).start().unwrap();
    let (address, node) = (lab.proxy_address(oarlock::lab::Site::Primary), lab.nodes()[0].address());
    let relay = super::scene::behind(Relay::start(std::net::SocketAddrV4::new(address, 3306), node));
    let text = lab.config_toml(oarlock::lab::Site::Primary, address);
    let text = text.replace(&format!("address = \"{node}\""), &format!("address = \"{address}:3306\""));
    let scene = Scene::with(&lab, &format!("{text}\n[read-write-split]\noutcome_wait = \"4s\"\n"));
    for line in [Line::Silent, Line::Down] {
        let mut done = scene.work(0);
        let insert = done.mark("INSERT INTO shop.t (v) VALUES ('done')");
        done.run(&insert).unwrap();
        let mut slow = scene.work(0);
        let insert = slow.mark("INSERT INTO shop.t (v) SELECT CONCAT('cut', SLEEP(60))");
        let running = slow.begin(insert);
        scene.wait_for(0, SLEEPERS, "1");
        relay.set(line);
        assert!(matches!(scene.ask(&done), Outcome::Committed { .. }));
        let outcome = scene.ask(&slow);
        assert!(matches!(&outcome, Outcome::Undecidable(why) if why.contains("can't be asked")), "{outcome:?}");
        relay.set(Line::Whole);
        assert!(running.wait().unwrap().is_err(), "it is ended as soon as it can be");
        assert_eq!(scene.ask(&slow), Outcome::Absent);
        assert_eq!(scene.count("v LIKE 'cut%'"), 0);
    }
}
