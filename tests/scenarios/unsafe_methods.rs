//! Requests that change things reach the origin, and make what they changed invalid (RFC 9111 §4.4).

use super::harness::{Answer, Ask, Breadbox, Config, Gate, Origin};

const HOST: &str = "shop.test";

fn get(target: &str) -> Ask {
    Ask::get(target).header("Host", HOST)
}

/// A proxy with pages that only a change makes new.
fn with_pages(origin: &Origin, paths: &[&str]) -> Breadbox {
    let proxy = Breadbox::start(Config::isr(origin, &["revalidate: 1h", "vary: { headers: [ X-Variant ] }"]));
    for path in paths {
        proxy.ask(&get(path));
        assert!(proxy.ask(&get(path)).is_hit(), "{path}");
    }
    proxy
}

#[test]
fn a_successful_unsafe_request_invalidates_its_uri() {
    // POST, PUT, PATCH, DELETE and unknown methods: the next GET is rendered anew, in all variants.
    for method in ["POST", "PUT", "PATCH", "DELETE", "FROBNICATE"] {
        let origin = Origin::start();
        let proxy = with_pages(&origin, &["/p", "/other"]);
        let variant = get("/p").header("X-Variant", "b");
        proxy.ask(&variant);
        let changed = proxy.ask(&Ask::new(method, "/p").header("Host", HOST).body("change"));
        assert_eq!((changed.status, changed.is_bypass()), (200, true), "{method}");
        assert_eq!(origin.requests("/p")[2].body, b"change", "{method}");
        for (ask, nth) in [(get("/p"), 4), (variant, 5)] {
            let again = proxy.ask(&ask);
            assert_eq!((again.is_hit(), again.text()), (false, Origin::body("/p", nth)), "{method}");
        }
        assert!(proxy.ask(&get("/other")).is_hit(), "{method}");
    }
}

#[test]
fn a_failed_unsafe_request_invalidates_nothing() {
    // 4xx and 5xx changed nothing, so the page stays.
    for status in [400, 403, 404, 500, 503] {
        let origin = Origin::start();
        let proxy = with_pages(&origin, &["/p"]);
        origin.answer("/p", Answer::status(status));
        assert_eq!(proxy.ask(&Ask::new("POST", "/p").header("Host", HOST).body("x")).status, status);
        assert!(proxy.ask(&get("/p")).is_hit(), "{status}");
    }
}

#[test]
fn safe_methods_invalidate_nothing() {
    // GET, HEAD and OPTIONS are safe, and GET with a body is a bypass.
    let origin = Origin::start();
    let proxy = with_pages(&origin, &["/p"]);
    proxy.ask(&Ask::new("OPTIONS", "/p").header("Host", HOST));
    let with_body = proxy.ask(&get("/p").body("a body"));
    assert!(with_body.is_bypass());
    assert_eq!(origin.requests("/p").last().map(|seen| seen.body.clone()), Some(b"a body".to_vec()));
    assert!(proxy.ask(&get("/p")).is_hit());
}

#[test]
fn location_and_content_location_are_invalidated_too() {
    // On the same host, relative or absolute; URIs of other hosts are not touched.
    let cases = [
        ("Location", "/list", true),
        ("Content-Location", "/list", true),
        ("Location", "http://shop.test/list", true),
        ("Location", "list", true),
        ("Location", "http://evil.test/list", false),
        ("Content-Location", "//evil.test/list", false),
    ];
    for (name, value, invalidated) in cases {
        let origin = Origin::start();
        let proxy = with_pages(&origin, &["/list"]);
        let elsewhere = Ask::get("/list").header("Host", "evil.test");
        proxy.ask(&elsewhere);
        origin.answer("/form", Answer::html("done").with_status(303).header(name, value));
        assert_eq!(proxy.ask(&Ask::new("POST", "/form").header("Host", HOST).body("x")).status, 303);
        assert_eq!(proxy.ask(&get("/list")).is_hit(), !invalidated, "{name}: {value}");
        assert!(proxy.ask(&elsewhere).is_hit(), "{name}: {value} of another host");
    }
}

#[test]
fn a_render_that_began_before_the_change_is_not_kept() {
    // A render under way when the change succeeds may carry the old state, so the next request renders again.
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/p", move |x| {
        if x.seen.method == "GET" && x.nth == 1 {
            x.hold(&held)?;
        }
        let body = Origin::body("/p", x.nth);
        x.answer(&Answer::html(body))
    });
    let proxy = with_pages(&origin, &[]);
    let mut early = proxy.client();
    early.send(&get("/p")).expect("the proxy reads");
    origin.wait_for_requests("/p", 1);
    proxy.ask(&Ask::new("POST", "/p").header("Host", HOST).body("x"));
    let after = proxy.ask(&get("/p"));
    assert_eq!(after.text(), "page /p #3", "a request after the change does not join the render from before");
    gate.open();
    assert_eq!(early.response().expect("an answer").text(), "page /p #1");
    for _ in 0..5 {
        assert_eq!(proxy.ask(&get("/p")).text(), "page /p #3");
    }
}
