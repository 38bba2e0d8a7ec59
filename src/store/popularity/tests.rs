//! What the sketch promises: popular keys stay through a scan, fade with age, and cost what is said.

use super::*;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Name(Arc<str>);

impl Countable for Name {
    fn hash64(&self) -> u64 {
        xxh3_64(self.0.as_bytes())
    }

    fn byte_len(&self) -> usize {
        self.0.len()
    }
}

fn name(text: impl Into<Arc<str>>) -> Name {
    Name(text.into())
}

fn touched(sketch: &Popularity<Name>, key: &Name, times: usize) {
    for _ in 0..times {
        sketch.touch(key);
    }
}

#[test]
fn keys_are_ranked_by_how_often_they_were_asked_for() {
    let sketch = Popularity::new(CAPACITY);
    for (text, times) in [("a", 5), ("b", 50), ("c", 1), ("d", 20)] {
        touched(&sketch, &name(text), times);
    }
    assert_eq!(sketch.estimate(&name("b")), 50);
    assert_eq!(sketch.estimate(&name("never")), 0);
    assert_eq!(sketch.top(2), [(name("b"), 50), (name("d"), 20)]);
    assert_eq!(sketch.top(100).len(), 4);
    assert!(sketch.top(0).is_empty());
}

#[test]
fn what_another_process_counted_is_added_and_pushes_out_only_less() {
    let sketch = Popularity::new(WAYS);
    touched(&sketch, &name("here"), 5);
    sketch.add(name("here"), 3);
    sketch.add(name("x".repeat(LONGEST_KEY + 1)), 99);
    for i in 1..=9 {
        sketch.add(name(format!("/{i}")), i);
    }
    assert_eq!(sketch.estimate(&name("here")), 8);
    let kept: Vec<u32> = sketch.top(100).into_iter().map(|(_, count)| count).collect();
    assert_eq!(kept, [9, 8, 8, 7, 6, 5, 4, 3]);
    sketch.add(name("/2"), 2);
    assert_eq!(sketch.estimate(&name("/2")), 0);
}

#[test]
fn a_scan_of_keys_asked_for_once_leaves_the_popular_ones() {
    // 500 pages with real visitors, then ten times the capacity in names that come once.
    let sketch = Popularity::new(4096);
    let pages: Vec<Name> = (0..500).map(|i| name(format!("/page/{i}"))).collect();
    for page in &pages {
        touched(&sketch, page, 20);
    }
    for i in 0..40_960 {
        sketch.touch(&name(format!("http://{i}.example/")));
    }
    let kept = pages.iter().filter(|page| sketch.estimate(page) >= 20).count();
    assert!(kept >= 495, "{kept} of 500 are left");
}

#[test]
fn a_scan_takes_one_slot_of_a_full_bucket_and_only_when_it_outnumbers_its_hits() {
    let sketch = Popularity::new(WAYS);
    let pages: Vec<Name> = (0..WAYS).map(|i| name(format!("/page/{i}"))).collect();
    for page in &pages {
        touched(&sketch, page, 20);
    }
    let left = || pages.iter().filter(|page| sketch.estimate(page) == 20).count();
    for i in 0..20 {
        sketch.touch(&name(format!("scan {i}")));
    }
    assert_eq!(left(), WAYS);
    for i in 20..10_000 {
        sketch.touch(&name(format!("scan {i}")));
    }
    assert_eq!(left(), WAYS - 1);
}

#[test]
fn a_new_favourite_gets_in() {
    let sketch = Popularity::new(WAYS);
    for i in 0..WAYS {
        touched(&sketch, &name(format!("old {i}")), 10);
    }
    let new = name("new");
    touched(&sketch, &new, 100);
    assert!(sketch.estimate(&new) > 50);
}

#[test]
fn yesterdays_favourites_fade() {
    let sketch = Popularity::new(64);
    touched(&sketch, &name("yesterday"), 1000);
    for _ in 0..5 {
        sketch.age();
    }
    touched(&sketch, &name("today"), 100);
    assert_eq!(sketch.estimate(&name("yesterday")), 31);
    assert_eq!(sketch.top(1), [(name("today"), 100)]);
    for _ in 0..100 {
        sketch.age();
    }
    assert!(sketch.top(10).is_empty(), "a count that has faded to nothing is not popular");
}

#[test]
fn memory_is_bounded_and_counted() {
    let sketch = Popularity::new(1024);
    let table = sketch.byte_len();
    sketch.touch(&name("0123456789"));
    assert_eq!(sketch.byte_len(), table + 10);
    sketch.touch(&name("0123456789"));
    assert_eq!(sketch.byte_len(), table + 10);
    sketch.touch(&name("x".repeat(LONGEST_KEY + 1)));
    assert_eq!(sketch.byte_len(), table + 10, "too long to be counted");
    for i in 0..50_000 {
        sketch.touch(&name(format!("{i:0>100}")));
    }
    assert!(sketch.byte_len() <= table + 1024 * 100);
    assert!(sketch.byte_len() > table + 1000 * 100);
}

#[test]
fn threads_count_together() {
    let sketch = Popularity::new(1024);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let sketch = &sketch;
            scope.spawn(move || {
                for i in 0..5_000 {
                    sketch.touch(&name(format!("{}", (i + thread) % 100)));
                }
            });
        }
    });
    let counted: u64 = sketch.top(1024).iter().map(|(_, count)| u64::from(*count)).sum();
    assert!((1..=20_000).contains(&counted));
    assert_eq!(sketch.top(1024).len(), 100);
}

#[test]
fn the_table_of_the_design_fits_in_four_mebibytes() {
    let sketch: Popularity<crate::policy::Key> = Popularity::new(CAPACITY);
    assert!(sketch.byte_len() <= 4 * 1024 * 1024, "{} bytes", sketch.byte_len());
}
