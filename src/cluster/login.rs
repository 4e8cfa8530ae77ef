//! The login of the client library that probes and links use.

use std::time::Duration;

use mysql_async::{ClientIdentity, Conn, Error, Opts, SslOpts};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::model::ClientTls;

/// Why there is no connection.
#[derive(Debug)]
pub enum NoLogin {
    /// The server or the network refuses.
    Failed(Error),
    /// What answers is no server.
    Nonsense,
    /// Nothing has come of it in time.
    Late,
}

/// What the library needs to speak TLS with servers.
pub fn ssl(tls: &ClientTls) -> SslOpts {
    let shown = tls.shown.clone().map(|(certificate, key)| ClientIdentity::new(certificate.into(), key.into()));
    // The library wants some roots even where nobody is verified: then it has its own.
    let roots = tls.ca.iter().map(|ca| ca.clone().into()).collect();
    let options = SslOpts::default()
        .with_disable_built_in_roots(tls.ca.is_some())
        .with_root_certs(roots)
        .with_client_identity(shown);
    options.with_danger_accept_invalid_certs(tls.ca.is_none()).with_danger_skip_domain_validation(tls.ca.is_none())
}

/// Logs in, within this time. In a task of its own: the library has been seen to panic at a greeting of nonsense.
pub async fn log_in(opts: &Opts, limit: Duration) -> Result<Conn, NoLogin> {
    let mut login = JoinSet::new();
    login.spawn(Conn::new(opts.clone()));
    match timeout(limit, login.join_next()).await {
        Ok(Some(Ok(login))) => login.map_err(NoLogin::Failed),
        Ok(_) => Err(NoLogin::Nonsense),
        Err(_) => Err(NoLogin::Late),
    }
}
