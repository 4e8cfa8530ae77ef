//! Which links an operator has stopped, in a small file, so that they stay stopped when the proxy restarts.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file of one site, a name a line.
#[derive(Debug)]
pub struct StoppedLinks {
    path: PathBuf,
    names: BTreeSet<String>,
}

impl StoppedLinks {
    /// The links of a site that are stopped, as a folder remembers them.
    pub fn recall(state_dir: &Path, site: &str) -> Self {
        let path = state_dir.join(format!("{site}.stopped-links"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(file = %path.display(), %error, "cannot read which links are stopped: all are started");
            }
            String::new()
        });
        Self { path, names: text.lines().map(str::to_owned).collect() }
    }

    /// Is this one stopped?
    pub fn has(&self, link: &str) -> bool {
        self.names.contains(link)
    }

    /// Stops or starts one. The file is replaced as a whole; the error is that it could not be.
    pub fn set(&mut self, link: &str, is_stopped: bool) -> io::Result<()> {
        let is_new = if is_stopped { self.names.insert(link.to_owned()) } else { self.names.remove(link) };
        if !is_new {
            return Ok(());
        }
        let fresh = self.path.with_extension("stopped-links.new");
        let text: String = self.names.iter().map(|name| format!("{name}\n")).collect();
        fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_across_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let mut stopped = StoppedLinks::recall(dir.path(), "dc");
        stopped.set("dr", true).unwrap();
        stopped.set("third", true).unwrap();
        stopped.set("dr", false).unwrap();
        let again = StoppedLinks::recall(dir.path(), "dc");
        assert!(again.has("third") && !again.has("dr"));
        assert!(!StoppedLinks::recall(dir.path(), "dr").has("third"), "each site has its own");
    }

    #[test]
    fn says_when_it_cannot() {
        let mut stopped = StoppedLinks::recall(Path::new("/nowhere/at/all"), "dc");
        assert!(stopped.set("dr", true).is_err());
        assert!(stopped.has("dr"), "it holds as long as the process");
    }
}
