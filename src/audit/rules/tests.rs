//! Table tests of the rules: a site of the guide, one thing changed, and what is found.

use super::super::facts::tests::facts;
use super::*;

const SERVICE: [&str; 2] = [
    "GRANT RELOAD, SHOW DATABASES, SUPER, BINLOG MONITOR, SLAVE MONITOR, REPLICATION SLAVE ON *.* TO `maxuser`@`%`",
    "GRANT SELECT ON `mysql`.* TO `maxuser`@`%`",
];

fn server(name: &str, changes: &[(&str, &str)], grants: &[&str]) -> Server {
    Server { name: name.to_owned(), answer: Ok((facts(changes), Grants::read(grants.iter().copied()))), reach: None }
}

/// The guide's site with one thing changed on the second node, or at the remote.
fn site(node: &[(&str, &str)], remote: &[(&str, &str)]) -> Picture {
    let with = |name: &str, domain: &str, offset: &str, more: &[(&str, &str)]| {
        let own = [("gtid_domain_id", domain), ("auto_increment_offset", offset)];
        server(name, &[more, &own[..]].concat(), &SERVICE)
    };
    let dr = [("server_id", "8000"), ("gtid_domain_id", "81"), ("auto_increment_offset", "4"), ("wsrep_on", "OFF")];
    let dr = server(
        "link dr",
        &[remote, &dr[..]].concat(),
        &["GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `repl_user`@`%`"],
    );
    Picture {
        kind: Kind::Galera,
        resolves: true,
        user: "maxuser".to_owned(),
        nodes: vec![with("a", "71", "1", &[]), with("b", "72", "2", node), with("c", "73", "3", &[])],
        replicas: vec![],
        refusals: vec![],
        remotes: vec![Remote { user: "repl_user".to_owned(), server: dr }],
    }
}

fn told(picture: &Picture) -> Vec<String> {
    audit(picture).iter().map(|finding| format!("{:?} {}: {}", finding.level, finding.place, finding.what)).collect()
}

#[test]
fn the_guides_site_is_all_right() {
    assert_eq!(told(&site(&[], &[])), [""; 0]);
}

#[test]
fn a_node_that_does_not_take_the_proxy_protocol() {
    let picture = Picture { refusals: vec![("b".to_owned(), [10, 0, 0, 7].into())], ..site(&[], &[]) };
    assert_eq!(told(&picture), ["Error b: it does not take the PROXY protocol from this proxy at 10.0.0.7"]);
}

#[test]
fn settings_of_a_node() {
    for (name, value, expected) in [
        ("log_bin", "OFF", "Error b: log_bin is OFF"),
        ("log_slave_updates", "OFF", "Error b: log_slave_updates is OFF"),
        ("binlog_annotate_row_events", "OFF", "Warning b: binlog_annotate_row_events is OFF"),
        ("binlog_format", "MIXED", "Error b: binlog_format is MIXED"),
        ("gtid_ignore_duplicates", "OFF", "Error b: gtid_ignore_duplicates is OFF"),
        ("wsrep_on", "OFF", "Error b: wsrep_on is OFF"),
        ("wsrep_gtid_mode", "OFF", "Error b: wsrep_gtid_mode is OFF"),
        ("wsrep_auto_increment_control", "ON", "Warning b: wsrep_auto_increment_control is ON"),
        ("wsrep_load_data_splitting", "ON", "Error b: wsrep_load_data_splitting is ON"),
        ("innodb_autoinc_lock_mode", "1", "Warning b: innodb_autoinc_lock_mode is 1"),
        ("expire_logs_days", "1.000000", "Warning b: binary logs are kept for 86400 s only"),
        (
            "max_binlog_total_size",
            "1073741824",
            "Warning b: binary logs are thrown away above 1073741824 bytes, however young",
        ),
        (
            "gtid_binlog_pos",
            "0-7000-4,70-7000-9",
            "Warning b: its binary log has the cluster's transactions under other GTIDs, the last one is 0-7000-4",
        ),
        (
            "gtid_binlog_pos",
            "70-7000-9,72-7000-4",
            "Warning b: it has transactions of its own, the last one is 72-7000-4",
        ),
        ("server_id", "7001", "Error b: its server_id is 7001, that of a is 7000"),
        ("wsrep_gtid_domain_id", "60", "Error b: its wsrep_gtid_domain_id is 60, that of a is 70"),
    ] {
        assert_eq!(told(&site(&[(name, value)], &[])), [expected]);
    }
    // Its neighbours see nothing of these.
    assert_eq!(told(&site(&[("expire_logs_days", "4.000000")], &[])), [""; 0]);
    assert_eq!(told(&site(&[("gtid_binlog_pos", "70-7000-9,71-7000-4")], &[])), [""; 0]);
    let versions = [
        "Warning b: its version is 10.6.2-MariaDB",
        "Warning b: its version is 10.6.2-MariaDB, that of a is 10.11.19-MariaDB-log",
    ];
    assert_eq!(told(&site(&[("version", "10.6.2-MariaDB")], &[])), versions);
}

