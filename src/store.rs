//! Where pages are kept, and when a kept page is void.
//!
//! One interface over the tiers, memory and behind it the disk: everything that comes out of it has passed
//! the purge clock. It must not decide whether a page may be served; that is [`crate::policy::lookup`].

mod clock;
pub mod codec;
mod disk;
mod heir;
mod hot;
mod journal;
mod memory;
mod octets;
pub mod popularity;
pub mod purge_clock;
mod recall;
mod remembered;
mod variants;

pub(crate) use clock::Clock;
pub use disk::{Locked, OnLock};
pub(crate) use heir::{Bequest, Relative};
pub use hot::Loan;
pub use journal::NotWrittenDown;
pub(crate) use memory::Wear;
pub(crate) use variants::Found;

use crate::config::{self, PurgeMode, Purging};
use crate::metrics;
use crate::policy::key::KeyRef;
use crate::policy::purge::Rule;
use crate::policy::{Key, Page, PurgeSeq, RequestFields, Standing, Timestamp};
use disk::Disk;
use http::HeaderMap;
use journal::{Awaited, Journal};
use memory::{Entry, Lending, Memory};
use parking_lot::Mutex;
use popularity::Popularity;
use purge_clock::PurgeClock;
use remembered::Remembered;
use std::sync::Arc;
use variants::Variants;

/// How many locks guard the lists of variants.
const VARIANT_LOCKS: usize = 64;
/// Keys remembered as uncacheable; the ones that expire first give way.
const REMEMBERED_KEYS: usize = 65_536;
/// Keys in the popularity sketch (DESIGN §7).
const POPULAR_KEYS: usize = 65_536;

/// Every page there is.
pub struct Store {
    memory: Memory,
    disk: Option<Disk>,
    variant_locks: Vec<Mutex<()>>,
    uncacheable: Remembered,
    popularity: Arc<Popularity>,
    clock: Arc<PurgeClock>,
    journal: Arc<Journal>,
}

impl Store {
    /// A store in memory alone.
    pub fn new(config: &config::Store, purging: &Purging) -> Self {
        Store::with_journal(config, purging, Awaited::No)
    }

    /// A store with the disk tier that the configuration names, if it names one. What was purged before is
    /// known when it returns; the disk is opened in the background.
    ///
    /// # Errors
    /// When another process has the directory and that is a mistake; nothing else that is wrong with a disk
    /// keeps a store from being used.
    pub(crate) fn open(
        config: &config::Store,
        purging: &Purging,
        on_lock: OnLock,
        series: metrics::Disk,
        clock: Clock,
    ) -> Result<Self, Locked> {
        let Some(disk) = &config.disk else { return Ok(Store::new(config, purging)) };
        let mut store = Store::with_journal(config, purging, Awaited::Yes);
        let parts = disk::Parts {
            journal: Arc::clone(&store.journal),
            purges: Arc::clone(&store.clock),
            popularity: Arc::clone(&store.popularity),
            series,
            clock,
        };
        store.disk = Some(Disk::start(disk.clone(), on_lock, parts)?);
        Ok(store)
    }

    fn with_journal(config: &config::Store, purging: &Purging, awaited: Awaited) -> Self {
        let journal = Arc::new(Journal::new(awaited));
        Store {
            memory: Memory::new(config),
            disk: None,
            variant_locks: (0..VARIANT_LOCKS).map(|_| Mutex::new(())).collect(),
            uncacheable: Remembered::new(REMEMBERED_KEYS),
            popularity: Arc::new(Popularity::new(POPULAR_KEYS)),
            clock: Arc::new(PurgeClock::with_journal(purging.max_rules, Arc::clone(&journal))),
            journal,
        }
    }

