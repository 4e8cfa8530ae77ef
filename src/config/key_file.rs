//! The file with the key of sealed secrets: nobody but its owner may read it, and it is never written over.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::OTHERS;
use super::seal::Key;

/// A key file is shorter than this.
const BYTES_MAX: u64 = 1 << 10;
/// The user who may own anybody's files.
const ROOT: u32 = 0;

/// Reads a key; what is wrong is said with the name of the file.
pub fn read(path: &Path) -> Result<Key, String> {
    let name = path.display();
    let fail = |error: std::io::Error| format!("the key file {name} can't be read: {error}");
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(format!("others can open the key file {name} (mode {mode:04o}): run `chmod 600 {name}`"));
    }
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != user && owner != ROOT {
        return Err(format!("the key file {name} belongs to user {owner}, and this is user {user}"));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(BYTES_MAX).read_to_string(&mut text).map_err(fail)?;
    Key::from_text(&text).ok_or_else(|| format!("{name} is no key file: `oarlock seal --new-key` makes one"))
}

/// Makes a new key file.
pub fn create(path: &Path) -> Result<Key, String> {
    let name = path.display();
    let key = Key::random().map_err(|error| error.to_string())?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(key.to_text().as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| format!("the key file {name} can't be made: {error}"))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::super::secret::Secret;
    use super::*;

    #[test]
    fn is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(read(&path).unwrap_err().contains("can't be read"));
        let sealed = create(&path).unwrap().seal(&Secret::new("a".to_owned())).unwrap();
        assert_eq!(read(&path).unwrap().open(&sealed).unwrap().reveal(), "a");
        assert!(create(&path).unwrap_err().contains("can't be made"), "a key is never written over");
        for mode in [0o640, 0o604, 0o666] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(read(&path).unwrap_err().contains("others can open"), "{mode:o}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        assert!(read(&path).is_ok());
        let other = folder.path().join("other");
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&other).unwrap().write_all(b"x").unwrap();
        assert!(read(&other).unwrap_err().contains("is no key file"));
    }
}
