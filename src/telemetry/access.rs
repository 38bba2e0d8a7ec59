//! The access event: one for each request, made from the outcome that also makes `Cache-Status` and
//! the metrics. It holds no cookie and no credential; of the header it holds `Host`, `User-Agent` and what the
//! request is called in `X-Request-Id` and `traceparent`.

mod target;

use super::ids;
use crate::config::{AccessLog, Log};
use crate::policy::RequestId;
use crate::policy::outcome::{Forwarded, Outcome, Served};
use std::net::IpAddr;
use std::time::Duration;
use tracing::info;

/// Bytes of a host that are logged.
const MAX_HOST: usize = 260;

/// Bytes of a method that are logged.
const MAX_METHOD: usize = 32;

/// Bytes of a `User-Agent` that are logged.
const MAX_AGENT: usize = 256;

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct AccessEvent<'a> {
    /// What the request is called.
    pub id: &'a RequestId,
    /// Who sent it: the peer, or behind a trusted proxy that one's client.
    pub client: IpAddr,
    /// `HTTP/1.1`, `HTTP/2.0`, …
    pub protocol: &'static str,
    /// As sent.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host asked for; empty where there was none.
    pub host: &'a [u8],
    /// The request-target as sent.
    pub target: &'a [u8],
    /// `User-Agent`; empty where there was none.
    pub agent: &'a [u8],
    /// `traceparent`, where there was one.
    pub traceparent: Option<&'a [u8]>,
    /// The route's name; empty where no route matched.
    pub route: &'a str,
    /// The status the client got; 0 where it had gone before.
    pub status: u16,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// Bytes of the request's body that were read.
    pub received: u64,
    /// Bytes of the response's body that were sent.
    pub bytes: u64,
    /// How long it took.
    pub times: Times,
}

/// How long the parts of a request took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// From the request's head to the end of its answer.
    pub total: Duration,
    /// From the request's head to the answer's.
    pub first_byte: Option<Duration>,
    /// Of that: how long the origin took, or the render that was waited for, until the head of its answer.
    pub origin: Option<Duration>,
}

/// Whether this request has an event: all that failed do, where the file asks for a share.
pub fn is_wanted(log: &Log, outcome: &Outcome, status: u16) -> bool {
    match log.access {
        AccessLog::Off => false,
        AccessLog::On => true,
        AccessLog::Sampled(share) => outcome.served == Served::Failed || status >= 500 || ids::is_hit(share),
    }
}

impl AccessEvent<'_> {
    /// Logs it, without what `log` keeps out.
    pub fn emit(&self, log: &Log) {
        let outcome = self.outcome;
        let (path, query) = target::path_and_query(self.target, &log.redact);
        info!(
            target: "breadbox::access",
            id = self.id.as_str(),
            client = %self.client,
            protocol = self.protocol,
            method = cut(self.method.as_bytes(), MAX_METHOD),
            scheme = self.scheme,
            host = cut(self.host, MAX_HOST),
            path,
            query,
            route = self.route,
            status = self.status,
            served = outcome.served.as_str(),
            fwd = outcome.forwarded.map(Forwarded::as_str),
            fwd_status = outcome.fwd_status,
            stored = outcome.stored,
            collapsed = outcome.collapsed,
            detail = outcome.detail,
            received = self.received,
            bytes = self.bytes,
            duration_ms = milliseconds(self.times.total),
            first_byte_ms = self.times.first_byte.map(milliseconds),
            origin_ms = self.times.origin.map(milliseconds),
            agent = cut(self.agent, MAX_AGENT),
            trace = self.traceparent.and_then(trace_id),
            "request"
        );
    }
}

/// A path as it is logged: without the values of secret parameters, and cut where it is too long.
pub fn loggable_path(path: &str, log: &Log) -> String {
    target::path_and_query(path.as_bytes(), &log.redact).0
}

/// The first bytes as text; `None` where there is nothing.
fn cut(bytes: &[u8], most: usize) -> Option<String> {
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

/// The trace of a `traceparent` (W3C Trace Context §3.2): 32 hexadecimal digits that are not all 0.
fn trace_id(traceparent: &[u8]) -> Option<&str> {
    let [version, trace, ..] = std::str::from_utf8(traceparent).ok()?.split('-').collect::<Vec<_>>()[..] else {
        return None;
    };
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_trace = trace.len() == 32 && is_hex(trace) && trace.bytes().any(|byte| byte != b'0');
    (version.len() == 2 && is_hex(version) && version != "ff" && is_trace).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_is_read_from_a_traceparent_that_is_one() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_id(format!("00-{trace}-00f067aa0ba902b7-01").as_bytes()), Some(trace));
        assert_eq!(trace_id(format!("cc-{trace}-00f067aa0ba902b7-01-what").as_bytes()), Some(trace));
        let nothing = "0".repeat(32);
        let upper = trace.to_uppercase();
        for other in ["", "00", trace, &format!("ff-{trace}-1"), &format!("00-{nothing}-1"), &format!("00-{upper}-1")] {
            assert_eq!(trace_id(other.as_bytes()), None, "{other}");
        }
        assert_eq!(trace_id(b"\xff-\xff"), None);
    }
}
