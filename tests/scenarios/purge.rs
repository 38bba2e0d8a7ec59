//! Purging by `POST /-/purge` and `breadbox purge`: what is covered, what becomes of it, and what a
//! render that began before it may not do.

use super::harness::{
    Answer, Ask, Breadbox, Client, Config, Gate, Origin, PATIENCE, Response, Run, eventually, until_body,
};

const TOKEN: &str = "s3cret";

/// Pages that only a purge makes new, and only when somebody asks for them.
fn config(origin: &Origin) -> Config {
    let keys = ["revalidate: 1h", "vary: { headers: [ X-Variant ] }", "query: [ q ]"];
    Config::isr(origin, &keys).admin(&format!("token: {TOKEN}")).top("purge_refresh: 0")
}

fn start(origin: &Origin) -> Breadbox {
    Breadbox::start(config(origin))
}

fn post(proxy: &Breadbox, body: &str) -> Response {
    let ask = Ask::new("POST", "/-/purge").header("Authorization", &format!("Bearer {TOKEN}")).body(body);
    proxy.admin_ask(&ask)
}

#[track_caller]
fn purge(proxy: &Breadbox, body: &str) -> serde_json::Value {
    let answer = post(proxy, body);
    assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    serde_json::from_str(&answer.text()).expect("the answer is JSON")
}

fn on(host: &str, target: &str) -> Ask {
    Ask::get(target).header("Host", host)
}

/// Asks for each until it is a hit.
#[track_caller]
fn store(proxy: &Breadbox, asks: &[Ask]) {
    for ask in asks {
        eventually("the page is stored", PATIENCE, || proxy.ask(ask).is_hit());
    }
}

fn is_fresh(answer: &Response) -> bool {
    answer.is_hit() && !answer.is_stale()
}

/// Which of these are not served fresh any more.
fn gone(proxy: &Breadbox, asks: &[Ask]) -> Vec<bool> {
    asks.iter().map(|ask| !is_fresh(&proxy.ask(ask))).collect()
}

