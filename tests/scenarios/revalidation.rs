//! A refresh asks with the origin's own validators, and a 304 renews the page without its body (RFC 9111 §4.3).

use super::harness::{Answer, Ask, Breadbox, Config, Origin, PATIENCE, eventually, until_stale};

type Fields = &'static [(&'static str, &'static str)];

const LAST_MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// An origin whose answers carry `headers`, and are 304 for whoever asks with a condition.
fn origin(headers: Fields) -> Origin {
    let origin = Origin::start();
    origin.otherwise(move |x| {
        let conditional = x.seen.header("if-none-match").is_some() || x.seen.header("if-modified-since").is_some();
        let nth = x.nth.to_string();
        let answer = if conditional { Answer::new("").with_status(304) } else { Answer::html(format!("body {nth}")) };
        x.answer(&headers.iter().fold(answer.header("X-Build", &nth), |answer, (n, v)| answer.header(n, v)))
    });
    origin
}

#[test]
fn a_304_renews_the_page_and_its_headers_without_its_body() {
    // The refresh carries the validator byte for byte; afterwards the old body is fresh with the new fields.
    let cases: [(Fields, &str, &str); 4] = [
        (&[("ETag", "\"v1\"")], "if-none-match", "\"v1\""),
        (&[("ETag", "W/\"weak\"")], "if-none-match", "W/\"weak\""),
        (&[("ETag", "unquoted")], "if-none-match", "unquoted"),
        (&[("Last-Modified", LAST_MODIFIED)], "if-modified-since", LAST_MODIFIED),
    ];
    for (headers, name, value) in cases {
        let origin = origin(headers);
        let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 300ms"]));
        proxy.get("/p");
        until_stale(proxy.addr(), &Ask::get("/p"));
        let refresh = &origin.wait_for_requests("/p", 2)[1];
        assert_eq!(refresh.header(name), Some(value));
        eventually("the page is renewed", PATIENCE, || {
            let answer = proxy.get("/p");
            assert_eq!((answer.status, answer.text().as_str()), (200, "body 1"), "{headers:?}");
            answer.header("x-build") != Some("1") && !answer.is_stale()
        });
    }
}

#[test]
fn a_made_etag_is_never_sent_to_the_origin() {
    // The origin does not know the ETag we made, so a refresh does not ask with it.
    let origin = origin(&[]);
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 200ms"]));
    // The first answer may have been sent on before there was all of it to make one from.
    proxy.get("/p");
    let etag = proxy.get("/p").header("etag").map(str::to_owned);
    assert!(etag.is_some());
    let ask = etag.iter().fold(Ask::get("/p"), |ask, etag| ask.header("If-None-Match", etag));
    eventually("the page is refreshed", PATIENCE, || {
        proxy.ask(&ask);
        origin.renders("/p") >= 3
    });
    for seen in origin.requests("/p") {
        assert_eq!((seen.header("if-none-match"), seen.header("if-modified-since")), (None, None));
    }
}

#[test]
fn a_304_renews_a_page_of_a_headers_route() {
    // On `headers` an expired page is revalidated with its ETag and the 304's own lifetime counts.
    let origin = Origin::start();
    origin.on("/p", |x| {
        let answer = match x.seen.header("if-none-match") {
            None => Answer::html("the body").header("Cache-Control", "max-age=1"),
            Some(_) => Answer::new("").with_status(304).header("Cache-Control", "max-age=1000"),
        };
        x.answer(&answer.header("ETag", "\"v1\""))
    });
    let proxy = Breadbox::start(Config::headers(&origin, &[]));
    proxy.get("/p");
    eventually("the page is renewed for long", PATIENCE, || {
        let answer = proxy.get("/p");
        assert_eq!((answer.status, answer.text().as_str()), (200, "the body"));
        answer.cache_status().ttl.is_some_and(|ttl| ttl > 100)
    });
    assert_eq!(origin.renders("/p"), 2);
}

#[test]
fn a_304_that_shrinks_vary_or_lifetime_changes_neither_on_isr() {
    // Nuxt's 304 names another lifetime than its page: on `isr` the page keeps its own.
    let origin = Origin::start();
    origin.on("/p", |x| {
        let answer = match x.seen.header("if-none-match") {
            None => Answer::html("the body").header("Cache-Control", "s-maxage=1").header("Vary", "X-Device"),
            Some(_) => Answer::new("").with_status(304).header("Cache-Control", "s-maxage=0"),
        };
        x.answer(&answer.header("ETag", "\"v1\""))
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: { from: headers, default: 60s }"]));
    proxy.get("/p");
    until_stale(proxy.addr(), &Ask::get("/p"));
    eventually("the page is fresh again", PATIENCE, || {
        let answer = proxy.get("/p");
        answer.is_hit() && !answer.is_stale()
    });
    let own = proxy.ask(&Ask::get("/p").header("X-Device", "phone"));
    assert_eq!(own.detail().as_deref(), Some("vary"), "the page still varies: {:?}", own.cache_status());
}

#[test]
fn a_304_nobody_asked_for_is_no_page() {
    // An origin that answers a plain render with 304 has failed.
    let origin = Origin::start();
    origin.answer("/p", Answer::new("").with_status(304));
    let proxy = Breadbox::start(Config::isr(&origin, &[]));
    assert!(matches!(proxy.get("/p").status, 502..=504));
    assert!(!proxy.get("/p").is_hit());
}
