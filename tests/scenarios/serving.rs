//! How a page is answered: HEAD, conditions (RFC 9110 §13), ranges (RFC 9110 §14), the fields browsers get, and
//! `Cache-Status` (RFC 9211).

use super::harness::{Answer, Ask, Breadbox, Config, Origin, PATIENCE, Response, eventually, until_body};
use std::io::{Read, Write};
use std::net::TcpStream;

const LAST_MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BODY: &str = "0123456789abcdefghijklmnopqrstuvwxyz";

/// A proxy that has one page with validators of the origin's, and one without.
fn with_pages() -> (Origin, Breadbox) {
    let origin = Origin::start();
    origin.answer("/v", Answer::html(BODY).header("ETag", "\"v1\"").header("Last-Modified", LAST_MODIFIED));
    origin.answer("/p", Answer::html(BODY));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    proxy.get("/v");
    proxy.get("/p");
    (origin, proxy)
}

#[test]
fn head_is_answered_from_the_page_of_get() {
    // HEAD gets GET's fields without a body, from the same page; a HEAD that comes first renders with GET.
    let (origin, proxy) = with_pages();
    let (got, head) = (proxy.get("/v"), proxy.ask(&Ask::head("/v")));
    assert!(head.is_hit() && head.body.is_empty());
    for name in ["content-length", "content-type", "etag", "last-modified", "cache-control"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    assert_eq!(head.header("content-length"), Some("36"));
    assert_eq!(origin.renders("/v"), 1);
    let mut client = proxy.client();
    let first = client.ask(&Ask::head("/cold"));
    assert_eq!((first.status, first.body.len()), (200, 0));
    eventually("the page is stored", PATIENCE, || client.get("/cold").is_hit());
    let methods: Vec<_> = origin.requests("/cold").into_iter().map(|seen| seen.method).collect();
    assert_eq!(methods, ["GET"]);
}

#[test]
fn a_condition_that_holds_gets_a_304() {
    // `If-None-Match` in every form, `If-Modified-Since`, and the first before the second.
    let (_origin, proxy) = with_pages();
    let not_modified: &[&[(&str, &str)]] = &[
        &[("If-None-Match", "\"v1\"")],
        &[("If-None-Match", "W/\"v1\"")],
        &[("If-None-Match", "\"other\", \"v1\"")],
        &[("If-None-Match", "*")],
        &[("If-Modified-Since", LAST_MODIFIED)],
        &[("If-Modified-Since", "Mon, 07 Nov 1994 08:49:37 GMT")],
        &[("If-None-Match", "\"v1\""), ("If-Modified-Since", "Sat, 05 Nov 1994 08:49:37 GMT")],
    ];
    for conditions in not_modified {
        for method in ["GET", "HEAD"] {
            let ask = conditions.iter().fold(Ask::new(method, "/v"), |ask, (n, v)| ask.header(n, v));
            let answer = proxy.ask(&ask);
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{method} {conditions:?}");
            assert_eq!(answer.header("etag"), Some("\"v1\""), "{conditions:?}");
            assert!(answer.header("cache-control").is_some(), "{conditions:?}");
            assert!(answer.is_hit());
        }
    }
    let modified: &[&[(&str, &str)]] = &[
        &[("If-None-Match", "\"v2\"")],
        &[("If-None-Match", "\"v2\""), ("If-Modified-Since", LAST_MODIFIED)],
        &[("If-Modified-Since", "Sat, 05 Nov 1994 08:49:37 GMT")],
        &[("If-Modified-Since", "not a date")],
    ];
    for conditions in modified {
        let ask = conditions.iter().fold(Ask::get("/v"), |ask, (n, v)| ask.header(n, v));
        let answer = proxy.ask(&ask);
        assert_eq!((answer.status, answer.text().as_str()), (200, BODY), "{conditions:?}");
    }
}

#[test]
fn a_page_without_a_validator_gets_a_strong_etag() {
    // The made ETag works in conditions, stays when a refresh brings the same bytes, and changes with the bytes.
    let origin = Origin::start();
    origin.on("/same", |x| x.answer(&Answer::html("always the same")));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 200ms"]));
    proxy.get("/same");
    let etag = proxy.get("/same").header("etag").expect("an ETag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");
    eventually("the page is refreshed", PATIENCE, || {
        assert_eq!(proxy.get("/same").header("etag"), Some(etag.as_str()));
        origin.renders("/same") >= 3
    });
    assert_eq!(proxy.ask(&Ask::get("/same").header("If-None-Match", &etag)).status, 304);
    proxy.get("/changes");
    let old = proxy.get("/changes").header("etag").expect("an ETag").to_owned();
    let new = until_body(proxy.addr(), &Ask::get("/changes"), &Origin::body("/changes", 2));
    assert_ne!(new.header("etag"), Some(old.as_str()));
    assert_eq!(proxy.ask(&Ask::get("/changes").header("If-None-Match", &old)).status, 200);
}

#[test]
fn a_range_gets_its_part() {
    // First, last and open ranges, with `Content-Range` and the right length; a stale `If-Range` gets all.
    let (origin, proxy) = with_pages();
    let ask = |range: &str| proxy.ask(&Ask::get("/v").header("Range", range));
    let parts = [
        ("bytes=0-9", "0123456789", "bytes 0-9/36"),
        ("bytes=10-", "abcdefghijklmnopqrstuvwxyz", "bytes 10-35/36"),
        ("bytes=-3", "xyz", "bytes 33-35/36"),
        ("bytes=30-1000", "uvwxyz", "bytes 30-35/36"),
        ("bytes=-1000", BODY, "bytes 0-35/36"),
    ];
    for (range, part, content_range) in parts {
        let answer = ask(range);
        assert_eq!((answer.status, answer.text().as_str()), (206, part), "{range}");
        assert_eq!(answer.header("content-range"), Some(content_range), "{range}");
        assert_eq!(answer.header("etag"), Some("\"v1\""), "{range}");
    }
    let beyond = ask("bytes=36-40");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */36")));
    for ignored in ["lines=0-1", "bytes=9-0", "bytes=x-y", "bytes="] {
        assert!(matches!(ask(ignored).status, 200 | 416), "{ignored}");
    }
    let if_range = |value: &str| proxy.ask(&Ask::get("/v").header("Range", "bytes=0-1").header("If-Range", value));
    assert_eq!(if_range("\"v1\"").status, 206);
    assert_eq!(if_range("\"v0\"").status, 200);
    assert_eq!(if_range("W/\"v1\"").status, 200, "If-Range compares strongly");
    assert_eq!(proxy.ask(&Ask::head("/v").header("Range", "bytes=0-1")).status, 200);
    assert_eq!(origin.renders("/v"), 1);
    assert!(origin.requests("/v")[0].header("range").is_none());
}

#[test]
fn several_ranges_come_as_parts() {
    // Two ranges are a multipart answer; a request for very many does not multiply the page.
    let (_origin, proxy) = with_pages();
    let answer = proxy.ask(&Ask::get("/v").header("Range", "bytes=0-1, -2"));
    assert_eq!(answer.status, 206);
    let content_type = answer.header("content-type").unwrap_or_default().to_owned();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    let boundary = boundary.trim_matches('"');
    let text = answer.text();
    for expected in ["Content-Range: bytes 0-1/36\r\n", "Content-Range: bytes 34-35/36\r\n"] {
        assert!(text.to_lowercase().contains(&expected.to_lowercase()), "{text}");
    }
    assert!(text.contains("\r\n\r\n01\r\n") && text.contains("\r\n\r\nyz\r\n"), "{text}");
    assert!(text.trim_end().ends_with(&format!("--{boundary}--")), "{text}");
    let many = vec!["0-"; 1000].join(",");
    let bomb = proxy.ask(&Ask::get("/v").header("Range", &format!("bytes={many}")));
    assert!(bomb.body.len() < 36 * 40, "{} bytes for 36", bomb.body.len());
}

#[test]
fn browsers_get_our_cache_control_and_no_field_of_the_origins() {
    // Fields that speak to caches are taken off, on the miss and on the hit; the route may name its own.
    let origin = Origin::start();
    origin.otherwise(|x| {
        let answer = Answer::html("page")
            .header("Cache-Control", "s-maxage=31536000")
            .header("Expires", "Thu, 01 Jan 2037 00:00:00 GMT")
            .header("Pragma", "public")
            .header("CDN-Cache-Control", "max-age=1000")
            .header("Surrogate-Control", "max-age=1000")
            .header("Surrogate-Key", "a b")
            .header("Cache-Tag", "product-1, list")
            .header("X-Kept", "yes");
        x.answer(&answer)
    });
    let config = Config::new(&origin)
        .route("/isr", "isr", &["revalidate: 1h", "tags: { header: Cache-Tag }"])
        .route("/static", "static", &["tags: { header: Cache-Tag }"])
        .route("/own", "isr", &["client_cache_control: \"public, max-age=5\""]);
    let proxy = Breadbox::start(config);
    let check = |answer: &Response, cache_control: &str| {
        assert_eq!(answer.all("cache-control"), [cache_control]);
        for name in ["expires", "pragma", "cdn-cache-control", "surrogate-control", "surrogate-key"] {
            assert_eq!(answer.header(name), None, "{name}");
        }
        assert_eq!(answer.header("x-kept"), Some("yes"));
    };
    for path in ["/isr", "/static"] {
        for answer in [proxy.get(path), proxy.get(path)] {
            check(&answer, "public, max-age=0, must-revalidate");
            assert_eq!(answer.header("cache-tag"), None, "tags stay with us");
        }
    }
    for answer in [proxy.get("/own"), proxy.get("/own")] {
        check(&answer, "public, max-age=5");
    }
}

#[test]
fn age_counts_from_the_origin_on() {
    // `Age` starts with what the origin's answer had and grows with the clock.
    let origin = Origin::start();
    origin.answer("/old", Answer::html("old").header("Age", "100"));
    origin.answer("/new", Answer::html("new"));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let age = |path: &str| proxy.get(path).header("age").and_then(|v| v.parse::<u32>().ok());
    proxy.get("/old");
    proxy.get("/new");
    assert!(age("/old").is_some_and(|age| (100..160).contains(&age)));
    let first = age("/new").expect("an Age on a hit");
    assert!(first < 60);
    eventually("the page grows older", PATIENCE, || age("/new").is_some_and(|age| age > first));
}

#[test]
fn cache_status_is_appended_to_the_origins() {
    // What the origin's own cache said stays in front of ours.
    let origin = Origin::start();
    origin.answer("/p", Answer::html("page").header("Cache-Status", "inner; fwd=miss"));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    for hit in [false, true] {
        let answer = proxy.get("/p");
        let all = answer.all("cache-status").join(", ");
        assert!(all.starts_with("inner; fwd=miss, breadbox; "), "{all}");
        assert_eq!(answer.is_hit(), hit);
    }
}

#[test]
fn a_redirect_gets_the_clients_own_tracking_parameters() {
    // They are appended when the redirect is served; the stored one has none, and nobody gets another's.
    let origin = Origin::start();
    origin.answer("/r", Answer::redirect(302, "/to?x=1#part"));
    origin.answer("/bare", Answer::redirect(301, "/to"));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let location = |target: &str| proxy.get(target).header("location").map(str::to_owned);
    for _ in 0..2 {
        assert_eq!(location("/r?utm_source=a&b=1").as_deref(), Some("/to?x=1&utm_source=a#part"));
        assert_eq!(location("/r?b=1&gclid=z").as_deref(), Some("/to?x=1&gclid=z#part"));
        assert_eq!(location("/r?b=1").as_deref(), Some("/to?x=1#part"));
        assert_eq!(location("/bare?fbclid=q").as_deref(), Some("/to?fbclid=q"));
    }
    assert_eq!((origin.renders("/r?b=1"), origin.renders("/r"), origin.renders("/bare")), (1, 1, 1));
}

#[test]
fn keep_alive_survives_every_kind_of_answer() {
    // One connection takes hits, misses, 304s, ranges, HEADs, errors and bypasses in a row.
    let origin = Origin::start();
    let config = Config::new(&origin).route("/api/{*rest}", "off", &[]).route("/{*rest}", "isr", &["revalidate: 1h"]);
    let proxy = Breadbox::start(config);
    let mut client = proxy.client();
    let etag = client.get("/p").header("etag").map(str::to_owned);
    for n in 1..=5 {
        assert_eq!(client.get("/p").text(), "page /p #1");
        assert_eq!(client.ask(&Ask::head("/p")).status, 200);
        assert_eq!(client.ask(&Ask::get("/p").header("Range", "bytes=0-3")).text(), "page");
        assert_eq!(client.ask(&Ask::get("/p").header("Range", "bytes=999-")).status, 416);
        if let Some(etag) = &etag {
            assert_eq!(client.ask(&Ask::get("/p").header("If-None-Match", etag)).status, 304);
        }
        assert_eq!(client.get("/api/x").text(), Origin::body("/api/x", n));
        assert_eq!(client.ask(&Ask::new("POST", "/api/y").body("data")).text(), Origin::body("/api/y", n));
    }
}

#[test]
fn an_answer_arrives_whatever_the_client_has_sent_behind_its_last_request() {
    // Bug: a connection was closed while bytes of the client's were unread; that resets it, and the client lost what
    // had not arrived yet. A miss and a hit, that is pingora's way to end a connection and the hit lane's.
    let origin = Origin::start();
    let page = "x".repeat(300_000);
    let answer = Answer::html(page.clone());
    origin.otherwise(move |x| x.answer(&answer));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    for (n, served) in [(1.0, "stored"), (2.0, "; hit")] {
        let mut client = TcpStream::connect(proxy.addr()).expect("the proxy listens");
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = b"GET /p HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
        client.write_all(&[&request[..], &[b'x'; 30_000]].concat()).expect("the proxy's buffer takes it");
        // The client has read nothing when the proxy has closed.
        eventually("the connection is closed", PATIENCE, || {
            proxy.metric("breadbox_requests_total", &[]) == n && proxy.metric("breadbox_connections", &[]) == 0.0
        });
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("the connection is not reset");
        let answer = String::from_utf8(answer).expect("text");
        assert!(answer.contains(served), "{}", &answer[..400]);
        assert!(answer.ends_with(&page), "{} bytes", answer.len());
    }
}
