//! From what an operator wrote of TLS to what the program uses: which files belong together.

use std::path::PathBuf;

use toml::Spanned;

use super::error::ConfigError;
use super::file;
use super::model::{ClientTls, LinkTls, SERVER_PATH_BYTES_MAX, Tls};

/// With clients of a listener.
pub(super) fn of_listener(tls: &file::Tls) -> Tls {
    Tls {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        client_ca: tls.client_ca.clone(),
        require: tls.require.unwrap_or(false),
    }
}

/// With nodes.
pub(super) fn of_cluster(given: &Spanned<file::NodeTls>) -> Result<ClientTls, ConfigError> {
    let (place, tls) = (Place(given.span().start), given.get_ref().clone());
    Ok(ClientTls {
        ca: place.judge("nodes are", tls.ca, tls.verify)?,
        shown: place.both("`certificate` and `key`", tls.certificate, tls.key)?,
    })
}

/// With a remote. Nodes have the files where the proxy has them, unless it is said where.
pub(super) fn of_link(given: &Spanned<file::LinkTls>) -> Result<LinkTls, ConfigError> {
    let (place, tls) = (Place(given.span().start), given.get_ref().clone());
    let own = ClientTls {
        ca: place.judge("the remote is", tls.ca, tls.verify)?,
        shown: place.both("`certificate` and `key`", tls.certificate, tls.key)?,
    };
    if own.ca.is_none() && tls.node_ca.is_some() {
        return place.wrong("`node_ca` is where nodes have the file of `ca`, and there is no `ca`");
    }
    let shown = place.both("`node_certificate` and `node_key`", tls.node_certificate, tls.node_key)?;
    let on_nodes = ClientTls { ca: tls.node_ca.or(own.ca.clone()), shown: shown.or(own.shown.clone()) };
    let shown = on_nodes.shown.iter().flat_map(|(certificate, key)| [certificate, key]);
    if let Some(path) = on_nodes.ca.iter().chain(shown).find(|path| path.as_os_str().len() > SERVER_PATH_BYTES_MAX) {
        return place.wrong(format!("servers take no name as long as `{}`", path.display()));
    }
    Ok(LinkTls { own, on_nodes })
}

/// Where in the file it is told.
struct Place(usize);

impl Place {
    fn wrong<T>(&self, message: impl Into<String>) -> Result<T, ConfigError> {
        Err(ConfigError::at_offset(self.0, message))
    }

    /// Who vouches for servers; none if anybody is believed.
    fn judge(&self, who: &str, ca: Option<PathBuf>, verify: Option<bool>) -> Result<Option<PathBuf>, ConfigError> {
        match (&ca, verify.unwrap_or(true)) {
            (None, true) => {
                self.wrong(format!("{who} to be verified: name the `ca` that vouches, or set `verify = false`"))
            }
            (Some(_), false) => self.wrong(format!("{who} verified by `ca`, and `verify = false` says the opposite")),
            _ => Ok(ca),
        }
    }

    fn both(
        &self,
        names: &str,
        one: Option<PathBuf>,
        other: Option<PathBuf>,
    ) -> Result<Option<(PathBuf, PathBuf)>, ConfigError> {
        match (one, other) {
            (None, None) => Ok(None),
            (Some(one), Some(other)) => Ok(Some((one, other))),
            _ => self.wrong(format!("{names} belong together")),
        }
    }
}
