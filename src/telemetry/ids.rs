//! Names for requests and renders, and chances for samples: a counter of each thread, scrambled with a
//! key that nobody knows, so that names do not tell how many requests there are. No allocation, no lock.

use crate::policy::RequestId;
use std::cell::Cell;
use xxhash_rust::xxh3::xxh3_128_with_seed;

#[derive(Clone, Copy)]
struct Source {
    key: u64,
    /// Tells apart what two threads with the same key would make.
    thread: u64,
    count: u64,
}

thread_local! {
    static SOURCE: Cell<Source> = Cell::new(Source { key: rand::random(), thread: rand::random(), count: 0 });
}

/// A number that was not there before, in this process or another one.
fn number() -> u128 {
    SOURCE.with(|cell| {
        let source = cell.get();
        cell.set(Source { count: source.count.wrapping_add(1), ..source });
        let mut input = [0; 16];
        input[..8].copy_from_slice(&source.thread.to_ne_bytes());
        input[8..].copy_from_slice(&source.count.to_ne_bytes());
        xxh3_128_with_seed(&input, source.key)
    })
}

/// A new name.
pub fn fresh() -> RequestId {
    RequestId::made(number())
}

/// Whether one of `share` requests in a million is hit this time.
pub(super) fn is_hit(share: u32) -> bool {
    let draw = u64::try_from(number() & u128::from(u32::MAX)).unwrap_or(0);
    (draw * 1_000_000) >> 32 < u64::from(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_new_on_every_thread() {
        let make = || (0..10_000).map(|_| fresh().to_string()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(make)).collect();
        let names: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 40_000);
    }

    #[test]
    fn a_share_is_hit_about_as_often_as_it_says() {
        let hits = |share| (0..100_000).filter(|_| is_hit(share)).count();
        assert_eq!((hits(0), hits(1_000_000)), (0, 100_000));
        let tenth = hits(100_000);
        assert!((9_000..11_000).contains(&tenth), "{tenth}");
    }
}
