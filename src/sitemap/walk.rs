//! From one location to every page that a site lists: an index is followed, as far as its bounds go.

use super::parse::{Document, ParseError, parse};
use async_trait::async_trait;
use std::collections::HashSet;
use thiserror::Error;

/// Indexes within each other; sitemaps.org allows one.
const MAX_DEPTH: usize = 3;

/// Documents of one site; sitemaps.org allows 50,000 in an index.
const MAX_DOCUMENTS: usize = 50_000;

/// Gets a document.
#[async_trait]
pub(crate) trait Fetch: Send + Sync {
    /// The bytes at `location`, as a sitemap or whoever asks has written it. The error is a sentence
    /// without its subject.
    async fn fetch(&self, location: &str) -> Result<Vec<u8>, String>;
}

/// How much is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Pages, repeated ones counted.
    pub(crate) pages: usize,
}

/// How much there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Walked {
    pub(crate) documents: usize,
    pub(crate) pages: usize,
}

/// Why not every page is known.
#[derive(Debug, Error)]
pub(crate) enum WalkError {
    /// It cannot be had.
    #[error("{location} {why}")]
    Fetch {
        /// The document.
        location: String,
        /// As [`Fetch::fetch`] says it.
        why: String,
    },
    /// It is none.
    #[error("{location} {why}")]
    Parse {
        /// The document.
        location: String,
        /// What is wrong with it.
        why: String,
    },
    /// Beyond [`Bounds::pages`].
    #[error("has more than {0} pages")]
    TooManyPages(usize),
    /// Beyond [`MAX_DOCUMENTS`].
    #[error("has more than 50000 documents")]
    TooManyDocuments,
    /// Beyond [`MAX_DEPTH`].
    #[error("{0} is an index in an index in an index, and is not followed")]
    TooDeep(String),
}

/// Gives `take` every page that the sitemap or index at `start` lists, one document after the other.
///
/// # Errors
/// The first document that cannot be read, and bounds that are too small: what was taken so far is not
/// the whole.
pub(crate) async fn walk(
    start: &str,
    fetch: &dyn Fetch,
    bounds: Bounds,
    take: &mut (dyn FnMut(String) + Send),
) -> Result<Walked, WalkError> {
    let mut seen = HashSet::from([start.to_owned()]);
    let mut waiting = vec![(start.to_owned(), 1)];
    let mut walked = Walked::default();
    while let Some((location, depth)) = waiting.pop() {
        walked.documents += 1;
        match document(&location, fetch).await? {
            Document::Pages(pages) => {
                walked.pages += pages.len();
                if walked.pages > bounds.pages {
                    return Err(WalkError::TooManyPages(bounds.pages));
                }
                pages.into_iter().for_each(&mut *take);
            }
            Document::Index(_) if depth == MAX_DEPTH => return Err(WalkError::TooDeep(location)),
            Document::Index(sitemaps) => {
                let new = sitemaps.into_iter().filter(|sitemap| seen.insert(sitemap.clone()));
                let at = waiting.len();
                waiting.extend(new.map(|sitemap| (sitemap, depth + 1)));
                waiting[at..].reverse();
                if seen.len() > MAX_DOCUMENTS {
                    return Err(WalkError::TooManyDocuments);
                }
            }
        }
    }
    Ok(walked)
}

async fn document(location: &str, fetch: &dyn Fetch) -> Result<Document, WalkError> {
    let bytes = fetch.fetch(location).await;
    let bytes = bytes.map_err(|why| WalkError::Fetch { location: location.to_owned(), why })?;
    // A large one takes a while, and whoever serves pages on this thread must not wait for it.
    let parsed = tokio::task::spawn_blocking(move || parse(&bytes)).await;
    let why = |error: ParseError| WalkError::Parse { location: location.to_owned(), why: error.to_string() };
    match parsed {
        Ok(parsed) => parsed.map_err(why),
        Err(_) => Err(WalkError::Parse { location: location.to_owned(), why: "could not be read".to_owned() }),
    }
}
