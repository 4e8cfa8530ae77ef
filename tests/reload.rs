//! The configuration is read again while clients write: nodes come and go, priorities, certificates and the service user change, and
//! nobody is told an error.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

mod support;
#[path = "support/sysbench.rs"]
mod sysbench;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use oarlock::lab::{Lab, SERVICE_USER, SITE_PASSWORD, Site, until};
use support::{Proxy, client, connect, path, succeeded};
use sysbench::{sysbench, undisturbed};

/// Sessions that lend each other their connections: more than there are of these.
const LENDERS: usize = 24;
/// How long sysbench runs: several times what all that is tried takes.
const SECONDS: &str = "--time=25";
const SOON: Duration = Duration::from_secs(20);
const NEW_PASSWORD: &str = "quite another one";

#[test]
fn all_changes_under_load() {
    let lab = Lab::builder().galera(3).standalone(false).start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (path(folder.path(), "cert.pem"), path(folder.path(), "key.pem"));
    let address = lab.proxy_address(Site::Primary);
    renew(&certificate, &key, &address.to_string());
    let tls = format!("service = \"read-write-split\"\ntls = {{ certificate = \"{certificate}\", key = \"{key}\" }}\n");
    let text = lab.config_toml(Site::Primary, address).replace("service = \"read-write-split\"\n", &tls);
    let text = text.replacen("[site]\n", "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n", 1);
    let (two, third) = text.split_at(text.rfind("\n[[node]]").unwrap());
    let proxy = Proxy::launch(address, two);
    assert!(until(SOON, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
    proxy.sql("CREATE DATABASE sbtest");
    sysbench(proxy.address(), &["prepare"]);
    let mut site = Scene { lab: &lab, file: fs::read_to_string(proxy.config_file()).unwrap(), proxy: &proxy };
    let begun = Instant::now();
    let report = std::thread::scope(|scope| {
        let load = scope.spawn(|| sysbench(proxy.address(), &[SECONDS, "run"]));
        site.a_node_comes(third);
        site.what_is_wrong_changes_nothing();
        site.priorities_move_the_writer();
        renew(&certificate, &key, &address.to_string());
        assert!(site.reload().contains("certificate of applications"));
        site.the_password_changes();
        site.limits_change();
        site.times_and_policies_change();
        site.listeners_come_and_go();
        site.operators_go_elsewhere(&certificate, &key);
        site.the_writer_goes();
        site.it_comes_back(third);
        assert!(!load.is_finished(), "all of it was to be under load: {:?}", begun.elapsed());
        load.join().unwrap()
    });
    println!("{} transactions\n{report}", undisturbed(&report));
    site.connections_become_fewer();
    site.connections_are_lent();
}

fn renew(certificate: &str, key: &str, address: &str) {
    let made = rcgen::generate_simple_self_signed([address.to_owned()]).unwrap();
    fs::write(certificate, made.cert.pem()).unwrap();
    fs::write(key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(Path::new(key), Permissions::from_mode(0o600)).unwrap();
}

struct Scene<'a> {
    lab: &'a Lab,
    proxy: &'a Proxy,
    file: String,
}

impl Scene<'_> {
    fn change(&mut self, from: &str, to: &str) {
        assert!(self.file.contains(from), "{from}");
        self.file = self.file.replacen(from, to, 1);
    }

    /// What the command says.
    #[track_caller]
    fn reload(&self) -> String {
        fs::write(self.proxy.config_file(), &self.file).unwrap();
        succeeded(&self.proxy.command(&["reload"]))
    }

    /// A node's state, if it is listed.
    fn state(&self, name: &str) -> Option<String> {
        let list = succeeded(&self.proxy.command(&["list", "servers", "--json"]));
        let servers: serde_json::Value = serde_json::from_str(&list).unwrap();
        let server = servers.as_array().unwrap().iter().find(|server| server["name"] == name)?;
        Some(server["state"].as_str().unwrap().to_owned())
    }

    #[track_caller]
    fn becomes(&self, name: &str, is: impl Fn(Option<String>) -> bool) {
        assert!(until(SOON, || is(self.state(name))), "{name}: {:?}\n{}", self.state(name), self.proxy.log());
    }

    #[track_caller]
    fn reads(&self, name: &str) {
        self.becomes(name, |state| state.as_deref() == Some("Slave, Synced, Running"));
        let read = format!("SELECT /* oarlock: node {name} */ @@wsrep_node_name");
        assert_eq!(succeeded(&self.proxy.client(&["--comments", "-N", "-e", &read])), name);
    }

    #[track_caller]
    fn writes(&self, name: &str) {
        self.becomes(name, |state| state.as_deref() == Some("Master, Synced, Running"));
    }

    fn a_node_comes(&mut self, section: &str) {
        assert_eq!(self.state("galera-73"), None);
        self.file.push_str(section);
        assert_eq!(self.reload(), "in force now: node.galera-73, certificate of applications");
        self.reads("galera-73");
    }

    fn what_is_wrong_changes_nothing(&mut self) {
        let good = self.file.clone();
        self.change("priority = 3", "priority = \"none\"");
        self.change("priority = 2", "priority = 7");
        fs::write(self.proxy.config_file(), &self.file).unwrap();
        assert!(!self.proxy.command(&["reload"]).status.success());
        self.file = good;
        assert_eq!(self.reload(), "in force now: certificate of applications", "nothing had changed");
        self.change("[site]\n", "[site]\nthreads = 7\n");
        let said = self.reload();
        assert!(said.contains("after a restart: site.threads"), "{said}");
        self.change("threads = 7\n", "");
        self.reload();
    }

    /// The best priority is the writer's, with `failback`.
    fn priorities_move_the_writer(&mut self) {
        self.change("priority = 3", "priority = 1");
        self.change("priority = 1", "priority = 3");
        self.change("[cluster]\n", "[cluster]\nfailback = true\n");
        let said = self.reload();
        assert!(said.contains("cluster.failback, node.galera-71.priority, node.galera-73.priority"), "{said}");
        self.writes("galera-73");
        self.change("failback = true\n", "");
        self.reload();
        self.writes("galera-73");
    }

    /// Those who watch nodes log in anew: the proxy needs the old password no more.
    fn the_password_changes(&mut self) {
        let (old, new) = (format!("password = \"{SITE_PASSWORD}\""), format!("password = \"{NEW_PASSWORD}\""));
        self.change(&old, &new);
        fs::write(self.proxy.config_file(), &self.file).unwrap();
        let refused = self.proxy.command(&["reload"]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("does not let the new service user in"), "{said}");
        let node = &self.lab.nodes()[0];
        node.sql(&format!("ALTER USER {SERVICE_USER}@'%' IDENTIFIED BY '{NEW_PASSWORD}'")).unwrap();
        let newest = "SELECT MAX(ID) FROM information_schema.PROCESSLIST";
        let before: Vec<String> = self.lab.nodes().iter().map(|node| node.value(newest).unwrap().unwrap()).collect();
        assert!(self.reload().contains("site.password"), "{}", self.proxy.log());
        for (node, before) in self.lab.nodes().iter().zip(before) {
            let of_before = format!(
                "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = '{SERVICE_USER}' AND ID <= {before}"
            );
            assert!(until(SOON, || node.value(&of_before).unwrap().as_deref() == Some("0")), "{}", node.name());
        }
        // Its accounts are loaded by the new one.
        node.sql("CREATE USER newcomer@'%' IDENTIFIED BY 'alpha'").unwrap();
        let newcomer = || self.proxy.client(&["-unewcomer", "-palpha", "-e", "SELECT 1"]).status.success();
        assert!(until(SOON, newcomer), "{}", self.proxy.log());
        self.writes("galera-73");
        self.reads("galera-72");
    }

    fn limits_change(&mut self) {
        self.file.push_str("\n[limits]\nsessions_max = 10\nconnections_max = 500\n");
        assert_eq!(
            self.reload(),
            "in force now: limits.connections_max, limits.sessions_max, certificate of applications"
        );
        let refused = self.proxy.client(&["-e", "SELECT 1"]);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("1040"), "{refused:?}");
        self.change("\n[limits]\nsessions_max = 10\nconnections_max = 500\n", "");
        self.reload();
        assert!(self.proxy.client(&["-e", "SELECT 1"]).status.success());
    }

    fn times_and_policies_change(&mut self) {
        let before = self.file.clone();
        self.change(
            "probe_interval = \"1s\"\n",
            "probe_interval = \"150ms\"\nconnect_timeout = \"2s\"\nswitch_wait = \"2s\"\n",
        );
        self.file.push_str(
            "\n[read-write-split]\ncausal_reads = \"off\"\noutcome = \"error\"\nreplay = false\n\
             \n[replication]\nsource_timeout = \"1s\"\n\n[limits]\nstall_timeout = \"5s\"\n",
        );
        let said = self.reload();
        for name in [
            "cluster.connect_timeout, cluster.probe_interval, cluster.switch_wait, limits.stall_timeout",
            "read-write-split.causal_reads, read-write-split.outcome, read-write-split.replay, replication.source_timeout",
        ] {
            assert!(said.contains(name), "{said}");
        }
        assert!(!said.contains("after a restart"), "{said}");
        self.file = before;
        self.reload();
        self.reads("galera-72");
    }

    fn listeners_come_and_go(&mut self) {
        let before = self.file.clone();
        let at = |port: u16| SocketAddrV4::new(*self.proxy.address().ip(), port);
        let (first, other) = (at(4016), at(4017));
        let section = |name: &str, address: &str, service: &str| {
            format!("\n[[listener]]\nname = \"{name}\"\naddress = \"{address}\"\nservice = \"{service}\"\n")
        };
        // Nobody has the second of these addresses.
        let more = section("second", &first.to_string(), "read-write-split");
        self.file.push_str(&format!("{more}{}", section("third", "192.0.2.1:4006", "replication")));
        fs::write(self.proxy.config_file(), &self.file).unwrap();
        let refused = self.proxy.command(&["reload"]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(
            !refused.status.success() && said.contains("listener 'third' cannot listen on 192.0.2.1:4006"),
            "{said}"
        );
        assert!(TcpStream::connect(first).is_err(), "all or nothing");

        self.file = format!("{before}{more}");
        assert_eq!(self.reload(), "in force now: listener.second, certificate of applications");
        assert!(client(first, &["-e", "SELECT 1"]).status.success());
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| client(first, &["-e", "SELECT SLEEP(2)"]));
            let services = || succeeded(&self.proxy.command(&["list", "sessions"]));
            assert!(until(SOON, || services().contains("second")), "{}", services());
            self.change(&first.to_string(), &other.to_string());
            assert_eq!(self.reload(), "in force now: listener.second.address, certificate of applications");
            assert!(until(SOON, || TcpStream::connect(first).is_err()), "nobody comes there any more");
            assert!(client(other, &["-e", "SELECT 1"]).status.success());
            self.file = before;
            assert_eq!(self.reload(), "in force now: listener.second, certificate of applications");
            assert!(until(SOON, || TcpStream::connect(other).is_err()), "nor there");
            assert!(services().contains("second"), "{}", services());
            assert!(sleeper.join().unwrap().status.success(), "who was there stays");
        });
        let listed = || succeeded(&self.proxy.command(&["list", "services"]));
        assert!(until(SOON, || !listed().contains("second")), "{}", listed());
    }

    /// The answer comes where it was asked for; from then on others are given elsewhere.
    fn operators_go_elsewhere(&mut self, certificate: &str, key: &str) {
        let before = self.file.clone();
        let at = |port: u16| SocketAddrV4::new(*self.proxy.address().ip(), port);
        let (here, there, console) = (self.proxy.admin(), at(4018), at(4009));
        let nobodys = TcpListener::bind(at(4019)).unwrap();
        let line = format!("address = \"{here}\"");
        self.change(&line, &format!("address = \"{}\"", nobodys.local_addr().unwrap()));
        fs::write(self.proxy.config_file(), &self.file).unwrap();
        let refused = self.proxy.command(&["reload"]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("cannot listen on the admin address"), "{said}");

        self.file = before.clone();
        let tls = format!("tls = {{ certificate = \"{certificate}\", key = \"{key}\" }}");
        self.change(&line, &format!("address = \"{there}\"\nconsole = \"{console}\"\n{tls}"));
        let said = self.reload();
        assert!(said.starts_with("in force now: admin.address, admin.console, admin.tls, "), "{said}");
        assert!(until(SOON, || TcpStream::connect(here).is_err()), "nobody answers there any more");
        let ask = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_oarlock"));
            let output = command.args(arguments).args(["--admin", &there.to_string(), "--ca", certificate]).output();
            succeeded(&output.unwrap())
        };
        assert!(ask(&["list", "listeners"]).contains("applications"));
        let hosts = ["-e", "SHOW SERVERS"];
        assert!(succeeded(&client(console, &hosts)).contains("galera-73"));

        self.file = before;
        fs::write(self.proxy.config_file(), &self.file).unwrap();
        let said = ask(&["reload"]);
        assert!(said.starts_with("in force now: admin.address, admin.console, admin.tls, "), "{said}");
        for gone in [there, console] {
            assert!(until(SOON, || TcpStream::connect(gone).is_err()), "{gone}");
        }
        assert!(self.proxy.command(&["list", "servers"]).status.success());
    }

    /// Those lend their connections who have come since that was turned on.
    fn connections_are_lent(&mut self) {
        let before = self.file.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let write = "SELECT CONNECTION_ID() FOR UPDATE";
        runtime.block_on(async {
            let mut one = connect(self.proxy.address()).await;
            let own: u64 = one.query_first(write).await.unwrap().unwrap();
            self.file.push_str(
                "\n[limits]\nconnections_max = 8\nconnection_wait = \"10s\"\n\n[read-write-split]\nmultiplex = true\n",
            );
            let said = self.reload();
            assert!(said.contains("read-write-split.multiplex") && !said.contains("after a restart"), "{said}");
            let mut many = Vec::new();
            for _ in 0..LENDERS {
                many.push(connect(self.proxy.address()).await);
            }
            for _ in 0..2 {
                for lender in &mut many {
                    lender.query_drop(write).await.unwrap();
                }
            }
            assert_eq!(one.query_first(write).await.unwrap(), Some(own), "it has come before");

            self.file = before;
            assert!(self.reload().contains("read-write-split.multiplex"));
            let mut own = BTreeSet::new();
            for lender in &mut many {
                own.extend(lender.query_first::<u64, _>(write).await.unwrap());
            }
            assert_eq!(own.len(), LENDERS, "each has its own");
            for lender in &mut many {
                let again: u64 = lender.query_first(write).await.unwrap().unwrap();
                assert!(own.contains(&again), "and keeps it");
            }
        });
    }

    /// Who has one keeps it, and nobody gets another.
    fn connections_become_fewer(&mut self) {
        let before = self.file.clone();
        self.file.push_str("\n[limits]\nconnections_max = 2\nconnection_wait = \"100ms\"\n");
        self.reload();
        let said = std::thread::scope(|scope| {
            let hold = || self.proxy.client(&["-e", "SELECT SLEEP(2) FOR UPDATE"]);
            let clients: Vec<_> = (0..3).map(|_| scope.spawn(hold)).collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
        });
        let refused = said.iter().filter(|output| !output.status.success()).map(|output| output.stderr.clone());
        let refused: Vec<_> = refused.map(|said| String::from_utf8_lossy(&said).into_owned()).collect();
        assert!(refused.len() == 1 && refused[0].contains("all 2 to node"), "{refused:?}");
        self.file = before;
        self.reload();
        let run = ["-e", "SELECT 1 FOR UPDATE"];
        assert!(self.proxy.client(&run).status.success());
    }

    /// The role goes to another node in order, and then so does everything else.
    fn the_writer_goes(&mut self) {
        let section = self.file.rfind("\n[[node]]").unwrap();
        self.file.truncate(section);
        let said = self.reload();
        assert!(said.contains("node.galera-73"), "{said}");
        self.becomes("galera-73", |state| state.is_none());
        let gone = || self.proxy.log().contains("the node is gone");
        assert!(until(SOON, gone), "{}", self.proxy.log());
        let refused = self.proxy.command(&["switch-writer", "galera-73"]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("no node is named `galera-73`"), "{said}");
    }

    fn it_comes_back(&mut self, section: &str) {
        self.file.push_str(section);
        assert!(self.reload().contains("node.galera-73"));
        self.reads("galera-73");
    }
}
