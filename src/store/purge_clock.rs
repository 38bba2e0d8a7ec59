//! Which pages an invalidation has made void (RFC 9111 §4.4). Nothing is searched for: a counter is
//! raised and the URI's slot remembers its value; a page carries the value that its render saw, and
//! a lookup compares the two.
//!
//! It must not keep a list of pages, take a lock, or ever call a page valid that an invalidation
//! covers. URIs that share a slot invalidate each other, which costs a render and nothing else.

use crate::policy::PurgeSeq;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many slots there are; 512 KiB of memory, whatever the number of pages. A power of two.
const SLOTS: usize = 65_536;

/// The purge sequence, and when each URI was last invalidated.
///
/// All accesses are sequentially consistent: when [`invalidate`](PurgeClock::invalidate) returns,
/// every thread sees it, and a render either took its sequence before (its page is void, also when
/// it is stored later) or connects to the origin after.
#[derive(Debug)]
pub struct PurgeClock {
    sequence: AtomicU64,
    invalidated: Box<[AtomicU64]>,
}

impl PurgeClock {
    /// A clock at which nothing has been invalidated.
    pub fn new() -> Self {
        PurgeClock { sequence: AtomicU64::new(0), invalidated: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The sequence that a render takes before it connects.
    pub fn now(&self) -> PurgeSeq {
        PurgeSeq(self.sequence.load(Ordering::SeqCst))
    }

    /// Makes every page of a URI void, in all its variants, whose render took its sequence before
    /// this call. `uri_hash` is a well-mixed hash of what the variants have in common.
    pub fn invalidate(&self, uri_hash: u64) -> PurgeSeq {
        let sequence = self.sequence.fetch_add(1, Ordering::SeqCst) + 1;
        // The maximum, because two invalidations of one slot may get here in either order.
        self.slot(uri_hash).fetch_max(sequence, Ordering::SeqCst);
        PurgeSeq(sequence)
    }

    /// Whether a page of this URI whose render took `page_seq` has been invalidated since.
    pub fn is_void(&self, uri_hash: u64, page_seq: PurgeSeq) -> bool {
        self.slot(uri_hash).load(Ordering::SeqCst) > page_seq.0
    }

    fn slot(&self, uri_hash: u64) -> &AtomicU64 {
        &self.invalidated[uri_hash as usize & (SLOTS - 1)]
    }
}

impl Default for PurgeClock {
    fn default() -> Self {
        PurgeClock::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn a_page_rendered_before_an_invalidation_is_void_and_one_rendered_after_is_not() {
        let clock = PurgeClock::new();
        let before = clock.now();
        assert!(!clock.is_void(7, before));
        let at = clock.invalidate(7);
        assert!(clock.is_void(7, before), "also when it is stored only now");
        assert!(!clock.is_void(7, clock.now()));
        assert_eq!(at, clock.now());
    }

    #[test]
    fn other_uris_are_left_alone_but_those_of_the_same_slot() {
        let clock = PurgeClock::new();
        let before = clock.now();
        clock.invalidate(7);
        assert!(!clock.is_void(8, before));
        assert!(clock.is_void(7 + SLOTS as u64, before), "over-invalidated, never under");
    }

    #[test]
    fn the_latest_of_two_invalidations_counts() {
        let clock = PurgeClock::new();
        clock.invalidate(7);
        let between = clock.now();
        clock.invalidate(7);
        assert!(clock.is_void(7, between));
    }

    #[test]
    fn invalidations_from_many_threads_are_all_seen() {
        // Every thread invalidates one shared URI and checks that what it saw before is void for it.
        const THREADS: usize = 4;
        const ROUNDS: u64 = 2_000;
        let clock = PurgeClock::new();
        let start = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..ROUNDS {
                        let before = clock.now();
                        let at = clock.invalidate(3);
                        assert!(clock.is_void(3, before));
                        assert!(at > before);
                    }
                });
            }
        });
        assert_eq!(clock.now(), PurgeSeq(THREADS as u64 * ROUNDS));
        assert!(!clock.is_void(3, clock.now()));
    }
}
