//! What is to be written to disk and is not yet: a bounded set, from which pages are served meanwhile. Of
//! what is kept under one key only the last counts. When it is full, what comes is not written: then what is
//! on disk under that key is to go, because it is older than what was refused.

use crate::policy::{Key, PurgeSeq};
use crate::store::memory::Entry;
use parking_lot::{Condvar, Mutex};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Removals that wait; beyond that everything on disk counts as removed.
const MAX_REMOVALS: usize = 262_144;

/// What is to happen under one key.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// This is to be kept under it.
    Keep(Key, Entry),
    /// What is kept under it is to go.
    Remove,
}

/// What is known of a key before the disk is asked.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// This is kept under it.
    Kept(Entry),
    /// What is on disk does not count.
    Removed,
    /// Nothing: the disk knows.
    Nothing,
}

/// Whether something will be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// It will.
    Yes,
    /// There is no room.
    Full,
}

#[derive(Default)]
struct Inner {
    changes: HashMap<u64, Change, foldhash::fast::RandomState>,
    order: VecDeque<u64>,
    bytes: usize,
    removals: usize,
    /// What is being written.
    writing: HashMap<u64, Change, foldhash::fast::RandomState>,
    /// Some removals are not remembered.
    lost_removals: bool,
    closing: bool,
    woken: bool,
}

/// See the module.
pub(super) struct Unwritten {
    inner: Mutex<Inner>,
    wake: Condvar,
    limit: usize,
}

impl Unwritten {
    /// No more than `limit` bytes of pages.
    pub(super) fn new(limit: usize) -> Self {
        Unwritten { inner: Mutex::default(), wake: Condvar::new(), limit }
    }

    /// Takes something in to be written.
    pub(super) fn keep(&self, key: &Key, entry: Entry) -> Accepted {
        let mut inner = self.inner.lock();
        let hash = key.hash64();
        let weight = entry.weight();
        let replaced = inner.changes.get(&hash).map_or(0, weight_of);
        if inner.bytes - replaced + weight > self.limit {
            inner.put(hash, Change::Remove);
            self.wake.notify_all();
            return Accepted::Full;
        }
        inner.put(hash, Change::Keep(key.clone(), entry));
        self.wake.notify_all();
        Accepted::Yes
    }

    /// What is on disk under this key is to go.
    pub(super) fn remove(&self, hash: u64) {
        self.inner.lock().put(hash, Change::Remove);
        self.wake.notify_all();
    }

    /// What is known of a key.
    pub(super) fn get(&self, key: &Key) -> Known {
        let inner = self.inner.lock();
        let hash = key.hash64();
        match inner.changes.get(&hash).or_else(|| inner.writing.get(&hash)) {
            None => Known::Nothing,
            Some(Change::Keep(kept, entry)) if kept == key => Known::Kept(entry.clone()),
            Some(Change::Keep(..) | Change::Remove) => Known::Removed,
        }
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }

    /// Takes about `bytes` of what came first to be written, once there is something; nothing, if nothing
    /// came within `patience` or somebody called [`Unwritten::wake`]. Until [`Unwritten::written`] they are
    /// served from here.
    pub(super) fn next(&self, bytes: usize, patience: Duration) -> Vec<(u64, Change)> {
        let mut inner = self.inner.lock();
        if inner.order.is_empty() && !inner.closing && !inner.woken {
            self.wake.wait_for(&mut inner, patience);
        }
        inner.woken = false;
        let mut taken = Vec::new();
        let mut sum = 0;
        while sum < bytes {
            let Some(hash) = inner.order.pop_front() else { break };
            let Some(change) = inner.changes.remove(&hash) else { continue };
            sum += weight_of(&change);
            inner.left(&change);
            inner.writing.insert(hash, change.clone());
            taken.push((hash, change));
        }
        taken
    }

    /// What was taken is on disk.
    pub(super) fn written(&self) {
        self.inner.lock().writing.clear();
    }

    /// What was taken is not on disk: it is to be written again, unless something newer has come.
    pub(super) fn failed(&self) {
        let mut inner = self.inner.lock();
        for (hash, change) in std::mem::take(&mut inner.writing) {
            if !inner.changes.contains_key(&hash) {
                inner.put(hash, change);
            }
        }
    }

    /// No more waiting: whoever writes is to come to an end.
    pub(super) fn close(&self) {
        self.inner.lock().closing = true;
        self.wake.notify_all();
    }

    /// Whether it is to come to an end.
    pub(super) fn is_closing(&self) -> bool {
        self.inner.lock().closing
    }

    /// Has whoever writes look around, although there may be nothing to write.
    pub(super) fn wake(&self) {
        self.inner.lock().woken = true;
        self.wake.notify_all();
    }

    /// Waits until it is to come to an end, or for this long.
    pub(super) fn wait(&self, patience: Duration) {
        let mut inner = self.inner.lock();
        let until = std::time::Instant::now() + patience;
        while !inner.closing && !self.wake.wait_until(&mut inner, until).timed_out() {}
    }

    /// Everything on disk counts as removed, because some removals could not be remembered; asked once.
    pub(super) fn take_lost_removals(&self) -> bool {
        std::mem::take(&mut self.inner.lock().lost_removals)
    }
}

impl Inner {
    fn put(&mut self, hash: u64, change: Change) {
        self.bytes += weight_of(&change);
        self.removals += usize::from(matches!(change, Change::Remove));
        match self.changes.insert(hash, change) {
            Some(old) => self.left(&old),
            None => self.order.push_back(hash),
        }
        if self.removals > MAX_REMOVALS {
            self.lost_removals = true;
            self.changes.retain(|_, change| !matches!(change, Change::Remove));
            self.order.retain(|hash| self.changes.contains_key(hash));
            self.removals = 0;
        }
    }

    fn left(&mut self, change: &Change) {
        self.bytes -= weight_of(change);
        self.removals -= usize::from(matches!(change, Change::Remove));
    }
}

impl Change {
    /// The purge sequence that has to be written down before this is written.
    pub(super) fn purge_seq(&self) -> PurgeSeq {
        match self {
            Change::Keep(_, Entry::Page(page)) => page.purge_seq,
            Change::Keep(_, Entry::Variants(_)) | Change::Remove => PurgeSeq(0),
        }
    }
}

fn weight_of(change: &Change) -> usize {
    match change {
        Change::Keep(_, entry) => entry.weight(),
        Change::Remove => 0,
    }
}

#[cfg(test)]
mod tests;
