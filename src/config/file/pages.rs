//! Pages that the file names: read at load, so that a page that is missing or broken shows then, and
//! not to the first visitor who needs it.

use super::cursor::At;
use super::mistake::Wrong;
use crate::config::ErrorPage;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of the largest page.
const MAX_PAGE: u64 = 256 << 10;

/// `error_page`: `builtin`, or a file; `None` where the file says nothing.
pub(super) fn error_page(at: &At<'_>) -> Option<ErrorPage> {
    at.read(|text| match text {
        "builtin" => Ok(ErrorPage::Builtin),
        _ => {
            let (path, html) = page(at, text)?;
            Ok(ErrorPage::File { path, html })
        }
    })
}

/// The page in the file `text`: UTF-8, not empty, and small enough to be kept in memory.
pub(super) fn page(at: &At<'_>, text: &str) -> Result<(PathBuf, Arc<str>), Wrong> {
    let path = at.cx.resolve(text);
    let bytes = read_bounded(&path).map_err(|error| {
        let remedy = "write the path of a page in HTML, relative to this file, or builtin";
        Wrong::new(format!("cannot be read ({error})"), remedy)
    })?;
    if bytes.len() as u64 > MAX_PAGE {
        return Err(Wrong::new("is larger than 256KiB", "take what is large out of the page"));
    }
    let html = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        Wrong::new(format!("is not UTF-8 in line {line}"), "save the page as UTF-8")
    })?;
    let html = html.strip_prefix('\u{feff}').unwrap_or(&html);
    if html.trim().is_empty() {
        return Err(Wrong::new("is an empty page", "write a page in HTML, or builtin"));
    }
    Ok((path, html.into()))
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // A pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    std::fs::File::open(path)?.take(MAX_PAGE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
