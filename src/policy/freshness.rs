//! How old an answer is and how long it stays fresh (RFC 9111 §4.2), as numbers. What is to be stored
//! at all is [`super::storability`]'s to say.
//!
//! Everything is computed once, when a page is made; [`age`], [`ttl`] and [`state`] only compare points
//! in time. No subtraction underflows and no addition overflows: both saturate.

mod demand;

pub use demand::{Demand, satisfies};

use super::cache_control::{Stated, delta_seconds};
use super::date::{self, Expires};
use super::list::members;
use super::page::Lifetime;
use super::storability::Answer;
use super::time::Timestamp;
use crate::config::Window;
use http::header;
use std::time::Duration;

/// What `Date` cannot tell: it is written in whole seconds.
const DATE_RESOLUTION: Duration = Duration::from_secs(1);

/// The age of a page in whole seconds: the `Age` field (RFC 9111 §5.1).
pub fn age(lifetime: &Lifetime, now: Timestamp) -> u64 {
    now.since(lifetime.born).as_secs()
}

/// For how many seconds a page is still fresh, rounded down; negative once it is stale (RFC 9211 §2.3).
pub fn ttl(lifetime: &Lifetime, now: Timestamp) -> i64 {
    seconds_until(lifetime.fresh_until, now)
}

/// Whole seconds from `now` to `then`, rounded down, so that whatever lies behind is negative.
pub(crate) fn seconds_until(then: Timestamp, now: Timestamp) -> i64 {
    let seconds = |millis: u64| i64::try_from(millis / 1000).expect("64-bit milliseconds are fewer seconds");
    match then.millis().checked_sub(now.millis()) {
        Some(left) => seconds(left),
        None => {
            let past = now.millis() - then.millis();
            -seconds(past) - i64::from(!past.is_multiple_of(1000))
        }
    }
}

/// What a page may be used for at a point in time, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Served as it is.
    Fresh,
    /// Served while a render refreshes it.
    WhileRevalidate,
    /// Served only where its refresh failed.
    IfError,
    /// Not served; it can only be validated.
    Void,
}

/// What a page may be used for.
pub fn state(lifetime: &Lifetime, now: Timestamp) -> State {
    if now < lifetime.fresh_until {
        State::Fresh
    } else if now < lifetime.while_revalidate_until {
        State::WhileRevalidate
    } else if now < lifetime.if_error_until {
        State::IfError
    } else {
        State::Void
    }
}

/// The `Age` that an answer came with: the first member counts, and only as a whole number of
/// seconds (RFC 9111 §5.1); zero otherwise.
pub fn age_value(answer: &Answer<'_>) -> Duration {
    let first = answer.fields.get(&header::AGE).and_then(|value| members(value.as_bytes()).next());
    first.and_then(delta_seconds).unwrap_or_default()
}

/// The corrected initial age of an answer (RFC 9111 §4.2.3).
pub fn corrected_initial_age(answer: &Answer<'_>) -> Duration {
    let response_delay = answer.received_at.since(answer.requested_at);
    let corrected = age_value(answer).saturating_add(response_delay);
    corrected.max(apparent_age(answer))
}

/// How much older than its arrival an answer looks (RFC 9111 §4.2.3), never by the second that its
/// `Date` was rounded down by.
fn apparent_age(answer: &Answer<'_>) -> Duration {
    let date = date::of(answer.fields, &header::DATE).unwrap_or(answer.received_at);
    answer.received_at.since(date).saturating_sub(DATE_RESOLUTION)
}

/// The lifetime an answer names (RFC 9111 §4.2.1): `s-maxage` over `max-age` over `Expires` less
/// `Date`; `None` where it names none. A targeted field keeps `Expires` from counting (RFC 9213 §2.2).
pub fn explicit_lifetime(stated: &Stated, answer: &Answer<'_>) -> Option<Duration> {
    let directives = &stated.directives;
    if let Some(named) = directives.s_maxage.or(directives.max_age) {
        return Some(named);
    }
    if stated.targeted {
        return None;
    }
    let date = date::of(answer.fields, &header::DATE).unwrap_or(answer.received_at);
    match date::expires(answer.fields) {
        Expires::Absent => None,
        Expires::Expired => Some(Duration::ZERO),
        Expires::At(then) => Some(then.since(date)),
    }
}

/// A heuristic lifetime (RFC 9111 §4.2.2): a tenth of the time since `Last-Modified`, at most `longest`.
/// `None` where that says nothing: without a past `Last-Modified`, or with less than a second.
pub fn heuristic_lifetime(answer: &Answer<'_>, longest: Duration) -> Option<Duration> {
    let date = date::of(answer.fields, &header::DATE).unwrap_or(answer.received_at);
    let modified = date::of(answer.fields, &header::LAST_MODIFIED)?;
    let lifetime = (date.since(modified) / 10).min(longest);
    (lifetime >= Duration::from_secs(1)).then_some(lifetime)
}

/// What a [`Lifetime`] is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// How old the answer was when it arrived.
    pub(crate) age: Duration,
    /// For how long it is fresh, counted from its birth.
    pub(crate) fresh_for: Window,
    /// For how long after that it may be used while it is refreshed.
    pub(crate) while_revalidate: Window,
    /// For how long after that it may be used when its refresh failed.
    pub(crate) if_error: Window,
}

impl Terms {
    /// The points in time for an answer that arrived at `received_at`.
    pub(crate) fn lifetime(self, received_at: Timestamp) -> Lifetime {
        let fresh_until = match self.fresh_for {
            Window::Forever => Timestamp::FOREVER,
            Window::For(time) if time >= self.age => received_at.later(time - self.age),
            Window::For(time) => received_at.earlier(self.age - time),
        };
        Lifetime {
            born: received_at.earlier(self.age),
            fresh_until,
            while_revalidate_until: end(fresh_until, self.while_revalidate),
            if_error_until: end(fresh_until, self.if_error),
            has_ttl: self.fresh_for != Window::Forever,
        }
    }

    /// The terms that made a lifetime.
    pub(crate) fn of(lifetime: &Lifetime) -> Self {
        let fresh_for = between(lifetime.born, lifetime.fresh_until);
        Terms {
            age: Duration::ZERO,
            fresh_for,
            while_revalidate: between(lifetime.fresh_until, lifetime.while_revalidate_until),
            if_error: between(lifetime.fresh_until, lifetime.if_error_until),
        }
    }
}

/// The point where a window closes that opens at `start`.
fn end(start: Timestamp, window: Window) -> Timestamp {
    match window {
        Window::Forever => Timestamp::FOREVER,
        Window::For(time) => start.later(time),
    }
}

fn between(start: Timestamp, end: Timestamp) -> Window {
    if end == Timestamp::FOREVER { Window::Forever } else { Window::For(end.since(start)) }
}

/// The longer of two windows.
pub(crate) fn longer(one: Window, other: Window) -> Window {
    match (one, other) {
        (Window::For(one), Window::For(other)) => Window::For(one.max(other)),
        _ => Window::Forever,
    }
}

#[cfg(test)]
mod tests;
