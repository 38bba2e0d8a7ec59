//! `explain`: it says what a request then gets, and neither starts renders nor counts as a use.

use super::harness::{Answer, Ask, Breadbox, Config, Gate, Origin, PATIENCE, Response, Run, eventually, until_stale};
use serde_json::Value;

const TOKEN: &str = "token: s3cret";

/// Asks for an explanation; `query` is what stands behind `?url=`.
#[track_caller]
fn ask_explain(proxy: &Breadbox, query: &str, accept: &str) -> Response {
    let ask = Ask::get(&format!("/-/explain?url={query}")).header("Authorization", "Bearer s3cret");
    proxy.admin_ask(&ask.header("Accept", accept))
}

#[track_caller]
fn explain(proxy: &Breadbox, path: &str) -> Value {
    let url = format!("http://{}{path}", proxy.addr()).replace('&', "%26");
    let answer = ask_explain(proxy, &url, "application/json");
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_str(&answer.text()).expect("JSON")
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {value:#}"))
}

#[test]
fn it_says_what_the_request_then_gets_and_renders_nothing() {
    // Before the first request, on a fresh page, and as a query that counts and one that does not.
    let origin = Origin::start();
    origin.answer("/p", Answer::html("page").header("Cache-Tag", "one two").header("ETag", "\"v1\""));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h", "query: [page]"]).admin(TOKEN));
    let before = explain(&proxy, "/p?utm_source=x&page=2&other=1");
    assert_eq!(text(&before, "/now/what"), "render", "{before:#}");
    assert_eq!((text(&before, "/route/name"), text(&before, "/key/query")), ("/{*rest}", "page=2"));
    assert_eq!((origin.count(), proxy.metric("breadbox_requests_total", &[])), (0, 0.0));
    proxy.get("/p?page=2");
    let hit = explain(&proxy, "/p?utm_source=x&page=2&other=1");
    assert_eq!(text(&hit, "/now/what"), "hit");
    assert_eq!((text(&hit, "/state/page/freshness"), text(&hit, "/state/page/etag")), ("fresh", "\"v1\""));
    assert_eq!(hit["state"]["page"]["tags"], serde_json::json!(["one", "two"]));
    assert_eq!(
        (hit["state"]["page"]["status"].as_u64(), hit["state"]["page"]["body_bytes"].as_u64()),
        (Some(200), Some(4))
    );
    assert!(proxy.get("/p?page=2&utm_source=y").is_hit());
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_stale_page_is_explained_without_being_refreshed() {
    // However often one asks about it, nobody renders it; the first request does.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 300ms"]).admin(TOKEN));
    proxy.get("/p");
    eventually("the page is explained as stale", PATIENCE, || text(&explain(&proxy, "/p"), "/now/what") == "stale");
    assert!(text(&explain(&proxy, "/p"), "/now/why").contains("one render in the background"));
    assert_eq!(origin.renders("/p"), 1);
    assert!(until_stale(proxy.addr(), &Ask::get("/p")).is_stale());
    origin.wait_for_requests("/p", 2);
}

#[test]
fn a_render_under_way_is_named() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/slow", move |x| {
        x.hold(&held)?;
        x.answer(&Answer::html("late"))
    });
    let proxy = Breadbox::start(Config::isr(&origin, &[]).admin(TOKEN));
    let mut client = proxy.client();
    client.send(&Ask::get("/slow")).expect("the proxy reads");
    origin.wait_for_requests("/slow", 1);
    let said = explain(&proxy, "/slow");
    assert_eq!(text(&said, "/state/render"), "running", "{said:#}");
    assert!(text(&said, "/now/why").contains("waits for the render that is under way"), "{said:#}");
    assert_eq!(said["state"]["origin_renders_running"], 1);
    gate.open();
    client.response().expect("the page");
}

#[test]
fn a_page_that_backs_off_is_named_with_the_reason() {
    // And the status lists the failure: its path only to who has the token.
    let origin = Origin::start();
    origin.answer("/broken", Answer::status(500));
    let proxy = Breadbox::start(Config::isr(&origin, &[]).admin(TOKEN));
    proxy.get("/broken?secret=1");
    let said = explain(&proxy, "/broken?secret=1");
    assert_eq!(text(&said, "/now/what"), "backoff", "{said:#}");
    assert_eq!(text(&said, "/state/last_failure"), "Internal Server Error");
    assert!(said["state"]["backing_off_ms"].as_u64().is_some_and(|wait| wait <= 1_200), "{said:#}");
    assert_eq!(proxy.get("/broken?secret=1").detail().as_deref(), Some("backoff"));
    let open = proxy.admin_ask(&Ask::get("/status.json")).text();
    assert!(open.contains("Internal Server Error") && !open.contains("/broken"), "{open}");
    let all = proxy.admin_ask(&Ask::get("/-/status.json").header("Authorization", "Bearer s3cret")).text();
    assert!(all.contains("\"path\":\"/broken\""), "{all}");
}

#[test]
fn a_purged_page_is_explained_as_such() {
    let origin = Origin::start();
    let config = Config::isr(&origin, &["revalidate: 1h"]).admin(TOKEN);
    let proxy = Breadbox::start(config);
    proxy.get("/p");
    proxy.ask(&Ask::new("POST", "/p").body("x"));
    let said = explain(&proxy, "/p");
    assert_eq!((text(&said, "/now/what"), text(&said, "/state/page/freshness")), ("render", "void"), "{said:#}");
    assert!(text(&said, "/now/why").contains("was purged"), "{said:#}");
    assert_eq!(
        (said["state"]["purge_sequence"].as_u64(), said["state"]["page"]["purge_sequence"].as_u64()),
        (Some(1), Some(0))
    );
}

