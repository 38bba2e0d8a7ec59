//! What a fallback page waits by: the long poll and its bounds, the cookie that ends the waiting whatever the render
//! does, and that no origin ever hears of either.

use super::fallback::{cookie, held, is_shell, poll, shows_at_once, token, visit};
use super::harness::{Answer, Ask, Breadbox, Client, Config, Origin, PATIENCE, crowd, eventually};
use std::time::Duration;

fn open_polls(proxy: &Breadbox) -> f64 {
    proxy.metric("breadbox_long_polls", &[])
}

#[test]
fn only_the_token_of_a_page_that_was_shown_opens_a_poll() {
    // Forged, changed, for another host, from another site, by another method: none, at once, and none reaches the origin.
    let (origin, gate) = held(Answer::html("page"));
    let proxy = Breadbox::start(shows_at_once(&origin, &[]));
    let shell = proxy.ask(&visit("/p"));
    let good = token(&shell);
    assert!(good.len() >= 64 && good.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{good}");
    let other = token(&proxy.ask(&visit("/p")));
    assert_ne!(good, other, "every page has its own");
    let last = if good.ends_with('A') { "B" } else { "A" };
    let cookie_value = cookie(&shell).split_once('=').expect("a pair").1.to_owned();
    let forged = [
        String::new(),
        "x".to_owned(),
        "A".repeat(good.len()),
        format!("{}{last}", &good[..good.len() - 1]),
        format!("{good}A"),
        format!("{good}/"),
        format!("{good}%00"),
        good.to_ascii_uppercase(),
        "%3Cscript%3Ealert(1)%3C/script%3E".to_owned(),
        "a".repeat(9000),
        cookie_value,
    ];
    for token in &forged {
        let answer = proxy.ask(&Ask::get(&format!("/.breadbox/wait/{token}")));
        assert_eq!((answer.status, answer.header("cache-control")), (404, Some("no-store")), "{token}");
        assert!(!answer.text().contains("script"));
    }
    assert_eq!(proxy.ask(&poll(&shell).header("Host", "other.test")).status, 404, "a token for another host");
    assert_eq!(proxy.ask(&poll(&shell).header("Sec-Fetch-Site", "cross-site")).status, 404);
    let posted = proxy.ask(&Ask::new("POST", &format!("/.breadbox/wait/{good}")));
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET")));
    assert_eq!(proxy.ask(&Ask::head(&format!("/.breadbox/wait/{good}"))).status, 405);
    // A body is not read, and what stands in it is no request.
    for ask in [poll(&shell).body("GET /x HTTP/1.1\r\n\r\n"), poll(&shell).chunked_body("x")] {
        let mut client = proxy.client();
        assert_eq!(client.ask(&ask).status, 400);
        assert!(client.is_closed_by_server());
    }
    assert_eq!(open_polls(&proxy), 0.0);
    gate.open();
    assert_eq!(proxy.ask(&poll(&shell)).status, 200);
    assert_eq!(proxy.ask(&poll(&shell)).status, 200, "a token that is used again says that it is over");
    assert_eq!(origin.count(), 1);
}

#[test]
fn nothing_below_our_path_reaches_an_origin_in_any_spelling() {
    let origin = Origin::start();
    let config = Config::new(&origin).route("/{*rest}", "off", &[]);
    let proxy = Breadbox::start(config);
    for target in [
        "/.breadbox",
        "/.breadbox/",
        "/.breadbox/wait",
        "/.breadbox/wait/x?y",
        "/.breadbox/anything/else",
        "/%2Ebreadbox/wait/x",
        "/%2e%62readbox/wait/x",
        "/a/../.breadbox/wait/x",
        "/.//.breadbox/x",
        "//.breadbox/wait/x",
        "/.breadbox%2Fwait%2Fx",
        "/.breadbox;a=1/wait/x",
        "/.breadbox%5Cwait",
        "/%252Ebreadbox/wait/x",
    ] {
        for method in ["GET", "POST", "OPTIONS"] {
            let answer = proxy.ask(&Ask::new(method, target));
            assert!(matches!(answer.status, 404 | 405), "{method} {target}: {}", answer.status);
        }
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(proxy.get("/.breadboxes").status, 200, "a neighbour is nobody's");
    assert_eq!(proxy.get("/x/.breadbox").status, 200);
}

/// A client that was shown a shell, and whose long poll is open.
fn waits_behind_a_shell(proxy: &Breadbox) -> Client {
    let shell = proxy.ask(&visit("/p"));
    let mut client = proxy.client();
    client.send(&poll(&shell)).expect("the proxy reads");
    eventually("the poll is open", PATIENCE, || open_polls(proxy) == 1.0);
    client
}

#[test]
fn a_poll_that_nobody_reads_any_more_is_closed() {
    let (origin, gate) = held(Answer::html("page"));
    let proxy = Breadbox::start(shows_at_once(&origin, &[]));
    let client = waits_behind_a_shell(&proxy);
    drop(client);
    eventually("the poll is closed", PATIENCE, || open_polls(&proxy) == 0.0);
    assert_eq!(proxy.metric("breadbox_long_polls_ended_total", &[("result", "left")]), 1.0);
    assert_eq!(proxy.metric("breadbox_fallbacks_given_up_total", &[]), 1.0);
    gate.open();
}

#[test]
fn polls_are_bounded_by_page_by_client_and_in_total() {
    // One more than each bound is told to come back; when a poll ends there is room again.
    let (origin, gate) = held(Answer::html("page"));
    let bounds = "long_polls: { per_token: 2, per_client: 3, total: 5 }";
    let proxy = Breadbox::start(shows_at_once(&origin, &[]).top(bounds).top("trusted_proxies: [ 127.0.0.1/32 ]"));
    let shells: Vec<_> = (0..3).map(|_| proxy.ask(&visit("/p"))).collect();
    let from = |shell: usize, client: &str| poll(&shells[shell]).header("X-Forwarded-For", client);
    let mut open: Vec<Client> = Vec::new();
    let mut opens = |ask: &Ask| {
        let mut client = proxy.client();
        client.send(ask).expect("the proxy reads");
        open.push(client);
        eventually("one more poll is open", PATIENCE, || open_polls(&proxy) == open.len() as f64);
    };
    let refused = |ask: &Ask, limit: &str, times: f64| {
        let answer = proxy.ask(ask);
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("3")), "{limit}");
        assert_eq!(proxy.metric("breadbox_long_polls_refused_total", &[("limit", limit)]), times, "{limit}");
    };
    opens(&from(0, "192.0.2.1"));
    opens(&from(0, "192.0.2.1"));
    refused(&from(0, "192.0.2.2"), "token", 1.0);
    opens(&from(1, "192.0.2.1"));
    refused(&from(1, "192.0.2.1"), "client", 1.0);
    opens(&from(1, "192.0.2.2"));
    opens(&from(2, "192.0.2.3"));
    refused(&from(2, "192.0.2.4"), "total", 1.0);
    drop(open.pop());
    eventually("there is room again", PATIENCE, || open_polls(&proxy) == 4.0);
    gate.open();
    for client in &mut open {
        assert_eq!(client.response().expect("an answer").status, 200);
    }
    eventually("all are closed", PATIENCE, || open_polls(&proxy) == 0.0);
}

