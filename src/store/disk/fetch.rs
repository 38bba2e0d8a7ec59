//! Reading from disk. What the system has in its cache is read at once, without waiting; the rest by one read
//! for everybody who wants the same page at the same time, so many at once, on threads that may wait. What is
//! read is compared with what was asked for; what does not fit is no page.

use super::index::Place;
use super::unwritten::Known;
use super::{Disk, Shared, record, segment};
use crate::metrics::{DiskFailure, DiskRead};
use crate::policy::Key;
use crate::store::memory::Entry;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, Semaphore};

/// Octets of the largest record that is read without a thread of its own: more would keep others waiting.
const AT_ONCE_OCTETS: u32 = 128 << 10;
/// Reads at once; more wait their turn.
const AT_ONCE: usize = 64;
/// How long after a tier began to be opened requests wait for what it may have, before they go on without.
const PATIENCE: Duration = Duration::from_secs(2);
/// A page may be moved while it is looked for; then it is looked for again, this often.
const TRIES: usize = 3;
/// Reads that fail in a row before the device counts as broken.
const FAILURES: u32 = 8;

/// Something from disk.
#[derive(Clone, Debug)]
pub(in crate::store) struct Fetched {
    key: Key,
    /// What is kept.
    pub(in crate::store) entry: Entry,
    /// Where it was read; `None` where it has not been written yet.
    place: Option<Place>,
}

type Cell = Arc<OnceCell<Option<Fetched>>>;

/// Reads that are under way.
pub(super) struct Reads {
    running: Mutex<HashMap<u64, Cell>>,
    permits: Semaphore,
}

impl Default for Reads {
    fn default() -> Self {
        Reads { running: Mutex::default(), permits: Semaphore::new(AT_ONCE) }
    }
}

impl Disk {
    /// What is kept under `key`.
    pub(in crate::store) async fn fetch(&self, key: &Key) -> Option<Fetched> {
        let shared = &self.shared;
        if let Some(fetched) = self.fetch_now(key) {
            return Some(fetched);
        }
        if matches!(shared.unwritten.get(key), Known::Removed) {
            return None;
        }
        let hash = key.hash64();
        if shared.index.get(hash).is_none() {
            let may_be = shared.is_open_within(PATIENCE).await && shared.index.get(hash).is_some();
            if !may_be {
                return None;
            }
        }
        let cell = Arc::clone(shared.reads.running.lock().entry(hash).or_default());
        let fetched = cell.get_or_init(|| read(shared, hash)).await.clone();
        let mut running = shared.reads.running.lock();
        if running.get(&hash).is_some_and(|there| Arc::ptr_eq(there, &cell)) {
            running.remove(&hash);
        }
        drop(running);
        fetched.filter(|fetched| fetched.key == *key)
    }

    /// What is kept under `key`, if it can be had without waiting for the device.
    pub(in crate::store) fn fetch_now(&self, key: &Key) -> Option<Fetched> {
        let shared = &self.shared;
        match shared.unwritten.get(key) {
            Known::Kept(entry) => return Some(Fetched { key: key.clone(), entry, place: None }),
            Known::Removed => return None,
            Known::Nothing => {}
        }
        let (place, file) = shared.index.find(key.hash64()).filter(|(place, _)| place.len <= AT_ONCE_OCTETS)?;
        let started = Instant::now();
        let frame = read_cached(&file, place)?;
        let fetched = whole(shared, key.hash64(), place, frame).filter(|fetched| fetched.key == *key)?;
        shared.series.read(DiskRead::Hit, started.elapsed());
        Some(fetched)
    }

    /// Whether what was fetched is still the last that was kept under its key.
    pub(in crate::store) fn is_current(&self, fetched: &Fetched) -> bool {
        match (self.shared.unwritten.get(&fetched.key), fetched.place) {
            (Known::Nothing, Some(place)) => self.shared.index.get(fetched.key.hash64()) == Some(place),
            // It was written meanwhile, or something newer was.
            (Known::Nothing, None) | (Known::Removed, _) => false,
            (Known::Kept(entry), None) => entry.is_same(&fetched.entry),
            (Known::Kept(_), Some(_)) => false,
        }
    }
}

async fn read(shared: &Arc<Shared>, hash: u64) -> Option<Fetched> {
    let _permit = shared.reads.permits.acquire().await.ok()?;
    let started = Instant::now();
    let (result, fetched) = {
        let shared = Arc::clone(shared);
        let read = tokio::task::spawn_blocking(move || read_now(&shared, hash));
        read.await.unwrap_or((DiskRead::Error, None))
    };
    shared.series.read(result, started.elapsed());
    fetched
}

fn read_now(shared: &Shared, hash: u64) -> (DiskRead, Option<Fetched>) {
    for _ in 0..TRIES {
        let Some((place, file)) = shared.index.find(hash) else {
            // Between the two looks its file may have been cleaned away.
            if shared.index.get(hash).is_some() {
                continue;
            }
            return (DiskRead::Miss, None);
        };
        let mut frame = vec![0; place.len as usize];
        if let Err(error) = file.read_exact_at(&mut frame, u64::from(place.offset)) {
            if error.kind() != io::ErrorKind::UnexpectedEof {
                failed(shared, &error);
                return (DiskRead::Error, None);
            }
            frame.clear();
        }
        shared.failed_reads.store(0, Relaxed);
        if let Some(fetched) = whole(shared, hash, place, frame) {
            return (DiskRead::Hit, Some(fetched));
        }
        if shared.index.get(hash) == Some(place) {
            shared.broken.lock().push((hash, place));
            shared.unwritten.wake();
            return (DiskRead::Corrupt, None);
        }
    }
    (DiskRead::Miss, None)
}

/// What is in a frame, if nothing in it has changed.
fn whole(shared: &Shared, hash: u64, place: Place, frame: Vec<u8>) -> Option<Fetched> {
    segment::unframe(hash, &frame)?;
    let record = Bytes::from(frame).slice(segment::FRAME..);
    let (key, entry) = record::read(&record, &shared.wall, shared.clock.now())?;
    Some(Fetched { key, entry, place: Some(place) })
}

/// A frame that the system has in its cache; nothing where the device would have to be asked.
#[cfg(target_os = "linux")]
fn read_cached(file: &File, place: Place) -> Option<Vec<u8>> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut frame = vec![0; place.len as usize];
    let mut parts = [IoSliceMut::new(&mut frame)];
    let read = preadv2(file, &mut parts, u64::from(place.offset), ReadWriteFlags::NOWAIT);
    (read == Ok(place.len as usize)).then_some(frame)
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, _: Place) -> Option<Vec<u8>> {
    None
}

/// One bad spot costs one page; a device that reads nothing any more is turned off.
fn failed(shared: &Shared, error: &io::Error) {
    shared.series.failed(DiskFailure::Read);
    if shared.failed_reads.fetch_add(1, Relaxed) + 1 == FAILURES {
        shared.fail(format!("pages cannot be read: {error}"));
    }
}
