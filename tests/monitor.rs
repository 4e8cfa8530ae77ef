//! The watch on real servers: what it sees, how soon, and who becomes the writer.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use oarlock::admin::state::state;
use oarlock::cluster::order::Orders;
use oarlock::cluster::view::{Health, NodeView, ViewHandle};
use oarlock::cluster::watch::{first_view, watch};
use oarlock::config::{self, Config, Live};
use oarlock::lab::{Lab, Node, Server, Site, until};
use tokio::sync::oneshot;

/// Longer than anything here takes on a loaded machine.
const SOON: Duration = Duration::from_secs(30);

/// A running watch.
struct Watch {
    config: Arc<Config>,
    view: ViewHandle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(config: Config) -> Self {
        let config = Arc::new(config);
        let view = ViewHandle::new(first_view(&config));
        let (stop, stopped) = oneshot::channel();
        let live = Live::new((*config).clone());
        let (_, requests) = Orders::new(live.clone());
        let watching = watch(live, view.clone(), requests, |_| false);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = watching => {}
                    _ = stopped => {}
                }
            });
        });
        Self { config, view, stop: Some(stop), thread: Some(thread) }
    }

    fn node(&self, name: &str) -> NodeView {
        self.view.load().nodes.iter().find(|node| &*node.name == name).unwrap().clone()
    }

    fn state(&self, name: &str) -> &'static str {
        state(&self.view.load(), &self.node(name), self.config.cluster.kind, 0)
    }

    fn writer(&self) -> Option<String> {
        let view = self.view.load();
        Some(view.node(view.writer?)?.name.to_string())
    }

    #[track_caller]
    fn expect(&self, name: &str, wanted: &str) {
        let reached = until(SOON, || self.state(name) == wanted);
        assert!(reached, "{name} is not `{wanted}` but `{}` ({})", self.state(name), self.node(name).reason);
    }

    #[track_caller]
    fn expect_writer(&self, wanted: &str) {
        assert!(
            until(SOON, || self.writer().as_deref() == Some(wanted)),
            "the writer is {:?}, not {wanted}",
            self.writer()
        );
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
        self.thread.take().map(JoinHandle::join);
    }
}

/// The configuration of a site, with its state in `dir` and more settings of `[cluster]`.
fn config_text(lab: &Lab, site: Site, dir: &Path, cluster: &str) -> String {
    let text = lab.config_toml(site, lab.proxy_address(site));
    let state_dir = format!("state_dir = \"{}\"\n\n[cluster]\n{cluster}\n", dir.display());
    text.replacen("[cluster]\n", &state_dir, 1)
}

fn config(text: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    config::load(&write_config(dir.path(), text)).unwrap()
}

fn write_config(dir: &Path, text: &str) -> std::path::PathBuf {
    use std::io::Write;
    let path = dir.join("oarlock.toml");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}

fn status(node: &Node, name: &str) -> Option<String> {
    let sql = format!("SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = '{name}'");
    node.value(&sql).ok().flatten()
}

#[test]
fn a_cluster_of_three() {
    let lab = Lab::builder().galera(3).start().unwrap();
    let memory = tempfile::tempdir().unwrap();
    let text = config_text(&lab, Site::Primary, memory.path(), "available_when_donor = true");
    let proxy = Watch::start(config(&text));

    sees_a_healthy_cluster(&lab, &proxy);
    sees_what_operators_do(&lab, &proxy);
    keeps_the_writer(&lab, proxy, &text, memory.path());
    let proxy = Watch::start(config(&text));
    notices_a_frozen_node(&lab, &proxy);
    moves_the_writer_before_the_cluster_has_settled(&lab, &proxy);
    keeps_a_donor_that_can_work(&lab, &proxy, &text);
}

fn sees_a_healthy_cluster(lab: &Lab, proxy: &Watch) {
    proxy.expect_writer("galera-71");
    proxy.expect("galera-71", "Master, Synced, Running");
    for name in ["galera-72", "galera-73"] {
        proxy.expect(name, "Slave, Synced, Running");
    }
    let version = proxy.view.load().version;
    lab.nodes()[0].sql("CREATE DATABASE moves_the_position").unwrap();
    let position = lab.nodes()[0].value("SELECT @@gtid_binlog_pos").unwrap().unwrap();
    assert!(!position.is_empty());
    for node in lab.nodes() {
        assert!(until(SOON, || *proxy.node(node.name()).gtid == *position), "{}", proxy.node(node.name()).gtid);
    }
    assert_eq!(proxy.view.load().version, version, "a position is no reason for a new version");
    for node in &proxy.view.load().nodes {
        assert_eq!(&*node.reason, "");
        assert!(node.version.contains("MariaDB") && node.capabilities >> 32 != 0 && node.collation != 0, "{node:?}");
        assert!(node.proxy_address.unwrap().is_loopback());
    }
}

