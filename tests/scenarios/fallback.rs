//! A visitor who asks for a page that nobody has rendered yet is shown another one meanwhile, and gets the page when
//! it is there: who is shown it, what it says and what it does not, and how it gives way.

use super::harness::{Answer, Ask, Breadbox, Config, Gate, Origin, PATIENCE, Response, eventually};

/// A navigation, as a browser makes it.
pub(crate) fn visit(path: &str) -> Ask {
    Ask::get(path)
        .header("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        .header("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "document")
}

/// Whether this is a fallback page.
#[track_caller]
pub(crate) fn is_shell(response: &Response) -> bool {
    response.detail().as_deref() == Some("fallback")
}

/// The token that a fallback page waits by.
#[track_caller]
pub(crate) fn token(shell: &Response) -> String {
    let text = shell.text();
    let (_, rest) = text.split_once("data-wait=\"").unwrap_or_else(|| panic!("no token in {text}"));
    rest.split('"').next().expect("it ends").to_owned()
}

/// The cookie that it leaves, as it is sent back.
#[track_caller]
pub(crate) fn cookie(shell: &Response) -> String {
    let set = shell.header("set-cookie").expect("a cookie");
    set.split(';').next().expect("a pair").to_owned()
}

/// The long poll of a fallback page.
pub(crate) fn poll(shell: &Response) -> Ask {
    Ask::get(&format!("/.breadbox/wait/{}", token(shell)))
}

/// An origin whose answers stand at a gate.
pub(crate) fn held(answer: Answer) -> (Origin, Gate) {
    let (origin, gate) = (Origin::start(), Gate::closed());
    let held = gate.clone();
    origin.otherwise(move |x| {
        x.hold(&held)?;
        x.answer(&answer)
    });
    (origin, gate)
}

/// One `isr` route that shows the page at once.
pub(crate) fn shows_at_once(origin: &Origin, keys: &[&str]) -> Config {
    let keys: Vec<&str> =
        ["revalidate: 1h", "fallback: { page: builtin, after: 0 }"].into_iter().chain(keys.iter().copied()).collect();
    Config::isr(origin, &keys)
}

