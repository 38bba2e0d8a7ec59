//! What a client's own directives ask of a stored page (RFC 9111 §5.2.1). Asked only where the route
//! honours them.

use crate::config::Window;
use crate::policy::cache_control::RequestDirectives;
use crate::policy::page::Lifetime;
use crate::policy::time::Timestamp;
use std::time::Duration;

/// What is to be done for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// The request asks for nothing beyond the usual: the page's own lifetime decides.
    Page,
    /// The page is stale and may be served as it is: the client accepts it and nothing forbids it.
    Stale,
    /// The origin is to be asked; what is stored may be validated and the answer stored.
    Validate,
    /// The request goes to the origin, and nothing of it or its answer is stored (`no-store`).
    Forward,
    /// 504: the client wants what is stored, and there is nothing that it may have (`only-if-cached`).
    Unavailable,
}

/// What a request's directives ask of the page that is stored for it, or of there being none.
pub fn satisfies(request: &RequestDirectives, stored: Option<&Lifetime>, now: Timestamp) -> Demand {
    if request.no_store && !request.only_if_cached {
        return Demand::Forward;
    }
    let demand = match stored {
        Some(lifetime) => of_page(request, lifetime, now),
        None if request.only_if_cached => Demand::Validate,
        None => Demand::Page,
    };
    match demand {
        Demand::Validate if request.only_if_cached => Demand::Unavailable,
        demand => demand,
    }
}

fn of_page(request: &RequestDirectives, lifetime: &Lifetime, now: Timestamp) -> Demand {
    let age = now.since(lifetime.born);
    // `max-age=0` is how browsers reload: it asks for the origin however young the page is.
    if request.no_cache || request.max_age.is_some_and(|limit| age > limit || limit.is_zero()) {
        return Demand::Validate;
    }
    if now < lifetime.fresh_until {
        let left = lifetime.fresh_until.since(now);
        let too_little = request.min_fresh.is_some_and(|wanted| left < wanted);
        return if too_little { Demand::Validate } else { Demand::Page };
    }
    of_stale_page(request, lifetime, now)
}

fn of_stale_page(request: &RequestDirectives, lifetime: &Lifetime, now: Timestamp) -> Demand {
    if let Some(accepted) = request.max_stale {
        let stale_for = now.since(lifetime.fresh_until);
        let enough = may_be_stale(lifetime) && within(stale_for, accepted);
        return if enough { Demand::Stale } else { Demand::Validate };
    }
    // RFC 9111 §5.2.1.1: who names an age does not want a stale response.
    if request.max_age.is_some() || request.min_fresh.is_some() {
        return Demand::Validate;
    }
    let served_anyway = now < lifetime.while_revalidate_until;
    if request.only_if_cached && !served_anyway { Demand::Validate } else { Demand::Page }
}

/// A response that forbids stale use has no windows (RFC 9111 §4.2.4).
fn may_be_stale(lifetime: &Lifetime) -> bool {
    lifetime.if_error_until > lifetime.fresh_until || lifetime.while_revalidate_until > lifetime.fresh_until
}

fn within(time: Duration, window: Window) -> bool {
    match window {
        Window::Forever => true,
        Window::For(limit) => time <= limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample::{NOW, at, request};

    /// Born at [`NOW`], fresh for 100 s, served while revalidating for 10 s more, if_error for ever.
    const LIFETIME: Lifetime = Lifetime {
        born: NOW,
        fresh_until: Timestamp::from_millis(NOW.millis() + 100_000),
        while_revalidate_until: Timestamp::from_millis(NOW.millis() + 110_000),
        if_error_until: Timestamp::FOREVER,
        has_ttl: true,
    };

    fn demand(directives: &str, second: i64) -> Demand {
        let request = RequestDirectives::parse(&request(&[("cache-control", directives)]));
        satisfies(&request, Some(&LIFETIME), at(second))
    }

    #[test]
    fn without_directives_the_page_decides() {
        for second in [0, 99, 105, 200] {
            assert_eq!(demand("nothing-to-see-here", second), Demand::Page, "{second}");
        }
        assert_eq!(satisfies(&RequestDirectives::default(), None, NOW), Demand::Page);
    }

    #[test]
    fn no_cache_asks_the_origin_and_no_store_keeps_nothing() {
        // RFC 9111 §5.2.1.4, §5.2.1.5.
        assert_eq!(demand("no-cache", 1), Demand::Validate);
        assert_eq!(demand("no-store", 1), Demand::Forward);
    }

    #[test]
    fn max_age_refuses_older_pages_and_zero_refuses_all() {
        // RFC 9111 §5.2.1.1.
        assert_eq!(demand("max-age=0", 0), Demand::Validate);
        assert_eq!(demand("max-age=3", 3), Demand::Page);
        assert_eq!(demand("max-age=3", 4), Demand::Validate);
        assert_eq!(demand("max-age=600", 105), Demand::Validate);
    }

    #[test]
    fn min_fresh_refuses_pages_that_go_stale_too_soon() {
        // RFC 9111 §5.2.1.3.
        assert_eq!(demand("min-fresh=50", 50), Demand::Page);
        assert_eq!(demand("min-fresh=50", 51), Demand::Validate);
        assert_eq!(demand("min-fresh=1", 105), Demand::Validate);
    }

    #[test]
    fn max_stale_accepts_a_stale_page_within_its_limit() {
        // RFC 9111 §5.2.1.2.
        assert_eq!(demand("max-stale=100", 200), Demand::Stale);
        assert_eq!(demand("max-stale", 1_000_000), Demand::Stale);
        assert_eq!(demand("max-stale=100", 201), Demand::Validate);
        assert_eq!(demand("max-stale=100", 50), Demand::Page);
    }

    #[test]
    fn max_stale_does_not_lift_what_the_response_forbids() {
        // RFC 9111 §4.2.4.
        let until = LIFETIME.fresh_until;
        let strict = Lifetime { while_revalidate_until: until, if_error_until: until, ..LIFETIME };
        let request = RequestDirectives { max_stale: Some(Window::Forever), ..Default::default() };
        assert_eq!(satisfies(&request, Some(&strict), at(101)), Demand::Validate);
    }

    #[test]
    fn only_if_cached_never_reaches_the_origin() {
        // RFC 9111 §5.2.1.7.
        assert_eq!(demand("only-if-cached", 50), Demand::Page);
        assert_eq!(demand("only-if-cached, no-store", 50), Demand::Page);
        assert_eq!(demand("only-if-cached", 105), Demand::Page);
        assert_eq!(demand("only-if-cached", 120), Demand::Unavailable);
        assert_eq!(demand("only-if-cached, max-stale=60", 120), Demand::Stale);
        assert_eq!(demand("only-if-cached, no-cache", 50), Demand::Unavailable);
        let request = RequestDirectives { only_if_cached: true, ..Default::default() };
        assert_eq!(satisfies(&request, None, NOW), Demand::Unavailable);
    }
}
