//! The representations of one page, and how much it is wanted without a coding.
//!
//! Never empty; at least one has its body. The smallest comes first. Only the one without a coding may
//! lack its body: a page that hardly anybody wants without a coding is kept in its codings alone, and the
//! body is made from them when it is asked for.

use super::Coding;
use super::wire_head::{WireHead, WireHeads};
use crate::policy::validation::coded_etag;
use bytes::Bytes;
use http::HeaderValue;
use std::sync::atomic::{AtomicU8, Ordering};
use xxhash_rust::xxh3::xxh3_128;

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
    Made {
        /// The [`Compression::fingerprint`](crate::config::Compression::fingerprint) that they were made
        /// by; 0: the origin's coding is the only one.
        by: u32,
    },
}

/// A coding has to save a twentieth of the body, or it is not kept.
const WORTH_IT: u64 = 20;

/// A body of more bytes than this is always kept without its coding too: making it anew would hold up
/// the thread that answers.
const REMADE_AT_MOST: u64 = 256 << 10;

/// All representations of a page.
#[derive(Clone, Debug)]
pub struct Representations {
    list: Box<[Representation]>,
    original: Coding,
    state: State,
    demand: Demand,
    heads: WireHeads,
    /// Of the body that the origin sent.
    digest: u128,
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
        let digest = xxh3_128(&body);
        let one = Representation { coding, etag, len: body.len() as u64, body: Some(body) };
        let heads = WireHeads::new(1);
        Representations { list: Box::new([one]), original: coding, state, demand: Demand::default(), heads, digest }
    }

    /// What an origin sent in a coding of its own, and what that comes to without.
    pub fn decoded(coding: Coding, etag: Option<HeaderValue>, body: Bytes, plain: Bytes) -> Self {
        let digest = xxh3_128(&body);
        let plain_etag = etag_of(etag.as_ref(), Coding::Identity, coding, Some(&plain));
        let list = vec![
            Representation { coding, etag, len: body.len() as u64, body: Some(body) },
            Representation { coding: Coding::Identity, etag: plain_etag, len: plain.len() as u64, body: Some(plain) },
        ];
        let state = State::Made { by: 0 };
        Representations::sorted(list, coding, state, Demand::default(), digest).lightened()
    }

    /// These, as they were taken apart by [`all`](Self::all), [`original`](Self::original),
    /// [`state`](Self::state) and [`digest`](Self::digest). `None` where they are not the representations
    /// of a page: the original is not among them, a coding is there twice, one in a coding, a large one or all
    /// have no body, or a body has another length.
    pub fn from_parts(list: Vec<Representation>, original: Coding, state: State, digest: u128) -> Option<Self> {
        let is_right = |one: &Representation| match &one.body {
            Some(body) => body.len() as u64 == one.len,
            None => one.coding == Coding::Identity && one.len <= REMADE_AT_MOST,
        };
        let twice = |(at, one): (usize, &Representation)| list[..at].iter().any(|other| other.coding == one.coding);
        let is_whole = list.iter().any(|one| one.body.is_some())
            && list.iter().any(|one| one.coding == original)
            && list.iter().all(is_right)
            && !list.iter().enumerate().any(twice);
        is_whole.then(|| Representations::sorted(list, original, state, Demand::default(), digest))
    }

    fn sorted(mut list: Vec<Representation>, original: Coding, state: State, demand: Demand, digest: u128) -> Self {
        list.sort_by_key(|one| (one.len, one.coding));
        let heads = WireHeads::new(list.len());
        Representations { list: list.into_boxed_slice(), original, state, demand, heads, digest }
    }

    /// These with codings of ours, as far as they are smaller; made by the compression with this
    /// fingerprint. Only of what the origin sent without a coding.
    #[must_use]
    pub fn encoded(&self, made: Vec<(Coding, Bytes)>, by: u32) -> Self {
        let plain = self.original().clone();
        let most = plain.len - plain.len.div_ceil(WORTH_IT);
        let smaller = made.into_iter().filter(|(_, body)| body.len() as u64 <= most);
        let etag = plain.etag.clone();
        let of = |(coding, body): (Coding, Bytes)| {
            let etag = etag_of(etag.as_ref(), coding, self.original, Some(&body));
            Representation { coding, etag, len: body.len() as u64, body: Some(body) }
        };
        let list = smaller.map(of).chain([plain]).collect();
        let all = Representations::sorted(list, self.original, State::Made { by }, self.demand.clone(), self.digest);
        all.lightened()
    }

    /// These for a page that was rendered again and came out the same.
    #[must_use]
    pub fn refreshed(&self) -> Self {
        self.clone().with_demand(self.demand.halved()).lightened()
    }

    /// The same, wanted as much as this.
    #[must_use]
    pub fn with_demand(self, demand: Demand) -> Self {
        Representations { demand, ..self }
    }

    /// The same with the body that goes without a coding, which was made again.
    #[must_use]
    pub fn unpacked(&self, body: Bytes) -> Self {
        let mut all = self.clone();
        let plain = all.list.iter_mut().find(|one| one.coding == Coding::Identity && one.len == body.len() as u64);
        if let Some(plain) = plain {
            plain.body = Some(body);
        }
        all
    }

    /// Without the body that goes without a coding, where it is hardly wanted and can be made again.
    fn lightened(mut self) -> Self {
        let is_packed = self.list.iter().any(|one| one.coding != Coding::Identity && one.body.is_some());
        let is_wanted = self.demand.is_lasting();
        let plain = self.list.iter_mut().find(|one| one.coding == Coding::Identity);
        if let Some(plain) = plain.filter(|plain| is_packed && !is_wanted && plain.len <= REMADE_AT_MOST) {
            plain.body = None;
        }
        self
    }

    /// Tells the body that the origin sent from every other.
    pub fn digest(&self) -> u128 {
        self.digest
    }

    /// Whether this is the body that the origin sent.
    pub fn is_of(&self, body: &[u8]) -> bool {
        self.original().len == body.len() as u64 && self.digest == xxh3_128(body)
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
    /// From here on it is worth keeping a body for.
    const LASTING: u8 = 2;
    /// More is not counted, so that a page in demand is not written to by every request.
    const MOST: u8 = 4;

    /// Counts a request.
    pub fn note(&self) {
        let count = self.count();
        if count < Self::MOST {
            self.0.store(count + 1, Ordering::Relaxed);
        }
    }

    /// Whether it was asked for more than once lately.
    pub fn is_lasting(&self) -> bool {
        self.count() >= Self::LASTING
    }

    /// Whether it was asked for as often as is counted.
    pub fn is_highest(&self) -> bool {
        self.count() >= Self::MOST
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
