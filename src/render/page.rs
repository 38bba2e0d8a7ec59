//! From an answer to a page, or to the head that a client gets of an answer that is no page.

use super::Order;
use super::flight::{Head, HeadKind};
use super::gate;
use super::origin::{Answer as Arriving, Framing};
use crate::config::{CacheMode, Compression, Route};
use crate::policy::encoding::{self, Coding, Representations, State};
use crate::policy::storability::{self, Answer, Storability};
use crate::policy::vary::{self, Selecting, VaryStar};
use crate::policy::{
    Fields, Key, Lifetime, Page, PurgeMemo, PurgeSeq, Validators, hop_by_hop, merge, tags, validation,
};
use crate::store::codec;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use std::sync::Arc;

/// Everything of a page but its body.
pub(super) struct Recipe {
    key: Key,
    status: StatusCode,
    fields: Fields,
    lifetime: Lifetime,
    origin_validators: Validators,
    tags: tags::Tags,
    purge_seq: PurgeSeq,
    selecting: Box<[Selecting]>,
    unkeyed_vary: Box<[HeaderName]>,
    makes_etag: bool,
    for_starter: Option<Fields>,
    plan: encoding::Plan,
    compression: Option<Arc<Compression>>,
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
        let selecting = if shared { vary::selecting(answer.fields, &order.asked_with)? } else { Box::default() };
        let key = if shared { variant_key(order, &selecting) } else { order.key.clone() };
        let fields = detached(&storability::stored_fields(route, answer));
        let own = shared.then(|| storability::own_fields(route, answer)).filter(|own| *own != fields);
        Ok(Recipe {
            key,
            status: answer.status,
            fields,
            for_starter: own,
            lifetime,
            origin_validators: own_validators(answer.fields),
            tags: tags::of_answer(route, order.key.uri().path, answer.fields),
            purge_seq,
            selecting,
            unkeyed_vary: if shared { Box::default() } else { vary::unkeyed(route, answer.fields) },
            makes_etag: !shared,
            plan: encoding::plan(route, answer.status, answer.fields),
            compression: route.compression.clone(),
        })
    }

    /// What clients that read along get first.
    pub(super) fn head(&self, answer: &Arriving) -> Head {
        let must_validate = self.lifetime.while_revalidate_until <= self.lifetime.born;
        let negotiable = self.is_negotiable(length(answer));
        let varied = |fields: &Fields| if negotiable { encoding::varied(fields) } else { fields.clone() };
        Head {
            status: self.status,
            fields: varied(&self.fields),
            for_starter: self.for_starter.as_ref().map(varied),
            coding: if let encoding::Plan::Decode(coding) = self.plan { coding } else { Coding::Identity },
            length: length(answer),
            why: None,
            kind: if must_validate { HeadKind::ValidateAlways } else { HeadKind::Storable },
            selecting: self.selecting.clone(),
            unkeyed_vary: self.unkeyed_vary.clone(),
            born: Some(self.lifetime.born),
        }
    }

    /// Whether its page will be there in more than one coding, as far as that can be told by its length.
    fn is_negotiable(&self, length: Option<u64>) -> bool {
        match (self.plan, &self.compression) {
            (encoding::Plan::Decode(_), _) => true,
            (encoding::Plan::Recode, Some(rules)) => length.is_none_or(|length| rules.is_worth(length)),
            (encoding::Plan::Recode | encoding::Plan::AsItIs, _) => false,
        }
    }

    /// The body without the coding that the origin chose, where clients are to have that; at most
    /// `most` bytes.
    pub(super) async fn decoded(&self, body: &Bytes, most: usize) -> Option<Bytes> {
        let encoding::Plan::Decode(coding) = self.plan else { return None };
        let body = body.clone();
        let decoded = tokio::task::spawn_blocking(move || codec::decode(coding, &body, most)).await;
        match decoded {
            Ok(Ok(plain)) => Some(Bytes::from(plain.into_boxed_slice())),
            Ok(Err(why)) => {
                tracing::debug!(coding = coding.as_str(), %why, "a page stays in its origin's coding");
                None
            }
            Err(_) => None,
        }
    }

    /// Tags that the page does not have because they were too long, too many or no text.
    pub(super) fn dropped_tags(&self) -> usize {
        self.tags.dropped
    }

    /// Whether the page says that it is HTML.
    pub(super) fn is_html(&self) -> bool {
        gate::is_html(&self.fields)
    }

    /// The page. A render with the same bytes as `prior` keeps its `ETag` and its codings; a page without
    /// an `ETag` gets a strong one. `plain` is the body without the origin's coding.
    pub(super) fn bake(mut self, body: Bytes, plain: Option<Bytes>, prior: Option<&Page>) -> Page {
        let unchanged = prior.filter(|prior| prior.status == self.status && self.is_same(prior, &body));
        let kept = unchanged.and_then(|prior| prior.fields.get(&header::ETAG).cloned());
        if let Some(etag) = kept.filter(|_| self.makes_etag) {
            self.fields.set(header::ETAG, etag);
        } else if self.makes_etag && !self.fields.contains(&header::ETAG) {
            self.fields.append(header::ETAG, validation::strong_etag(&body));
        }
        let etag = self.fields.get(&header::ETAG).cloned();
        let representations = match unchanged.filter(|prior| self.fits(&prior.representations)) {
            Some(prior) => prior.representations.refreshed().retagged(etag.as_ref()),
            None => {
                let demand = prior.map(|prior| prior.representations.demand().halved()).unwrap_or_default();
                self.representations(etag, body, plain).with_demand(demand)
            }
        };
        Page {
            key: self.key,
            status: self.status,
            fields: self.fields,
            representations,
            lifetime: self.lifetime,
            origin_validators: self.origin_validators,
            tags: self.tags.kept,
            purge_seq: self.purge_seq,
            purge_memo: PurgeMemo::default(),
            selecting: self.selecting,
            unkeyed_vary: self.unkeyed_vary,
        }
    }
}

