//! What an answer of the origin is worth: whether it becomes the page, whom it may be given to, and
//! whether the key backs off (DESIGN §2.5, §2.6). Pure; only a good render replaces a good page.

use crate::config::{CacheMode, Route};
use crate::policy::lookup::Freshness;
use crate::policy::storability::{self, Answer, Storability};
use crate::policy::validation;
use crate::policy::{Fields, Lifetime, Page, Timestamp};
use http::{StatusCode, header};

/// What is known of a render when its answer's head arrives.
pub(crate) struct Circumstances<'a> {
    /// The route's rules.
    pub(crate) route: &'a Route,
    /// The request carried `Authorization` (`cache: headers`).
    pub(crate) authorized: bool,
    /// The request carried cookies or credentials of a visitor (`cache: headers`).
    pub(crate) personal: bool,
    /// The page this render would replace.
    pub(crate) prior: Option<&'a Page>,
    /// The request asked whether `prior` is still good.
    pub(crate) conditional: bool,
    /// The page never changes under its URL (`immutable_assets`).
    pub(crate) immutable: bool,
    /// How much of the spread of expiries applies, in 0..=1.
    pub(crate) spread: f64,
}

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// A 304 that confirms the prior page.
    Renew,
    /// A 304 for something else: ask again without conditions.
    AskAgain,
    /// It becomes the page.
    Keep(Lifetime),
    /// Good, but not to be shared.
    Uncacheable(NotShared),
    /// The origin's own refusal or failure: to those who wait for it as it came.
    Refusal(Backoff),
    /// The same, where it may be personal: to the one who asked.
    PrivateRefusal(Backoff),
    /// Not an answer to this question; nobody gets it.
    Unexpected,
}

/// Why a good answer is not shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotShared {
    /// Policy says so.
    Policy(storability::Reason),
    /// It is endless by nature.
    EventStream,
    /// React Server Components under a key without `RSC`, or HTML under one with it (FRAMEWORKS.md 1).
    Component,
}

impl NotShared {
    /// Whether every answer for the key would be the same, rather than only that to this request.
    pub(crate) fn is_of_the_answer(self) -> bool {
        self != NotShared::Policy(storability::Reason::Authorization)
    }
}

/// Whether the key waits before it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backoff {
    /// It does.
    Wait,
    /// It does not.
    None,
}

/// Judges an answer by its head.
pub(crate) fn judge(case: &Circumstances<'_>, answer: &Answer<'_>) -> Gate {
    if answer.status == StatusCode::NOT_MODIFIED {
        return not_modified(case, answer);
    }
    if case.immutable && is_gone(answer.status) && case.prior.is_some_and(|page| page.status == StatusCode::OK) {
        // The next build does not have it any more; pages of this one still do.
        return refusal(case, Backoff::Wait);
    }
    if is_event_stream(answer.fields) && answer.status.is_success() {
        return Gate::Uncacheable(NotShared::EventStream);
    }
    if case.route.cache == CacheMode::Headers { shared_cache(case, answer) } else { anonymous(case, answer) }
}

fn not_modified(case: &Circumstances<'_>, answer: &Answer<'_>) -> Gate {
    match case.prior {
        Some(prior) if case.conditional && validation::confirms(&prior.origin_validators, answer.fields) => Gate::Renew,
        _ if case.conditional => Gate::AskAgain,
        _ => Gate::Unexpected,
    }
}

/// `isr` and `static`: the answer to a canonical, anonymous request.
fn anonymous(case: &Circumstances<'_>, answer: &Answer<'_>) -> Gate {
    match answer.status {
        StatusCode::OK if is_empty_html(answer.fields) => Gate::Refusal(Backoff::Wait),
        status if is_page(status) => keep(case, answer),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => Gate::Refusal(Backoff::Wait),
        status if status.is_client_error() => Gate::Refusal(Backoff::None),
        // 201, 204, 206 and the like do not answer a plain GET for a page: they never replace one.
        status if status.is_success() && !has_servable(case, answer.received_at) => {
            Gate::Uncacheable(NotShared::Policy(storability::Reason::Status))
        }
        _ => Gate::Unexpected,
    }
}

/// `headers`: RFC 9111 decides, but an error does not replace a page that may still be served.
fn shared_cache(case: &Circumstances<'_>, answer: &Answer<'_>) -> Gate {
    let failing = answer.status.is_server_error();
    if failing && has_servable(case, answer.received_at) {
        return refusal(case, Backoff::Wait);
    }
    match keep(case, answer) {
        Gate::Uncacheable(_) if failing => refusal(case, Backoff::None),
        gate => gate,
    }
}

fn refusal(case: &Circumstances<'_>, backoff: Backoff) -> Gate {
    if case.personal { Gate::PrivateRefusal(backoff) } else { Gate::Refusal(backoff) }
}

fn keep(case: &Circumstances<'_>, answer: &Answer<'_>) -> Gate {
    match storability::judge(case.route, case.authorized, answer, case.spread) {
        Storability::Store(lifetime) => Gate::Keep(lifetime),
        Storability::Uncacheable(reason) => Gate::Uncacheable(NotShared::Policy(reason)),
    }
}

fn is_gone(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}

fn is_page(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 300 | 301 | 302 | 303 | 307 | 308 | 404 | 410)
}

fn has_servable(case: &Circumstances<'_>, now: Timestamp) -> bool {
    case.prior.is_some_and(|page| Freshness::of(&page.lifetime, now) <= Freshness::IfError)
}

fn is_event_stream(fields: &Fields) -> bool {
    content_type_is(fields, "text/event-stream")
}

fn is_empty_html(fields: &Fields) -> bool {
    let empty = fields.get(&header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() == b"0");
    empty && is_html(fields)
}

/// Whether the answer says that it is HTML.
pub(crate) fn is_html(fields: &Fields) -> bool {
    content_type_is(fields, "text/html")
}

/// Whether the answer says that it is a payload of React Server Components.
pub(crate) fn is_component(fields: &Fields) -> bool {
    content_type_is(fields, "text/x-component")
}

fn content_type_is(fields: &Fields, wanted: &str) -> bool {
    let Some(value) = fields.get(&header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    value.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(wanted))
}
