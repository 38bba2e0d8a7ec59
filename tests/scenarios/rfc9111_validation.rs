//! Conditions of clients, and what the origin's 304 and HEAD make of a page, on `cache: headers` (RFC 9110
//! §13, RFC 9111 §3.2, §4.3).

use super::harness::{Answer, Ask, Breadbox, Config, Origin, PATIENCE, eventually};

const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const NEW: &str = "Sat, 01 Jan 2000 00:00:00 GMT";

fn shared(origin: &Origin) -> Breadbox {
    Breadbox::start(Config::headers(origin, &["bypass: { cookies: none }"]))
}

/// An answer with validators that has to be validated each time.
fn validated(status: u16) -> Answer {
    let answer = Answer::new("page").with_status(status).header("Cache-Control", "no-cache");
    answer.header("ETag", "\"v1\"").header("Last-Modified", OLD)
}

#[test]
fn a_clients_condition_is_answered_from_the_page_on_misses_and_hits() {
    // RFC 9110 §13.2.2: `If-None-Match` before `If-Modified-Since`, weak there and strong in `If-Match`.
    let cases = [
        (vec![("If-None-Match", "\"v1\"")], 304),
        (vec![("If-None-Match", "\"x\", W/\"v1\"")], 304),
        (vec![("If-None-Match", "*")], 304),
        (vec![("If-None-Match", "\"v0\""), ("If-Modified-Since", NEW)], 200),
        (vec![("If-None-Match", "\"v1\""), ("If-Modified-Since", "0")], 304),
        (vec![("If-Modified-Since", NEW)], 304),
        (vec![("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT")], 200),
        (vec![("If-Match", "\"v1\"")], 200),
        (vec![("If-Match", "W/\"v1\"")], 412),
        (vec![("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:36 GMT")], 412),
        (vec![("If-Unmodified-Since", NEW)], 200),
    ];
    let origin = Origin::start();
    origin.otherwise(|x| {
        let answer = Answer::new("page").header("Cache-Control", "max-age=60");
        x.answer(&answer.header("ETag", "\"v1\"").header("Last-Modified", OLD))
    });
    let proxy = shared(&origin);
    for (number, (conditions, status)) in cases.iter().enumerate() {
        let path = format!("/{number}");
        let ask = conditions.iter().fold(Ask::get(&path), |ask, (name, value)| ask.header(name, value));
        for hit in [false, true] {
            let answer = proxy.ask(&ask);
            assert_eq!((answer.status, answer.is_hit()), (*status, hit), "{conditions:?}");
            assert!(*status != 304 || answer.header("etag") == Some("\"v1\""), "{conditions:?}");
        }
        let asked = &origin.requests(&path)[0];
        assert!(conditions.iter().all(|(name, _)| asked.header(name).is_none()), "the page is fetched whole");
    }
}

#[test]
fn a_304_updates_what_it_carries_and_leaves_the_body() {
    // RFC 9111 §3.2: all fields, except for those about the body and the connection.
    let origin = Origin::start();
    origin.on("/p", |x| {
        let first = x.seen.header("if-none-match").is_none();
        let (status, value) = if first { (200, "old") } else { (304, "new") };
        let answer = validated(status).header("X-Test", value).header("Content-Language", value);
        let answer = answer.header("Content-Encoding", value).header("Keep-Alive", value);
        x.answer(&if first {
            answer.header("X-Only", "1")
        } else {
            answer.header("Connection", "X-Hop").header("X-Hop", "1")
        })
    });
    let proxy = shared(&origin);
    proxy.get("/p");
    for _ in 0..2 {
        let answer = proxy.get("/p");
        assert_eq!((answer.status, answer.text().as_str()), (200, "page"));
        let fields = ["x-test", "content-language", "content-encoding", "x-only", "x-hop", "keep-alive"];
        let got = fields.map(|name| answer.header(name));
        assert_eq!(got, [Some("new"), Some("new"), Some("old"), Some("1"), None, None]);
    }
    let asked = &origin.requests("/p")[1];
    assert_eq!((asked.header("if-none-match"), asked.header("if-modified-since")), (Some("\"v1\""), Some(OLD)));
}

