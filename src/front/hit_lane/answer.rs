//! Decides whether a request is a hit, by the policy that decides for every other request, and writes the
//! head of its answer over HTTP/1. All of a hit that is not I/O is here; once a connection and its page are warm
//! it allocates nothing, and nothing that it writes is shared with another thread but where threads meet
//! anyway.

use super::repeat::{Admitted, Repeat};
use super::request::Plain;
use crate::config::{OriginId, RouteId, Scheme};
use crate::front::question::{Question, Seen, Starter};
use crate::front::wire;
use crate::policy::admission::{Incoming, Judged, Sought, judge};
use crate::policy::encoding::{self, Coding, Representation};
use crate::policy::fallback::{Audience, cookie};
use crate::policy::key::{KeyBuffer, KeyRef};
use crate::policy::lookup::Verdict;
use crate::policy::outcome::{Outcome, Served};
use crate::policy::request_fields::Known;
use crate::policy::validation::{self, Precondition};
use crate::policy::{RequestFields, RequestId, Timestamp, draft};
use crate::render::{Engine, Setup};
use crate::store::Loan;
use crate::telemetry::ids;
use bytes::Bytes;
use http::{Method, StatusCode};
use std::net::IpAddr;
use std::sync::Arc;

static COOKIE: Known = Known::new("cookie");
static RANGE: Known = Known::new("range");

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

    /// Gives `send` the head and what follows it in one piece, if the thread has that.
    pub(super) fn joined<T>(&self, head: &[u8], send: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.page.joined(self.representation().filter(|_| self.has_body)?, head, send)
    }

    /// What follows the head, to be kept.
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
    /// The request whose key it is, if it may come again.
    pub(super) repeat: Repeat,
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch { key: KeyBuffer::default(), head: Vec::with_capacity(HEAD_ROOM), repeat: Repeat::default() }
    }
}

/// What an answer goes by, once its request was admitted.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) route: RouteId,
    pub(super) origin: OriginId,
    pub(super) key: KeyRef<'a>,
    /// Whether it has tracking parameters.
    pub(super) has_tracking: bool,
    pub(super) method: &'static Method,
    pub(super) fields: RequestFields<'a>,
}

/// Answers a request where it is a hit: a refresh that is due was started. `write` writes the head, unless the
/// answer is none that the lane gives. What admission made of the request comes with it, where [`hit_again`] would
/// answer the same request.
pub(super) fn hit(
    engine: &Arc<Engine>,
    setup: &Arc<Setup>,
    arrival: Arrival,
    request: &Plain<'_>,
    key: &mut KeyBuffer,
    write: impl FnOnce(&Hit) -> Option<()>,
) -> Option<(Hit, Option<Admitted>)> {
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
    let (route, origin, key, has_tracking) = (sought.route, sought.origin(), sought.key(), sought.has_tracking());
    let admitted = Admitted { route, origin, key: key.shape(), has_tracking };
    let asked = Asked { route, origin, key, has_tracking, method: request.method, fields: request.fields };
    let Found { question, mut seen, verdict, hit } = find(engine, setup, &asked, arrival.now)?;
    write(&hit)?;
    note(engine, &asked, &hit);
    if let Verdict::Stale(refresh) = verdict
        && question.refreshes(refresh)
    {
        seen.page = Some(hit.page.clone());
        start_refresh(&question, &seen, verdict, setup, &sought, &incoming, arrival.now, sent_cookie, &hit.id);
    }
    let is_again = is_answered_again(verdict, &hit);
    Some((hit, is_again.then_some(admitted)))
}

/// Answers a request that was admitted when it came before, where it is a hit that starts nothing.
pub(super) fn hit_again(
    engine: &Arc<Engine>,
    setup: &Setup,
    asked: &Asked<'_>,
    now: Timestamp,
    write: impl FnOnce(&Hit) -> Option<()>,
) -> Option<Hit> {
    let Found { verdict, hit, .. } = find(engine, setup, asked, now)?;
    if !is_answered_again(verdict, &hit) {
        return None;
    }
    write(&hit)?;
    note(engine, asked, &hit);
    Some(hit)
}

/// Whether no field of the request counts but those that admission goes by. Which fields a page goes by that are no
/// part of its key, nobody knows before there is one.
fn is_answered_again(verdict: Verdict, hit: &Hit) -> bool {
    verdict == Verdict::Fresh && hit.page.unkeyed_vary.is_empty()
}

struct Found<'a> {
    question: Question<'a>,
    seen: Seen,
    verdict: Verdict,
    hit: Hit,
}

/// The hit that is asked for, if it is one.
#[inline(always)]
fn find<'a>(engine: &'a Arc<Engine>, setup: &'a Setup, asked: &Asked<'a>, now: Timestamp) -> Option<Found<'a>> {
    let route = setup.route(asked.route);
    let question = Question {
        engine,
        setup,
        route_id: asked.route,
        origin: asked.origin,
        key: asked.key,
        headers: encoding::fields_of_render(route, asked.fields),
        directives: Question::directives(route, asked.fields),
        // Whoever is shown a fallback is no hit.
        audience: Audience::Waits,
    };
    let mut seen = match question.look_for_page() {
        Some(seen) => seen,
        None => question.look_again()?,
    };
    let verdict = question.decide(&seen, now);
    let served = match verdict {
        Verdict::Fresh => Served::Hit,
        Verdict::Stale(_) => Served::StaleHit,
        _ => return None,
    };
    let hit = answer(seen.page.take()?, served, asked, now)?;
    Some(Found { question, seen, verdict, hit })
}

/// Takes note that it was given.
fn note(engine: &Engine, asked: &Asked<'_>, hit: &Hit) {
    if let Some(one) = hit.representation() {
        hit.page.note_use(one);
    }
    engine.store.count_use(asked.key, Some(&hit.page));
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
fn answer(page: Loan, served: Served, asked: &Asked<'_>, now: Timestamp) -> Option<Hit> {
    let fields = asked.fields;
    if fields.has(&RANGE) || (page.status.is_redirection() && asked.has_tracking) {
        return None;
    }
    let one = encoding::select(fields, &page);
    one.body.as_ref().filter(|body| !body.is_empty())?;
    let etag = one.etag.as_ref();
    let born = page.lifetime.born;
    let status = match validation::evaluate(asked.method, fields, page.status, &page.fields, etag, born) {
        Precondition::Proceed => page.status,
        Precondition::NotModified => StatusCode::NOT_MODIFIED,
        Precondition::Failed => return None,
    };
    let (coding, outcome) = (one.coding, Outcome::of_hit(served, &page.lifetime, now));
    Some(Hit {
        page,
        coding,
        route: asked.route,
        outcome,
        status,
        has_body: status != StatusCode::NOT_MODIFIED && *asked.method != Method::HEAD,
        id: RequestId::sent(fields).unwrap_or_else(ids::fresh),
    })
}

/// Writes the head of a hit over HTTP/1; nothing where it cannot be made of pieces.
pub(super) fn write_head(hit: &Hit, now: Timestamp, keeps_alive: bool, head: &mut Vec<u8>) -> Option<()> {
    wire::write(&hit.page, hit.representation()?, hit.status, &hit.outcome, &hit.id, now, head)?;
    let connection: &[u8] = if keeps_alive { b"Connection: keep-alive\r\n\r\n" } else { b"Connection: close\r\n\r\n" };
    head.extend_from_slice(connection);
    Some(())
}
