//! What systemd hears of the process: the notifications of a unit of the type notify with a watchdog.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oarlock::lab::{Server, Site, until};
use support::path;

const HEARD_MAX: Duration = Duration::from_secs(30);
const WATCHDOG: Duration = Duration::from_secs(2);

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn signal(&self, name: &str) {
        signal(&self.0.id().to_string(), name);
    }
}

fn signal(pid: &str, name: &str) {
    assert!(Command::new("kill").args([name, pid]).status().unwrap().success());
}

fn hear(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 512];
    let count = manager.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

/// The next notification but those of the watchdog.
fn hear_news(manager: &UnixDatagram) -> String {
    loop {
        let heard = hear(manager);
        if heard.trim_end() != "WATCHDOG=1" {
            return heard;
        }
    }
}

#[test]
fn the_service_manager_hears_of_it() {
    let server = Server::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let socket = path(folder.path(), "notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(HEARD_MAX)).unwrap();
    let file = folder.path().join("oarlock.toml");
    let text = server.lab().config_toml(Site::Dr, server.lab().proxy_address(Site::Dr));
    let state = path(folder.path(), "state");
    std::fs::create_dir(&state).unwrap();
    let text = text.replacen("[site]\n", &format!("[site]\nstate_dir = \"{state}\"\n"), 1);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(&file).unwrap().write_all(text.as_bytes()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_oarlock"));
    command.args(["run", "--config"]).arg(&file).env("NOTIFY_SOCKET", &socket);
    command.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string()).env_remove("WATCHDOG_PID");
    let mut running = Running(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());

    assert_eq!(hear_news(&manager).trim_end(), "READY=1");
    for _ in 0..3 {
        let since = Instant::now();
        assert_eq!(hear(&manager).trim_end(), "WATCHDOG=1");
        assert!(since.elapsed() < WATCHDOG, "{:?}", since.elapsed());
    }
    running.signal("-HUP");
    assert!(hear_news(&manager).starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(hear_news(&manager).trim_end(), "READY=1");
    let successor = is_succeeded(&mut running, &manager);
    signal(&successor, "-TERM");
    assert_eq!(hear_news(&manager).trim_end(), "STOPPING=1");
    let ended = until(HEARD_MAX, || !Path::new("/proc").join(&successor).exists());
    assert!(ended, "process {successor} goes on");
}

/// Another process is started and takes over; its id.
fn is_succeeded(running: &mut Running, manager: &UnixDatagram) -> String {
    running.signal("-USR2");
    // It tells that it takes clients before it has taken over, too: a manager hears only of the service itself.
    let mut heard = Vec::new();
    while heard.len() < 3 {
        heard.push(hear_news(manager).trim_end().to_owned());
    }
    let place = heard.iter().position(|line| line.starts_with("MAINPID=")).unwrap();
    assert_eq!((&*heard[2], place > 0), ("READY=1", true), "{heard:?}");
    assert!(running.0.wait().unwrap().success());
    heard[place].trim_start_matches("MAINPID=").to_owned()
}
