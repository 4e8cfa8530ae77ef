//! Processes of servers: start, signal, look.

use std::fs::{read, read_to_string};
use std::path::Path;
use std::process::{Command, Stdio};

pub(super) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use super::LabError;
use super::guardian::MARK;
use super::userland::Userland;

/// A `mariadbd` with this configuration file, marked as part of the lab in `lab`; temporary files stay below it. What it is given as
/// standard input it keeps open to its end, which the server itself would not.
pub(super) fn mariadbd(userland: &Userland, lab: &Path, config: &Path, temporary: &Path) -> Command {
    let mut command = userland.command("sh");
    // A session of its own, as a service has it. The kernel shares the processors out by sessions (autogroups), as it
    // does by services where systemd runs; and Ctrl-C at a terminal ends the owner, not the servers behind its back.
    command.args(["-c", r#"exec setsid "$0" "$@" 9<&0 </dev/null"#, MARIADBD]).arg(defaults_file(config));
    command.env(MARK, lab).env("TMPDIR", temporary).stdin(Stdio::null());
    command
}

/// The process `pid` is the server with this configuration file, and has not ended.
pub(super) fn lives(pid: u32, config: &Path) -> bool {
    let line = read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    // It has none for a moment while it becomes the server, and after its end until it is reaped.
    let ours = line.is_empty() || line.split(|&byte| byte == 0).any(|word| word == defaults_file(config).as_bytes());
    ours && !matches!(state(pid), None | Some('Z' | 'X'))
}

/// The process is stopped by a signal.
pub(super) fn stopped(pid: u32) -> bool {
    state(pid) == Some('T')
}

/// The letter of proc(5); none if there is no such process.
fn state(pid: u32) -> Option<char> {
    let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // It comes after the name, which is in parentheses and may itself contain any character.
    stat.rsplit_once(") ")?.1.chars().next()
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
