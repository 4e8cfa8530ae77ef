//! What the clients of a listener get, and what is asked of them. It is read when one comes, and is that one's to the end: so it can
//! change for the next.

use crate::net::proxy_header::Balancers;
use crate::net::tls::ServerTls;

/// One listener's.
#[derive(Default)]
pub struct Entrance {
    /// All goes to the writer, and replicas may dump.
    pub replicates: bool,
    /// What TLS needs; none if that is not spoken.
    pub tls: Option<ListenerTls>,
    /// Who introduces clients by the PROXY protocol.
    pub balancers: Balancers,
}

/// The TLS of a listener.
pub struct ListenerTls {
    /// What rustls needs.
    pub server: ServerTls,
    /// Clients must use it.
    pub required: bool,
}
