//! Decides whether a request is a hit, by the policy that decides for every other request, and writes the
//! head of its answer over HTTP/1. All of a hit that is not I/O is here; once a connection and its page are warm
//! it allocates nothing, and nothing that it writes is shared with another thread but where threads meet
//! anyway.

use super::request::Plain;
use crate::config::{RouteId, Scheme};
use crate::front::question::{Question, Seen, Starter};
use crate::policy::admission::{Incoming, Judged, Sought, judge};
use crate::policy::encoding::{self, Coding, Representation, WireHead};
use crate::policy::fallback::{Audience, cookie};
use crate::policy::key::KeyBuffer;
use crate::policy::lookup::Verdict;
use crate::policy::outcome::{Outcome, Served};
use crate::policy::request_fields::Known;
use crate::policy::validation::{self, Precondition};
use crate::policy::{Fields, Page, RequestId, Timestamp, cache_status, date, draft, freshness};
use crate::render::{Engine, Setup};
use crate::store::Loan;
use crate::telemetry::ids;
use bytes::Bytes;
use http::{HeaderName, Method, StatusCode};
use pingora::http::ResponseHeader;
use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;

static COOKIE: Known = Known::new("cookie");
static RANGE: Known = Known::new("range");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// A hit.
pub(super) struct Hit {
    pub(super) page: Loan,
    coding: Coding,
    pub(super) route: RouteId,
    pub(super) outcome: Outcome,
    pub(super) status: StatusCode,
    /// Whether the body follows the head.
    has_body: bool,
    /// What the request is called.
    pub(super) id: RequestId,
}

impl Hit {
    /// What follows the head.
    pub(super) fn body(&self) -> &[u8] {
        if !self.has_body {
            return &[];
        }
        self.representation().and_then(|one| one.body.as_deref()).unwrap_or_default()
    }

    /// The same, to be kept.
    pub(super) fn shared_body(&self) -> Option<Bytes> {
        self.representation().and_then(|one| one.body.clone())
    }

    /// What is sent, or would be.
    pub(super) fn representation(&self) -> Option<&Representation> {
        self.page.representations.get(self.coding)
    }
}

/// Whom a request is from, and when it came.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    pub(super) scheme: Scheme,
    pub(super) peer: IpAddr,
    pub(super) now: Timestamp,
}

impl Arrival {
    /// The request as policy sees it.
    pub(super) fn incoming<'a>(&self, request: &Plain<'a>) -> Incoming<'a> {
        Incoming {
            method: request.method,
            target: request.target,
            headers: request.fields,
            listener_scheme: self.scheme,
            peer: self.peer,
        }
    }
}

/// Room for most heads of answers.
const HEAD_ROOM: usize = 1024;

/// What a connection needs to find hits, kept from request to request.
pub(super) struct Scratch {
    pub(super) key: KeyBuffer,
    /// The head of the answer.
    pub(super) head: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch { key: KeyBuffer::default(), head: Vec::with_capacity(HEAD_ROOM) }
    }
}

/// Answers a request where it is a hit: a refresh that is due was started. `write` writes the head, unless the
/// answer is none that the lane gives.
pub(super) fn hit(
    engine: &Arc<Engine>,
    setup: &Arc<Setup>,
    arrival: Arrival,
    request: &Plain<'_>,
    key: &mut KeyBuffer,
    write: impl FnOnce(&Hit) -> Option<()>,
) -> Option<Hit> {
    // Whoever was shown a fallback is counted when the page comes, and his cookie taken out: not a plain hit.
    let waits = |field: &[u8]| memchr::memmem::find(field, cookie::NAME.as_bytes()).is_some();
    let sent_cookie = request.fields.has(&COOKIE);
    if sent_cookie && request.fields.all(&COOKIE).any(waits) {
        return None;
    }
    let incoming = arrival.incoming(request);
    let Judged::Lookup(sought) = judge(&setup.config, &setup.routes, &incoming, key) else { return None };
    if sent_cookie && draft::is_draft(setup.config.admin.token.as_deref(), request.fields, arrival.now) {
        return None;
    }
    let question = Question {
        engine,
        setup,
        route_id: sought.route,
        origin: sought.origin(),
        key: sought.key(),
        headers: encoding::fields_of_render(setup.route(sought.route), request.fields),
        directives: Question::directives(setup.route(sought.route), request.fields),
        // Whoever is shown a fallback is no hit.
        audience: Audience::Waits,
    };
    let mut seen = match question.look_for_page() {
        Some(seen) => seen,
        None => question.look_again()?,
    };
    let verdict = question.decide(&seen, arrival.now);
    let served = match verdict {
        Verdict::Fresh => Served::Hit,
        Verdict::Stale(_) => Served::StaleHit,
        _ => return None,
    };
    let hit = answer(seen.page.take()?, served, &sought, arrival, request)?;
    write(&hit)?;
    hit.page.note_use(hit.representation()?);
    engine.store.count_use(sought.key(), Some(&hit.page));
    if let Verdict::Stale(refresh) = verdict
        && question.refreshes(refresh)
    {
        seen.page = Some(hit.page.clone());
        start_refresh(&question, &seen, verdict, setup, &sought, &incoming, arrival.now, sent_cookie, &hit.id);
    }
    Some(hit)
}

