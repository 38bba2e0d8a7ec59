//! DESIGN §3 "Who says how long" and §2.5 on `isr` and `static`, a test per sentence.

use super::*;
use crate::config::{Respect, StaleWindows};
use crate::policy::fields::Fields;
use crate::policy::freshness::ttl;
use crate::policy::page::Lifetime;
use crate::policy::sample::{NOW, at, date, fields, isr_after, route};
use crate::policy::storability::{judge, overrules};
use crate::policy::time::Timestamp;

/// What Next.js sends on every dynamic page.
const PNC: &str = "private, no-cache, no-store, max-age=0, must-revalidate";

fn answer(status: u16, sent: &Fields) -> Answer<'_> {
    let status = StatusCode::from_u16(status).expect("a status");
    Answer { status, fields: sent, requested_at: at(-30), received_at: NOW }
}

fn on(route: &Route, status: u16, pairs: &[(&str, &str)]) -> Storability {
    let sent = fields(pairs);
    judge(route, false, &answer(status, &sent), 0.0)
}

fn lifetime(storability: Storability) -> Lifetime {
    match storability {
        Storability::Store(lifetime) => lifetime,
        Storability::Uncacheable(reason) => panic!("uncacheable: {}", reason.as_str()),
    }
}

fn fresh_for(storability: Storability) -> i64 {
    ttl(&lifetime(storability), NOW)
}

const fn no(reason: Reason) -> Storability {
    Storability::Uncacheable(reason)
}

fn from_headers() -> Route {
    route(CacheMode::Isr)
}

#[test]
fn config_decides_whatever_cache_control_says() {
    for said in [PNC, "max-age=0, private, must-revalidate", "s-maxage=31536000", "no-cache"] {
        let kept = lifetime(on(&isr_after(60), 200, &[("cache-control", said), ("expires", "0")]));
        assert_eq!((kept.fresh_until, kept.while_revalidate_until), (at(60), Timestamp::FOREVER), "{said}");
        assert!(kept.has_ttl);
    }
}

#[test]
fn a_static_page_is_kept_until_it_is_purged() {
    let kept = lifetime(on(&route(CacheMode::Static), 200, &[("cache-control", PNC)]));
    assert_eq!((kept.fresh_until, kept.has_ttl), (Timestamp::FOREVER, false));
}

#[test]
fn a_page_is_as_fresh_from_its_arrival_as_config_says_however_slow_its_render_was() {
    assert_eq!(fresh_for(on(&isr_after(1), 200, &[("date", &date(-30))])), 1);
    let kept = lifetime(on(&isr_after(60), 200, &[("age", "20")]));
    assert_eq!((kept.born, kept.fresh_until), (at(-20), at(60)));
}

#[test]
fn respect_makes_private_and_no_store_count() {
    let respects = Route { respect: Respect { private: true, no_store: false }, ..isr_after(60) };
    assert_eq!(on(&respects, 200, &[("cache-control", PNC)]), no(Reason::Private));
    assert_eq!(fresh_for(on(&respects, 200, &[("cache-control", "no-store")])), 60);
    let respects = Route { respect: Respect { private: false, no_store: true }, ..isr_after(60) };
    assert_eq!(on(&respects, 200, &[("cache-control", PNC)]), no(Reason::NoStore));
    assert_eq!(fresh_for(on(&respects, 200, &[("cache-control", "private")])), 60);
}

#[test]
fn the_operator_is_told_where_config_overrules() {
    let pnc = fields(&[("cache-control", PNC)]);
    assert!(overrules(&isr_after(60), &pnc));
    assert!(!overrules(&isr_after(60), &fields(&[("cache-control", "no-cache")])));
    assert!(!overrules(&from_headers(), &pnc));
    assert!(!overrules(&route(CacheMode::Headers), &pnc));
    let respects = Route { respect: Respect { private: true, no_store: true }, ..isr_after(60) };
    assert!(!overrules(&respects, &pnc));
}

#[test]
fn what_is_addressed_to_us_a_star_and_a_cookie_are_uncacheable_under_both() {
    for route in [isr_after(60), from_headers(), route(CacheMode::Static)] {
        assert_eq!(on(&route, 200, &[("cdn-cache-control", "no-store")]), no(Reason::CdnNoStore));
        assert_eq!(on(&route, 200, &[("cdn-cache-control", "private")]), no(Reason::CdnPrivate));
        assert_eq!(on(&route, 200, &[("vary", "Accept, *")]), no(Reason::VaryStar));
        assert_eq!(on(&route, 200, &[("set-cookie", "a=b"), ("cache-control", "public")]), no(Reason::SetCookie));
        let strips = Route { set_cookie: SetCookie::Strip, ..route };
        assert!(matches!(on(&strips, 200, &[("set-cookie", "a=b")]), Storability::Store(_)));
    }
}

#[test]
fn from_headers_the_response_decides() {
    let on = |pairs: &[(&str, &str)]| on(&from_headers(), 200, pairs);
    assert_eq!(on(&[("cache-control", PNC)]), no(Reason::NoStore));
    assert_eq!(on(&[("cache-control", "max-age=0, private, must-revalidate")]), no(Reason::Private));
    assert_eq!(fresh_for(on(&[("cache-control", "max-age=5, s-maxage=10"), ("expires", &date(99))])), 10);
    assert_eq!(fresh_for(on(&[("cache-control", "max-age=5"), ("cdn-cache-control", "max-age=20")])), 20);
    assert_eq!(fresh_for(on(&[("expires", &date(99)), ("date", &date(0))])), 99);
    assert_eq!(fresh_for(on(&[("cache-control", "s-maxage=10"), ("age", "4")])), 6);
}

