//! The hit lane over HTTP/2 (RFC 9113): the requests of streams, answered here as far as they are hits. What a
//! stream's request is, pingora has read; what it is answered with is decided and written as for every other.

use super::answer::{self, Arrival, Hit};
use super::request::{self, Plain};
use super::{Lane, turn};
use crate::front::listen::Recent;
use crate::front::{head_http2, respond};
use crate::policy::key::KeyBuffer;
use crate::policy::request_fields::Lines;
use crate::policy::{RequestFields, Timestamp, freshness, validation};
use crate::render::Setup;
use crate::telemetry::access::{self, Times};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use httparse::Header;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::v2::server::HttpSession;
use smallvec::SmallVec;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Fields of most requests.
const USUAL_FIELDS: usize = 24;

/// The streams of one connection.
pub(in crate::front) struct Streams<'a> {
    lane: &'a Lane,
    limits: Recent,
    peer: IpAddr,
    key: KeyBuffer,
}

/// An answer whose head was written.
pub(in crate::front) struct Answering {
    setup: Arc<Setup>,
    arrival: Arrival,
    started: Instant,
    first_byte: Duration,
    hit: Hit,
}

impl<'a> Streams<'a> {
    /// Of a connection from `peer`.
    pub(in crate::front) fn new(lane: &'a Lane, peer: IpAddr) -> Self {
        Streams { lane, limits: lane.limits.recent(), peer, key: KeyBuffer::default() }
    }

    /// Begins the answer to a request, if it is a hit.
    pub(in crate::front) fn begin(&mut self, session: &mut HttpSession) -> Option<Answering> {
        if !session.is_body_empty() {
            return None;
        }
        if session.req_header().headers.get_all(header::COOKIE).iter().nth(1).is_some() {
            head_http2::settle(session.req_header_mut()).ok()?;
        }
        let started = Instant::now();
        let engine = &self.lane.engine;
        let setup = engine.setup_now();
        let arrival = Arrival { scheme: self.lane.scheme, peer: self.peer, now: engine.time_of(started) };
        let mut written = None;
        let hit = {
            let lines = lines(session.req_header());
            if lines.len() > self.limits.now().max_headers {
                return None;
            }
            let request = plain(session.req_header(), &lines)?;
            let write = |hit: &Hit| {
                written = Some(head_of(hit, arrival.now)?);
                Some(())
            };
            answer::hit(engine, &setup, arrival, &request, &mut self.key, write)?.0
        };
        // A client that has gone is counted all the same: it was answered.
        let _ = session.write_response_header(Box::new(written?), hit.body().is_empty());
        Some(Answering { setup: Arc::clone(&setup), arrival, started, first_byte: started.elapsed(), hit })
    }
}

impl Answering {
    /// Sends the body, as fast as the client takes it, and counts the answer.
    pub(in crate::front) async fn finish(self, mut session: Box<HttpSession>) {
        let mut body =
            if self.hit.body().is_empty() { Bytes::new() } else { self.hit.shared_body().unwrap_or_default() };
        while !body.is_empty() {
            let (piece, time) = respond::next_piece(&mut body);
            session.set_write_timeout(Some(time));
            // A client that has gone cannot be told.
            if session.write_body(piece, body.is_empty()).await.is_err() {
                break;
            }
        }
        self.record(session.req_header());
    }

    fn record(&self, head: &RequestHeader) {
        let Answering { setup, hit, .. } = self;
        let total = self.started.elapsed();
        let bytes = hit.body().len() as u64;
        setup.metrics.request(Some(hit.route), &hit.outcome, bytes, total);
        if access::is_wanted(&setup.config.log, &hit.outcome, hit.status.as_u16()) {
            let lines = lines(head);
            if let Some(request) = plain(head, &lines) {
                let times = Times { total, first_byte: Some(self.first_byte), origin: None };
                turn::log(setup, "HTTP/2.0", &self.arrival.incoming(&request), hit, bytes, times);
            }
        }
    }
}

/// The fields as lines, with the authority as `Host` where there is none.
fn lines(head: &RequestHeader) -> SmallVec<[Header<'_>; USUAL_FIELDS]> {
    let fields = head.headers.iter().map(|(name, value)| Header { name: name.as_str(), value: value.as_bytes() });
    let authority = head.uri.authority().filter(|_| !head.headers.contains_key(header::HOST));
    let host = authority.map(|authority| Header { name: "host", value: authority.as_str().as_bytes() });
    fields.chain(host).collect()
}

/// The request, where it is one that the lane takes.
fn plain<'a>(head: &'a RequestHeader, lines: &'a [Header<'a>]) -> Option<Plain<'a>> {
    let method = match head.method {
        Method::GET => &request::GET,
        Method::HEAD => &request::HEAD,
        _ => return None,
    };
    let fields = RequestFields::Lines(Lines::new(lines));
    let target = head.raw_path();
    (target.starts_with(b"/") && request::is_plain_without_trailers(fields)).then_some(Plain {
        method,
        target,
        fields,
        keeps_alive: true,
        len: 0,
    })
}

/// The head of the answer.
fn head_of(hit: &Hit, now: Timestamp) -> Option<ResponseHeader> {
    let (page, one) = (&hit.page, hit.representation()?);
    let fields = page.fields_of(one);
    let is_whole = hit.status != StatusCode::NOT_MODIFIED;
    let fields = if is_whole { fields } else { validation::not_modified_fields(&fields) };
    let head = ResponseHeader::build_no_case(hit.status, Some(fields.len() + respond::OWN_FIELDS)).ok()?;
    let age = freshness::age(&page.lifetime, now);
    let mut id = hit.id.header_value();
    // Of no use in the compression's table, where it would take the place of what comes again (RFC 7541 §6.2.3).
    id.set_sensitive(true);
    let mut head = respond::with_fields(head, &fields, Some(age), &hit.outcome, now, id).ok()?;
    if is_whole {
        head.insert_header(header::CONTENT_LENGTH, one.len).ok()?;
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_takes_trailers_is_answered_in_the_lane() {
        // Firefox says so with every request over HTTP/2.
        let mut head = RequestHeader::build("GET", b"/p", None).expect("a request");
        head.insert_header("te", "trailers").expect("a field");
        assert!(plain(&head, &lines(&head)).is_some());
        head.insert_header("trailer", "x").expect("a field");
        assert!(plain(&head, &lines(&head)).is_none());
    }
}
