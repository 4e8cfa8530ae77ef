//! Links on two real sites that replicate to each other: a cluster of three and a standalone server, a proxy before each.
//! Nodes are killed, frozen, stopped and demoted; nobody does anything about the replication.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/sites.rs"]
mod sites;
mod support;

use std::fs;
use std::time::Duration;

use oarlock::lab::{Lab, Node, REPLICATION_USER, SITE_PASSWORD, Site, until};
use sites::{
    Road, SOON, Sites, channels, expect, expect_moved, first_start, is, link, replication_address, report, runner,
    server, under_writes,
};
use support::{Proxy, succeeded};

#[test]
fn two_sites_follow_each_other() {
    let lab = Lab::builder().standalone(true).fast_eviction(true).start().unwrap();
    let sites = Sites::start(&lab, Road::Nodes);
    first_start(&sites);
    a_write_stays_on_its_node(&sites);
    the_writer_is_killed_and_comes_back(&sites);
    the_writer_is_demoted(&sites);
    the_writer_freezes(&sites);
    the_source_freezes(&sites);
    the_cluster_restarts(&sites);
    the_single_server_freezes(&sites);
    for proxy in [&sites.dc, &sites.dr] {
        assert!(!proxy.log().contains("the link is Broken"), "{}", proxy.log());
    }
    the_other_site_restarts(sites);
}

/// Galera does not replicate MyISAM: the write gets a GTID of the node's own domain, which no other node has. Links must not
/// stumble over it when they move.
fn a_write_stays_on_its_node(sites: &Sites<'_>) {
    sites.node(71).sql("CREATE TABLE shop.own (a INT) ENGINE = MyISAM; INSERT INTO shop.own VALUES (1)").unwrap();
    let position = sites.node(71).value("SELECT @@gtid_binlog_pos").unwrap().unwrap();
    assert!(position.contains("71-7000-1"), "{position}");
    sites.settle();
}

fn the_writer_is_killed_and_comes_back(sites: &Sites<'_>) {
    under_writes(sites.lab, || {
        sites.node(71).kill().unwrap();
        expect_moved(sites, "galera-71");
        sites.node(71).start().unwrap();
        // Removed before it counts as synced.
        let back = || server(&sites.dc, "galera-71").state == "Slave, Synced, Running";
        assert!(until(SOON, back), "{:?}", server(&sites.dc, "galera-71"));
        assert_eq!(channels(sites.node(71)), 0);
    });
    sites.settle();
}

fn the_writer_is_demoted(sites: &Sites<'_>) {
    let writer = report(&sites.dc).node;
    let node = sites.lab.node(&writer).unwrap();
    under_writes(sites.lab, || {
        node.sql("SET GLOBAL read_only = ON").unwrap();
        expect_moved(sites, &writer);
        node.sql("SET GLOBAL read_only = OFF").unwrap();
    });
    sites.settle();
}

/// A frozen node may still be running the link as far as anybody knows, until the cluster has expelled it.
fn the_writer_freezes(sites: &Sites<'_>) {
    let writer = report(&sites.dc).node;
    let node = sites.lab.node(&writer).unwrap();
    under_writes(sites.lab, || {
        node.freeze().unwrap();
        let moved = || report(&sites.dc).node != writer && is(&sites.dc, "Running");
        assert!(until(SOON, moved), "{:?}", report(&sites.dc));
        node.thaw().unwrap();
        expect_moved(sites, &writer);
        let back = || server(&sites.dc, &writer).state == "Slave, Synced, Running";
        assert!(until(SOON, back), "{:?}", server(&sites.dc, &writer));
    });
    sites.settle();
}

/// The link of the other site goes on from another node, long before its server would notice.
fn the_source_freezes(sites: &Sites<'_>) {
    let source = expect(&sites.dr, "Running").remote;
    let node = sites.lab.nodes().iter().find(|node| node.address().to_string() == source).unwrap();
    node.freeze().unwrap();
    let elsewhere = || is(&sites.dr, "Running") && report(&sites.dr).remote != source;
    let moved = until(SLAVE_NET_TIMEOUT / 2, elsewhere);
    node.thaw().unwrap();
    assert!(moved, "{:?}", report(&sites.dr));
    let back = || server(&sites.dc, node.name()).state.contains("Synced");
    assert!(until(SOON, back), "{:?}", server(&sites.dc, node.name()));
    sites.settle();
}

/// A server's default.
const SLAVE_NET_TIMEOUT: Duration = Duration::from_secs(60);

