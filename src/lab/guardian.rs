//! The end of a lab: every process of it is killed and its folder removed.
//!
//! The guardian is a small shell that waits for the end of a pipe whose other end only the lab's owner holds. When the owner
//! drops the lab, panics or is killed, the pipe ends and the guardian does its work; so there is one way to clean up, and it runs
//! each time. Processes are found by a variable in their environment, which state transfer scripts inherit too.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::LabError;
use super::claim::Claim;

/// The environment variable by which processes of a lab are known: its folder.
pub(super) const MARK: &str = "OARLOCK_LAB";

/// Watches the owner of a lab; its drop ends the lab and returns when all is gone.
#[derive(Debug)]
pub(super) struct Guardian {
    shell: Child,
}

impl Guardian {
    /// Sets a guardian over the lab in `folder`. It holds the claim until its work is done.
    pub(super) fn watch(folder: &Path, claim: &Claim) -> Result<Self, LabError> {
        let mut command = shell(folder);
        // The claim can't be its standard input, which is the pipe.
        command.stdin(Stdio::piped()).stdout(claim.stdin()?).stderr(Stdio::null());
        Ok(Self { shell: command.spawn().map_err(LabError::io("start the guardian (sh)"))? })
    }

    /// Sends the guardian home: the lab stays.
    pub(super) fn dismiss(mut self) -> Result<(), LabError> {
        self.shell.kill().map_err(LabError::io("dismiss the guardian"))
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // It has ended already or it ends now: nothing is left to do about an error.
        let _ = self.shell.wait();
    }
}

/// Ends the lab in `folder` at once and returns when all is gone.
pub(super) fn end(folder: &Path) -> Result<(), LabError> {
    let status = shell(folder).stdin(Stdio::null()).status().map_err(LabError::io("run sh"))?;
    if status.success() {
        Ok(())
    } else {
        Err(LabError::Refused(format!("{} could not be cleaned up", folder.display())))
    }
}

fn shell(folder: &Path) -> Command {
    let mut command = Command::new("sh");
    // A process group of its own: Ctrl-C at the terminal ends the owner, and the guardian works after it.
    command.args(["-c", SCRIPT, "guardian"]).arg(PathBuf::from(folder)).process_group(0).env_remove(MARK);
    command
}

const SCRIPT: &str = r#"
trap '' HUP INT TERM
read -r _
cd /proc || exit 1
rounds=0
while pids=$(grep -lzsxF -- "OARLOCK_LAB=$1" [0-9]*/environ | cut -d/ -f1) && [ -n "$pids" ]; do
    kill -9 $pids 2>/dev/null
    rounds=$((rounds + 1))
    [ $rounds -lt 200 ] || exit 1
    sleep 0.05
done
rm -rf -- "$1"
"#;