#[test]
fn from_headers_the_default_applies_where_nothing_is_said_about_lifetime() {
    assert_eq!(fresh_for(on(&from_headers(), 200, &[])), 60);
    assert_eq!(fresh_for(on(&from_headers(), 200, &[("cache-control", "public")])), 60);
    let strict = lifetime(on(&from_headers(), 200, &[("cache-control", "must-revalidate")]));
    assert_eq!((strict.fresh_until, strict.if_error_until), (at(60), at(60)));
}

#[test]
fn from_headers_no_cache_and_must_revalidate_mean_never_stale() {
    let strict = lifetime(on(&from_headers(), 200, &[("cache-control", "no-cache, stale-while-revalidate=60")]));
    assert_eq!((strict.fresh_until, strict.while_revalidate_until, strict.if_error_until), (NOW, NOW, NOW));
    let strict = lifetime(on(&from_headers(), 200, &[("cache-control", "max-age=5, must-revalidate")]));
    assert_eq!((strict.fresh_until, strict.while_revalidate_until, strict.if_error_until), (at(5), at(5), at(5)));
}

#[test]
fn from_headers_named_windows_count_and_else_the_routes() {
    let stale = StaleWindows { while_revalidate: Window::For(Duration::from_secs(7)), if_error: Window::Forever };
    let route = Route { stale, ..from_headers() };
    let named = lifetime(on(&route, 200, &[("cache-control", "s-maxage=5, stale-while-revalidate")]));
    assert_eq!((named.while_revalidate_until, named.if_error_until), (Timestamp::FOREVER, Timestamp::FOREVER));
    let named = lifetime(on(&route, 200, &[("cache-control", "s-maxage=5, stale-if-error=9")]));
    assert_eq!((named.while_revalidate_until, named.if_error_until), (at(12), at(14)));
}

#[test]
fn answers_that_say_there_is_nothing_live_for_their_own_time() {
    for status in [404, 410] {
        assert_eq!(fresh_for(on(&isr_after(60), status, &[("cache-control", "s-maxage=99")])), 10);
        assert_eq!(fresh_for(on(&from_headers(), status, &[])), 10);
        assert_eq!(fresh_for(on(&from_headers(), status, &[("cache-control", "s-maxage=99")])), 99);
        let kept = lifetime(on(&route(CacheMode::Static), status, &[]));
        assert_eq!((kept.fresh_until, kept.has_ttl), (at(10), true));
    }
}

#[test]
fn redirects_live_as_long_as_pages_and_other_statuses_are_no_renders() {
    for status in [200, 203, 301, 302, 303, 307, 308] {
        assert_eq!(fresh_for(on(&isr_after(60), status, &[])), 60, "{status}");
    }
    for status in [201, 204, 300, 304, 400, 401, 403, 429, 500, 503] {
        assert_eq!(on(&isr_after(60), status, &[("cache-control", "max-age=60")]), no(Reason::Status), "{status}");
    }
    assert_eq!(on(&isr_after(60), 206, &[]), no(Reason::Partial));
}

#[test]
fn an_answer_to_credentials_is_never_a_render() {
    let sent = fields(&[("cache-control", "public, s-maxage=60")]);
    assert_eq!(judge(&isr_after(60), true, &answer(200, &sent), 0.0), no(Reason::Authorization));
}

#[test]
fn an_answer_that_says_it_is_stale_is_stored_as_stale() {
    // FRAMEWORKS 4.
    let next = [("x-nextjs-cache", "STALE"), ("cache-control", "s-maxage=10, stale-while-revalidate=31535990")];
    let aged = [("age", "15"), ("cache-control", "s-maxage=10")];
    let cached = [("cache-status", "edge; fwd=uri-miss, origin; hit; ttl=-3"), ("cache-control", "s-maxage=10")];
    for sent in [&next[..], &aged[..], &cached[..]] {
        for route in [from_headers(), isr_after(60), route(CacheMode::Static)] {
            let kept = lifetime(on(&route, 200, sent));
            assert_eq!(kept.fresh_until, NOW, "{sent:?}");
            assert!(kept.while_revalidate_until > NOW && kept.has_ttl, "{sent:?}");
        }
    }
}

#[test]
fn a_fresh_hit_of_the_origins_cache_is_not_stale() {
    for sent in [
        [("x-nextjs-cache", "HIT"), ("age", "3")],
        [("cache-status", "origin; hit; ttl=3"), ("age", "3")],
        [("cache-status", "origin; fwd=stale; ttl=-3"), ("age", "3")],
        [("cache-status", "&&&"), ("age", "3")],
        [("cache-control", "max-age=0"), ("age", "3")],
    ] {
        assert_eq!(fresh_for(on(&isr_after(60), 200, &sent)), 60, "{sent:?}");
    }
}

#[test]
fn expiries_are_shortened_by_up_to_a_tenth_on_isr_only() {
    let sent = Fields::new();
    let shortened = |route: &Route, spread| lifetime(judge(route, false, &answer(200, &sent), spread)).fresh_until;
    assert_eq!(shortened(&isr_after(100), 0.5), at(95));
    assert_eq!(shortened(&isr_after(100), 9.0), at(90));
    assert_eq!(shortened(&isr_after(100), f64::NAN), at(100));
    assert_eq!(shortened(&from_headers(), 1.0), at(54));
    let after = Revalidate::After(Duration::from_secs(100));
    assert_eq!(shortened(&Route { revalidate: after, ..route(CacheMode::Static) }, 1.0), at(100));
    assert!(shortened(&isr_after(u64::MAX), 1.0) > at(1 << 40));
}
