//! Which paths of a route exist, where a list says so; and sitemaps, which are such lists.

use super::Scheme;
use crate::uri::PathSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The list of a route: what is not in it is a 404 of Breadbox's own.
#[derive(Clone, Debug)]
pub enum Paths {
    /// A file with one path or pattern a line, read at load.
    File {
        /// Where it was read.
        path: PathBuf,
        /// What is in it; never empty.
        set: Arc<PathSet>,
    },
    /// A sitemap, read while serving.
    Sitemap(Sitemap),
}

/// A sitemap that is read again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sitemap {
    /// Where it is.
    pub source: SitemapSource,
    /// From the end of one reading to the next. Default 10 min.
    pub refresh: Duration,
    /// The most paths it may have, with all that it refers to; with more it is not taken. Default 5,000,000.
    pub max_paths: usize,
}

/// Where a sitemap is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SitemapSource {
    /// The origin of the route (or the site) has it; nobody else is ever asked.
    Origin {
        /// Of a URL: its scheme.
        scheme: Option<Scheme>,
        /// Of a URL: its host, lower case, with a port if it names one.
        host: Option<Box<str>>,
        /// Path and query, beginning with `/`.
        target: Box<str>,
    },
    /// A file of this machine.
    File(PathBuf),
}

impl fmt::Display for SitemapSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SitemapSource::Origin { scheme: Some(scheme), host: Some(host), target } => {
                write!(f, "{}://{host}{target}", scheme.as_str())
            }
            SitemapSource::Origin { target, .. } => f.write_str(target),
            SitemapSource::File(path) => write!(f, "{}", path.display()),
        }
    }
}
