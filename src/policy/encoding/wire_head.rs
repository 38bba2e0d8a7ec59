//! What answers with a representation begin with, as bytes: made once for a page and kept with it, so that
//! a hit writes nothing anew that is the same every time. Whoever serves pages knows how to make it.

use std::sync::OnceLock;

/// The part of a head that is the same for every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireHead {
    /// Status line and fields of the answer with the whole body: no more than `Age`, `Cache-Status`, its length,
    /// `Connection` and, without [`is_dated`](Self::is_dated), `Date` are missing.
    pub whole: Box<[u8]>,
    /// The same of "not modified".
    pub not_modified: Box<[u8]>,
    /// `Content-Length` of the whole body, as a line.
    pub length: Box<[u8]>,
    /// Whether the page has a `Date` of its own.
    pub is_dated: bool,
}

/// A head for each representation of a page, as soon as it was served. What is cloned from a page becomes
/// another page, so a clone has none.
#[derive(Debug)]
pub(super) struct WireHeads(Box<[OnceLock<Option<WireHead>>]>);

impl WireHeads {
    /// For this many representations.
    pub(super) fn new(representations: usize) -> Self {
        WireHeads((0..representations).map(|_| OnceLock::new()).collect())
    }

    pub(super) fn get(&self, at: usize, make: impl FnOnce() -> Option<WireHead>) -> Option<&WireHead> {
        self.0.get(at)?.get_or_init(make).as_ref()
    }
}

impl Clone for WireHeads {
    fn clone(&self) -> Self {
        WireHeads::new(self.0.len())
    }
}
