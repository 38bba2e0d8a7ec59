//! A stale page is served at once while exactly one render refreshes it.

use super::harness::{Answer, Ask, Breadbox, Config, Gate, Origin, crowd, until_body, until_stale};

#[test]
fn a_stale_page_is_served_at_once_and_refreshed_once() {
    // While the refresh is held, 200 clients get the old page; then the next request gets the new one.
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/p", move |x| {
        if x.nth > 1 {
            x.hold(&held)?;
        }
        let lifetime = if x.nth == 1 { "s-maxage=1" } else { "s-maxage=1000" };
        let body = Origin::body("/p", x.nth);
        x.answer(&Answer::html(body).header("Cache-Control", lifetime))
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: { from: headers, default: 60s }"]));
    proxy.get("/p");
    until_stale(proxy.addr(), &Ask::get("/p"));
    origin.wait_for_requests("/p", 2);
    let answers = crowd(proxy.addr(), 200, |_, client| client.get("/p"));
    for answer in answers {
        let status = answer.cache_status();
        assert_eq!((answer.text().as_str(), answer.is_stale()), ("page /p #1", true));
        assert!(status.ttl.is_some_and(|ttl| ttl <= 0), "{status:?}");
    }
    gate.open();
    assert!(until_body(proxy.addr(), &Ask::get("/p"), "page /p #2").is_hit());
    assert_eq!(origin.renders("/p"), 2);
}

#[test]
fn each_stale_page_is_refreshed_once_per_expiry() {
    // Many clients on many pages that expire together: one render a page.
    let origin = Origin::start();
    origin.otherwise(|x| {
        let lifetime = if x.nth == 1 { "s-maxage=1" } else { "s-maxage=1000" };
        let body = Origin::body(&x.seen.target, x.nth);
        x.answer(&Answer::html(body).header("Cache-Control", lifetime))
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: { from: headers, default: 60s }"]));
    let path = |i: usize| format!("/p/{}", i % 20);
    crowd(proxy.addr(), 20, |i, client| client.get(&path(i)));
    crowd(proxy.addr(), 60, |i, _| {
        until_body(proxy.addr(), &Ask::get(&path(i)), &Origin::body(&path(i), 2));
    });
    for i in 0..20 {
        assert_eq!(origin.renders(&path(i)), 2, "{}", path(i));
    }
}
