//! 304s and HEAD answers, a test per clause.

use super::*;
use crate::policy::Timestamp;
use crate::policy::sample::{NOW, at, date, fields, isr_after, route};
use crate::policy::validation::validators;

/// Fresh until [`NOW`], then for ever usable on errors.
const STALE: Lifetime = Lifetime {
    born: Timestamp::from_millis(NOW.millis() - 10_000),
    fresh_until: NOW,
    while_revalidate_until: NOW,
    if_error_until: Timestamp::FOREVER,
    has_ttl: true,
};

fn answer(status: StatusCode, sent: &Fields) -> Answer<'_> {
    Answer { status, fields: sent, requested_at: NOW, received_at: NOW }
}

fn held<'a>(fields: &'a Fields, lifetime: &'a Lifetime, validators: &'a Validators) -> Held<'a> {
    Held { status: StatusCode::OK, fields, lifetime, validators, len: 4 }
}

fn renewed(route: &Route, page: &[(&str, &str)], lifetime: Lifetime, not_modified: &[(&str, &str)]) -> Renewal {
    let (page, sent) = (fields(page), fields(not_modified));
    let validators = validators(&page);
    renew(route, false, held(&page, &lifetime, &validators), &answer(StatusCode::NOT_MODIFIED, &sent), 0.0)
}

fn on_headers(page: &[(&str, &str)], not_modified: &[(&str, &str)]) -> Renewal {
    renewed(&route(CacheMode::Headers), page, STALE, not_modified)
}

fn lifetime(renewal: &Renewal) -> Lifetime {
    match renewal.storability {
        Storability::Store(lifetime) => lifetime,
        Storability::Uncacheable(reason) => panic!("uncacheable: {}", reason.as_str()),
    }
}

fn value<'a>(renewal: &'a Renewal, name: &str) -> Vec<&'a str> {
    let all = renewal.fields.iter().filter(|(n, _)| n.as_str() == name);
    all.map(|(_, value)| value.to_str().expect("text")).collect()
}

#[test]
fn a_304_replaces_every_field_it_carries_and_leaves_the_others() {
    // RFC 9111 §3.2.
    let renewal = on_headers(
        &[
            ("x-kept", "1"),
            ("link", "</a>"),
            ("link", "</b>"),
            ("content-type", "text/plain"),
            ("cache-control", "max-age=1"),
        ],
        &[
            ("link", "</c>"),
            ("content-type", "text/html"),
            ("x-new", "2"),
            ("cache-control", "max-age=60"),
            ("date", &date(0)),
        ],
    );
    assert_eq!(value(&renewal, "x-kept"), ["1"]);
    assert_eq!(value(&renewal, "link"), ["</c>"]);
    assert_eq!(value(&renewal, "content-type"), ["text/html"]);
    assert_eq!(value(&renewal, "x-new"), ["2"]);
    assert_eq!(lifetime(&renewal).fresh_until, at(60));
}

