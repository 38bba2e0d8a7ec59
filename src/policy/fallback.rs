//! Who is shown a fallback page in front of a miss, and what says that somebody has been: a visitor sees one
//! only while the render runs that it was shown for, and no longer than the route holds it. After that the
//! request waits as any other, so that nothing a render does can make a page load again and again.

pub mod cookie;
pub mod token;

use super::Timestamp;
use super::admission::Wanted;
use crate::config::{Config, Route};
use http::header::{ACCEPT, RANGE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use token::Token;

/// Whether a request may be answered by a fallback page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audience {
    /// It waits for the real page.
    #[default]
    Waits,
    /// A visitor looks at a window.
    Visitor,
}

/// What a request does that was shown a fallback page before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Never, as far as anybody knows.
    Never,
    /// Since then, and the render that it was shown for still runs: it may be shown again.
    Since(Timestamp),
    /// The render has ended, or it was shown for long enough.
    Enough,
}

/// Who asks for the page. Only a GET navigation that accepts HTML is a visitor; browsers say what a request is
/// for (`Sec-Fetch-*`), and where they do not, what scripts send with theirs tells them apart.
pub fn audience(config: &Config, route: &Route, wanted: &Wanted, headers: &HeaderMap, shown: Shown) -> Audience {
    let may_see = route.fallback.is_some()
        && !wanted.method_is_head
        && !wanted.is_rsc
        && shown != Shown::Enough
        && accepts_html(headers)
        && is_navigation(headers)
        && !is_program(config, headers);
    if may_see { Audience::Visitor } else { Audience::Waits }
}

/// What the tokens say that a request brought back; `in_the_air` knows the renders that run.
pub fn shown(tokens: &[Token], now: Timestamp, in_the_air: impl Fn(u64) -> bool) -> Shown {
    let Some(since) = tokens.iter().map(|token| token.since).min() else { return Shown::Never };
    let goes_on = |token: &Token| now < token.until() && in_the_air(token.flight);
    if tokens.iter().all(goes_on) { Shown::Since(since) } else { Shown::Enough }
}

/// Whether `Accept` names HTML, and not only in order to refuse it (RFC 9110 §12.5.1).
fn accepts_html(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default();
        let html = essence.eq_ignore_ascii_case("text/html") || essence.eq_ignore_ascii_case("application/xhtml+xml");
        html && !parts.any(is_zero)
    })
}

/// `q=0`, `q=0.000`.
fn is_zero(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("q") && value.trim().parse::<f32>().is_ok_and(|quality| quality <= 0.0)
}

/// Fields that only the requests of scripts and frameworks have.
const OF_SCRIPTS: [&str; 9] = [
    "rsc",
    "x-nextjs-data",
    "x-middleware-prefetch",
    "x-inertia",
    "x-pjax",
    "x-up-version",
    "hx-request",
    "turbo-frame",
    "x-sveltekit-invalidated",
];

fn is_navigation(headers: &HeaderMap) -> bool {
    let says = |name: &'static str, word: &str| {
        headers
            .get(HeaderName::from_static(name))
            .is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(word.as_bytes()))
    };
    // In a frame of another site our cookie would not come back.
    says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
        && !headers.contains_key(RANGE)
        && !OF_SCRIPTS.iter().any(|name| headers.contains_key(*name))
        && !names(headers, "x-requested-with", &[b"xmlhttprequest"])
        && !is_ahead(headers)
}

/// A page that somebody may want to see later: prefetched, prerendered, previewed.
fn is_ahead(headers: &HeaderMap) -> bool {
    const WORDS: [&[u8]; 3] = [b"prefetch", b"prerender", b"preview"];
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].iter().any(|name| names(headers, name, &WORDS))
}

fn names(headers: &HeaderMap, name: &str, words: &[&[u8]]) -> bool {
    headers
        .get_all(name)
        .iter()
        .map(HeaderValue::as_bytes)
        .map(<[u8]>::to_ascii_lowercase)
        .any(|value| words.iter().any(|word| memchr::memmem::find(&value, word).is_some()))
}

fn is_program(config: &Config, headers: &HeaderMap) -> bool {
    headers.get_all(USER_AGENT).iter().any(|agent| config.crawlers.match_agent(agent.as_bytes()))
}

#[cfg(test)]
mod tests;
