//! What a lab consists of: its members, their addresses and folders, and the choices made for it. Kept in the lab's folder.

use std::fs::{read_to_string, write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::LabError;
use super::claim::{Net, address};
use super::userland::Userland;

/// The service user of the guide: watches nodes, loads accounts, drives links.
pub const SERVICE_USER: &str = "maxuser";
/// The replication user of the guide.
pub const REPLICATION_USER: &str = "repl_user";
/// The password of both.
pub const SITE_PASSWORD: &str = "SecretP@ssw0rd";
/// An application's user with all rights, for tests.
pub const APP_USER: &str = "app";
/// Its password.
pub const APP_PASSWORD: &str = "app-secret";

/// How a node gets the whole state from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sst {
    /// As in the guide.
    #[default]
    Mariabackup,
    /// Faster with little data, but the donor takes no writes meanwhile.
    Rsync,
}

impl Sst {
    /// Its name in `wsrep_sst_method`.
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Mariabackup => "mariabackup",
            Self::Rsync => "rsync",
        }
    }
}

/// One of the guide's two data centres.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// The Galera cluster.
    Primary,
    /// The other one: a standalone server, or a second cluster.
    Dr,
}

impl Site {
    /// Its name in configurations.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Primary => "dc",
            Self::Dr => "dr",
        }
    }

    /// The last byte of its proxy's address; its servers are numbered from the one after it.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Primary => 70,
            Self::Dr => 80,
        }
    }
}

/// What a server is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Galera,
    Standalone,
}

/// What there is of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Servers {
    None,
    Standalone,
    /// A cluster of so many nodes.
    Galera(u8),
}

impl Servers {
    fn kind(self) -> Kind {
        if matches!(self, Self::Galera(_)) { Kind::Galera } else { Kind::Standalone }
    }

    pub(super) fn count(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Standalone => 1,
            Self::Galera(nodes) => nodes,
        }
    }
}

/// One server of a lab; its number is the last byte of its address and its own GTID domain, as in the guide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) site: Site,
    pub(super) kind: Kind,
    pub(super) number: u8,
}

impl Member {
    pub(super) fn name(self) -> String {
        match self.kind {
            Kind::Galera => format!("galera-{}", self.number),
            Kind::Standalone => format!("server-{}", self.number),
        }
    }
}

/// A lab as it was ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) folder: PathBuf,
    pub(super) net: Net,
    pub(super) primary: Servers,
    pub(super) dr: Servers,
    pub(super) sst: Sst,
    /// Whose programs the servers are.
    pub(super) userland: Userland,
    pub(super) fast_eviction: bool,
    /// Further server options, which win over the lab's.
    pub(super) options: Vec<(String, String)>,
}

impl Spec {
    pub(super) fn members(&self) -> Vec<Member> {
        [Site::Primary, Site::Dr].into_iter().flat_map(|site| self.members_of(site)).collect()
    }

    pub(super) fn members_of(&self, site: Site) -> Vec<Member> {
        let servers = self.servers(site);
        let member = |place| Member { site, kind: servers.kind(), number: site.number() + 1 + place };
        (0..servers.count()).map(member).collect()
    }

    pub(super) fn servers(&self, site: Site) -> Servers {
        match site {
            Site::Primary => self.primary,
            Site::Dr => self.dr,
        }
    }

    /// The GTID domain in which a site writes. A standalone server has none but its own.
    pub(super) fn domain(&self, site: Site) -> u8 {
        match self.servers(site) {
            Servers::Galera(_) | Servers::None => site.number(),
            Servers::Standalone => site.number() + 1,
        }
    }

    pub(super) fn address(&self, host: u8) -> Ipv4Addr {
        address(self.net, host)
    }

    pub(super) fn folder_of(&self, member: Member) -> PathBuf {
        self.folder.join(member.name())
    }

    pub(super) fn save(&self) -> Result<(), LabError> {
        let path = self.folder.join(FILE);
        let text = serde_json::to_string_pretty(self).map_err(|e| LabError::Refused(e.to_string()))?;
        write(&path, text).map_err(LabError::path("write", &path))
    }

    pub(super) fn load(folder: &Path) -> Result<Self, LabError> {
        let path = folder.join(FILE);
        let none = |_| LabError::Refused(format!("no lab in {}: bring one up first", folder.display()));
        let text = read_to_string(&path).map_err(none)?;
        serde_json::from_str(&text).map_err(|e| LabError::Refused(format!("{}: {e}", path.display())))
    }

    /// Refuses what could not run.
    pub(super) fn check(&self) -> Result<(), LabError> {
        let counts = [self.primary.count(), self.dr.count()];
        if counts == [0, 0] || counts.iter().any(|count| *count > GALERA_MAX) {
            return Err(LabError::Refused(format!(
                "a lab has 1 to {GALERA_MAX} Galera nodes, or a standalone server or second cluster, or both"
            )));
        }
        let path = self.folder.display().to_string();
        if path.len() > FOLDER_BYTES_MAX || path.contains(|c: char| c.is_whitespace() || c == '"') {
            return Err(LabError::Refused(format!(
                "{path}: sockets are kept there, so the path may have no spaces and at most {FOLDER_BYTES_MAX} bytes"
            )));
        }
        Ok(())
    }
}

const GALERA_MAX: u8 = 9;
/// The path of a unix socket has at most 107 bytes, and a node's name comes after the folder.
const FOLDER_BYTES_MAX: usize = 90;
const FILE: &str = "lab.json";
