//! A server or a cluster with the options of MariaDB's own suite, perhaps with a proxy in front of it, and how it is cleaned between tests.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use oarlock::lab::{Lab, Node, SERVICE_USER, SITE_PASSWORD, until};

use crate::support::{Proxy, service};

/// Where the package mariadb-test puts the suite.
pub const SUITE: &str = "/usr/share/mysql/mysql-test";

/// The suite's `include/default_mysqld.cnf`, as far as it differs from the lab's options or from the server's defaults.
const OPTIONS: &[(&str, &str)] = &[
    ("character_set_server", "latin1"),
    ("collation_server", "latin1_swedish_ci"),
    ("local_infile", "ON"),
    ("log_bin_trust_function_creators", "1"),
    ("key_buffer_size", "1M"),
    ("sort_buffer_size", "256K"),
    ("max_heap_table_size", "1M"),
    ("plugin_maturity", "unknown"),
    ("performance_schema", "ON"),
    ("max_connections", "151"),
    ("server_id", "1"),
    ("gtid_domain_id", "0"),
    ("gtid_ignore_duplicates", "OFF"),
    ("log_slave_updates", "OFF"),
    ("skip_slave_start", "OFF"),
    ("slave_net_timeout", "120"),
    ("default_storage_engine", "myisam"),
    ("use_stat_tables", "preferably"),
    ("histogram_type", "json_hb"),
    ("binlog_format", "mixed"),
    ("binlog_direct_non_transactional_updates", "ON"),
    ("innodb_buffer_pool_size", "16M"),
    ("innodb_autoinc_lock_mode", "1"),
    // Tests have accounts for localhost.
    ("skip_name_resolve", "OFF"),
];

/// What a cluster can't have otherwise, or needs so that its tests find on every node what they have done.
const OPTIONS_OF_A_CLUSTER: &[(&str, &str)] = &[
    ("default_storage_engine", "InnoDB"),
    ("log_slave_updates", "ON"),
    ("binlog_format", "row"),
    ("innodb_autoinc_lock_mode", "2"),
    ("auto_increment_increment", "1"),
    ("auto_increment_offset", "1"),
    ("wsrep_mode", "REPLICATE_MYISAM,REPLICATE_ARIA"),
    ("wsrep_sync_wait", "15"),
    ("wsrep_trx_fragment_size", "0"),
];

/// What each test may call. `CALL mtr.add_suppression(...)` is of no use without the suite's own runner.
const SCHEMA_MTR: &str = "\
CREATE DATABASE mtr;
CREATE PROCEDURE mtr.add_suppression(pattern VARCHAR(255)) BEGIN END;
CREATE PROCEDURE mtr.check_warnings(OUT result INT) SET result = 0;
CREATE PROCEDURE mtr.check_testcase() BEGIN END";

/// An account for anybody at localhost, which some tests make, goes before `maxuser@'%'`.
const SERVICE_ACCOUNTS: &str = "\
CREATE USER maxuser@localhost IDENTIFIED BY 'PASSWORD', maxuser@127.0.0.1 IDENTIFIED BY 'PASSWORD';
GRANT SUPER, SHOW DATABASES ON *.* TO maxuser@localhost, maxuser@127.0.0.1;
GRANT SELECT ON mysql.* TO maxuser@localhost, maxuser@127.0.0.1";

const SETTINGS: &str = "\
SELECT variable_name, variable_value FROM information_schema.global_variables
WHERE variable_name NOT LIKE 'gtid%' AND variable_name NOT IN
('timestamp', 'rand_seed1', 'rand_seed2', 'pseudo_thread_id', 'last_insert_id', 'identity', 'insert_id', 'innodb_buffer_pool_dump_now')";

const LEFTOVERS: &str = "\
SELECT CONCAT('DROP DATABASE `', schema_name, '`') FROM information_schema.schemata
WHERE schema_name NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys', 'mtr')
UNION ALL
SELECT IF(is_role = 'Y', CONCAT('DROP ROLE ', QUOTE(user)), CONCAT('DROP USER ', QUOTE(user), '@', QUOTE(host)))
FROM mysql.user WHERE user NOT IN ('root', 'maxuser', 'mysql', 'mariadb.sys', 'PUBLIC')";

