//! Requests that two parsers could read differently are refused, or read the one way that is safe
//! (RFC 9112 §11.2).

use super::harness::{Answer, Ask, Breadbox, Config, Origin};

/// What must never be asked at the origin: it only ever stands where a body or a field does.
const SMUGGLED: &str = "/smuggled";

fn proxy(origin: &Origin) -> Breadbox {
    let config = Config::new(origin).route("/off/{*rest}", "off", &[]).route("/{*rest}", "isr", &["revalidate: 1h"]);
    Breadbox::start(config)
}

/// Sends raw bytes on a connection of their own and returns the status of the first answer; 0 where there is none.
fn status_of(proxy: &Breadbox, raw: &str) -> u16 {
    let mut client = proxy.client();
    client.send_raw(raw.as_bytes()).expect("the proxy reads");
    client.finish();
    let all = client.everything();
    all.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_default()
}

#[test]
fn ambiguous_requests_are_refused() {
    // RFC 9112 wants 400 for each; none reaches the origin.
    let inner = format!("GET {SMUGGLED} HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let cl_te = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let refused = [
        ("length and chunked", format!("POST /off/p HTTP/1.1\r\nHost: a.test\r\n{cl_te}{inner}")),
        (
            "two lengths",
            format!("POST /off/p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n{inner}"),
        ),
        ("a list of lengths", format!("POST /off/p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0, 5\r\n\r\n{inner}")),
        ("a signed length", format!("POST /off/p HTTP/1.1\r\nHost: a.test\r\nContent-Length: +0\r\n\r\n{inner}")),
        ("a negative length", format!("POST /off/p HTTP/1.1\r\nHost: a.test\r\nContent-Length: -1\r\n\r\n{inner}")),
        (
            "an unknown coding",
            format!("POST /off/p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: xchunked\r\n\r\n{inner}"),
        ),
        (
            "chunked is not last",
            format!("POST /off/p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked, gzip\r\n\r\n{inner}"),
        ),
        ("no host", "GET /p HTTP/1.1\r\n\r\n".to_owned()),
        ("two hosts", "GET /p HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n".to_owned()),
        ("a bad host", "GET /p HTTP/1.1\r\nHost: a.test/x\r\n\r\n".to_owned()),
        ("a host with a user", "GET /p HTTP/1.1\r\nHost: u@a.test\r\n\r\n".to_owned()),
        ("a space in the target", "GET /p q HTTP/1.1\r\nHost: a.test\r\n\r\n".to_owned()),
        ("a space before the colon", "GET /p HTTP/1.1\r\nHost : a.test\r\n\r\n".to_owned()),
        ("a NUL in a value", "GET /p HTTP/1.1\r\nHost: a.test\r\nX-A: a\0b\r\n\r\n".to_owned()),
        ("a bare CR in a value", "GET /p HTTP/1.1\r\nHost: a.test\r\nX-A: a\rX-B: b\r\n\r\n".to_owned()),
        ("a folded field", "GET /p HTTP/1.1\r\nHost: a.test\r\nX-A: a\r\n Cookie: b\r\n\r\n".to_owned()),
        ("no target", "GET  HTTP/1.1\r\nHost: a.test\r\n\r\n".to_owned()),
        ("a target without a slash", "GET p HTTP/1.1\r\nHost: a.test\r\n\r\n".to_owned()),
        ("an unknown version", "GET /p HTTP/9.9\r\nHost: a.test\r\n\r\n".to_owned()),
    ];
    let origin = Origin::start();
    let proxy = proxy(&origin);
    for (what, raw) in &refused {
        let status = status_of(&proxy, raw);
        assert!(matches!(status, 0 | 400 | 501 | 505), "{what}: {status}");
    }
    assert_eq!(origin.count(), 0, "{:?}", origin.all_requests());
    assert_eq!(proxy.get("/p").text(), Origin::body("/p", 1), "the proxy goes on");
}

