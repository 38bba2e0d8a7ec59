//! The page log on a real disk: what is kept, what leaves, what comes back.

use super::super::wall::Wall;
use super::*;
use crate::config::Scheme;
use crate::policy::key::KeyUri;
use crate::policy::sample::NOW;
use crate::store::memory::Entry;
use crate::store::variants::Variants;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const STORE: StoreId = 5;

struct Fixture {
    dir: tempfile::TempDir,
    index: Arc<Index>,
    evicted: Arc<AtomicU64>,
    capacity: u64,
}

impl Fixture {
    fn new(capacity: u64) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Fixture { dir, index: Arc::new(Index::new()), evicted: Arc::default(), capacity }
    }

    fn open(&self) -> PageLog {
        self.open_store(STORE).0
    }

    fn open_store(&self, store: StoreId) -> (PageLog, Recovered) {
        self.index.clear();
        let popular: IsPopular = Box::new(|key| key.uri().path == "/popular");
        let evicted = Arc::clone(&self.evicted);
        let count = Box::new(move || {
            evicted.fetch_add(1, Relaxed);
        });
        PageLog::open(self.dir.path(), store, self.capacity, Arc::clone(&self.index), popular, count).expect("a log")
    }

    fn bytes(&self) -> u64 {
        let files = fs::read_dir(self.dir.path()).expect("the directory").map(|file| file.expect("a file"));
        let logs = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "log"));
        logs.map(|file| file.metadata().expect("a file").len()).sum()
    }

    /// The number that was written last for `hash`.
    fn read(&self, hash: u64) -> Option<u64> {
        let (place, file) = self.index.find(hash)?;
        let mut frame = vec![0; place.len as usize];
        file.read_exact_at(&mut frame, u64::from(place.offset)).expect("it can be read");
        let record = segment::unframe(hash, &frame).expect("it is whole");
        Some(u64::from_le_bytes(*record.last_chunk().expect("a number")))
    }
}

fn write(log: &mut PageLog, hash: u64, number: u64, size: usize) {
    let mut batch = Batch::default();
    batch.add(hash, |out| {
        out.resize(out.len() + size, 7);
        out.extend_from_slice(&number.to_le_bytes());
    });
    log.append(&batch).expect("it can be written");
    while log.clean_ahead().expect("it can be cleaned") {}
}

fn remove(log: &mut PageLog, hash: u64) {
    let mut batch = Batch::default();
    batch.remove(hash);
    log.append(&batch).expect("it can be written");
}

/// Ten times the capacity is written over a tenth of the pages: every page is there, in its last version, and
/// again after it was opened anew.
#[test]
fn rewriting_pushes_nothing_out_that_fits() {
    let fixture = Fixture::new(8 << 20);
    let mut log = fixture.open();
    (0..400).for_each(|hash| write(&mut log, hash, 1, 10_000));
    for round in 2..=200 {
        (0..40).for_each(|hash| write(&mut log, hash, round, 10_000));
    }
    let check = || {
        for hash in 0..400 {
            assert_eq!(fixture.read(hash), Some(if hash < 40 { 200 } else { 1 }), "{hash}");
        }
    };
    check();
    assert!(fixture.bytes() <= 8 << 20, "{}", fixture.bytes());
    assert_eq!(fixture.evicted.load(Relaxed), 0);
    drop(log);
    fixture.open();
    check();
    assert_eq!(fixture.index.records(), 400);
}

/// More is written than fits: the newest are there, and the files stay within the capacity.
#[test]
fn what_does_not_fit_pushes_the_oldest_out() {
    let fixture = Fixture::new(8 << 20);
    let mut log = fixture.open();
    (0..2000).for_each(|hash| write(&mut log, hash, hash, 10_000));
    assert!(fixture.bytes() <= 8 << 20, "{}", fixture.bytes());
    assert!(fixture.evicted.load(Relaxed) > 1000);
    let kept = (0..2000).filter(|hash| fixture.read(*hash).is_some()).count();
    assert!(kept >= 500, "{kept} of some 830 that fit");
    assert!((1700..2000).all(|hash| fixture.read(hash) == Some(hash)));
}

