//! The one error type towards clients: whose fault it is, whether the work may be tried again, and the ERR packet it becomes.

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client broke the protocol or a limit, or asked for what it may not have.
    Client,
    /// A node failed or answered nonsense.
    Node,
    /// The proxy itself: a limit of its own, or no node to serve.
    Proxy,
}

/// May the work be tried again?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No: it may have happened, or it would fail again.
    Never,
    /// Yes: it certainly did not happen.
    Replay,
}

/// An error as a client sees it. Holds no packet bytes and no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whose fault.
    pub side: Side,
    /// May it be tried again.
    pub retry: Retry,
    /// MariaDB's error number.
    pub code: u16,
    /// SQLSTATE.
    pub state: [u8; 5],
    /// The text, at most 512 bytes reach the client.
    pub message: Box<str>,
}

impl Fault {
    /// A fault of the client that ends what it asked for.
    pub fn client(code: u16, state: &[u8; 5], message: impl Into<Box<str>>) -> Self {
        Self { side: Side::Client, retry: Retry::Never, code, state: *state, message: message.into() }
    }

    /// A fault of a node.
    pub fn node(retry: Retry, code: u16, state: &[u8; 5], message: impl Into<Box<str>>) -> Self {
        Self { side: Side::Node, retry, code, state: *state, message: message.into() }
    }

    /// A fault of the proxy.
    pub fn proxy(retry: Retry, code: u16, state: &[u8; 5], message: impl Into<Box<str>>) -> Self {
        Self { side: Side::Proxy, retry, code, state: *state, message: message.into() }
    }
}
