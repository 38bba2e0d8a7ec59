//! A bounded set of keys, each remembered until a point in time.
//!
//! Only hashes are kept, so that long keys cost no more than short ones. Two keys with one hash are
//! remembered together; being remembered only ever sends a request to the origin.

use crate::policy::{Key, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;

const SHARDS: usize = 16;

type Shard = Mutex<HashMap<u64, Timestamp, foldhash::fast::RandomState>>;

/// Keys remembered until a point in time; when it is full, those that expire first give way.
#[derive(Debug)]
pub(super) struct Remembered {
    shards: Vec<Shard>,
    per_shard: usize,
}

impl Remembered {
    /// At most about `capacity` keys.
    pub(super) fn new(capacity: usize) -> Self {
        Remembered {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            per_shard: capacity.div_ceil(SHARDS).max(2),
        }
    }

    pub(super) fn insert(&self, key: &Key, until: Timestamp, now: Timestamp) {
        let mut shard = self.shard(key).lock();
        if shard.len() >= self.per_shard {
            shard.retain(|_, until| *until > now);
        }
        if shard.len() >= self.per_shard {
            let mut deadlines: Vec<Timestamp> = shard.values().copied().collect();
            let middle = deadlines.len() / 2;
            let median = *deadlines.select_nth_unstable(middle).1;
            shard.retain(|_, until| *until > median);
        }
        shard.insert(key.hash64(), until);
    }

    pub(super) fn contains(&self, key: &Key, now: Timestamp) -> bool {
        self.shard(key).lock().get(&key.hash64()).is_some_and(|until| now < *until)
    }

    fn shard(&self, key: &Key) -> &Shard {
        let index = usize::try_from(key.hash64() % SHARDS as u64).unwrap_or(0);
        &self.shards[index]
    }
}
