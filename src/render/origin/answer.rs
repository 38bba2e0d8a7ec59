//! An origin's answer while it arrives: its head, and a body of which it is known whether it is whole.
//!
//! `None` from [`Answer::chunk`] means that every byte the framing promised has come (RFC 9112 §6.3, §8). A
//! connection goes back to the pool at that moment, if it may; an answer that is dropped before closes its own.

use super::error::OriginError;
use crate::policy::Fields;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Version};
use pingora::connectors::TransportConnector;
use pingora::http::ResponseHeader;
use pingora::protocols::http::v1::client::HttpSession;
use std::sync::Arc;
use std::time::Duration;

/// A 1xx head that came before the answer (RFC 9110 §15.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Informational {
    /// 100, 102, 103, …; never 101.
    pub status: StatusCode,
    /// Its fields.
    pub fields: Fields,
}

/// How the end of a body is known (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By `Content-Length`; in bytes.
    Length(u64),
    /// By the last chunk.
    Chunked,
    /// By the end of the connection: complete if it ended cleanly, with a FIN and under TLS a `close_notify`.
    UntilClose,
    /// There is none, whatever the fields say: the answer to a HEAD, a 204, a 304.
    None,
}

/// An answer whose head has come.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// HTTP/1.0 or 1.1.
    pub version: Version,
    /// Its fields, hop-by-hop ones included, repeated ones in order. pingora takes off a `Content-Length` that
    /// stands beside a `Transfer-Encoding`.
    pub fields: Fields,
    /// How its body ends.
    pub framing: Framing,
    /// The 1xx heads before it; at most 16.
    pub informational: Vec<Informational>,
    body: Body,
}

enum Body {
    Coming(Box<Connection>),
    Complete,
    Failed(OriginError),
}

/// A connection with an answer on it.
pub(super) struct Connection {
    pub(super) session: HttpSession,
    pub(super) connector: Arc<TransportConnector>,
    pub(super) reuse_hash: u64,
    /// How long it may be idle afterwards; `None` closes it.
    pub(super) keep_for: Option<Duration>,
    pub(super) between_bytes_timeout: Duration,
    pub(super) server: Arc<str>,
}

impl Answer {
    /// Takes over a connection whose final head has been read.
    pub(super) async fn begin(
        connection: Connection,
        method: &Method,
        informational: Vec<Informational>,
    ) -> Result<Self, OriginError> {
        let head = connection.session.resp_header().expect("the head has been read");
        let framing = framing(method, head).map_err(|reason| OriginError::garbled(&connection.server, reason))?;
        let mut answer = Answer {
            status: head.status,
            version: head.version,
            fields: Fields::from(&head.headers),
            framing,
            informational,
            body: Body::Coming(Box::new(connection)),
        };
        if matches!(framing, Framing::None | Framing::Length(0)) {
            answer.complete().await;
        }
        Ok(answer)
    }

    /// The next bytes of the body, never empty; `None` when it is complete. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`OriginError::Truncated`], [`OriginError::Garbled`], [`OriginError::TimeoutBody`]; the same again when
    /// asked again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, OriginError> {
        loop {
            let connection = match &mut self.body {
                Body::Coming(connection) => connection,
                Body::Complete => return Ok(None),
                Body::Failed(error) => return Err(error.clone()),
            };
            let bytes = match connection.session.read_body_bytes().await {
                Ok(bytes) => bytes,
                Err(error) => {
                    let error = OriginError::in_body(&connection.server, &error, connection.between_bytes_timeout);
                    self.body = Body::Failed(error);
                    continue;
                }
            };
            // pingora's reader is also done after an error, but that has been returned above.
            if bytes.is_none() || connection.session.is_body_done() {
                self.complete().await;
            }
            if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
                return Ok(Some(bytes));
            }
        }
    }

    /// Gives the connection back, or closes it. It does not wait, though it is async like pingora's own:
    /// `reuse` waits only to shut down a connection that cannot be kept, and those are dropped here.
    async fn complete(&mut self) {
        let Body::Coming(connection) = std::mem::replace(&mut self.body, Body::Complete) else { return };
        let Connection { mut session, connector, reuse_hash, keep_for, .. } = *connection;
        let Some(keep_for) = keep_for else { return };
        session.respect_keepalive();
        if !session.will_keepalive() {
            return;
        }
        if let Some(stream) = session.reuse().await {
            connector.release_stream(stream, reuse_hash, Some(keep_for));
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the fields: there may be cookies among them.
        f.debug_struct("Answer").field("status", &self.status).field("framing", &self.framing).finish_non_exhaustive()
    }
}

fn framing(method: &Method, head: &ResponseHeader) -> Result<Framing, &'static str> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err("it switches protocols without having been asked");
    }
    if *method == Method::HEAD || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::None);
    }
    if head.headers.contains_key(TRANSFER_ENCODING) {
        return transfer_coded(head);
    }
    match head.headers.get(CONTENT_LENGTH) {
        Some(_) => length(&head.headers).map(Framing::Length).ok_or("its Content-Length is not a number"),
        None => Ok(Framing::UntilClose),
    }
}

/// Transfer codings that somebody could have applied (RFC 9112 §7.2, §7.3).
const CODINGS: [&[u8]; 7] = [b"chunked", b"compress", b"deflate", b"gzip", b"identity", b"x-compress", b"x-gzip"];

/// Only `chunked` by itself: no other transfer coding was asked for (RFC 9112 §7), and HTTP/1.0 has none (§6.1).
/// A single word that is no coding of anybody's changed nothing about the body, which then ends with
/// the connection (§6.3).
fn transfer_coded(head: &ResponseHeader) -> Result<Framing, &'static str> {
    if head.version != Version::HTTP_11 {
        return Err("it has a Transfer-Encoding and is not HTTP/1.1");
    }
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).into_iter();
    match (codings.next(), codings.next()) {
        (Some(coding), None) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        (Some(coding), None) if is_no_coding(coding.as_bytes().trim_ascii()) => Ok(Framing::UntilClose),
        _ => Err("its Transfer-Encoding is not chunked"),
    }
}

fn is_no_coding(word: &[u8]) -> bool {
    let plain = !word.is_empty() && word.iter().all(u8::is_ascii_alphanumeric);
    plain && !CODINGS.iter().any(|coding| word.eq_ignore_ascii_case(coding))
}

/// pingora has refused lists of different numbers, so the first of a list is as good as all.
fn length(fields: &HeaderMap) -> Option<u64> {
    let value = fields.get(CONTENT_LENGTH)?.to_str().ok()?;
    value.split(',').next()?.trim().parse().ok()
}
