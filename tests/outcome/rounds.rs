//! Many writes at the same time, a node lost under them at a random moment: each answer is the truth. `ROUNDS=200 SEED=7` for more.

use std::time::Duration;

use oarlock::lab::Lab;
use oarlock::outcome::Outcome;

use super::dice::Dice;
use super::scene::{SOON, Scene, behind};

const WRITES: usize = 12;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn random_losses() {
    let (rounds, seed) = (number("ROUNDS", 3), number("SEED", 1));
    let lab = Lab::builder().galera(3).fast_eviction(true).start().unwrap();
    let scene = Scene::start(&lab, "\n[read-write-split]\noutcome_wait = \"60s\"\n");
    let dice = &mut Dice::new(seed);
    let mut counts = [0; 4];
    for round in 0..rounds {
        let fault = (dice.below(4) + round as usize) % 4;
        for (at, count) in play(&scene, round, fault, dice).into_iter().enumerate() {
            counts[at] += count;
        }
    }
    let [told, committed, absent, undecidable] = counts;
    println!(
        "seed {seed}, {rounds} rounds: {told} told by the node, {committed} committed, {absent} absent, {undecidable} undecidable"
    );
    assert_eq!(undecidable, 0);
}

/// One round: how many the node itself told of, were committed, absent, undecidable.
fn play(scene: &Scene, round: u64, fault: usize, dice: &mut Dice) -> [u64; 4] {
    let (node, others) = (&scene.lab.nodes()[0], &scene.lab.nodes()[1..]);
    let mut works: Vec<_> = (0..WRITES).map(|_| scene.work(0)).collect();
    let pause = Duration::from_millis(dice.below(30) as u64);
    let mut running = Vec::new();
    for (number, work) in works.iter_mut().enumerate() {
        let insert = work.mark(&format!("INSERT INTO shop.t (v) VALUES ('r{round}w{number}')"));
        let texts = match number % 2 {
            0 => vec![insert],
            _ => vec!["BEGIN".to_owned(), insert, "COMMIT".to_owned()],
        };
        running.push(work.begin_all(texts, Duration::from_millis(dice.below(30) as u64)));
    }
    std::thread::sleep(pause);
    match fault {
        0 => node.kill().unwrap(),
        1 | 2 => node.freeze().unwrap(),
        _ => others.iter().for_each(|other| other.freeze().unwrap()),
    }
    let outcomes: Vec<_> = works.iter().map(|work| scene.asked(work)).collect();
    if fault == 1 || fault == 3 {
        std::thread::sleep(Duration::from_millis(dice.below(if fault == 1 { 1500 } else { 6000 }) as u64));
        node.thaw().unwrap();
        others.iter().for_each(|other| other.thaw().unwrap());
    }
    let outcomes: Vec<_> = outcomes.into_iter().map(behind).collect();
    match fault {
        0 => node.start().unwrap(),
        _ => node.thaw().unwrap(),
    }
    node.wait_synced(SOON).unwrap();
    scene.wait_until_fit();
    let mut counts = [0; 4];
    for (number, (outcome, running)) in outcomes.into_iter().zip(running).enumerate() {
        let told = behind(running).unwrap();
        let there = scene.count(&format!("v = 'r{round}w{number}'"));
        let what = format!("round {round}, fault {fault}, write {number}: {outcome:?}, there {there}, told {told:?}");
        assert!(there <= 1 && (told.is_err() || there == 1), "{what}");
        counts[0] += u64::from(told.is_ok());
        match outcome {
            Outcome::Committed { .. } => assert_eq!(there, 1, "{what}"),
            Outcome::Absent => assert_eq!(there, 0, "{what}"),
            Outcome::Undecidable(_) => {}
        }
        counts[match outcome {
            Outcome::Committed { .. } => 1,
            Outcome::Absent => 2,
            Outcome::Undecidable(_) => 3,
        }] += 1;
    }
    counts
}
