//! How Breadbox asks an origin for a render, on pingora's upstream connector and its pool: which of
//! the servers is asked, over which connection, how long each step may take, and whether what came
//! back is a whole answer (RFC 9112). What an answer means is the gate's business, not this room's.
//!
//! Servers are taken in turn. One that cannot be connected to is passed over for the next, and goes to
//! the end of the line for ten seconds. Names are resolved when connecting, and all their addresses are tried.
//! A request is sent once more only when a reused connection dies before any byte of an answer, because
//! the origin may have closed it while it was idle; all requests here are safe and without a body.
//!
//! Renders speak HTTP/1.1, over TLS too: an origin has at most `max_renders` under way, so there is
//! nothing to multiplex, and the loss of one connection costs one render.
//!
//! The connector and its pool are shared by all threads; a connection is used again by the thread that opened it.

mod answer;
mod error;
mod keep_alive;
mod server;
mod trust;

pub use answer::{Answer, Framing, Informational};
pub use error::OriginError;

use crate::config;
use crate::policy::Fields;
use answer::Connection;
use http::Method;
use keep_alive::Idle;
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::v1::client::HttpSession;
use pingora::upstreams::peer::{HttpPeer, Peer};
use server::Server;
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tracing::warn;
use trust::Trust;

/// 1xx heads in front of an answer; one that sends more is garbled.
const MAX_INFORMATIONAL: usize = 16;

/// How long a stream or an upgraded connection may be silent: see [`OriginClient::allow_silence`].
const STREAM_SILENCE: Duration = Duration::from_secs(3600);

/// A request for a render: safe and without a body.
#[derive(Clone, Debug)]
pub struct OriginRequest {
    /// `GET` or `HEAD`.
    pub method: Method,
    /// The target in origin-form, as it stands on the wire.
    pub target: String,
    /// All fields, `Host` among them.
    pub fields: Fields,
}

/// Is told of every 1xx answer as it comes.
pub(crate) type OnInformational<'a> = &'a (dyn Fn(&Informational) + Send + Sync);

/// What is asked, and who hears of it before the answer.
struct Question<'a> {
    head: RequestHeader,
    on_informational: OnInformational<'a>,
}

/// Asks one origin. Connections are kept and shared by all who hold it.
pub struct OriginClient {
    origin: Arc<config::Origin>,
    servers: Box<[Arc<Server>]>,
    next: AtomicUsize,
    trust: Arc<Trust>,
    connector: Arc<TransportConnector>,
}

/// Whose turn it is: the servers in the order in which one request tries them.
#[derive(Clone, Debug)]
pub struct Turn {
    /// How often each server has had its turn before: which of its addresses comes first.
    round: usize,
    /// Indices of all servers; those that lately could not be reached last.
    order: SmallVec<[usize; 4]>,
}

impl OriginClient {
    /// A client that has not connected yet. An origin that is down, does not resolve or cannot be
    /// trusted is an error of the requests, not of this.
    pub fn new(origin: Arc<config::Origin>) -> Self {
        let trust = Trust::of(&origin);
        let mut options = ConnectorOptions::new(origin.max_renders.get());
        options.ca_file = trust.connector_file();
        OriginClient {
            servers: origin.servers.iter().cloned().map(Server::new).map(Arc::new).collect(),
            next: AtomicUsize::new(0),
            trust: Arc::new(trust),
            connector: Arc::new(TransportConnector::new(Some(options))),
            origin,
        }
    }

    /// A client for the origin as the next configuration has it: servers that stay are known to it, and
    /// connections are kept where they are verified as before.
    pub(crate) fn next(&self, origin: Arc<config::Origin>) -> Self {
        let known = |server: &config::Server| self.servers.iter().find(|other| other.is_of(server));
        let server =
            |server: &config::Server| known(server).cloned().unwrap_or_else(|| Arc::new(Server::new(server.clone())));
        let servers = origin.servers.iter().map(server).collect();
        let same_connections = self.origin.servers == origin.servers
            && self.origin.ca == origin.ca
            && self.origin.max_renders == origin.max_renders;
        if !same_connections {
            return OriginClient { servers, ..OriginClient::new(origin) };
        }
        let (trust, connector) = (Arc::clone(&self.trust), Arc::clone(&self.connector));
        OriginClient { servers, next: AtomicUsize::new(0), trust, connector, origin }
    }

