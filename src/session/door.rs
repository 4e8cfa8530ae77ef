//! Where clients come in: a worker takes them from a listener, serves its share and hands the others on, so that a login needs no other
//! thread than its own. Once the proxy drains nobody comes in any more.

use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::{TcpListener, TcpStream};

use crate::fault::{Fault, Retry};
use crate::net::listener;
use crate::net::stream::Stream;
use crate::wire::err;

use super::registry::{Accepted, Order};
use super::worker::Worker;

impl Worker {
    /// Takes the clients of this listener from now on.
    pub(super) fn open(self: &Rc<Self>, listener: usize, socket: std::net::TcpListener) {
        match TcpListener::from_std(socket) {
            Ok(socket) => {
                let taking = tokio::task::spawn_local(self.clone().take_clients(listener, socket));
                self.doors.borrow_mut().push(taking);
            }
            Err(error) => tracing::error!("clients can't be taken: {error}"),
        }
    }

    /// Takes no clients any more.
    pub(super) fn close(&self) {
        self.doors.borrow_mut().drain(..).for_each(|door| door.abort());
    }

    async fn take_clients(self: Rc<Self>, listener: usize, socket: TcpListener) {
        let full = Fault::proxy(Retry::Never, 1040, b"08004", "Too many connections");
        let mut packet = Vec::new();
        err::put(&mut packet, 0, &full);
        let sessions_max = self.shared.sessions_max;
        let hand_on = |socket: TcpStream, address| {
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
        if place == self.place {
            return self.serve(id, Stream::accepted(socket), address, listener);
        }
        let handed_on = socket
            .into_std()
            .is_ok_and(|socket| registry.order(id, Order::Serve(id, Accepted { socket, address, listener })));
        if !handed_on {
            registry.forget(id);
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
