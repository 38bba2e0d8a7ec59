//! The journal as a file that people wait for.

use super::*;
use crate::config::PurgeMode;
use parking_lot::RwLock;

/// A journal in a folder, and the state that its snapshots are made from.
struct Fixture {
    dir: tempfile::TempDir,
    journal: Arc<Journal>,
    state: Arc<RwLock<ClockState>>,
}

impl Fixture {
    fn new(awaited: Awaited) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Fixture { dir, journal: Arc::new(Journal::new(awaited)), state: Arc::default() }
    }

    fn open(&self, store: StoreId) -> io::Result<()> {
        let state = Arc::clone(&self.state);
        let snapshot = move |use_it: &mut dyn FnMut(ClockState)| use_it(state.read().clone());
        self.journal.open(self.dir.path(), store, Box::new(snapshot), Box::new(|_| {}))
    }

    fn add(&self, sequence: u64) {
        self.state.write().sequence = sequence;
        self.journal.add(sequence, &Change::Slot(1, PurgeMode::Delete));
    }

    fn read(&self) -> Option<Read> {
        read(self.dir.path()).expect("it can be read")
    }
}

fn sequence_of(read: Option<Read>) -> u64 {
    let Some(Read::Whole(_, state)) = read else { panic!("{read:?}") };
    state.sequence
}

#[tokio::test]
async fn what_was_waited_for_is_in_the_file() {
    let fixture = Fixture::new(Awaited::Yes);
    assert_eq!(fixture.read(), None);
    fixture.open(7).expect("it can be written");
    for sequence in 1..=50 {
        fixture.add(sequence);
        if sequence % 7 == 0 {
            fixture.journal.written_down(PurgeSeq(sequence)).await.expect("it is written down");
            assert!(sequence_of(fixture.read()) >= sequence);
        }
    }
    fixture.journal.close();
    assert_eq!(sequence_of(fixture.read()), 50);
}

/// Without pages on disk nobody waits; neither does anybody after the end.
#[tokio::test]
async fn where_nothing_is_on_disk_nothing_is_waited_for() {
    let fixture = Fixture::new(Awaited::No);
    fixture.add(1);
    fixture.journal.written_down(PurgeSeq(1)).await.expect("nobody waits");
    let closed = Fixture::new(Awaited::Yes);
    closed.open(7).expect("it can be written");
    closed.journal.close();
    closed.add(5);
    closed.journal.written_down(PurgeSeq(5)).await.expect("nobody waits");
}

/// The disk cannot be used: the pages are given up before a purge is answered, and what was written is void.
#[tokio::test]
async fn a_journal_that_cannot_be_opened_is_taken_away_from_its_pages() {
    let fixture = Fixture::new(Awaited::Yes);
    fixture.open(7).expect("it can be written");
    fixture.journal.close();
    let later = Arc::new(Journal::new(Awaited::Yes));
    later.unavailable(fixture.dir.path(), Ours::Yes, "broken");
    assert!(fixture.read().is_some(), "nobody has purged yet");
    later.written_down(PurgeSeq(1)).await.expect("the pages are given up");
    assert_eq!(fixture.read(), None);
}

/// Another process has the pages: they cannot be given up, so nobody is told that a purge is safe.
#[tokio::test]
async fn the_journal_of_another_process_is_left_alone() {
    let fixture = Fixture::new(Awaited::Yes);
    fixture.open(7).expect("it can be written");
    let other = Arc::new(Journal::new(Awaited::Yes));
    other.unavailable(fixture.dir.path(), Ours::No, "locked");
    let refused = other.written_down(PurgeSeq(1)).await.expect_err("it is not written down");
    assert!(refused.to_string().contains("locked") && refused.to_string().contains("in force"), "{refused}");
    assert!(fixture.read().is_some());
}

/// It does not grow for ever, and says the same afterwards.
#[tokio::test]
async fn a_long_journal_is_written_anew() {
    let fixture = Fixture::new(Awaited::Yes);
    fixture.open(7).expect("it can be written");
    let rules = vec![Some((1, None, false)); 10_000];
    for sequence in 1..=60 {
        fixture.state.write().sequence = sequence;
        fixture.journal.add(sequence, &Change::Rules(List::Purged, PurgeMode::Stale, rules.clone()));
        fixture.journal.written_down(PurgeSeq(sequence)).await.expect("it is written down");
    }
    let size = fs::metadata(path(fixture.dir.path())).expect("a file").len();
    assert!(size < GROWTH + (1 << 20), "{size}");
    assert_eq!(sequence_of(fixture.read()), 60);
}

#[tokio::test]
async fn the_last_opening_counts() {
    let fixture = Fixture::new(Awaited::Yes);
    fixture.open(7).expect("it can be written");
    fixture.add(1);
    fixture.open(8).expect("it can be written");
    fixture.add(2);
    fixture.journal.written_down(PurgeSeq(2)).await.expect("it is written down");
    fixture.journal.close();
    assert!(matches!(fixture.read(), Some(Read::Whole(8, state)) if state.sequence == 2));
}
