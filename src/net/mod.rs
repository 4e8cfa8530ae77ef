//! Sockets: listeners, streams, buffers. Knows nothing of SQL or sessions.

pub mod clock;
pub mod listener;
pub mod passing;
pub mod peer;
pub mod pipe;
pub mod proxy_header;
pub mod signals;
pub mod stream;
pub mod tls;
