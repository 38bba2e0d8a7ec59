//! The memory tier: foyer's cache with a byte-exact weight and scan-resistant eviction (S3-FIFO), so
//! that keys nobody asks for twice cannot push the others out.

use super::hot;
use super::variants::Variants;
use crate::config;
use crate::policy::key::KeyRef;
use crate::policy::{Key, Page};
use foyer::{Cache, CacheBuilder, Event, EventListener, S3FifoConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A shard holds at least this many of the largest pages, so that one of them cannot empty it.
const LARGEST_PAGES_PER_SHARD: usize = 8;
/// More shards than this do not make locks any less contended.
const MAX_SHARDS: usize = 64;

/// What is kept under a key.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// A page.
    Page(Arc<Page>),
    /// The list of a URL's variants, kept under the key without a variant.
    Variants(Arc<Variants>),
}

impl Entry {
    /// Whether both are one and the same.
    pub(super) fn is_same(&self, other: &Entry) -> bool {
        match (self, other) {
            (Entry::Page(one), Entry::Page(other)) => Arc::ptr_eq(one, other),
            (Entry::Variants(one), Entry::Variants(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        match self {
            Entry::Page(page) => page.weight(),
            Entry::Variants(variants) => variants.weight(),
        }
    }
}

/// Whether a record has proved its worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wear {
    /// It has not: nobody asked for it a second time.
    New,
    /// It has.
    Used,
}

/// What there is under a key, and where it was.
pub(super) enum Lending {
    /// With the thread itself.
    Own(hot::Borrowed),
    /// In the tier, with the stamp of the key.
    Tier(Entry, u64),
}

/// The pages in memory.
#[derive(Debug)]
pub(super) struct Memory {
    cache: Cache<Key, Entry, foldhash::quality::RandomState>,
    counts: Arc<Counts>,
    hot: Arc<hot::Shared>,
    /// Bytes it may hold; foyer says what it began with.
    capacity: AtomicUsize,
}

#[derive(Debug)]
struct Counts {
    hot: Arc<hot::Shared>,
    pages: AtomicUsize,
    evictions: AtomicU64,
}

impl EventListener for Counts {
    type Key = Key;
    type Value = Entry;

    fn on_leave(&self, reason: Event, key: &Key, entry: &Entry) {
        self.hot.mark(key.hash64());
        let Entry::Page(_) = entry else { return };
        self.pages.fetch_sub(1, Ordering::Relaxed);
        if reason == Event::Evict {
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Memory {
    pub(super) fn new(config: &config::Store) -> Self {
        let hot = hot::Shared::new();
        let counts = Counts { hot: Arc::clone(&hot), pages: AtomicUsize::new(0), evictions: AtomicU64::new(0) };
        let counts = Arc::new(counts);
        let cache = CacheBuilder::new(config.memory)
            .with_name("pages")
            .with_shards(shards(config))
            .with_eviction_config(S3FifoConfig::default())
            .with_hash_builder(foldhash::quality::RandomState::default())
            .with_weighter(|_: &Key, entry: &Entry| entry.weight())
            .with_event_listener(Arc::clone(&counts) as Arc<dyn EventListener<Key = Key, Value = Entry>>)
            .build();
        Memory { cache, counts, hot, capacity: AtomicUsize::new(config.memory) }
    }

    pub(super) fn can_become(&self, config: &config::Store) -> bool {
        self.cache.shards() <= shards(config).max(config.memory / (2 * config.max_page.max(1)))
    }

    pub(super) fn limit(&self, config: &config::Store) {
        if config.memory == self.capacity() {
            return;
        }
        match self.cache.resize(config.memory) {
            Ok(()) => self.capacity.store(config.memory, Ordering::Relaxed),
            Err(error) => tracing::error!(%error, "store.memory could not be changed"),
        }
    }

    pub(super) fn get<'k>(&self, key: impl Into<KeyRef<'k>>) -> Option<Entry> {
        self.cache.get(&key.into()).map(|entry| entry.value().clone())
    }

    /// A page, from the calling thread's own where it has it. Whether a use of it is counted, and how many are told
    /// of the tier at once, is in what comes back.
    pub(super) fn lend(&self, key: KeyRef<'_>) -> Option<Lending> {
        let stamp = self.hot.stamp(key.hash64());
        if let Some(borrowed) = hot::lend(&self.hot, key, stamp) {
            if borrowed.told > 0 {
                self.cache.touch(&key);
            }
            return Some(Lending::Own(borrowed));
        }
        Some(Lending::Tier(self.get(key)?, stamp))
    }

    /// Lets the calling thread have a page that it was [lent](Self::lend).
    pub(super) fn offer(&self, page: &Arc<Page>, stamp: u64) {
        hot::offer(&self.hot, page, stamp, self.capacity());
    }

    pub(super) fn insert(&self, key: Key, entry: Entry) {
        // foyer treats what replaces a record as new. A page that is worth a refresh is not, so it does
        // not have to prove itself again (`benches/eviction.rs`: up to 10 points of hit ratio).
        let wear = if self.cache.contains(&key) { Wear::Used } else { Wear::New };
        self.insert_worn(key, entry, wear);
    }

    /// Inserts a record as one that was asked for, or not.
    pub(super) fn insert_worn(&self, key: Key, entry: Entry, wear: Wear) {
        if let Entry::Page(_) = &entry {
            self.counts.pages.fetch_add(1, Ordering::Relaxed);
        }
        self.cache.insert(key.clone(), entry);
        if wear == Wear::Used {
            self.cache.touch(&key);
        }
    }

    pub(super) fn remove(&self, key: &Key) {
        self.cache.remove(key);
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> usize {
        self.cache.usage()
    }

    /// Bytes of the pages that threads have themselves.
    #[cfg(test)]
    pub(super) fn hot_bytes(&self) -> usize {
        self.hot.held()
    }

    pub(super) fn pages(&self) -> usize {
        self.counts.pages.load(Ordering::Relaxed)
    }

    pub(super) fn evictions(&self) -> u64 {
        self.counts.evictions.load(Ordering::Relaxed)
    }
}

fn shards(config: &config::Store) -> usize {
    let largest = config.max_page.max(1) * LARGEST_PAGES_PER_SHARD;
    (config.memory / largest).clamp(1, MAX_SHARDS)
}
