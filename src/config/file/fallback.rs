//! What is shown while a page is rendered for the first time: `routes[].fallback`, and `long_polls`, by which
//! what is shown waits.

use super::cursor::{At, Shape, count};
use super::mistake::Wrong;
use super::schema;
use crate::config::fallback::{Fallback, LongPolls, Preload, ShellPage};
use http::{StatusCode, Uri};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of the largest page: a visitor waits for it, and every one of them gets it whole.
const MAX_PAGE: u64 = 256 << 10;

/// The longest that a visitor is shown a fallback page.
const MAX_HOLD: Duration = Duration::from_secs(600);

/// Preloads of one page; a browser has no use for more at once.
const MAX_PRELOADS: usize = 32;

/// What a route shows in front of a miss; `None`: nothing, its visitors wait.
pub(super) fn fallback(at: &At<'_>) -> Option<Fallback> {
    if at.shape() != Shape::Map {
        let remedy = "write wait, or { page: builtin } for the page that is shipped";
        at.read(|text| if text == "wait" { Ok(()) } else { Err(Wrong::new("is not known here", remedy)) });
        return None;
    }
    let keys = at.section(&schema::FALLBACK);
    let hold = keys.key("hold").duration(Duration::from_secs(30), Duration::from_millis(100)..=MAX_HOLD);
    let after = after(&keys.key("after"), hold);
    let preload = preload(&keys.key("preload"));
    Some(Fallback {
        page: Arc::new(page(&keys.key("page"), hold, &preload)),
        after,
        status: status(&keys.key("status")),
        hold,
        preload,
    })
}

fn page(at: &At<'_>, hold: Duration, preload: &Preload) -> ShellPage {
    let read = at.read(|text| if text == "builtin" { Ok(None) } else { read_page(&at.cx.resolve(text)).map(Some) });
    match read.flatten() {
        Some(html) => ShellPage::of(&html, hold, preload),
        None => ShellPage::builtin(hold, preload),
    }
}

/// How long a fast render keeps the fallback page away.
fn after(at: &At<'_>, hold: Duration) -> Duration {
    let after = at.duration(Duration::from_millis(150).min(hold), Duration::ZERO..=MAX_HOLD);
    if after > hold {
        at.wrong(format!("{} is longer than hold", at.quoted()), "write less, or a longer hold");
    }
    after
}

fn status(at: &At<'_>) -> StatusCode {
    let read = at.read(|text| {
        let code = u16::try_from(count(text, &(200..=599))?).unwrap_or_default();
        // Those have no body, are a part of one, or lead elsewhere.
        let fits = !matches!(code, 204..=206 | 300..=399 | 401 | 407);
        let status = StatusCode::from_u16(code).ok().filter(|_| fits);
        status.ok_or_else(|| Wrong::new("is not a status of a page", "write 200, 202 or 503"))
    });
    read.unwrap_or(StatusCode::OK)
}

fn preload(at: &At<'_>) -> Preload {
    let keys = at.section(&schema::PRELOAD);
    Preload { max: keys.key("max").count(8, 0..=MAX_PRELOADS), from: keys.key("from").set(origin) }
}

/// An origin: scheme, host and, if it is not the default, a port.
fn origin(text: &str) -> Result<Box<str>, Wrong> {
    let wrong = || Wrong::new("is not an origin", "write for example https://cdn.example.com");
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let bare = uri.path() == "/" && uri.query().is_none() && !text.ends_with('/');
    let authority = uri.authority().filter(|authority| known && bare && !authority.as_str().contains('@'));
    authority.map(|_| text.to_ascii_lowercase().into()).ok_or_else(wrong)
}

fn read_page(path: &Path) -> Result<String, Wrong> {
    let remedy = "write the path of a page, relative to this file, or builtin for the one that is shipped";
    let bytes = read_bounded(path).map_err(|error| Wrong::new(format!("cannot be read ({error})"), remedy))?;
    if bytes.len() as u64 > MAX_PAGE {
        return Err(Wrong::new("is larger than 256KiB", "write a smaller page: everybody who waits gets it whole"));
    }
    let html = String::from_utf8(bytes).map_err(|_| Wrong::new("is not UTF-8", "save the page as UTF-8"))?;
    if html.trim().is_empty() {
        return Err(Wrong::new("is empty", "write a page of HTML, or builtin for the one that is shipped"));
    }
    Ok(html)
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_PAGE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Bounds on what fallback pages wait by.
pub(super) fn long_polls(at: &At<'_>) -> LongPolls {
    let keys = at.section(&schema::LONG_POLLS);
    LongPolls {
        per_token: keys.key("per_token").positive(4, 1_000),
        per_client: keys.key("per_client").positive(256, 1_000_000),
        total: keys.key("total").positive(20_000, 1_000_000),
    }
}

/// A word of a `User-Agent`.
pub(super) fn crawler(text: &str) -> Result<Box<str>, Wrong> {
    const SHORTEST: usize = 3;
    if text.contains('*') {
        return Err(Wrong::new("has a *", "write the word alone; it counts wherever it stands"));
    }
    let fits = text.is_ascii() && text.trim().len() >= SHORTEST && !text.bytes().any(|byte| byte.is_ascii_control());
    let lower = || text.to_ascii_lowercase().into();
    fits.then(lower).ok_or_else(|| Wrong::new("is not a word of a User-Agent", "write at least 3 letters: googlebot"))
}
