//! The pages that would be stored: for each key only when it was rendered. Bounded in number; when it is full,
//! the half that was used the longest ago is forgotten.

use crate::config::{CacheMode, Revalidate, Route, Window};
use std::collections::HashMap;
use std::time::Duration;

/// Pages that are remembered.
pub(super) const MOST: usize = 2_000_000;
/// A lifetime that only a response's headers could tell.
pub(super) const ASSUMED_TTL: Duration = Duration::from_secs(60);

/// What a request would have got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// A fresh page.
    Hit,
    /// A stale page, and a render was started.
    Stale,
    /// The render of a page that was not there.
    Miss,
}

/// Every page there would be.
pub(super) struct Kept {
    /// When a key was rendered and when it was last used, in milliseconds.
    pages: HashMap<u64, Page, foldhash::fast::RandomState>,
    most: usize,
    pub(super) forgotten: u64,
}

#[derive(Clone, Copy)]
struct Page {
    rendered: u64,
    used: u64,
    /// Of a page that is no error, in milliseconds; `u64::MAX`: until it is purged.
    ttl: u64,
}

impl Kept {
    pub(super) fn new(most: usize) -> Self {
        Kept { pages: HashMap::default(), most, forgotten: 0 }
    }

    /// Looks a key up at a time, and stores what would be rendered where that is not an error.
    pub(super) fn ask(&mut self, route: &Route, key: u64, at: u64, status: u16) -> Got {
        let ttl = lifetime(route, status);
        let page = self.pages.get(&key).copied();
        let got = match page {
            None => Got::Miss,
            Some(page) => state(route, page, at),
        };
        let failed = status >= 500 || matches!(status, 400..=499 if !matches!(status, 404 | 410));
        match (got, page) {
            (Got::Hit, Some(page)) => self.insert(key, Page { used: at, ..page }),
            (Got::Stale, Some(page)) if failed => self.insert(key, Page { used: at, ..page }),
            _ if failed => {}
            _ => self.insert(key, Page { rendered: at, used: at, ttl }),
        }
        got
    }

    fn insert(&mut self, key: u64, page: Page) {
        if self.pages.len() >= self.most && !self.pages.contains_key(&key) {
            self.forget_half();
        }
        self.pages.insert(key, page);
    }

    fn forget_half(&mut self) {
        let mut used: Vec<u64> = self.pages.values().map(|page| page.used).collect();
        let middle = used.len() / 2;
        let median = *used.select_nth_unstable(middle).1;
        let before = self.pages.len();
        self.pages.retain(|_, page| page.used > median);
        self.forgotten += (before - self.pages.len()) as u64;
    }
}

fn state(route: &Route, page: Page, at: u64) -> Got {
    let age = at.saturating_sub(page.rendered);
    if age < page.ttl {
        return Got::Hit;
    }
    let stale = age - page.ttl;
    let window = match route.stale.while_revalidate {
        // On `headers` only the response could allow it.
        _ if route.cache == CacheMode::Headers => 0,
        Window::Forever => u64::MAX,
        Window::For(time) => millis(time),
    };
    if stale < window { Got::Stale } else { Got::Miss }
}

/// How long a page of this status is fresh, in milliseconds.
fn lifetime(route: &Route, status: u16) -> u64 {
    if matches!(status, 404 | 410) && route.cache.is_anonymous() {
        return millis(route.not_found_ttl);
    }
    match (route.cache, route.revalidate) {
        (CacheMode::Headers, _) => millis(ASSUMED_TTL),
        (_, Revalidate::Never) => u64::MAX,
        (_, Revalidate::After(ttl)) => millis(ttl),
        (_, Revalidate::FromHeaders { default }) => millis(default),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing;

    #[test]
    fn a_page_is_fresh_then_stale_and_errors_replace_nothing() {
        let mut route = testing::route("/");
        route.revalidate = Revalidate::After(Duration::from_secs(10));
        let mut kept = Kept::new(10);
        let mut ask = |route: &Route, second: u64, status| kept.ask(route, 1, second * 1_000, status);
        assert_eq!(ask(&route, 0, 500), Got::Miss);
        assert_eq!(ask(&route, 1, 200), Got::Miss);
        assert_eq!(ask(&route, 10, 200), Got::Hit);
        assert_eq!(ask(&route, 11, 503), Got::Stale);
        assert_eq!(ask(&route, 12, 200), Got::Stale);
        assert_eq!(ask(&route, 13, 200), Got::Hit);
        route.stale.while_revalidate = Window::For(Duration::from_secs(5));
        assert_eq!(ask(&route, 26, 200), Got::Stale);
        assert_eq!(ask(&route, 41, 404), Got::Miss);
        assert_eq!(ask(&route, 50, 404), Got::Hit);
    }

    #[test]
    fn pages_are_bounded_and_the_longest_unused_are_forgotten() {
        let route = testing::route("/");
        let mut kept = Kept::new(100);
        for key in 0..1_000 {
            kept.ask(&route, 7_777, key, 200);
            kept.ask(&route, key, key, 200);
        }
        assert!(kept.pages.len() <= 100 && kept.forgotten >= 900);
        assert_eq!(kept.ask(&route, 7_777, 1_000, 200), Got::Hit);
        assert_eq!(kept.ask(&route, 1, 1_000, 200), Got::Miss);
    }
}
