//! `cache: isr` and `cache: static`: anonymous renders, whose lifetime config or, with
//! `revalidate: { from: headers }`, the answer decides (DESIGN §3 "Who says how long", §2.5; FRAMEWORKS 4).

use super::{Answer, Reason, Storability, no_store, private, sets_cookie, vary_star};
use crate::config::{CacheMode, Revalidate, Route, SetCookie, Window};
use crate::policy::cache_control::{ResponseDirectives, Scope, Stated, cache_control};
use crate::policy::freshness::{Terms, age_value, explicit_lifetime};
use http::{HeaderName, StatusCode};
use sfv::{BareItem, List, ListEntry, Parser};
use std::time::Duration;

/// Expiries on `isr` are shortened by up to this share, so that pages made together do not expire together.
const MAX_SPREAD: f64 = 0.1;

static X_NEXTJS_CACHE: HeaderName = HeaderName::from_static("x-nextjs-cache");
static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Judges an answer by the route.
pub(super) fn judge(route: &Route, authorized: bool, answer: &Answer<'_>, spread: f64) -> Storability {
    let stated = Stated::of(answer.fields);
    if let Some(reason) = forbidden(route, authorized, answer, &stated) {
        return Storability::Uncacheable(reason);
    }
    let named = named(&stated, answer);
    let mut terms = terms(route, answer.status, &stated.directives, named);
    terms.age = age_value(answer);
    if let Window::For(time) = terms.fresh_for {
        terms.fresh_for = Window::For(from_birth(route, answer, time, named, spread));
    }
    if says_stale(answer) {
        terms.fresh_for = Window::For(terms.age);
    }
    Storability::Store(terms.lifetime(answer.received_at))
}

/// The lifetime counted from the answer's birth. What the answer itself names is; what config says
/// counts from the arrival. A slow render is not an old one: the time it took is not age here.
fn from_birth(route: &Route, answer: &Answer<'_>, time: Duration, named: Option<Duration>, spread: f64) -> Duration {
    let time = if route.cache == CacheMode::Isr { shortened(time, spread) } else { time };
    if from_headers(route) && named.is_some() { time } else { time.saturating_add(age_value(answer)) }
}

/// What keeps an answer from being stored although the render was anonymous.
fn forbidden(route: &Route, authorized: bool, answer: &Answer<'_>, stated: &Stated) -> Option<Reason> {
    status(answer.status)
        .or_else(|| authorized.then_some(Reason::Authorization))
        .or_else(|| said(route, answer, stated))
        .or_else(|| vary_star(answer))
        .or_else(|| (sets_cookie(answer) && route.set_cookie == SetCookie::Uncacheable).then_some(Reason::SetCookie))
}

/// Pages, redirects and answers that say there is nothing: all others are no renders (DESIGN §2.5).
fn status(status: StatusCode) -> Option<Reason> {
    match status.as_u16() {
        200 | 203 | 301 | 302 | 303 | 307 | 308 | 404 | 410 => None,
        206 => Some(Reason::Partial),
        _ => Some(Reason::Status),
    }
}

/// What the answer says about storing, as far as the route lets it.
fn said(route: &Route, answer: &Answer<'_>, stated: &Stated) -> Option<Reason> {
    let counted = from_headers(route) || stated.targeted;
    let reason = no_store(stated, answer.status).or_else(|| private(stated)).filter(|_| counted);
    if reason.is_some() || from_headers(route) {
        return reason;
    }
    let all = cache_control(answer.fields);
    if route.respect.no_store && all.no_store {
        return Some(Reason::NoStore);
    }
    (route.respect.private && all.private == Scope::Whole).then_some(Reason::Private)
}

fn from_headers(route: &Route) -> bool {
    matches!(route.revalidate, Revalidate::FromHeaders { .. })
}

/// The lifetime that the answer names, whether it counts or not; `no-cache` names none at all.
fn named(stated: &Stated, answer: &Answer<'_>) -> Option<Duration> {
    if stated.directives.no_cache == Scope::Whole {
        return Some(Duration::ZERO);
    }
    explicit_lifetime(stated, answer)
}

fn terms(route: &Route, status: StatusCode, said: &ResponseDirectives, named: Option<Duration>) -> Terms {
    let nothing_there = matches!(status.as_u16(), 404 | 410);
    let (while_revalidate, if_error) = (route.stale.while_revalidate, route.stale.if_error);
    let configured = |fresh_for| Terms { age: Duration::ZERO, fresh_for, while_revalidate, if_error };
    let not_found = Window::For(route.not_found_ttl);
    let default = match route.revalidate {
        Revalidate::Never | Revalidate::After(_) if nothing_there => return configured(not_found),
        Revalidate::Never => return configured(Window::Forever),
        Revalidate::After(time) => return configured(Window::For(time)),
        Revalidate::FromHeaders { default } => default,
    };
    let unless_named = if nothing_there { not_found } else { Window::For(default) };
    let mut terms = configured(named.map_or(unless_named, Window::For));
    if said.forbids_stale() {
        terms.while_revalidate = Window::For(Duration::ZERO);
        terms.if_error = Window::For(Duration::ZERO);
        return terms;
    }
    terms.while_revalidate = said.stale_while_revalidate.unwrap_or(while_revalidate);
    terms.if_error = said.stale_if_error.unwrap_or(if_error);
    terms
}

fn shortened(time: Duration, spread: f64) -> Duration {
    let spread = if spread.is_finite() { spread.clamp(0.0, 1.0) } else { 0.0 };
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    // The cast saturates; a tenth of a u64 fits one.
    let cut = (millis as f64 * MAX_SPREAD * spread) as u64;
    Duration::from_millis(millis.saturating_sub(cut))
}

/// Whether an answer says of itself that it comes stale from a cache of the origin's (FRAMEWORKS 4):
/// such a page is stored as stale and asked for again by the backoff's schedule.
pub fn says_stale(answer: &Answer<'_>) -> bool {
    let next = answer.fields.get(&X_NEXTJS_CACHE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"STALE"));
    next || is_past_its_lifetime(answer) || cache_status_says_stale(answer)
}

/// A lifetime of zero is for browsers: a cache that sends an `Age` along has a longer one of its own.
fn is_past_its_lifetime(answer: &Answer<'_>) -> bool {
    let lifetime = explicit_lifetime(&Stated::of(answer.fields), answer);
    lifetime.is_some_and(|lifetime| !lifetime.is_zero() && age_value(answer) > lifetime)
}

/// A member of `Cache-Status` (RFC 9211) that served a hit past its lifetime.
fn cache_status_says_stale(answer: &Answer<'_>) -> bool {
    let lines: Vec<&[u8]> = answer.fields.get_all(&CACHE_STATUS).map(|value| value.as_bytes()).collect();
    let Ok(caches) = Parser::new(&lines.join(&b", "[..])).parse::<List>() else {
        return false;
    };
    caches.iter().any(|cache| match cache {
        ListEntry::Item(item) => {
            let hit = matches!(item.params.get("hit"), Some(BareItem::Boolean(true)));
            let past = matches!(item.params.get("ttl"), Some(BareItem::Integer(ttl)) if i64::from(*ttl) < 0);
            hit && past
        }
        ListEntry::InnerList(_) => false,
    })
}

#[cfg(test)]
mod tests;
