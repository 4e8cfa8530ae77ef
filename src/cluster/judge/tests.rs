//! Table tests: what nodes answered, and what is made of it.

use super::super::wsrep::tests::facts;
use super::*;

const GALERA: Rules = Rules { kind: Kind::Galera, available_when_donor: true };
const STANDALONE: Rules = Rules { kind: Kind::Standalone, available_when_donor: true };
/// Enough probes for a view to count as settled.
const LONG: usize = SETTLED_MIN as usize + 1;

type Changes<'a> = &'a [(&'a str, &'a str)];

fn seen(changes: Changes) -> Observation {
    Observation::Seen(Box::new(facts(changes)))
}

fn late() -> Observation {
    Observation::Late("no answer within 3s".into())
}

fn unreachable() -> Observation {
    Observation::Unreachable("Connection refused".into())
}

fn history(observations: impl IntoIterator<Item = Observation>) -> History {
    let mut history = History::default();
    observations.into_iter().for_each(|observation| history.add(observation));
    history
}

/// A node that has answered the same for a while.
fn steady(changes: Changes) -> History {
    history((0..LONG).map(|_| seen(changes)))
}

/// Health and reason of a node on its own.
fn verdict(rules: Rules, observations: impl IntoIterator<Item = Observation>) -> (Health, String) {
    let verdict = judge(&[history(observations)], rules, None).remove(0);
    (verdict.health, verdict.reason.into())
}

fn healths(nodes: &[History], writer: Option<u16>) -> Vec<Health> {
    judge(nodes, GALERA, writer.map(NodeId)).into_iter().map(|verdict| verdict.health).collect()
}

use Health::{AuthError, Down, Running, Synced};

#[test]
fn a_node_by_its_answers() {
    let cases: &[(Changes, Health, &str)] = &[
        (&[], Synced, ""),
        (&[("read_only", "ON")], Synced, ""),
        (&[("wsrep_on", "OFF")], Running, "not a Galera node: wsrep_on is OFF"),
        (
            &[("wsrep_cluster_status", "non-Primary"), ("wsrep_ready", "OFF")],
            Running,
            "not in the primary component: wsrep_cluster_status is non-Primary",
        ),
        (
            &[("wsrep_cluster_status", "Disconnected")],
            Running,
            "not in the primary component: wsrep_cluster_status is Disconnected",
        ),
        (&[("wsrep_ready", "OFF")], Running, "wsrep_ready is OFF"),
        (&[("wsrep_local_state", "1")], Running, "not in step: wsrep_local_state is Joining"),
        (&[("wsrep_local_state", "3")], Running, "not in step: wsrep_local_state is Joined"),
        (&[("wsrep_local_state", "9")], Running, "not in step: wsrep_local_state is state 9"),
        (&[("wsrep_local_state", "2"), ("wsrep_desync", "ON")], Running, "desynced: wsrep_desync is ON"),
        (&[("wsrep_reject_queries", "ALL")], Running, "wsrep_reject_queries is on"),
        (&[("wsrep_reject_queries", "ALL_KILL")], Running, "wsrep_reject_queries is on"),
    ];
    for (changes, health, reason) in cases {
        assert_eq!(verdict(GALERA, [seen(changes)]), (*health, (*reason).to_owned()), "{changes:?}");
    }
}

#[test]
fn a_donor() {
    const OFF: Rules = Rules { available_when_donor: false, ..GALERA };
    for (rules, method, rejects, expected) in [
        (GALERA, "mariabackup", "OFF", ""),
        (GALERA, "xtrabackup-v2", "OFF", ""),
        (GALERA, "rsync", "OFF", "donor or locked for a backup, and the snapshot method rsync blocks it"),
        (GALERA, "mysqldump", "OFF", "donor or locked for a backup, and the snapshot method mysqldump blocks it"),
        (GALERA, "mariabackup", "ON", "donor or locked for a backup, and wsrep_sst_donor_rejects_queries is ON"),
        (OFF, "mariabackup", "OFF", "donor or locked for a backup, and available_when_donor is off"),
    ] {
        let changes =
            [("wsrep_local_state", "2"), ("wsrep_sst_method", method), ("wsrep_sst_donor_rejects_queries", rejects)];
        assert_eq!(verdict(rules, [seen(&changes)]).1, expected, "{method} {rejects}");
        let synced = [("wsrep_sst_method", method), ("wsrep_sst_donor_rejects_queries", rejects)];
        assert_eq!(verdict(rules, [seen(&synced)]).0, Synced, "only a donor is concerned");
    }
}

