//! What can go wrong with a lab, in words that name the thing and the remedy.

use std::fmt;
use std::path::Path;
use std::time::Duration;

/// Why a lab could not do what was asked.
#[derive(Debug)]
pub enum LabError {
    /// A program or file of the Debian packages is not there.
    Missing {
        /// What is missing.
        what: String,
        /// The package that brings it.
        package: &'static str,
    },
    /// A file or process could not be handled.
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A server ended although it should run; with the end of its error log.
    Ended {
        /// Which node.
        node: String,
        /// The last lines it wrote.
        log: String,
    },
    /// Something did not happen in time.
    Late {
        /// What was waited for.
        what: String,
        /// For how long.
        limit: Duration,
    },
    /// A statement failed on a node.
    Sql {
        /// Which node.
        node: String,
        /// MariaDB's error number; 0 if the connection failed.
        code: u16,
        /// MariaDB's text.
        message: String,
    },
    /// The request does not fit this lab; the text says why.
    Refused(String),
}

impl LabError {
    /// An error of the system while doing `what`.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// An error of the system while handling a path.
    pub(super) fn path(what: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        Self::io(format!("{what} {}", path.display()))
    }

    /// MariaDB's error number, if a statement failed.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Sql { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { what, package } => write!(f, "{what} is missing: install the package {package}"),
            Self::Io { what, source } => write!(f, "{what}: {source}"),
            Self::Ended { node, log } => write!(f, "{node} ended; the end of its error log:\n{log}"),
            Self::Late { what, limit } => write!(f, "{what}: not within {} s", limit.as_secs_f32()),
            Self::Sql { node, code, message } => write!(f, "{node}: error {code}: {message}"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for LabError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
