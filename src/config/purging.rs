//! What of a route's pages a purge or a write takes away, and who may ask for a purge.

use super::Template;
use ipnet::IpNet;
use std::num::NonZeroUsize;

/// What becomes of the pages that a purge covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PurgeMode {
    /// They are stale: served while they are rendered again.
    #[default]
    Stale,
    /// They are never served again.
    Delete,
}

impl PurgeMode {
    /// Both, for metrics that exist before they happen.
    pub const ALL: [PurgeMode; 2] = [PurgeMode::Stale, PurgeMode::Delete];

    /// The word in requests, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            PurgeMode::Stale => "stale",
            PurgeMode::Delete => "delete",
        }
    }
}

/// What a successful unsafe request through a route purges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidation {
    /// The pages.
    pub what: Invalidated,
    /// What becomes of them. Default: they are deleted, so that whoever wrote reads what he wrote.
    pub mode: PurgeMode,
}

/// The pages that a write changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalidated {
    /// A path, with all its queries and variants.
    Path {
        /// The path, with parameters of the route.
        path: Template,
        /// The host of the pages, normalised; by default the request's own.
        host: Option<Box<str>>,
    },
    /// Everything with this tag.
    Tag(Template),
}

/// Purging as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purging {
    /// Peers whose `PURGE` and `BAN` on a public listener are obeyed. Default none.
    pub from: Vec<IpNet>,
    /// Rules that are remembered one by one; the oldest merge into one that covers more. Default 10,000.
    pub max_rules: NonZeroUsize,
    /// Pages a second that are rendered again after a purge although nobody asks for them; zero: none.
    /// Default 50.
    pub refresh: usize,
}
