//! What an operator wants by signals.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// What an operator wants by a signal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
    /// SIGUSR2.
    Succeed,
}

/// The signals an operator sends.
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    user: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for one. Can be dropped and called again.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hang_up.recv() => Signal::Reload,
            _ = self.user.recv() => Signal::Succeed,
        }
    }

    /// Waits for SIGTERM or SIGINT. Can be dropped and called again.
    pub(super) async fn stop(&mut self) {
        while self.next().await != Signal::Stop {
            tracing::info!("no signal but SIGTERM and SIGINT counts any more: the proxy ends");
        }
    }
}
