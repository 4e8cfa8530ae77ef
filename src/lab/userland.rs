//! Whose programs the servers of a lab are: this system's, or those of another system whose root folder is here.
//!
//! That folder's `usr` stands in the place of this system's, for the processes of one command and their children. All else is the same
//! for both: the net, users, `/etc`, `/tmp`. Only root may do that.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

/// By default that of the system in the folder that `OARLOCK_USERLAND` names, or this system's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Userland(Option<PathBuf>);

impl Default for Userland {
    fn default() -> Self {
        Self(std::env::var_os("OARLOCK_USERLAND").map(PathBuf::from))
    }
}

impl Userland {
    /// That of the system in this folder, in which `/usr` holds all programs and libraries.
    pub fn of(root: &Path) -> Self {
        Self(Some(root.into()))
    }

    /// A program of it, by its name or its path there.
    pub fn command(&self, program: &str) -> Command {
        let Some(root) = &self.0 else { return Command::new(program) };
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", r#"mount --bind "$0/usr" /usr && exec "$@""#]).arg(root).arg(program);
        command
    }
}
