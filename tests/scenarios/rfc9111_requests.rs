//! What a client's own directives do on `cache: headers` (RFC 9111 §5.2.1, §5.4), and what
//! `Cache-Status` says of every outcome (RFC 9211).

use super::harness::{Answer, Ask, Breadbox, Config, Origin, PATIENCE, eventually};

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|x| {
        let body = format!("#{}", x.nth);
        x.answer(&Answer::new(body).header("Cache-Control", "max-age=60"))
    });
    origin
}

fn asking(directive: &str) -> Ask {
    Ask::get("/p").header("Cache-Control", directive)
}

#[test]
fn a_clients_directives_decide_on_a_headers_route() {
    // Each against a page that is fresh for a minute.
    let stays = ["max-age=50", "min-fresh=30", "max-stale", "only-if-cached", "nothing-to-see-here"];
    let asks = ["no-cache", "max-age=0", "min-fresh=600"];
    let origin = origin();
    let proxy = Breadbox::start(Config::headers(&origin, &["bypass: { cookies: none }"]));
    proxy.get("/p");
    for directive in stays {
        assert!(proxy.ask(&asking(directive)).is_hit(), "{directive}");
    }
    for directive in asks {
        let before = origin.renders("/p");
        let answer = proxy.ask(&asking(directive));
        assert_eq!(answer.text(), format!("#{}", before + 1), "{directive}");
        assert_eq!(answer.cache_status().fwd.as_deref(), Some("request"), "{directive}");
        assert_eq!(proxy.get("/p").text(), answer.text(), "{directive}: what was fetched is stored");
    }
    let old = Ask::get("/p").header("Pragma", "no-cache");
    assert!(!proxy.ask(&old).is_hit() && proxy.ask(&old.header("Cache-Control", "max-age=50")).is_hit());
}

#[test]
fn no_store_keeps_the_answer_out() {
    // RFC 9111 §5.2.1.5: the next client gets the page that was there before, or renders its own.
    let origin = origin();
    let proxy = Breadbox::start(Config::headers(&origin, &["bypass: { cookies: none }"]));
    let own = proxy.ask(&asking("no-store"));
    assert_eq!((own.is_bypass(), own.detail().as_deref()), (true, Some("no-store")));
    assert_eq!(proxy.get("/p").text(), "#2");
    assert_eq!(proxy.ask(&asking("no-store")).text(), "#3");
    assert_eq!((proxy.get("/p").is_hit(), proxy.get("/p").text().as_str()), (true, "#2"));
}

#[test]
fn only_if_cached_never_reaches_the_origin() {
    // RFC 9111 §5.2.1.7: 504 where there is nothing.
    let origin = origin();
    let proxy = Breadbox::start(Config::headers(&origin, &["bypass: { cookies: none }"]));
    let answer = proxy.ask(&asking("only-if-cached"));
    assert_eq!((answer.status, answer.detail().as_deref()), (504, Some("only-if-cached")));
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_client_may_accept_a_stale_page() {
    // RFC 9111 §5.2.1.2: without asking the origin, where the page allows it.
    let origin = Origin::start();
    origin.on("/p", |x| {
        let body = format!("#{}", x.nth);
        x.answer(&Answer::new(body).header("Cache-Control", "max-age=1"))
    });
    let proxy = Breadbox::start(Config::headers(&origin, &["bypass: { cookies: none }"]));
    proxy.get("/p");
    eventually("the page is stale", PATIENCE, || proxy.ask(&asking("max-stale=600")).is_stale());
    assert_eq!(origin.renders("/p"), 1);
    assert_eq!(proxy.get("/p").text(), "#2");
}

#[test]
fn a_route_need_not_listen_to_clients() {
    // `honour_request_cache_control: false`, and `isr` always.
    let origin = origin();
    let deaf = ["bypass: { cookies: none }", "honour_request_cache_control: false"];
    for config in [Config::headers(&origin, &deaf), Config::isr(&origin, &["revalidate: 1h"])] {
        let proxy = Breadbox::start(config);
        proxy.get("/p");
        for directive in ["no-cache", "no-store", "max-age=0", "only-if-cached"] {
            assert!(proxy.ask(&asking(directive)).is_hit(), "{directive}");
        }
    }
}

#[test]
fn cache_status_says_why_for_every_outcome() {
    // RFC 9211: the words of each way through.
    let origin = origin();
    origin.on("/etag", |x| {
        let status = if x.seen.header("if-none-match").is_some() { 304 } else { 200 };
        let answer = Answer::new("page").with_status(status).header("Cache-Control", "no-cache");
        x.answer(&answer.header("ETag", "\"v1\""))
    });
    origin.answer("/private", Answer::new("x").header("Cache-Control", "private"));
    origin.answer("/vary", Answer::new("x").header("Cache-Control", "max-age=60").header("Vary", "X-V"));
    let proxy = Breadbox::start(Config::headers(&origin, &["bypass: { cookies: none }"]).route("/off", "off", &[]));
    for (ask, said) in [
        (Ask::get("/a"), "fwd=uri-miss; stored"),
        (Ask::get("/a").header("Range", "bytes=0-0"), "hit"),
        (Ask::get("/a").header("Cache-Control", "no-cache"), "fwd=request; stored"),
        (Ask::get("/a").header("Cache-Control", "no-store"), "fwd=bypass; detail=no-store"),
        (Ask::new("POST", "/a").body("x"), "fwd=method"),
        (Ask::get("/a").header("Range", "bytes=0-0"), "fwd=uri-miss; fwd-status=200; stored"),
        (Ask::get("/etag"), "fwd=uri-miss; stored"),
        (Ask::get("/etag"), "fwd=stale; fwd-status=304; stored"),
        (Ask::get("/etag").header("If-None-Match", "\"v1\""), "fwd=stale; fwd-status=304; stored"),
        (Ask::get("/private"), "fwd=uri-miss; detail=private"),
        (Ask::get("/private"), "fwd=bypass; detail=uncacheable"),
        (Ask::get("/vary"), "fwd=uri-miss; stored"),
        (Ask::get("/vary").header("X-V", "1"), "fwd=vary-miss; stored"),
        (Ask::get("/off"), "fwd=bypass; detail=off"),
        (Ask::get("/none").header("Cache-Control", "only-if-cached"), "detail=only-if-cached"),
    ] {
        let answer = proxy.ask(&ask);
        let all = answer.all("cache-status");
        assert!(all.len() == 1 && all[0].starts_with(&format!("breadbox; {said}")), "{ask:?}: {all:?}, not {said}");
        assert_eq!(said == "hit", all[0].contains("; hit"), "{ask:?}");
    }
}
