//! TLS on a listener (rustls): the handshake, within its time and with so many at once, and the
//! certificates, which can be replaced while it serves.
//!
//! What comes out is a connection in the protocol that was agreed on (RFC 7301); who serves it does not
//! know the handshake.

mod certificates;

use super::farewell;
use super::gather::{Gathered, Push};
use super::receive::Received;
use super::transport::Transport;
use crate::config::{Certificate, Listener};
use crate::metrics::{HandshakeFailure, HandshakeKind, Metrics, TlsVersion};
use certificates::Certificates;
use rustls::crypto::ring;
use rustls::server::ServerSessionMemoryCache;
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, ServerConfig};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// ALPN of HTTP/2 (RFC 9113 §3.1).
const H2: &[u8] = b"h2";

/// TLS 1.2 sessions of clients that know no tickets; everybody else carries a ticket of ours.
const SESSIONS: usize = 1024;

/// For a browser that was pointed at the wrong scheme.
const TO_PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 39\r\n\
    Connection: close\r\n\r\nThis port speaks HTTPS; use https://.\r\n";

/// The TLS side of one listener.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    certificates: Arc<Certificates>,
    handshakes: Semaphore,
    timeout: Duration,
}

impl Tls {
    /// What this listener needs; nothing where it speaks no TLS.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(crate) fn of(listener: &Listener) -> io::Result<Option<Arc<Tls>>> {
        if listener.tls.is_empty() {
            return Ok(None);
        }
        let certificates = Arc::new(Certificates::default());
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificates) as _);
        config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
        config.ticketer = ring::Ticketer::new().map_err(io::Error::other)?;
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        let tls = Tls {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificates,
            handshakes: Semaphore::new(listener.limits.max_handshakes.get()),
            timeout: listener.limits.handshake_timeout,
        };
        tls.replace(&listener.tls);
        Ok(Some(Arc::new(tls)))
    }

    /// From the next handshake on these certificates are shown, the default one first.
    pub(crate) fn replace(&self, certificates: &[Certificate]) {
        self.certificates.replace(certificates);
    }

    /// Shakes hands, or counts why not.
    pub(super) async fn accept(&self, tcp: TcpStream, peer: SocketAddr, metrics: &Metrics) -> Option<Received> {
        let mut has_turn = false;
        let accepted = tokio::time::timeout(self.timeout, self.shake_hands(tcp, &mut has_turn)).await;
        let reason = match accepted {
            Ok(Ok((stream, push))) => {
                let (_, session) = stream.get_ref();
                metrics.handshake(version(session.protocol_version()), kind(session.handshake_kind()));
                let is_http2 = session.alpn_protocol() == Some(H2);
                let transport = Box::new(Transport::new(stream, peer));
                return Some(if is_http2 { Received::Http2(transport, push) } else { Received::Http1(transport) });
            }
            Ok(Err(reason)) => reason,
            Err(_) if has_turn => HandshakeFailure::Timeout,
            Err(_) => HandshakeFailure::Busy,
        };
        metrics.handshake_failed(reason);
        tracing::debug!(reason = reason.as_str(), "a TLS handshake was not finished");
        None
    }

    async fn shake_hands(
        &self,
        mut tcp: TcpStream,
        has_turn: &mut bool,
    ) -> Result<(TlsStream<Gathered>, Push), HandshakeFailure> {
        let _turn = self.handshakes.acquire().await.map_err(|_| HandshakeFailure::Other)?;
        *has_turn = true;
        let mut first = [0];
        match tcp.peek(&mut first).await {
            Ok(0) | Err(_) => return Err(HandshakeFailure::Closed),
            // A handshake begins with 22; a method with a letter.
            Ok(_) if first[0].is_ascii_uppercase() => {
                // A client that does not wait for the answer misses nothing else.
                let _ = tcp.write_all(TO_PLAIN_HTTP).await;
                farewell::end(&mut tcp).await;
                return Err(HandshakeFailure::PlainHttp);
            }
            Ok(_) => {}
        }
        let (tcp, push) = Gathered::new(tcp);
        let stream = self.acceptor.accept(tcp).await.map_err(|error| reason(&error))?;
        Ok((stream, push))
    }
}

fn version(version: Option<ProtocolVersion>) -> TlsVersion {
    match version {
        Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
        _ => TlsVersion::Tls13,
    }
}

fn kind(kind: Option<rustls::HandshakeKind>) -> HandshakeKind {
    match kind {
        Some(rustls::HandshakeKind::Resumed) => HandshakeKind::Resumed,
        _ => HandshakeKind::Full,
    }
}

fn reason(error: &io::Error) -> HandshakeFailure {
    use rustls::Error as Tls;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>()) {
        Some(Tls::InvalidMessage(_) | Tls::InappropriateMessage { .. }) => HandshakeFailure::Malformed,
        Some(Tls::PeerIncompatible(_) | Tls::NoApplicationProtocol) => HandshakeFailure::Incompatible,
        Some(Tls::AlertReceived(_)) => HandshakeFailure::Refused,
        Some(_) => HandshakeFailure::Other,
        None => HandshakeFailure::Closed,
    }
}
