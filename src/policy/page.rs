//! A page: a stored response with all the numbers that a lookup compares.
//!
//! Everything that depends on the response's headers is computed once, when the page is made
//! ([`super::freshness`], [`super::storability`]); a lookup compares points in time and does not parse.

use super::encoding::{self, Coding, Representation, Representations};
use super::fields::Fields;
use super::key::Key;
use super::time::Timestamp;
use super::vary;
use http::{HeaderValue, StatusCode, header};

/// The purge sequence: a counter that every purge and invalidation raises by one. A page carries
/// the value its render saw before it connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PurgeSeq(pub u64);

/// How long a page may be used, as points in time, computed when it is stored (RFC 9111 §4.2, RFC 5861).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// When the origin made the response: the response's arrival less its corrected initial age
    /// (RFC 9111 §4.2.3). `Age` is `now - born`.
    pub born: Timestamp,
    /// The page is fresh before this point.
    pub fresh_until: Timestamp,
    /// A stale page may be served at once, while a render refreshes it, before this point. Never
    /// before `fresh_until`; equal to it where the response forbids stale use.
    pub while_revalidate_until: Timestamp,
    /// A stale page may be served when its refresh failed (RFC 5861 §4, RFC 9111 §4.2.4) before
    /// this point. Never before `fresh_until`.
    pub if_error_until: Timestamp,
    /// Whether a `ttl` is to be shown: pages kept until purged (`static`) have none.
    pub has_ttl: bool,
}

/// What a refresh may ask the origin with (RFC 9111 §4.3.1): the origin's own validators, as it sent them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// The origin's `ETag`, byte for byte, quoted or not.
    pub etag: Option<HeaderValue>,
    /// The origin's `Last-Modified`, byte for byte.
    pub last_modified: Option<HeaderValue>,
}

/// A stored response.
#[derive(Clone, Debug)]
pub struct Page {
    /// What identifies it, variant included.
    pub key: Key,
    /// The status the origin answered with.
    pub status: StatusCode,
    /// The end-to-end header fields as they are replayed to clients: hop-by-hop and tag fields are
    /// already gone, `Cache-Control` and `ETag` are already what browsers get. They are those of the
    /// representation that the origin sent; [`Page::fields_of`] has those of any. `Content-Length`,
    /// `Age` and `Cache-Status` of ours are written per response.
    pub fields: Fields,
    /// The body in its codings.
    pub representations: Representations,
    /// How long it may be used.
    pub lifetime: Lifetime,
    /// The origin's validators, for refreshes.
    pub origin_validators: Validators,
    /// Surrogate keys, sorted and without repetition.
    pub tags: Box<[Box<str>]>,
    /// The purge sequence that its render saw before it connected.
    pub purge_seq: PurgeSeq,
    /// How it stood when it was last compared with the purges since.
    pub purge_memo: super::PurgeMemo,
    /// Field names of the response's `Vary`, lower case, that select this page among its variants
    /// (only on `cache: headers`; RFC 9111 §4.1), with the normalised values its request had.
    pub selecting: Box<[vary::Selecting]>,
    /// Field names of the response's `Vary` that the route does not key on (`isr`, `static`): requests
    /// that carry one of them are bypasses (DESIGN §3 "Vary").
    pub unkeyed_vary: Box<[http::HeaderName]>,
}

impl Page {
    /// The fields of one of its representations as they are replayed: with its own `Content-Encoding` and
    /// `ETag`, and `Vary: Accept-Encoding` where there are others. A copy, to be made when a page is
    /// stored or off the fastest path.
    pub fn fields_of(&self, one: &Representation) -> Fields {
        let mut fields = self.fields.clone();
        if one.coding != self.representations.original().coding {
            let coding = (one.coding != Coding::Identity).then(|| one.coding.value());
            fields = fields.with(header::CONTENT_ENCODING, coding).with(header::ETAG, one.etag.clone());
        }
        if self.representations.varies() { encoding::varied(&fields) } else { fields }
    }

    /// Takes note that a request got this representation although there were others. It may be called for every request: after the
    /// first few it writes nothing.
    pub fn note_use(&self, one: &Representation) {
        if one.coding == Coding::Identity && self.representations.is_negotiated() {
            self.representations.demand().note();
        }
    }

    /// What the page costs in memory, in bytes: bodies, fields, key, tags and a fixed overhead for
    /// the structures around them.
    pub fn weight(&self) -> usize {
        /// The page's own struct, its `Arc`, the tier's entry and hash-table slot; measured in `benches/`.
        const OVERHEAD: usize = 512;
        /// What a field costs besides its bytes: name and value handles.
        const PER_FIELD: usize = 72;
        let tags: usize = self.tags.iter().map(|t| t.len() + 16).sum();
        let selecting: usize = self.selecting.iter().map(vary::Selecting::weight).sum();
        OVERHEAD
            + self.representations.weight()
            + self.fields.byte_len()
            + self.fields.len() * PER_FIELD
            + self.key.as_bytes().len()
            + tags
            + selecting
    }
}
