//! Pages that depend on more than their URL: fields a route keys on, and `Vary` fields it does not
//! (RFC 9110 §12.5.5, RFC 9111 §4.1).

use super::harness::{Answer, Ask, Breadbox, Config, Origin};

/// An origin whose body repeats a field of the request, and whose answers carry these fields.
fn echo(name: &'static str, headers: &'static [(&'static str, &'static str)]) -> Origin {
    let origin = Origin::start();
    origin.otherwise(move |x| {
        let body = format!("{name}={}", x.seen.header(name).unwrap_or("none"));
        x.answer(&headers.iter().fold(Answer::html(body), |answer, (n, v)| answer.header(n, v)))
    });
    origin
}

#[test]
fn a_field_the_route_keys_on_makes_a_page_each() {
    // Two languages are two pages; the field reaches the origin; others do not.
    let origin = echo("Accept-Language", &[("Vary", "Accept-Language")]);
    let keys = &["revalidate: 1h", "vary: { headers: [ Accept-Language ] }"];
    let proxy = Breadbox::start(Config::isr(&origin, keys));
    let ask = |language: &str| proxy.ask(&Ask::get("/p").header("Accept-Language", language).header("X-Other", "1"));
    for _ in 0..3 {
        for language in ["de", "fr", "en"] {
            assert_eq!(ask(language).text(), format!("Accept-Language={language}"));
        }
        assert_eq!(proxy.get("/p").text(), "Accept-Language=none");
    }
    assert_eq!(origin.renders("/p"), 4);
    assert!(origin.requests("/p").iter().all(|seen| seen.header("x-other").is_none()));
}

#[test]
fn a_vary_the_route_does_not_key_on_makes_those_requests_bypasses() {
    // Requests that carry the field are bypasses, the first included; others share the page; one WARN names `vary:`.
    let origin = echo("X-Device", &[("Vary", "X-Device")]);
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let phone = Ask::get("/p").header("X-Device", "phone");
    let first = proxy.ask(&phone);
    assert_eq!(first.text(), "X-Device=phone");
    for _ in 0..3 {
        let own = proxy.ask(&phone);
        assert_eq!((own.text().as_str(), own.detail().as_deref()), ("X-Device=phone", Some("vary")));
        assert!(own.is_bypass());
        assert_eq!(proxy.get("/p").text(), "X-Device=none");
    }
    assert!(proxy.get("/p").is_hit());
    assert_eq!(proxy.count_logged("WARN", "vary"), 1);
}

#[test]
fn vary_fields_of_ours_do_not_count() {
    // `Accept-Encoding`, `Cookie`, and `Accept` where the visitor's takes HTML, keep no page from being shared.
    let origin = echo("X-Nothing", &[("Vary", "Accept-Encoding, Cookie, Accept")]);
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    proxy.get("/p");
    let browser = Ask::get("/p")
        .header("Accept", "text/html,*/*;q=0.8")
        .header("Accept-Encoding", "gzip, br")
        .header("Cookie", "seen=1");
    assert!(proxy.ask(&browser).is_hit());
    assert!(proxy.ask(&Ask::get("/p").header("Accept", "application/json")).is_bypass());
    assert_eq!(proxy.count_logged("WARN", "vary"), 0);
}

#[test]
fn rsc_requests_are_bypasses_unless_the_route_keys_on_them() {
    // Next.js data requests on a route without `vary: RSC` reach the origin as they came.
    let origin = Origin::start();
    origin.otherwise(|x| {
        let rsc = x.seen.header("rsc").unwrap_or("none").to_owned();
        let answer = if rsc == "1" {
            Answer::new("RSC=1").header("Content-Type", "text/x-component")
        } else {
            Answer::html(format!("RSC={rsc}"))
        };
        x.answer(&answer.header("Vary", "rsc, next-router-state-tree, Accept-Encoding"))
    });
    let config = Config::new(&origin).route("/plain", "isr", &["revalidate: 1h"]).route(
        "/keyed",
        "isr",
        &["revalidate: 1h", "query: none", "vary: { headers: [ RSC, Next-Router-State-Tree ] }"],
    );
    let proxy = Breadbox::start(config);
    let rsc = |path: &str| Ask::get(&format!("{path}?_rsc=abc")).header("RSC", "1");
    for _ in 0..2 {
        let own = proxy.ask(&rsc("/plain"));
        assert!(own.is_bypass());
        assert_eq!(own.text(), "RSC=1");
    }
    assert!(origin.requests("/plain").iter().all(|seen| seen.target == "/plain?_rsc=abc"));
    assert_eq!(proxy.ask(&rsc("/keyed")).text(), "RSC=1");
    assert_eq!(proxy.get("/keyed?_rsc=abc").text(), "RSC=none");
    assert!(proxy.ask(&rsc("/keyed")).is_hit() && proxy.get("/keyed?_rsc=xyz").is_hit());
    let targets: Vec<_> = origin.requests("/keyed").into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/keyed?_rsc=abc", "/keyed"], "_rsc counts with RSC and only with it");
}

#[test]
fn a_headers_route_selects_by_the_responses_vary() {
    // RFC 9111 §4.1: each language gets the page made for it.
    let origin = echo("Accept-Language", &[("Vary", "Accept-Language"), ("Cache-Control", "max-age=1000")]);
    let proxy = Breadbox::start(Config::headers(&origin, &[]));
    for round in 0..3 {
        for language in ["de", "fr"] {
            let answer = proxy.ask(&Ask::get("/p").header("Accept-Language", language));
            assert_eq!(answer.text(), format!("Accept-Language={language}"));
            assert!(round == 0 || answer.is_hit(), "{language}: {:?}", answer.cache_status());
        }
        assert_eq!(proxy.get("/p").text(), "Accept-Language=none");
    }
    assert_eq!(origin.renders("/p"), 3);
}

#[test]
fn variants_are_capped_and_still_right() {
    // Beyond `max_variants` everybody still gets the page for their own language.
    let origin = echo("Accept-Language", &[]);
    let keys = &["revalidate: 1h", "max_variants: 2", "vary: { headers: [ Accept-Language ] }"];
    let proxy = Breadbox::start(Config::isr(&origin, keys));
    for _ in 0..3 {
        for n in 0..6 {
            let language = format!("x-{n}");
            let answer = proxy.ask(&Ask::get("/p").header("Accept-Language", &language));
            assert_eq!(answer.text(), format!("Accept-Language={language}"));
        }
    }
    assert!(proxy.metric("breadbox_store_pages", &[]) <= 2.0);
}
