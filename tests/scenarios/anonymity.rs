//! Nothing of a visitor is in a render that others will see: no cookie, credential, condition or
//! forwarding field; and a `Set-Cookie` is never seen by a second client.

use super::harness::{Answer, Ask, Breadbox, Config, Origin, Seen, until_stale};

/// Occurs in everything the visitor says about itself.
const MARKER: &str = "visitor-secret";

/// Fields a render may carry.
const ALLOWED: &[&str] = &[
    "host",
    "user-agent",
    "accept",
    "accept-encoding",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
    "connection",
    "via",
];

/// A request with everything a visitor can say.
fn chatty(target: &str) -> Ask {
    let named = [
        "Cookie",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Real-IP",
        "X-Original-URL",
        "X-Original-Host",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "Via",
        "User-Agent",
        "Accept-Language",
        "Referer",
        "Origin",
        "X-Custom",
        "Sec-Fetch-Site",
        "Proxy-Authorization",
        "True-Client-IP",
        "CF-Connecting-IP",
        "Client-IP",
        "X-Client-IP",
        "X-Forwarded-Server",
        "X-Forwarded-Prefix",
        "traceparent",
        "tracestate",
    ];
    let ask = named.iter().fold(Ask::get(target), |ask, name| ask.header(name, &format!("a={MARKER}")));
    ask.header("Host", "site.test")
        .header("X-Forwarded-Host", "evil.test")
        .header("Forwarded", "for=192.0.2.1;host=evil.test;proto=https")
        .header("Accept", "text/html, text/visitor-secret")
        .header("If-None-Match", "\"visitor-secret\"")
        .header("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT")
        .header("X-Request-Id", MARKER)
        .header("Range", "bytes=0-1")
        .header("If-Range", "\"visitor-secret\"")
        .header("Cache-Control", "no-cache")
        .header("Pragma", "no-cache")
}

fn assert_anonymous(seen: &Seen) {
    let text = seen.text();
    assert!(!text.contains(MARKER) && !text.contains("evil.test") && !text.contains("192.0.2.1"), "{text}");
    for (name, _) in &seen.headers {
        assert!(ALLOWED.contains(&name.to_ascii_lowercase().as_str()), "{name} in a render:\n{text}");
    }
    assert_eq!((seen.method.as_str(), seen.body_len), ("GET", 0));
    assert_eq!(seen.header("x-forwarded-host"), Some("site.test"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert!(seen.header("accept").is_some_and(|v| v.starts_with("text/html")), "{text}");
    assert!(seen.header("user-agent").is_some_and(|v| v.contains("breadbox")), "{text}");
}

#[test]
fn nothing_of_the_visitor_is_in_a_render() {
    // Foreground and background renders of `isr` and `static` carry our fields and the key's, nothing else.
    let origin = Origin::start();
    let config = Config::new(&origin).route("/isr", "isr", &["revalidate: 200ms"]).route("/static", "static", &[]);
    let proxy = Breadbox::start(config);
    for path in ["/isr", "/static"] {
        proxy.ask(&chatty(path));
        assert_anonymous(&origin.wait_for_requests(path, 1)[0]);
    }
    let stale = chatty("/isr");
    let plain = Ask::get("/isr").header("Host", "site.test");
    until_stale(proxy.addr(), &plain);
    proxy.ask(&stale);
    for seen in origin.wait_for_requests("/isr", 2) {
        assert_anonymous(&seen);
    }
}

#[test]
fn a_refresh_started_by_a_chatty_visitor_is_anonymous() {
    // The visitor that finds the page stale leaves no trace in the refresh either.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 200ms"]));
    let chatty = Ask::get("/p")
        .header("Host", "site.test")
        .header("Cookie", "session=visitor-secret")
        .header("X-Forwarded-For", "visitor-secret")
        .header("User-Agent", "visitor-secret");
    proxy.ask(&chatty);
    until_stale(proxy.addr(), &chatty);
    for seen in origin.wait_for_requests("/p", 2) {
        assert_anonymous(&seen);
    }
}

#[test]
fn a_shared_cache_route_passes_end_to_end_fields_only() {
    // On `headers` the visitor's own end-to-end fields reach the origin; conditions, ranges and spoofed fields do not.
    let origin = Origin::start();
    origin.answer("/p", Answer::html("page").header("Cache-Control", "max-age=60"));
    let proxy = Breadbox::start(Config::headers(&origin, &["bypass: { cookies: none }"]));
    proxy.ask(&chatty("/p"));
    let seen = &origin.wait_for_requests("/p", 1)[0];
    for name in ["If-None-Match", "If-Modified-Since", "Range", "If-Range", "Forwarded", "X-Real-IP", "X-Forwarded-For"]
    {
        assert_eq!(seen.header(name), None, "{name}");
    }
    for name in ["X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-HTTP-Method", "Proxy-Authorization"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("x-custom"), Some("a=visitor-secret"));
    assert_eq!(seen.header("cookie"), Some("a=visitor-secret"));
    assert_eq!(seen.all("x-forwarded-host"), ["site.test"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
}

#[test]
fn a_set_cookie_never_reaches_a_second_client() {
    // Each client gets a cookie of its own or none: on `isr`, on `headers` with a lifetime, and stripped where asked.
    let origin = Origin::start();
    origin.otherwise(|x| {
        let cookie = format!("session={}", x.nth);
        let body = Origin::body(&x.seen.target, x.nth);
        x.answer(&Answer::html(body).header("Cache-Control", "s-maxage=1000").header("Set-Cookie", &cookie))
    });
    let config = Config::new(&origin)
        .route("/isr", "isr", &["revalidate: 1h"])
        .route("/from-headers", "isr", &["revalidate: { from: headers, default: 1h }"])
        .route("/headers", "headers", &[])
        .route("/strip", "isr", &["revalidate: 1h", "set_cookie: strip"]);
    let proxy = Breadbox::start(config);
    for path in ["/isr", "/from-headers", "/headers"] {
        let cookies: Vec<_> = (0..5).map(|_| proxy.get(path).header("set-cookie").map(str::to_owned)).collect();
        let mut seen: Vec<_> = cookies.iter().flatten().collect();
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all, "{path}: {cookies:?}");
    }
    for _ in 0..3 {
        assert_eq!(proxy.get("/strip").header("set-cookie"), None);
    }
    assert_eq!(origin.renders("/strip"), 1, "a page whose cookie is stripped is stored");
}