#[test]
fn domains_of_nodes() {
    let twins = site(&[("gtid_domain_id", "71")], &[]);
    assert_eq!(told(&twins), ["Error b: its gtid_domain_id is 71, as that of a"]);
    let shared = site(&[("gtid_domain_id", "70")], &[]);
    assert_eq!(told(&shared), ["Error b: its gtid_domain_id is the cluster's, 70"]);
}

#[test]
fn sites_must_differ() {
    for (changes, expected) in [
        (&[("server_id", "7000")][..], &["Error link dr: both sites have the server_id 7000"][..]),
        (&[("gtid_domain_id", "70")], &["Error link dr: both sites write to the GTID domain 70"]),
        (
            &[("auto_increment_offset", "2")],
            &["Error link dr: AUTO_INCREMENT gives 2 + n * 4 there and 2 + n * 4 on b"],
        ),
        (
            &[("auto_increment_increment", "1"), ("auto_increment_offset", "1")],
            &[
                "Error link dr: AUTO_INCREMENT gives 1 + n * 1 there and 1 + n * 4 on a",
                "Error link dr: AUTO_INCREMENT gives 1 + n * 1 there and 2 + n * 4 on b",
                "Error link dr: AUTO_INCREMENT gives 1 + n * 1 there and 3 + n * 4 on c",
            ],
        ),
    ] {
        assert_eq!(told(&site(&[], changes)), expected);
    }
}

#[test]
fn privileges() {
    let mut picture = site(&[], &[]);
    let guide = ["GRANT SHOW DATABASES, SUPER ON *.* TO `maxuser`@`%`", SERVICE[1]];
    picture.nodes[1] = server("b", &[("gtid_domain_id", "72"), ("auto_increment_offset", "2")], &guide);
    assert_eq!(
        told(&picture),
        [
            "Warning b: maxuser lacks BINLOG MONITOR ON *.*",
            "Warning b: maxuser lacks RELOAD ON *.*",
            "Warning b: maxuser lacks REPLICATION SLAVE ON *.*",
            "Warning b: maxuser lacks SLAVE MONITOR ON *.*"
        ]
    );
    assert_eq!(audit(&picture)[1].fix, "GRANT RELOAD ON *.* TO maxuser@'%'");
    let newer = [("gtid_domain_id", "72"), ("auto_increment_offset", "2"), ("version", "11.8.9-MariaDB")];
    picture.nodes[1] = server("b", &newer, &guide);
    let said = told(&picture);
    for lack in [
        "Error b: maxuser lacks REPLICATION SLAVE ADMIN ON *.*",
        "Error b: maxuser lacks SLAVE MONITOR ON *.*",
        "Warning b: maxuser lacks CONNECTION ADMIN ON *.*",
    ] {
        assert!(said.iter().any(|line| line == lack), "{said:?}");
    }
    picture.nodes[1] = server("b", &[("gtid_domain_id", "72"), ("auto_increment_offset", "2")], &[]);
    picture.remotes.clear();
    picture.resolves = false;
    assert_eq!(
        told(&picture),
        [
            "Error b: maxuser lacks SELECT ON mysql.*",
            "Warning b: maxuser lacks BINLOG MONITOR ON *.*",
            "Warning b: maxuser lacks SHOW DATABASES ON *.*"
        ],
        "without links there is less to do"
    );
    let mut picture = site(&[], &[]);
    let dr = [("server_id", "8000"), ("gtid_domain_id", "81"), ("auto_increment_offset", "4"), ("wsrep_on", "OFF")];
    picture.remotes[0].server = server("link dr", &dr, &["GRANT USAGE ON *.* TO `repl_user`@`%`"]);
    let lacks = [
        "Error link dr: repl_user lacks REPLICATION SLAVE there",
        "Warning link dr: repl_user lacks BINLOG MONITOR there",
    ];
    assert_eq!(told(&picture), lacks);
}

