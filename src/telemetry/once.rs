//! Notices that are worth one line a route, however many requests cause them. It decides only
//! whether a notice is the first; who has it writes the sentence.

use crate::config::RouteId;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What an operator is told once for each route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// HTML of a `cache: headers` route could not be stored.
    NotStored,
    /// HTML of a `cache: headers` route was a bypass because of a cookie.
    CookieBypass,
    /// A page was stored whose own headers say otherwise: config decides (`respect:`).
    ConfigDecides,
    /// An answer was not stored because of `private` or `no-store` (`revalidate:`).
    Private,
    /// An answer was not stored because it sets a cookie (`set_cookie: strip`).
    SetCookie,
    /// A page's `Vary` names a field that the route does not key on (`vary:`).
    Vary,
    /// Tags of a page were dropped: a purge of one of them misses it.
    Tags,
    /// A page of the origin's own lifetime will outlive a deploy (`breadbox deploy`).
    LongLived,
}

/// Remembers which notices were given: a word a route.
#[derive(Debug)]
pub struct Once(Vec<AtomicU32>);

impl Once {
    /// Nothing was given yet on any of `routes` routes.
    pub fn new(routes: usize) -> Self {
        Once((0..routes).map(|_| AtomicU32::new(0)).collect())
    }

    /// Whether it was given on this route.
    pub fn given(&self, route: RouteId, notice: Notice) -> bool {
        self.0.get(route.0).is_some_and(|given| given.load(Relaxed) & (1 << notice as u32) != 0)
    }

    /// Whether this is the first time; true exactly once for each route and notice. A route that it
    /// was not made for has no first time.
    pub fn first(&self, route: RouteId, notice: Notice) -> bool {
        let bit = 1 << notice as u32;
        let Some(given) = self.0.get(route.0) else { return false };
        // Mostly it was given long ago: then the word is only read.
        given.load(Relaxed) & bit == 0 && given.fetch_or(bit, Relaxed) & bit == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Every route and notice has its own first time, and many threads have one between them.
    #[test]
    fn a_notice_is_first_once_for_each_route() {
        let once = Once::new(2);
        let firsts = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| firsts.fetch_add(usize::from(once.first(RouteId(0), Notice::Vary)), Relaxed));
            }
        });
        assert_eq!(firsts.into_inner(), 1);
        assert!(once.given(RouteId(0), Notice::Vary) && !once.given(RouteId(0), Notice::Private));
        assert!(once.first(RouteId(0), Notice::Private));
        assert!(once.first(RouteId(1), Notice::Vary));
        assert!(!once.first(RouteId(1), Notice::Vary));
        assert!(!once.first(RouteId(2), Notice::Vary));
    }
}
