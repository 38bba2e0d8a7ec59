//! Which pages are asked for most: a bounded sketch, the only list of pages there is (the tiers
//! cannot be enumerated). It decides nothing; the order of refreshes and the dashboard read it.
//!
//! A set-associative table: a key's hash names a bucket of eight slots, each with a key and a count.
//! A hit adds one. A newcomer takes a free slot, or the least one once more newcomers have knocked
//! at the bucket than that slot has hits, so a scan of keys that nobody asks for twice turns one slot
//! over again and again and leaves the popular seven where they are.
//!
//! It is called on every hit, so it must not allocate, wait for a lock or read a clock.

use crate::policy::Key;
use crate::policy::key::KeyRef;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

/// How many keys the sketch holds (DESIGN §7).
pub const CAPACITY: usize = 65_536;

/// How often the owner is to call [`Popularity::age`]: a page that nobody asks for any more has lost
/// all but a hundredth of its count after seven times this.
pub const HALF_LIFE: Duration = Duration::from_secs(600);

/// Keys of more bytes than this are not counted: they would make the sketch's memory the visitors'
/// choice. Their estimate is 0.
const LONGEST_KEY: usize = 512;

/// Slots in a bucket.
const WAYS: usize = 8;

/// What can be counted.
pub trait Countable: Clone + Eq {
    /// A well-mixed hash.
    fn hash64(&self) -> u64;
    /// The bytes it keeps alive.
    fn byte_len(&self) -> usize;
}

impl Countable for Key {
    fn hash64(&self) -> u64 {
        Key::hash64(self)
    }

    fn byte_len(&self) -> usize {
        self.as_bytes().len()
    }
}

/// A key as somebody asks for it.
pub trait AskedFor<K> {
    /// [`Countable::hash64`].
    fn hash64(&self) -> u64;
    /// [`Countable::byte_len`].
    fn byte_len(&self) -> usize;
    /// Whether this is the key.
    fn is(&self, key: &K) -> bool;
    /// The key.
    fn to_key(&self) -> K;
}

impl<K: Countable> AskedFor<K> for K {
    fn hash64(&self) -> u64 {
        Countable::hash64(self)
    }

    fn byte_len(&self) -> usize {
        Countable::byte_len(self)
    }

    fn is(&self, key: &K) -> bool {
        self == key
    }

    fn to_key(&self) -> K {
        self.clone()
    }
}

impl AskedFor<Key> for KeyRef<'_> {
    fn hash64(&self) -> u64 {
        KeyRef::hash64(*self)
    }

    fn byte_len(&self) -> usize {
        self.as_bytes().len()
    }

    fn is(&self, key: &Key) -> bool {
        self == key
    }

    fn to_key(&self) -> Key {
        (*self).into()
    }
}

/// The most popular keys and how often they were asked for, more or less.
pub struct Popularity<K = Key> {
    buckets: Box<[Mutex<Bucket<K>>]>,
    /// How often [`age`](Popularity::age) was called; a bucket catches up when it is next touched.
    generation: AtomicU32,
    key_bytes: AtomicUsize,
}

struct Bucket<K> {
    slots: [Option<Slot<K>>; WAYS],
    /// Newcomers turned away since the last one was let in.
    pressure: u32,
    generation: u32,
}

struct Slot<K> {
    key: K,
    count: u32,
}

impl<K: Countable> Popularity<K> {
    /// A sketch of `capacity` keys, rounded up to a power of two of at least eight.
    pub fn new(capacity: usize) -> Self {
        let buckets = capacity.div_ceil(WAYS).next_power_of_two();
        let empty = || Mutex::new(Bucket { slots: [const { None }; WAYS], pressure: 0, generation: 0 });
        Popularity {
            buckets: (0..buckets).map(|_| empty()).collect(),
            generation: AtomicU32::new(0),
            key_bytes: AtomicUsize::new(0),
        }
    }

    /// Counts a request for `key`. Allocates nothing and never waits: while another thread holds the
    /// bucket the request is not counted, which only happens to keys that are counted often.
    pub fn touch(&self, key: &impl AskedFor<K>) {
        self.touch_times(key, 1);
    }

    /// Counts as many requests for `key` as one.
    pub(super) fn touch_times(&self, key: &impl AskedFor<K>, times: u32) {
        if key.byte_len() > LONGEST_KEY {
            return;
        }
        let Some(mut bucket) = self.bucket(key.hash64()).try_lock() else { return };
        bucket.catch_up(self.generation.load(Ordering::Relaxed));
        let Admitted::InPlaceOf(old) = bucket.count(key, times) else { return };
        let old_bytes = old.as_ref().map_or(0, Countable::byte_len);
        // Added first, so that the sum never passes below zero.
        self.key_bytes.fetch_add(key.byte_len(), Ordering::Relaxed);
        self.key_bytes.fetch_sub(old_bytes, Ordering::Relaxed);
        // The displaced key may be the last owner of its bytes: freed after the lock.
        drop(bucket);
        drop(old);
    }