const AT_REST: &str = "CREATE DATABASE IF NOT EXISTS test CHARACTER SET latin1; FLUSH TABLES; FLUSH PRIVILEGES";

const ZONE: &str = "SET GLOBAL time_zone = '+03:00'";

/// Node connections that are not asked for any more are gone after this time.
const CLOSING_MAX: Duration = Duration::from_secs(20);

/// What the tests run against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Server,
    Cluster,
}

/// A server or a cluster, and where its tests connect.
pub struct Stand {
    kind: Kind,
    lab: Lab,
    pub proxy: Option<Proxy>,
    /// What makes a node of a cluster, which has an address of its own, one of 127.0.0.1.
    relay: Option<Child>,
    /// Of 127.0.0.1.
    pub port: u16,
    settings: BTreeMap<String, String>,
    /// Connections to the server while no test runs.
    threads: usize,
}

impl Stand {
    /// One like this one.
    pub fn another(&self) -> Self {
        match self.proxy {
            Some(_) => Self::proxied(self.kind),
            None => Self::direct(self.kind),
        }
    }

    /// Without a proxy: the tests connect to the server, or to one node of the cluster.
    pub fn direct(kind: Kind) -> Self {
        let port = free_port();
        let files = std::env::temp_dir();
        let files = ("secure_file_priv", files.to_str().unwrap());
        let own = port.to_string();
        let by_kind = match kind {
            Kind::Server => &[("bind_address", "127.0.0.1"), ("port", &*own)],
            Kind::Cluster => OPTIONS_OF_A_CLUSTER,
        };
        let order = match kind {
            Kind::Server => Lab::builder().galera(0).standalone(true),
            Kind::Cluster => Lab::builder().galera(3),
        };
        let options = OPTIONS.iter().chain(by_kind).chain([&files]);
        let lab = options.fold(order, |order, (name, value)| order.option(name, value)).start().unwrap();
        let relay = (kind == Kind::Cluster).then(|| relay(port, lab.nodes()[0].address()));
        let mut stand = Self { kind, lab, proxy: None, relay, port, settings: BTreeMap::new(), threads: 0 };
        lay_out(&stand.vardir());
        stand.server().sql(SCHEMA_MTR).unwrap();
        stand.server().sql(&SERVICE_ACCOUNTS.replace("PASSWORD", SITE_PASSWORD)).unwrap();
        stand.clean();
        stand.settings = stand.settings_now();
        stand.threads = stand.threads_now();
        stand
    }

    /// One with a proxy in front.
    pub fn proxied(kind: Kind) -> Self {
        let mut stand = Self::direct(kind);
        let (port, admin) = (free_port(), free_port());
        let word = match kind {
            Kind::Server => "standalone",
            Kind::Cluster => "galera",
        };
        let mut text = format!(
            r#"
[site]
name = "suite"
user = "{SERVICE_USER}"
password = "{SITE_PASSWORD}"
state_dir = "STATE"
log = "info"
[cluster]
kind = "{word}"
[[listener]]
name = "applications"
address = "127.0.0.1:{port}"
service = "read-write-split"
[admin]
address = "127.0.0.1:{admin}"
[limits]
# Tests wait until the connections of theirs are gone.
idle_connection_timeout = "1s"
"#
        );
        for (priority, node) in (1..).zip(stand.lab.nodes()) {
            let address = match kind {
                Kind::Server => SocketAddrV4::new(Ipv4Addr::LOCALHOST, stand.port),
                Kind::Cluster => node.address(),
            };
            let name = node.name();
            text += &format!("[[node]]\nname = \"{name}\"\naddress = \"{address}\"\npriority = {priority}\n");
        }
        stand.proxy = Some(Proxy::launch(Ipv4Addr::LOCALHOST, &text));
        stand.port = port;
        assert!(until(CLOSING_MAX, || stand.serves()), "the proxy does not serve");
        // Those of the probes.
        stand.threads += stand.lab.nodes().len();
        stand.nothing_left();
        stand
    }

