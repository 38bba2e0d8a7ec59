//! One server of an origin: its addresses, which of them to try first, and how to connect to one.

use super::error::OriginError;
use super::keep_alive::Idle;
use super::trust::{self, Trust};
use crate::config::{self, Scheme};
use parking_lot::Mutex;
use pingora::Error as PingoraError;
use pingora::upstreams::peer::HttpPeer;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a name's addresses are used before it is looked up again. Long enough that a thousand
/// requests a second are one lookup, short enough that a server that moves is found.
const RESOLVED_FOR: Duration = Duration::from_secs(1);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;
/// How long a server or an address that could not be reached is tried last.
const SHUNNED_FOR: Duration = Duration::from_secs(10);

pub(super) struct Server {
    config: config::Server,
    name: Arc<str>,
    /// Held while looking up, so that everybody waits for one lookup.
    resolved: tokio::sync::Mutex<Option<Resolved>>,
    state: Mutex<State>,
}

struct Resolved {
    addresses: Vec<SocketAddr>,
    at: Instant,
}

#[derive(Default)]
struct State {
    unreachable_since: Option<Instant>,
    /// At most [`MAX_ADDRESSES`].
    unreachable_addresses: Vec<(SocketAddr, Instant)>,
    /// What the server's last answer said about idle connections.
    idle: Option<Duration>,
}

impl Server {
    pub(super) fn new(config: config::Server) -> Self {
        Server {
            name: config.authority().into(),
            config,
            resolved: tokio::sync::Mutex::new(None),
            state: Mutex::new(State::default()),
        }
    }

    /// Whether it is this one of the configuration.
    pub(super) fn is_of(&self, config: &config::Server) -> bool {
        self.config == *config
    }

    /// `host[:port]`, for messages.
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The addresses in the order in which to try them: in turn by `round`, those that lately could not be
    /// reached last. Never empty.
    pub(super) async fn addresses(&self, limit: Duration, round: usize) -> Result<Vec<SocketAddr>, OriginError> {
        if let Ok(address) = self.config.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.config.port)]);
        }
        let looked_up = tokio::time::timeout(limit, self.resolve()).await;
        let mut addresses =
            looked_up.map_err(|_| OriginError::TimeoutConnect { server: self.name.clone(), limit })??;
        let first = round % addresses.len();
        addresses.rotate_left(first);
        let state = self.state.lock();
        addresses.sort_by_key(|address| state.is_shunned(*address));
        Ok(addresses)
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, OriginError> {
        let mut resolved = self.resolved.lock().await;
        if let Some(known) = resolved.as_ref().filter(|known| known.at.elapsed() < RESOLVED_FOR) {
            return Ok(known.addresses.clone());
        }
        let failed = |reason: String| OriginError::Resolve { server: self.name.clone(), reason };
        let found = tokio::net::lookup_host((&*self.config.host, self.config.port)).await;
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in found.map_err(|error| failed(error.to_string()))? {
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(failed("it has no address".to_owned()));
        }
        *resolved = Some(Resolved { addresses: addresses.clone(), at: Instant::now() });
        Ok(addresses)
    }

    /// How to connect to one of its addresses. TLS asks for, and verifies, the host of the server's own
    /// URL, whatever `Host` the requests carry.
    pub(super) fn peer(
        &self,
        address: SocketAddr,
        origin: &config::Origin,
        trust: &Trust,
    ) -> Result<HttpPeer, OriginError> {
        let tls = self.config.scheme == Scheme::Https;
        let name = self.config.host.trim_end_matches('.').to_owned();
        let mut peer = HttpPeer::new(address, tls, name);
        peer.group_key = trust::pool_of(origin) ^ whose_pool(origin);
        peer.options.connection_timeout = Some(origin.connect_timeout);
        peer.options.total_connection_timeout = Some(origin.connect_timeout);
        if !tls {
            return Ok(peer);
        }
        let untrusted = |reason: String| OriginError::Tls { server: self.name.clone(), reason };
        match trust {
            // pingora takes a peer without a name for one that is not to be verified.
            _ if peer.sni.is_empty() => return Err(untrusted("it has no name to verify".to_owned())),
            Trust::Nothing(path) => return Err(untrusted(format!("{} holds no certificate", path.display()))),
            Trust::Only(certificates) => peer.options.ca = Some(certificates.clone()),
            Trust::Unused | Trust::System => {}
        }
        Ok(peer)
    }

    pub(super) fn connect_error(&self, error: &PingoraError, limit: Duration) -> OriginError {
        OriginError::in_connect(&self.name, error, limit)
    }

    /// Tries this server last for a while.
    pub(super) fn shun(&self) {
        self.state.lock().unreachable_since = Some(Instant::now());
    }

    /// Whether it could lately not be reached.
    pub(super) fn is_shunned(&self) -> bool {
        self.state.lock().unreachable_since.is_some_and(is_recent)
    }

    /// Tries this address last for a while.
    pub(super) fn shun_address(&self, address: SocketAddr) {
        let shunned = &mut self.state.lock().unreachable_addresses;
        shunned.retain(|(other, since)| *other != address && is_recent(*since));
        if shunned.len() == MAX_ADDRESSES {
            shunned.remove(0);
        }
        shunned.push((address, Instant::now()));
    }

    /// Notes an answer: the server is there, and has its own idea of idle connections.
    pub(super) fn learn(&self, idle: Idle) {
        let mut state = self.state.lock();
        state.unreachable_since = None;
        match idle {
            // One that closes says nothing about those that it keeps.
            Idle::Unnamed => state.idle = None,
            Idle::For(keep) if keep.is_zero() => {}
            Idle::For(keep) => state.idle = Some(keep),
        }
    }

    /// How long the server keeps idle connections, if its last answer said so.
    pub(super) fn idle(&self) -> Option<Duration> {
        self.state.lock().idle
    }
}

impl State {
    fn is_shunned(&self, address: SocketAddr) -> bool {
        self.unreachable_addresses.iter().any(|(other, since)| *other == address && is_recent(*since))
    }
}

/// An origin that takes no more renders at once than this, which is what one takes of which nothing is said, may have as
/// few workers, each of which an idle connection may occupy: one that another thread left would keep this one waiting
/// until it is closed.
const FEW: usize = 16;

/// Keeps connections of one thread apart from those of another: pingora's pools lose one that is taken out while
/// the task that waits at it runs on another thread. Where they are few, all threads have the same.
fn whose_pool(origin: &config::Origin) -> u64 {
    thread_local!(static NUMBER: u64 = rand::random());
    if origin.max_renders.get() <= FEW { 0 } else { NUMBER.with(|number| *number) }
}

fn is_recent(since: Instant) -> bool {
    since.elapsed() < SHUNNED_FOR
}
