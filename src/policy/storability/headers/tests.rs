//! RFC 9111 §3 and §4.2 on `cache: headers`, a test per clause.

use super::*;
use crate::config::CacheMode;
use crate::policy::fields::Fields;
use crate::policy::freshness::{State, state, ttl};
use crate::policy::page::Lifetime;
use crate::policy::sample::{NOW, at, date, fields, route};
use crate::policy::storability::judge;
use crate::policy::time::Timestamp;

fn judged(status: u16, authorized: bool, sent: &Fields) -> Storability {
    let status = StatusCode::from_u16(status).expect("a status");
    let answer = Answer { status, fields: sent, requested_at: NOW, received_at: NOW };
    judge(&route(CacheMode::Headers), authorized, &answer, 1.0)
}

fn ok(pairs: &[(&str, &str)]) -> Storability {
    judged(200, false, &fields(pairs))
}

fn cc(value: &str) -> Storability {
    ok(&[("cache-control", value)])
}

fn lifetime(storability: Storability) -> Lifetime {
    match storability {
        Storability::Store(lifetime) => lifetime,
        Storability::Uncacheable(reason) => panic!("uncacheable: {}", reason.as_str()),
    }
}

const fn no(reason: Reason) -> Storability {
    Storability::Uncacheable(reason)
}

/// Whole seconds of freshness, of use while revalidating, of use on errors.
fn seconds(storability: Storability) -> (i64, Option<u64>, Option<u64>) {
    let lifetime = lifetime(storability);
    let window = |end: Timestamp| (end != Timestamp::FOREVER).then(|| end.since(lifetime.fresh_until).as_secs());
    (ttl(&lifetime, NOW), window(lifetime.while_revalidate_until), window(lifetime.if_error_until))
}

#[test]
fn no_store_and_private_keep_an_answer_out() {
    // RFC 9111 §5.2.2.5, §5.2.2.7.
    let later = date(10_000);
    assert_eq!(ok(&[("cache-control", "max-age=60, No-StOrE"), ("expires", &later)]), no(Reason::NoStore));
    assert_eq!(cc("private, max-age=60"), no(Reason::Private));
    assert_eq!(ok(&[("cache-control", "max-age=60"), ("cache-control", "private")]), no(Reason::Private));
    assert_eq!(seconds(cc("private=\"x-user\", max-age=60")).0, 60);
}

#[test]
fn must_understand_lifts_no_store_for_known_statuses_only() {
    // RFC 9111 §5.2.2.3.
    let sent = fields(&[("cache-control", "max-age=60, no-store, must-understand")]);
    assert_eq!(seconds(judged(200, false, &sent)).0, 60);
    assert_eq!(judged(599, false, &sent), no(Reason::NotUnderstood));
    let alone = fields(&[("cache-control", "max-age=60, must-understand")]);
    assert_eq!(judged(299, false, &alone), no(Reason::NotUnderstood));
}

#[test]
fn an_answer_to_credentials_is_shared_only_where_it_says_so() {
    // RFC 9111 §3.5.
    let with = |value| judged(200, true, &fields(&[("cache-control", value)]));
    for shared in ["max-age=60, public", "max-age=60, must-revalidate", "s-maxage=60"] {
        assert_eq!(seconds(with(shared)).0, 60, "{shared}");
    }
    assert_eq!(with("max-age=60"), no(Reason::Authorization));
    assert_eq!(with("max-age=60, proxy-revalidate"), no(Reason::Authorization));
}

#[test]
fn a_vary_that_selects_nothing_keeps_an_answer_out() {
    // RFC 9111 §4.1.
    for star in ["*", "Foo, *", "foo bar"] {
        assert_eq!(ok(&[("cache-control", "max-age=60"), ("vary", star)]), no(Reason::VaryStar), "{star}");
    }
}

#[test]
fn an_answer_with_a_cookie_is_stored_only_where_it_is_said_to_be_shared() {
    let with = |value| ok(&[("cache-control", value), ("set-cookie", "a=b")]);
    assert_eq!(with("max-age=60"), no(Reason::SetCookie));
    for shared in [
        "max-age=60, public",
        "s-maxage=60",
        "max-age=60, no-cache=\"set-cookie\"",
        "max-age=60, private=\"Set-Cookie\"",
    ] {
        assert_eq!(seconds(with(shared)).0, 60, "{shared}");
    }
    let strips = Route { set_cookie: SetCookie::Strip, ..route(CacheMode::Headers) };
    let sent = fields(&[("cache-control", "max-age=60"), ("set-cookie", "a=b")]);
    let answer = Answer { status: StatusCode::OK, fields: &sent, requested_at: NOW, received_at: NOW };
    assert_eq!(seconds(judge(&strips, false, &answer, 0.0)).0, 60);
}

#[test]
fn every_final_status_is_stored_with_explicit_freshness() {
    // RFC 9111 §3.
    let sent = fields(&[("cache-control", "max-age=60")]);
    for status in [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599] {
        assert_eq!(seconds(judged(status, false, &sent)).0, 60, "{status}");
    }
    assert_eq!(judged(206, false, &sent), no(Reason::Partial));
    assert_eq!(judged(304, false, &sent), no(Reason::Status));
    assert_eq!(judged(103, false, &sent), no(Reason::Status));
}

#[test]
fn heuristic_freshness_is_for_cacheable_statuses_and_for_public() {
    // RFC 9111 §4.2.2; RFC 9110 §15.1.
    let (modified, today) = (date(-86_400), date(0));
    let sent = fields(&[("last-modified", &modified), ("date", &today)]);
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert_eq!(seconds(judged(status, false, &sent)).0, 8640, "{status}");
    }
    for status in [201, 202, 302, 307, 403, 502, 503, 504, 599] {
        assert_eq!(judged(status, false, &sent), no(Reason::NoFreshness), "{status}");
    }
    let public = fields(&[("last-modified", modified.as_str()), ("date", &today), ("cache-control", "public")]);
    assert_eq!(seconds(judged(599, false, &public)).0, 8640);
}

