//! Where clients come in: a worker takes them from a listener, serves its share and hands the others on, so that a login needs no other
//! thread than its own. Once the proxy drains nobody comes in any more.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use tokio::net::{TcpListener, TcpStream};

use crate::fault::{Fault, Retry};
use crate::net::listener;
use crate::net::proxy_header;
use crate::net::stream::Stream;
use crate::wire::err;

use super::client::Standing;
use super::registry::{Accepted, Order};
use super::worker::Worker;

impl Worker {
    /// Takes the clients of this listener from now on, at this socket only.
    pub(super) fn open(self: &Rc<Self>, listener: usize, socket: std::net::TcpListener) {
        match TcpListener::from_std(socket) {
            Ok(socket) => {
                let taking = tokio::task::spawn_local(self.clone().take_clients(listener, socket));
                let before = self.doors.borrow_mut().insert(listener, taking);
                before.into_iter().for_each(|door| door.abort());
            }
            Err(error) => tracing::error!("clients can't be taken: {error}"),
        }
    }

    /// Takes no clients of this listener any more.
    pub(super) fn shut(&self, listener: usize) {
        self.doors.borrow_mut().remove(&listener).into_iter().for_each(|door| door.abort());
    }

    /// Takes no clients any more.
    pub(super) fn close(&self) {
        self.doors.borrow_mut().drain().for_each(|(_, door)| door.abort());
    }

    async fn take_clients(self: Rc<Self>, listener: usize, socket: TcpListener) {
        let full = Fault::proxy(Retry::Never, 1040, b"08004", "Too many connections");
        let mut packet = Vec::new();
        err::put(&mut packet, 0, &full);
        let hand_on = |socket: TcpStream, address| {
            let sessions_max = self.shared.config.load().limits.sessions_max as usize;
            if self.shared.registry.len() >= sessions_max {
                // Fits into any new socket's send buffer.
                let _ = socket.try_write(&packet);
                tracing::warn!(client = %address, sessions_max, "refused: too many sessions");
            } else {
                self.admit(socket, address, listener);
            }
        };
        listener::accept(socket, &self.shared.clock, hand_on).await;
    }

    fn admit(self: &Rc<Self>, socket: TcpStream, address: SocketAddr, listener: usize) {
        let registry = &self.shared.registry;
        let (id, place) = registry.assign(self.place);
        if self.shared.entrance(listener).balancers.contain(address.ip()) {
            tokio::task::spawn_local(self.clone().introduce(id, place, socket, address, listener));
        } else {
            self.seat(id, place, socket, address, listener);
        }
    }

    /// Hears from a balancer whom it has brought.
    async fn introduce(
        self: Rc<Self>,
        id: u32,
        place: usize,
        mut socket: TcpStream,
        balancer: SocketAddr,
        listener: usize,
    ) {
        let limit = self.shared.settings.load().handshake_timeout;
        let said = self.shared.clock.timeout(limit, proxy_header::read(&mut socket, balancer)).await;
        match said.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
            Ok(client) => self.seat(id, place, socket, client, listener),
            Err(error) => {
                tracing::warn!(%balancer, "a client was not introduced as the PROXY protocol has it: {error}");
                self.shared.registry.forget(id);
            }
        }
    }

    /// Serves a client, or has its worker do that.
    fn seat(self: &Rc<Self>, id: u32, place: usize, socket: TcpStream, address: SocketAddr, listener: usize) {
        let host = address.ip().to_canonical();
        if let Some(fault) = self.shared.registry.hosts.blocked(host) {
            tracing::debug!(client = %host, "refused: its host is blocked");
            let mut packet = Vec::new();
            err::put(&mut packet, 0, &fault);
            // Fits into any new socket's send buffer.
            let _ = socket.try_write(&packet);
            return self.shared.registry.forget(id);
        }
        if place == self.place {
            return self.serve(id, Stream::accepted(socket), address, listener);
        }
        let registry = &self.shared.registry;
        let handed_on = socket
            .into_std()
            .is_ok_and(|socket| registry.order(id, Order::Serve(id, Accepted { socket, address, listener })));
        if !handed_on {
            registry.forget(id);
        }
    }

    /// A session's client has logged in.
    pub(super) fn welcomed(&self, id: u32, host: IpAddr) {
        if let Some(resident) = self.sessions.borrow_mut().get_mut(&id) {
            resident.presence.get_or_insert_with(|| self.shared.registry.hosts.admitted(host));
        }
    }

    /// A session has ended, and its login has come to this: one that has ended in the event in which it began has not been welcomed before.
    /// Balancers come for many.
    pub(super) fn note_login(&self, id: u32, standing: Standing, host: IpAddr) {
        let hosts = &self.shared.registry.hosts;
        match standing {
            Standing::Open => {}
            Standing::Welcome => self.welcomed(id, host),
            Standing::Refused if self.shared.entrances.load().iter().any(|known| known.balancers.contain(host)) => {}
            Standing::Refused => hosts.refused(host, &self.shared.config.load().limits),
        }
    }

    /// A client that another worker has taken.
    pub(super) fn receive(self: &Rc<Self>, id: u32, accepted: Accepted) {
        match TcpStream::from_std(accepted.socket) {
            Ok(socket) => self.serve(id, Stream::accepted(socket), accepted.address, accepted.listener),
            Err(_) => self.shared.registry.forget(id),
        }
    }
}
