//! Which cookies count: in the key, as a reason to bypass, or not at all.

use super::harness::{Answer, Ask, Breadbox, Config, Origin};

/// An origin whose body repeats the cookies it was sent.
fn echo(cache_control: &'static str) -> Origin {
    let origin = Origin::start();
    origin.otherwise(move |x| {
        let body = format!("cookie={}", x.seen.all("cookie").join("; "));
        x.answer(&Answer::html(body).header("Cache-Control", cache_control))
    });
    origin
}

fn with_cookie(cookie: &str) -> Ask {
    Ask::get("/p").header("Cookie", cookie)
}

#[test]
fn a_cookie_the_route_keys_on_makes_a_page_each() {
    // The page depends on `currency`; no other cookie reaches the origin.
    let origin = echo("max-age=1000");
    let keys = &["revalidate: 1h", "vary: { cookies: [ currency ] }"];
    let proxy = Breadbox::start(Config::isr(&origin, keys));
    for cookie in ["session=1; currency=eur", "currency=eur; other=2", "currency=usd", "session=3", ""] {
        let expected = ["eur", "usd"].into_iter().find(|c| cookie.contains(c));
        let expected = expected.map_or("cookie=".to_owned(), |c| format!("cookie=currency={c}"));
        assert_eq!(proxy.ask(&with_cookie(cookie)).text(), expected, "{cookie:?}");
    }
    assert_eq!(origin.renders("/p"), 3);
}

#[test]
fn a_bypass_cookie_makes_the_request_a_bypass() {
    // Names and patterns bypass with all their cookies; any other cookie shares the page.
    let origin = echo("max-age=1000");
    let keys = &["revalidate: 1h", "bypass: { cookies: [ session, \"wordpress_logged_in_*\" ] }"];
    let proxy = Breadbox::start(Config::isr(&origin, keys));
    assert_eq!(proxy.get("/p").text(), "cookie=");
    for cookie in ["session=1", "a=b; session=2", "wordpress_logged_in_ab12=x; c=d"] {
        let own = proxy.ask(&with_cookie(cookie));
        assert_eq!(own.text(), format!("cookie={cookie}"));
        assert_eq!((own.is_bypass(), own.detail().as_deref()), (true, Some("cookie")), "{cookie}");
    }
    for cookie in ["sessions=1", "Session=1", "wordpress_logged=1", "a=session"] {
        let shared = proxy.ask(&with_cookie(cookie));
        assert!(shared.is_hit() && shared.text() == "cookie=", "{cookie}");
    }
    let two = Ask::get("/p").header("Cookie", "a=b").header("Cookie", "session=1");
    assert!(proxy.ask(&two).is_bypass(), "a bypass cookie in a second field counts");
}

#[test]
fn any_cookie_is_a_bypass_on_a_headers_route() {
    // The default there; with `none` the response's headers are trusted and cookies are forwarded.
    let origin = echo("max-age=1000");
    let proxy = Breadbox::start(Config::headers(&origin, &[]));
    proxy.get("/p");
    assert!(proxy.get("/p").is_hit());
    let own = proxy.ask(&with_cookie("a=b"));
    assert_eq!((own.text().as_str(), own.detail().as_deref()), ("cookie=a=b", Some("cookie")));
    let trusting = Breadbox::start(Config::headers(&origin, &["bypass: { cookies: none }"]));
    assert_eq!(trusting.ask(&with_cookie("a=b")).text(), "cookie=a=b");
    assert!(trusting.ask(&with_cookie("c=d")).is_hit());
}

#[test]
fn credentials_are_a_bypass() {
    // `Authorization` reaches the origin and its answer is shared with nobody.
    let origin = Origin::start();
    origin.otherwise(|x| {
        let body = format!("for {}", x.seen.header("authorization").unwrap_or("nobody"));
        x.answer(&Answer::html(body).header("Cache-Control", "max-age=1000"))
    });
    let config = Config::new(&origin).route("/p", "isr", &["revalidate: 1h"]).route("/h", "headers", &[]);
    let proxy = Breadbox::start(config);
    for path in ["/p", "/h"] {
        for user in ["a", "b"] {
            let own = proxy.ask(&Ask::get(path).header("Authorization", user));
            assert_eq!(own.text(), format!("for {user}"), "{path}");
        }
        assert_eq!(proxy.get(path).text(), "for nobody", "{path}");
    }
}
