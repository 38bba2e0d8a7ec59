//! What identifies a page: scheme, host, path, the query parameters that count, the variant
//! (RFC 9111 §2). The components are framed, so that no two different lists of components make the
//! same bytes.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The identity of a page. Cheap to clone; equality compares every byte, never only the hash.
#[derive(Clone, Debug)]
pub struct Key {
    bytes: Arc<[u8]>,
    base_len: usize,
    hash: u64,
}

impl Key {
    /// The framed components: those of the URI first, those of the variant behind `base_len`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The components of the URI: what all variants of it have in common.
    pub fn base_bytes(&self) -> &[u8] {
        &self.bytes[..self.base_len]
    }

    /// A hash of all bytes, the same in every process.
    pub fn hash64(&self) -> u64 {
        self.hash
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.base_len == other.base_len && self.bytes == other.bytes
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}
