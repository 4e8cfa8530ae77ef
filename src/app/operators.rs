//! Where operators come: the admin API, and the console if there is one. When the configuration is read again sockets are bound before
//! anything changes; whoever has asked at an address that goes gets his answer still.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tracing::{error, info};

use crate::admin::console;
use crate::admin::http::{self, Sources};
use crate::config::Config;
use crate::net::tls::ServerTls;

use super::succession::Sockets;
use super::{StartError, tls};

/// The sockets for operators. Cheap to clone.
#[derive(Clone)]
pub(super) struct Operators {
    admin: Arc<watch::Sender<Option<Desk>>>,
    console: Arc<watch::Sender<Option<Desk>>>,
}

/// Where operators are answered until there is another one.
#[derive(Clone)]
struct Desk {
    address: SocketAddr,
    socket: Arc<TcpListener>,
    tls: Option<ServerTls>,
}

/// The sockets as they are to be.
pub(super) struct Change {
    admin: Desk,
    console: Option<Desk>,
}

impl Operators {
    /// Those of a process that begins.
    pub(super) fn bind(config: &Config, sockets: &mut Sockets) -> Result<Self, StartError> {
        let fail = |why| StartError::of("cannot start")(io::Error::other(why));
        let tls = tls::admin(config).map_err(fail)?;
        let Change { admin, console } = Change::bind(config, tls, sockets).map_err(fail)?;
        Ok(Self { admin: Arc::new(watch::Sender::new(Some(admin))), console: Arc::new(watch::Sender::new(console)) })
    }

    /// Answers there until another process has taken over.
    pub(super) fn serve(&self, sources: &Sources) {
        let at_admin = sources.clone();
        tokio::spawn(attend("admin API", self.admin.subscribe(), move |desk, socket, over| {
            http::serve(socket, desk.tls, at_admin.clone(), over)
        }));
        let at_console = sources.clone();
        tokio::spawn(attend("console", self.console.subscribe(), move |_, socket, over| {
            console::serve(socket, at_console.clone(), over)
        }));
    }

    /// Opens and shuts.
    pub(super) fn carry_out(&self, change: Change) {
        replace("admin API", &self.admin, Some(change.admin));
        replace("console", &self.console, change.console);
    }

    /// All listening sockets, to be passed on.
    pub(super) fn held(&self) -> Vec<Arc<TcpListener>> {
        let socket = |desk: &watch::Sender<Option<Desk>>| desk.borrow().as_ref().map(|desk| desk.socket.clone());
        [&self.admin, &self.console].into_iter().filter_map(|desk| socket(desk)).collect()
    }

    /// Answers no more.
    pub(super) fn close(&self) {
        self.admin.send_replace(None);
        self.console.send_replace(None);
    }
}

impl Change {
    /// As configured.
    pub(super) fn bind(config: &Config, tls: Option<ServerTls>, sockets: &mut Sockets) -> Result<Self, String> {
        let mut desk = |name: &str, address, tls| {
            let socket = sockets.bind(address);
            let socket = socket.map_err(|error| format!("cannot listen on the {name} address {address}: {error}"))?;
            Ok::<_, String>(Desk { address, socket: Arc::new(socket), tls })
        };
        let admin = desk("admin", config.admin.address, tls)?;
        let console = config.admin.console.map(|address| desk("console", address, None)).transpose()?;
        Ok(Self { admin, console })
    }
}

/// The same address with TLS, or without, as before goes on, with the new certificate.
fn replace(what: &str, place: &watch::Sender<Option<Desk>>, next: Option<Desk>) {
    let now = place.borrow().clone();
    match (&now, &next) {
        (None, None) => {}
        (Some(now), Some(next)) if now.address == next.address && now.tls.is_some() == next.tls.is_some() => {
            if let (Some(tls), Some(fresh)) = (&now.tls, &next.tls) {
                tls.renew(fresh);
            }
        }
        _ => {
            let address = next.as_ref().map(|desk| desk.address.to_string());
            info!(address, "the {what} is somewhere else now, or speaks TLS, or does not any more");
            place.send_replace(next);
        }
    }
}

/// Answers at each desk until the next one is there.
async fn attend<Serving>(
    what: &'static str,
    mut desks: watch::Receiver<Option<Desk>>,
    serve: impl Fn(Desk, tokio::net::TcpListener, oneshot::Receiver<()>) -> Serving,
) where
    Serving: Future<Output = io::Result<()>> + Send + 'static,
{
    loop {
        // Dropped, it ends what has been opened here.
        let (_open, over) = oneshot::channel();
        let desk = desks.borrow_and_update().clone();
        let socket = desk.as_ref().map(|desk| desk.socket.try_clone().and_then(tokio::net::TcpListener::from_std));
        match desk.zip(socket) {
            Some((desk, Ok(socket))) => {
                let serving = serve(desk, socket, over);
                tokio::spawn(async move {
                    if let Err(error) = serving.await {
                        error!(%error, "the {what} has ended");
                    }
                });
            }
            Some((desk, Err(error))) => error!(address = %desk.address, "the {what} can't be opened: {error}"),
            None => {}
        }
        if desks.changed().await.is_err() {
            return;
        }
    }
}
