//! Which pages a site says it has: sitemaps as sitemaps.org describes them, in XML or as text, compressed
//! or not, and indexes of sitemaps. How a sitemap is fetched is the business of whoever reads it; here is
//! only what it says, and how far an index is followed.

mod parse;
mod walk;

pub(crate) use parse::MAX_DOCUMENT;
pub(crate) use walk::{Bounds, Fetch, Walked, walk};

#[cfg(test)]
mod tests;
