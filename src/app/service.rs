//! What the service manager is told (systemd's notifications): when clients are taken, when the configuration is read again, that the
//! process ends, and that it lives. Without such a manager nothing is told.

use std::sync::Arc;

use sd_notify::NotifyState;

use crate::session::worker;

/// Clients are taken, or what was read again is in force.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// From now on the process with this id is the service.
pub(super) fn succeeded(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

/// Clients are not taken any more.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells for ever that the process lives, as often as it is to be told: as long as each worker has done something since it was told
/// the last time. Who does not hear it for too long starts the process again.
pub(super) async fn keep_alive(data: Arc<worker::Shared>) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval(limit / 2);
    let mut before = Vec::new();
    loop {
        ticks.tick().await;
        let beats = data.registry.beats();
        let moves = beats.len() == before.len() && beats.iter().zip(&before).all(|(now, before)| now != before);
        if moves {
            tell(&[NotifyState::Watchdog]);
        }
        if moves || before.is_empty() {
            before = beats;
        }
    }
}

fn tell(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("the service manager can't be told: {error}");
    }
}
