//! From an answer to a page, or to the head that a client gets of an answer that is no page.

use super::Order;
use super::flight::{Head, HeadKind};
use super::gate;
use super::origin::{Answer as Arriving, Framing};
use crate::config::{CacheMode, Revalidate, Route};
use crate::policy::storability::{self, Answer, Storability};
use crate::policy::vary::{self, Selecting, VaryStar};
use crate::policy::{Fields, Key, Lifetime, Page, PurgeSeq, Validators, merge, tags, validation};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use std::time::Duration;

/// Everything of a page but its body.
pub(super) struct Recipe {
    key: Key,
    status: StatusCode,
    fields: Fields,
    lifetime: Lifetime,
    origin_validators: Validators,
    tags: Box<[Box<str>]>,
    purge_seq: PurgeSeq,
    selecting: Box<[Selecting]>,
    unkeyed_vary: Box<[HeaderName]>,
    makes_etag: bool,
}

impl Recipe {
    /// The page that this answer will be.
    ///
    /// # Errors
    /// [`VaryStar`]: the answer fits no second request.
    pub(super) fn new(
        route: &Route,
        order: &Order,
        answer: &Answer<'_>,
        lifetime: Lifetime,
        purge_seq: PurgeSeq,
    ) -> Result<Self, VaryStar> {
        let shared = route.cache == CacheMode::Headers;
        let selecting =
            if shared { vary::selecting(answer.fields, &order.asked_with)? } else { Box::default() };
        let base = if shared { order.key.base().unwrap_or_else(|| order.key.clone()) } else { order.key.clone() };
        let key = if selecting.is_empty() {
            base
        } else {
            let names: Vec<HeaderName> = selecting.iter().map(|selecting| selecting.name.clone()).collect();
            base.with_variant(&vary::fingerprint(&names, &order.asked_with))
        };
        Ok(Recipe {
            key,
            status: answer.status,
            fields: detached(&storability::stored_fields(route, answer.fields)),
            lifetime,
            origin_validators: validation::validators(answer.fields),
            tags: tags::parse(&route.tag_headers, answer.fields),
            purge_seq,
            selecting,
            unkeyed_vary: if shared { Box::default() } else { vary::unkeyed(route, answer.fields) },
            makes_etag: !shared,
        })
    }

    /// What clients that read along get first.
    pub(super) fn head(&self, answer: &Arriving) -> Head {
        let must_validate = self.lifetime.while_revalidate_until <= self.lifetime.born;
        Head {
            status: self.status,
            fields: self.fields.clone(),
            length: length(answer),
            kind: if must_validate { HeadKind::ValidateAlways } else { HeadKind::Storable },
            selecting: self.selecting.clone(),
            unkeyed_vary: self.unkeyed_vary.clone(),
            born: Some(self.lifetime.born),
        }
    }

    /// Whether the page says that it is HTML.
    pub(super) fn is_html(&self) -> bool {
        gate::is_html(&self.fields)
    }

    /// The page. A render with the same bytes as `prior` keeps its `ETag`; a page without one gets
    /// a strong one.
    pub(super) fn bake(mut self, body: Bytes, prior: Option<&Page>) -> Page {
        let unchanged = prior.filter(|prior| prior.status == self.status && prior.body == body);
        let kept = unchanged.and_then(|prior| prior.fields.get(&header::ETAG).cloned());
        if let Some(etag) = kept.filter(|_| self.makes_etag) {
            self.fields.set(header::ETAG, etag);
        } else if self.makes_etag && !self.fields.contains(&header::ETAG) {
            self.fields.append(header::ETAG, validation::strong_etag(&body));
        }
        let body = unchanged.map_or(body, |prior| prior.body.clone());
        Page {
            key: self.key,
            status: self.status,
            fields: self.fields,
            body,
            lifetime: self.lifetime,
            origin_validators: self.origin_validators,
            tags: self.tags,
            purge_seq: self.purge_seq,
            selecting: self.selecting,
            unkeyed_vary: self.unkeyed_vary,
        }
    }
}

/// A page that a 304 confirmed.
pub(super) struct Renewed {
    pub(super) page: Page,
    /// Whether it may be stored again.
    pub(super) keep: bool,
}

