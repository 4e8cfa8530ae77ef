//! Choices among nodes in every state.

use super::*;
use crate::cluster::view::{Duty, Health, NodeView};

/// `synced`, `down` and so on; the first with `*` is the writer.
fn view(nodes: &[&str]) -> ClusterView {
    let node = |(place, text): (usize, &&str)| NodeView {
        id: NodeId(place as u16),
        name: format!("n{place}").into(),
        health: match text.trim_matches('*') {
            "down" => Health::Down,
            "running" => Health::Running,
            _ => Health::Synced,
        },
        duty: match text.trim_matches('*') {
            "maintenance" => Duty::Maintenance,
            "draining" => Duty::Draining,
            _ => Duty::Normal,
        },
        mute: text.trim_matches('*') == "mute",
        ..NodeView::default()
    };
    let writer = nodes.iter().position(|text| text.starts_with('*')).map(|place| NodeId(place as u16));
    ClusterView { nodes: nodes.iter().enumerate().map(node).collect(), writer, ..ClusterView::default() }
}

fn unfit(nodes: &[(u16, Unfit)]) -> Verdicts {
    nodes.iter().map(|(node, why)| (NodeId(*node), why.clone())).collect()
}

fn absent() -> Unfit {
    Unfit::Absent("gone".into())
}

#[test]
fn the_writer_first_then_who_is_fit() {
    for (nodes, refused, expected) in [
        (&["synced", "*synced", "synced"][..], &[][..], Some(1)),
        (&["synced", "*synced", "synced"], &[1], Some(0)),
        (&["running", "*synced", "synced"], &[1], Some(2)),
        (&["down", "synced", "synced"], &[], Some(1)),
        (&["draining", "maintenance", "running"], &[], None),
        (&["*synced"], &[0], None),
        (&["*mute", "synced"], &[], Some(1)),
        (&["*mute", "synced"], &[1], Some(0)),
    ] {
        let refused: Vec<_> = refused.iter().map(|node| (*node, absent())).collect();
        assert_eq!(choose(&view(nodes), &unfit(&refused)), expected.map(NodeId), "{nodes:?}");
    }
}

#[test]
fn a_source_is_left_for_the_writer_or_when_it_is_not_fit() {
    for (nodes, current, refused, expected, why) in [
        (&["*synced", "synced"][..], 0, &[][..], None, "it is the writer"),
        (&["*synced", "synced"], 1, &[], Some(0), "the writer is another"),
        (&["*synced", "synced"], 1, &[0], None, "which can't serve"),
        (&["synced", "synced"], 1, &[], None, "there is no writer now"),
        (&["running", "synced"], 0, &[], Some(1), "it is not fit"),
        (&["maintenance", "synced", "*synced"], 0, &[], Some(2), "it is not to be used"),
        (&["draining", "synced"], 0, &[], None, "it may finish"),
        (&["*mute", "synced"], 1, &[], None, "the writer is another, which may never answer"),
        (&["maintenance", "*mute", "synced"], 0, &[], Some(2), "it is not to be used"),
        (&["down", "running"], 0, &[], None, "it still sends, and there is no other"),
    ] {
        let refused: Vec<_> = refused.iter().map(|node| (*node, absent())).collect();
        assert_eq!(better(&view(nodes), NodeId(current), &unfit(&refused)), expected.map(NodeId), "{why}");
    }
}

#[test]
fn a_node_must_hold_what_the_replica_has() {
    let locals = Locals::from([(NodeId(0), 71), (NodeId(1), 72)]);
    let held = |position: &str, shared| Held {
        position: position.parse().unwrap(),
        server: Some(1),
        shared,
        anywhere: "70-1-10,71-1-3,72-1-3,81-2-1".parse().unwrap(),
    };
    for (wanted, has, lacks) in [
        ("70-1-9", "70-1-10", None),
        ("70-1-10", "70-1-9", Some("70-1-10")),
        ("70-1-10,81-2-1", "70-1-10", Some("81-2-1")),
        // The other node keeps these to itself, this one has lost some of its own.
        ("70-1-10,71-1-3", "70-1-10", None),
        ("70-1-10,72-1-3", "70-1-10,72-1-2", Some("72-1-3")),
        // The replica has this one from elsewhere.
        ("70-1-10,99-9-4", "70-1-10", None),
        ("", "", None),
        // What the replica's own site has written and this one has not got yet.
        ("70-1-5,81-8000-9", "70-1-5,81-8000-3", None),
        ("70-1-6,81-8000-9", "70-1-5,81-8000-3", Some("70-1-6")),
        ("81-8001-9", "81-8000-3", Some("81-8001-9")),
    ] {
        let lacks = lacks.map(|text| text.parse().unwrap());
        let found = missing(&wanted.parse().unwrap(), &held(has, Some(70)), NodeId(1), &locals, 8000);
        assert_eq!(found, lacks, "{wanted} of {has}");
    }
    let same = Locals::from([(NodeId(0), 70), (NodeId(1), 70)]);
    assert!(missing(&"70-1-2".parse().unwrap(), &held("70-1-1", None), NodeId(1), &same, 8000).is_some());
}

