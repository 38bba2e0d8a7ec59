//! What can go wrong between Breadbox and an origin: a closed set, with a word for metrics, a status
//! for the client (RFC 9110 §15.6.3, §15.6.5) and a sentence for the operator that no client sees.

use http::StatusCode;
use pingora::{Error as PingoraError, ErrorType};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Bytes of a reason in a message: what an origin sent must not fill the log.
const LONGEST_REASON: usize = 200;

/// Why a request got no whole answer from an origin.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OriginError {
    /// The server's name has no address.
    #[error("the name of the server {server} does not resolve: {reason}")]
    Resolve {
        /// The server, as `host[:port]`.
        server: Arc<str>,
        /// What the resolver says.
        reason: String,
    },
    /// No connection.
    #[error("cannot connect to the server {server}: {reason}")]
    Connect {
        /// The server.
        server: Arc<str>,
        /// What the system says.
        reason: String,
    },
    /// No TLS: no handshake, or a certificate that does not verify.
    #[error("no TLS with the server {server}: {reason}")]
    Tls {
        /// The server.
        server: Arc<str>,
        /// What went wrong.
        reason: String,
    },
    /// Resolving or connecting took too long.
    #[error("the server {server} could not be connected to within {limit:?} (`connect_timeout`)")]
    TimeoutConnect {
        /// The server.
        server: Arc<str>,
        /// `connect_timeout`.
        limit: Duration,
    },
    /// The head of the answer took too long.
    #[error("the server {server} did not answer within {limit:?} (`first_byte_timeout`)")]
    TimeoutFirstByte {
        /// The server.
        server: Arc<str>,
        /// `first_byte_timeout`.
        limit: Duration,
    },
    /// The body stopped coming.
    #[error("the server {server} sent nothing of its answer's body for {limit:?} (`between_bytes_timeout`)")]
    TimeoutBody {
        /// The server.
        server: Arc<str>,
        /// `between_bytes_timeout`.
        limit: Duration,
    },
    /// The connection died before any byte of an answer.
    #[error("the server {server} closed the connection without an answer: {reason}")]
    Reset {
        /// The server.
        server: Arc<str>,
        /// How it ended.
        reason: String,
    },
    /// The connection ended before the answer did.
    #[error("the answer of the server {server} is not complete: {reason}")]
    Truncated {
        /// The server.
        server: Arc<str>,
        /// How it ended.
        reason: String,
    },
    /// What came is not HTTP.
    #[error("the answer of the server {server} is not valid HTTP/1.1: {reason}")]
    Garbled {
        /// The server.
        server: Arc<str>,
        /// What is wrong with it.
        reason: String,
    },
    /// The request cannot be written as HTTP/1.1; nothing was sent.
    #[error("the request cannot be sent: {reason}")]
    Unsendable {
        /// What is wrong with it.
        reason: String,
    },
}

impl OriginError {
    /// The values of [`kind`](OriginError::kind), for metrics that exist before they happen.
    pub const KINDS: [&'static str; 10] = [
        "resolve",
        "connect",
        "tls",
        "timeout_connect",
        "timeout_first_byte",
        "timeout_body",
        "reset",
        "truncated",
        "garbled",
        "unsendable",
    ];

    /// The label value.
    pub const fn kind(&self) -> &'static str {
        match self {
            OriginError::Resolve { .. } => "resolve",
            OriginError::Connect { .. } => "connect",
            OriginError::Tls { .. } => "tls",
            OriginError::TimeoutConnect { .. } => "timeout_connect",
            OriginError::TimeoutFirstByte { .. } => "timeout_first_byte",
            OriginError::TimeoutBody { .. } => "timeout_body",
            OriginError::Reset { .. } => "reset",
            OriginError::Truncated { .. } => "truncated",
            OriginError::Garbled { .. } => "garbled",
            OriginError::Unsendable { .. } => "unsendable",
        }
    }

    /// What a client is told: 504 for a timeout, 502 for the rest.
    pub const fn status(&self) -> StatusCode {
        match self {
            OriginError::TimeoutConnect { .. }
            | OriginError::TimeoutFirstByte { .. }
            | OriginError::TimeoutBody { .. } => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether no connection came about, so that the request was not sent and another server may get it.
    pub const fn is_unreachable(&self) -> bool {
        matches!(
            self,
            OriginError::Resolve { .. }
                | OriginError::Connect { .. }
                | OriginError::Tls { .. }
                | OriginError::TimeoutConnect { .. }
        )
    }

    pub(super) fn garbled(server: &Arc<str>, reason: &str) -> Self {
        OriginError::Garbled { server: server.clone(), reason: reason.to_owned() }
    }

    /// While connecting.
    pub(super) fn in_connect(server: &Arc<str>, error: &PingoraError, limit: Duration) -> Self {
        let server = server.clone();
        match error.etype {
            ErrorType::ConnectTimedout => OriginError::TimeoutConnect { server, limit },
            ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::TLSWantX509Lookup => {
                OriginError::Tls { server, reason: reason(error) }
            }
            _ => OriginError::Connect { server, reason: reason(error) },
        }
    }

    /// While sending the request or reading a head, behind `informational` complete ones.
    pub(super) fn in_head(server: &Arc<str>, error: &PingoraError, informational: usize) -> Self {
        let (server, why) = (server.clone(), reason(error));
        match error.etype {
            ErrorType::WriteError | ErrorType::WriteTimedout => OriginError::Reset { server, reason: why },
            ErrorType::ConnectionClosed | ErrorType::ReadError if informational == 0 && nothing_was_read(error) => {
                OriginError::Reset { server, reason: why }
            }
            ErrorType::ConnectionClosed | ErrorType::ReadError => OriginError::Truncated { server, reason: why },
            _ => OriginError::Garbled { server, reason: why },
        }
    }

    /// While reading a body.
    pub(super) fn in_body(server: &Arc<str>, error: &PingoraError, limit: Duration) -> Self {
        let server = server.clone();
        match error.etype {
            ErrorType::ReadTimedout => OriginError::TimeoutBody { server, limit },
            ErrorType::ConnectionClosed | ErrorType::ReadError => {
                OriginError::Truncated { server, reason: reason(error) }
            }
            _ => OriginError::Garbled { server, reason: reason(error) },
        }
    }
}

/// Whether an error of pingora's head reader came before the first byte. It says so in words only; a
/// test notices when the words change, and then a request is not sent again rather than once too often.
fn nothing_was_read(error: &PingoraError) -> bool {
    error.context.as_ref().is_some_and(|context| context.as_str().ends_with("bytes already read: 0"))
}

/// The innermost cause, cut to a bound. Not the contexts around it: they quote what the origin sent,
/// cookies and all.
fn reason(error: &PingoraError) -> String {
    let mut reason = match (&error.cause, &error.context) {
        (Some(_), _) => error.root_cause().to_string(),
        (None, Some(context)) => context.as_str().to_owned(),
        (None, None) => error.etype.as_str().to_owned(),
    };
    if reason.len() > LONGEST_REASON {
        reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
        reason.push('…');
    }
    reason
}