    /// The server, or the node that its tests write to.
    pub fn server(&self) -> &Node {
        &self.lab.nodes()[0]
    }

    /// The folder for files of tests; the server may read and write there. Its folder `tmp` is two levels above the data folder.
    pub fn vardir(&self) -> PathBuf {
        self.lab.folder().to_owned()
    }

    /// Removes what the test before has left.
    pub fn clean(&self) {
        let left = self.server().sql(LEFTOVERS).unwrap();
        for drop in left.iter().filter_map(|row| row[0].as_deref()) {
            if let Err(error) = self.server().sql(drop) {
                // A DROP DATABASE drops the tables, and stops at files that a test has written beside them.
                let folder = self.server().data().join("test");
                std::fs::remove_dir_all(folder).unwrap_or_else(|_| panic!("{drop}: {error}"));
            }
        }
        self.server().sql(AT_REST).unwrap();
        self.lab.nodes().iter().for_each(|node| drop(node.sql(ZONE).unwrap()));
        let now = self.settings_now();
        for (name, value) in self.settings.iter().filter(|(name, value)| now.get(*name) != Some(value)) {
            // Numbers and words that are no strings first; what can't be set at all is a status in disguise.
            let _ = self
                .server()
                .sql(&format!("SET GLOBAL {name} = {value}"))
                .or_else(|_| self.server().sql(&format!("SET GLOBAL {name} = '{}'", value.replace('\'', "''"))));
        }
    }

    /// After the last test: no connection of a session is left, the proxy serves and has not panicked.
    pub fn nothing_left(&self) {
        let closed = until(CLOSING_MAX, || self.threads_now() <= self.threads);
        let list = "SELECT CONCAT_WS(' ', id, user, command, time, state, info) FROM information_schema.processlist";
        assert!(closed, "connections are left, {} are not: {:?}", self.threads, self.server().sql(list));
        assert!(self.serves(), "no login");
        let log = self.proxy.as_ref().map(Proxy::log).unwrap_or_default();
        assert!(!log.contains("panicked"), "the proxy panicked");
    }

    fn serves(&self) -> bool {
        let port = self.port.to_string();
        let login = ["--no-defaults", "-h127.0.0.1", "-uroot", "-P", &port, "-e", "SELECT 1"];
        Command::new("mariadb").args(login).output().unwrap().status.success()
    }

    fn settings_now(&self) -> BTreeMap<String, String> {
        let rows = self.server().sql(SETTINGS).unwrap().into_iter();
        rows.filter_map(|row| <[_; 2]>::try_from(row).ok()).filter_map(|[name, value]| Some((name?, value?))).collect()
    }

    fn threads_now(&self) -> usize {
        let connected = |node: &Node| -> usize {
            let rows = node.sql("SHOW GLOBAL STATUS LIKE 'Threads_connected'").unwrap();
            rows[0][1].as_deref().unwrap().parse().unwrap()
        };
        self.lab.nodes().iter().map(connected).sum()
    }
}

/// Passes on what comes to this port of 127.0.0.1. The kernel ends it if the runner is killed.
fn relay(port: u16, to: SocketAddrV4) -> Child {
    let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork");
    service("socat").args([listen, format!("TCP:{to},nodelay")]).spawn().unwrap()
}

impl Drop for Stand {
    fn drop(&mut self) {
        if let Some(relay) = &mut self.relay {
            let _ = relay.kill();
            let _ = relay.wait();
        }
    }
}

/// Folders that the tests can write to, and the suite's data files.
fn lay_out(vardir: &Path) {
    for folder in ["tmp", "log", ""].map(|name| vardir.join(name)) {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let copied = Command::new("cp").arg("-r").arg(format!("{SUITE}/std_data")).arg(vardir).status().unwrap();
    assert!(copied.success(), "{SUITE}/std_data: install the package mariadb-test");
}

/// `localhost` of the tests is 127.0.0.1, so servers differ by their ports.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
