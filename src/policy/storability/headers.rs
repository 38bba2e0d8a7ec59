//! `cache: headers`: a plain shared cache (RFC 9111 §3, §3.5, §4.2.1, §4.2.2, §4.2.4; RFC 5861; RFC 9213).

use super::{Answer, Reason, Storability, no_store, private, sets_cookie, vary_star};
use crate::config::{Route, SetCookie, Window};
use crate::policy::cache_control::{ResponseDirectives, Scope, Stated};
use crate::policy::freshness::{Terms, corrected_initial_age, explicit_lifetime, heuristic_lifetime, longer};
use crate::policy::validation::validators;
use http::{StatusCode, header};
use std::time::Duration;

const NEVER: Window = Window::For(Duration::ZERO);

/// Judges an answer by its own headers.
pub(super) fn judge(route: &Route, authorized: bool, answer: &Answer<'_>) -> Storability {
    let stated = Stated::of(answer.fields);
    if let Some(reason) = forbidden(route, authorized, answer, &stated) {
        return Storability::Uncacheable(reason);
    }
    let Some(fresh_for) = fresh_for(route, answer, &stated) else {
        return Storability::Uncacheable(Reason::NoFreshness);
    };
    let (while_revalidate, if_error) = windows(&stated.directives);
    let terms =
        Terms { age: corrected_initial_age(answer), fresh_for: Window::For(fresh_for), while_revalidate, if_error };
    Storability::Store(terms.lifetime(answer.received_at))
}

/// What keeps an answer out of a shared cache (RFC 9111 §3).
fn forbidden(route: &Route, authorized: bool, answer: &Answer<'_>, stated: &Stated) -> Option<Reason> {
    status(answer.status)
        .or_else(|| no_store(stated, answer.status))
        .or_else(|| private(stated))
        .or_else(|| vary_star(answer))
        .or_else(|| authorization(authorized, &stated.directives))
        .or_else(|| set_cookie(route, answer, &stated.directives))
}

/// Every final status may be stored where freshness is explicit (RFC 9111 §3), except for those that
/// are no complete response.
fn status(status: StatusCode) -> Option<Reason> {
    match status.as_u16() {
        206 => Some(Reason::Partial),
        100..=199 | 304 => Some(Reason::Status),
        _ => None,
    }
}

/// RFC 9111 §3.5: what an answer to a request with credentials has to say to be shared.
fn authorization(authorized: bool, directives: &ResponseDirectives) -> Option<Reason> {
    let shared = directives.public || directives.must_revalidate || directives.s_maxage.is_some();
    (authorized && !shared).then_some(Reason::Authorization)
}

/// A cookie never reaches a second client. RFC 9111 §7.3 leaves it to the origin to say so; here an
/// answer that sets one is shared, without it, only where the origin or the operator says that it is.
fn set_cookie(route: &Route, answer: &Answer<'_>, directives: &ResponseDirectives) -> Option<Reason> {
    let withheld = directives.withholds(&header::SET_COOKIE) || route.set_cookie == SetCookie::Strip;
    let shared = directives.public || directives.s_maxage.is_some();
    (sets_cookie(answer) && !withheld && !shared).then_some(Reason::SetCookie)
}

/// For how long an answer is fresh; `None` where nothing says so, or where it never is and can
/// neither be validated nor used stale, so that keeping it is of no use to anybody.
fn fresh_for(route: &Route, answer: &Answer<'_>, stated: &Stated) -> Option<Duration> {
    let directives = &stated.directives;
    let named = if directives.no_cache == Scope::Whole {
        Duration::ZERO
    } else {
        explicit_lifetime(stated, answer).or_else(|| heuristic(route, answer, directives))?
    };
    let windowed = directives.stale_while_revalidate.is_some() || directives.stale_if_error.is_some();
    let of_use = !named.is_zero() || validators(answer.fields).any() || (windowed && !directives.forbids_stale());
    of_use.then_some(named)
}

/// RFC 9111 §4.2.2: only for statuses that are heuristically cacheable, or with `public`.
fn heuristic(route: &Route, answer: &Answer<'_>, directives: &ResponseDirectives) -> Option<Duration> {
    let by_status = matches!(answer.status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501);
    (by_status || directives.public).then(|| heuristic_lifetime(answer, route.heuristic_max))?
}

/// How long an answer may be used stale: while it is refreshed, and when that failed (RFC 9111 §4.2.4,
/// RFC 5861). `s-maxage` forbids both (RFC 9111 §5.2.2.10), unless the answer itself names windows,
/// which it does for caches like this one. Without a word about it, a disconnected cache may go on.
fn windows(directives: &ResponseDirectives) -> (Window, Window) {
    if directives.forbids_stale() {
        return (NEVER, NEVER);
    }
    let while_revalidate = directives.stale_while_revalidate.unwrap_or(NEVER);
    let unless_named = if directives.s_maxage.is_some() { NEVER } else { Window::Forever };
    let if_error = directives.stale_if_error.unwrap_or(unless_named);
    // Who may be shown the page while it is being refreshed may be shown it when that failed.
    (while_revalidate, longer(while_revalidate, if_error))
}

#[cfg(test)]
mod tests;