#[test]
fn a_304_does_not_describe_the_stored_body_nor_add_what_is_never_stored() {
    // RFC 9111 §3.1, §3.2.
    let renewal = on_headers(
        &[("content-encoding", "br"), ("cache-control", "max-age=60")],
        &[
            ("content-encoding", "gzip"),
            ("content-length", "10"),
            ("content-range", "bytes 0-1/2"),
            ("set-cookie", "a=b"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("cache-tag", "t"),
            ("age", "5"),
        ],
    );
    assert_eq!(value(&renewal, "content-encoding"), ["br"]);
    let names: Vec<&str> = renewal.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-encoding", "cache-control", "date"]);
}

#[test]
fn a_304_that_says_nothing_gives_the_stored_lifetime_again() {
    // RFC 9111 §4.3.4.
    let renewal = on_headers(&[("cache-control", "max-age=60"), ("date", &date(-3600))], &[("etag", "\"a\"")]);
    assert_eq!(lifetime(&renewal).fresh_until, at(60));
    assert_eq!(value(&renewal, "date"), [date(0)]);
}

#[test]
fn the_age_of_a_304_counts() {
    // RFC 9111 §4.2.3.
    let renewal = on_headers(&[("cache-control", "max-age=60")], &[("age", "20"), ("date", &date(0))]);
    assert_eq!((lifetime(&renewal).born, lifetime(&renewal).fresh_until), (at(-20), at(40)));
}

#[test]
fn a_304_may_forbid_what_was_allowed() {
    let renewal = on_headers(&[("cache-control", "max-age=60")], &[("cache-control", "no-store")]);
    assert_eq!(renewal.storability, Storability::Uncacheable(Reason::NoStore));
    let page = [("cache-control", "max-age=60"), ("x-user", "1")];
    let renewal = on_headers(&page, &[("cache-control", "max-age=60, private=\"x-user\"")]);
    assert_eq!(value(&renewal, "x-user"), Vec::<&str>::new());
}

#[test]
fn on_isr_config_renews_whatever_the_304_says() {
    // FRAMEWORKS 6.
    let page = [("cache-control", "public, max-age=0, must-revalidate")];
    let renewal = renewed(&isr_after(60), &page, STALE, &[("cache-control", "private, no-store")]);
    assert_eq!(lifetime(&renewal).fresh_until, at(60));
    assert_eq!(value(&renewal, "cache-control"), ["public, max-age=0, must-revalidate"]);
}

#[test]
fn on_isr_a_304_does_not_shrink_lifetime_or_windows() {
    // FRAMEWORKS 6: Nuxt's 304s lack the `stale-while-revalidate` that its pages have.
    let page = Lifetime { while_revalidate_until: Timestamp::FOREVER, ..STALE };
    let route = route(CacheMode::Isr);
    for said in [&[][..], &[("cache-control", "public, max-age=5, s-maxage=5")], &[("cache-control", "no-cache")]] {
        let kept = lifetime(&renewed(&route, &[], page, said));
        assert_eq!((kept.fresh_until, kept.while_revalidate_until), (at(10), Timestamp::FOREVER), "{said:?}");
    }
    let longer = lifetime(&renewed(&route, &[], page, &[("cache-control", "s-maxage=90")]));
    assert_eq!(longer.fresh_until, at(90));
}

#[test]
fn on_isr_a_page_that_is_always_validated_stays_so() {
    let strict =
        Lifetime { born: NOW, fresh_until: NOW, while_revalidate_until: NOW, if_error_until: NOW, has_ttl: true };
    let kept = lifetime(&renewed(&route(CacheMode::Isr), &[], strict, &[]));
    assert_eq!((kept.fresh_until, kept.if_error_until), (NOW, NOW));
}

#[test]
fn on_isr_a_page_that_was_stored_stale_becomes_fresh() {
    let born_stale = Lifetime { born: NOW, while_revalidate_until: Timestamp::FOREVER, ..STALE };
    let kept = lifetime(&renewed(&route(CacheMode::Isr), &[], born_stale, &[]));
    assert_eq!(kept.fresh_until, at(60));
    let again = lifetime(&renewed(&route(CacheMode::Isr), &[], STALE, &[("x-nextjs-cache", "STALE")]));
    assert_eq!(again.fresh_until, NOW);
}

#[test]
fn on_isr_a_vary_that_shrank_stays() {
    // FRAMEWORKS 6.
    let page = [("vary", "rsc, accept")];
    let route = route(CacheMode::Isr);
    assert_eq!(value(&renewed(&route, &page, STALE, &[]), "vary"), ["rsc, accept"]);
    assert_eq!(value(&renewed(&route, &page, STALE, &[("vary", "Accept, x-new")]), "vary"), ["Accept, x-new", "rsc"]);
    assert_eq!(value(&on_headers(&page, &[("vary", "accept")]), "vary"), ["accept"]);
}

#[test]
fn on_isr_a_304_with_a_cookie_is_uncacheable_like_a_page() {
    let renewal = renewed(&isr_after(60), &[], STALE, &[("set-cookie", "a=b")]);
    assert_eq!(renewal.storability, Storability::Uncacheable(Reason::SetCookie));
}

fn head(pairs: &[(&str, &str)], status: StatusCode) -> HeadUpdate {
    let page = fields(&[("etag", "\"a\""), ("x-kept", "1"), ("cache-control", "max-age=1")]);
    let (validators, sent) = (validators(&page), fields(pairs));
    head_update(&route(CacheMode::Headers), false, held(&page, &STALE, &validators), &answer(status, &sent), 0.0)
}

#[test]
fn a_head_answer_for_the_same_page_renews_it() {
    // RFC 9111 §4.3.5.
    let same = [("etag", "\"a\""), ("content-length", "4"), ("cache-control", "max-age=1000"), ("x-new", "2")];
    let HeadUpdate::Renewed(renewal) = head(&same, StatusCode::OK) else {
        panic!("the page was not renewed");
    };
    assert_eq!(lifetime(&renewal).fresh_until, at(1000));
    assert_eq!((value(&renewal, "x-kept"), value(&renewal, "x-new")), (vec!["1"], vec!["2"]));
}

#[test]
fn a_head_answer_for_another_page_invalidates_the_stored_one() {
    // RFC 9111 §4.3.5.
    for other in [("etag", "\"b\""), ("content-length", "5"), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")] {
        assert_eq!(head(&[other], StatusCode::OK), HeadUpdate::Invalid, "{other:?}");
    }
}

#[test]
fn only_a_200_to_a_head_says_anything_about_the_page() {
    for status in [StatusCode::GONE, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::NOT_MODIFIED] {
        assert_eq!(head(&[("etag", "\"b\"")], status), HeadUpdate::Unrelated);
    }
}
