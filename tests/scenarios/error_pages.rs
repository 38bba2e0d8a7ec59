//! What a client sees when a render failed and there is no page: the shipped error page or the operator's,
//! in the form that it accepts; and when it stands for what the origin itself said.

use super::harness::{Answer, Ask, Breadbox, Config, Origin, Response, until_stale};
use serde_json::Value;

const OURS: &str = "<!doctype html><title>{{status}}</title><p>ours: {{title}} {{other}}</p><i>{{retry_after}}</i>\n";

fn html(proxy: &Breadbox, path: &str) -> Response {
    proxy.ask(&Ask::get(path).header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"))
}

#[test]
fn a_failed_render_gets_the_shipped_page_in_the_form_that_is_accepted() {
    let origin = Origin::start();
    origin.on("/p", |x| {
        x.reset();
        Ok(())
    });
    let proxy = Breadbox::start(Config::isr(&origin, &[]));
    let page = html(&proxy, "/p");
    assert_eq!((page.status, page.header("retry-after")), (502, Some("1")));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));
    assert!(page.text().contains("<main>") && !page.text().contains("{{"), "{}", page.text());
    let json = proxy.ask(&Ask::get("/p").header("Accept", "text/html;q=0.5, application/problem+json"));
    let said: Value = serde_json::from_str(&json.text()).expect("JSON");
    assert_eq!(
        (json.status, &said["status"], json.header("content-type")),
        (503, &503.into(), Some("application/json"))
    );
    assert!(said["retry_after"].as_u64().is_some_and(|seconds| seconds >= 1), "{said}");
    let text = proxy.ask(&Ask::get("/p").header("Accept", "*/*"));
    assert!(text.status == 503 && text.text().starts_with("503 Busy\n"), "{}", text.text());
    let head = proxy.ask(&Ask::head("/p").header("Accept", "text/html"));
    assert_eq!((head.status, head.body.len()), (503, 0));
}

#[test]
fn the_operators_page_is_shown_in_its_place() {
    // Of a route before that of the file; on bypasses, too; refusals of ours and answers of the origin stay.
    let origin = Origin::start();
    for path in ["/a/1", "/b/1", "/off/1"] {
        origin.on(path, |x| {
            x.reset();
            Ok(())
        });
    }
    origin.answer("/b/500", Answer::status(500).header("X-Of", "origin"));
    let config = Config::new(&origin)
        .top("error_page: all.html")
        .route("/a/{id}", "isr", &["error_page: a.html"])
        .route("/b/{id}", "isr", &["paths: { file: b.txt }"])
        .route("/c/{id}", "isr", &["error_page: builtin"])
        .route("/off/{id}", "\"off\"", &[]);
    let of_all = OURS.replace("ours", "of all");
    let files = [("a.html", OURS), ("all.html", &of_all), ("b.txt", "/b/1\n/b/500\n")];
    let proxy = Breadbox::start_with(config, &[], &files);
    let page = html(&proxy, "/a/1");
    assert_eq!(
        (page.status, page.text()),
        (502, "<!doctype html><title>502</title><p>ours: No answer {{other}}</p><i>1</i>\n".into())
    );
    assert_eq!(page.header("content-security-policy"), None);
    assert!(html(&proxy, "/b/1").text().contains("of all: "));
    assert!(html(&proxy, "/off/1").text().contains("of all: "));
    let own = html(&proxy, "/b/500");
    assert_eq!((own.status, own.header("x-of")), (500, Some("origin")));
    assert!(html(&proxy, "/b/2").text().contains("There is no page at this address"));
    origin.stop();
    assert!(html(&proxy, "/c/1").text().contains("<main>"));
}

#[test]
fn a_route_with_an_error_page_shows_it_for_what_the_origin_refuses() {
    // With the origin's status and its Retry-After. A 404 is an answer, and a challenge is for the client.
    let origin = Origin::start();
    origin.answer("/500", Answer::status(500).header("X-Secret", "trace"));
    origin.answer("/429", Answer::status(429).header("Retry-After", "17"));
    origin.answer("/403", Answer::status(403));
    origin.answer("/404", Answer::html("the origin's own").with_status(404));
    origin.answer("/401", Answer::status(401).header("WWW-Authenticate", "Basic"));
    let proxy = Breadbox::start_with(Config::isr(&origin, &["error_page: e.html"]), &[], &[("e.html", OURS)]);
    for (path, status, retry) in [("/500", 500, Some("1")), ("/429", 429, Some("17")), ("/403", 403, None)] {
        let page = html(&proxy, path);
        assert_eq!((page.status, page.header("retry-after"), page.header("x-secret")), (status, retry, None), "{path}");
        assert!(page.text().contains("ours: "), "{}", page.text());
        assert_eq!(page.detail().as_deref(), Some("error-page"));
    }
    assert_eq!((html(&proxy, "/404").status, html(&proxy, "/404").text()), (404, "the origin's own".into()));
    assert_eq!((html(&proxy, "/401").status, html(&proxy, "/401").header("www-authenticate")), (401, Some("Basic")));
}

#[test]
fn a_stale_page_goes_before_an_error_page() {
    let origin = Origin::start();
    origin.on("/p", |x| x.answer(&if x.nth == 1 { Answer::html("good") } else { Answer::status(500) }));
    let keys = ["revalidate: 100ms", "error_page: builtin"];
    let proxy = Breadbox::start(Config::isr(&origin, &keys));
    proxy.get("/p");
    until_stale(proxy.addr(), &Ask::get("/p"));
    origin.wait_for_requests("/p", 2);
    assert_eq!((html(&proxy, "/p").status, html(&proxy, "/p").text()), (200, "good".into()));
}

#[test]
fn nothing_of_the_request_is_in_an_error_page() {
    let origin = Origin::start();
    origin.stop();
    let proxy = Breadbox::start_with(Config::isr(&origin, &["error_page: e.html"]), &[], &[("e.html", OURS)]);
    let raw = "/\"><script>alert(1)</script>{{status}}?q=<script>&x=\"onload=";
    let encoded = "/%22%3E%3Cscript%3Ealert(1)%3C/script%3E'onload=?q=%3Cscript%3E&x='onload=";
    for (target, accept) in [raw, encoded]
        .into_iter()
        .flat_map(|target| ["text/html", "application/json", "text/plain"].map(|accept| (target, accept)))
    {
        let hostile = Ask::get(target)
            .header("Host", "a.test")
            .header("Referer", "http://a/<script>")
            .header("User-Agent", "<script>alert(2)</script>");
        let page = proxy.ask(&hostile.header("Accept", accept));
        let text = page.text();
        assert!(page.status == 400 && target == raw || (502..=504).contains(&page.status), "{}", page.status);
        assert!(!text.contains("script") && !text.contains("onload") && !text.contains("a.test"), "{accept}: {text}");
    }
}