#[test]
fn what_only_lags_goes_on_with_what_is_open() {
    let cases: &[(Changes, bool)] = &[
        (&[("wsrep_local_state", "2")], true),
        (&[("wsrep_local_state", "2"), ("wsrep_desync", "ON")], true),
        (&[("wsrep_local_state", "2"), ("wsrep_sst_donor_rejects_queries", "ON")], false),
        (&[("wsrep_local_state", "3")], true),
        (&[("wsrep_local_state", "4"), ("wsrep_desync", "ON")], true),
        (&[], false),
        (&[("wsrep_local_state", "1")], false),
        (&[("wsrep_local_state", "2"), ("wsrep_ready", "OFF")], false),
        (&[("wsrep_local_state", "2"), ("wsrep_reject_queries", "ALL")], false),
        (&[("wsrep_local_state", "2"), ("wsrep_cluster_status", "non-Primary")], false),
        (&[("wsrep_on", "OFF")], false),
    ];
    for (changes, lags) in cases {
        assert_eq!(history([seen(changes)]).only_lags(), *lags, "{changes:?}");
    }
    assert!(!history([seen(&[("wsrep_local_state", "2")]), late()]).only_lags(), "it says nothing any more");
}

#[test]
fn a_standalone_server_needs_no_galera() {
    let alone = ("wsrep_on", "OFF");
    assert_eq!(verdict(STANDALONE, [seen(&[alone])]), (Synced, String::new()));
    assert_eq!(
        verdict(STANDALONE, [seen(&[alone, ("read_only", "ON")])]),
        (Synced, String::new()),
        "it can be read from"
    );
    assert_eq!(verdict(STANDALONE, [unreachable()]).0, Down);
}

#[test]
fn a_node_that_numbers_otherwise_is_set_aside() {
    let cluster = || steady(&[]);
    let lost = || steady(&[("wsrep_gtid_domain_id", "0")]);
    let off = || steady(&[("wsrep_gtid_mode", "OFF")]);
    for (nodes, writer, expected, domain) in [
        (vec![cluster(), lost(), cluster()], 0, [Synced, Running, Synced], Some(Some(70))),
        (vec![lost(), cluster(), cluster()], 0, [Running, Synced, Synced], Some(Some(70))),
        (vec![cluster(), cluster(), off()], 0, [Synced, Synced, Running], Some(Some(70))),
        // One that is down has no say, however it numbers.
        (vec![history([unreachable()]), cluster(), lost()], 2, [Down, Synced, Running], Some(Some(70))),
        (vec![history([unreachable()]), history([unreachable()]), lost()], 2, [Down, Down, Synced], Some(Some(0))),
        (vec![off(), off(), off()], 0, [Synced; 3], Some(None)),
        (vec![cluster(), lost(), off()], 0, [Synced; 3], Some(None)),
        (vec![history([unreachable()]), history([unreachable()]), history([unreachable()])], 0, [Down; 3], None),
    ] {
        let verdicts = judge(&nodes, GALERA, Some(NodeId(writer)));
        let healths: Vec<Health> = verdicts.iter().map(|verdict| verdict.health).collect();
        assert_eq!((healths.as_slice(), numbering(&nodes, &verdicts)), (&expected[..], domain), "{verdicts:?}");
    }
}

