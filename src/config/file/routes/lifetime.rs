//! How long pages of a route are fresh and may be used when stale (DESIGN §3, "Who says how long").

use crate::config::file::cursor::{At, DAY, Keys, MILLISECOND, Shape, YEARS, duration};
use crate::config::file::mistake::Wrong;
use crate::config::file::schema;
use crate::config::{CacheMode, Respect, Revalidate, StaleWindows, Window};
use std::time::Duration;

/// Where the response names no lifetime.
const DEFAULT_TTL: Duration = Duration::from_secs(60);
const NOT_FOUND_TTL: Duration = Duration::from_secs(10);
const UNCACHEABLE_TTL: Duration = Duration::from_secs(10);

/// Everything of a route that is a time.
pub(super) struct Lifetime {
    pub(super) revalidate: Revalidate,
    pub(super) respect: Respect,
    pub(super) stale: StaleWindows,
    pub(super) not_found_ttl: Duration,
    pub(super) uncacheable_ttl: Duration,
    pub(super) heuristic_max: Duration,
}

/// Reads the times of a route.
pub(super) fn lifetime(keys: &Keys<'_>, mode: CacheMode) -> Lifetime {
    let revalidate = revalidate(&keys.key("revalidate"), mode);
    Lifetime {
        revalidate: revalidate.unwrap_or(Revalidate::Never),
        respect: respect(&keys.key("respect"), revalidate),
        stale: stale(&keys.key("stale"), mode),
        not_found_ttl: keys.key("not_found_ttl").duration(NOT_FOUND_TTL, Duration::ZERO..=YEARS),
        uncacheable_ttl: keys.key("uncacheable_ttl").duration(UNCACHEABLE_TTL, Duration::ZERO..=DAY),
        heuristic_max: keys.key("heuristic_max").duration(DAY, Duration::ZERO..=YEARS),
    }
}

/// `None` where there is a mistake.
fn revalidate(at: &At<'_>, mode: CacheMode) -> Option<Revalidate> {
    let read = match at.shape() {
        Shape::Absent if mode == CacheMode::Static => Some(Revalidate::Never),
        Shape::Absent => Some(Revalidate::FromHeaders { default: DEFAULT_TTL }),
        Shape::Map => from_headers(at),
        Shape::Scalar | Shape::List => at.read(after),
    };
    if mode == CacheMode::Static && read.is_some_and(|read| read != Revalidate::Never) {
        at.wrong("has no effect with cache: static: its pages are kept until purged", "take it out, or use cache: isr");
        return None;
    }
    read
}

fn after(text: &str) -> Result<Revalidate, Wrong> {
    match text {
        "never" => Ok(Revalidate::Never),
        "headers" => Err(Wrong::new("needs a default", "write { from: headers, default: 60s }")),
        "0" | "0s" => Err(Wrong::new("keeps nothing", "use cache: off, or write at least 1ms")),
        _ => duration(text, MILLISECOND..=YEARS).map(Revalidate::After).map_err(|wrong| wrong.or("never")),
    }
}

fn from_headers(at: &At<'_>) -> Option<Revalidate> {
    let keys = at.section(&schema::REVALIDATE);
    let from = keys.key("from");
    if !from.is_set() {
        at.wrong("does not say where lifetimes come from", "write { from: headers, default: 60s }");
    }
    from.choice(&[("headers", ())]);
    Some(Revalidate::FromHeaders { default: keys.key("default").duration(DEFAULT_TTL, MILLISECOND..=YEARS) })
}

fn respect(at: &At<'_>, revalidate: Option<Revalidate>) -> Respect {
    let directive = |text: &str| match text {
        "private" | "no-store" => Ok(text.to_owned()),
        _ => Err(Wrong::new("cannot be respected", "write private, no-store or both")),
    };
    let named = at.set(directive);
    if matches!(revalidate, Some(Revalidate::FromHeaders { .. })) && !named.is_empty() {
        at.wrong(
            "has no effect with lifetimes from headers: private and no-store always count there",
            "take it out, or write revalidate: 60s",
        );
    }
    let has = |name: &str| named.iter().any(|directive| directive == name);
    Respect { private: has("private"), no_store: has("no-store") }
}

/// On `headers` a response has to name its window; without one it is used while the origin is
/// unreachable (RFC 9111 §4.2.4).
fn stale(at: &At<'_>, mode: CacheMode) -> StaleWindows {
    let default = match mode {
        CacheMode::Headers => Window::For(Duration::ZERO),
        CacheMode::Off | CacheMode::Static | CacheMode::Isr => Window::Forever,
    };
    let both = |window| StaleWindows { while_revalidate: window, if_error: window };
    match at.shape() {
        Shape::Absent => StaleWindows { while_revalidate: default, if_error: Window::Forever },
        Shape::Scalar | Shape::List => both(at.read(window).unwrap_or(Window::Forever)),
        Shape::Map => {
            let keys = at.section(&schema::STALE);
            let one = |key| keys.key(key).read(window).unwrap_or(Window::Forever);
            StaleWindows { while_revalidate: one("while_revalidate"), if_error: one("if_error") }
        }
    }
}

fn window(text: &str) -> Result<Window, Wrong> {
    match text {
        "forever" => Ok(Window::Forever),
        _ => duration(text, Duration::ZERO..=YEARS).map(Window::For).map_err(|wrong| wrong.or("forever")),
    }
}
