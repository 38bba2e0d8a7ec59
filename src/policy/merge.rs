//! What a 304 or a HEAD answer makes of a stored page (RFC 9111 §3.2, §4.3.4, §4.3.5; on `isr` and
//! `static` FRAMEWORKS 6). Whether the 304 means the page at all is [`super::validation::confirms`]'s.

use super::cache_control::Stated;
use super::fields::Fields;
use super::freshness::{Terms, age_value, longer};
use super::page::{Lifetime, Page, Validators};
use super::storability::{Answer, Reason, Storability, judge, says_stale, stored_fields};
use super::vary;
use crate::config::{CacheMode, ClientCacheControl, Revalidate, Route};
use http::{HeaderName, HeaderValue, StatusCode, header};

/// What there is to know about the page that is stored.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its fields, as they are replayed.
    pub fields: &'a Fields,
    /// How long it may be used.
    pub lifetime: &'a Lifetime,
    /// The origin's validators.
    pub validators: &'a Validators,
    /// Bytes of its body in the coding that the origin sent.
    pub len: u64,
}

impl<'a> From<&'a Page> for Held<'a> {
    fn from(page: &'a Page) -> Self {
        Held {
            status: page.status,
            fields: &page.fields,
            lifetime: &page.lifetime,
            validators: &page.origin_validators,
            len: page.representations.original().len,
        }
    }
}

/// A page after a 304.
#[derive(Clone, Debug, PartialEq)]
pub struct Renewal {
    /// Its fields.
    pub fields: Fields,
    /// Whether it may still be stored, and for how long.
    pub storability: Storability,
}

/// Renews a page by a 304 that confirms it: its new fields and its new lifetime.
pub fn renew<'a>(
    route: &Route,
    authorized: bool,
    page: impl Into<Held<'a>>,
    answer: &Answer<'_>,
    spread: f64,
) -> Renewal {
    let page = page.into();
    let fields = merge_not_modified(route, page, answer);
    let storability = if keeps_origins_words(route) {
        let judged = with_ages(&fields, answer);
        judge(route, authorized, &Answer { status: page.status, fields: &judged, ..*answer }, spread)
    } else {
        let verdict = judge(route, authorized, &Answer { status: page.status, ..*answer }, spread);
        kept_lifetime(route, page, answer, verdict)
    };
    Renewal { fields, storability }
}

/// The fields of a page after a 304 (RFC 9111 §3.2): each field of the 304 replaces the page's fields of
/// that name, except for those that describe the body which the page has and the 304 has not, and
/// those that are never stored. On `isr` and `static`, a `Vary` that shrank stays as it was.
pub fn merge_not_modified<'a>(route: &Route, page: impl Into<Held<'a>>, answer: &Answer<'_>) -> Fields {
    let page = page.into();
    let mut update = stored_fields(route, answer);
    update.retain(|name, _| !is_about_the_body(name));
    if route.cache.is_anonymous() {
        keep_vary(page.fields, &mut update);
    }
    let directives = Stated::of(answer.fields).directives;
    let mut merged = page.fields.clone();
    merged.retain(|name, _| !update.contains(name) && !directives.withholds(name));
    update.iter().for_each(|(name, value)| merged.append(name.clone(), value.clone()));
    merged
}

/// `Content-Length`, and what the stored body depends on (RFC 9111 §3.2).
fn is_about_the_body(name: &HeaderName) -> bool {
    matches!(name.as_str(), "content-length" | "content-encoding" | "content-range")
}

/// Adds to the update's `Vary` the names that only the page's has.
fn keep_vary(page: &Fields, update: &mut Fields) {
    let (Ok(before), Ok(after)) = (vary::names(page), vary::names(update)) else {
        return;
    };
    if !update.contains(&header::VARY) {
        return;
    }
    for name in before.iter().filter(|name| !after.contains(name)) {
        update.append(header::VARY, HeaderValue::from_str(name.as_str()).expect("a field name is a field value"));
    }
}