/// What is asked for a lot stays when its file's turn comes.
#[test]
fn what_is_popular_stays() {
    let fixture = Fixture::new(8 << 20);
    let mut log = fixture.open();
    let key = Key::of(KeyUri { scheme: Scheme::Http, host: "a", path: "/popular", query: None });
    let entry = Entry::Variants(Arc::new(Variants::default()));
    let mut batch = Batch::default();
    batch.add(key.hash64(), |out| record::write(&key, &entry, Wall::at(NOW).written(NOW), out));
    log.append(&batch).expect("it can be written");
    (0..3000).for_each(|hash| write(&mut log, hash, hash, 10_000));
    assert!(fixture.index.get(key.hash64()).is_some());
    assert!(fixture.index.get(0).is_none());
}

/// A page that was removed does not come back, although its record is still in a file.
#[test]
fn what_was_removed_stays_removed() {
    let fixture = Fixture::new(8 << 20);
    let mut log = fixture.open();
    write(&mut log, 1, 1, 100);
    write(&mut log, 2, 1, 100);
    remove(&mut log, 1);
    drop(log);
    let mut log = fixture.open();
    assert_eq!((fixture.read(1), fixture.read(2)), (None, Some(1)));
    for round in 0..3000 {
        write(&mut log, 3, round, 10_000);
    }
    drop(log);
    fixture.open();
    assert_eq!((fixture.read(1), fixture.read(2), fixture.read(3)), (None, Some(1), Some(2999)));
}

/// A log that was not closed, with half a record at its end, goes on behind the last whole one.
#[test]
fn a_log_that_was_cut_off_goes_on() {
    let fixture = Fixture::new(8 << 20);
    let mut log = fixture.open();
    (0..10).for_each(|hash| write(&mut log, hash, 1, 1000));
    drop(log);
    let file = segment::path(fixture.dir.path(), 1);
    let len = fs::metadata(&file).expect("a file").len();
    fs::OpenOptions::new().write(true).open(&file).expect("a file").set_len(len - 500).expect("it can be cut");
    let mut log = fixture.open();
    assert_eq!(fixture.index.records(), 9);
    write(&mut log, 20, 2, 1000);
    log.close().expect("it can be closed");
    drop(log);
    fixture.open();
    assert_eq!(fixture.index.records(), 10);
    assert_eq!((fixture.read(8), fixture.read(9), fixture.read(20)), (Some(1), None, Some(2)));
    assert_eq!(fixture.bytes(), fs::metadata(&file).expect("a file").len(), "no further file was begun");
}

#[test]
fn another_store_begins_with_nothing() {
    let fixture = Fixture::new(8 << 20);
    let mut log = fixture.open();
    (0..50).for_each(|hash| write(&mut log, hash, 1, 10_000));
    drop(log);
    let (_, recovered) = fixture.open_store(STORE + 1);
    assert!(recovered.foreign > 0);
    assert_eq!((fixture.index.records(), fixture.bytes()), (0, HEAD));
}

/// A record larger than a file is a file of its own.
#[test]
fn a_large_record_is_kept() {
    let fixture = Fixture::new(8 << 20);
    let mut log = fixture.open();
    for round in 0..30 {
        write(&mut log, 1, round, 900 << 10);
        write(&mut log, 2, round, 100);
    }
    assert_eq!((fixture.read(1), fixture.read(2)), (Some(29), Some(29)));
    assert!(fixture.bytes() <= 8 << 20);
}

/// What says that pages are gone takes room, too, and there may be nothing else: it comes to an end.
#[test]
fn removals_alone_do_not_fill_a_store() {
    let fixture = Fixture::new(4 << 20);
    let mut log = fixture.open();
    write(&mut log, u64::MAX, 1, 100_000);
    for hash in 0..300_000 {
        remove(&mut log, hash);
        if hash % 1000 == 0 {
            while log.clean_ahead().expect("it can be cleaned") {}
        }
    }
    assert!(fixture.bytes() <= 4 << 20, "{}", fixture.bytes());
    write(&mut log, 1, 7, 1000);
    assert_eq!(fixture.read(1), Some(7));
}