#[test]
fn logs_go_back_to_what_is_needed() {
    let reach = |start: &str, next: &str| Reach::read(start, Some(next).filter(|next| !next.is_empty()));
    let week = &[("expire_logs_days", "7.000000")][..];
    for (logs, remote, at, expected) in [
        ([reach("", ""), reach("", ""), None], None, "70-7000-1", &[][..]),
        // What a node keeps to itself, and what the replica has written, it need not have.
        ([reach("71-7000-4,81-8000-9", ""), None, None], None, "70-7000-1", &[]),
        (
            [reach("70-7000-5", ""), reach("70-7000-2", "70-7000-4"), None],
            None,
            "70-7000-3",
            &[
                "Warning a: its binary log begins at '70-7000-5', which replica 8000 has not reached",
                "Warning b: replica 8000 still needs its oldest binary log, which is the next to be thrown away, after 604800 s",
            ],
        ),
        // Nobody throws anything away there.
        ([reach("70-7000-2", "70-7000-4"), None, None], None, "70-7000-3", &[]),
        (
            [reach("70-7000-5", ""), reach("70-7000-4", ""), reach("70-7000-9", "")],
            None,
            "70-7000-3",
            &["Error replica 8000: it is at '70-7000-3', and no node's binary log goes back so far"],
        ),
        ([None, None, None], reach("81-8000-3", "81-8000-3"), "70-7000-9", &[]),
        (
            [None, None, None],
            reach("81-8000-3", "81-8000-4"),
            "70-7000-9",
            &[
                "Warning link dr: this site still needs its oldest binary log, which is the next to be thrown away, after 604800 s",
            ],
        ),
        (
            [None, None, None],
            reach("81-8000-4", ""),
            "70-7000-9",
            &["Error link dr: its binary log begins at '81-8000-4', and this site has 81-8000-3 of it"],
        ),
    ] {
        let mut picture = site(week, week);
        picture.nodes.iter_mut().zip(logs).for_each(|(node, reach)| node.reach = reach);
        picture.remotes[0].server.reach = remote;
        picture.replicas = vec![Replica { server: 8000, position: at.parse().unwrap() }];
        assert_eq!(told(&picture), expected);
    }
}

#[test]
fn who_does_not_answer() {
    let mut picture = site(&[], &[]);
    picture.nodes[0].answer = Err("refused".to_owned());
    picture.remotes[0].server.answer = Err("no connection".to_owned());
    assert_eq!(
        told(&picture),
        ["Error a: it can't be asked: refused", "Error link dr: it can't be asked: no connection"]
    );
    picture.kind = Kind::Standalone;
    assert!(told(&picture).contains(&"Error b: wsrep_on is ON".to_owned()));
}