    /// Sends a request and reads the head of the answer. Dropping the future closes the connection.
    ///
    /// # Errors
    /// See [`OriginError`]. The error of the last server where none could be connected to.
    pub async fn send(&self, request: &OriginRequest) -> Result<Answer, OriginError> {
        self.send_and_hear(request, &|_| {}).await
    }

    /// As [`Self::send`]; 1xx answers are told of before the final one has come.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(crate) async fn send_and_hear(
        &self,
        request: &OriginRequest,
        on_informational: OnInformational<'_>,
    ) -> Result<Answer, OriginError> {
        let question = Question { head: request.head()?, on_informational };
        let mut unreachable = None;
        let Turn { round, order } = self.turn();
        for server in order.into_iter().map(|at| &self.servers[at]) {
            match self.send_to(server, round, &question).await {
                Err(error) if error.is_unreachable() => {
                    // Once when it goes away, not for every request that finds it gone.
                    if !server.is_shunned() {
                        warn!(origin = %self.origin.name, %error, "a server of the origin cannot be reached");
                    }
                    server.shun();
                    unreachable = Some(error);
                }
                answered => return answered,
            }
        }
        Err(unreachable.expect("an origin has at least one server"))
    }

    /// Takes a turn: one for each request, whatever number of attempts it needs.
    pub fn turn(&self) -> Turn {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let servers = self.servers.len();
        let mut order: SmallVec<[usize; 4]> = (0..servers).map(|at| (number + at) % servers).collect();
        order.sort_by_key(|at| self.servers[*at].is_shunned());
        Turn { round: number / servers, order }
    }

    /// Where pingora-proxy is to send a bypass: the server whose turn it is, and with each further
    /// `attempt` (from 0, after a failure to connect) the one after that; then their next addresses.
    ///
    /// All timeouts are set. pingora has one timeout for every read, head or body, so it is the longer of
    /// `first_byte_timeout` and `between_bytes_timeout`; a bypass has no total timeout. Connections are
    /// kept for `keepalive_timeout`, or for what this server's last answer to a render asked for.
    ///
    /// # Errors
    /// [`OriginError::Resolve`] or [`OriginError::TimeoutConnect`] where no server's name resolves,
    /// [`OriginError::Tls`] where there is nothing to verify it with.
    pub async fn peer(&self, turn: &Turn, attempt: usize) -> Result<Box<HttpPeer>, OriginError> {
        let mut unresolved = None;
        for attempt in (attempt..).take(self.servers.len()) {
            let server = &self.servers[turn.order[attempt % self.servers.len()]];
            let round = turn.round.wrapping_add(attempt / self.servers.len());
            match server.addresses(self.origin.connect_timeout, round).await {
                Ok(addresses) => return self.proxy_peer(server, addresses[0]),
                Err(error) => unresolved = Some(error),
            }
            server.shun();
        }
        Err(unresolved.expect("an origin has at least one server"))
    }

    /// Lets a peer be silent for an hour: for requests that ask for an upgrade (WebSocket) or accept
    /// `text/event-stream`, whose next message may be long in coming.
    pub fn allow_silence(peer: &mut HttpPeer) {
        peer.options.read_timeout = Some(STREAM_SILENCE);
    }

    /// How many servers there are: attempts beyond them try other addresses of theirs.
    pub fn servers(&self) -> usize {
        self.servers.len()
    }

    fn proxy_peer(&self, server: &Server, address: SocketAddr) -> Result<Box<HttpPeer>, OriginError> {
        let mut peer = server.peer(address, &self.origin, &self.trust)?;
        let patience = self.origin.first_byte_timeout.max(self.origin.between_bytes_timeout);
        peer.options.read_timeout = Some(patience);
        peer.options.write_timeout = Some(patience);
        peer.options.idle_timeout = Some(server.idle().unwrap_or(self.origin.keepalive_timeout));
        Ok(Box::new(peer))
    }

    async fn send_to(&self, server: &Server, round: usize, question: &Question<'_>) -> Result<Answer, OriginError> {
        let mut unreachable = None;
        for address in server.addresses(self.origin.connect_timeout, round).await? {
            let peer = server.peer(address, &self.origin, &self.trust)?;
            match self.send_over(server, &peer, question).await {
                Err(error) if error.is_unreachable() => {
                    server.shun_address(address);
                    unreachable = Some(error);
                }
                answered => return answered,
            }
        }
        Err(unreachable.expect("a name resolves to at least one address"))
    }

    async fn send_over(
        &self,
        server: &Server,
        peer: &HttpPeer,
        question: &Question<'_>,
    ) -> Result<Answer, OriginError> {
        if let Some(stream) = self.connector.reused_stream(peer).await {
            match self.exchange(stream, server, peer, question).await {
                Err(OriginError::Reset { .. }) => {}
                answered => return answered,
            }
        }
        let stream = self.connector.new_stream(peer).await;
        let stream = stream.map_err(|error| server.connect_error(&error, self.origin.connect_timeout))?;
        self.exchange(stream, server, peer, question).await
    }

    /// One request and the head of its answer, within `first_byte_timeout`.
    async fn exchange(
        &self,
        stream: Stream,
        server: &Server,
        peer: &HttpPeer,
        question: &Question<'_>,
    ) -> Result<Answer, OriginError> {
        let mut session = HttpSession::new_with_options(stream, peer);
        let limit = self.origin.first_byte_timeout;
        let heads = tokio::time::timeout(limit, ask(&mut session, server.name(), question)).await;
        let informational =
            heads.map_err(|_| OriginError::TimeoutFirstByte { server: server.name().clone(), limit })??;
        session.read_timeout = Some(self.origin.between_bytes_timeout);
        let idle = session.resp_header().map_or(Idle::Unnamed, |head| keep_alive::idle(&head.headers));
        server.learn(idle);
        let connection = Connection {
            session,
            connector: self.connector.clone(),
            reuse_hash: peer.reuse_hash(),
            keep_for: idle.or(self.origin.keepalive_timeout),
            between_bytes_timeout: self.origin.between_bytes_timeout,
            server: server.name().clone(),
        };
        Answer::begin(connection, &question.head.method, informational).await
    }
}

