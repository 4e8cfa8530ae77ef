//! Where clients come in: the listening sockets, and what clients get at each. When the configuration is read again sockets are bound
//! before anything changes, all that are new or none.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::succession::Sockets;
use super::{StartError, tls};
use crate::config::Config;
use crate::config::model::{Listener, Service};
use crate::net::proxy_header::Balancers;
use crate::session::entrance::{Entrance, ListenerTls};
use crate::session::registry::Registry;

/// The listening sockets of the process, to be passed on. As long as one is here it is open.
#[derive(Clone, Default)]
pub(super) struct Doors(Arc<ArcSwap<Vec<Arc<TcpListener>>>>);

/// A listener by its place, and the socket where it takes clients from now on.
pub(super) type Opening = (usize, TcpListener);

/// What is to be done with sockets so that they are as configured.
pub(super) struct Change {
    held: Vec<Arc<TcpListener>>,
    opened: Vec<Opening>,
    shut: Vec<usize>,
}

impl Doors {
    /// What they are now.
    pub(super) fn held(&self) -> Arc<Vec<Arc<TcpListener>>> {
        self.0.load_full()
    }

    /// Binds what is new. A listener that is at another place may have the address of one that is not there any more.
    pub(super) fn prepare(&self, old: &Config, next: &Config, sockets: &mut Sockets) -> Result<Change, String> {
        let (held, before, after) = (self.held(), open_addresses(old), open_addresses(next));
        let (mut kept, mut opened) = (Vec::new(), Vec::new());
        for (place, address) in &after {
            let fail = |error: io::Error| {
                format!("listener '{}' cannot listen on {address}: {error}", next.listeners[*place].name)
            };
            let here = |socket: &&Arc<TcpListener>| socket.local_addr().is_ok_and(|at| at == *address);
            let stays = held.iter().find(here).filter(|_| before.contains(&(*place, *address)));
            kept.push(match stays {
                Some(socket) => socket.clone(),
                None => {
                    let socket = sockets.bind(*address).map_err(fail)?;
                    opened.push((*place, socket.try_clone().map_err(fail)?));
                    Arc::new(socket)
                }
            });
        }
        let stays = |place: usize| after.iter().any(|(other, _)| *other == place);
        let shut = before.iter().map(|(place, _)| *place).filter(|place| !stays(*place)).collect();
        Ok(Change { held: kept, opened, shut })
    }

    /// Opens and shuts.
    pub(super) fn carry_out(&self, change: Change, registry: &Registry) {
        change.shut.into_iter().for_each(|place| registry.shut(place));
        change.opened.into_iter().for_each(|(place, socket)| registry.open(place, socket));
        self.0.store(Arc::new(change.held));
    }

    /// Holds none any more.
    pub(super) fn close(&self) {
        self.0.store(Arc::default());
    }
}

/// Where clients are taken, by the places of listeners.
fn open_addresses(config: &Config) -> Vec<(usize, SocketAddr)> {
    let open = config.listeners.iter().enumerate().filter(|(_, listener)| !listener.leaves);
    open.map(|(place, listener)| (place, listener.address)).collect()
}

/// Binds all listeners of a process that begins.
pub(super) fn bind(config: &Config, sockets: &mut Sockets) -> Result<(Doors, Vec<Opening>), StartError> {
    let (mut held, mut openings) = (Vec::new(), Vec::new());
    for (place, Listener { name, address, .. }) in config.listeners.iter().enumerate() {
        let fail = |error| StartError::of(format!("listener '{name}' cannot listen on {address}"))(error);
        let socket = sockets.bind(*address).map_err(fail)?;
        held.push(Arc::new(socket.try_clone().map_err(fail)?));
        openings.push((place, socket));
    }
    Ok((Doors(Arc::new(ArcSwap::from_pointee(held))), openings))
}

/// What clients get at each listener; or what is wrong with the files of its TLS, in words.
pub(super) fn entrances(config: &Config) -> Result<Vec<Arc<Entrance>>, String> {
    let entrance = |(listener, tls): (&Listener, Option<ListenerTls>)| {
        let replicates = listener.service == Service::Replication;
        Arc::new(Entrance { replicates, tls, balancers: Balancers::new(&listener.proxy_protocol) })
    };
    Ok(config.listeners.iter().zip(tls::listeners(config)?).map(entrance).collect())
}
