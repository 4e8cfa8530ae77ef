//! The login of the client library that probes and links use.

use std::time::Duration;

use mysql_async::{Conn, Error, Opts};
use tokio::task::JoinSet;
use tokio::time::timeout;

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