#[test]
fn what_the_cluster_calls_otherwise_is_for_nobody() {
    let position = |text: &str| text.parse::<Position>().unwrap();
    let others = ["70-7000-20,81-8000-4", "70-7000-20,81-8000-4,5-7000-1"].map(position);
    for (has, shared, wanted, had_source, stray_one) in [
        ("70-7000-20,81-8000-4", Some(70), "70-7000-20", true, None),
        ("70-7000-20,0-7000-9", Some(70), "70-7000-20", true, Some("0-7000-9")),
        ("70-7000-20,0-7000-9", Some(70), "70-7000-20", false, Some("0-7000-9")),
        ("70-7000-20,5-7000-1", Some(70), "70-7000-20", true, Some("5-7000-1")),
        // The node's own, another site's, what the replica has already.
        ("70-7000-20,72-7000-9", Some(70), "70-7000-20", true, None),
        ("70-7000-20,82-8000-9", Some(70), "70-7000-20", true, None),
        ("70-7000-20,0-7000-9", Some(70), "70-7000-20,0-7000-8", true, None),
        // No cluster that numbers alike.
        ("70-7000-20,0-7000-9", None, "70-7000-20", true, None),
    ] {
        let held = Held { position: position(has), server: Some(7000), shared, anywhere: Position::default() };
        let found = stray(&position(wanted), &held, Some(72), had_source, &others);
        assert_eq!(found, stray_one.map(|gtid| gtid.parse().unwrap()), "{has} {wanted} {had_source}");
    }
    // What all nodes have was once the cluster's domain.
    let old = [position("60-7000-9,70-7000-20")];
    let held = Held { position: old[0].clone(), server: Some(7000), shared: Some(70), anywhere: Position::default() };
    assert_eq!(stray(&position("70-7000-3"), &held, Some(72), false, &old), None);
}

#[test]
fn when_no_node_can() {
    let wanted: Position = "70-1-20".parse().unwrap();
    let (behind, lacks) =
        (Unfit::Behind("70-1-9".parse().unwrap()), Unfit::Lacks("70-1-30".parse().unwrap(), "purged".into()));
    let gap = |n| Unfit::Gap(Gtid { domain: 70, server: 1, sequence: n });
    let of = |nodes: &[&str], verdicts: &[(u16, Unfit)]| weigh(&view(nodes), &unfit(verdicts), &wanted);
    assert_eq!(of(&["down", "running"], &[]), Dilemma::Wait);
    assert_eq!(of(&["synced", "synced"], &[(0, lacks.clone())]), Dilemma::Wait);
    assert_eq!(of(&["synced", "synced"], &[(0, lacks.clone()), (1, absent())]), Dilemma::Wait);
    let next = Gtid { domain: 70, server: 1, sequence: 22 };
    assert_eq!(of(&["synced", "synced"], &[(0, gap(22)), (1, gap(22))]), Dilemma::Tolerate(next));
    assert_eq!(of(&["synced"], &[(0, gap(22))]), Dilemma::Tolerate(next));
    for (nodes, verdicts, code, texts) in [
        (
            &["synced", "synced"][..],
            [(0, gap(22)), (1, gap(23))],
            1236,
            ["n0 goes on in domain 70 with 70-1-22", "n1 goes on"],
        ),
        (&["synced", "synced", "down"], [(0, gap(22)), (1, gap(22))], 1105, ["70-1-22", "n2 can't be asked now"]),
        (
            &["synced", "synced"],
            [(0, gap(20)), (1, gap(20))],
            1236,
            ["from '70-1-20', which the replica has", "70-1-20"],
        ),
        (
            &["synced", "synced"],
            [(0, behind), (1, lacks)],
            1236,
            [
                "n0 has only '70-1-9', so it is behind in domain 70",
                "n1 is at '70-1-30' and has purged what comes next in domain 70",
            ],
        ),
    ] {
        let Dilemma::Tell(fault) = of(nodes, &verdicts) else { panic!("{nodes:?}") };
        assert_eq!(fault.code, code, "{}", fault.message);
        texts.iter().for_each(|text| assert!(fault.message.contains(text), "{} lacks {text}", fault.message));
    }
}
