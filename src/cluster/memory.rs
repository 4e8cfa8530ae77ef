//! The writer's name in a small file, so that it stays the writer when the proxy restarts.
//!
//! A name, not a place: the order of the nodes may have changed in between. Where the file can't be kept, the proxy
//! works all the same and says once what is lost.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file of one site.
#[derive(Debug)]
pub struct WriterMemory {
    path: PathBuf,
    /// Said once, not at every change.
    complained: bool,
}

impl WriterMemory {
    /// The memory of a site in a folder; nothing is touched yet.
    pub fn new(state_dir: &Path, site: &str) -> Self {
        Self { path: state_dir.join(format!("{site}.writer")), complained: false }
    }

    /// The remembered name. `None` on the first start, or when it can't be read.
    pub fn recall(&mut self) -> Option<Box<str>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Some(text.trim()).filter(|name| !name.is_empty()).map(Box::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.complain(&error);
                None
            }
        }
    }

    /// Remembers a name. The file is replaced as a whole: a crash leaves the old or the new name.
    pub fn keep(&mut self, name: &str) {
        let fresh = self.path.with_extension("writer.new");
        let kept = fs::write(&fresh, format!("{name}\n")).and_then(|()| fs::rename(&fresh, &self.path));
        if let Err(error) = kept {
            self.complain(&error);
        }
    }

    fn complain(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!(
                file = %self.path.display(), %error,
                "cannot remember the writer: after a restart the node of the best priority takes over; set state_dir in [site] to a folder this process can write"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_across_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let mut memory = WriterMemory::new(dir.path(), "dc");
        assert_eq!(memory.recall(), None);
        memory.keep("galera-72");
        memory.keep("galera-73");
        assert_eq!(WriterMemory::new(dir.path(), "dc").recall().as_deref(), Some("galera-73"));
        assert_eq!(WriterMemory::new(dir.path(), "dr").recall(), None, "each site has its own");
    }

    #[test]
    fn works_without_a_folder() {
        let mut memory = WriterMemory::new(Path::new("/nowhere/at/all"), "dc");
        memory.keep("galera-72");
        assert_eq!(memory.recall(), None);
    }

    #[test]
    fn an_empty_file_is_no_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("dc.writer"), "\n").unwrap();
        assert_eq!(WriterMemory::new(dir.path(), "dc").recall(), None);
    }
}