    /// The page of exactly this key in memory, unless it is void.
    pub fn get<'k>(&self, key: impl Into<KeyRef<'k>>) -> Option<Arc<Page>> {
        match self.memory.get(key.into())? {
            Entry::Page(page) => self.valid(page),
            Entry::Variants(_) => None,
        }
    }

    /// The same for a hit: a page that this thread is asked for often it lends itself.
    pub fn lend(&self, key: KeyRef<'_>) -> Option<Loan> {
        let lending = self.memory.lend(key)?;
        self.lent(key, lending).ok()?
    }

    /// The variant in memory under `base` that fits the request (RFC 9111 §4.1).
    pub(crate) fn find<'k, 'r>(&self, base: impl Into<KeyRef<'k>>, request: impl Into<RequestFields<'r>>) -> Found {
        let (base, request) = (base.into(), request.into());
        let Some(lending) = self.memory.lend(base) else { return Found::Nothing };
        match self.lent(base, lending) {
            Ok(page) => page.map_or(Found::Nothing, Found::Page),
            Err(variants) => {
                if let Some(page) = variants.select(request).and_then(|key| self.get(key)) {
                    return Found::Page(Loan::Found(page));
                }
                variants.key_for(base, request).map_or(Found::Nothing, Found::NoVariant)
            }
        }
    }

    /// The page that [`find`](Self::find) finds.
    pub(crate) fn find_page(&self, base: KeyRef<'_>, request: RequestFields<'_>) -> Option<Loan> {
        match self.lent(base, self.memory.lend(base)?) {
            Ok(page) => page,
            Err(variants) => variants.select(request).and_then(|key| self.get(key)).map(Loan::Found),
        }
    }

    /// The page, unless it is void, or the variants that there are in its place.
    fn lent(&self, key: KeyRef<'_>, lending: Lending) -> Result<Option<Loan>, Arc<Variants>> {
        match lending {
            Lending::Own(borrowed) => {
                if borrowed.told > 0 {
                    self.popularity.touch_times(&key, borrowed.told);
                }
                let is_void = self.clock.standing(&borrowed.page) == Standing::Void;
                Ok((!is_void).then_some(Loan::Lent(borrowed.page)))
            }
            Lending::Tier(Entry::Page(page), stamp) => {
                let page = self.valid(page);
                if let Some(page) = &page {
                    self.memory.offer(page, stamp);
                }
                Ok(page.map(Loan::Found))
            }
            Lending::Tier(Entry::Variants(variants), _) => Err(variants),
        }
    }

    /// What is stored for a request, void or not: for people who ask, never to be served.
    pub(crate) fn stored(&self, key: &Key, request: &HeaderMap) -> Option<Arc<Page>> {
        let variants = match self.memory.get(key.as_ref())? {
            Entry::Page(page) => return Some(page),
            Entry::Variants(variants) => variants,
        };
        match self.memory.get(variants.select(request.into())?.as_ref())? {
            Entry::Page(page) => Some(page),
            Entry::Variants(_) => None,
        }
    }

    /// Keeps `page` in the place of what was stored under its key; of more than `max_variants`
    /// pages of one URL the least popular leaves. A page that became void while it was rendered is not
    /// kept at all, and none takes the place of one that saw a later purge sequence.
    pub fn put(&self, page: Arc<Page>, max_variants: usize) {
        let base = page.key.base();
        let _guard = self.variant_lock(base.as_ref().unwrap_or(&page.key)).lock();
        let is_older = |there: Arc<Page>| there.purge_seq > page.purge_seq;
        if self.clock.standing(&page) == Standing::Void || self.get(&page.key).is_some_and(is_older) {
            return;
        }
        if let Some(base) = base {
            let known = match self.memory.get(base.as_ref()) {
                Some(Entry::Variants(variants)) => variants,
                _ => Arc::new(Variants::default()),
            };
            let (variants, left) = known.with(&page, max_variants, |key| self.popularity.estimate(key));
            for key in &left {
                self.drop_page(key);
            }
            let (changed, entry) = (variants != *known, Entry::Variants(Arc::new(variants)));
            self.memory.insert(base.clone(), entry.clone());
            if let Some(disk) = self.disk.as_ref().filter(|_| changed) {
                disk.put(&base, entry);
            }
        }
        let (key, entry) = (page.key.clone(), Entry::Page(page));
        if let Some(disk) = &self.disk {
            disk.put(&key, entry.clone());
        }
        self.memory.insert(key, entry);
    }

    /// Whether exactly this page is stored.
    pub(crate) fn holds(&self, page: &Arc<Page>) -> bool {
        matches!(self.memory.get(&page.key), Some(Entry::Page(there)) if Arc::ptr_eq(&there, page))
    }

    /// Puts the same page in another form in the place of `page`, unless another one is there by now.
    pub(crate) fn exchange(&self, page: &Arc<Page>, other: Arc<Page>, wear: Wear) {
        let base = page.key.base();
        let _guard = self.variant_lock(base.as_ref().unwrap_or(&page.key)).lock();
        if self.holds(page) && self.clock.standing(page) != Standing::Void {
            // What is only unpacked is packed the same way on disk.
            let has_changed = other.representations.state() != page.representations.state();
            let entry = Entry::Page(other);
            if let Some(disk) = self.disk.as_ref().filter(|_| has_changed) {
                disk.put(&page.key, entry.clone());
            }
            self.memory.insert_worn(page.key.clone(), entry, wear);
        }
    }

    /// Forgets the page of this key.
    pub(crate) fn remove(&self, key: &Key) {
        let base = key.base();
        let _guard = self.variant_lock(base.as_ref().unwrap_or(key)).lock();
        self.drop_page(key);
    }

    fn drop_page(&self, key: &Key) {
        self.memory.remove(key);
        if let Some(disk) = &self.disk {
            disk.remove(key);
        }
    }

    /// Remembers that answers for this key are not to be shared.
    pub(crate) fn remember_uncacheable(&self, key: &Key, until: Timestamp, now: Timestamp) {
        self.uncacheable.insert(key, until, now);
    }

    /// Whether answers for this key are remembered as not to be shared.
    pub(crate) fn is_uncacheable(&self, key: &Key, now: Timestamp) -> bool {
        self.uncacheable.contains(key, now)
    }

    /// Counts a request for this key that found this page, or none, unless its thread does.
    pub(crate) fn count_use(&self, key: KeyRef<'_>, page: Option<&Loan>) {
        if !matches!(page, Some(Loan::Lent(_))) {
            self.touch(key);
        }
    }

    /// Counts a use of this key.
    pub(crate) fn touch<'k>(&self, key: impl Into<KeyRef<'k>>) {
        self.popularity.touch(&key.into());
    }

    /// How popular a key is.
    pub(crate) fn popularity(&self, key: &Key) -> u32 {
        self.popularity.estimate(key)
    }

    /// The `n` keys that are asked for most, the most popular first, with their popularity.
    pub(crate) fn top(&self, n: usize) -> Vec<(Key, u32)> {
        self.popularity.top(n)
    }

    /// Halves every popularity; to be called every [`popularity::HALF_LIFE`].
    pub(crate) fn let_popularity_fade(&self) {
        self.popularity.age();
    }

    /// The purge sequence now.
    pub(crate) fn purge_seq(&self) -> PurgeSeq {
        self.clock.now()
    }

    /// Makes every stored page of one URI void, in all variants, and every render of it that has
    /// started (RFC 9111 §4.4).
    pub(crate) fn invalidate(&self, uri_hash: u64) -> PurgeSeq {
        self.clock.invalidate(uri_hash)
    }

    /// The same for all URIs of a path of one host, in the mode that a route names.
    pub(crate) fn invalidate_path(&self, host: &str, path: &str, mode: PurgeMode) -> PurgeSeq {
        self.clock.invalidate_path(host, path, mode)
    }

    /// The same for everything with a tag.
    pub(crate) fn invalidate_tag(&self, tag: &str, mode: PurgeMode) -> PurgeSeq {
        self.clock.invalidate_tag(tag, mode)
    }

    /// Applies a changed bound on purge rules; the oldest ones give way.
    pub fn limit_purge_rules(&self, purging: &Purging) {
        self.clock.limit(purging.max_rules);
    }

    /// Whether the store can go over to these bounds while it runs; what has been cut into shards cannot
    /// hold pages that are too large for one.
    pub(crate) fn can_become(&self, config: &config::Store) -> bool {
        self.memory.can_become(config)
    }

    /// Applies a changed bound on memory; pages that have no room any more leave. Waits for that.
    pub(crate) fn limit_memory(&self, config: &config::Store) {
        self.memory.limit(config);
    }

    /// Purges what these rules name, in renders that have started too.
    pub(crate) fn purge(&self, rules: &[Rule], mode: PurgeMode) -> PurgeSeq {
        self.clock.purge(rules, mode)
    }

    /// From here on what is purged is kept, to be told to the process that takes over.
    pub(crate) fn bequeath(&self) -> Bequest {
        self.clock.bequeath()
    }

    /// The same, to be told to the process that was taken over from.
    pub(crate) fn report(&self) -> Bequest {
        self.clock.report()
    }

    /// Purges what the process before or after has; whether that was understood.
    pub(crate) fn take_in(&self, purged: &[u8], by: Relative) -> bool {
        journal::decoded(purged).map(|change| self.clock.take_in(&change, by)).is_some()
    }

    /// Lets every page and every render that has started be of an earlier build of the origin than this one.
    pub(crate) fn deploy(&self, id: &str) -> PurgeSeq {
        self.clock.deploy(id)
    }

    /// The last build that was deployed.
    pub(crate) fn build(&self) -> Option<Box<str>> {
        self.clock.deployed().map(|(id, _)| id)
    }

    /// How a page stands after the purges since its render.
    pub(crate) fn standing(&self, page: &Page) -> Standing {
        self.clock.standing(page)
    }

    /// How the page of a render would stand that took this sequence, its tags not being known.
    pub(crate) fn standing_of_render(&self, key: &Key, seq: PurgeSeq) -> Standing {
        self.clock.standing_of_render(key, seq)
    }

    /// Purge rules that are remembered one by one.
    pub fn purge_rules(&self) -> usize {
        self.clock.rules()
    }

    /// Purge rules that had to merge into one that covers more, since the start.
    pub fn merged_purge_rules(&self) -> u64 {
        self.clock.merged()
    }

    /// The `n` most popular keys, the most popular first.
    pub(crate) fn popular(&self, n: usize) -> Vec<Key> {
        self.popularity.top(n).into_iter().map(|(key, _)| key).collect()
    }

    /// Bytes of pages kept, all overhead counted.
    pub fn bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// Bytes it may keep.
    pub fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// Pages kept.
    pub fn pages(&self) -> usize {
        self.memory.pages()
    }

    /// Pages that had to leave for others since the start.
    pub fn evictions(&self) -> u64 {
        self.memory.evictions()
    }

    fn valid(&self, page: Arc<Page>) -> Option<Arc<Page>> {
        (self.clock.standing(&page) != Standing::Void).then_some(page)
    }

    fn variant_lock(&self, base: &Key) -> &Mutex<()> {
        let index = usize::try_from(base.hash64() % VARIANT_LOCKS as u64).unwrap_or(0);
        &self.variant_locks[index]
    }
}
