//! README's "Both sites in ten minutes", command by command as it stands there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use oarlock::lab::{Lab, until};

/// Of one command, until it says what it should.
const SOON: Duration = Duration::from_secs(60);
/// Of all, without what the first block installs and builds.
const TEN_MINUTES: Duration = Duration::from_secs(600);

#[test]
fn readme_brings_both_sites_up() {
    let begun = Instant::now();
    let readme = std::fs::read_to_string("README.md").unwrap();
    let (_, guide) = readme.split_once("\n## Both sites in ten minutes\n").unwrap();
    let guide = guide.split("\n## ").next().unwrap();
    let blocks: Vec<&str> = guide.split("```").skip(1).step_by(2).collect();
    let [_installs, up, use_it, end] = blocks[..] else { panic!("{} blocks", blocks.len()) };
    let mut user = User::new();
    for block in [up, use_it, end] {
        block.lines().filter(|line| !line.is_empty()).for_each(|line| user.follow(line));
    }
    assert!(!user.lab.exists(), "the lab is taken down");
    assert!(begun.elapsed() < TEN_MINUTES, "{:?}", begun.elapsed());
}

/// Who has nothing but README.
struct User {
    folder: tempfile::TempDir,
    /// Where the lab is kept, so that others of this machine stay what they are.
    lab: PathBuf,
    /// Started with `&`, by the number that a shell gives them.
    jobs: Vec<std::process::Child>,
}

impl User {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lab = PathBuf::from(format!("/tmp/oarlock-guide-{}", std::process::id()));
        Self { folder, lab, jobs: Vec::new() }
    }

    /// Runs a line; what its comment waits for is waited for.
    fn follow(&mut self, line: &str) {
        println!("{line}");
        let (command, comment) = line.split_once(" #").unwrap_or((line, ""));
        let command = command.trim();
        if let Some(command) = command.strip_suffix('&') {
            self.jobs.push(self.shell(&format!("exec {command}")).spawn().unwrap());
        } else if let Some(jobs) = command.strip_prefix("kill ") {
            jobs.split(' ').for_each(|job| self.end(job));
        } else if let Some((_, awaited)) = comment.split_once("until ") {
            let mut last = self.run(command);
            let came = until(SOON, || {
                last = self.run(command);
                last.status.success() && is_as(&String::from_utf8_lossy(&last.stdout), awaited)
            });
            assert!(came, "{line}\n{last:?}\n{}", self.logs());
        } else {
            let output = self.run(command);
            assert!(output.status.success(), "{line}\n{output:?}\n{}", self.logs());
        }
    }

    /// Ends a job as `kill %1` does, and waits for its end.
    fn end(&mut self, job: &str) {
        let number: usize = job.trim_start_matches('%').parse().unwrap();
        let child = &mut self.jobs[number - 1];
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        assert!(child.wait().unwrap().success());
    }

    fn run(&self, command: &str) -> Output {
        self.shell(command).output().unwrap()
    }

    fn shell(&self, command: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_oarlock"));
        let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let command = command.replace("oarlock lab", &format!("oarlock lab --folder {}", self.lab.display()));
        let mut shell = Command::new("setpriv");
        shell.args(["--pdeathsig", "KILL", "sh", "-c", &self.in_this_net(&command)]);
        shell.current_dir(self.folder.path()).env("PATH", path).stdin(Stdio::null());
        shell
    }

    /// The lab takes the first net that is free, and says so.
    fn in_this_net(&self, command: &str) -> String {
        match Lab::open(&self.lab) {
            Ok(lab) => {
                let net = lab.address(0).octets()[2];
                command.replace("127.71.0.", &format!("127.71.{net}."))
            }
            Err(_) => command.to_owned(),
        }
    }

    fn logs(&self) -> String {
        let log = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        format!("{}\n{}", log("primary.log"), log("dr.log"))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        for job in &mut self.jobs {
            let _ = job.kill();
            let _ = job.wait();
        }
        if self.lab.exists() {
            let _ = Lab::down(&self.lab);
        }
    }
}

/// Whether a text says what README's comment waits for.
fn is_as(text: &str, awaited: &str) -> bool {
    let says = |state: &str| text.contains(&format!("│ {state}"));
    match awaited.split(':').next().unwrap_or_default() {
        "one is Master" => says("Master, Synced, Running"),
        "Running" => says("Running"),
        "galera-71 is Down, and another one is Master" => says("Down") && says("Master, Synced, Running"),
        "none is Down" => !says("Down"),
        number => {
            let number = number.parse::<u32>().unwrap_or_else(|_| panic!("README waits for: {awaited}"));
            text.lines().any(|line| line == number.to_string())
        }
    }
}
