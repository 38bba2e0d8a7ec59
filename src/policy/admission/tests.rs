//! What each kind of request is, one by one; the laws are in [`laws`].

use super::*;
use crate::config::{BypassCookies, NamePatterns, VaryRule};
use crate::policy::testing::{self, Ask};
use http::HeaderName;
use http::header::HOST;

mod laws;

fn headers_route(pattern: &str) -> Route {
    let mut route = testing::route(pattern);
    route.cache = CacheMode::Headers;
    route.bypass_cookies = BypassCookies::Any;
    route
}

/// `/api/{*rest}` is off, `/about` static, `/raw/{*rest}` headers, the rest isr but for `session`.
fn shop() -> Config {
    let mut api = testing::route("/api/{*rest}");
    api.cache = CacheMode::Off;
    let mut about = testing::route("/about");
    about.cache = CacheMode::Static;
    let mut rest = testing::route("/{*rest}");
    rest.bypass_cookies = BypassCookies::Names(NamePatterns::new(["session"]));
    testing::config(vec![api, about, headers_route("/raw/{*rest}"), rest])
}

fn admit_on(config: &Config, ask: &Ask) -> Admission {
    admit(config, &RouteTable::new(config).unwrap(), &ask.incoming())
}

fn wanted(config: &Config, ask: &Ask) -> Wanted {
    match admit_on(config, ask) {
        Admission::Lookup(wanted) => *wanted,
        other => panic!("{ask:?} is {other:?}"),
    }
}

fn reason(config: &Config, ask: &Ask) -> Option<&'static str> {
    match admit_on(config, ask) {
        Admission::Bypass(bypass) => Some(bypass.reason.as_str()),
        _ => None,
    }
}

#[test]
fn every_reason_for_a_bypass_has_its_word() {
    let config = shop();
    let get = Ask::get;
    for (ask, word) in [
        (get("/a"), None),
        (get("/a").method("HEAD"), None),
        (get("/a").method("POST"), Some("method")),
        (get("/a").method("BREW"), Some("method")),
        (get("/a").method("OPTIONS"), Some("method")),
        (get("/api/x"), Some("off")),
        (get("/api"), Some("off")),
        (get("/a").field("upgrade", "websocket"), Some("upgrade")),
        (get("/a").field("content-length", "1"), Some("body")),
        (get("/a").field("content-length", "0"), None),
        (get("/a").field("transfer-encoding", "chunked"), Some("body")),
        (get("/a").field("accept-language", "de").field("connection", "close, Accept-Language"), Some("connection")),
        (get("/a").field("connection", "keep-alive, accept-language"), None),
        (get("/a").field("cookie", "a=1; session=2"), Some("cookie")),
        (get("/a").field("cookie", "a=1"), None),
        (get("/about").field("cookie", "session=1"), None),
        (get("/raw/a").field("cookie", "a=1"), Some("cookie")),
        (get("/about").field("cookie", "__prerender_bypass=x"), Some("draft")),
        (get("/a").field("authorization", "Basic eA=="), Some("authorization")),
        (get("/raw/a").field("authorization", "Basic eA=="), None),
        (get("/a").field("rsc", "1"), Some("rsc")),
        (get("/a").field("next-router-prefetch", "1"), Some("rsc")),
        (get("/raw/a").field("rsc", "1"), None),
        (get("/%zz"), Some("path")),
        (get("/x/..%2Fapi/users"), Some("path")),
        (get(&format!("/{}", "a".repeat(MAX_PATH))), Some("path")),
        (get(&format!("/a?{}", "a".repeat(MAX_QUERY + 1))), Some("query")),
        (get(&format!("/a?{}", "a&".repeat(257))), Some("query")),
        (Ask::bytes(b"/raw/a?\xFF"), Some("query")),
        (Ask::bytes(b"/a?\xFF"), None),
    ] {
        assert_eq!(reason(&config, &ask), word, "{ask:?}");
    }
    let few = testing::config(vec![testing::route("/a")]);
    assert_eq!(reason(&few, &get("/b")), Some("no-route"));
}

