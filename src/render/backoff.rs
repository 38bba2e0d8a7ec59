//! When a key whose render failed may be rendered again (DESIGN §2.5): after 1 s, doubling to 10 s,
//! ±20 %, or as long as the origin's `Retry-After` asks for, if that is longer.
//!
//! A good render ends the waits of all keys of its origin, because it shows that the origin is back.
//! It is no such sign for a page that is broken on a healthy origin, which would then be rendered in a
//! hot loop. So each failure is judged when it happens: if the origin has rendered anything well since
//! this key failed last, the page is at fault and the new wait is served in full; if not, the origin is,
//! and its next good render ends the wait. The failures are counted through both, so waits only grow
//! until the key's own render is good. A broken page gets at most one early try for every wait that it
//! served in full, and none while its origin keeps rendering other pages or renders none.
//!
//! It must not start renders, read a clock or draw random numbers: both are arguments.

mod retry_after;

pub use retry_after::retry_after;

use crate::policy::{Key, Timestamp};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Keys that are remembered; beyond that those whose failure is the longest ago are forgotten.
pub const MAX_KEYS: usize = 65_536;
/// The wait after the first failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The wait that doubling ends at.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How much of an origin's `Retry-After` counts.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// By what share a wait is made shorter or longer at random, so that keys do not come back in step.
const JITTER: f64 = 0.2;
/// A key that nobody asked for this long after its wait begins anew with its next failure.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Locks; a power of two.
const SHARDS: usize = 16;

/// The failures of every key.
pub struct Backoff<K = Key> {
    shards: Box<[Mutex<Shard<K>>]>,
    per_shard: usize,
    hasher: foldhash::fast::RandomState,
}

/// What one origin has rendered well: the epoch that a wait belongs to. Clones count together, so an
/// origin keeps it through a change of the configuration, wherever it stands in the file then; no two
/// origins are ever in the same epoch.
#[derive(Clone, Debug)]
pub struct GoodRenders(Arc<AtomicU64>);

struct Shard<K> {
    failing: HashMap<K, Failing, foldhash::fast::RandomState>,
    /// The keys by the order of their last failure.
    oldest: BTreeMap<u64, K>,
    next: u64,
}

struct Failing {
    failures: u32,
    until: Timestamp,
    /// The origin's good renders when the key failed.
    epoch: u64,
    at_fault: AtFault,
    order: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum AtFault {
    /// The next good render of the origin ends the wait.
    Origin,
    /// Only time or a good render of the page itself ends the wait.
    Page,
}

impl GoodRenders {
    /// Of an origin that has rendered nothing yet.
    pub fn none() -> Self {
        static ORIGINS: AtomicU64 = AtomicU64::new(0);
        GoodRenders(Arc::new(AtomicU64::new(ORIGINS.fetch_add(1, Ordering::SeqCst) << 40)))
    }

    fn epoch(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl<K: Clone + Eq + Hash> Default for Backoff<K> {
    fn default() -> Self {
        Backoff::with_capacity(MAX_KEYS)
    }
}

impl<K: Clone + Eq + Hash> Backoff<K> {
    fn with_capacity(keys: usize) -> Self {
        let hasher = foldhash::fast::RandomState::default();
        let shard =
            || Mutex::new(Shard { failing: HashMap::with_hasher(hasher.clone()), oldest: BTreeMap::new(), next: 0 });
        Backoff { shards: (0..SHARDS).map(|_| shard()).collect(), per_shard: keys.div_ceil(SHARDS), hasher }
    }

    /// When `key` may be rendered again, if it has to wait at `now`.
    pub fn waiting(&self, key: &K, origin: &GoodRenders, now: Timestamp) -> Option<Timestamp> {
        let shard = self.shard(key).lock();
        let failing = shard.failing.get(key)?;
        if failing.until <= now || failing.at_fault == AtFault::Origin && failing.epoch != origin.epoch() {
            return None;
        }
        // A wait that no failure can have asked for: the wall clock was set back.
        let too_long = failing.until.since(now) > LONGEST_RETRY_AFTER.mul_f64(1.0 + JITTER);
        (!too_long).then_some(failing.until)
    }

    /// Notes that a render of `key` failed, with what its origin asked for by `Retry-After`, and
    /// says when it may be tried again. `random` is in `0.0..1.0`.
    pub fn failed(
        &self,
        key: &K,
        origin: &GoodRenders,
        now: Timestamp,
        retry_after: Option<Duration>,
        random: f64,
    ) -> Timestamp {
        let epoch = origin.epoch();
        let mut shard = self.shard(key).lock();
        let before = shard.take(key).filter(|before| before.until.later(FORGOTTEN_AFTER) > now);
        let failures = before.as_ref().map_or(0, |before| before.failures).saturating_add(1);
        let at_fault = match before {
            Some(before) if before.epoch != epoch => AtFault::Page,
            _ => AtFault::Origin,
        };
        let asked_for = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        let until = now.later(wait(failures, random).max(asked_for));
        shard.put(key.clone(), Failing { failures, until, epoch, at_fault, order: 0 }, self.per_shard);
        until
    }

    /// Notes a good render of `key`: forgets its failures, and ends the waits that its origin's
    /// failures have caused.
    pub fn succeeded(&self, key: &K, origin: &GoodRenders) {
        origin.0.fetch_add(1, Ordering::SeqCst);
        self.shard(key).lock().take(key);
    }

    /// How many keys are remembered; for metrics.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().failing.len()).sum()
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: &K) -> &Mutex<Shard<K>> {
        // The upper half: the map in the shard goes by the lower bits.
        &self.shards[(self.hasher.hash_one(key) >> 32) as usize & (SHARDS - 1)]
    }
}

impl<K: Clone + Eq + Hash> Shard<K> {
    fn take(&mut self, key: &K) -> Option<Failing> {
        let failing = self.failing.remove(key)?;
        self.oldest.remove(&failing.order);
        Some(failing)
    }

    fn put(&mut self, key: K, failing: Failing, most: usize) {
        if self.failing.len() >= most
            && let Some((_, oldest)) = self.oldest.pop_first()
        {
            self.failing.remove(&oldest);
        }
        let order = self.next;
        self.next += 1;
        self.oldest.insert(order, key.clone());
        self.failing.insert(key, Failing { order, ..failing });
    }
}

/// The wait after so many failures in a row.
fn wait(failures: u32, random: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(u32::BITS - 1);
    let wait = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
