//! What waits to be written, and what is known of it.

use super::*;
use crate::config::Scheme;
use crate::policy::key::KeyUri;
use crate::store::variants::Variants;
use std::sync::Arc;

fn key(path: &str) -> Key {
    Key::of(KeyUri { scheme: Scheme::Http, host: "a", path, query: None })
}

fn entry() -> Entry {
    Entry::Variants(Arc::new(Variants::default()))
}

fn hashes(taken: &[(u64, Change)]) -> Vec<u64> {
    taken.iter().map(|(hash, _)| *hash).collect()
}

const NOW: Duration = Duration::ZERO;

#[test]
fn of_one_key_only_the_last_is_written() {
    let unwritten = Unwritten::new(1 << 20);
    let (first, last) = (entry(), entry());
    assert_eq!(unwritten.keep(&key("/a"), first), Accepted::Yes);
    assert_eq!(unwritten.keep(&key("/b"), entry()), Accepted::Yes);
    assert_eq!(unwritten.keep(&key("/a"), last.clone()), Accepted::Yes);
    let taken = unwritten.next(1 << 20, NOW);
    assert_eq!(hashes(&taken), [key("/a").hash64(), key("/b").hash64()]);
    assert!(matches!(&taken[0].1, Change::Keep(_, entry) if entry.is_same(&last)));
    assert_eq!(unwritten.bytes(), 0);
}

#[test]
fn pages_are_served_until_they_are_written() {
    let unwritten = Unwritten::new(1 << 20);
    unwritten.keep(&key("/a"), entry());
    assert!(matches!(unwritten.get(&key("/a")), Known::Kept(_)));
    assert!(matches!(unwritten.get(&key("/b")), Known::Nothing));
    unwritten.next(1 << 20, NOW);
    assert!(matches!(unwritten.get(&key("/a")), Known::Kept(_)));
    unwritten.remove(key("/a").hash64());
    assert!(matches!(unwritten.get(&key("/a")), Known::Removed));
    unwritten.written();
    unwritten.next(1 << 20, NOW);
    unwritten.written();
    assert!(matches!(unwritten.get(&key("/a")), Known::Nothing));
}

/// What is refused leaves nothing older behind on disk.
#[test]
fn a_page_that_is_refused_removes_what_is_on_disk() {
    let unwritten = Unwritten::new(entry().weight());
    assert_eq!(unwritten.keep(&key("/a"), entry()), Accepted::Yes);
    assert_eq!(unwritten.keep(&key("/b"), entry()), Accepted::Full);
    assert!(matches!(unwritten.get(&key("/b")), Known::Removed));
    assert_eq!(unwritten.keep(&key("/a"), entry()), Accepted::Yes);
}

#[test]
fn what_failed_is_written_again_unless_something_newer_has_come() {
    let unwritten = Unwritten::new(1 << 20);
    let newer = entry();
    unwritten.keep(&key("/a"), entry());
    unwritten.keep(&key("/b"), entry());
    unwritten.next(1 << 20, NOW);
    unwritten.keep(&key("/a"), newer.clone());
    unwritten.failed();
    let taken = unwritten.next(1 << 20, NOW);
    assert_eq!(taken.len(), 2);
    let a = taken.iter().find(|(hash, _)| *hash == key("/a").hash64()).expect("it is there");
    assert!(matches!(&a.1, Change::Keep(_, entry) if entry.is_same(&newer)));
}

#[test]
fn removals_beyond_the_bound_count_for_everything() {
    let unwritten = Unwritten::new(1 << 20);
    (0..MAX_REMOVALS as u64).for_each(|hash| unwritten.remove(hash));
    assert!(!unwritten.take_lost_removals());
    unwritten.remove(u64::MAX);
    assert!(unwritten.take_lost_removals() && !unwritten.take_lost_removals());
}