/// The prior page as a 304 renews it (RFC 9111 §4.3.4; FRAMEWORKS.md 6).
pub(super) fn renewed(route: &Route, prior: &Page, answer: &Answer<'_>, seq: PurgeSeq, spread: f64) -> Renewed {
    let fields = detached(&merge::merge_not_modified(route, prior, answer));
    let shared = route.cache == CacheMode::Headers;
    let judged_fields = if shared { with_age_of(&fields, answer.fields) } else { answer.fields.clone() };
    let judged = storability::judge(
        route,
        false,
        &Answer { status: prior.status, fields: &judged_fields, ..*answer },
        spread,
    );
    let (lifetime, keep) = match judged {
        Storability::Store(lifetime) if shared => (lifetime, true),
        Storability::Store(lifetime) => (not_shrunk(route, prior, lifetime), true),
        Storability::Uncacheable(_) if shared => (expired(answer), false),
        Storability::Uncacheable(_) => (again(prior, answer), true),
    };
    let mut page = Page { fields, lifetime, purge_seq: seq, ..prior.clone() };
    let fresh = validation::validators(answer.fields);
    if fresh.etag.is_some() {
        page.origin_validators.etag = fresh.etag.as_ref().map(detached_value);
    }
    if fresh.last_modified.is_some() {
        page.origin_validators.last_modified = fresh.last_modified.as_ref().map(detached_value);
    }
    Renewed { page, keep }
}

/// A lifetime that the 304 leaves out or shrinks does not change the page's.
fn not_shrunk(route: &Route, prior: &Page, judged: Lifetime) -> Lifetime {
    if !matches!(route.revalidate, Revalidate::FromHeaders { .. }) {
        return judged;
    }
    let had = length_of(prior);
    if judged.fresh_until.since(judged.born) >= had.fresh { judged } else { had.from(judged.born, judged.has_ttl) }
}

/// The prior page's lifetime once more.
fn again(prior: &Page, answer: &Answer<'_>) -> Lifetime {
    length_of(prior).from(answer.received_at, prior.lifetime.has_ttl)
}

fn expired(answer: &Answer<'_>) -> Lifetime {
    let now = answer.received_at;
    Lifetime { born: now, fresh_until: now, while_revalidate_until: now, if_error_until: now, has_ttl: true }
}

/// A lifetime as lengths of time.
struct Lengths {
    fresh: Duration,
    while_revalidate: Duration,
    if_error: Duration,
}

fn length_of(page: &Page) -> Lengths {
    let lifetime = &page.lifetime;
    Lengths {
        fresh: lifetime.fresh_until.since(lifetime.born),
        while_revalidate: lifetime.while_revalidate_until.since(lifetime.fresh_until),
        if_error: lifetime.if_error_until.since(lifetime.fresh_until),
    }
}

impl Lengths {
    fn from(&self, born: crate::policy::Timestamp, has_ttl: bool) -> Lifetime {
        let fresh_until = born.later(self.fresh);
        Lifetime {
            born,
            fresh_until,
            while_revalidate_until: fresh_until.later(self.while_revalidate),
            if_error_until: fresh_until.later(self.if_error),
            has_ttl,
        }
    }
}

fn with_age_of(fields: &Fields, not_modified: &Fields) -> Fields {
    let mut fields = fields.clone();
    if let Some(age) = not_modified.get(&header::AGE) {
        fields.set(header::AGE, age.clone());
    }
    fields
}

/// The head of an answer that one client gets as it came.
pub(super) fn private_head(answer: &Arriving) -> Head {
    let mut fields = answer.fields.clone();
    storability::strip_hop_by_hop(&mut fields);
    plain_head(answer, fields, HeadKind::Private)
}

/// The head of what the origin itself refused. Where several clients get it, it sets no cookies.
pub(super) fn refusal_head(answer: &Arriving, kind: HeadKind) -> Head {
    let mut fields = answer.fields.clone();
    storability::strip_hop_by_hop(&mut fields);
    if kind != HeadKind::Private {
        fields.remove(&header::SET_COOKIE);
    }
    plain_head(answer, fields, kind)
}

fn plain_head(answer: &Arriving, mut fields: Fields, kind: HeadKind) -> Head {
    fields.remove(&header::CONTENT_LENGTH);
    Head {
        status: answer.status,
        fields,
        length: length(answer),
        kind,
        selecting: Box::default(),
        unkeyed_vary: Box::default(),
        born: None,
    }
}

fn length(answer: &Arriving) -> Option<u64> {
    match answer.framing {
        Framing::Length(length) => Some(length),
        Framing::None => Some(0),
        Framing::Chunked | Framing::UntilClose => None,
    }
}

/// Values that share no memory with the buffer the head was read into.
fn detached(fields: &Fields) -> Fields {
    fields.iter().map(|(name, value)| (name.clone(), detached_value(value))).collect()
}

fn detached_value(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
}