#[test]
fn malformed_requests_and_hosts_that_are_not_served_go_nowhere() {
    let mut config = shop();
    for ask in [
        Ask::get("/a").host(""),
        Ask::get("/a").host("a@b"),
        Ask::get("/a").field("host", "a.com"),
        Ask::get("http://u@a.com/"),
        Ask::get("http:///x"),
        Ask::get("http://a.com/").host("a b"),
        Ask::get("*"),
        Ask::get("a.com:443").method("CONNECT"),
        Ask::get("/a").method("CONNECT"),
        Ask::get("/a b"),
    ] {
        assert!(matches!(admit_on(&config, &ask), Admission::Malformed(_)), "{ask:?}");
    }
    let mut none = Ask::get("/a");
    none.headers.remove(HOST);
    assert_eq!(admit_on(&config, &none), Admission::Malformed("host"));

    config.hosts = Some(vec!["a.com".into()]);
    for ask in [
        Ask::get("/a").host("b.com"),
        Ask::get("/api/x").host("b.com"),
        Ask::get("http://b.com/a"),
        Ask::get("*").method("OPTIONS").host("b.com"),
    ] {
        assert_eq!(admit_on(&config, &ask), Admission::Misdirected, "{ask:?}");
    }
    assert!(matches!(admit_on(&config, &Ask::get("/a").host("A.com.:8080")), Admission::Lookup(_)));
    assert!(matches!(admit_on(&config, &Ask::get("http://a.com/a").host("b.com")), Admission::Lookup(_)));
}

#[test]
fn a_bypass_names_what_the_origin_has_to_know() {
    let Admission::Bypass(bypass) =
        admit_on(&shop(), &Ask::get("HTTP://A.com:8080/api/%7e/../x?b&a").host("b.com").method("PUT"))
    else {
        panic!("a bypass")
    };
    assert_eq!((&*bypass.target, &*bypass.host), (&b"/api/%7e/../x?b&a"[..], "a.com:8080"));
    assert_eq!((bypass.effect, bypass.route), (Effect::Unsafe, Some(RouteId(0))));
    let Admission::Bypass(bypass) = admit_on(&shop(), &Ask::get("*").method("OPTIONS")) else { panic!("a bypass") };
    assert_eq!((&*bypass.target, bypass.effect, bypass.route), (&b"*"[..], Effect::Safe, None));
}

#[test]
fn equal_pages_have_one_key_and_different_ones_do_not() {
    let config = shop();
    let key = |ask: Ask| wanted(&config, &ask).key;
    let page = || Ask::get("/a/b?x=1&y=2");
    for same in [
        Ask::get("/%61/./b?y=2&x=1"),
        Ask::get("/c/../a/b?utm_source=n&x=1&&y=2"),
        page().host("SHOP.example.com.:80"),
        page().field("x-forwarded-proto", "https"),
        page().field("x-forwarded-host", "evil.com"),
        page().field("x-original-url", "/admin"),
        page().field("cookie", "theme=dark"),
        page().method("HEAD"),
        Ask::get("http://shop.example.com/a/b?x=1&y=2").host("other"),
    ] {
        assert_eq!(key(same.clone()), key(page()), "{same:?}");
    }
    for different in [
        Ask::get("/a/b?x=1&y=3"),
        Ask::get("/a/b/?x=1&y=2"),
        Ask::get("/a//b?x=1&y=2"),
        Ask::get("/a%2Fb?x=1&y=2"),
        page().host("b.com"),
        page().host("shop.example.com:81"),
        page().https(),
    ] {
        assert_ne!(key(different.clone()), key(page()), "{different:?}");
    }
}

#[test]
fn only_a_trusted_peer_or_the_origin_says_the_scheme() {
    let mut config = shop();
    let scheme = |config: &Config, ask: Ask| wanted(config, &ask).scheme;
    let trusted = || Ask::get("/a").peer("10.1.2.3");
    assert_eq!(scheme(&config, Ask::get("/a").field("x-forwarded-proto", "https")), Scheme::Http);
    assert_eq!(scheme(&config, trusted().field("x-forwarded-proto", "https")), Scheme::Https);
    assert_eq!(scheme(&config, trusted().peer("::ffff:10.1.2.3").field("x-forwarded-proto", "HTTPS")), Scheme::Https);
    assert_eq!(scheme(&config, trusted().field("x-forwarded-proto", "http, https")), Scheme::Https);
    assert_eq!(scheme(&config, trusted().field("x-forwarded-proto", "gopher")), Scheme::Http);
    assert_eq!(
        scheme(&config, trusted().field("forwarded", "for=x;proto=http, for=y; Proto=\"https\"")),
        Scheme::Https
    );
    assert_eq!(
        scheme(&config, trusted().field("forwarded", "proto=https").field("x-forwarded-proto", "http")),
        Scheme::Http
    );
    assert_eq!(wanted(&config, &trusted().host("a.com:443").field("x-forwarded-proto", "https")).host, "a.com".into());

    let mut origin = testing::origin();
    origin.public_scheme = Some(Scheme::Https);
    config.origins = vec![origin.into()];
    assert_eq!(scheme(&config, Ask::get("/a")), Scheme::Https);
    assert_eq!(scheme(&config, trusted().field("x-forwarded-proto", "http")), Scheme::Https);
}