#[test]
fn a_render_that_outlasts_the_hold_is_waited_for() {
    // The poll ends, and the visitor who comes back waits as everybody would; the token has not become another page.
    let (origin, gate) = held(Answer::html("at last"));
    let keys = ["revalidate: 1h", "fallback: { after: 0, hold: 300ms }"];
    let proxy = Breadbox::start(Config::isr(&origin, &keys));
    let shell = proxy.ask(&visit("/p"));
    let again = proxy.ask(&visit("/p").header("Cookie", &cookie(&shell)));
    assert!(is_shell(&again) || again.status == 200, "a second tab is shown it too, while there is time");
    let over = proxy.ask(&poll(&shell));
    assert_eq!((over.status, over.text().trim()), (200, "{\"state\":\"held\"}"));
    assert_eq!(proxy.metric("breadbox_fallbacks_given_up_total", &[]), 1.0);
    let mut client = proxy.client();
    client.send(&visit("/p").header("Cookie", &cookie(&shell))).expect("the proxy reads");
    gate.open();
    let page = client.response().expect("an answer");
    assert_eq!(page.text(), "at last");
    assert_eq!(origin.count(), 1);
}

#[test]
fn whatever_the_render_does_a_visitor_is_shown_one_page_and_then_the_answer() {
    // Uncacheable and not remembered, gone before the swap, a redirect, not found, refused: what came is what the
    // visitor gets, and no second fallback page.
    let cases = [
        ("uncacheable", Answer::html("yours").header("CDN-Cache-Control", "no-store"), 200, "yours"),
        ("cookie", Answer::html("yours").header("Set-Cookie", "a=1"), 200, "yours"),
        ("redirect", Answer::redirect(302, "/elsewhere"), 302, "origin says 302"),
        ("not-found", Answer::status(404), 404, "origin says 404"),
        ("forbidden", Answer::status(403), 403, "origin says 403"),
    ];
    for (name, answer, status, body) in cases {
        let (origin, gate) = held(answer);
        let proxy = Breadbox::start(shows_at_once(&origin, &["uncacheable_ttl: 0"]).admin("token: s3cret"));
        let shell = proxy.ask(&visit("/p?x=1"));
        assert!(is_shell(&shell), "{name}");
        gate.open();
        assert_eq!(proxy.ask(&poll(&shell)).status, 200, "{name}");
        // Gone again before the visitor comes back, as if it had been evicted.
        let purge = Ask::new("POST", "/-/purge").header("Authorization", "Bearer s3cret");
        assert_eq!(proxy.admin_ask(&purge.body("{\"all\": true, \"mode\": \"delete\"}")).status, 200);
        for _ in 0..3 {
            let answer = proxy.ask(&visit("/p?x=1").header("Cookie", &cookie(&shell)));
            assert_eq!((answer.status, answer.text().as_str()), (status, body), "{name}");
        }
    }
}