impl OriginRequest {
    fn head(&self) -> Result<RequestHeader, OriginError> {
        // pingora would drop a fragment and escape the rest; a render asks for exactly what its key says.
        let plain = |byte: u8| byte > b' ' && byte != 0x7f && byte != b'#';
        if !self.target.starts_with('/') || !self.target.bytes().all(plain) {
            return Err(OriginError::Unsendable { reason: "the target is not in origin-form".to_owned() });
        }
        let unsendable = |error: pingora::BError| OriginError::Unsendable { reason: error.to_string() };
        let mut head =
            RequestHeader::build_no_case(self.method.clone(), self.target.as_bytes(), Some(self.fields.len()))
                .map_err(unsendable)?;
        for (name, value) in self.fields.iter() {
            head.append_header(name.clone(), value.clone()).map_err(unsendable)?;
        }
        Ok(head)
    }
}

/// Writes the request and reads heads until one is final; gives the 1xx ones before it.
async fn ask(
    session: &mut HttpSession,
    server: &Arc<str>,
    question: &Question<'_>,
) -> Result<Vec<Informational>, OriginError> {
    let written = session.write_request_header(Box::new(question.head.clone())).await;
    written.map_err(|error| OriginError::in_head(server, &error, 0))?;
    let mut informational = Vec::new();
    loop {
        let read = session.read_response().await;
        read.map_err(|error| OriginError::in_head(server, &error, informational.len()))?;
        let head = session.resp_header().expect("a response that was read has a head");
        // A 101 is final, and garbled: nobody asked for it.
        if !head.status.is_informational() || head.status == http::StatusCode::SWITCHING_PROTOCOLS {
            return Ok(informational);
        }
        if informational.len() == MAX_INFORMATIONAL {
            return Err(OriginError::garbled(server, "too many informational answers"));
        }
        let said = Informational { status: head.status, fields: Fields::from(&head.headers) };
        (question.on_informational)(&said);
        informational.push(said);
    }
}

#[cfg(test)]
mod tests;