#[test]
fn without_freshness_nothing_is_stored() {
    // FRAMEWORKS 11: a validator alone is not freshness.
    assert_eq!(ok(&[]), no(Reason::NoFreshness));
    assert_eq!(ok(&[("etag", "W/\"1\"")]), no(Reason::NoFreshness));
    assert_eq!(ok(&[("last-modified", &date(0)), ("date", &date(0))]), no(Reason::NoFreshness));
    assert_eq!(cc("public"), no(Reason::NoFreshness));
}

#[test]
fn no_cache_is_stored_to_be_validated_every_time() {
    // RFC 9111 §5.2.2.4.
    let tagged = [("cache-control", "max-age=10000, No-CaChE"), ("expires", &date(10_000)), ("etag", "\"a\"")];
    let kept = lifetime(ok(&tagged));
    assert_eq!(state(&kept, NOW), State::Void);
    assert_eq!(kept.fresh_until, kept.born);
    assert_eq!(cc("no-cache"), no(Reason::NoFreshness));
    assert_eq!(seconds(cc("no-cache=\"a\", max-age=60")).0, 60);
}

#[test]
fn an_answer_that_is_never_fresh_is_kept_only_where_it_is_of_use() {
    assert_eq!(cc("max-age=0"), no(Reason::NoFreshness));
    assert_eq!(cc("max-age=0, must-revalidate, stale-if-error=60"), no(Reason::NoFreshness));
    assert_eq!(ok(&[("cache-control", "max-age=nonsense"), ("expires", &date(60))]), no(Reason::NoFreshness));
    assert_eq!(ok(&[("expires", "0"), ("last-modified", &date(-60))]), Storability::Store(stale_for_ever()));
    assert_eq!(seconds(cc("max-age=0, stale-while-revalidate=60")), (0, Some(60), None));
}

/// Stale on arrival, and good for errors only.
fn stale_for_ever() -> Lifetime {
    Lifetime {
        born: NOW,
        fresh_until: NOW,
        while_revalidate_until: NOW,
        if_error_until: Timestamp::FOREVER,
        has_ttl: true,
    }
}

#[test]
fn age_counts_against_the_lifetime() {
    // RFC 9111 §4.2.3.
    let aged = lifetime(ok(&[("cache-control", "max-age=3600"), ("age", "7200"), ("date", &date(0))]));
    assert_eq!((aged.born, aged.fresh_until), (at(-7200), at(-3600)));
    let old = lifetime(ok(&[("cache-control", "max-age=3600"), ("date", &date(-7200))]));
    assert!(state(&old, NOW) > State::Fresh);
}

#[test]
fn a_disconnected_cache_may_serve_stale_unless_forbidden() {
    // RFC 9111 §4.2.4.
    assert_eq!(seconds(cc("max-age=2")), (2, Some(0), None));
    for forbidding in ["must-revalidate", "proxy-revalidate", "s-maxage=2"] {
        assert_eq!(seconds(cc(&format!("max-age=2, {forbidding}"))), (2, Some(0), Some(0)), "{forbidding}");
    }
}

#[test]
fn named_windows_count_also_with_s_maxage() {
    // RFC 5861 §3, §4.
    assert_eq!(seconds(cc("max-age=1, stale-while-revalidate=4")), (1, Some(4), None));
    assert_eq!(seconds(cc("max-age=1, stale-if-error=60")), (1, Some(0), Some(60)));
    assert_eq!(seconds(cc("s-maxage=10, stale-while-revalidate=31535990")), (10, Some(31_535_990), Some(31_535_990)));
    assert_eq!(seconds(cc("s-maxage=5, stale-while-revalidate")), (5, None, None));
    assert_eq!(seconds(cc("s-maxage=5, stale-if-error=60")), (5, Some(0), Some(60)));
}

#[test]
fn must_revalidate_closes_named_windows() {
    // RFC 9111 §5.2.2.2 over RFC 5861.
    let both = cc("max-age=1, must-revalidate, stale-while-revalidate=60, stale-if-error=60");
    assert_eq!(seconds(both), (1, Some(0), Some(0)));
}

#[test]
fn the_targeted_field_decides_where_there_is_one() {
    // RFC 9213 §2.2.
    let with = |targeted: &str, other: &str| ok(&[("cdn-cache-control", targeted), ("cache-control", other)]);
    assert_eq!(seconds(with("max-age=3600", "no-store")).0, 3600);
    assert_eq!(seconds(with("max-age=1", "max-age=3600")).0, 1);
    assert_eq!(with("no-store", "max-age=60"), no(Reason::CdnNoStore));
    assert_eq!(with("private", "max-age=60"), no(Reason::CdnPrivate));
    assert_eq!(with("no-cache", "max-age=60"), no(Reason::NoFreshness));
    assert_eq!(with("max-age=0", "max-age=60"), no(Reason::NoFreshness));
    assert_eq!(with("max-age=60, &&&", "no-store"), no(Reason::NoStore));
    assert_eq!(with("max-age=\"60\"", "no-store"), no(Reason::NoStore));
}

#[test]
fn nothing_is_shortened_here() {
    assert_eq!(lifetime(cc("max-age=1000")).fresh_until, at(1000));
    assert_eq!(lifetime(cc("max-age=99999999999")).fresh_until, at(1 << 31));
}