#[test]
fn the_cookie_is_for_us_alone() {
    // Not in a render, not in a key, not on a bypass, not on `headers` routes, and it makes no request a bypass.
    let origin = Origin::start();
    let config = Config::new(&origin)
        .route(
            "/isr",
            "isr",
            &["revalidate: 1h", "vary: { cookies: [__breadbox_wait, a] }", "fallback: { after: 20s }"],
        )
        .route("/off", "off", &[])
        .route("/{*rest}", "headers", &[]);
    let proxy = Breadbox::start(config);
    let with = |target: &str, cookie: &str| proxy.ask(&visit(target).header("Cookie", cookie));
    origin.answer("/shared", Answer::html("shared").header("Cache-Control", "max-age=60"));
    for (target, cookies, left) in [
        ("/isr", "__breadbox_wait=x; a=1", Some("a=1")),
        ("/off", "b=2; __breadbox_wait=x; a=1", Some("b=2; a=1")),
        ("/off?alone", "__breadbox_wait=x", None),
        ("/shared", "__breadbox_wait=x", None),
        ("/", "__breadbox_wait=x;c", Some("c")),
    ] {
        with(target, cookies);
        let seen = origin.requests(target).pop().expect("the origin was asked");
        assert_eq!(seen.header("cookie"), left, "{target}");
        assert!(!seen.text().contains("breadbox_wait"), "{target}");
    }
    assert!(with("/isr", "a=1").is_hit(), "it is in no key");
    assert!(with("/isr", "a=1; __breadbox_wait=y").is_hit());
    assert!(with("/shared", "__breadbox_wait=y").is_hit(), "`cookies: any` does not mean ours");
    let mut upgrade = proxy.client();
    let ask = Ask::get("/off?ws").header("Upgrade", "websocket").header("Connection", "Upgrade");
    let _ = upgrade.ask(&ask.header("Cookie", "__breadbox_wait=x; d=4"));
    assert_eq!(origin.requests("/off?ws")[0].header("cookie"), Some("d=4"));
}