    /// Counts `times` requests for `key` that somebody else has counted, in the place of a key with less.
    pub fn add(&self, key: K, times: u32) {
        let (hash, len) = (Countable::hash64(&key), Countable::byte_len(&key));
        if len > LONGEST_KEY {
            return;
        }
        let mut bucket = self.bucket(hash).lock();
        bucket.catch_up(self.generation.load(Ordering::Relaxed));
        let Admitted::InPlaceOf(old) = bucket.add(key, times) else { return };
        self.key_bytes.fetch_add(len, Ordering::Relaxed);
        self.key_bytes.fetch_sub(old.as_ref().map_or(0, Countable::byte_len), Ordering::Relaxed);
    }

    /// How often `key` was asked for, halved with age; 0 for a key that is not in the sketch.
    pub fn estimate(&self, key: &K) -> u32 {
        let mut bucket = self.bucket(Countable::hash64(key)).lock();
        bucket.catch_up(self.generation.load(Ordering::Relaxed));
        bucket.slots.iter().flatten().find(|slot| slot.key == *key).map_or(0, |slot| slot.count)
    }

    /// The `n` keys with the highest counts, highest first. Walks the whole sketch, one bucket at a
    /// time: for a dashboard, not for a request.
    pub fn top(&self, n: usize) -> Vec<(K, u32)> {
        let generation = self.generation.load(Ordering::Relaxed);
        let mut best: BinaryHeap<Reverse<(u32, Reverse<usize>)>> = BinaryHeap::new();
        let mut keys: Vec<K> = Vec::new();
        for bucket in &self.buckets {
            let mut bucket = bucket.lock();
            bucket.catch_up(generation);
            for slot in bucket.slots.iter().flatten().filter(|slot| slot.count > 0) {
                keep_best(&mut best, &mut keys, n, slot);
            }
        }
        let ranked = best.into_sorted_vec();
        ranked.into_iter().map(|Reverse((count, Reverse(at)))| (keys[at].clone(), count)).collect()
    }

    /// Halves every count, so that yesterday's favourites fade. O(1): each bucket does its share when
    /// it is next used.
    pub fn age(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of memory: the table and the keys it keeps alive.
    pub fn byte_len(&self) -> usize {
        self.buckets.len() * size_of::<Mutex<Bucket<K>>>() + self.key_bytes.load(Ordering::Relaxed)
    }

    fn bucket(&self, hash: u64) -> &Mutex<Bucket<K>> {
        // The upper half: the lower bits choose slots and shards elsewhere.
        let at = (hash >> 32) as usize;
        &self.buckets[at & (self.buckets.len() - 1)]
    }
}

/// Puts a slot among the `n` best; `keys` holds each key that was ever among them, in `best` by index.
fn keep_best<K: Countable>(
    best: &mut BinaryHeap<Reverse<(u32, Reverse<usize>)>>,
    keys: &mut Vec<K>,
    n: usize,
    slot: &Slot<K>,
) {
    if best.len() < n {
        best.push(Reverse((slot.count, Reverse(keys.len()))));
        keys.push(slot.key.clone());
        return;
    }
    let Some(mut least) = best.peek_mut() else { return };
    let Reverse((count, Reverse(at))) = *least;
    if slot.count > count {
        keys[at] = slot.key.clone();
        *least = Reverse((slot.count, Reverse(at)));
    }
}

enum Admitted<K> {
    /// The key was there, or it was turned away.
    No,
    /// The key took a slot, in place of this one.
    InPlaceOf(Option<K>),
}

impl<K: Countable> Bucket<K> {
    fn catch_up(&mut self, generation: u32) {
        let halvings = generation.wrapping_sub(self.generation).min(u32::BITS - 1);
        if halvings == 0 {
            return;
        }
        for slot in self.slots.iter_mut().flatten() {
            slot.count >>= halvings;
        }
        self.pressure >>= halvings;
        self.generation = generation;
    }

    fn add(&mut self, key: K, times: u32) -> Admitted<K> {
        if let Some(slot) = self.slots.iter_mut().flatten().find(|slot| slot.key == key) {
            slot.count = slot.count.saturating_add(times);
            return Admitted::No;
        }
        let hits = |slot: &Option<Slot<K>>| slot.as_ref().map_or(0, |slot| slot.count);
        let least = self.slots.iter_mut().min_by_key(|slot| hits(slot)).expect("a bucket has eight slots");
        if hits(least) >= times {
            return Admitted::No;
        }
        Admitted::InPlaceOf(least.replace(Slot { key, count: times }).map(|slot| slot.key))
    }

    fn count(&mut self, key: &impl AskedFor<K>, times: u32) -> Admitted<K> {
        if let Some(slot) = self.slots.iter_mut().flatten().find(|slot| key.is(&slot.key)) {
            slot.count = slot.count.saturating_add(times);
            return Admitted::No;
        }
        let hits = |slot: &Option<Slot<K>>| slot.as_ref().map_or(0, |slot| slot.count);
        let least = self.slots.iter_mut().min_by_key(|slot| (slot.is_some(), hits(slot)));
        let least = least.expect("a bucket has eight slots");
        if least.is_some() && self.pressure < hits(least) {
            self.pressure = self.pressure.saturating_add(times);
            return Admitted::No;
        }
        self.pressure = 0;
        let old = least.replace(Slot { key: key.to_key(), count: times });
        Admitted::InPlaceOf(old.map(|slot| slot.key))
    }
}

#[cfg(test)]
mod tests;
