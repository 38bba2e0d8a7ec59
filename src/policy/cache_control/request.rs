//! The directives of requests (RFC 9111 §5.2.1) and `Pragma` (§5.4). Whether they count is the route's to say.

use super::delta_seconds;
use super::directive::{Argument, Directive, NameBuffer, directives};
use crate::config::Window;
use crate::policy::request_fields::RequestFields;
use http::header;
use std::time::Duration;

/// What a request's directives say. Reading them allocates nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// `no-cache`, or `Pragma: no-cache` where there is no `Cache-Control`.
    pub no_cache: bool,
    /// `no-store`
    pub no_store: bool,
    /// `only-if-cached`
    pub only_if_cached: bool,
    /// `max-age`: no older than this; absent where it is not a number.
    pub max_age: Option<Duration>,
    /// `min-fresh`: fresh for at least this long.
    pub min_fresh: Option<Duration>,
    /// `max-stale`: stale for at most this long; endless without a number.
    pub max_stale: Option<Window>,
}

impl RequestDirectives {
    /// Reads a request's `Cache-Control`, or its `Pragma` where it has none.
    pub fn parse<'a>(request: impl Into<RequestFields<'a>>) -> Self {
        let request = request.into();
        let mut all = Self::default();
        if !request.has(&header::CACHE_CONTROL) {
            let mut values = request.all(&header::PRAGMA);
            all.no_cache = values.any(|value| directives(value).any(|d| is_no_cache(&d)));
            return all;
        }
        for value in request.all(&header::CACHE_CONTROL) {
            directives(value).for_each(|directive| all.add(&directive));
        }
        all
    }

    fn add(&mut self, directive: &Directive<'_>) {
        let argument = &directive.argument;
        match directive.name(&mut NameBuffer::new()) {
            b"no-cache" => self.no_cache = true,
            b"no-store" => self.no_store = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => self.max_age = self.max_age.or(seconds(argument)),
            b"min-fresh" => self.min_fresh = self.min_fresh.or(seconds(argument)),
            b"max-stale" => self.max_stale = self.max_stale.or(max_stale(argument)),
            _ => {}
        }
    }
}

fn is_no_cache(directive: &Directive<'_>) -> bool {
    directive.name(&mut NameBuffer::new()) == b"no-cache"
}

fn max_stale(argument: &Argument<'_>) -> Option<Window> {
    match argument {
        Argument::None => Some(Window::Forever),
        _ => seconds(argument).map(Window::For),
    }
}

fn seconds(argument: &Argument<'_>) -> Option<Duration> {
    argument.value().and_then(delta_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample::request;
    use proptest::prelude::*;

    #[test]
    fn every_directive_of_a_request_is_read() {
        // RFC 9111 §5.2.1.
        let read = RequestDirectives::parse(&request(&[
            ("cache-control", "No-Cache, no-store, max-age=1"),
            ("cache-control", "min-fresh=\"2\", max-stale=3, only-if-cached, max-age=9, other"),
        ]));
        let expected = RequestDirectives {
            no_cache: true,
            no_store: true,
            only_if_cached: true,
            max_age: Some(Duration::from_secs(1)),
            min_fresh: Some(Duration::from_secs(2)),
            max_stale: Some(Window::For(Duration::from_secs(3))),
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn max_stale_without_a_number_is_endless_and_broken_numbers_do_not_count() {
        let read = |value| RequestDirectives::parse(&request(&[("cache-control", value)]));
        assert_eq!(read("max-stale").max_stale, Some(Window::Forever));
        assert_eq!(read("max-stale=x, max-age=-1, min-fresh= 3"), RequestDirectives::default());
    }

    #[test]
    fn pragma_counts_only_without_cache_control() {
        // RFC 9111 §5.4.
        assert!(RequestDirectives::parse(&request(&[("pragma", "foo, No-Cache")])).no_cache);
        assert!(!RequestDirectives::parse(&request(&[("pragma", "foo")])).no_cache);
        let both = request(&[("pragma", "no-cache"), ("cache-control", "max-stale")]);
        assert!(!RequestDirectives::parse(&both).no_cache);
    }

    proptest! {
        #[test]
        fn any_value_is_read_without_a_panic(value in "[ -~]{0,80}") {
            let _ = RequestDirectives::parse(&request(&[("cache-control", &value), ("pragma", &value)]));
        }
    }
}
