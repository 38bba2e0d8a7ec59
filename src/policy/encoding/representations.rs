//! The representations of one page, and how much it is wanted without a coding.
//!
//! Never empty; at least one has its body. The smallest comes first. What is not kept can be made from
//! what is: a page that hardly anybody wants without a coding is kept in its codings alone.

use super::Coding;
use super::wire_head::{WireHead, WireHeads};
use crate::policy::validation::coded_etag;
use bytes::Bytes;
use http::HeaderValue;
use std::sync::atomic::{AtomicU8, Ordering};

/// A page in one content coding.
#[derive(Clone, Debug)]
pub struct Representation {
    /// Its coding.
    pub coding: Coding,
    /// Its `ETag` towards clients; the one that the origin sent its body in has the origin's.
    pub etag: Option<HeaderValue>,
    /// Bytes of its body.
    pub len: u64,
    /// Its body; `None` where it is made from another representation whenever it is asked for.
    pub body: Option<Bytes>,
}

/// How far the codings of a page are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is one representation, for everybody.
    Fixed,
    /// There will be codings.
    Pending,
    /// Codings were made, as far as they are worth it.
    Made,
}

/// All representations of a page.
#[derive(Clone, Debug)]
pub struct Representations {
    list: Box<[Representation]>,
    original: Coding,
    state: State,
    demand: Demand,
    heads: WireHeads,
}

impl Representations {
    /// One representation for everybody, in the coding that the origin sent.
    pub fn only(coding: Coding, etag: Option<HeaderValue>, body: Bytes) -> Self {
        Representations::of_one(coding, etag, body, State::Fixed)
    }

    /// A page without a coding for which codings will be made.
    pub fn pending(etag: Option<HeaderValue>, body: Bytes) -> Self {
        Representations::of_one(Coding::Identity, etag, body, State::Pending)
    }

    fn of_one(coding: Coding, etag: Option<HeaderValue>, body: Bytes, state: State) -> Self {
        let one = Representation { coding, etag, len: body.len() as u64, body: Some(body) };
        let heads = WireHeads::new(1);
        Representations { list: Box::new([one]), original: coding, state, demand: Demand::default(), heads }
    }

    /// These, as they were taken apart by [`all`](Self::all), [`original`](Self::original) and
    /// [`state`](Self::state). `None` where they are not the representations of a page: the original is
    /// not among them, a coding is there twice, none has a body, or a body has another length.
    pub fn from_parts(list: Vec<Representation>, original: Coding, state: State) -> Option<Self> {
        let is_right = |one: &Representation| one.body.as_ref().is_none_or(|body| body.len() as u64 == one.len);
        let twice = |(at, one): (usize, &Representation)| list[..at].iter().any(|other| other.coding == one.coding);
        let is_whole = list.iter().any(|one| one.body.is_some())
            && list.iter().any(|one| one.coding == original)
            && list.iter().all(is_right)
            && !list.iter().enumerate().any(twice);
        is_whole.then(|| Representations::sorted(list, original, state, Demand::default()))
    }

    fn sorted(mut list: Vec<Representation>, original: Coding, state: State, demand: Demand) -> Self {
        list.sort_by_key(|one| (one.len, one.coding));
        let heads = WireHeads::new(list.len());
        Representations { list: list.into_boxed_slice(), original, state, demand, heads }
    }

    /// All of them, the smallest first; never empty.
    pub fn all(&self) -> &[Representation] {
        &self.list
    }

    /// The one in this coding.
    pub fn get(&self, coding: Coding) -> Option<&Representation> {
        self.list.iter().find(|one| one.coding == coding)
    }

    /// The one that the origin sent.
    pub fn original(&self) -> &Representation {
        self.get(self.original).unwrap_or(&self.list[0])
    }

    /// The one without a coding, or else the origin's.
    pub fn uncoded(&self) -> &Representation {
        self.get(Coding::Identity).unwrap_or_else(|| self.original())
    }

    /// How far the codings are.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether there are several.
    pub fn is_negotiated(&self) -> bool {
        self.list.len() > 1
    }

    /// Whether answers say `Vary: Accept-Encoding`: there are several, or will be.
    pub fn varies(&self) -> bool {
        self.is_negotiated() || self.state == State::Pending
    }

    /// The heads of answers with one of them, made by `make` when the first such answer is written; `make`
    /// may find that they have to be written anew every time.
    pub fn wire_head(&self, one: &Representation, make: impl FnOnce() -> Option<WireHead>) -> Option<&WireHead> {
        let at = self.list.iter().position(|other| std::ptr::eq(one, other))?;
        self.heads.get(at, make)
    }

    /// How much it is wanted without a coding.
    pub fn demand(&self) -> &Demand {
        &self.demand
    }

    /// The same bodies under another `ETag` of the origin's representation.
    #[must_use]
    pub fn retagged(mut self, etag: Option<&HeaderValue>) -> Self {
        for one in &mut self.list {
            one.etag = etag_of(etag, one.coding, self.original, one.body.as_deref());
        }
        self.heads = WireHeads::new(self.list.len());
        self
    }

    /// Bytes of all bodies that are kept and of what is kept with them.
    pub fn weight(&self) -> usize {
        let one = |one: &Representation| {
            let body = one.body.as_ref().map_or(0, Bytes::len);
            size_of::<Representation>() + body + one.etag.as_ref().map_or(0, HeaderValue::len)
        };
        self.list.iter().map(one).sum()
    }
}

/// The `ETag` of a representation, when the origin's has `etag` (RFC 9110 §8.8.3.3).
fn etag_of(etag: Option<&HeaderValue>, coding: Coding, original: Coding, body: Option<&[u8]>) -> Option<HeaderValue> {
    let etag = etag?;
    if coding == original {
        return Some(etag.clone());
    }
    coded_etag(etag, coding.as_str(), body)
}

/// How often a page was asked for without a coding, up to four times; halved when it is refreshed.
#[derive(Debug, Default)]
pub struct Demand(AtomicU8);

impl Demand {
    /// More is not counted, so that a page in demand is not written to by every request.
    const MOST: u8 = 4;

    /// Counts a request.
    pub fn note(&self) {
        let count = self.count();
        if count < Self::MOST {
            self.0.store(count + 1, Ordering::Relaxed);
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    /// What is left of it for the next page under the same key.
    #[must_use]
    pub fn halved(&self) -> Demand {
        Demand(AtomicU8::new(self.count() / 2))
    }
}

impl Clone for Demand {
    fn clone(&self) -> Self {
        Demand(AtomicU8::new(self.count()))
    }
}