#[test]
fn odd_requests_are_refused_or_safe() {
    // Bare line feeds and strange chunks: whatever is answered, nothing inside a body is ever a request.
    let inner = format!("GET {SMUGGLED} HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let length = inner.len();
    let odd = [
        "GET /p HTTP/1.1\nHost: a.test\n\n".to_owned(),
        format!(
            "POST /off/p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n{length:x};\n\r\n{inner}\r\n0\r\n\r\n"
        ),
        format!("POST /off/p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{inner}"),
        format!(
            "POST /off/p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{inner}\r\n0\r\n\r\n"
        ),
        format!("GET /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n{inner}"),
        format!("HEAD /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n{inner}"),
        format!(
            "GET /p HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{inner}\r\n0\r\n\r\n"
        ),
    ];
    let origin = Origin::start();
    let proxy = proxy(&origin);
    for raw in &odd {
        let status = status_of(&proxy, raw);
        assert!(matches!(status, 0 | 200 | 400 | 405 | 501), "{raw:?}: {status}");
        assert_eq!(origin.renders(SMUGGLED), 0, "{raw:?}");
    }
}

#[test]
fn an_absolute_target_does_not_poison_another_host() {
    // Whichever of target and Host counts, the page is kept under the host that the origin was told.
    let origin = Origin::start();
    origin.otherwise(|x| {
        let body = format!("for {}", x.seen.header("x-forwarded-host").unwrap_or("nobody"));
        x.answer(&Answer::html(body))
    });
    let proxy = proxy(&origin);
    status_of(&proxy, "GET http://evil.test/p HTTP/1.1\r\nHost: good.test\r\nConnection: close\r\n\r\n");
    for host in ["good.test", "evil.test"] {
        assert_eq!(proxy.ask(&Ask::get("/p").header("Host", host)).text(), format!("for {host}"));
    }
}

#[test]
fn nominated_fields_never_poison_a_page() {
    // `Connection:` takes fields out on the way: a page is kept under what the origin saw.
    let origin = Origin::start();
    origin.otherwise(|x| {
        let seen = |name| x.seen.header(name).unwrap_or("none");
        let body = format!("{} {}", seen("x-tenant"), seen("cookie"));
        x.answer(&Answer::html(body))
    });
    let keys = &["revalidate: 1h", "vary: { headers: [ X-Tenant ] }", "bypass: { cookies: [ session ] }"];
    let proxy = Breadbox::start(Config::isr(&origin, keys));
    let tenant = Ask::get("/p").header("X-Tenant", "a");
    proxy.ask(&tenant.clone().header("Connection", "X-Tenant, keep-alive"));
    proxy.ask(&Ask::get("/p").header("Cookie", "session=1").header("Connection", "Cookie"));
    status_of(&proxy, "GET /p HTTP/1.1\r\nHost: a.test\r\nConnection: close, Host, X-Forwarded-Host\r\n\r\n");
    assert_eq!(proxy.ask(&tenant).text(), "a none");
    assert_eq!(proxy.get("/p").text(), "none none");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    // Hits, misses, bypasses and errors sent in one go come back one by one.
    let origin = Origin::start();
    let proxy = proxy(&origin);
    proxy.ask(&Ask::get("/hit").header("Host", "a.test"));
    let targets = ["/hit", "/miss/1", "/off/1", "/hit", "/miss/2", "/off/2", "/hit"];
    let raw: String = targets.iter().map(|t| format!("GET {t} HTTP/1.1\r\nHost: a.test\r\n\r\n")).collect();
    let mut client = proxy.client();
    client.send_raw(raw.as_bytes()).expect("the proxy reads");
    for target in targets {
        assert_eq!(client.response().expect("an answer").text(), Origin::body(target, 1));
    }
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    // `max_head` and `max_headers` bound what a client may send.
    let origin = Origin::start();
    let yaml: String = Config::isr(&origin, &[]).into();
    let limits = "  - address: 127.0.0.1:0\n    limits: { max_head: 8KiB, max_headers: 20 }\n";
    let proxy = Breadbox::start(yaml.replacen("  - address: 127.0.0.1:0\n", limits, 1));
    let long = format!("GET /p HTTP/1.1\r\nHost: a.test\r\nX-Long: {}\r\n\r\n", "x".repeat(9 * 1024));
    let many: String = (0..30).map(|n| format!("X-{n}: 1\r\n")).collect();
    let many = format!("GET /p HTTP/1.1\r\nHost: a.test\r\n{many}\r\n");
    for raw in [long, many] {
        let status = status_of(&proxy, &raw);
        assert!(matches!(status, 0 | 400 | 431), "{status}");
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(proxy.get("/p").status, 200);
}