fn sees_what_operators_do(lab: &Lab, proxy: &Watch) {
    let node = lab.node("galera-73").unwrap();
    for (on, off, reason) in [
        ("wsrep_desync = ON", "wsrep_desync = OFF", "desynced"),
        ("wsrep_reject_queries = ALL", "wsrep_reject_queries = NONE", "wsrep_reject_queries"),
        (
            "wsrep_provider_options = 'gmcast.isolate=1'",
            "wsrep_provider_options = 'gmcast.isolate=0'",
            "not in the primary component",
        ),
    ] {
        node.sql(&format!("SET GLOBAL {on}")).unwrap();
        proxy.expect("galera-73", "Running");
        // The others may be the first to tell that it has left.
        let told = until(SOON, || proxy.node("galera-73").reason.starts_with(reason));
        assert!(told, "{}", proxy.node("galera-73").reason);
        node.sql(&format!("SET GLOBAL {off}")).unwrap();
        proxy.expect("galera-73", "Slave, Synced, Running");
    }
    assert_eq!(proxy.writer().as_deref(), Some("galera-71"));
    // A read_only node can be read from, but is not the writer.
    let writer = lab.node("galera-71").unwrap();
    writer.sql("SET GLOBAL read_only = ON").unwrap();
    proxy.expect_writer("galera-72");
    proxy.expect("galera-71", "Slave, Synced, Running");
    writer.sql("SET GLOBAL read_only = OFF").unwrap();
}

fn keeps_the_writer(lab: &Lab, proxy: Watch, text: &str, memory: &Path) {
    proxy.expect_writer("galera-72");
    drop(proxy);
    // After a restart; with probes so rare that only suspicion brings news.
    let proxy = Watch::start(config(&text.replace("probe_interval = \"1s\"", "probe_interval = \"1h\"")));
    proxy.expect("galera-71", "Slave, Synced, Running");
    proxy.expect_writer("galera-72");
    let node = lab.node("galera-73").unwrap();
    node.sql("SET GLOBAL wsrep_desync = ON").unwrap();
    let id = proxy.node("galera-73").id;
    proxy.view.suspect(id);
    proxy.expect("galera-73", "Running");
    node.sql("SET GLOBAL wsrep_desync = OFF").unwrap();
    drop(proxy);
    // Without the memory the best priority wins, as it does with failback.
    let elsewhere = tempfile::tempdir().unwrap();
    let forgetful = text.replace(&memory.display().to_string(), &elsewhere.path().display().to_string());
    Watch::start(config(&forgetful)).expect_writer("galera-71");
    Watch::start(config(&text.replacen("[cluster]\n", "[cluster]\nfailback = true\n", 1))).expect_writer("galera-71");
}

fn notices_a_frozen_node(lab: &Lab, proxy: &Watch) {
    proxy.expect("galera-73", "Slave, Synced, Running");
    let frozen = lab.node("galera-73").unwrap();
    frozen.freeze().unwrap();
    let since = Instant::now();
    proxy.expect("galera-73", "Down");
    // The interval, two deadlines, and room for a loaded machine.
    assert!(since.elapsed() < Duration::from_secs(12), "noticed after {:?}", since.elapsed());
    frozen.thaw().unwrap();
    proxy.expect("galera-73", "Slave, Synced, Running");
}

fn moves_the_writer_before_the_cluster_has_settled(lab: &Lab, proxy: &Watch) {
    // Who it is depends on what went before; its memory is part of the test above.
    assert!(until(SOON, || proxy.writer().is_some()));
    let name = proxy.writer().unwrap();
    let survivor = lab.nodes().iter().find(|node| node.name() != name).unwrap();
    assert!(until(SOON, || status(survivor, "wsrep_cluster_size").as_deref() == Some("3")));
    lab.node(&name).unwrap().kill().unwrap();
    assert!(
        until(SOON, || status(survivor, "wsrep_cluster_size").as_deref() == Some("2")),
        "the cluster does not settle"
    );
    let settled = Instant::now();
    assert!(until(SOON, || proxy.writer().is_some_and(|writer| writer != name)), "the writer stays {name}");
    assert!(settled.elapsed() < Duration::from_secs(1), "it took {:?} more", settled.elapsed());
    proxy.expect(&name, "Down");
    lab.node(&name).unwrap().start().unwrap();
    proxy.expect(&name, "Slave, Synced, Running");
}

