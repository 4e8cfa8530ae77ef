//! Processes of servers: start, signal, look.

use std::fs::{read, read_to_string};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(super) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use super::LabError;
use super::guardian::MARK;

/// A `mariadbd` with this configuration file, marked as part of the lab in `lab`; temporary files stay below it.
pub(super) fn mariadbd(lab: &Path, config: &Path, temporary: &Path) -> Command {
    let mut command = Command::new(MARIADBD);
    command.arg(defaults_file(config)).env(MARK, lab).env("TMPDIR", temporary);
    // Not in the terminal's foreground group: Ctrl-C there ends the owner, not the servers behind its back.
    command.process_group(0).stdin(Stdio::null());
    command
}

/// Starts a program; if it isn't there, names its package.
pub(super) fn spawn(command: &mut Command, package: &'static str) -> Result<Child, LabError> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.spawn().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => LabError::Missing { what: program, package },
        _ => LabError::Io { what: format!("start {program}"), source },
    })
}

/// The process `pid` is the server with this configuration file, and has not ended.
pub(super) fn lives(pid: u32, config: &Path) -> bool {
    // The command line of a process that has ended, and only waits to be reaped, is empty.
    let line = read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|&byte| byte == 0).nth(1) == Some(defaults_file(config).as_bytes())
}

/// The process is stopped by a signal.
pub(super) fn stopped(pid: u32) -> bool {
    let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state comes after the name, which is in parentheses and may itself contain any character.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// Sends a signal; a process that has gone is no error.
pub(super) fn signal(pid: u32, signal: Signal) -> Result<(), LabError> {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    match kill_process(pid, signal) {
        Err(e) if e != rustix::io::Errno::SRCH => Err(LabError::io(format!("signal process {pid:?}"))(e.into())),
        _ => Ok(()),
    }
}

/// The errors at the end of a log, or its last lines if it has none, for an error message.
pub(super) fn tail(log: &Path) -> String {
    let Ok(bytes) = read(log) else { return format!("({} can't be read)", log.display()) };
    let text = String::from_utf8_lossy(&bytes);
    let error = |line: &&str| line.contains("[ERROR]");
    let errors: Vec<_> = text.lines().rev().filter(error).take(TAIL_LINES).collect();
    let last = if errors.is_empty() { text.lines().rev().take(TAIL_LINES).collect() } else { errors };
    last.into_iter().rev().collect::<Vec<_>>().join("\n")
}

fn defaults_file(config: &Path) -> String {
    format!("--defaults-file={}", config.display())
}

/// By its full path: Debian keeps it in a folder that is not on every user's `PATH`.
pub(super) const MARIADBD: &str = "/usr/sbin/mariadbd";
const TAIL_LINES: usize = 15;
