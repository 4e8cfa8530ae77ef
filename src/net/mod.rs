//! Sockets: listeners, streams, buffers.
