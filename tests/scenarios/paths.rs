//! One normal form of a path for routing, key and origin; no spelling of a path reaches a looser route than
//! the stricter reading.

use super::harness::{Answer, Ask, Breadbox, Config, Origin};

/// An origin that is private on every path: each body names the cookie it was asked with.
fn private_origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|x| {
        let body = format!("for {} #{}", x.seen.header("cookie").unwrap_or("nobody"), x.nth);
        x.answer(&Answer::html(body))
    });
    origin
}

#[test]
fn no_path_trick_reaches_a_looser_route() {
    // Each spelling could be read as a path of a `cache: off` route, so each is a bypass with its own cookies.
    let tricks = [
        "/api/me",
        "/%61pi/me",
        "/%61%70%69/me",
        "/./api/me",
        "/x/../api/me",
        "/x/%2e%2e/api/me",
        "/x/.%2E/api/me",
        "//api/me",
        "/api%2Fme",
        "/api%2fme",
        "/api%5Cme",
        "/api%5cme",
        "/api;v=1/me",
        "/%2561pi/me",
        "/x/..%2Fapi/me",
        "/x//../..//api/me",
        "/api/me%00.html",
        "/account%00.html",
        "/account;v=1",
        "/account%3Bv=1",
        "/account%3bx",
        "/x/%2e%2e%2faccount",
        "/%2Fapi/me",
        "/x%5C..%5Capi/me",
        "/account%2500",
        "/api/../api/me",
        "/../api/me",
    ];
    let origin = private_origin();
    let config = Config::new(&origin).route("/api/{*rest}", "off", &[]).route("/account", "off", &[]).route(
        "/{*rest}",
        "static",
        &[],
    );
    let proxy = Breadbox::start(config);
    for (i, trick) in tricks.iter().enumerate() {
        for who in ["first", "second"] {
            let cookie = format!("session={who}-{i}");
            let answer = proxy.ask(&Ask::get(trick).header("Cookie", &cookie));
            if answer.status == 400 {
                continue;
            }
            assert!(answer.text().starts_with(&format!("for {cookie} ")), "{trick}: {}", answer.text());
            assert!(answer.is_bypass(), "{trick}: {:?}", answer.cache_status());
            let seen = origin.all_requests().pop().expect("the bypass was seen");
            assert_eq!(seen.target, *trick, "a bypass is forwarded byte for byte");
        }
    }
    let shared = Ask::get("/page").header("Cookie", "session=x");
    proxy.ask(&shared);
    assert!(proxy.ask(&shared).is_hit(), "a plain path is still shared");
}

#[test]
fn spellings_of_a_path_share_a_page() {
    // Unreserved octets are decoded and dot segments removed; the origin sees the normal form.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    for target in ["/a/b~c", "/a/./b~c", "/a/x/../b~c", "/%61/b%7Ec", "/a/b%7ec", "/%2e/a/b~c"] {
        assert_eq!(proxy.get(target).text(), Origin::body("/a/b~c", 1), "{target}");
    }
    assert_eq!(origin.all_requests().len(), 1);
}

#[test]
fn reserved_octets_keep_pages_apart() {
    // `%2F` is not `/`, `%3F` is not `?`, and case counts; hex digits do not.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let apart = ["/a/b", "/a%2Fb", "/a%3Fb", "/a?b", "/A/b", "/a/b/", "/a//b", "/a;b", "/a%3Bb"];
    for target in apart {
        assert_eq!(proxy.get(target).text().split('#').next(), Some(format!("page {target} ").as_str()), "{target}");
    }
    assert_eq!(origin.count(), apart.len());
    assert!(proxy.get("/a%2fb").is_hit());
}

#[test]
fn the_most_specific_route_wins() {
    // Literal before parameter before catch-all, whatever the order in the file.
    let origin = Origin::start();
    let config = Config::new(&origin)
        .route("/{*rest}", "off", &[])
        .route("/products/{id}", "isr", &["revalidate: 1h"])
        .route("/products/new", "off", &[])
        .route("/docs/{*path}", "static", &[]);
    let proxy = Breadbox::start(config);
    let cached = |target: &str| {
        proxy.get(target);
        proxy.get(target).is_hit()
    };
    for target in ["/products/1", "/docs/a/b", "/docs", "/docs/"] {
        assert!(cached(target), "{target}");
    }
    for target in ["/products/new", "/products/1/reviews", "/products", "/"] {
        assert!(!cached(target), "{target}");
    }
}
