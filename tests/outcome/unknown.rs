//! What can't be found out is said to be so, with the reason.

use oarlock::lab::{Lab, Node, until};
use oarlock::outcome::Outcome;

use super::scene::{SOON, Scene};

#[test]
fn what_can_not_be_found_out() {
    let lab = Lab::builder().galera(3).fast_eviction(true).start().unwrap();
    let scene = Scene::start(&lab, "\n[read-write-split]\noutcome_wait = \"20s\"\n");
    without_the_grant(&scene);
    without_texts_in_the_log(&scene);
    after_a_state_transfer(&scene);
}

fn undecidable(outcome: &Outcome, words: &str) {
    assert!(matches!(outcome, Outcome::Undecidable(why) if why.contains(words)), "{words}: {outcome:?}");
}

fn without_the_grant(scene: &Scene) {
    let node = &scene.lab.nodes()[1];
    node.sql("REVOKE REPLICATION SLAVE ON *.* FROM maxuser@'%'").unwrap();
    let mut work = scene.work(0);
    let insert = work.mark("INSERT INTO shop.t (v) VALUES ('a')");
    work.run(&insert).unwrap();
    undecidable(&scene.ask(&work), "GRANT REPLICATION SLAVE ON *.* TO maxuser");
    assert!(until(SOON, || work.run("SELECT 1").is_err()), "it was ended all the same");
    node.sql("GRANT REPLICATION SLAVE ON *.* TO maxuser@'%'").unwrap();
    assert!(matches!(scene.ask(&work), Outcome::Committed { .. }));
}

fn without_texts_in_the_log(scene: &Scene) {
    let node = &scene.lab.nodes()[0];
    node.sql("SET GLOBAL binlog_annotate_row_events = OFF").unwrap();
    let fault = || scene.view.load().nodes[0].trace.fault.to_string();
    assert!(until(SOON, || !fault().is_empty()));
    let mut work = scene.work(0);
    let insert = work.mark("INSERT INTO shop.t (v) VALUES ('b')");
    work.run(&insert).unwrap();
    undecidable(&scene.ask(&work), "binlog_annotate_row_events is OFF on node galera-71");
    node.sql("SET GLOBAL binlog_annotate_row_events = ON").unwrap();
    assert!(until(SOON, || fault().is_empty()));
}

/// The only node that is left has got its data from another one, and no log of what was before.
fn after_a_state_transfer(scene: &Scene) {
    let [first, second, third] = scene.lab.nodes() else { panic!("three nodes") };
    let mut old = scene.work(0);
    let insert = old.mark("INSERT INTO shop.t (v) VALUES ('c')");
    old.run(&insert).unwrap();
    third.stop().unwrap();
    std::fs::remove_file(third.data().join("grastate.dat")).unwrap();
    first.sql("INSERT INTO shop.t (v) VALUES ('meanwhile')").unwrap();
    third.start().unwrap();
    let mut new = scene.work(0);
    let insert = new.mark("INSERT INTO shop.t (v) VALUES ('d')");
    new.run(&insert).unwrap();
    let is_there =
        |node: &Node| node.value("SELECT COUNT(*) FROM shop.t WHERE v = 'd'").unwrap().as_deref() == Some("1");
    assert!(until(SOON, || is_there(third)));
    second.stop().unwrap();
    first.stop().unwrap();
    assert!(until(SOON, || scene.view.load().nodes[2].usable()));
    let (old, new) = (scene.asked(&old), scene.asked(&new));
    let outcome = super::scene::behind(new);
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
    undecidable(&super::scene::behind(old), "galera-73 has no binary log from");
}

#[test]
fn a_standalone_server() {
    let lab = Lab::builder().galera(0).standalone(true).start().unwrap();
    let scene = Scene::start(&lab, "\n[read-write-split]\noutcome_wait = \"10s\"\n");
    let server = &lab.nodes()[0];
    let mut done = scene.work(0);
    let insert = done.mark("INSERT INTO shop.t (v) VALUES ('a')");
    done.run(&insert).unwrap();
    let mut open = scene.work(0);
    open.run("BEGIN").unwrap();
    let insert = open.mark("INSERT INTO shop.t (v) VALUES ('b')");
    open.run(&insert).unwrap();
    server.kill().unwrap();
    let (done_outcome, open_outcome) = (scene.asked(&done), scene.asked(&open));
    server.start().unwrap();
    assert!(matches!(super::scene::behind(done_outcome), Outcome::Committed { .. }));
    assert_eq!(super::scene::behind(open_outcome), Outcome::Absent);
    server.kill().unwrap();
    undecidable(&scene.ask(&done), "server-81 can't be asked");
    server.start().unwrap();
    assert_eq!(server.value("SELECT COUNT(*) FROM shop.t").unwrap().as_deref(), Some("1"));
}