/// All nodes stop in order and start again; the proxies stay.
fn the_cluster_restarts(sites: &Sites<'_>) {
    for number in [73, 72, 71] {
        sites.node(number).stop().unwrap();
    }
    expect(&sites.dc, "Waiting");
    sites.node(81).sql("INSERT INTO shop.t (site) VALUES (8000)").unwrap();
    for number in [71, 72, 73] {
        sites.node(number).start().unwrap();
    }
    sites.settle();
    assert!(until(SOON, || runner(sites).is_some()));
}

/// What its proxy has given up meanwhile is still there when it thaws, and is no other proxy.
fn the_single_server_freezes(sites: &Sites<'_>) {
    let node = sites.node(81);
    node.freeze().unwrap();
    let down = || server(&sites.dr, node.name()).state == "Down";
    assert!(until(SOON, down), "{:?}", server(&sites.dr, node.name()));
    node.thaw().unwrap();
    assert!(until(SOON, || !down()), "{:?}", server(&sites.dr, node.name()));
    succeeded(&sites.dr.command(&["set", "server", node.name(), "maintenance"]));
    succeeded(&sites.dr.command(&["clear", "server", node.name()]));
    sites.settle();
    assert!(!sites.dr.log().contains("another proxy drives"), "{}", sites.dr.log());
}

/// Everything of a site ends, its proxy too, and starts again.
fn the_other_site_restarts(mut sites: Sites<'_>) {
    let dr = sites.lab.node("server-81").unwrap();
    dr.stop().unwrap();
    expect(&sites.dc, "Connecting");
    expect(&sites.dr, "Waiting");
    sites.node(71).sql("INSERT INTO shop.t (site) VALUES (7000)").unwrap();
    drop(sites.dr);
    dr.start().unwrap();
    sites.dr = Sites::dr(sites.lab, sites.road);
    sites.settle();
}

#[test]
fn operators_and_links() {
    let lab = Lab::builder().galera(2).standalone(true).start().unwrap();
    let (dc, dr) = (lab.node("galera-71").unwrap(), lab.node("server-81").unwrap());
    // Both sites have written before they are linked: what of it the other one holds is for a person to say.
    for node in [dc, dr] {
        node.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, site INT)").unwrap();
    }
    let proxy = Proxy::start_with(&lab, Site::Primary, &link("dr", &[dr]));
    a_first_start_that_needs_a_person(&proxy, dc, dr);
    stop_and_start(&lab, &proxy, dc);
    changes_by_hand(&proxy, dc);
    the_guides_grants(&proxy, dc, lab.node("galera-72").unwrap());
    an_error_and_a_skip(&proxy, dc, dr);
    wrong_credentials(&proxy, dc, dr);
    purged_too_early(&proxy, dc, dr);
    a_rebuilt_remote(&proxy, dc, dr);
}

