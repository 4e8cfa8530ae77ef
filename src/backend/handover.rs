//! What is left of a session whose client begins a dump: the two connections, and what it takes to make another to a node.

use std::net::SocketAddr;
use std::pin::Pin;

use super::login::Credentials;
use crate::cluster::view::NodeId;
use crate::net::pipe::Pipe;

/// A client that waits for the reply to its COM_BINLOG_DUMP.
pub struct Handover {
    /// The session's id.
    pub session: u32,
    /// The client's address and port.
    pub address: SocketAddr,
    /// The client. It has been answered everything before.
    pub client: Pipe,
    /// The session's connection, on which the client's variables are set. It has not been told of the dump.
    pub node: Pipe,
    /// Its node.
    pub node_id: NodeId,
    /// Who the client is.
    pub credentials: Credentials,
    /// The body of its COM_REGISTER_SLAVE, if there was one.
    pub registration: Option<Box<[u8]>>,
    /// The body of its COM_BINLOG_DUMP; at least position, flags and server id.
    pub dump: Box<[u8]>,
}

/// Whoever goes on with such a client: a future that is done when the client's connection is to be closed. It runs on the
/// session's own worker.
pub type Heir = Box<dyn Fn(Handover) -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync>;
