//! Where replicas read that ask by file name and position: a place in one node's log, which means something else in any other.
//!
//! A replica is bound to the node that it has read, and to the log which that has: another node has files of the same names, and so has
//! a node that was built anew. It is remembered in a small file, by server id, until the replica reads by GTIDs.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::fault::{Fault, Retry};

/// So many replicas are remembered at most; then those with the lowest server ids are forgotten.
const REPLICAS_MAX: usize = 4096;
/// A replica comes again within the file that it was sent last, or the one before.
const FILES_MAX: usize = 2;

/// All replicas of a site that read by file and position.
#[derive(Debug)]
pub struct Anchors {
    path: PathBuf,
    anchors: Mutex<BTreeMap<u32, Anchor>>,
}

/// What one of them has read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Anchor {
    node: Box<str>,
    /// The newest files, and when each was made, in seconds.
    files: Vec<(Box<str>, u32)>,
}

impl Anchors {
    /// Those of a site, as a folder remembers them.
    pub fn recall(state_dir: &Path, site: &str) -> Self {
        let path = state_dir.join(format!("{site}.anchors"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(file = %path.display(), %error, "cannot read which nodes replicas by file and position have read");
            }
            String::new()
        });
        let anchors = text.lines().filter_map(read).collect();
        Self { path, anchors: Mutex::new(anchors) }
    }

    /// The node whose files a replica means, if it has read any.
    pub fn node_of(&self, server: u32) -> Option<Box<str>> {
        self.anchors.lock().unwrap_or_else(PoisonError::into_inner).get(&server).map(|anchor| anchor.node.clone())
    }

    /// A replica begins to read a file of a node, which was made at that second. The error is that it has read another one of that name.
    pub fn opens(&self, server: u32, node: &str, file: &str, made_s: u32) -> Result<(), Fault> {
        let mut anchors = self.anchors.lock().unwrap_or_else(PoisonError::into_inner);
        let anchor = anchors.entry(server).or_insert_with(|| Anchor { node: node.into(), files: Vec::new() });
        if anchor.node.as_ref() != node {
            return Err(elsewhere(file, &anchor.node, node));
        }
        match anchor.files.iter().find(|(known, _)| known.as_ref() == file) {
            Some((_, known)) if *known == made_s => return Ok(()),
            Some(_) => return Err(replaced(file, node)),
            None => anchor.files.push((file.into(), made_s)),
        }
        let too_many = anchor.files.len().saturating_sub(FILES_MAX);
        anchor.files.drain(..too_many);
        if anchors.len() > REPLICAS_MAX {
            anchors.pop_first();
        }
        self.keep(&anchors);
        Ok(())
    }

    /// A replica reads by GTIDs: what it asks for by file one day has nothing to do with what it has read.
    pub fn forget(&self, server: u32) {
        let mut anchors = self.anchors.lock().unwrap_or_else(PoisonError::into_inner);
        if anchors.remove(&server).is_some() {
            self.keep(&anchors);
        }
    }

    /// The file is replaced as a whole.
    fn keep(&self, anchors: &BTreeMap<u32, Anchor>) {
        let fresh = self.path.with_extension("anchors.new");
        let text: String = anchors.iter().map(|(server, anchor)| written(*server, anchor)).collect();
        if let Err(error) = fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, &self.path)) {
            tracing::warn!(file = %self.path.display(), %error, "which nodes replicas by file and position read is remembered until the proxy restarts: state_dir in [site] must be a folder it can write");
        }
    }
}

/// `8000 galera-71 bin.000003=1700000000 bin.000004=1700000100`
fn written(server: u32, anchor: &Anchor) -> String {
    let files: String = anchor.files.iter().map(|(file, made_s)| format!(" {file}={made_s}")).collect();
    format!("{server} {}{files}\n", anchor.node)
}

fn read(line: &str) -> Option<(u32, Anchor)> {
    let mut words = line.split(' ');
    let (server, node) = (words.next()?.parse().ok()?, words.next()?.into());
    let file = |word: &str| {
        let (file, made_s) = word.rsplit_once('=')?;
        Some((file.into(), made_s.parse().ok()?))
    };
    Some((server, Anchor { node, files: words.filter_map(file).collect() }))
}

/// What a replica is told whose node is not the writer any more.
pub fn elsewhere(file: &str, home: &str, writer: &str) -> Fault {
    refused(&format!("'{file}' is for this replica a file of {home}, and the writer is {writer}"))
}

fn replaced(file: &str, node: &str) -> Fault {
    refused(&format!("{node} has another '{file}' than the one this replica has read: its binary log was begun anew"))
}

/// The code stops the replica, until somebody has looked.
fn refused(what: &str) -> Fault {
    let text = format!(
        "{what}. A position in it means another transaction there. On the replica: \
        STOP SLAVE; CHANGE MASTER TO MASTER_USE_GTID = slave_pos; START SLAVE"
    );
    Fault::proxy(Retry::Never, 1236, b"HY000", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_bound_to_one_log() {
        let dir = tempfile::tempdir().unwrap();
        let anchors = Anchors::recall(dir.path(), "dc");
        assert_eq!(anchors.node_of(8000), None);
        for (node, file, made_s, refusal) in [
            ("galera-71", "bin.000003", 100, None),
            ("galera-71", "bin.000003", 100, None),
            ("galera-71", "bin.000003", 101, Some("galera-71 has another 'bin.000003'")),
            ("galera-72", "bin.000003", 100, Some("a file of galera-71, and the writer is galera-72")),
            ("galera-71", "bin.000004", 200, None),
            ("galera-71", "bin.000005", 300, None),
            // It comes again no further back than this.
            ("galera-71", "bin.000004", 201, Some("galera-71 has another 'bin.000004'")),
            ("galera-71", "bin.000003", 101, None),
        ] {
            let told = anchors.opens(8000, node, file, made_s).err();
            let fits = |fault: &Fault| refusal.is_some_and(|refusal| fault.message.contains(refusal));
            assert!(told.as_ref().map_or(refusal.is_none(), fits), "{node} {file} {made_s}: {told:?}");
        }
        let again = Anchors::recall(dir.path(), "dc");
        assert_eq!(again.node_of(8000).as_deref(), Some("galera-71"));
        assert!(again.opens(8000, "galera-71", "bin.000005", 301).is_err());
        again.forget(8000);
        assert!(Anchors::recall(dir.path(), "dc").node_of(8000).is_none());
    }

    #[test]
    fn as_many_as_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let line = |server: usize| format!("{server} a bin.000001=1\n");
        fs::write(dir.path().join("dc.anchors"), (1..=REPLICAS_MAX).map(line).collect::<String>() + "x\n\n").unwrap();
        let anchors = Anchors::recall(dir.path(), "dc");
        anchors.opens(9000, "a", "bin.000001", 1).unwrap();
        assert_eq!([1, 2, 9000].map(|server| anchors.node_of(server).is_some()), [false, true, true]);
    }
}
