//! The page that is shown where a render failed and there is no other.

use std::path::PathBuf;
use std::sync::Arc;

/// An error page in HTML; clients that want JSON or text get those, whichever it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ErrorPage {
    /// The one that is shipped.
    #[default]
    Builtin,
    /// One of the operator's.
    File {
        /// Where it was read.
        path: PathBuf,
        /// What is in it, placeholders included: at most 256 KiB of UTF-8.
        html: Arc<str>,
    },
}
