//! Where on disk each record is: a hash of its key, a file, a place in it; twenty-one bytes of memory a page,
//! and as many again at most for the room in a table that has just grown. One thread changes it ([`super::log`]); everybody reads.

use super::segment::Placed;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SHARDS: usize = 64;

/// A record's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of its file.
    pub(super) segment: u32,
    /// Where its frame begins.
    pub(super) offset: u32,
    /// Octets, the frame's included.
    pub(super) len: u32,
}

/// The hash of a key, in halves: so a name and its place leave no gap in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name([u32; 2]);

impl Name {
    fn of(hash: u64) -> Name {
        Name([hash as u32, (hash >> 32) as u32])
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [low, high] = self.0;
        state.write_u64(u64::from(high) << 32 | u64::from(low));
    }
}

type Shard = HashMap<Name, Place, foldhash::fast::RandomState>;

/// Which records there are.
#[derive(Debug)]
pub(super) struct Index {
    shards: Vec<RwLock<Shard>>,
    files: RwLock<HashMap<u32, Arc<File>>>,
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Place {
    pub(super) fn of(segment: u32, placed: &Placed) -> Place {
        Place { segment, offset: placed.offset, len: placed.len }
    }
}

impl Index {
    /// Without records.
    pub(super) fn new() -> Self {
        Index {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            files: RwLock::default(),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Where the record with this name is.
    pub(super) fn get(&self, hash: u64) -> Option<Place> {
        self.shard(hash).read().get(&Name::of(hash)).copied()
    }

    /// Where it is, and its file.
    pub(super) fn find(&self, hash: u64) -> Option<(Place, Arc<File>)> {
        let place = self.get(hash)?;
        let file = self.files.read().get(&place.segment).cloned()?;
        Some((place, file))
    }

    /// Places a record and returns where one with its name was.
    pub(super) fn insert(&self, hash: u64, place: Place) -> Option<Place> {
        let old = self.shard(hash).write().insert(Name::of(hash), place);
        self.bytes.fetch_add(u64::from(place.len), Relaxed);
        match old {
            Some(old) => self.bytes.fetch_sub(u64::from(old.len), Relaxed),
            None => self.records.fetch_add(1, Relaxed),
        };
        old
    }

    /// Forgets the record with this name and returns where it was.
    pub(super) fn remove(&self, hash: u64) -> Option<Place> {
        let old = self.shard(hash).write().remove(&Name::of(hash))?;
        self.gone(old);
        Some(old)
    }

    /// Forgets the record with this name if it is still there; whether it was.
    pub(super) fn remove_if_at(&self, hash: u64, place: Place) -> bool {
        let mut shard = self.shard(hash).write();
        if shard.get(&Name::of(hash)) != Some(&place) {
            return false;
        }
        shard.remove(&Name::of(hash));
        self.gone(place);
        true
    }

    fn gone(&self, place: Place) {
        self.bytes.fetch_sub(u64::from(place.len), Relaxed);
        self.records.fetch_sub(1, Relaxed);
    }

    /// Makes a file known.
    pub(super) fn add_file(&self, segment: u32, file: Arc<File>) {
        self.files.write().insert(segment, file);
    }

    /// Forgets a file. Whoever reads from it reads on.
    pub(super) fn remove_file(&self, segment: u32) {
        self.files.write().remove(&segment);
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.files.write().clear();
        for shard in &self.shards {
            *shard.write() = Shard::default();
        }
        self.records.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
    }

    /// How many records there are.
    pub(super) fn records(&self) -> u64 {
        self.records.load(Relaxed)
    }

    /// Octets of them.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        // The lowest bits place a record within its shard.
        &self.shards[usize::try_from(hash >> 58).unwrap_or(0) % SHARDS]
    }
}
