//! The disk tier: pages outlive the process. Memory is in front of it; whatever is stored is written behind
//! the answer, and read back when memory has no page.
//!
//! One thread writes ([`worker`]); reads go to the runtime's blocking threads, collapsed and bounded, so no
//! worker thread ever waits for the device. Whatever goes wrong there turns the tier off for a while: then
//! memory serves alone, and the tier comes back by itself. Nothing that is wrong on a disk reaches a client.

mod directory;
mod fetch;
mod index;
mod log;
mod popular;
mod record;
mod segment;
mod unwritten;
mod wall;
mod worker;

pub use directory::Locked;
pub(super) use fetch::Fetched;

use super::clock::Clock;
use super::journal::Journal;
use super::memory::Entry;
use super::popularity::Popularity;
use super::purge_clock::PurgeClock;
use crate::config;
use crate::metrics::{self, DiskDrop};
use crate::policy::Key;
use fetch::Reads;
use index::{Index, Place};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use unwritten::{Accepted, Known, Unwritten};
use wall::Wall;
use worker::{First, Worker};

/// What to do where another process has the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLock {
    /// Two processes on one directory are a mistake.
    Refuse,
    /// The other one is about to end: serve from memory until it has let go.
    Wait,
}

/// Whether something is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnDisk {
    /// It is.
    Yes,
    /// It waits to be written.
    Soon,
    /// It is not.
    No,
}

/// Whether pages can be read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Soon: what is found is right, what is not found may come yet.
    Opening { since: Instant },
    /// Yes.
    Open,
    /// Not until whatever is wrong is mended.
    Off,
    /// Not any more.
    Closed,
}

/// See the module.
pub(super) struct Disk {
    shared: Arc<Shared>,
}

/// What the tier's thread and everybody else know.
struct Shared {
    config: config::Disk,
    index: Arc<Index>,
    unwritten: Unwritten,
    phase: watch::Sender<Phase>,
    reads: Reads,
    /// Records that turned out to be broken.
    broken: Mutex<Vec<(u64, Place)>>,
    /// Reads that failed since the last that did not.
    failed_reads: AtomicU32,
    /// Why the tier cannot go on; its thread looks here.
    failure: Mutex<Option<String>>,
    journal: Arc<Journal>,
    purges: Arc<PurgeClock>,
    popularity: Arc<Popularity>,
    series: metrics::Disk,
    clock: Clock,
    wall: Wall,
}

/// What the tier works with.
pub(super) struct Parts {
    pub(super) journal: Arc<Journal>,
    pub(super) purges: Arc<PurgeClock>,
    pub(super) popularity: Arc<Popularity>,
    pub(super) series: metrics::Disk,
    pub(super) clock: Clock,
}

impl Disk {
    /// Begins to open the tier. When it returns, the purge clock knows what was purged before; the rest goes
    /// on by itself.
    ///
    /// # Errors
    /// When another process has the directory and that is a mistake. Whatever else is wrong with the disk is
    /// said in the log, and tried again.
    pub(super) fn start(config: config::Disk, on_lock: OnLock, parts: Parts) -> Result<Disk, Locked> {
        let Parts { journal, purges, popularity, series, clock } = parts;
        series.set_capacity(config.capacity);
        let first = First::look(&config.path, on_lock, &purges)?;
        let shared = Arc::new(Shared {
            index: Arc::new(Index::new()),
            unwritten: Unwritten::new(config.unwritten),
            phase: watch::Sender::new(Phase::Opening { since: Instant::now() }),
            reads: Reads::default(),
            broken: Mutex::default(),
            failed_reads: AtomicU32::new(0),
            failure: Mutex::default(),
            wall: Wall::at(clock.now()),
            config,
            journal,
            purges,
            popularity,
            series,
            clock,
        });
        Worker::start(Arc::clone(&shared), first);
        Ok(Disk { shared })
    }

    /// Has `entry` written in the place of what is on disk under `key`.
    pub(super) fn put(&self, key: &Key, entry: Entry) {
        let shared = &self.shared;
        if shared.phase() == Phase::Closed {
            return;
        }
        if entry.weight() as u64 > log::largest_record(shared.config.capacity) {
            shared.series.dropped(DiskDrop::TooLarge);
            self.remove(key);
        } else if shared.unwritten.keep(key, entry) == Accepted::Full {
            shared.series.dropped(DiskDrop::Full);
        }
    }

    /// Forgets what is on disk under `key`.
    pub(super) fn remove(&self, key: &Key) {
        if self.shared.phase() != Phase::Closed {
            self.shared.unwritten.remove(key.hash64());
        }
    }

    /// Whether something is kept under `key`, as far as can be told without reading.
    pub(super) fn has(&self, key: &Key) -> OnDisk {
        match self.shared.unwritten.get(key) {
            Known::Kept(_) => OnDisk::Soon,
            Known::Nothing if self.shared.index.get(key.hash64()).is_some() => OnDisk::Yes,
            Known::Removed | Known::Nothing => OnDisk::No,
        }
    }

    /// Waits until the tier is open, however long that takes.
    pub(super) async fn opened(&self) {
        let mut phase = self.shared.phase.subscribe();
        // The sender lives as long as the tier.
        let _ = phase.wait_for(|phase| matches!(phase, Phase::Open | Phase::Closed)).await;
    }

    /// Writes what is not written yet, closes the files and lets go of the directory, within
    /// `store.disk.flush_timeout`; whether all of it was done. Afterwards memory serves alone.
    pub(super) async fn close(&self) -> bool {
        let shared = &self.shared;
        shared.unwritten.close();
        let mut phase = shared.phase.subscribe();
        let closed = phase.wait_for(|phase| *phase == Phase::Closed);
        if tokio::time::timeout(shared.config.flush_timeout, closed).await.is_ok_and(|closed| closed.is_ok()) {
            return true;
        }
        let bytes = shared.unwritten.bytes();
        tracing::warn!(bytes, "store.disk.flush_timeout is over; what is not written to disk is lost");
        false
    }
}

impl Shared {
    fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Whether the tier is open, after a while if it is being opened. Where that takes longer, on a device that
    /// hangs for one, nobody waits any more.
    async fn is_open_within(&self, patience: Duration) -> bool {
        let mut phase = self.phase.subscribe();
        let Phase::Opening { since } = *phase.borrow_and_update() else { return self.phase() == Phase::Open };
        let opened = phase.wait_for(|phase| !matches!(phase, Phase::Opening { .. }));
        let opened = tokio::time::timeout_at((since + patience).into(), opened).await;
        opened.is_ok_and(|phase| phase.is_ok_and(|phase| *phase == Phase::Open))
    }

    /// Has the tier's thread turn it off.
    fn fail(&self, why: String) {
        self.failure.lock().get_or_insert(why);
        self.unwritten.wake();
    }
}
