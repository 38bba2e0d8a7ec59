//! What a request is called: `X-Request-Id` in and out, and W3C Trace Context passed on.

use super::harness::{Answer, Ask, Breadbox, Config, Origin, Response, until_stale};
use std::collections::HashSet;

fn id(response: &Response) -> String {
    let ids = response.all("x-request-id");
    assert_eq!(ids.len(), 1, "{ids:?}");
    ids[0].to_owned()
}

fn three_kinds(origin: &Origin) -> Breadbox {
    origin.otherwise(|x| {
        let body = Origin::body(&x.seen.target, x.nth);
        // As Rails does: every answer names its request.
        x.answer(&Answer::html(body).header("X-Request-Id", "of-the-origin").header("Cache-Control", "max-age=60"))
    });
    let config = Config::new(origin)
        .route("/isr/{*rest}", "isr", &["revalidate: 1h"])
        .route("/off/{*rest}", "off", &[])
        .route("/headers/{*rest}", "headers", &["bypass: { cookies: none }"]);
    Breadbox::start(config)
}

#[test]
fn every_answer_names_its_request() {
    // A miss, a hit, a bypass, a range, a 304, a HEAD, a refusal: a new name each time, never the origin's nor a page's.
    let origin = Origin::start();
    let proxy = three_kinds(&origin);
    let asks = [
        Ask::get("/isr/a"),
        Ask::get("/isr/a"),
        Ask::head("/isr/a"),
        Ask::get("/isr/a").header("Range", "bytes=0-1"),
        Ask::get("/headers/a"),
        Ask::get("/headers/a"),
        Ask::get("/off/a"),
        Ask::new("POST", "/isr/a").body("x"),
        Ask::get("/none"),
        Ask::get("/isr/a").header("Host", "a b"),
    ];
    let names: Vec<_> = asks.iter().map(|ask| id(&proxy.ask(ask))).collect();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), asks.len(), "{names:?}");
    for name in &names {
        assert!(name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
    }
}

#[test]
fn a_name_that_came_with_the_request_is_kept_if_it_is_well_formed() {
    // The client gets its own name back on a hit, a miss and a bypass; what is no name is replaced.
    let origin = Origin::start();
    let proxy = three_kinds(&origin);
    for path in ["/isr/a", "/isr/a", "/headers/a", "/headers/a", "/off/a"] {
        let answer = proxy.ask(&Ask::get(path).header("X-Request-Id", "Root=1-6789:a/b"));
        assert_eq!(id(&answer), "Root=1-6789:a/b", "{path}");
    }
    let long = "a".repeat(129);
    for bad in ["a b", "<b>", "\"a\"", "a,b", "", "é", &long] {
        let answer = proxy.ask(&Ask::get("/off/b").header("X-Request-Id", bad));
        assert_eq!(id(&answer).len(), 32, "{bad:?}");
    }
    let twice = Ask::get("/off/b").header("X-Request-Id", "one").header("X-Request-Id", "two");
    assert_eq!(id(&proxy.ask(&twice)).len(), 32);
    for seen in origin.requests("/off/b") {
        let sent = seen.all("x-request-id");
        assert!(sent.len() == 1 && sent[0].len() == 32, "{sent:?}");
    }
}

#[test]
fn the_origin_is_told_the_name_of_a_bypass_and_of_a_shared_render() {
    // What the client sent, or what was made for it, is what the origin sees, with the trace.
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let origin = Origin::start();
    let proxy = three_kinds(&origin);
    for path in ["/off/a", "/headers/a"] {
        let ask = Ask::get(path).header("traceparent", trace).header("tracestate", "a=1");
        let named = proxy.ask(&ask.header("X-Request-Id", "mine"));
        let seen = &origin.requests(path)[0];
        assert_eq!((id(&named).as_str(), seen.all("x-request-id")), ("mine", vec!["mine"]), "{path}");
        assert_eq!((seen.header("traceparent"), seen.header("tracestate")), (Some(trace), Some("a=1")), "{path}");
        let other = format!("{path}/b");
        let made = id(&proxy.get(&other));
        assert_eq!(origin.requests(&other)[0].all("x-request-id"), [made.as_str()], "{path}");
    }
}

#[test]
fn an_anonymous_render_has_a_name_of_its_own() {
    // A miss and a refresh are each called something new: neither the visitor's name nor its trace is in them.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 200ms"]));
    let ask = Ask::get("/p").header("X-Request-Id", "visitor").header("traceparent", "00-visitor");
    assert_eq!(id(&proxy.ask(&ask)), "visitor");
    until_stale(proxy.addr(), &ask);
    let names: HashSet<_> = origin
        .wait_for_requests("/p", 2)
        .iter()
        .map(|seen| {
            assert_eq!(seen.header("traceparent"), None);
            seen.header("x-request-id").expect("a render has a name").to_owned()
        })
        .collect();
    assert!(names.len() == 2 && names.iter().all(|name| name.len() == 32), "{names:?}");
}

#[test]
fn a_failed_render_is_logged_by_its_name() {
    // The WARN of a render names what the origin was told, so that its own log can be searched.
    let origin = Origin::start();
    origin.otherwise(|x| x.answer(&Answer::status(500)));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    proxy.get("/p");
    let name = origin.wait_for_requests("/p", 1)[0].header("x-request-id").expect("a name").to_owned();
    proxy.wait_for_output(&name);
    assert_eq!(proxy.count_logged("WARN", &name), 1);
}