/// Whether a stored page still says what its origin said about caching; elsewhere `Cache-Control` is ours.
fn keeps_origins_words(route: &Route) -> bool {
    route.cache == CacheMode::Headers && route.client_cache_control == ClientCacheControl::Origin
}

/// The merged fields as an answer: with the 304's `Age`, which no page stores.
fn with_ages(fields: &Fields, answer: &Answer<'_>) -> Fields {
    let mut judged = fields.clone();
    answer.fields.get_all(&header::AGE).for_each(|value| judged.append(header::AGE, value.clone()));
    judged
}

/// FRAMEWORKS 6: a lifetime that a 304 leaves out or shrinks does not change the page's.
fn kept_lifetime(route: &Route, page: Held<'_>, answer: &Answer<'_>, verdict: Storability) -> Storability {
    let config_decides = route.cache.is_anonymous() && !matches!(route.revalidate, Revalidate::FromHeaders { .. });
    if config_decides || says_stale(answer) {
        return verdict;
    }
    let new = match verdict {
        Storability::Store(new) => Some(Terms { age: age_value(answer), ..Terms::of(&new) }),
        Storability::Uncacheable(Reason::NoFreshness) => None,
        Storability::Uncacheable(_) => return verdict,
    };
    let old = Terms { age: age_value(answer), ..Terms::of(page.lifetime) };
    let terms = match new {
        Some(new) if was_stored_stale(page.lifetime) => new,
        Some(new) if !Stated::is_silent(answer.fields) => longer_terms(old, new),
        _ => old,
    };
    Storability::Store(terms.lifetime(answer.received_at))
}

/// The page said that it was stale, not that it must always be validated: that says nothing about how
/// long its successor is fresh.
fn was_stored_stale(lifetime: &Lifetime) -> bool {
    lifetime.fresh_until == lifetime.born && lifetime.while_revalidate_until > lifetime.fresh_until
}

fn longer_terms(one: Terms, other: Terms) -> Terms {
    Terms {
        age: one.age,
        fresh_for: longer(one.fresh_for, other.fresh_for),
        while_revalidate: longer(one.while_revalidate, other.while_revalidate),
        if_error: longer(one.if_error, other.if_error),
    }
}

/// What a HEAD answer of the origin means for the stored page (RFC 9111 §4.3.5).
#[derive(Clone, Debug, PartialEq)]
pub enum HeadUpdate {
    /// It is the same page: renewed as by a 304.
    Renewed(Renewal),
    /// It is another page: the stored one is invalid.
    Invalid,
    /// It says nothing about the page: only 200 does.
    Unrelated,
}

/// Compares a HEAD answer with the stored page and renews it, or not.
pub fn head_update<'a>(
    route: &Route,
    authorized: bool,
    page: impl Into<Held<'a>>,
    answer: &Answer<'_>,
    spread: f64,
) -> HeadUpdate {
    let page = page.into();
    if answer.status != StatusCode::OK || page.status != StatusCode::OK {
        return HeadUpdate::Unrelated;
    }
    if is_another(page, answer) {
        return HeadUpdate::Invalid;
    }
    HeadUpdate::Renewed(renew(route, authorized, page, answer, spread))
}

/// Whether a validator or the length that a HEAD answer names is not the page's.
fn is_another(page: Held<'_>, answer: &Answer<'_>) -> bool {
    let differs = |name: &HeaderName, ours: &Option<HeaderValue>| {
        answer.fields.get(name).is_some_and(|theirs| ours.as_ref() != Some(theirs))
    };
    let len = answer.fields.get(&header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    differs(&header::ETAG, &page.validators.etag)
        || differs(&header::LAST_MODIFIED, &page.validators.last_modified)
        || len.is_some_and(|len: u64| len != page.len)
}

#[cfg(test)]
mod tests;
