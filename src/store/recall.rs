//! What memory has not and the disk may have: it is read, and kept in memory again unless something newer
//! has come meanwhile.

use super::disk::{Disk, Fetched, OnDisk};
use super::memory::Entry;
use super::{NotWrittenDown, Store};
use crate::policy::{Key, PurgeSeq, RequestFields};
use http::HeaderMap;

/// A page may be rewritten while it is read; then it is read again, this often.
const TRIES: usize = 3;
/// Memory that is filled to this share in eighths has no room for pages that nobody has asked for.
const NEARLY_FULL: usize = 7;

impl Store {
    /// Brings what is kept for a request from disk into memory, if memory has it not; whether there was
    /// something. On `cache: headers` that is the list of variants under `key`, and the one that fits.
    pub(crate) async fn recall(&self, key: &Key, request: &HeaderMap) -> bool {
        let Some(disk) = &self.disk else { return false };
        let (entry, mut recalled) = match self.memory.get(key) {
            Some(entry) => (Some(entry), false),
            None => {
                let entry = self.bring(disk, key).await;
                let recalled = entry.is_some();
                (entry, recalled)
            }
        };
        if let Some(Entry::Variants(variants)) = entry
            && let Some(variant) = variants.select(request.into())
            && self.memory.get(variant).is_none()
        {
            recalled |= self.bring(disk, variant).await.is_some();
        }
        recalled
    }

    /// The same without waiting for the device; `false` says nothing about what is on it.
    pub(crate) fn recall_now(&self, key: &Key, request: RequestFields<'_>) -> bool {
        let Some(disk) = &self.disk else { return false };
        let (entry, mut recalled) = match self.memory.get(key) {
            Some(entry) => (Some(entry), false),
            None => {
                let entry = self.bring_now(disk, key);
                let recalled = entry.is_some();
                (entry, recalled)
            }
        };
        if let Some(Entry::Variants(variants)) = entry
            && let Some(variant) = variants.select(request)
            && self.memory.get(variant).is_none()
        {
            recalled |= self.bring_now(disk, variant).is_some();
        }
        recalled
    }

    fn bring_now(&self, disk: &Disk, key: &Key) -> Option<Entry> {
        self.keep_in_memory(disk, key, &disk.fetch_now(key)?)
    }

    async fn bring(&self, disk: &Disk, key: &Key) -> Option<Entry> {
        for _ in 0..TRIES {
            let fetched = disk.fetch(key).await?;
            if let Some(entry) = self.keep_in_memory(disk, key, &fetched) {
                return Some(entry);
            }
        }
        None
    }

    fn keep_in_memory(&self, disk: &Disk, key: &Key, fetched: &Fetched) -> Option<Entry> {
        let base = key.base();
        let _guard = self.variant_lock(base.as_ref().unwrap_or(key)).lock();
        if let Some(newer) = self.memory.get(key) {
            return Some(newer);
        }
        if !disk.is_current(fetched) {
            return None;
        }
        self.memory.insert(key.clone(), fetched.entry.clone());
        Some(fetched.entry.clone())
    }

    /// Whether there is a disk tier, in use or not.
    pub(crate) fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// Whether pages can be brought into memory that nobody has asked for, without pushing out others.
    pub(crate) fn has_room(&self) -> bool {
        self.memory.bytes() < self.memory.capacity() / 8 * NEARLY_FULL
    }

    /// Waits until the pages of an earlier process can be read, if there is a disk tier; whether there is.
    pub(crate) async fn opened(&self) -> bool {
        let Some(disk) = &self.disk else { return false };
        disk.opened().await;
        true
    }

    /// Waits until everything up to this sequence is written down, and in force in the process that has taken
    /// over, so that whoever asked for it can be told.
    ///
    /// # Errors
    /// When it cannot be written down, and what is on disk cannot be given up either; or the other process
    /// does not take it in. It is in force here.
    pub(crate) async fn written_down(&self, sequence: PurgeSeq) -> Result<(), NotWrittenDown> {
        self.clock.told(sequence).await?;
        self.journal.written_down(sequence).await
    }

    /// Writes what is not on disk yet and lets go of the directory, within `store.disk.flush_timeout`.
    pub(crate) async fn close(&self) {
        if let Some(disk) = &self.disk {
            disk.close().await;
        }
    }

    /// Where the page of this key is kept, for people.
    pub(crate) fn whereabouts(&self, key: &Key) -> &'static str {
        let disk = self.disk.as_ref().map_or(OnDisk::No, |disk| disk.has(key));
        match (self.memory.get(key).is_some(), disk) {
            (true, OnDisk::Yes) => "in memory and on disk",
            (true, OnDisk::Soon) => "in memory, soon on disk",
            (true, OnDisk::No) => "in memory",
            (false, OnDisk::Yes) => "on disk",
            (false, OnDisk::Soon) => "on its way to disk",
            (false, OnDisk::No) => "nowhere",
        }
    }
}
