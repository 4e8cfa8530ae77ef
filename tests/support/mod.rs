//! What tests of the whole program share: a running proxy in front of a lab.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oarlock::lab::{APP_PASSWORD, APP_USER, Lab, Node, Site, until};

/// From its start until a client can log in.
const START_MAX: Duration = Duration::from_secs(30);

/// A proxy of a lab's site: the real program. Ends with the test, however that ends.
pub struct Proxy {
    child: Child,
    folder: tempfile::TempDir,
    address: Ipv4Addr,
}

impl Proxy {
    /// Starts it, and waits until a client can log in.
    pub fn start(lab: &Lab, site: Site) -> Self {
        Self::start_with(lab, site, "")
    }

    /// The same with more lines at the end of its configuration.
    pub fn start_with(lab: &Lab, site: Site, more: &str) -> Self {
        let address = lab.proxy_address(site);
        let text = format!("{}{more}", lab.config_toml(site, address));
        let text = text.replacen("[site]\n", "[site]\nlog = \"info\"\nstate_dir = \"STATE\"\n", 1);
        let proxy = Self::launch(address, &text);
        let ready = until(START_MAX, || proxy.client(&["-e", "SELECT 1"]).status.success());
        assert!(ready, "no client can log in; its log:\n{}", proxy.log());
        proxy
    }

    /// Starts it with this configuration; `STATE` in it becomes a folder of its own.
    pub fn launch(address: Ipv4Addr, configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = configuration.replace("STATE", folder.path().to_str().unwrap());
        let mut options = fs::OpenOptions::new();
        let file = folder.path().join("oarlock.toml");
        options.write(true).create_new(true).mode(0o600).open(&file).unwrap().write_all(text.as_bytes()).unwrap();
        Self { child: spawn(folder.path(), &[]), folder, address }
    }

    /// Kills it and starts it again, with what it remembers, and waits until a client can log in.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(self.folder.path(), &[]);
        let ready = until(START_MAX, || self.client(&["-e", "SELECT 1"]).status.success());
        assert!(ready, "no client can log in; its log:\n{}", self.log());
    }

    /// Starts another process that takes over from it. This is that one from now on; the old one comes back.
    pub fn take_over(&mut self) -> Child {
        std::mem::replace(&mut self.child, spawn(self.folder.path(), &["--takeover"]))
    }

    /// Ends it as a service is ended, with SIGTERM, and waits for its end.
    pub fn end(&mut self) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let _ = self.child.wait();
    }

    /// Runs a subcommand that asks it.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let admin = self.admin().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_oarlock"));
        command.args(arguments).args(["--admin", &admin]).stdin(Stdio::null()).output().unwrap()
    }

    /// Where applications connect.
    pub fn address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, 4006)
    }

    /// Where operators connect.
    pub fn admin(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, 4008)
    }

    /// Its configuration.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("oarlock.toml")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The file it logs to.
    pub fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Kills it with signal 9 and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Runs the mariadb client as the application user through the proxy.
    pub fn client(&self, arguments: &[&str]) -> Output {
        client(self.address(), arguments)
    }

    /// Runs statements in one session through the proxy; the values of all results, a row a line, tabs between.
    pub fn sql(&self, sql: &str) -> String {
        succeeded(&self.client(&["-N", "-e", sql]))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- log of the proxy\n{}---", self.log());
        }
    }
}

/// The program in this folder, where its configuration and its log are.
fn spawn(folder: &Path, more: &[&str]) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    service(env!("CARGO_BIN_EXE_oarlock"))
        .args(["run", "--config"])
        .arg(folder.join("oarlock.toml"))
        .args(more)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// A program with a session of its own, as a service has it: the kernel shares the processors out by sessions
/// (autogroups). The kernel also ends it if its owner is killed.
pub fn service(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "setsid", program]);
    command
}

/// Ends what goes on until this is set, also when the test fails meanwhile.
pub struct End<'a>(pub &'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs the mariadb client as the application user against an address.
pub fn client(address: SocketAddrV4, arguments: &[&str]) -> Output {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let password = format!("-p{APP_PASSWORD}");
    let login = ["--no-defaults", "-h", &host, "-P", &port, "-u", APP_USER, &password];
    Command::new("mariadb").args(login).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Whether all of these nodes, and no others, are in one view of their cluster. One that is killed before they are may take the quorum
/// of the others with it.
pub fn is_one_cluster<'a>(nodes: impl Iterator<Item = &'a Node>) -> bool {
    let view = "SELECT GROUP_CONCAT(VARIABLE_VALUE ORDER BY VARIABLE_NAME) FROM information_schema.GLOBAL_STATUS \
        WHERE VARIABLE_NAME IN ('wsrep_cluster_conf_id', 'wsrep_cluster_size', 'wsrep_cluster_status')";
    let views: Vec<_> = nodes.map(|node| node.value(view).ok().flatten().unwrap_or_default()).collect();
    let all = format!(",{},Primary", views.len());
    views.iter().all(|view| *view == views[0] && view.ends_with(&all))
}

/// Logs in as the application user at an address.
pub async fn connect(address: SocketAddrV4) -> mysql_async::Conn {
    let options = mysql_async::OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .user(Some(APP_USER))
        .pass(Some(APP_PASSWORD))
        .max_allowed_packet(Some(1 << 24))
        .wait_timeout(Some(3600))
        .prefer_socket(false);
    mysql_async::Conn::new(options).await.unwrap()
}

/// What a client has printed; fails with its error if it has failed.
pub fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// The path of a file in a folder, as text.
pub fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}
