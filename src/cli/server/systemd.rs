//! What systemd is told by its notification protocol (sd_notify(3)), where it started the service: which
//! process is the main one and that it serves. A successor says so of itself, and the old process may end.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// This process serves.
pub(super) fn ready() {
    tell(&format!("MAINPID={}\nREADY=1", std::process::id()));
}

/// This process was told to stop.
pub(super) fn stopping() {
    tell("STOPPING=1");
}

fn tell(what: &str) {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty()) else { return };
    if let Err(error) = send(&place.to_string_lossy(), what) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

fn send(place: &str, what: &str) -> io::Result<()> {
    let address = match place.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(place)?,
    };
    UnixDatagram::unbound()?.send_to_addr(what.as_bytes(), &address)?;
    Ok(())
}
