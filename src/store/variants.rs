//! The variants of one URL: which keys they are stored under, and which of them fits a request.
//!
//! On `cache: headers` the response's `Vary` selects (RFC 9111 §4.1); on other routes the key itself
//! names the variant and the list only keeps their number within `max_variants`.

use super::hot::Loan;
use crate::policy::key::KeyRef;
use crate::policy::vary::{self, Selecting};
use crate::policy::{Key, Page, RequestFields};

/// What is stored for a request on a `cache: headers` route.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// A page that fits.
    Page(Loan),
    /// Other variants only; a page for this request would have this key.
    NoVariant(Key),
    /// Nothing.
    Nothing,
}

/// The variants of one URL, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Variants(Vec<Variant>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Variant {
    key: Key,
    selecting: Box<[Selecting]>,
}

impl From<Vec<(Key, Box<[Selecting]>)>> for Variants {
    fn from(list: Vec<(Key, Box<[Selecting]>)>) -> Self {
        Variants(list.into_iter().map(|(key, selecting)| Variant { key, selecting }).collect())
    }
}

impl Variants {
    /// The keys and what selects each, the newest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &[Selecting])> {
        self.0.iter().map(|variant| (&variant.key, &*variant.selecting))
    }

    /// The key of the newest variant that fits the request.
    pub(super) fn select(&self, request: RequestFields<'_>) -> Option<&Key> {
        self.0.iter().find(|variant| vary::matches(&variant.selecting, request)).map(|variant| &variant.key)
    }

    /// The key that a page for this request would have if it varies as the newest variant does.
    pub(super) fn key_for(&self, base: KeyRef<'_>, request: RequestFields<'_>) -> Option<Key> {
        let newest = self.0.first()?;
        let names: Vec<_> = newest.selecting.iter().map(|selecting| selecting.name.clone()).collect();
        Some(base.with_variant(&vary::fingerprint(&names, request)))
    }

    /// This list with `page` at its head and no more than `max` variants, and the keys that had to
    /// leave: the least popular ones, the oldest of equals first.
    pub(super) fn with(&self, page: &Page, max: usize, popularity: impl Fn(&Key) -> u32) -> (Variants, Vec<Key>) {
        let newest = Variant { key: page.key.clone(), selecting: page.selecting.clone() };
        let mut others: Vec<Variant> = self.0.iter().filter(|variant| variant.key != page.key).cloned().collect();
        let mut left = Vec::new();
        while others.len() + 1 > max.max(1) {
            let Some((index, _)) = others.iter().enumerate().rev().min_by_key(|(_, variant)| popularity(&variant.key))
            else {
                break;
            };
            left.push(others.remove(index).key);
        }
        others.insert(0, newest);
        (Variants(others), left)
    }

    /// Bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        /// The list's own struct, its `Arc` and the tier's entry.
        const OVERHEAD: usize = 256;
        let variants: usize = self.0.iter().map(Variant::weight).sum();
        OVERHEAD + variants
    }
}

impl Variant {
    fn weight(&self) -> usize {
        let selecting: usize = self.selecting.iter().map(Selecting::weight).sum();
        size_of::<Variant>() + self.key.as_bytes().len() + selecting
    }
}
