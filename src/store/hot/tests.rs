//! What is lent is what the tier has, whoever changed it; it is bounded, and its uses count.

use super::super::purge_clock::tests::page;
use super::*;
use crate::config::{self, PurgeMode, Purging};
use crate::policy::purge::{Rule, Scope};
use crate::policy::{Key, PurgeSeq};
use crate::store::Store;
use std::num::NonZeroUsize;
use std::sync::Barrier;

fn store(memory: usize) -> Store {
    let purging = Purging { from: vec![], max_rules: NonZeroUsize::new(9).expect("some"), refresh: 0 };
    Store::new(&config::Store { memory, max_page: 1 << 16, disk: None }, &purging)
}

fn put(store: &Store, path: &str) -> Arc<Page> {
    let page = Arc::new(page("a", path, None, &[], store.purge_seq()));
    store.put(Arc::clone(&page), 128);
    page
}

/// Asks so often that the thread has the page, and answers with what it lent at last.
fn warm(store: &Store, key: &Key) -> Arc<Page> {
    for _ in 0..KNOCKS {
        store.lend(key.as_ref()).expect("a page");
    }
    let Some(Loan::Lent(page)) = store.lend(key.as_ref()) else { panic!("the thread has it") };
    Arc::clone(&page)
}

fn held(store: &Store) -> usize {
    store.memory.hot_bytes()
}

#[test]
fn what_is_replaced_removed_or_purged_is_not_lent_any_more() {
    let store = store(1 << 24);
    let first = put(&store, "/");
    assert!(Arc::ptr_eq(&warm(&store, &first.key), &first));
    let second = put(&store, "/");
    assert!(Arc::ptr_eq(&*store.lend(first.key.as_ref()).expect("a page"), &second));
    assert!(Arc::ptr_eq(&warm(&store, &first.key), &second));
    store.purge(&[Rule::anywhere(Scope::All)], PurgeMode::Delete);
    assert!(store.lend(first.key.as_ref()).is_none());
    let third = put(&store, "/");
    warm(&store, &third.key);
    store.remove(&third.key);
    assert!(store.lend(third.key.as_ref()).is_none());
    assert_eq!(held(&store), 0);
}

#[test]
fn every_thread_sees_a_change_when_whoever_made_it_is_told_that_it_is_done() {
    let (store, barrier, wrong) = (store(1 << 24), Barrier::new(3), AtomicUsize::new(0));
    let pages: Vec<_> = (0..200).map(|_| Arc::new(page("a", "/", None, &[], PurgeSeq(0)))).collect();
    std::thread::scope(|scope| {
        let read = || {
            for page in &pages {
                barrier.wait();
                // Whoever panicked here would leave the others waiting.
                let lent = (0..=KNOCKS).filter_map(|_| store.lend(page.key.as_ref())).last();
                if !lent.is_some_and(|lent| matches!(lent, Loan::Lent(_)) && Arc::ptr_eq(&lent, page)) {
                    wrong.fetch_add(1, Ordering::Relaxed);
                }
                barrier.wait();
            }
        };
        let readers = [(); 2].map(|()| scope.spawn(read));
        for page in &pages {
            store.put(Arc::clone(page), 128);
            barrier.wait();
            barrier.wait();
        }
        for reader in readers {
            reader.join().expect("it reads");
        }
    });
    assert_eq!(wrong.load(Ordering::Relaxed), 0, "another page was lent, or none");
    assert_eq!(held(&store), 0, "a thread that ends holds nothing");
}

#[test]
fn a_page_that_is_asked_for_now_and_then_does_not_take_a_place() {
    let store = store(1 << 24);
    let (often, other) = (put(&store, "/often"), put(&store, "/other"));
    warm(&store, &often.key);
    // Of two that want one place, the one that is asked for in between keeps it.
    let place = |key: &Key| at(key.hash64());
    for n in 0..PLACES * 8 {
        let rival = Key::of(crate::policy::key::KeyUri { path: &format!("/{n}"), ..often.key.uri() });
        if place(&rival) == place(&often.key) {
            put(&store, &format!("/{n}"));
            for _ in 0..3 * KNOCKS {
                assert!(matches!(store.lend(rival.as_ref()), Some(Loan::Found(_))));
                assert!(matches!(store.lend(often.key.as_ref()), Some(Loan::Lent(_))));
            }
        }
    }
    assert!(matches!(store.lend(other.key.as_ref()), Some(Loan::Found(_))));
}

#[test]
fn threads_hold_no_more_than_their_share() {
    let one = page("a", "/10000", None, &[], PurgeSeq(0)).weight();
    let store = store(one * 10 * SHARE);
    for n in 10_000..10_100 {
        let page = put(&store, &format!("/{n}"));
        for _ in 0..=KNOCKS {
            store.lend(page.key.as_ref()).expect("a page");
        }
        assert!(held(&store) <= 10 * one, "{} of {}", held(&store), 10 * one);
    }
    assert!(held(&store) > 0);
}

#[test]
fn uses_are_counted_at_once_while_they_are_few_and_then_in_rounds() {
    let store = store(1 << 24);
    let page = put(&store, "/");
    for uses in 1..1000 {
        let loan = store.lend(page.key.as_ref());
        store.count_use(page.key.as_ref(), loan.as_ref());
        let counted = store.popularity(&page.key);
        assert!(counted <= uses && uses - counted < ROUND, "{counted} of {uses}");
        assert!(counted == uses || uses > FIRST, "{counted} of {uses}");
    }
}