#[test]
fn a_304_for_another_page_is_not_believed() {
    // RFC 9111 §4.3.4: its validator is not ours, so the page is fetched anew.
    let origin = Origin::start();
    origin.on("/p", |x| match x.seen.header("if-none-match") {
        Some(_) => x.answer(&Answer::new("").with_status(304).header("ETag", "\"v2\"")),
        None => {
            x.answer(&Answer::new(format!("#{}", x.nth)).header("Cache-Control", "no-cache").header("ETag", "\"v1\""))
        }
    });
    let proxy = shared(&origin);
    proxy.get("/p");
    assert_eq!(proxy.get("/p").text(), "#3");
}

#[test]
fn a_304_that_changes_vary_selects_anew() {
    // RFC 9111 §3.2, §4.1: what the page varies on is what its last answer said.
    let origin = Origin::start();
    origin.on("/p", |x| match x.seen.header("if-none-match") {
        Some(_) => {
            let answer = Answer::new("").with_status(304).header("ETag", "\"v1\"").header("Vary", "X-V");
            x.answer(&answer.header("Cache-Control", "max-age=60"))
        }
        None => {
            let body = format!("{:?}", x.seen.header("x-v"));
            let answer = Answer::new(body).header("Cache-Control", "max-age=1").header("ETag", "\"v1\"");
            x.answer(&if x.nth == 1 { answer } else { answer.header("Vary", "X-V") })
        }
    });
    let proxy = shared(&origin);
    proxy.get("/p");
    eventually("the page is renewed", PATIENCE, || proxy.get("/p").cache_status().ttl.is_some_and(|ttl| ttl > 30));
    let other = proxy.ask(&Ask::get("/p").header("X-V", "1"));
    assert_eq!((other.cache_status().fwd.as_deref(), other.text().as_str()), (Some("vary-miss"), "Some(\"1\")"));
    let same = proxy.get("/p");
    assert_eq!((same.is_hit(), same.text().as_str()), (true, "None"));
}

#[test]
fn a_304_may_take_the_page_out_of_the_store() {
    // It says `no-store` now: who waited gets the page, the next client its own.
    let origin = Origin::start();
    origin.on("/p", |x| match x.seen.header("if-none-match") {
        Some(_) => x.answer(&Answer::new("").with_status(304).header("Cache-Control", "no-store")),
        None => x.answer(&validated(200)),
    });
    let proxy = shared(&origin);
    proxy.get("/p");
    assert_eq!(proxy.get("/p").text(), "page");
    proxy.get("/p");
    assert_eq!(origin.requests("/p")[2].header("if-none-match"), None);
}

#[test]
fn head_is_answered_from_the_page_and_renders_it() {
    // RFC 9110 §9.3.2: a HEAD on a miss fetches the page, so that the next GET is a hit.
    let origin = Origin::start();
    origin.answer("/p", Answer::new("page").header("Cache-Control", "max-age=60"));
    let proxy = shared(&origin);
    let head = || {
        let answer = proxy.ask(&Ask::head("/p"));
        assert_eq!((answer.status, answer.header("content-length"), answer.text().as_str()), (200, Some("4"), ""));
        answer
    };
    assert!(!head().is_hit());
    eventually("the page is stored", PATIENCE, || head().is_hit());
    assert!(proxy.get("/p").is_hit() && origin.requests("/p")[0].method == "GET");
}

#[test]
fn a_forwarded_head_that_shows_another_page_invalidates_the_stored_one() {
    // RFC 9111 §4.3.5: by its validators or its length.
    for (name, value, other) in [("ETag", "\"v1\"", false), ("ETag", "\"v2\"", true), ("X-None", "1", false)] {
        let origin = Origin::start();
        origin.on("/p", move |x| match x.seen.method.as_str() {
            "HEAD" => x.answer(&Answer::new("page").header("Cache-Control", "max-age=60").header(name, value)),
            _ => x.answer(&Answer::new("page").header("Cache-Control", "max-age=60").header("ETag", "\"v1\"")),
        });
        let proxy = shared(&origin);
        proxy.get("/p");
        assert!(proxy.ask(&Ask::head("/p").header("Cache-Control", "no-store")).is_bypass());
        assert_eq!(origin.requests("/p")[1].method, "HEAD");
        assert_eq!(proxy.get("/p").is_hit(), !other, "{name}: {value}");
    }
}