#[test]
fn what_a_page_varies_on_is_told() {
    // `Vary: Cookie` does not matter, because renders carry none; another field makes bypasses.
    let origin = Origin::start();
    origin.answer("/p", Answer::html("x").header("Vary", "Cookie, X-Device"));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]).admin(TOKEN));
    proxy.get("/p");
    let notes = explain(&proxy, "/p")["notes"].to_string();
    assert!(notes.contains("renders carry none") && notes.contains("`vary: { headers: [x-device] }`"), "{notes}");
    let url = format!("http://{}/p&header=X-Device:%20phone", proxy.addr());
    let bypass: Value = serde_json::from_str(&ask_explain(&proxy, &url, "*/*").text()).expect("JSON");
    assert_eq!(text(&bypass, "/now/what"), "bypass");
    assert!(proxy.ask(&Ask::get("/p").header("X-Device", "phone")).is_bypass());
}

#[test]
fn pages_that_could_not_be_stored_come_with_the_lines_that_store_them() {
    // The lines are YAML, and are not there before a page was refused.
    let origin = Origin::start();
    let answer = Answer::html("x").header("Cache-Control", "private").header("Set-Cookie", "a=1");
    origin.answer("/p", answer);
    let proxy = Breadbox::start(Config::headers(&origin, &[]).admin(TOKEN));
    assert_eq!(explain(&proxy, "/p")["proxy_yaml"], Value::Null);
    proxy.get("/p");
    let said = explain(&proxy, "/p");
    let lines: serde_yaml::Value = serde_yaml::from_str(text(&said, "/proxy_yaml")).expect("YAML");
    assert_eq!((&lines["routes"][0]["cache"], &lines["routes"][0]["set_cookie"]), (&"isr".into(), &"strip".into()));
    assert!(said["state"]["uncacheable"].as_bool().is_some_and(|known| known), "{said:#}");
    let as_text = ask_explain(&proxy, &format!("http://{}/p", proxy.addr()), "text/plain");
    assert!(
        as_text.text().contains("\n    cache: isr") || as_text.text().contains("\n  cache: isr"),
        "{}",
        as_text.text()
    );
}

#[test]
fn the_command_asks_a_running_breadbox_or_the_file() {
    // The same route, key and reasons either way; what is stored only by asking.
    let origin = Origin::start();
    let config = Config::isr(&origin, &["revalidate: 1h", "bypass: { cookies: [session] }"]).admin(TOKEN);
    let proxy = Breadbox::start(config.clone());
    proxy.get("/p");
    let (url, admin) = (format!("http://{}/p?utm_source=x", proxy.addr()), format!("http://{}", proxy.admin_addr()));
    let yaml: String = config.into();
    let online = Run::with_config(&["explain", &url, "--admin", &admin, "--token", "s3cret"], &yaml);
    assert_eq!(online.code, Some(0), "{}", online.output);
    for part in
        ["now      hit: ", "tracking, left out: utm_source=x", "page     fresh", "none of this page is under way"]
    {
        assert!(online.output.contains(part), "{part}: {}", online.output);
    }
    let offline = Run::with_config(&["explain", &url, "--offline", "--header", "Accept: text/html"], &yaml);
    assert_eq!(offline.code, Some(0), "{}", offline.output);
    for part in
        ["now      lookup: ", "tracking, left out: utm_source=x", "but does not count: header accept", "the file alone"]
    {
        assert!(offline.output.contains(part), "{part}: {}", offline.output);
    }
    let bypass = Run::with_config(&["explain", &url, "--offline", "--cookie", "session=1"], &yaml);
    assert!(bypass.output.contains("bypass: ") && bypass.output.contains("(session)"), "{}", bypass.output);
    let refused = Run::with_config(&["explain", &url, "--admin", &admin, "--token", "wrong"], &yaml);
    assert_eq!(refused.code, Some(1));
    assert!(refused.output.contains("401") && !refused.output.contains("wrong"), "{}", refused.output);
    let nobody = Run::with_config(&["explain", "/p", "--admin", "http://127.0.0.1:1"], &yaml);
    assert!(nobody.code == Some(1) && nobody.output.contains("--offline"), "{}", nobody.output);
    // The file's admin listener is on port 0, where nobody is: the file is asked, and the reason is said.
    let alone = Run::with_config(&["explain", &url], &yaml);
    assert_eq!(alone.code, Some(0), "{}", alone.output);
    for part in ["now      lookup: ", "the file alone", "is Breadbox running?"] {
        assert!(alone.output.contains(part), "{part}: {}", alone.output);
    }
}

#[test]
fn nobody_without_the_token_gets_an_explanation() {
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &[]).admin(TOKEN));
    let ask = Ask::get("/-/explain?url=/p");
    assert_eq!(proxy.admin_ask(&ask).status, 401);
    assert_eq!(proxy.admin_ask(&ask.clone().header("Authorization", "Bearer s3cre")).status, 401);
    let closed = Breadbox::start(Config::isr(&origin, &[]));
    assert_eq!(closed.admin_ask(&ask.header("Authorization", "Bearer ")).status, 403);
}