#[expect(clippy::too_many_arguments, reason = "all that is known of the request, and used once")]
#[cold]
fn start_refresh(
    question: &Question<'_>,
    seen: &Seen,
    verdict: Verdict,
    setup: &Arc<Setup>,
    sought: &Sought<'_, '_>,
    incoming: &Incoming<'_>,
    now: Timestamp,
    sent_cookie: bool,
    id: &RequestId,
) {
    question.refresh(seen, verdict, now, || {
        let wanted = sought.wanted(&setup.config, incoming);
        question.order(seen, Arc::clone(setup), &Starter { wanted: &wanted, id: Some(id), sent_cookie })
    });
}

/// What the answer is; nothing where it is none that the lane gives.
fn answer(page: Loan, served: Served, sought: &Sought<'_, '_>, arrival: Arrival, request: &Plain<'_>) -> Option<Hit> {
    let fields = request.fields;
    if fields.has(&RANGE) || (page.status.is_redirection() && sought.has_tracking()) {
        return None;
    }
    let one = encoding::select(fields, &page);
    one.body.as_ref().filter(|body| !body.is_empty())?;
    let etag = one.etag.as_ref();
    let born = page.lifetime.born;
    let status = match validation::evaluate(request.method, fields, page.status, &page.fields, etag, born) {
        Precondition::Proceed => page.status,
        Precondition::NotModified => StatusCode::NOT_MODIFIED,
        Precondition::Failed => return None,
    };
    let (coding, outcome) = (one.coding, Outcome::of_hit(served, &page.lifetime, arrival.now));
    Some(Hit {
        page,
        coding,
        route: sought.route,
        outcome,
        status,
        has_body: status != StatusCode::NOT_MODIFIED && *request.method != Method::HEAD,
        id: RequestId::sent(fields).unwrap_or_else(ids::fresh),
    })
}

/// Writes the head of a hit over HTTP/1; nothing where it cannot be made of pieces.
pub(super) fn write_head(hit: &Hit, now: Timestamp, keeps_alive: bool, head: &mut Vec<u8>) -> Option<()> {
    let (page, one) = (&hit.page, hit.representation()?);
    let wire = page.representations.wire_head(one, || wire_head(page, one))?;
    let is_whole = hit.status != StatusCode::NOT_MODIFIED;
    head.clear();
    head.extend_from_slice(if is_whole { &wire.whole } else { &wire.not_modified });
    let age = freshness::age(&page.lifetime, now);
    head.extend_from_slice(b"Age: ");
    head.extend_from_slice(itoa::Buffer::new().format(age).as_bytes());
    head.extend_from_slice(b"\r\ncache-status: ");
    cache_status::write_member(&hit.outcome, now, head);
    head.extend_from_slice(b"\r\nx-request-id: ");
    head.extend_from_slice(hit.id.as_bytes());
    head.extend_from_slice(b"\r\n");
    if is_whole {
        head.extend_from_slice(&wire.length);
    }
    if !wire.is_dated {
        write_date(now, head);
    }
    let connection: &[u8] = if keeps_alive { b"Connection: keep-alive\r\n\r\n" } else { b"Connection: close\r\n\r\n" };
    head.extend_from_slice(connection);
    Some(())
}

/// The head of every whole answer with this representation; none where a request's own part would not stand
/// behind the rest.
#[cold]
fn wire_head(page: &Page, one: &Representation) -> Option<WireHead> {
    let fields = page.fields_of(one);
    let has_no_body = page.status.is_informational() || matches!(page.status.as_u16(), 204 | 205 | 304);
    if has_no_body || fields.contains(&CACHE_STATUS) || fields.contains(&http::header::AGE) {
        return None;
    }
    Some(WireHead {
        whole: lines(page.status, &fields)?,
        not_modified: lines(StatusCode::NOT_MODIFIED, &validation::not_modified_fields(&fields))?,
        length: format!("Content-Length: {}\r\n", one.len).into_bytes().into(),
        is_dated: fields.contains(&http::header::DATE),
    })
}

/// Status line and fields as pingora writes them.
fn lines(status: StatusCode, fields: &Fields) -> Option<Box<[u8]>> {
    let mut head = ResponseHeader::build(status, Some(fields.len())).ok()?;
    for (name, value) in fields.iter() {
        head.append_header(name, value).ok()?;
    }
    let mut bytes =
        format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or("")).into_bytes();
    head.header_to_h1_wire(&mut bytes);
    Some(bytes.into())
}

/// Writes the time of sending, which is formatted once a second.
fn write_date(now: Timestamp, head: &mut Vec<u8>) {
    thread_local!(static LINE: RefCell<(u64, Vec<u8>)> = const { RefCell::new((0, Vec::new())) });
    let second = now.millis() / 1000;
    LINE.with_borrow_mut(|(of, line)| {
        if *of != second {
            *of = second;
            line.clear();
            line.extend_from_slice(b"Date: ");
            line.extend_from_slice(date::format(now).as_bytes());
            line.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(line);
    });
}