fn keeps_a_donor_that_can_work(lab: &Lab, proxy: &Watch, text: &str) {
    let strict = Watch::start(config(&text.replace("available_when_donor = true", "")));
    let joiner = lab.node("galera-73").unwrap();
    proxy.expect("galera-73", "Slave, Synced, Running");
    strict.expect("galera-73", "Slave, Synced, Running");
    joiner.stop().unwrap();
    // Without its history it needs a whole snapshot.
    fs::remove_file(joiner.data().join("grastate.dat")).unwrap();
    let donors: Vec<&Node> = lab.nodes().iter().filter(|node| node.name() != "galera-73").collect();
    let is_over = AtomicBool::new(false);
    let (strict_reason, kept_reasons, was_donor) = std::thread::scope(|scope| {
        let recorder = scope.spawn(|| {
            let (mut strict_reason, mut kept_reasons, mut was_donor) = (String::new(), Vec::new(), false);
            while !is_over.load(Ordering::Relaxed) {
                for node in &donors {
                    was_donor |= status(node, "wsrep_local_state").as_deref() == Some("2");
                    if strict.node(node.name()).health != Health::Synced {
                        strict_reason = strict.node(node.name()).reason.into();
                    }
                    if proxy.node(node.name()).health != Health::Synced {
                        kept_reasons.push(proxy.node(node.name()).reason);
                    }
                }
            }
            (strict_reason, kept_reasons, was_donor)
        });
        let started = joiner.start();
        is_over.store(true, Ordering::Relaxed);
        started.unwrap();
        recorder.join().unwrap()
    });
    assert!(was_donor, "nobody gave the joiner a snapshot");
    assert_eq!(strict_reason, "donor or locked for a backup, and available_when_donor is off");
    assert_eq!(kept_reasons, Vec::<Box<str>>::new());
}

#[test]
fn a_standalone_server() {
    let server = Server::start(&[]).unwrap();
    let memory = tempfile::tempdir().unwrap();
    let text = config_text(server.lab(), Site::Dr, memory.path(), "");
    let name = server.name();
    let proxy = Watch::start(config(&text));
    proxy.expect(name, "Master, Running");
    server.sql("SET GLOBAL read_only = ON").unwrap();
    proxy.expect(name, "Running");
    assert_eq!(proxy.writer(), None);
    server.sql("SET GLOBAL read_only = OFF").unwrap();
    proxy.expect(name, "Master, Running");
    server.stop().unwrap();
    proxy.expect(name, "Down");
    assert!(proxy.node(name).reason.contains("refused"), "{}", proxy.node(name).reason);
    server.start().unwrap();
    proxy.expect(name, "Master, Running");
    let wrong = Watch::start(config(&text.replace("SecretP@ssw0rd", "wrong")));
    wrong.expect(name, "Auth Error");
    let as_cluster = Watch::start(config(&text.replace("standalone", "galera")));
    as_cluster.expect(name, "Running");
    assert_eq!(&*as_cluster.node(name).reason, "not a Galera node: wsrep_on is OFF");
    drop((proxy, wrong, as_cluster));
    the_program(&server, &text);
}

/// The program itself, from `check` to SIGTERM.
fn the_program(server: &Server, text: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = write_config(dir.path(), text);
    let file = path.to_str().unwrap();
    let checked = oarlock(&["check", "--config", file]);
    assert!(checked.status.success());
    assert!(stdout(&checked).contains("password = \"***\"") && !stdout(&checked).contains("SecretP@ssw0rd"));

    let admin = format!("{}:4008", server.lab().proxy_address(Site::Dr));
    let list = |what: &str, more: &[&str]| oarlock(&[&["list", what, "--admin", &admin], more].concat());
    let nobody = list("servers", &[]);
    assert!(
        !nobody.status.success()
            && String::from_utf8_lossy(&nobody.stderr).contains(&format!("no proxy answers on {admin}"))
    );

    let mut proxy = Proxy::start(file);
    assert!(
        until(SOON, || stdout(&list("servers", &[])).contains("│ Master, Running │")),
        "{}",
        stdout(&list("servers", &[]))
    );
    let json: serde_json::Value = serde_json::from_str(&stdout(&list("servers", &["--json"]))).unwrap();
    assert_eq!((&json[0]["name"], &json[0]["port"]), (&"server-81".into(), &3306.into()));
    let services = stdout(&list("services", &[]));
    assert!(
        services.contains("│ applications │ read-write-split │ 0           │ 0                 │ server-81 │"),
        "{services}"
    );
    let live = ureq::get(format!("http://{admin}/live")).call().unwrap().body_mut().read_to_string().unwrap();
    assert_eq!(live, "live");
    assert!(proxy.ends(), "SIGTERM does not end it");
}

fn oarlock(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oarlock")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A running `oarlock run`, killed when dropped.
struct Proxy(Child);

impl Proxy {
    fn start(file: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oarlock"));
        Self(command.args(["run", "--config", file]).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Sends SIGHUP, which changes nothing, then SIGTERM; did it end well?
    fn ends(&mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        until(SOON, || self.0.try_wait().unwrap().is_some()) && self.0.wait().unwrap().success()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
