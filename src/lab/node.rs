//! One server of a lab: start it, break it, ask it.

use std::fs::{File, OpenOptions, read_to_string, write};
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::claim::Claim;
use super::process::{self, Signal};
use super::query::{Failure, query};
use super::spec::{Kind, Member, Site, Spec};
use super::{LabError, Rows, Userland, until};

/// A server of a lab.
#[derive(Debug)]
pub struct Node {
    spec: Arc<Spec>,
    claim: Arc<Claim>,
    member: Member,
    name: String,
    folder: PathBuf,
    /// The server, if this process started it: to be reaped after its end.
    child: Mutex<Option<Child>>,
    userland: Mutex<Userland>,
}

/// What the system says of a server's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// It runs, which says nothing of whether it serves.
    Running,
    /// It is stopped by a signal.
    Frozen,
    /// There is none.
    Ended,
}

impl Node {
    pub(super) fn new(spec: &Arc<Spec>, claim: &Arc<Claim>, member: Member) -> Self {
        let (spec, claim) = (Arc::clone(spec), Arc::clone(claim));
        let (folder, userland) = (spec.folder_of(member), Mutex::new(spec.userland.clone()));
        Self { spec, claim, member, name: member.name(), folder, child: Mutex::new(None), userland }
    }

    /// Its name, such as `galera-71`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens, also for other hosts of the net: an address of its own and port 3306.
    pub fn address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.spec.address(self.member.number), 3306)
    }

    /// Its unix socket, by which `root` logs in without password.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("sock")
    }

    /// Its error log.
    pub fn log(&self) -> PathBuf {
        self.folder.join("error.log")
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The site it is of.
    pub fn site(&self) -> Site {
        self.member.site
    }

    pub(super) fn kind(&self) -> Kind {
        self.member.kind
    }

    /// Runs `sql` as root, one statement or several; the rows of all results, one after another.
    pub fn sql(&self, sql: &str) -> Result<Rows, LabError> {
        self.sql_within(STATEMENT_LIMIT, sql)
    }

    /// The first column of the first row of `sql`, if there is one and it is not NULL.
    pub fn value(&self, sql: &str) -> Result<Option<String>, LabError> {
        Ok(self.sql(sql)?.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
    }

    /// [`Node::sql`] with a limit of its own, for a node that may be frozen.
    pub fn sql_within(&self, limit: Duration, sql: &str) -> Result<Rows, LabError> {
        query(&self.socket(), sql, limit).map_err(|failure| match failure {
            Failure::Sql(code, message) => LabError::Sql { node: self.name.clone(), code, message },
            Failure::Late => LabError::Late { what: format!("{}: the answer to `{sql}`", self.name), limit },
        })
    }

    /// The state of its process.
    pub fn process(&self) -> Process {
        match self.pid() {
            Some(pid) if process::stopped(pid) => Process::Frozen,
            Some(_) => Process::Running,
            None => Process::Ended,
        }
    }

    /// Its process id, if it lives. A child's own word is better than what its command line looks like while it becomes the server.
    pub fn pid(&self) -> Option<u32> {
        if let Some(child) = &mut *self.child.lock().unwrap_or_else(PoisonError::into_inner) {
            return matches!(child.try_wait(), Ok(None)).then(|| child.id());
        }
        let pid = read_to_string(self.folder.join("pid")).ok()?.trim().parse().ok()?;
        process::lives(pid, &self.config()).then_some(pid)
    }

    /// Starts it and waits until it serves.
    pub fn start(&self) -> Result<(), LabError> {
        self.launch()?;
        self.wait_started()
    }

    /// Waits as long as a start may take.
    pub fn wait_started(&self) -> Result<(), LabError> {
        self.wait_synced(START_LIMIT)
    }

    /// Starts its process and returns at once.
    pub fn launch(&self) -> Result<(), LabError> {
        if self.pid().is_some() {
            return Err(LabError::Refused(format!("{} runs already", self.name)));
        }
        self.reap();
        let mut command = self.command();
        if self.kind() == Kind::Galera {
            command.args(self.cluster_arguments()?);
        }
        let out = self.folder.join("out.log");
        let out = OpenOptions::new().create(true).append(true).open(&out).map_err(LabError::path("open", &out))?;
        let err = out.try_clone().map_err(LabError::io("share out.log"))?;
        command.stdin(self.claim.stdin()?).stdout(out).stderr(err);
        let child = command.spawn().map_err(LabError::io("start a server"))?;
        let pid = self.folder.join("pid");
        write(&pid, child.id().to_string()).map_err(LabError::path("write", &pid))?;
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        Ok(())
    }

    /// Waits until it serves: in a cluster until it is Synced and ready, alone until it answers.
    pub fn wait_synced(&self, limit: Duration) -> Result<(), LabError> {
        let done = until(limit, || self.serves() || self.pid().is_none());
        if self.pid().is_none() {
            return Err(LabError::Ended { node: self.name.clone(), log: process::tail(&self.log()) });
        }
        if !done {
            return Err(LabError::Late {
                what: format!("{} serving; its log: {}", self.name, self.log().display()),
                limit,
            });
        }
        if self.kind() == Kind::Galera {
            // A cluster that found together again by itself, after all its nodes had ended, has lost its GTID domain.
            self.sql(&format!("SET GLOBAL wsrep_gtid_domain_id = {}", self.spec.domain(self.site())))?;
        }
        Ok(())
    }

    /// It answers, and in a cluster is ready and Synced.
    pub fn serves(&self) -> bool {
        let question = "SHOW GLOBAL STATUS WHERE variable_name IN ('wsrep_ready', 'wsrep_local_state_comment')";
        match self.sql_within(PROBE_LIMIT, question) {
            Ok(_) if self.kind() == Kind::Standalone => true,
            Ok(rows) => ["ON", "Synced"].iter().all(|want| rows.iter().any(|row| row[1].as_deref() == Some(want))),
            Err(_) => false,
        }
    }

    /// Shuts it down in order and waits for its end.
    pub fn stop(&self) -> Result<(), LabError> {
        self.end(Signal::TERM, STOP_LIMIT)
    }

    /// Shuts it down and starts it with its data as a server of this userland, as an operator upgrades one.
    pub fn upgrade(&self, to: &Userland) -> Result<(), LabError> {
        self.stop()?;
        to.clone_into(&mut self.userland.lock().unwrap_or_else(PoisonError::into_inner));
        self.start()?;
        let mut command = to.command("mariadb-upgrade");
        command.args(["--no-defaults", "--silent", "--user=root"]).arg("--socket").arg(self.socket());
        let output = command.output().map_err(LabError::io("run mariadb-upgrade"))?;
        let said = || format!("{}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        output.status.success().then_some(()).ok_or_else(|| LabError::Refused(said()))
    }

    /// Kills it with signal 9 and waits for its end.
    pub fn kill(&self) -> Result<(), LabError> {
        self.end(Signal::KILL, KILL_LIMIT)
    }

    /// Stops its process in its tracks: connections stay open, and nothing answers.
    pub fn freeze(&self) -> Result<(), LabError> {
        self.turn(Signal::STOP, Process::Frozen)
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) -> Result<(), LabError> {
        self.turn(Signal::CONT, Process::Running)
    }

    fn turn(&self, signal: Signal, wanted: Process) -> Result<(), LabError> {
        process::signal(self.running()?, signal)?;
        let late = || LabError::Late { what: format!("{} becoming {wanted:?}", self.name), limit: KILL_LIMIT };
        until(KILL_LIMIT, || self.process() == wanted).then_some(()).ok_or_else(late)
    }

    fn end(&self, signal: Signal, limit: Duration) -> Result<(), LabError> {
        process::signal(self.running()?, signal)?;
        let late = || LabError::Late { what: format!("{} ending", self.name), limit };
        until(limit, || self.pid().is_none()).then_some(()).ok_or_else(late)?;
        self.reap();
        Ok(())
    }

    fn running(&self) -> Result<u32, LabError> {
        self.pid().ok_or_else(|| LabError::Refused(format!("{} does not run", self.name)))
    }

    /// Takes a child that has ended from the process table.
    pub(super) fn reap(&self) {
        if let Some(mut child) = self.child.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // An error means that it is gone already.
            let _ = child.wait();
        }
    }

    fn command(&self) -> Command {
        let userland = self.userland.lock().unwrap_or_else(PoisonError::into_inner);
        process::mariadbd(&userland, &self.spec.folder, &self.config(), &self.folder.join("tmp"))
    }

    fn config(&self) -> PathBuf {
        self.folder.join("my.cnf")
    }

    /// How it comes back to its cluster, as the package's service does it.
    fn cluster_arguments(&self) -> Result<Vec<String>, LabError> {
        let mut arguments = Vec::new();
        let state = read_to_string(self.data().join("grastate.dat")).unwrap_or_default();
        let crashed = state.lines().any(|line| line.split_whitespace().eq(["seqno:", "-1"]));
        if crashed && let Some(position) = self.recovered_position()? {
            arguments.push(format!("--wsrep-start-position={position}"));
        }
        let pid_of = |member: Member| Node::new(&self.spec, &self.claim, member).pid();
        let others = self.spec.members_of(self.site()).into_iter().filter(|member| *member != self.member);
        // With this file, left by a crash, the members of the last view wait for each other and go on.
        let waits_for_others = self.data().join("gvwstate.dat").exists();
        if !waits_for_others && others.filter_map(pid_of).next().is_none() {
            arguments.push("--wsrep-new-cluster".into());
        }
        Ok(arguments)
    }

    /// Where InnoDB ended, so that the cluster sends only what came after.
    fn recovered_position(&self) -> Result<Option<String>, LabError> {
        let log = self.folder.join("recover.log");
        let out = File::create(&log).map_err(LabError::path("create", &log))?;
        let mut command = self.command();
        command.args(["--wsrep-recover", "--disable-log-error"]).stdout(std::process::Stdio::null()).stderr(out);
        let ended = command.status();
        ended.map_err(LabError::io("wait for the recovery of a position"))?;
        let text = read_to_string(&log).map_err(LabError::path("read", &log))?;
        let position = text.lines().rev().find_map(|line| line.split_once("Recovered position: "));
        Ok(position.map(|(_, position)| position.trim().to_owned()).filter(|position| !position.ends_with(":-1")))
    }
}

const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const KILL_LIMIT: Duration = Duration::from_secs(20);
const STATEMENT_LIMIT: Duration = Duration::from_secs(60);
const PROBE_LIMIT: Duration = Duration::from_secs(2);
