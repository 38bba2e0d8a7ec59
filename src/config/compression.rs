//! In which content codings pages are kept, and how much work that may be.

use super::NamePatterns;
use std::num::NonZeroUsize;
use xxhash_rust::xxh3::xxh3_64;

/// A coding that pages can be compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// RFC 7932.
    Br,
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl Codec {
    /// All of them; the number of each is its position.
    pub const ALL: [Codec; 3] = [Codec::Br, Codec::Zstd, Codec::Gzip];

    /// The word in the file and in metrics: the name of the coding (RFC 9110 §8.4.1).
    pub const fn as_str(self) -> &'static str {
        match self {
            Codec::Br => "br",
            Codec::Zstd => "zstd",
            Codec::Gzip => "gzip",
        }
    }

    /// The quality by default: what a page is worth that is made once and may live for a minute.
    pub const fn default_quality(self) -> u8 {
        match self {
            Codec::Br => 5,
            Codec::Zstd | Codec::Gzip => 6,
        }
    }

    /// The highest quality.
    pub const fn best_quality(self) -> u8 {
        match self {
            Codec::Br => 11,
            Codec::Zstd => 19,
            Codec::Gzip => 9,
        }
    }
}

/// A coding and how hard it tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Compressor {
    /// The coding.
    pub codec: Codec,
    /// From 1 to [`Codec::best_quality`].
    pub quality: u8,
}

/// How pages of a route are compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// The codings, each once; never empty. Default: br and gzip.
    pub compressors: Vec<Compressor>,
    /// Bytes of the smallest page that is compressed. Default 1 KiB.
    pub min_size: usize,
    /// Media types that are compressed, lower case. Default: text and what is much like it.
    pub types: NamePatterns,
    /// Whether an answer's `no-transform` does not count (RFC 9111 §5.2.2.6). Default: it counts.
    pub ignore_no_transform: bool,
}

impl Compression {
    /// Whether a page of this many bytes is compressed.
    pub fn is_worth(&self, len: u64) -> bool {
        len >= (self.min_size as u64).max(1)
    }

    /// Tells the codings of one configuration from those of another.
    pub fn fingerprint(&self) -> u32 {
        // One is never made with none of it, so that 0 stays free.
        (xxh3_64(format!("{:?}", self.compressors).as_bytes()) as u32).max(1)
    }
}

/// Who compresses, for all routes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoders {
    /// Threads of low priority; read at start. Default: a quarter of the cores, at least one.
    pub threads: NonZeroUsize,
    /// Pages that wait to be compressed; what comes on top stays as it is until its next refresh.
    /// Default 65,536.
    pub max_waiting: usize,
}
