//! Where operators come: the admin API, and the console if there is one.

use std::io;

use tokio::net::TcpListener;

use crate::admin::console;
use crate::admin::http::{self, Sources};
use crate::config::Config;
use crate::net::tls::ServerTls;

use super::succession::Sockets;
use super::{StartError, tls};

/// The sockets for operators.
pub(super) struct Operators {
    admin: TcpListener,
    tls: Option<ServerTls>,
    console: Option<TcpListener>,
}

impl Operators {
    pub(super) fn bind(config: &Config, sockets: &mut Sockets) -> Result<Self, StartError> {
        let mut bind = |name: &str, address| {
            let socket = sockets.bind(address).and_then(TcpListener::from_std);
            socket.map_err(StartError::of(format!("cannot listen on the {name} address {address}")))
        };
        let admin = bind("admin", config.admin.address)?;
        let console = config.admin.console.map(|address| bind("console", address)).transpose()?;
        let tls = tls::admin(config).map_err(|why| StartError::of("cannot start")(io::Error::other(why)))?;
        Ok(Self { admin, tls, console })
    }

    /// What the admin address shows of TLS, to be renewed.
    pub(super) fn tls(&self) -> Option<ServerTls> {
        self.tls.clone()
    }

    /// Answers there until another process has taken over.
    pub(super) fn serve(self, sources: &Sources) {
        if let Some(console) = self.console {
            let sources = sources.clone();
            tokio::spawn(async move {
                if let Err(error) = console::serve(console, sources).await {
                    tracing::error!(%error, "the console has ended");
                }
            });
        }
        let sources = sources.clone();
        tokio::spawn(async move {
            if let Err(error) = http::serve(self.admin, self.tls, sources).await {
                tracing::error!(%error, "the admin API has ended");
            }
        });
    }
}
