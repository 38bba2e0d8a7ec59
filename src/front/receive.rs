//! A client's connection from the socket to the protocol: TLS where the listener speaks it, and which
//! HTTP comes out. Who serves the requests does not know how their connection was made.

use super::connection;
use super::gather::{Gathered, Push};
use super::hit_lane::{self, Greeting, Lane};
use super::http2;
use super::listen::{self, Accepted, LiveLimits};
use super::tls::Tls;
use super::transport::Transport;
use crate::config::Limits;
use crate::metrics::Metrics;
use pingora::apps::HttpServerApp;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How HTTP/2 begins (RFC 9113 §3.4); no request of HTTP/1 does.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection, and how it goes on.
pub(super) enum Received {
    /// One request after the other.
    Http1(Stream),
    /// Streams. Whatever is written can be held and pushed.
    Http2(Stream, Push),
}

/// What the connections of one listener are.
pub(crate) struct Door {
    /// What speaks TLS, if the listener does.
    pub(crate) tls: Option<Arc<Tls>>,
    /// Whether HTTP/2 is taken without TLS.
    pub(crate) h2c: bool,
    /// What a client may do.
    pub(crate) limits: Arc<LiveLimits>,
    /// Where hits are answered, if there are any.
    pub(crate) lane: Option<Lane>,
}

/// A connection with what it brought at once.
pub(crate) struct Greeted {
    accepted: Accepted,
    greeting: Option<Greeting>,
}

impl From<Accepted> for Greeted {
    /// Nothing is known of it.
    fn from(accepted: Accepted) -> Self {
        Greeted { accepted, greeting: None }
    }
}

/// Answers a client's first request, where that can be done at once; nothing if the connection has ended with that.
/// It waits for nothing.
pub(crate) fn greet(door: &Door, mut accepted: Accepted, stopping: &ShutdownWatch) -> Option<Greeted> {
    // To look for a request in vain costs more than is saved: one that is taken as soon as it is made has brought none.
    let is_worth_it = accepted.has_waited && door.is_plain();
    let Some(lane) = door.lane.as_ref().filter(|_| is_worth_it) else { return Some(accepted.into()) };
    let greeting = hit_lane::greet(lane, &mut accepted.tcp, accepted.peer.ip(), stopping)?;
    Some(Greeted { accepted, greeting: Some(greeting) })
}

impl Door {
    /// Whether a connection begins with a request of HTTP/1.
    fn is_plain(&self) -> bool {
        self.tls.is_none() && !self.h2c
    }
}

/// Serves a client to the end of its connection.
pub(crate) async fn receive<A>(door: &Door, app: &Arc<A>, greeted: Greeted, metrics: &Metrics, stopping: &ShutdownWatch)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let Greeted { accepted: Accepted { tcp, peer, .. }, greeting } = greeted;
    let could_not = |error: io::Error| tracing::warn!(%error, "a connection could not be served");
    if let Some(lane) = door.lane.as_ref().filter(|_| door.is_plain()) {
        // Where it cannot be watched, the client sees it close.
        return match tcp.watch() {
            Ok(tcp) => connection::serve_tcp(lane, app, tcp, peer, greeting, &door.limits, stopping).await,
            Err(error) => could_not(error),
        };
    }
    let tcp = match tcp.into_tcp() {
        Ok(tcp) => tcp,
        Err(error) => return could_not(error),
    };
    // In boxes, so that a plain connection, which needs none of this, is not as large as one that does.
    listen::send_at_once(&tcp);
    let received = match &door.tls {
        Some(tls) => Box::pin(tls.accept(tcp, peer, metrics)).await,
        None if !door.h2c => Some(Received::Http1(connection::plain(tcp, peer, &[]))),
        None => Box::pin(detect(tcp, peer, &door.limits.now())).await,
    };
    match received {
        Some(Received::Http1(stream)) => {
            Box::pin(connection::serve(door.lane.as_ref(), app, stream, peer, &door.limits, stopping)).await;
        }
        Some(Received::Http2(stream, push)) => {
            Box::pin(http2::serve(door.lane.as_ref(), app, stream, push, peer, &door.limits, stopping)).await;
        }
        None => {}
    }
}

/// Reads until the first bytes tell the two protocols apart, and puts them back.
async fn detect(mut tcp: TcpStream, peer: SocketAddr, limits: &Limits) -> Option<Received> {
    let mut first = [0; PREFACE.len()];
    let mut read = 0;
    let reading = async {
        while read < first.len() && first[..read] == PREFACE[..read] {
            match tcp.read(&mut first[read..]).await {
                Ok(0) | Err(_) => return None,
                Ok(more) => read += more,
            }
        }
        Some(())
    };
    tokio::time::timeout(limits.head_timeout, reading).await.ok()??;
    if first != *PREFACE {
        return Some(Received::Http1(connection::plain(tcp, peer, &first[..read])));
    }
    let (tcp, push) = Gathered::new(tcp);
    Some(Received::Http2(Box::new(Transport::new(tcp.read_again(PREFACE), peer)), push))
}
