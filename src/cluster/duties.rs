//! What the operator wants of each node, in a small file, so that it holds when the proxy restarts.
//!
//! By name, as the writer is remembered: the order of the nodes may have changed in between.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::view::Duty;

/// The file of one site: a line for each node that does not just work, its name and its duty.
#[derive(Debug)]
pub struct Duties {
    path: PathBuf,
    duties: BTreeMap<Box<str>, Duty>,
}

impl Duties {
    /// The duties of a site's nodes, as a folder remembers them.
    pub fn recall(state_dir: &Path, site: &str) -> Self {
        let path = state_dir.join(format!("{site}.duties"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(file = %path.display(), %error, "cannot read which nodes are not to work: all are");
            }
            String::new()
        });
        let read = |line: &str| {
            let (node, word) = line.split_once(' ')?;
            let duty = [Duty::Draining, Duty::Maintenance].into_iter().find(|duty| word_of(*duty) == word);
            if duty.is_none() {
                tracing::warn!(file = %path.display(), line, "nothing is known of this duty: the node works");
            }
            Some((node.into(), duty?))
        };
        let duties = text.lines().filter_map(read).collect();
        Self { path, duties }
    }

    /// The duty of this node.
    pub fn of(&self, node: &str) -> Duty {
        self.duties.get(node).copied().unwrap_or_default()
    }

    /// Gives a node its duty. The file is replaced as a whole; the error is that it could not be.
    pub fn set(&mut self, node: &str, duty: Duty) -> io::Result<()> {
        if duty == self.of(node) {
            return Ok(());
        }
        match duty {
            Duty::Normal => drop(self.duties.remove(node)),
            duty => drop(self.duties.insert(node.into(), duty)),
        }
        let fresh = self.path.with_extension("duties.new");
        let text: String = self.duties.iter().map(|(node, duty)| format!("{node} {}\n", word_of(*duty))).collect();
        fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, &self.path))
    }
}

fn word_of(duty: Duty) -> &'static str {
    match duty {
        Duty::Normal => "normal",
        Duty::Draining => "draining",
        Duty::Maintenance => "maintenance",
        Duty::Leaving => "leaving",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_across_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let mut duties = Duties::recall(dir.path(), "dc");
        duties.set("galera-71", Duty::Maintenance).unwrap();
        duties.set("galera-72", Duty::Draining).unwrap();
        duties.set("galera-73", Duty::Draining).unwrap();
        duties.set("galera-73", Duty::Normal).unwrap();
        let again = Duties::recall(dir.path(), "dc");
        let found = ["galera-71", "galera-72", "galera-73"].map(|node| again.of(node));
        assert_eq!(found, [Duty::Maintenance, Duty::Draining, Duty::Normal]);
        assert_eq!(Duties::recall(dir.path(), "dr").of("galera-71"), Duty::Normal, "each site has its own");
    }

    #[test]
    fn says_when_it_cannot() {
        let mut duties = Duties::recall(Path::new("/nowhere/at/all"), "dc");
        assert!(duties.set("galera-71", Duty::Draining).is_err());
        assert_eq!(duties.of("galera-71"), Duty::Draining, "it holds as long as the process");
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("dc.duties"), "galera-71 sleeping\nx\n\ngalera-72 draining\n").unwrap();
        let duties = Duties::recall(dir.path(), "dc");
        assert_eq!([duties.of("galera-71"), duties.of("galera-72")], [Duty::Normal, Duty::Draining]);
    }
}
