//! The lab on real servers: it does what it says, and leaves nothing behind.

use std::path::Path;
use std::time::{Duration, Instant};

use oarlock::lab::{Lab, Node, Process, Server, until};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_cluster_replicates_and_survives_what_is_done_to_it() {
    let lab = Lab::builder().standalone(true).fast_eviction(true).start().unwrap();
    let [first, second, third, dr] = lab.nodes() else { panic!("{:?}", lab.nodes()) };

    // Empty positions, one domain and server id for the cluster, and another for the other site.
    assert_eq!(first.value("SELECT @@gtid_binlog_pos").unwrap().as_deref(), Some(""));
    first.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, note TEXT)").unwrap();
    second.sql("SET wsrep_sync_wait = 15; INSERT INTO d.t (note) VALUES ('a\tb'), (NULL)").unwrap();
    let rows = third.sql("SET wsrep_sync_wait = 1; SELECT id % 4, note FROM d.t ORDER BY id").unwrap();
    // The second of four in turn; a statement the cluster had to repeat leaves numbers out.
    assert_eq!(rows, [[Some("2".into()), Some("a\tb".into())], [Some("2".into()), None]]);
    assert_eq!(third.value("SELECT @@gtid_binlog_pos").unwrap().as_deref(), Some("70-7000-3"));
    dr.sql("CREATE DATABASE d").unwrap();
    assert_eq!(dr.value("SELECT @@gtid_binlog_pos").unwrap().as_deref(), Some("81-8000-1"));

    // Killed, it comes back with what it missed, without a state transfer: its binary logs are still there.
    third.kill().unwrap();
    assert_eq!(third.process(), Process::Ended);
    assert!(until(SOON, || first.sql("INSERT INTO d.t (note) VALUES ('while it was gone')").is_ok()));
    third.start().unwrap();
    assert_eq!(third.value("SELECT COUNT(*) FROM d.t").unwrap().as_deref(), Some("3"));
    assert_eq!(third.value("SELECT @@gtid_binlog_pos").unwrap().as_deref(), Some("70-7000-4"));
    let logs = third.sql("SHOW BINARY LOGS").unwrap();
    assert_eq!(logs[0][0].as_deref(), Some("bin.000001"));

    // Frozen, it answers nothing, and the others go on without it.
    second.freeze().unwrap();
    assert_eq!(second.process(), Process::Frozen);
    assert!(second.sql_within(Duration::from_millis(200), "SELECT 1").is_err());
    assert!(until(SOON, || size(first) == "2"));
    second.thaw().unwrap();
    // Until the last has caught up another may be its donor, and no donor can be stopped.
    assert!(until(SOON, || size(first) == "3" && [first, second, third].iter().all(|node| node.serves())));

    // Stopped in order and without its data, it gets everything from another.
    third.stop().unwrap();
    std::fs::remove_file(third.data().join("grastate.dat")).unwrap();
    third.start().unwrap();
    assert_eq!(third.value("SELECT COUNT(*) FROM d.t").unwrap().as_deref(), Some("3"));
}

fn size(node: &Node) -> String {
    let rows = node.sql("SHOW STATUS LIKE 'wsrep_cluster_size'").unwrap_or_default();
    rows.concat().pop().flatten().unwrap_or_default()
}

#[test]
fn labs_stand_side_by_side_and_leave_nothing_behind() {
    let one = Server::start(&[("max_connections", "77")]).unwrap();
    let other = Server::start(&[]).unwrap();
    assert_ne!(one.address(), other.address());
    assert_eq!(one.value("SELECT @@max_connections").unwrap().as_deref(), Some("77"));
    one.sql("CREATE DATABASE only_here").unwrap();
    assert_eq!(other.value("SHOW DATABASES LIKE 'only_here'").unwrap(), None);
    let error = other.sql("SELECT * FROM only_here.t").unwrap_err();
    assert_eq!(error.code(), Some(1146), "{error}");

    let gone: Vec<_> = [&one, &other].map(|server| (server.pid().unwrap(), server.lab().folder().to_owned())).into();
    one.freeze().unwrap();
    drop((one, other));
    for (pid, folder) in gone {
        assert!(!folder.exists(), "{}", folder.display());
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} is still there");
    }
}

#[test]
fn a_server_that_can_not_start_says_why_and_leaves_nothing_behind() {
    let error = Server::start(&[("no_such_option", "1")]).unwrap_err();
    assert!(error.to_string().contains("no_such_option"), "{error}");
}

#[test]
fn a_lab_that_is_kept_keeps_its_addresses_until_it_is_taken_down() {
    let folder = std::env::temp_dir().join(format!("oarlock-kept-{}", std::process::id()));
    let address = {
        let kept = Lab::builder().galera(0).standalone(true).start_in(&folder).unwrap();
        kept.node("server-81").unwrap().address()
    };
    let other = Server::start(&[]).unwrap();
    assert_ne!(other.address(), address);

    let kept = Lab::open(&folder).unwrap();
    let node = kept.node("server-81").unwrap();
    node.sql("CREATE DATABASE d").unwrap();
    node.stop().unwrap();
    node.start().unwrap();
    assert_eq!(node.value("SHOW DATABASES LIKE 'd'").unwrap().as_deref(), Some("d"));
    assert_eq!(kept.node("galera-71").unwrap_err().to_string(), "no node galera-71 here, there are: server-81");

    let again = Lab::builder().start_in(&folder).unwrap_err().to_string();
    assert!(again.contains("take down the lab there first"), "{again}");
    Lab::down(&folder).unwrap();
    assert!(!folder.exists() && node.pid().is_none());
    assert!(Lab::open(&folder).unwrap_err().to_string().contains("bring one up first"));
}

/// The owner of a lab is killed by signal 9, so nothing of its own can clean up.
#[test]
fn a_lab_ends_with_its_owner_however_that_ends() {
    let owner = std::env::current_exe().unwrap();
    let mut owner = std::process::Command::new(owner)
        .args(["--exact", "own_a_server_until_killed", "--nocapture"])
        .env("OARLOCK_TEST_OWNER", "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let out = std::io::BufReader::new(owner.stdout.take().unwrap());
    let said = std::io::BufRead::lines(out)
        .map_while(Result::ok)
        .find_map(|l| l.split_once("owned: ").map(|s| s.1.to_owned()));
    let (pid, folder) = said.as_deref().and_then(|s| s.split_once(' ')).expect("the owner names its server");
    assert!(Path::new(folder).exists());
    owner.kill().unwrap();
    owner.wait().unwrap();

    let start = Instant::now();
    let ended = || std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().is_empty();
    assert!(until(SOON, || ended() && !Path::new(folder).exists()), "{pid} and {folder} after {:?}", start.elapsed());
}

/// No test by itself: the other process of the one above.
#[test]
fn own_a_server_until_killed() {
    if std::env::var_os("OARLOCK_TEST_OWNER").is_none() {
        return;
    }
    let server = Server::start(&[]).unwrap();
    println!("owned: {} {}", server.pid().unwrap(), server.lab().folder().display());
    until(SOON, || false);
}
