//! The front of a transaction that is too long to be held in memory, in a file, until its end has come.
//!
//! The file has no name, so nothing is left of it however the process ends. It is written through the page cache a piece at a time,
//! which takes no longer than other work of a turn.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;

/// No transaction that is longer is taken, in bytes.
pub const STASH_BYTES_MAX: u64 = 64 << 30;

/// The stash of one dump.
#[derive(Debug)]
pub struct Stash {
    folder: PathBuf,
    file: Option<File>,
    length: u64,
}

impl Stash {
    /// Nothing yet. If need be there will be a file in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, file: None, length: 0 }
    }

    /// Keeps more.
    pub fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        if self.length > STASH_BYTES_MAX {
            return Err(io::Error::other(format!("it is longer than {STASH_BYTES_MAX} bytes")));
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                fs::create_dir_all(&self.folder)?;
                none.insert(tempfile::tempfile_in(&self.folder)?)
            }
        };
        file.write_all(bytes)
    }

    /// From here on it is read from its beginning.
    pub fn rewind(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), File::rewind)
    }

    /// Reads on; 0 at the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.as_mut().map_or(Ok(0), |file| file.read(buffer))
    }

    /// Throws away what is kept.
    pub fn clear(&mut self) {
        (self.file, self.length) = (None, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_no_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let mut stash = Stash::new(folder.path().join("new"));
        let read = |stash: &mut Stash| {
            let (mut all, mut buffer) = (vec![], [0; 4]);
            stash.rewind().unwrap();
            while let length @ 1.. = stash.read(&mut buffer).unwrap() {
                all.extend_from_slice(&buffer[..length]);
            }
            all
        };
        assert_eq!(read(&mut stash), b"");
        for piece in [&b"the front"[..], b" and ", b"more"] {
            stash.keep(piece).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 0);
        assert_eq!(read(&mut stash), b"the front and more");
        stash.clear();
        stash.keep(b"another").unwrap();
        assert_eq!(read(&mut stash), b"another");
        assert!(Stash::new("/dev/null/x".into()).keep(b"a").is_err());
    }
}
