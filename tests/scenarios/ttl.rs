//! How long a page is fresh, and who says so: the route, or the response's headers in their order
//! (RFC 9111 §4.2, RFC 9213 §2.2, RFC 5861 §3). Seen from outside: renders and `Cache-Status`.

use super::harness::{
    Answer, Ask, Breadbox, Client, Config, Gate, Origin, PATIENCE, eventually, until_body, until_stale,
};
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

type Fields<'a> = &'a [(&'a str, &'a str)];

/// What Next.js sends on every dynamic page.
const NEXT_DYNAMIC: &str = "private, no-cache, no-store, max-age=0, must-revalidate";

#[test]
fn a_lifetime_from_the_route_decides_whatever_the_response_says() {
    // With `revalidate: 300ms` a page is stored although it says no-store, is fresh, and is rendered again after.
    let origin = Origin::start();
    origin.on("/p", |x| {
        let body = Origin::body("/p", x.nth);
        x.answer(&Answer::html(body).header("Cache-Control", NEXT_DYNAMIC).header("Expires", "0"))
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 300ms"]));
    let first = proxy.get("/p");
    let status = first.cache_status();
    assert_eq!((status.hit, status.fwd.as_deref(), status.stored), (false, Some("uri-miss"), true));
    assert!(proxy.get("/p").is_hit());
    assert_eq!(until_stale(proxy.addr(), &Ask::get("/p")).text(), "page /p #1");
    until_body(proxy.addr(), &Ask::get("/p"), "page /p #2");
    assert_eq!(proxy.count_logged("INFO", "respect"), 1, "the first such page of a route says why it was stored");
}

#[test]
fn a_lifetime_of_the_headers_ends() {
    // Each field that can name a lifetime of one second makes the page fresh first and stale afterwards.
    let origin = Origin::start();
    let short: &[(&str, Fields<'static>)] = &[
        ("/s-maxage", &[("Cache-Control", "s-maxage=1, max-age=1000")]),
        ("/max-age", &[("Cache-Control", "max-age=1")]),
        ("/cdn", &[("CDN-Cache-Control", "max-age=1"), ("Cache-Control", "no-store, private, s-maxage=1000")]),
        ("/default", &[]),
    ];
    for (path, headers) in short {
        let headers = *headers;
        origin.on(path, move |x| {
            let body = Origin::body(&x.seen.target, x.nth);
            x.answer(&headers.iter().fold(Answer::html(body), |answer, (n, v)| answer.header(n, v)))
        });
    }
    origin.on("/expires", |x| {
        let now = SystemTime::now();
        let date = httpdate::fmt_http_date(now);
        let expires = httpdate::fmt_http_date(now + Duration::from_secs(1));
        let body = Origin::body(&x.seen.target, x.nth);
        x.answer(&Answer::html(body).header("Date", &date).header("Expires", &expires))
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: { from: headers, default: 1s }"]));
    std::thread::scope(|scope| {
        for path in ["/s-maxage", "/max-age", "/cdn", "/default", "/expires"] {
            let proxy = &proxy;
            scope.spawn(move || {
                assert!(proxy.get(path).cache_status().stored, "{path}");
                until_stale(proxy.addr(), &Ask::get(path));
                until_body(proxy.addr(), &Ask::get(path), &Origin::body(path, 2));
            });
        }
    });
}

#[test]
fn the_stronger_header_wins() {
    // The remaining lifetime tells which field was believed; upstream `Age` counts against it.
    let past = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH);
    let cases: &[(&str, Fields<'_>, RangeInclusive<i64>)] = &[
        ("/s-maxage", &[("Cache-Control", "max-age=1, s-maxage=1000")], 880..=1000),
        ("/cdn", &[("CDN-Cache-Control", "max-age=1000"), ("Cache-Control", "s-maxage=1")], 880..=1000),
        ("/max-age", &[("Cache-Control", "max-age=1000"), ("Expires", &past)], 880..=1000),
        ("/age", &[("Cache-Control", "max-age=1000"), ("Age", "500")], 380..=500),
        ("/default", &[("X-Nothing", "said")], 77_700..=86_400),
    ];
    let origin = Origin::start();
    for (path, headers, _) in cases {
        let answer = headers.iter().fold(Answer::html("page"), |answer, (n, v)| answer.header(n, v));
        origin.answer(path, answer);
    }
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: { from: headers, default: 1d }"]));
    for (path, _, range) in cases {
        proxy.get(path);
        let again = proxy.get(path).cache_status();
        let ttl = again.ttl.unwrap_or_else(|| panic!("{path} has a ttl: {again:?}"));
        assert!(again.hit && range.contains(&ttl), "{path}: {again:?}, not in {range:?}");
    }
}

#[test]
fn s_maxage_with_a_stale_window_is_served_stale() {
    // `s-maxage=1, stale-while-revalidate=60` is served stale while one render refreshes it, on both kinds of route.
    let origin = Origin::start();
    for path in ["/isr", "/headers"] {
        origin.on(path, |x| {
            let body = Origin::body(&x.seen.target, x.nth);
            x.answer(&Answer::html(body).header("Cache-Control", "s-maxage=1, stale-while-revalidate=60"))
        });
    }
    let keys = &["revalidate: { from: headers, default: 60s }"];
    let proxy = Breadbox::start(Config::new(&origin).route("/isr", "isr", keys).route("/headers", "headers", &[]));
    for path in ["/isr", "/headers"] {
        proxy.get(path);
        assert_eq!(until_stale(proxy.addr(), &Ask::get(path)).text(), Origin::body(path, 1));
        until_body(proxy.addr(), &Ask::get(path), &Origin::body(path, 2));
    }
}

#[test]
fn must_revalidate_from_the_headers_is_never_served_stale() {
    // After its second a page that must be revalidated waits for the origin, although the route says `stale: forever`.
    let origin = Origin::start();
    for path in ["/isr", "/headers"] {
        origin.on(path, |x| {
            let body = Origin::body(&x.seen.target, x.nth);
            x.answer(&Answer::html(body).header("Cache-Control", "max-age=1, must-revalidate"))
        });
    }
    let keys = &["revalidate: { from: headers, default: 60s }"];
    let proxy = Breadbox::start(Config::new(&origin).route("/isr", "isr", keys).route("/headers", "headers", &[]));
    for path in ["/isr", "/headers"] {
        proxy.get(path);
        let mut client = proxy.client();
        eventually("the page expires", PATIENCE, || {
            let response = client.get(path);
            assert!(!response.is_stale(), "{path}: {:?}", response.cache_status());
            let status = response.cache_status();
            if !status.hit {
                assert_eq!(status.fwd.as_deref(), Some("stale"), "{path}");
                assert_eq!(response.text(), Origin::body(path, 2));
            }
            !status.hit
        });
    }
}

#[test]
fn a_static_page_is_rendered_once() {
    // `cache: static` has no ttl and stays, whatever the response says.
    let origin = Origin::start();
    origin.answer("/about", Answer::html("about us").header("Cache-Control", "max-age=0, private"));
    let proxy = Breadbox::start(Config::new(&origin).route("/about", "static", &[]));
    proxy.get("/about");
    for _ in 0..20 {
        let status = proxy.get("/about").cache_status();
        assert!(status.hit && status.ttl.is_none() && status.detail.is_none(), "{status:?}");
    }
    assert_eq!(origin.renders("/about"), 1);
}

#[test]
fn a_missing_page_lives_for_its_own_time() {
    // A 404 is kept for `not_found_ttl`, much shorter than a page.
    let origin = Origin::start();
    origin.on("/gone", |x| {
        let body = Origin::body("/gone", x.nth);
        x.answer(&Answer::html(body).with_status(404))
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h", "not_found_ttl: 500ms"]));
    assert_eq!(proxy.get("/gone").status, 404);
    let again = proxy.get("/gone");
    assert!(again.status == 404 && again.is_hit());
    let fresh_again = until_body(proxy.addr(), &Ask::get("/gone"), "page /gone #2");
    assert_eq!(fresh_again.status, 404);
}

#[test]
fn a_redirect_lives_as_long_as_a_page() {
    // A redirect is stored for the route's lifetime.
    let origin = Origin::start();
    origin.answer("/old", Answer::redirect(301, "/new"));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h", "not_found_ttl: 1ms"]));
    proxy.get("/old");
    let again = proxy.get("/old");
    assert_eq!((again.status, again.header("location"), again.is_hit()), (301, Some("/new"), true));
    assert!(again.cache_status().ttl.is_some_and(|ttl| ttl > 3000));
}

#[test]
fn a_page_past_its_window_is_never_served() {
    // When the stale window has passed, a request waits for the render and gets the new page.
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/p", move |x| {
        if x.nth > 1 {
            x.hold(&held)?;
        }
        let body = Origin::body("/p", x.nth);
        x.answer(&Answer::html(body))
    });
    let stale = "stale: { while_revalidate: 400ms, if_error: 400ms }";
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 200ms", stale]));
    proxy.get("/p");
    until_stale(proxy.addr(), &Ask::get("/p"));
    origin.wait_for_requests("/p", 2);
    let mut waiting = None;
    eventually("a request waits", PATIENCE, || {
        let mut client = Client::connect(proxy.addr());
        client.read_timeout(Duration::from_secs(3));
        match client.try_ask(&Ask::get("/p")) {
            Ok(stale) => assert_eq!(stale.text(), "page /p #1"),
            Err(_) => waiting = Some(client),
        }
        waiting.is_some()
    });
    gate.open();
    let new = waiting.expect("the poll ended with a client that waits").response().expect("an answer");
    assert_eq!((new.text(), new.is_hit()), ("page /p #2".to_owned(), false));
    assert_eq!(origin.renders("/p"), 2);
}

#[test]
fn a_page_that_the_origins_own_cache_served_stale_is_asked_for_again_but_not_in_a_loop() {
    // FRAMEWORKS 4: it is stored stale, a refresh follows the backoff's schedule, and the fresh answer ends that.
    let origin = Origin::start();
    origin.on("/p", |x| {
        let stale = Answer::html(Origin::body("/p", x.nth)).header("Cache-Control", "s-maxage=1000");
        x.answer(&if x.nth < 3 { stale.header("x-nextjs-cache", "STALE") } else { stale })
    });
    let proxy = Breadbox::start(Config::isr(&origin, &[]));
    proxy.get("/p");
    for _ in 0..200 {
        assert!(proxy.get("/p").is_stale());
    }
    assert!(origin.renders("/p") <= 2, "{} renders", origin.renders("/p"));
    until_body(proxy.addr(), &Ask::get("/p"), "page /p #3");
    assert!(proxy.get("/p").is_hit() && !proxy.get("/p").is_stale());
}