#[test]
fn what_a_purge_names_is_covered_and_nothing_else() {
    // A path means all queries, variants and hosts, unless it has a query or a host is given.
    let pages = [
        on("a.test", "/p"),
        on("a.test", "/p").header("X-Variant", "b"),
        on("a.test", "/p?q=1"),
        on("a.test", "/p?q=1&utm_source=x"),
        on("b.test", "/p"),
        on("a.test", "/p/below"),
        on("a.test", "/other"),
    ];
    for (body, covered) in [
        (r#"{"path": "/p"}"#, [1, 1, 1, 1, 1, 0, 0]),
        (r#"{"path": "/%70/../p"}"#, [1, 1, 1, 1, 1, 0, 0]),
        (r#"{"path": "/p?q=1"}"#, [0, 0, 1, 1, 0, 0, 0]),
        (r#"{"path": "/p?utm_source=y"}"#, [1, 1, 0, 0, 1, 0, 0]),
        (r#"{"path": "https://A.test/p"}"#, [1, 1, 1, 1, 0, 0, 0]),
        (r#"{"path": "/p", "host": "b.test"}"#, [0, 0, 0, 0, 1, 0, 0]),
        (r#"{"path": ["/other", "/p/below"]}"#, [0, 0, 0, 0, 0, 1, 1]),
        (r#"{"prefix": "/p"}"#, [1, 1, 1, 1, 1, 1, 0]),
        (r#"{"prefix": "/p/"}"#, [0, 0, 0, 0, 0, 1, 0]),
        (r#"{"host": "b.test"}"#, [0, 0, 0, 0, 1, 0, 0]),
        (r#"{"all": true}"#, [1, 1, 1, 1, 1, 1, 1]),
    ] {
        let origin = Origin::start();
        let proxy = start(&origin);
        // The fourth page is the third, asked for with a parameter that does not count.
        store(&proxy, &pages);
        let deleting = body.replacen('{', r#"{"mode": "delete", "#, 1);
        purge(&proxy, &deleting);
        // One page at a time: what was covered is rendered and stored by being asked for.
        for (ask, covered) in pages.iter().zip(covered).rev() {
            if ask.target.contains("utm_source") {
                continue;
            }
            assert_eq!(gone(&proxy, std::slice::from_ref(ask)), [covered == 1], "{body}: {ask:?}");
        }
    }
}

#[test]
fn a_deleted_page_is_never_served_again_on_any_connection() {
    // Effective for the next request on every thread, also on connections that are open already.
    let origin = Origin::start();
    let proxy = Breadbox::start(config(&origin).top("threads: 4"));
    let mut clients: Vec<Client> = (0..16).map(|_| proxy.client()).collect();
    for round in 1..=10 {
        let body = Origin::body("/p", round);
        clients.iter_mut().for_each(|client| assert_eq!(client.get("/p").text(), body));
        purge(&proxy, r#"{"path": "/p", "mode": "delete"}"#);
    }
    assert_eq!(origin.renders("/p"), 10);
}

#[test]
fn by_default_a_purged_page_is_served_stale_while_it_is_rendered_once() {
    // `mode: stale`: the old page at once with `detail=stale`, one render, then the new page; within its lifetime too.
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/p", move |x| {
        if x.nth > 1 {
            x.hold(&held)?;
        }
        let body = Origin::body("/p", x.nth);
        x.answer(&Answer::html(body))
    });
    let proxy = start(&origin);
    store(&proxy, &[Ask::get("/p")]);
    let answer = purge(&proxy, r#"{"path": "/p"}"#);
    assert_eq!((answer["mode"].as_str(), answer["accepted"][0]["path"].as_str()), (Some("stale"), Some("/p")));
    for _ in 0..20 {
        let stale = proxy.get("/p");
        assert_eq!((stale.text().as_str(), stale.is_stale()), ("page /p #1", true));
        assert_eq!((stale.detail().as_deref(), stale.cache_status().ttl), (Some("stale"), None));
    }
    gate.open();
    assert!(until_body(proxy.addr(), &Ask::get("/p"), "page /p #2").is_hit());
    assert_eq!(origin.renders("/p"), 2);
}

#[test]
fn a_page_kept_until_purged_can_be_purged_stale() {
    // `static` pages have no lifetime that a purge could end, and are refreshed all the same.
    let origin = Origin::start();
    let config = Config::new(&origin).route("/{*rest}", "static", &[]).admin("token: s3cret").top("purge_refresh: 0");
    let proxy = Breadbox::start(config);
    store(&proxy, &[Ask::get("/p")]);
    purge(&proxy, r#"{"all": true}"#);
    let stale = proxy.get("/p");
    assert_eq!((stale.text(), stale.is_stale()), (Origin::body("/p", 1), true));
    assert!(until_body(proxy.addr(), &Ask::get("/p"), &Origin::body("/p", 2)).is_hit());
}

#[test]
fn a_purged_page_that_must_not_be_used_stale_is_waited_for() {
    // The response forbids stale use, so the next request after a purge waits for the render.
    let origin = Origin::start();
    let script = |body: String| Answer::html(body).header("Cache-Control", "max-age=1000, must-revalidate");
    origin.on("/p", move |x| x.answer(&script(Origin::body("/p", x.nth))));
    let proxy = Breadbox::start(Config::headers(&origin, &[]).admin("token: s3cret"));
    store(&proxy, &[Ask::get("/p")]);
    purge(&proxy, r#"{"path": "/p"}"#);
    assert_eq!(proxy.get("/p").text(), Origin::body("/p", 2));
}

#[test]
fn the_origin_being_down_keeps_what_was_purged_stale() {
    // A stale purge cannot take the site down; a deletion can.
    let origin = Origin::start();
    let proxy = start(&origin);
    store(&proxy, &[Ask::get("/stale"), Ask::get("/deleted")]);
    origin.stop();
    purge(&proxy, r#"{"path": "/stale"}"#);
    purge(&proxy, r#"{"path": "/deleted", "mode": "delete"}"#);
    for _ in 0..3 {
        assert_eq!(proxy.get("/stale").text(), Origin::body("/stale", 1));
        assert!(proxy.get("/deleted").status >= 502);
    }
}

#[test]
fn a_render_that_began_before_a_purge_never_lets_the_old_content_in_as_fresh() {
    // Deleted: not stored at all. Stale: at best stale. And who asks after the purge does not join it.
    for (mode, by_tag) in [("delete", false), ("stale", false), ("delete", true), ("stale", true)] {
        let origin = Origin::start();
        let gate = Gate::closed();
        let held = gate.clone();
        origin.on("/p", move |x| {
            if x.nth == 1 {
                x.hold(&held)?;
            }
            let body = Origin::body("/p", x.nth);
            x.answer(&Answer::html(body).header("Cache-Tag", "t"))
        });
        let proxy = start(&origin);
        let mut early = proxy.client();
        early.send(&Ask::get("/p")).expect("the proxy reads");
        origin.wait_for_requests("/p", 1);
        let what = if by_tag { r#""tag": "t""# } else { r#""path": "/p""# };
        purge(&proxy, &format!(r#"{{{what}, "mode": "{mode}"}}"#));
        assert_eq!(proxy.get("/p").text(), "page /p #2", "{mode} {by_tag}");
        gate.open();
        assert_eq!(early.response().expect("an answer").text(), "page /p #1");
        eventually("the page is stored", PATIENCE, || proxy.get("/p").is_hit());
        for _ in 0..10 {
            let after = proxy.get("/p");
            assert_eq!((after.text().as_str(), is_fresh(&after)), ("page /p #2", true), "{mode} {by_tag}");
        }
    }
}

#[test]
fn a_render_that_lands_after_its_purge_leaves_nothing_fresh_behind() {
    // Nobody asks between the purge and the landing: a stale page at best, and nothing of a deleted one.
    for (mode, stale) in [("stale", true), ("delete", false)] {
        let origin = Origin::start();
        let gate = Gate::closed();
        let held = gate.clone();
        origin.on("/p", move |x| {
            if x.nth == 1 {
                x.hold(&held)?;
            }
            let body = Origin::body("/p", x.nth);
            x.answer(&Answer::html(body))
        });
        let proxy = start(&origin);
        let mut early = proxy.client();
        early.send(&Ask::get("/p")).expect("the proxy reads");
        origin.wait_for_requests("/p", 1);
        purge(&proxy, &format!(r#"{{"all": true, "mode": "{mode}"}}"#));
        gate.open();
        assert_eq!(early.response().expect("an answer").text(), "page /p #1");
        // The page is stored a moment after its last byte was sent.
        eventually("the render has landed", PATIENCE, || proxy.metric("breadbox_renders_in_flight", &[]) == 0.0);
        let next = proxy.get("/p");
        assert_eq!((next.is_hit(), next.is_stale()), (stale, stale), "{mode}");
        assert_eq!(next.text(), Origin::body("/p", if stale { 1 } else { 2 }), "{mode}");
        assert!(until_body(proxy.addr(), &Ask::get("/p"), "page /p #2").is_hit());
    }
}

#[test]
fn a_304_to_a_refresh_that_began_before_a_purge_does_not_renew() {
    // The origin confirmed what it had before the purge; that is no news of what it has now.
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/p", move |x| {
        if x.nth == 2 {
            x.hold(&held)?;
            return x.answer(&Answer::status(304).header("ETag", "\"1\""));
        }
        let lifetime = if x.nth == 1 { "s-maxage=1" } else { "s-maxage=1000" };
        let body = Origin::body("/p", x.nth);
        x.answer(&Answer::html(body).header("Cache-Control", lifetime).header("ETag", &format!("\"{}\"", x.nth)))
    });
    let keys = ["revalidate: { from: headers, default: 60s }"];
    let proxy = Breadbox::start(Config::isr(&origin, &keys).admin("token: s3cret").top("purge_refresh: 0"));
    proxy.get("/p");
    eventually("the refresh has been asked for", PATIENCE, || {
        proxy.get("/p");
        origin.renders("/p") == 2
    });
    purge(&proxy, r#"{"path": "/p", "mode": "delete"}"#);
    gate.open();
    for _ in 0..5 {
        assert_eq!(proxy.get("/p").text(), "page /p #3");
    }
}

#[test]
fn popular_pages_are_rendered_again_before_anybody_asks() {
    // After a stale purge the most popular pages come first, one after the other, with a quarter of the
    // origin's renders at most, in every variant.
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.otherwise(move |x| {
        if x.nth > 1 && x.seen.header("x-variant").is_none() {
            x.hold(&held)?;
        }
        let body = Origin::body(&x.seen.target, x.nth);
        x.answer(&Answer::html(body))
    });
    let keys = ["revalidate: 1h", "vary: { headers: [ X-Variant ] }"];
    let proxy = Breadbox::start(Config::isr(&origin, &keys).admin("token: s3cret").origin("max_renders: 4"));
    let paths = ["/first?a=1&b=2", "/second", "/third"];
    for (path, visits) in paths.iter().zip([30, 20, 10]) {
        store(&proxy, &[Ask::get(path)]);
        (0..visits).for_each(|_| drop(proxy.get(path)));
    }
    let variant = Ask::get("/variant").header("X-Variant", "v");
    store(&proxy, std::slice::from_ref(&variant));
    purge(&proxy, r#"{"all": true}"#);
    for (n, path) in paths.iter().enumerate() {
        origin.wait_for_in_flight(1);
        let asked: Vec<String> = origin.all_requests().iter().skip(4).map(|seen| seen.target.clone()).collect();
        assert_eq!(asked, paths[..=n], "{path}");
        gate.let_through(1);
        let next = n + 6;
        eventually("the next page is asked for", PATIENCE, || origin.count() >= next.min(8));
    }
    eventually("the last one is rendered", PATIENCE, || origin.renders("/variant") == 2);
    eventually("they are stored", PATIENCE, || is_fresh(&proxy.ask(&variant)));
    for path in paths {
        let page = proxy.get(path);
        assert_eq!((page.text(), is_fresh(&page)), (Origin::body(path, 2), true));
    }
    assert_eq!(proxy.metric("breadbox_purge_refreshes_total", &[]), 4.0);
}

#[test]
fn beyond_max_purge_rules_more_is_covered_and_never_less() {
    // The oldest rule merges into one that covers every page that is as old.
    let origin = Origin::start();
    let proxy = Breadbox::start(config(&origin).top("max_purge_rules: 2"));
    let pages = [Ask::get("/a"), Ask::get("/b"), Ask::get("/untouched")];
    store(&proxy, &pages);
    purge(&proxy, r#"{"path": ["/a", "/elsewhere"]}"#);
    assert_eq!(proxy.metric("breadbox_purge_rules", &[]), 2.0);
    assert!(is_fresh(&proxy.get("/untouched")));
    store(&proxy, &[Ask::get("/later")]);
    purge(&proxy, r#"{"path": "/third"}"#);
    assert_eq!(proxy.metric("breadbox_purge_rules", &[]), 2.0);
    assert_eq!(proxy.metric("breadbox_purge_rules_merged_total", &[]), 1.0);
    for ask in &pages {
        assert!(!is_fresh(&proxy.ask(ask)), "{ask:?} is older than the rule that merged");
    }
    assert!(is_fresh(&proxy.get("/later")));
}

#[test]
fn a_bad_request_says_what_is_wrong_and_purges_nothing() {
    let origin = Origin::start();
    let proxy = start(&origin);
    store(&proxy, &[Ask::get("/p")]);
    for (body, why) in [
        ("", "not JSON"),
        ("{}", "nothing is named"),
        (r#"{"pth": "/p"}"#, "`pth` is not known"),
        (r#"{"path": ["/p", 7]}"#, "`path` is neither text nor a list of texts"),
        (r#"{"path": "/p", "mode": "soft"}"#, "`mode` is neither"),
        (r#"{"path": "/p", "all": true}"#, "exclude each other"),
    ] {
        let refused = post(&proxy, body);
        assert_eq!(refused.status, 400, "{body}");
        assert!(refused.text().contains(why), "{body}: {}", refused.text());
    }
    assert_eq!(post(&proxy, &"x".repeat(65 * 1024)).status, 413);
    assert!(is_fresh(&proxy.get("/p")));
    assert_eq!(proxy.metric("breadbox_purges_total", &[]), 0.0);
}

#[test]
fn purges_are_counted_by_kind_and_mode() {
    let origin = Origin::start();
    let proxy = start(&origin);
    purge(&proxy, r#"{"tag": ["a b", "c"], "mode": "delete"}"#);
    purge(&proxy, r#"{"host": "secret.test"}"#);
    let count = |kind, mode| proxy.metric("breadbox_purges_total", &[("kind", kind), ("mode", mode)]);
    assert_eq!((count("tag", "delete"), count("host", "stale"), count("all", "stale")), (3.0, 1.0, 0.0));
    assert!(!proxy.admin_ask(&Ask::get("/metrics")).text().contains("secret"));
}

#[test]
fn the_command_purges_and_says_what_was_accepted() {
    // `breadbox purge` takes address and token from the configuration, the command line or both.
    let origin = Origin::start();
    let proxy = start(&origin);
    store(&proxy, &[Ask::get("/p")]);
    let admin = format!("http://{}", proxy.admin_addr());
    let yaml = String::from(config(&origin))
        .replace("admin:\n  address: 127.0.0.1:0", &format!("admin:\n  address: {}", proxy.admin_addr()));
    let done = Run::with_config(&["purge", "--path", "/p?", "--mode", "delete"], &yaml);
    assert_eq!(done.code, Some(0), "{}", done.output);
    assert!(done.output.contains("purged path /p?") && done.output.contains("mode delete"), "{}", done.output);
    assert_eq!(proxy.get("/p").text(), Origin::body("/p", 2));

    let run = |args: &[&str]| Run::with_config(&[&["purge", "--admin", &admin], args].concat(), "");
    assert_eq!(run(&["--token", TOKEN, "--tag", "a", "b"]).code, Some(0));
    for (args, code, why) in [
        (&["--all", "--token", "wrong"][..], 1, "the token is wrong"),
        (&["--all"], 1, "the token is wrong"),
        (&["--path", "p", "--token", TOKEN], 1, "is not a path"),
        (&["--all", "--path", "/p"], 2, "cannot be used with"),
        (&[], 2, "required"),
    ] {
        let refused = run(args);
        assert_eq!(refused.code, Some(code), "{args:?}: {}", refused.output);
        assert!(refused.output.contains(why) && !refused.output.contains(TOKEN), "{args:?}: {}", refused.output);
    }
    let nobody = Run::with_config(&["purge", "--all", "--admin", "http://127.0.0.1:9", "--token", TOKEN], "");
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.output.contains("cannot talk to the admin listener at 127.0.0.1:9"), "{}", nobody.output);
}
