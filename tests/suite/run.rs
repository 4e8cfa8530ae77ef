//! Runs one test of the suite with the suite's own client, `mariadb-test`.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oarlock::lab::until;

use crate::stand::{SUITE, Stand};

/// A test that takes longer hangs.
const TEST_MAX: Duration = Duration::from_secs(90);
/// How `mariadb-test` says that a test does not fit the server.
const SKIPPED: i32 = 62;
/// So much of what it says about a failure is shown.
const WHY_BYTES_MAX: usize = 2000;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Skipped,
    Late,
    Failed(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => out.write_str("passed"),
            Self::Skipped => out.write_str("skipped"),
            Self::Late => write!(out, "failed, not done within {TEST_MAX:?}"),
            Self::Failed(why) => write!(out, "failed\n    {}", why.replace('\n', "\n    ")),
        }
    }
}

impl Stand {
    /// Runs a test, such as `main.kill`, on a clean server. Says how it ended, and how long it took.
    pub fn run(&self, name: &str) -> (Outcome, Duration) {
        self.clean();
        let start = Instant::now();
        let mut said = tempfile::tempfile().unwrap();
        let mut child = self.command(name, &said).spawn().unwrap();
        let mut status = None;
        until(TEST_MAX, || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        let outcome = match status.map(|status| status.code()) {
            Some(Some(0)) => Outcome::Passed,
            Some(Some(SKIPPED)) => Outcome::Skipped,
            Some(_) => Outcome::Failed(tail(&mut said)),
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                Outcome::Late
            }
        };
        (outcome, start.elapsed())
    }

    fn command(&self, name: &str, said: &File) -> Command {
        let test = name.trim_start_matches("main.");
        let vardir = self.vardir();
        let folder = |name: &str| vardir.join(name).display().to_string();
        let mut command = Command::new("setpriv");
        // The server must be able to use files of the test, so they have one owner.
        let owner = std::fs::metadata(self.server().data()).unwrap();
        if owner.uid() != std::fs::metadata("/proc/self").unwrap().uid() {
            command.args(["--clear-groups", &format!("--reuid={}", owner.uid()), &format!("--regid={}", owner.gid())]);
        }
        // The kernel ends it if the runner is killed.
        command.args(["--pdeathsig", "KILL", "mariadb-test", "--no-defaults", "--silent", "--host=127.0.0.1"]);
        command.args(["--protocol=tcp", "--user=root", "--database=test", "--max-connect-retries=3"]);
        command.arg("--character-sets-dir=/usr/share/mysql/charsets").arg(format!("--port={}", self.port));
        command.arg(format!("--basedir={SUITE}")).arg(format!("--timer-file={}", folder("log/timer")));
        command.arg(format!("--tmpdir={}", folder("tmp"))).arg(format!("--logdir={}", folder("log")));
        command.arg(format!("--test-file={SUITE}/main/{test}.test"));
        command.arg(format!("--result-file={SUITE}/main/{test}.result"));
        command.current_dir(SUITE).envs(self.environment());
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said.try_clone().unwrap());
        command
    }

    /// What the suite's own runner tells its tests.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let vardir = self.vardir().display().to_string();
        let tool = |name: &str| format!("{name} --no-defaults -uroot -h127.0.0.1 -P{}", self.port);
        vec![
            ("MYSQL_TEST_DIR", SUITE.into()),
            ("MYSQL_TMP_DIR", format!("{vardir}/tmp")),
            ("MYSQLTEST_VARDIR", vardir),
            ("MASTER_MYPORT", self.port.to_string()),
            ("MASTER_MYPORT1", self.port.to_string()),
            ("MASTER_MYSOCK", self.server().socket().display().to_string()),
            ("DEFAULT_MASTER_PORT", "3306".into()),
            ("MYSQL_SHAREDIR", "/usr/share/mysql".into()),
            ("CHARSETSDIR", "/usr/share/mysql/charsets".into()),
            ("MYSQL_TEST", "mariadb-test".into()),
            ("MYSQL_BINLOG", "mariadb-binlog --no-defaults".into()),
            ("MYSQL", tool("mariadb")),
            ("MYSQL_DUMP", tool("mariadb-dump")),
            ("MYSQLADMIN", tool("mariadb-admin")),
            ("MYSQL_CHECK", tool("mariadb-check")),
            ("MYSQL_SHOW", tool("mariadb-show")),
            ("MYSQL_IMPORT", tool("mariadb-import")),
            ("UMASK", "0660".into()),
            ("UMASK_DIR", "0770".into()),
            ("LC_ALL", "C".into()),
            ("TZ", "GMT-3".into()),
            ("USE_RUNNING_SERVER", "1".into()),
            ("default_engine", "myisam".into()),
        ]
    }
}

/// The end of what was said.
fn tail(said: &mut File) -> String {
    let mut bytes = Vec::new();
    said.rewind().unwrap();
    said.read_to_end(&mut bytes).unwrap();
    let start = bytes.len().saturating_sub(WHY_BYTES_MAX);
    String::from_utf8_lossy(&bytes[start..]).trim().to_owned()
}
