//! Who the client is: what it said at login, and what is needed to log in to nodes in its name.

use std::net::IpAddr;
use std::sync::Arc;

use crate::auth::secret::Secret;
use crate::backend::login::Identity;
use crate::net::peer::Peer;
use crate::net::tls::Fingerprint;
use crate::wire::capability::Capabilities;
use crate::wire::challenge::SCRAMBLE;

/// What has come of a session's login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing yet, or nothing that says anything of the client.
    Open,
    /// The client is no good.
    Refused,
    /// It was let in.
    Welcome,
}

/// The client of a session.
pub(super) struct Client {
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) capabilities: Capabilities,
    pub(super) packet_max: u32,
    pub(super) collation: u8,
    pub(super) user: Box<[u8]>,
    pub(super) secret: Option<Secret>,
    /// It is shown who it is: by its answer, or by a node that has let it in.
    pub(super) proven: bool,
    /// What came of the session's login.
    pub(super) standing: Standing,
    /// The generation of the accounts that admitted it.
    pub(super) accounts: u64,
    /// The current schema.
    pub(super) schema: Option<Box<[u8]>>,
    pub(super) attributes: Box<[u8]>,
    /// It speaks TLS with the proxy, which has shown it this certificate.
    pub(super) shown: Option<Fingerprint>,
    /// And is known there by this.
    pub(super) peer: Option<Arc<Peer>>,
    /// The greeting's, for all of the session: clients answer COM_CHANGE_USER by it, whatever comes with the next challenge.
    pub(super) scramble: [u8; SCRAMBLE],
}

impl Client {
    pub(super) fn new(address: IpAddr) -> Self {
        Self {
            address,
            port: 0,
            capabilities: Capabilities::empty(),
            packet_max: 0,
            collation: 0,
            user: Box::default(),
            secret: None,
            proven: false,
            standing: Standing::Open,
            accounts: 0,
            schema: None,
            attributes: Box::default(),
            shown: None,
            peer: None,
            scramble: [0; SCRAMBLE],
        }
    }

    pub(super) fn identity(&self, tls: bool) -> Identity<'_> {
        Identity {
            user: &self.user,
            secret: self.secret.as_ref(),
            schema: self.schema.as_deref(),
            capabilities: self.capabilities,
            packet_max: self.packet_max,
            collation: self.collation,
            attributes: &self.attributes,
            tls,
        }
    }

    /// It speaks TLS with the proxy.
    pub(super) fn is_secure(&self) -> bool {
        self.shown.is_some()
    }

    pub(super) fn has(&self, capability: Capabilities) -> bool {
        self.capabilities.contains(capability)
    }
}
