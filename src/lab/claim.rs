//! The claim of one lab on one /24 of the loopback network.
//!
//! Each /24 has a file; who holds its lock holds the addresses. The locked file is handed to every process of the lab as
//! standard input, so the kernel keeps the claim exactly as long as any of them lives, however they end. The file names the
//! folder of the lab that holds it, by which a lab that was left running finds its claim again.

use std::fs::{File, OpenOptions, Permissions, create_dir_all, set_permissions};
use std::io::{Read, Seek, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::{FlockOperation, flock};

use super::LabError;

/// The third byte of a lab's addresses: `127.71.N.x`.
pub(super) type Net = u8;

/// The address of a host in a net.
pub(super) fn address(net: Net, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 71, net, host)
}

/// A held net.
#[derive(Debug)]
pub(super) struct Claim {
    file: File,
    pub(super) net: Net,
}

impl Claim {
    /// Claims the first free net. `folder_of` says which folder a lab in that net would have.
    pub(super) fn first(folder_of: impl Fn(Net) -> PathBuf) -> Result<Self, LabError> {
        for net in 0..=Net::MAX {
            if let Some(claim) = Self::take(net, &folder_of(net))? {
                return Ok(claim);
            }
        }
        Err(LabError::Refused(format!("all nets 127.71.0-255 are held by other labs, see {CLAIMS}")))
    }

    /// The claim of a lab that was left running in `folder`, or was stopped there.
    pub(super) fn again(net: Net, folder: &Path) -> Result<Self, LabError> {
        let taken = || {
            let folder = folder.display();
            LabError::Refused(format!(
                "127.71.{net}.x went to another lab while no server of {folder} ran: take the lab down and up again"
            ))
        };
        if let Some(claim) = Self::take(net, folder)? {
            return Ok(claim);
        }
        let mut file = open(net).map_err(LabError::io(format!("open the claim of net {net}")))?;
        flock(&file, FlockOperation::NonBlockingLockShared).map_err(|_| taken())?;
        let mut owner = String::new();
        file.read_to_string(&mut owner).map_err(LabError::io("read a claim"))?;
        if Path::new(&owner) == folder { Ok(Self { file, net }) } else { Err(taken()) }
    }

    /// Takes a net if nobody holds it.
    fn take(net: Net, folder: &Path) -> Result<Option<Self>, LabError> {
        // A claim file of another user that this one may not open is taken.
        let Ok(mut file) = open(net) else { return Ok(None) };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        let named = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", folder.display()));
        named.map_err(LabError::io("write a claim"))?;
        // Shared from here on, so that a later process of the same lab can join. Another may slip in between: then it's theirs.
        Ok(flock(&file, FlockOperation::NonBlockingLockShared).is_ok().then_some(Self { file, net }))
    }

    /// The claim as standard input of a process of the lab.
    pub(super) fn stdin(&self) -> Result<Stdio, LabError> {
        Ok(self.file.try_clone().map_err(LabError::io("share the claim"))?.into())
    }
}

fn open(net: Net) -> std::io::Result<File> {
    let folder = Path::new(CLAIMS);
    if !folder.is_dir() {
        create_dir_all(folder)?;
        set_permissions(folder, Permissions::from_mode(0o1777))?;
    }
    let path = folder.join(format!("127.71.{net}"));
    // Without O_CREAT first: in a sticky folder Linux refuses to "create" a file that belongs to another user.
    match OpenOptions::new().read(true).write(true).open(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            set_permissions(&path, Permissions::from_mode(0o666))?;
            Ok(file)
        }
        opened => opened,
    }
}

/// Not below `TMPDIR`: it must be the same for all who share the loopback addresses.
const CLAIMS: &str = "/tmp/oarlock-claims";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_net_has_one_holder_and_its_folder_may_join() {
        let folder = PathBuf::from("/nowhere/first");
        let first = Claim::first(|_| folder.clone()).unwrap();
        let second = Claim::first(|_| "/nowhere/second".into()).unwrap();
        assert_ne!(first.net, second.net);

        let joined = Claim::again(first.net, &folder).unwrap();
        assert_eq!(joined.net, first.net);
        let refused = Claim::again(second.net, &folder).unwrap_err();
        assert!(refused.to_string().contains("went to another lab"), "{refused}");
    }

    #[test]
    fn the_claim_lives_as_long_as_a_process_that_has_it() {
        let claim = Claim::first(|_| "/nowhere/third".into()).unwrap();
        let net = claim.net;
        let mut child = std::process::Command::new("sleep").arg("60").stdin(claim.stdin().unwrap()).spawn().unwrap();
        drop(claim);
        let while_it_lives = Claim::again(net, Path::new("/nowhere/fourth"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(while_it_lives.is_err());
    }
}