fn a_first_start_that_needs_a_person(proxy: &Proxy, dc: &Node, dr: &Node) {
    let link = expect(proxy, "Blocked");
    assert!(link.remedy.contains("oarlock link bootstrap dr --from-position 81-8000-2"), "{link:?}");
    let wrong = proxy.command(&["link", "bootstrap", "dr", "--from-position", "81-8000"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    succeeded(&proxy.command(&["link", "bootstrap", "dr", "--from-position", "81-8000-2"]));
    expect(proxy, "Running");
    dr.sql("INSERT INTO shop.t VALUES (1, 8000)").unwrap();
    assert!(until(SOON, || rows(dc) == 1), "{:?}", report(proxy));
    let none = proxy.command(&["link", "start", "dc"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("no link is named `dc`; there are: dr"), "{none:?}");
}

fn rows(node: &Node) -> usize {
    node.sql("SELECT * FROM shop.t").unwrap().len()
}

fn runs(node: &Node) -> bool {
    let rows = node.sql("SHOW ALL SLAVES STATUS").unwrap();
    rows.iter().any(|row| row.iter().filter(|value| value.as_deref() == Some("Yes")).count() >= 2)
}

fn stop_and_start(lab: &Lab, proxy: &Proxy, dc: &Node) {
    let said = succeeded(&proxy.command(&["link", "stop", "dr"]));
    assert!(said.starts_with("dr: Stopped: "), "{said}");
    assert!(!runs(dc));
    assert!(lab.nodes().iter().all(|node| !runs(node)));
    let listed = succeeded(&proxy.command(&["list", "links"]));
    assert!(listed.contains("│ Stopped │") && listed.contains("-> oarlock link start dr"), "{listed}");
    succeeded(&proxy.command(&["link", "start", "dr"]));
    expect(proxy, "Running");
    assert!(runs(dc));
}

fn changes_by_hand(proxy: &Proxy, dc: &Node) {
    for by_hand in [
        "STOP SLAVE 'dr'",
        "STOP SLAVE 'dr' SQL_THREAD",
        "STOP SLAVE 'dr'; RESET SLAVE 'dr' ALL",
        "STOP SLAVE 'dr'; CHANGE MASTER 'dr' TO MASTER_USE_GTID = current_pos; START SLAVE 'dr'",
        "STOP SLAVE 'dr'; CHANGE MASTER 'dr' TO MASTER_HOST = '127.0.0.9'",
        "STOP SLAVE 'dr'; CHANGE MASTER 'dr' TO MASTER_PASSWORD = 'wrong'; START SLAVE 'dr'",
    ] {
        dc.sql(by_hand).unwrap();
        let is_right = || {
            let position = dc.value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for master to send event%'");
            runs(dc) && is(proxy, "Running") && position.unwrap().as_deref() == Some("1")
        };
        assert!(until(SOON, is_right), "{by_hand}: {:?}", report(proxy));
    }
}

/// They don't suffice to remove a link: it stays where it was, stopped, and the log says which grant is missing.
fn the_guides_grants(proxy: &Proxy, dc: &Node, other: &Node) {
    dc.sql("SET GLOBAL read_only = ON").unwrap();
    let moved = || report(proxy).node == "galera-72" && is(proxy, "Running") && runs(other) && !runs(dc);
    assert!(until(SOON, moved), "{:?}", report(proxy));
    let grant = "GRANT RELOAD ON *.* TO maxuser";
    assert!(until(SOON, || proxy.log().contains(grant)));
    assert_eq!(channels(dc), 1);
    dc.sql("SET GLOBAL read_only = OFF; GRANT RELOAD ON *.* TO maxuser@'%'").unwrap();
    succeeded(&proxy.command(&["link", "retry", "dr"]));
    assert!(until(SOON, || channels(dc) == 0), "{}", proxy.log());
    other.sql("SET GLOBAL read_only = ON").unwrap();
    assert!(until(SOON, || runs(dc) && channels(other) == 0 && is(proxy, "Running")), "{:?}", report(proxy));
    other.sql("SET GLOBAL read_only = OFF").unwrap();
}

fn an_error_and_a_skip(proxy: &Proxy, dc: &Node, dr: &Node) {
    dc.sql("INSERT INTO shop.t VALUES (2, 7000)").unwrap();
    dr.sql("INSERT INTO shop.t VALUES (2, 8000)").unwrap();
    dr.sql("INSERT INTO shop.t VALUES (3, 8000)").unwrap();
    let link = expect(proxy, "Broken");
    assert!(link.error.contains("error 1062") && link.remedy.contains("oarlock link skip dr"), "{link:?}");
    // With the guide's grants nobody can look into the relay log.
    let skip = || proxy.command(&["link", "skip", "dr"]);
    let lacks = || String::from_utf8_lossy(&skip().stderr).contains("GRANT SLAVE MONITOR ON *.* TO maxuser");
    assert!(until(SOON, lacks), "{:?}", skip());
    dc.sql("GRANT SLAVE MONITOR ON *.* TO maxuser@'%'").unwrap();
    // It shows the transaction and asks; there is nobody to answer.
    let asks = || String::from_utf8_lossy(&skip().stderr).contains("nothing is skipped");
    assert!(until(SOON, asks), "{:?}", skip());
    let said = String::from_utf8_lossy(&skip().stdout).into_owned();
    assert!(said.contains("Skip 81-8000-") && said.contains("INSERT INTO shop.t VALUES (2, 8000)"), "{said}");
    let skipped = || proxy.command(&["link", "skip", "dr", "--yes"]).status.success();
    assert!(until(SOON, skipped), "{:?}", report(proxy));
    assert!(until(SOON, || rows(dc) == 3), "{:?}", report(proxy));
    expect(proxy, "Running");
    assert_eq!(dc.value("SELECT site FROM shop.t WHERE id = 2").unwrap().as_deref(), Some("7000"));
}

fn wrong_credentials(proxy: &Proxy, dc: &Node, dr: &Node) {
    dr.sql(&format!("ALTER USER {REPLICATION_USER}@'%' IDENTIFIED BY 'another'")).unwrap();
    dc.sql("STOP SLAVE 'dr'").unwrap();
    dr.sql(&format!("KILL USER {REPLICATION_USER}")).unwrap();
    let denied = || report(proxy).reason.contains("Access denied");
    assert!(until(SOON, denied), "{:?}", report(proxy));
    dr.sql(&format!("ALTER USER {REPLICATION_USER}@'%' IDENTIFIED BY '{SITE_PASSWORD}'")).unwrap();
    expect(proxy, "Running");
}

/// The remote has thrown away what this site still needs.
fn purged_too_early(proxy: &Proxy, dc: &Node, dr: &Node) {
    succeeded(&proxy.command(&["link", "stop", "dr"]));
    dr.sql("INSERT INTO shop.t VALUES (4, 8000); FLUSH BINARY LOGS; INSERT INTO shop.t VALUES (5, 8000)").unwrap();
    let last = dr.sql("SHOW BINARY LOGS").unwrap().pop().unwrap()[0].clone().unwrap();
    let purged = || {
        dr.sql(&format!("PURGE BINARY LOGS TO '{last}'")).unwrap();
        dr.sql("SHOW BINARY LOGS").unwrap().len() == 1
    };
    assert!(until(SOON, purged));
    succeeded(&proxy.command(&["link", "start", "dr"]));
    let lost = || is(proxy, "Blocked") && report(proxy).reason.contains("error 1236");
    assert!(until(SOON, lost), "{:?}", report(proxy));
    assert!(report(proxy).remedy.contains("oarlock link bootstrap dr --from-position P"));
    // A person brings the row over, and says so.
    dc.sql("INSERT INTO shop.t VALUES (4, 8000)").unwrap();
    let position = dr.value("SELECT @@gtid_binlog_pos").unwrap().unwrap();
    let own = position.split(',').find(|gtid| gtid.starts_with("81-")).unwrap();
    let (head, sequence) = own.rsplit_once('-').unwrap();
    let before = format!("{head}-{}", sequence.parse::<u64>().unwrap() - 1);
    let bootstrap = || proxy.command(&["link", "bootstrap", "dr", "--from-position", &before]).status.success();
    assert!(until(SOON, bootstrap));
    assert!(until(SOON, || rows(dc) == 5), "{:?}", report(proxy));
    expect(proxy, "Running");
}

/// Restored from an old copy: its numbers are lower than what this site has of it.
fn a_rebuilt_remote(proxy: &Proxy, dc: &Node, dr: &Node) {
    let position = || dc.value("SELECT @@gtid_slave_pos").unwrap();
    let before = position();
    dr.sql("RESET MASTER; SET sql_log_bin = 0; DELETE FROM shop.t; SET sql_log_bin = 1; INSERT INTO shop.t VALUES (10, 8000)").unwrap();
    let told = || is(proxy, "Blocked") && report(proxy).reason.contains("it was rebuilt or restored");
    assert!(until(SOON, told), "{:?}", report(proxy));
    assert!(until(SOON, || !runs(dc)));
    assert_eq!(position(), before, "nothing is set back by itself");
    succeeded(&proxy.command(&["link", "bootstrap", "dr", "--from-position", ""]));
    assert!(until(SOON, || rows(dc) == 6), "{:?}", report(proxy));
    dr.sql("INSERT INTO shop.t VALUES (11, 8000)").unwrap();
    assert!(until(SOON, || rows(dc) == 7), "{:?}", report(proxy));
    expect(proxy, "Running");
}

#[test]
fn links_come_change_and_go() {
    let lab = Lab::builder().galera(2).standalone(true).start().unwrap();
    let (dc, dr) = (lab.node("galera-71").unwrap(), lab.node("server-81").unwrap());
    let proxy = Proxy::start_with(&lab, Site::Primary, "");
    let none = proxy.command(&["link", "start", "dr"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("this site has no links"), "{none:?}");
    let mut file = Reloaded { proxy: &proxy, text: fs::read_to_string(proxy.config_file()).unwrap() };
    let without = file.text.clone();
    file.text.push_str(&link("dr", &[dr]));
    assert_eq!(file.reload(), "in force now: link.dr");
    expect(&proxy, "Running");
    dr.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, site INT)").unwrap();
    file.settings_change(dc, dr);
    file.the_road_changes(&lab, dc, dr);
    file.it_leaves(without, dc, dr);
    file.text.push_str(&link("dr", &[dr]));
    assert_eq!(file.reload(), "in force now: link.dr");
    arrives(&proxy, dc, dr, 4);
    assert!(!proxy.log().contains("the link is Broken"), "{}", proxy.log());
}

/// What the other site writes now gets here.
#[track_caller]
fn arrives(proxy: &Proxy, dc: &Node, dr: &Node, id: usize) {
    dr.sql(&format!("INSERT INTO shop.t VALUES ({id}, 8000)")).unwrap();
    assert!(until(SOON, || dc.sql("SELECT * FROM shop.t").is_ok_and(|rows| rows.len() == id)), "{:?}", report(proxy));
}

struct Reloaded<'a> {
    proxy: &'a Proxy,
    text: String,
}

impl Reloaded<'_> {
    /// What the command says.
    #[track_caller]
    fn reload(&self) -> String {
        fs::write(self.proxy.config_file(), &self.text).unwrap();
        succeeded(&self.proxy.command(&["reload"]))
    }

    /// Some of them no server shows: the password is another one once the old one is refused.
    fn settings_change(&mut self, dc: &Node, dr: &Node) {
        let good = self.text.clone();
        self.text.push_str("heartbeat = \"7s\"\nretry = \"9s\"\n");
        assert_eq!(self.reload(), "in force now: link.dr.heartbeat, link.dr.retry");
        let shown = || {
            let rows = dc.sql("SHOW ALL SLAVES STATUS").unwrap();
            rows.first().map(|row| (row[6].clone(), row[row.len() - 2].clone()))
        };
        let expected = Some((Some("9".to_owned()), Some("7.000".to_owned())));
        assert!(until(SOON, || shown() == expected && runs(dc)), "{:?} {:?}", shown(), report(self.proxy));
        arrives(self.proxy, dc, dr, 1);

        self.text.push_str("tls = { ca = \"/nowhere/ca.pem\" }\n");
        fs::write(self.proxy.config_file(), &self.text).unwrap();
        let refused = self.proxy.command(&["reload"]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("TLS of link 'dr'"), "{said}");

        dr.sql(&format!("ALTER USER {REPLICATION_USER}@'%' IDENTIFIED BY 'another'")).unwrap();
        let at = good.rfind(SITE_PASSWORD).unwrap();
        self.text = good;
        self.text.replace_range(at..at + SITE_PASSWORD.len(), "another");
        let said = self.reload();
        assert!(said.contains("link.dr.password") && said.contains("link.dr.heartbeat"), "{said}");
        let old = "SELECT GROUP_CONCAT(CONCAT('KILL ', ID) SEPARATOR ';') FROM information_schema.PROCESSLIST WHERE USER = 'repl_user'";
        let kills = dr.value(old).unwrap().unwrap_or_default();
        // Some may have gone by themselves.
        kills.split(';').for_each(|kill| drop(dr.sql(kill)));
        arrives(self.proxy, dc, dr, 2);
        expect(self.proxy, "Running");
    }

    /// The same site, by its proxy.
    fn the_road_changes(&mut self, lab: &Lab, dc: &Node, dr: &Node) {
        let proxy = Proxy::start_with(lab, Site::Dr, "");
        let (nodes, road) = (dr.address().to_string(), replication_address(lab, Site::Dr).to_string());
        let at = self.text.rfind(&nodes).unwrap();
        self.text.replace_range(at..at + nodes.len(), &road);
        assert_eq!(self.reload(), "in force now: link.dr.remote");
        let there = || is(self.proxy, "Running") && report(self.proxy).remote == road;
        assert!(until(SOON, there), "{:?}", report(self.proxy));
        arrives(self.proxy, dc, dr, 3);
        drop(proxy);
    }

    /// Stopped at once, and removed where the service user may.
    fn it_leaves(&mut self, without: String, dc: &Node, dr: &Node) {
        self.text = without;
        assert_eq!(self.reload(), "in force now: link.dr");
        let stays = || is(self.proxy, "Leaving") && report(self.proxy).remedy.contains("RELOAD");
        assert!(until(SOON, stays), "{:?}", report(self.proxy));
        assert!(!runs(dc) && channels(dc) == 1);
        let refused = self.proxy.command(&["link", "start", "dr"]);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("gone from the configuration"), "{refused:?}");
        dc.sql("GRANT RELOAD ON *.* TO maxuser@'%'").unwrap();
        succeeded(&self.proxy.command(&["link", "retry", "dr"]));
        assert!(until(SOON, || channels(dc) == 0 && report(self.proxy).link.is_empty()), "{:?}", report(self.proxy));
        // Nobody holds the lease of links that there are not.
        let free = "SELECT IS_USED_LOCK('oarlock.links') IS NULL";
        assert!(until(SOON, || dc.value(free).unwrap().as_deref() == Some("1")), "{}", self.proxy.log());
        dr.sql(&format!("ALTER USER {REPLICATION_USER}@'%' IDENTIFIED BY '{SITE_PASSWORD}'")).unwrap();
    }
}
