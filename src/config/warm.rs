//! What is rendered before anybody asks for it.

use super::SitemapSource;
use std::num::NonZeroUsize;

/// Pages that are rendered at start, and by `breadbox warm` where it is told nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warm {
    /// The sitemaps that list them. Default none.
    pub sitemaps: Vec<SitemapSource>,
    /// Renders at once. Default 8.
    pub concurrency: NonZeroUsize,
    /// The most pages that a sitemap may have, with all that it refers to. Default 5,000,000.
    pub max_paths: usize,
}