#[test]
fn a_refused_connection_counts_at_once_a_missed_deadline_only_with_another_one() {
    let ok = || seen(&[]);
    for (observations, health) in [
        (vec![ok(), unreachable()], Down),
        (vec![unreachable(), ok()], Synced),
        (vec![ok(), late()], Synced),
        (vec![ok(), late(), ok()], Synced),
        (vec![ok(), late(), late()], Down),
        (vec![ok(), late(), ok(), late()], Down),
        (vec![ok(), late(), ok(), ok(), late()], Synced),
        (vec![ok(), late(), late(), ok()], Synced),
        (vec![late()], Down),
        (vec![unreachable(), late()], Down),
        (vec![ok(), Observation::Denied("Access denied (error 1045)".into())], AuthError),
        (vec![ok(), Observation::Nonsense("its read_only is `x`".into())], Running),
        (vec![], Down),
    ] {
        let said = format!("{observations:?}");
        assert_eq!(verdict(GALERA, observations).0, health, "{said}");
    }
    assert_eq!(verdict(GALERA, [ok(), late(), late()]).1, "no answer within 3s (2 of the last 3 probes)");
    assert_eq!(verdict(GALERA, []).1, NOT_PROBED);
}

#[test]
fn silence_alone_counts_for_nothing() {
    for observations in
        [vec![seen(&[])], vec![unreachable()], vec![seen(&[]), late()], vec![seen(&[]), unreachable()], vec![]]
    {
        let before = history(observations);
        let mut after = before.clone();
        after.fall_silent();
        assert_eq!(judge(&[after], GALERA, None), judge(&[before], GALERA, None));
    }
}

/// View 4 of the cluster, of two members.
const SMALLER: Changes = &[("wsrep_cluster_conf_id", "4"), ("wsrep_cluster_size", "2")];

#[test]
fn a_silent_node_that_the_others_have_expelled_gets_no_second_chance() {
    let silent = || history([seen(&[]), seen(&[]), late()]);
    let left = history([seen(&[]), seen(SMALLER)]);
    assert_eq!(healths(&[left.clone(), silent(), left.clone()], Some(1)), [Synced, Down, Synced]);
    let reason = judge(&[left.clone(), silent(), left.clone()], GALERA, None).remove(1).reason;
    assert_eq!(&*reason, "silent, and no longer a member of the cluster");
    let mut pending = steady(&[]);
    pending.fall_silent();
    assert_eq!(
        healths(&[left.clone(), pending.clone(), left.clone()], Some(1)),
        [Synced, Down, Synced],
        "nor a deadline"
    );
    pending.add(seen(SMALLER));
    assert_eq!(healths(&[left.clone(), pending, left.clone()], Some(1)), [Synced, Synced, Synced], "it was only slow");
    assert_eq!(
        healths(&[left, silent(), steady(&[])], Some(1)),
        [Synced, Synced, Synced],
        "one has not heard of it yet"
    );
}

#[test]
fn a_thawed_node_with_a_view_of_the_past_is_out() {
    let thawed = history([seen(&[]), seen(&[]), seen(&[]), seen(&[]), late(), late(), seen(&[])]);
    let others = || steady(SMALLER);
    assert_eq!(healths(&[others(), thawed.clone(), others()], Some(0)), [Synced, Running, Synced]);
    assert_eq!(
        healths(&[others(), thawed, others()], Some(1)),
        [Synced, Running, Synced],
        "also when it was the writer"
    );
}

#[test]
fn a_change_of_the_view_reaches_nodes_one_after_the_other() {
    let before = || steady(&[]);
    let mut after = steady(&[]);
    after.add(seen(&[("wsrep_cluster_conf_id", "4")]));
    assert_eq!(healths(&[after.clone(), before(), before()], Some(0)), [Synced, Synced, Synced]);
    assert_eq!(healths(&[after.clone(), after, before()], Some(2)), [Synced, Synced, Synced]);
}