#[test]
fn a_visitor_is_shown_a_page_at_once_and_gets_the_real_one_when_it_is_rendered() {
    // The seed of it all: the shell, one long poll, the page; everybody after that has a hit.
    let (origin, gate) = held(Answer::html("<p>product 4711"));
    let proxy = Breadbox::start(shows_at_once(&origin, &[]));
    let mut client = proxy.client();
    let shell = client.ask(&visit("/products/4711"));
    assert_eq!((shell.status, shell.header("cache-control")), (200, Some("no-store")));
    assert_eq!(shell.all("cache-status"), ["breadbox; fwd=uri-miss; detail=fallback"]);
    assert_eq!((shell.header("x-robots-tag"), shell.header("cdn-cache-control")), (Some("noindex"), Some("no-store")));
    assert_eq!(shell.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(
        shell.text().contains("role=\"status\"") && shell.text().contains("<noscript><meta http-equiv=\"refresh\"")
    );
    origin.wait_for_requests("/products/4711", 1);

    let mut poll_connection = proxy.client();
    poll_connection.send(&poll(&shell)).expect("the proxy reads");
    eventually("the poll is open", PATIENCE, || proxy.metric("breadbox_long_polls", &[]) == 1.0);
    gate.open();
    let over = poll_connection.response().expect("an answer");
    assert_eq!((over.status, over.text().trim()), (200, "{\"state\":\"answered\"}"));
    assert!(shell.header("x-request-id").is_some() && over.header("x-request-id").is_some());
    assert_eq!((over.header("cache-control"), over.header("set-cookie")), (Some("no-store"), None));

    let page = client.ask(&visit("/products/4711").header("Cookie", &cookie(&shell)));
    assert_eq!((page.status, page.text()), (200, "<p>product 4711".to_owned()));
    assert!(page.header("set-cookie").is_none() && page.header("content-security-policy").is_none());
    // A client may have read all of a page before it is stored.
    eventually("the page is stored", PATIENCE, || proxy.ask(&visit("/products/4711")).is_hit());
    assert_eq!(origin.count(), 1);
    assert_eq!(proxy.metric("breadbox_fallbacks_shown_total", &[]), 1.0);
    assert_eq!(proxy.metric("breadbox_requests_total", &[("outcome", "fallback")]), 1.0);
    eventually("the swap is counted", PATIENCE, || proxy.metric("breadbox_fallback_swaps_total", &[]) == 1.0);
    assert_eq!(proxy.metric("breadbox_fallback_swap_seconds_count", &[]), 1.0);
    assert_eq!(proxy.metric("breadbox_long_polls", &[]), 0.0);
    assert_eq!(proxy.metric("breadbox_fallbacks_given_up_total", &[]), 0.0);
    // The cookie lives on for a while; the page has given way once.
    assert!(client.ask(&visit("/products/4711").header("Cookie", &cookie(&shell))).is_hit());
    assert_eq!(proxy.metric("breadbox_fallback_swaps_total", &[]), 1.0);
}

#[test]
fn a_fast_render_never_shows_one() {
    // `after` is how long the real page has; an answer within it is streamed as if there were no fallback.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["fallback: { after: 20s }"]));
    let page = proxy.ask(&visit("/p"));
    assert!(!is_shell(&page));
    assert_eq!(page.text(), Origin::body("/p", 1));
    assert!(page.header("set-cookie").is_none());
}

#[test]
fn nobody_but_visitors_is_shown_one() {
    // Everybody else waits for the one render and gets its real status.
    let (origin, gate) = held(Answer::status(404));
    let proxy = Breadbox::start(shows_at_once(&origin, &["vary: { headers: [RSC] }"]));
    let others = [
        Ask::head("/p").header("Accept", "text/html"),
        Ask::get("/p"),
        Ask::get("/p").header("Accept", "application/json"),
        visit("/p").header("Sec-Purpose", "prefetch"),
        visit("/p").header("User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        Ask::get("/p").header("Accept", "text/html").header("Sec-Fetch-Mode", "cors"),
        Ask::get("/p").header("Accept", "text/html").header("X-Requested-With", "XMLHttpRequest"),
    ];
    let mut clients: Vec<_> = others.iter().map(|ask| (proxy.client(), ask)).collect();
    for (client, ask) in &mut clients {
        client.send(ask).expect("the proxy reads");
    }
    origin.wait_for_requests("/p", 1);
    assert!(is_shell(&proxy.ask(&visit("/p"))), "a visitor of the same page meanwhile");
    gate.open();
    for (client, ask) in &mut clients {
        assert_eq!(client.response().expect("an answer").status, 404, "{ask:?}");
    }
    assert_eq!(origin.count(), 1);
    let rsc = Ask::get("/q").header("Accept", "text/html").header("RSC", "1");
    assert_eq!(proxy.ask(&rsc).status, 404);
}

#[test]
fn crawlers_are_those_of_the_file() {
    let (origin, gate) = held(Answer::html("page"));
    let proxy = Breadbox::start(shows_at_once(&origin, &[]).top("crawlers: [ Shopwatch ]"));
    let with = |path: &str, agent: &str| Ask::get(path).header("Accept", "text/html").header("User-Agent", agent);
    assert!(is_shell(&proxy.ask(&with("/a", "Googlebot/2.1"))), "the list in the file replaces the shipped one");
    let mut watch = proxy.client();
    watch.send(&with("/b", "SHOPWATCH 1.0")).expect("the proxy reads");
    origin.wait_for_requests("/b", 1);
    gate.open();
    assert_eq!(watch.response().expect("an answer").text(), "page");
}

#[test]
fn a_page_that_can_be_served_is_never_in_the_shadow_of_one() {
    // Only a miss shows it: not a stale hit, whose refresh runs.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1ms", "fallback: { after: 0 }"]));
    proxy.get("/p");
    for _ in 0..20 {
        assert!(proxy.ask(&visit("/p")).is_hit());
    }
}

#[test]
fn the_shell_is_the_file_of_the_route_with_its_status_and_policy() {
    let (origin, gate) = held(Answer::html("page"));
    let html =
        "<!doctype html><html lang=de><head><title>Moment</title></head><body><p role=status>Moment…</body></html>";
    let config = Config::isr(&origin, &["fallback: { page: shell.html, after: 0, status: 202 }"]);
    let proxy = Breadbox::start_with(config, &[], &[("shell.html", html)]);
    let shell = proxy.ask(&visit("/p"));
    assert_eq!(shell.status, 202);
    let text = shell.text();
    assert!(text.starts_with("<!doctype html><html lang=de><head><title>Moment</title><noscript>"), "{text}");
    assert!(text.ends_with("</script>\n</head><body><p role=status>Moment…</body></html>"), "{text}");
    let policy = shell.header("content-security-policy").expect("a policy");
    assert!(policy.contains("script-src 'self' 'sha256-") && policy.contains("connect-src 'self'"), "{policy}");
    gate.open();
}

#[test]
fn nothing_of_a_request_is_in_the_shell() {
    // Markup and quotes in path, query, host and fields; the cookie's path is cut where it could say more.
    let (origin, gate) = held(Answer::html("page"));
    let proxy = Breadbox::start(shows_at_once(&origin, &[]));
    let plain = proxy.ask(&visit("/p"));
    let without_token = |shell: &Response| shell.text().replace(&token(shell), "");
    for target in [
        "/%3Cscript%3Ealert(1)%3C/script%3E",
        "/%22onload=alert(1)?q='%22%3E%3Cscript%3E",
        "/'onload=alert(1)'",
        "/a;Path=/;Domain=evil.test?x;y",
        "/a%0d%0aSet-Cookie:%20x=1",
        "/q?__proto__=1&x=%00",
    ] {
        let shell = proxy.ask(&visit(target).header("X-Evil", "<script>").header("Referer", "http://e.test/<script>"));
        assert!(is_shell(&shell), "{target}: {:?}", shell.head.headers);
        assert_eq!(without_token(&shell), without_token(&plain), "{target}");
        let set = shell.header("set-cookie").expect("a cookie");
        let attributes: Vec<&str> = set.split("; ").skip(1).collect();
        assert_eq!(attributes.len(), 4, "{target}: {set}");
        assert!(attributes[0].starts_with("Path=/") && !set.contains("evil") && !set.contains('<'), "{target}: {set}");
        assert_eq!(&attributes[1..], ["Max-Age=60", "HttpOnly", "SameSite=Lax"], "{target}");
        assert_eq!(shell.all("set-cookie").len(), 1);
    }
    for target in ["/<script>alert(1)</script>", "/\"onload=alert(1)", "/p?q=<script>"] {
        let answer = proxy.ask(&visit(target));
        assert!(!answer.text().contains("alert") && !answer.text().contains("<script>x"), "{target}");
    }
    for host in ["<script>", "a\"b", "a.test\" x=\"", "a.test/../"] {
        let answer = proxy.ask(&visit("/p").header("Host", host));
        assert!(answer.status == 400 && !answer.text().contains("script"), "{host}");
    }
    gate.open();
}

#[test]
fn while_a_key_backs_off_its_visitors_get_the_error_page() {
    let (origin, gate) = held(Answer::status(500));
    let proxy = Breadbox::start(shows_at_once(&origin, &[]));
    let shell = proxy.ask(&visit("/p"));
    assert!(is_shell(&shell));
    gate.open();
    assert_eq!(proxy.ask(&poll(&shell)).status, 200);
    eventually("the render has failed", PATIENCE, || proxy.metric("breadbox_backoffs_total", &[]) == 1.0);
    let failed = proxy.ask(&visit("/p").header("Cookie", &cookie(&shell)));
    assert_eq!((failed.status, failed.detail().as_deref()), (503, Some("backoff")));
    assert!(failed.header("retry-after").is_some());
    let other = proxy.ask(&visit("/p"));
    assert_eq!((other.status, other.detail().as_deref()), (503, Some("backoff")));
    assert_eq!(origin.count(), 1);
}

#[test]
fn explain_says_who_would_be_shown_it() {
    let (origin, gate) = held(Answer::html("page"));
    let proxy = Breadbox::start(shows_at_once(&origin, &[]).admin("token: s3cret"));
    let explain = |accept: &str| {
        let ask = Ask::get(&format!("/-/explain?url=http://{}/p{accept}", proxy.addr()));
        proxy.admin_ask(&ask.header("Authorization", "Bearer s3cret")).text()
    };
    let said = explain("&header=Accept:%20text/html");
    assert!(said.contains("it is shown the fallback page"), "{said}");
    gate.open();
}

#[test]
fn the_next_page_brings_the_preloads_of_the_last() {
    // What the head of the route's last page loads goes with the shell: of this site or listed, no more than `max`.
    let (origin, gate) = (Origin::start(), Gate::closed());
    let held = gate.clone();
    let head = "<!doctype html><head><link rel=stylesheet href=/app.css><script type=module src=/app.js></script>\
        <link rel=stylesheet href=https://evil.test/x.css><link rel=preload as=font crossorigin \
        href=https://cdn.test/f.woff2><script src=/fourth.js></script></head><p>one";
    origin.answer("/one", Answer::html(head).header("Link", "</hero.css>; rel=preload; as=style"));
    origin.on("/two", move |x| {
        x.hold(&held)?;
        x.answer(&Answer::html("two"))
    });
    let keys = ["revalidate: 1h", "fallback: { after: 0, preload: { max: 4, from: [ \"https://cdn.test\" ] } }"];
    let proxy = Breadbox::start(Config::isr(&origin, &keys));
    assert_eq!(proxy.get("/one").status, 200);
    let shell = proxy.ask(&visit("/two"));
    assert!(is_shell(&shell));
    assert_eq!(
        shell.all("link"),
        [
            "</hero.css>; rel=preload; as=style",
            "</app.css>; rel=preload; as=style",
            "</app.js>; rel=modulepreload",
            "<https://cdn.test/f.woff2>; rel=preload; as=font; crossorigin",
        ]
    );
    let elsewhere = proxy.ask(&visit("/two").header("Host", "other.test"));
    assert!(is_shell(&elsewhere) && elsewhere.all("link").is_empty(), "another site has other assets");
    gate.open();
}