impl Recipe {
    /// Whether a page has this body in the coding of this answer.
    fn is_same(&self, page: &Page, body: &Bytes) -> bool {
        page.representations.original().coding == Coding::of(&self.fields) && page.representations.is_of(body)
    }

    /// Whether the codings of a page are those that it would get now.
    fn fits(&self, made: &Representations) -> bool {
        let rules = self.compression.as_deref().filter(|_| self.is_negotiable(Some(made.original().len)));
        match (made.state(), self.plan) {
            (State::Fixed, encoding::Plan::AsItIs) => true,
            (State::Fixed, encoding::Plan::Recode) => rules.is_none(),
            (State::Pending, encoding::Plan::Recode) => rules.is_some(),
            (State::Made { by }, encoding::Plan::Recode) => rules.is_some_and(|rules| rules.fingerprint() == by),
            (State::Made { by }, encoding::Plan::Decode(_)) => by == 0,
            (State::Made { .. } | State::Pending, encoding::Plan::AsItIs) => false,
            (State::Fixed | State::Pending, encoding::Plan::Decode(_)) => false,
        }
    }

    fn representations(&self, etag: Option<HeaderValue>, body: Bytes, plain: Option<Bytes>) -> Representations {
        match (self.plan, plain) {
            (encoding::Plan::Decode(coding), Some(plain)) => Representations::decoded(coding, etag, body, plain),
            (encoding::Plan::Recode, _) if self.is_negotiable(Some(body.len() as u64)) => {
                Representations::pending(etag, body)
            }
            _ => Representations::only(Coding::of(&self.fields), etag, body),
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
pub(super) fn renewed(
    route: &Route,
    order: &Order,
    prior: &Page,
    answer: &Answer<'_>,
    seq: PurgeSeq,
    spread: f64,
) -> Renewed {
    let renewal = merge::renew(route, order.asker.authorized, prior, answer, spread);
    let (lifetime, keep) = match renewal.storability {
        Storability::Store(lifetime) => (lifetime, true),
        Storability::Uncacheable(_) => (over(answer), false),
    };
    let (named, had) = (own_validators(answer.fields), &prior.origin_validators);
    let origin_validators = Validators {
        etag: named.etag.or_else(|| had.etag.clone()),
        last_modified: named.last_modified.or_else(|| had.last_modified.clone()),
    };
    let fields = detached(&renewal.fields);
    let (key, selecting) = reselected(route, order, prior, &fields);
    let representations = prior.representations.clone().retagged(fields.get(&header::ETAG));
    let stated = tags::are_stated(route, answer.fields);
    let path = prior.key.uri().path;
    let tags = if stated { tags::of_answer(route, path, answer.fields).kept } else { prior.tags.clone() };
    Renewed {
        page: Page {
            key,
            selecting,
            fields,
            representations,
            lifetime,
            purge_seq: seq,
            origin_validators,
            tags,
            ..prior.clone()
        },
        keep,
    }
}

/// What selects a page after a 304, which may have changed its `Vary` (RFC 9111 §3.2, §4.1).
fn reselected(route: &Route, order: &Order, prior: &Page, fields: &Fields) -> (Key, Box<[Selecting]>) {
    if route.cache == CacheMode::Headers
        && let Ok(selecting) = vary::selecting(fields, &order.asked_with)
    {
        return (variant_key(order, &selecting), selecting);
    }
    (prior.key.clone(), prior.selecting.clone())
}

/// The key of a variant of the page that was ordered.
fn variant_key(order: &Order, selecting: &[Selecting]) -> Key {
    let base = order.key.base().unwrap_or_else(|| order.key.clone());
    if selecting.is_empty() {
        return base;
    }
    let names: Vec<HeaderName> = selecting.iter().map(|selecting| selecting.name.clone()).collect();
    base.with_variant(&vary::fingerprint(&names, &order.asked_with))
}

/// A page that was good for the requests that waited for it and for nobody else.
fn over(answer: &Answer<'_>) -> Lifetime {
    let now = answer.received_at;
    Lifetime { born: now, fresh_until: now, while_revalidate_until: now, if_error_until: now, has_ttl: true }
}

/// The head of an answer that one client gets as it came, and `why` nobody else does.
pub(super) fn private_head(answer: &Arriving, why: Option<&'static str>) -> Head {
    let mut fields = answer.fields.clone();
    hop_by_hop::strip_hop_by_hop(&mut fields);
    Head { why, ..plain_head(answer, fields, HeadKind::Private) }
}

/// The head of what the origin itself refused. Where several clients get it, it sets no cookies.
pub(super) fn refusal_head(answer: &Arriving, kind: HeadKind) -> Head {
    let mut fields = answer.fields.clone();
    hop_by_hop::strip_hop_by_hop(&mut fields);
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
        for_starter: None,
        coding: Coding::Identity,
        length: length(answer),
        kind,
        why: None,
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

/// The validators of an answer, which a page keeps.
fn own_validators(fields: &Fields) -> Validators {
    let Validators { etag, last_modified } = validation::validators(fields);
    Validators { etag: etag.as_ref().map(detached_value), last_modified: last_modified.as_ref().map(detached_value) }
}

/// Values that share no memory with the buffer the head was read into.
fn detached(fields: &Fields) -> Fields {
    fields.iter().map(|(name, value)| (name.clone(), detached_value(value))).collect()
}

fn detached_value(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_keeps_of_a_head_does_not_keep_the_buffer_that_it_was_read_into() {
        // Pages had the origin's `ETag` as a part of that buffer, and with it all of its 4 KiB.
        let buffer = Bytes::from(b"\"v1\"Thu, 01 Jan 2026 00:00:00 GMT".repeat(100));
        let value = |range| HeaderValue::from_maybe_shared(buffer.slice(range)).expect("a value");
        let head: Fields = [(header::ETAG, value(0..4)), (header::LAST_MODIFIED, value(4..33))].into_iter().collect();
        let (validators, fields) = (own_validators(&head), detached(&head));
        drop(head);
        assert_eq!(validators.etag.as_ref().map(HeaderValue::as_bytes), Some(&b"\"v1\""[..]));
        assert_eq!(fields.len(), 2);
        assert!(validators.last_modified.is_some() && buffer.is_unique());
    }
}