#[test]
fn a_hundred_visitors_of_one_page_cause_one_render() {
    let (origin, gate) = held(Answer::html("page"));
    let proxy = Breadbox::start(shows_at_once(&origin, &[]));
    let shells = crowd(proxy.addr(), 100, |_, client| is_shell(&client.ask(&visit("/p"))));
    assert!(shells.iter().all(|shell| *shell));
    gate.open();
    eventually("the page is there", PATIENCE, || proxy.ask(&visit("/p")).is_hit());
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_stop_ends_the_polls() {
    let (origin, gate) = held(Answer::html("page"));
    let proxy = Breadbox::start(shows_at_once(&origin, &[]));
    let mut client = waits_behind_a_shell(&proxy);
    proxy.sigterm();
    assert_eq!(client.response().expect("an answer").text().trim(), "{\"state\":\"stopping\"}");
    drop(client);
    gate.open();
    proxy.wait_exit(Duration::from_secs(20));
}

#[test]
fn ten_thousand_open_polls_do_not_keep_a_page_from_being_served() {
    // As many connections as the machine allows, up to 10,000: all held, none in the way, memory bounded, one render.
    const POLLS: usize = 10_000;
    let (origin, gate) = held(Answer::html("page"));
    let bounds = "long_polls: { per_token: 1000, per_client: 20000, total: 20000 }";
    let proxy = Breadbox::start(shows_at_once(&origin, &[]).top(bounds));
    let before = proxy.rss_bytes();
    let polls = room_for(POLLS);
    let mut open = Vec::with_capacity(polls);
    let mut shell = proxy.ask(&visit("/p"));
    for i in 0..polls {
        if i % 1000 == 999 {
            shell = proxy.ask(&visit("/p"));
        }
        let mut client = proxy.client();
        client.send(&poll(&shell)).expect("the proxy reads");
        open.push(client);
    }
    eventually("all polls are open", 2 * PATIENCE, || open_polls(&proxy) == polls as f64);
    let each = proxy.rss_bytes().saturating_sub(before) / polls as u64;
    // A debug build keeps several times as much of each task as the product does.
    let most = if cfg!(debug_assertions) { 48 } else { 24 } * 1024;
    assert!(each < most, "{each} bytes a poll");
    assert!(is_shell(&proxy.ask(&visit("/p"))));
    gate.open();
    for client in &mut open {
        assert_eq!(client.response().expect("an answer").status, 200);
    }
    assert!(proxy.ask(&visit("/p")).is_hit());
    assert_eq!(origin.count(), 1);
    assert_eq!(proxy.metric("breadbox_long_polls_ended_total", &[("result", "answered")]), polls as f64);
}

/// How many connections this process can hold, up to `wanted`: each has two ends, the other in the child.
fn room_for(wanted: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux names its limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("there is a limit");
    let soft = line.split_whitespace().nth(3).and_then(|number| number.parse::<usize>().ok());
    soft.map_or(wanted, |soft| wanted.min(soft.saturating_sub(200)))
}

#[test]
fn a_token_is_not_in_the_log() {
    let (origin, gate) = held(Answer::html("page"));
    let proxy = Breadbox::start(shows_at_once(&origin, &[]).top("log: { access: on }"));
    let shell = proxy.ask(&visit("/p"));
    gate.open();
    assert_eq!(proxy.ask(&poll(&shell)).status, 200);
    let page = proxy.ask(&visit("/p").header("Cookie", &cookie(&shell)));
    assert_eq!(page.text(), "page");
    eventually("the poll is logged", PATIENCE, || proxy.count_logged("INFO", "\"/.breadbox\"") == 1);
    let value = cookie(&shell).split_once('=').expect("a pair").1.to_owned();
    assert!(proxy.logs().iter().all(|line| !line.contains(&token(&shell)) && !line.contains(&value)));
}

#[test]
fn a_visitor_who_leaves_takes_nothing_along() {
    // The render is nobody's: it goes on and lands.
    let (origin, gate) = held(Answer::html("page"));
    let proxy = Breadbox::start(shows_at_once(&origin, &[]));
    let mut client = proxy.client();
    assert!(is_shell(&client.ask(&visit("/p"))));
    drop(client);
    origin.wait_for_requests("/p", 1);
    gate.open();
    eventually("the page is there", PATIENCE, || proxy.ask(&visit("/p")).is_hit());
    assert_eq!((origin.count(), origin.aborted("/p")), (1, 0));
}