#[test]
fn a_writer_between_two_views_is_waited_for() {
    const OUTSIDE: Changes = &[("wsrep_cluster_status", "non-Primary"), ("wsrep_ready", "OFF")];
    let between = || history([seen(&[]), seen(OUTSIDE)]);
    let back = || history([seen(&[]), seen(OUTSIDE), seen(SMALLER)]);
    let gone = || history([seen(&[]), unreachable()]);
    let silent = || {
        let mut node = between();
        node.fall_silent();
        node
    };
    for (nodes, awaited, why) in [
        ([between(), back(), gone()], true, "one of two members is back"),
        ([between(), between(), gone()], true, "none is back"),
        ([back(), back(), gone()], false, "it is back"),
        ([between(), back(), back()], false, "the others are a whole view"),
        ([between(), steady(&[]), steady(&[])], true, "the others have not been asked since"),
        ([between(), back(), steady(&[])], true, "one of them has"),
        ([gone(), back(), between()], false, "it is lost"),
        ([silent(), back(), gone()], false, "it does not answer"),
    ] {
        assert_eq!(is_writer_awaited(&nodes, NodeId(0)), awaited, "{why}");
    }
    assert!(!is_writer_awaited(&[back()], NodeId(7)), "a remembered writer that is no node any more");
}

#[test]
fn a_split_with_an_arbitrator_shows_after_a_while() {
    // Size 3 with two nodes here: the third member is never probed, so no view is ever complete.
    let side = |view: &'static str| [("wsrep_cluster_conf_id", view), ("wsrep_cluster_size", "3")];
    let fresh = |view| history([seen(&[]), seen(&side(view))]);
    let settled = |view| steady(&side(view));
    assert_eq!(healths(&[settled("7"), fresh("8")], Some(0)), [Synced, Synced]);
    assert_eq!(healths(&[settled("7"), settled("8")], Some(0)), [Synced, Running]);
    assert_eq!(healths(&[settled("7"), settled("8")], Some(1)), [Running, Synced]);
    assert_eq!(healths(&[settled("7"), settled("8")], None), [Running, Synced], "the later view");
}

#[test]
fn two_clusters_are_told_apart_by_their_history() {
    let other: Changes = &[("wsrep_cluster_state_uuid", "aaaa"), ("wsrep_cluster_size", "1")];
    let two: Changes = &[("wsrep_cluster_size", "2")];
    let one: Changes = &[("wsrep_cluster_size", "1")];
    assert_eq!(healths(&[steady(other), steady(two), steady(two)], None), [Running, Synced, Synced]);
    assert_eq!(healths(&[steady(other), steady(two), steady(two)], Some(0)), [Running, Synced, Synced], "the majority");
    assert_eq!(healths(&[steady(other), steady(one)], Some(0)), [Synced, Running], "a tie: the writer's");
    assert_eq!(healths(&[steady(other), steady(one)], None), [Running, Synced], "then the greater UUID");
    let reason = judge(&[steady(other), steady(two), steady(two)], GALERA, None).remove(0).reason;
    assert_eq!(&*reason, "belongs to another cluster: wsrep_cluster_state_uuid is aaaa");
}

#[test]
fn two_primary_components_of_one_history() {
    let alone: Changes = &[("wsrep_cluster_conf_id", "9"), ("wsrep_cluster_size", "1")];
    assert_eq!(healths(&[steady(alone), steady(SMALLER), steady(SMALLER)], Some(0)), [Running, Synced, Synced]);
}

#[test]
fn a_node_that_falls_behind_gives_way_to_others() {
    let slow =
        || [seen(&[("wsrep_local_recv_queue", "500")]), seen(&[]), seen(&[("wsrep_flow_control_requested", "true")])];
    let behind = || history(slow().into_iter().chain(slow()));
    assert_eq!(healths(&[steady(&[]), behind()], Some(0)), [Synced, Running]);
    assert_eq!(healths(&[steady(&[]), behind()], Some(1)), [Synced, Synced], "not the writer");
    assert_eq!(healths(&[behind(), behind()], Some(0)), [Synced, Running], "the writer is in step");
    assert_eq!(healths(&[behind(), behind()], None), [Synced, Synced], "nobody is better");
    assert_eq!(healths(&[steady(&[]), history(slow())], Some(0)), [Synced, Synced], "not yet");
    let recovered = history(slow().into_iter().chain(slow()).chain((0..BEHIND_OF).map(|_| seen(&[]))));
    assert_eq!(healths(&[steady(&[]), recovered], Some(0)), [Synced, Synced], "it has caught up");
}