#[test]
fn variants_that_a_route_keys_on_have_keys_of_their_own() {
    let mut route = testing::route("/{*rest}");
    route.vary = VaryRule {
        headers: vec![HeaderName::from_static("accept-language"), HeaderName::from_static("rsc")],
        cookies: vec!["currency".into()],
    };
    let config = testing::config(vec![route]);
    let asks = [
        Ask::get("/a?_rsc=z"),
        Ask::get("/a").field("accept-language", ""),
        Ask::get("/a").field("accept-language", "de"),
        Ask::get("/a").field("cookie", "currency="),
        Ask::get("/a").field("cookie", "currency=eur"),
        Ask::get("/a").field("rsc", "1"),
        Ask::get("/a?_rsc=z").field("rsc", "1"),
        Ask::get("/a?_rsc=").field("rsc", "1"),
    ];
    let wanted: Vec<Wanted> = asks.iter().map(|ask| wanted(&config, ask)).collect();
    for (at, one) in wanted.iter().enumerate() {
        assert!(wanted[..at].iter().all(|other| other.key != one.key), "{:?}", asks[at]);
        assert_eq!((one.key.base_bytes(), one.key.uri_hash()), (wanted[0].key.base_bytes(), wanted[0].key.uri_hash()));
    }
    assert_eq!((&*wanted[0].target, &*wanted[6].target), ("/a", "/a?_rsc=z"));
    assert!(wanted[5].is_rsc && !wanted[0].is_rsc);
    assert_eq!(reason(&config, &Ask::get("/a").field("next-router-prefetch", "1")), Some("rsc"));
    assert_eq!(reason(&config, &Ask::get("/a").field("accept-language", &"x".repeat(MAX_VARIANT + 1))), Some("vary"));
}

#[test]
fn the_query_of_headers_routes_and_the_clients_own_tracking_are_kept() {
    let config = shop();
    let raw = wanted(&config, &Ask::get("/raw/a?b=%7e&utm_source=x&&a"));
    assert_eq!(
        (&*raw.target, raw.key.uri().query, raw.tracking),
        ("/raw/a?b=%7e&utm_source=x&&a", Some("b=%7e&utm_source=x&&a"), None)
    );
    assert_ne!(wanted(&config, &Ask::get("/raw/a?")).key, wanted(&config, &Ask::get("/raw/a")).key);
    let page = wanted(&config, &Ask::get("/a?gclid=1&b&utm_source=x"));
    assert_eq!((&*page.target, page.tracking.as_deref()), ("/a?b", Some("gclid=1&utm_source=x")));
    let bypass = page.bypass(BypassReason::Uncacheable);
    assert_eq!((&*bypass.target, bypass.reason.as_str()), (&b"/a?gclid=1&b&utm_source=x"[..], "uncacheable"));
}

#[test]
fn a_reading_that_leads_to_a_stricter_route_is_a_bypass_and_others_are_not() {
    let mut account = headers_route("/account/{*rest}");
    account.bypass_cookies = BypassCookies::Any;
    let mut open = headers_route("/static/{*rest}");
    open.bypass_cookies = BypassCookies::None;
    let config = testing::config(vec![account, open, testing::route("/p/{id}")]);
    // Web cache deception: the victim's cookies would render a page that everybody gets.
    let deception = Ask::get("/static/..%2Faccount/me");
    assert_eq!(reason(&config, &deception.clone().field("cookie", "sid=1")), Some("path"));
    assert_eq!(reason(&config, &deception), None);
    assert_eq!(reason(&config, &Ask::get("/static/..%2Fadmin")), Some("path"));
    for fine in ["/static/a;b/c", "/static/a%2Fb", "/static//a/", "/p/a%2Fb", "/p/a;b"] {
        assert_eq!(reason(&config, &Ask::get(fine)), None, "{fine}");
    }
}
