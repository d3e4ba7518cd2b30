//! Tells systemd, if it started the server, what the server is doing.

use sd_notify::NotifyState;

/// Clients may come. `status` is for the operator.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The settings are being read again.
pub(super) fn reloading() {
    // Without the time systemd would not know which reload it is; then it is told nothing.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// The server ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        log::warn!("systemd could not be told: {e}");
    }
}
