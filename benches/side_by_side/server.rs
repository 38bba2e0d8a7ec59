//! A server under measurement, whatever it is, and what all of them need to be started.

use crate::client::Connection;
use crate::origin::{Behaviour, Origin};
use crate::process::Running;
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(15);

/// A cache in front of an origin of its own.
pub(crate) struct Server {
    /// What the tables call it.
    pub(crate) name: &'static str,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where it listens with TLS, HTTP/1.1 and HTTP/2, if it can.
    pub(crate) tls: Option<SocketAddr>,
    /// Where it takes HTTP/2 without TLS, if it can.
    pub(crate) h2c: Option<SocketAddr>,
    /// Cases it takes no part in, because it cannot or would not be used so.
    pub(crate) lacks: &'static [&'static str],
    /// Behind it.
    pub(crate) origin: Origin,
    /// Its processes.
    pub(crate) process: Running,
    /// Says whether an answer was stale.
    pub(crate) is_stale: fn(&crate::client::Answer) -> bool,
    /// How the area `stale` answers while its page has to stay stale.
    pub(crate) keeps_stale: Behaviour,
}

/// A port of 127.0.0.1 that nobody has, and that was not given to anybody before.
pub(crate) fn free_address() -> Result<SocketAddr> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        if given.insert(address.port()) {
            return Ok(address);
        }
    }
}

/// Waits until the server answers 200, or says what its log says.
pub(crate) fn wait_until_ready(name: &str, process: &mut Running, address: SocketAddr, log: &Path) -> Result<()> {
    let deadline = Instant::now() + START;
    while Instant::now() < deadline && !process.has_ended() {
        let answer = Connection::open(address).and_then(|mut connection| connection.get("/small/ready", &[]));
        if answer.is_ok_and(|answer| answer.status() == 200) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("{name} does not answer on {address}; its log:\n{}", std::fs::read_to_string(log).unwrap_or_default());
}
