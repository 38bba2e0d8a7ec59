//! Lists of the paths that exist: what is not listed is a 404 of Breadbox's own, in whatever spelling and
//! by whatever method, and the origin hears nothing of it.

use super::harness::{Ask, Breadbox, Config, Origin, PATIENCE, Run, eventually};
use serde_json::Value;

const DOCS: &str =
    "\u{feff}# The pages there are.\r\n/docs/a # one\r\n/docs/caf\u{e9}\n\n/docs/%7Eann/../b\n/docs/deep/{*rest}\n";

/// `/docs/…` with a list, everything else without one.
fn listed(origin: &Origin) -> Config {
    Config::new(origin).route("/docs/{*path}", "isr", &["revalidate: 1h", "paths: { file: docs.txt }"]).route(
        "/{*rest}",
        "headers",
        &[],
    )
}

fn start(origin: &Origin) -> Breadbox {
    Breadbox::start_with(listed(origin).admin("token: s3cret"), &[], &[("docs.txt", DOCS)])
}

#[test]
fn a_path_that_is_not_listed_is_a_404_without_a_word_to_the_origin() {
    // In the form that Accept asks for, with Cache-Status, its own outcome in metrics, and one access event.
    let origin = Origin::start();
    let proxy = start(&origin);
    let html = proxy.ask(&Ask::get("/docs/x?a=1").header("Accept", "text/html,*/*;q=0.8"));
    assert_eq!((html.status, html.header("content-type")), (404, Some("text/html; charset=utf-8")));
    assert_eq!(html.header("cache-status"), Some("breadbox; detail=unknown-path"));
    assert_eq!(html.header("cache-control"), Some("no-store"));
    assert!(html.text().contains("There is no page at this address"), "{}", html.text());
    let json = proxy.ask(&Ask::get("/docs/x").header("Accept", "application/json"));
    let page: Value = serde_json::from_str(&json.text()).expect("JSON");
    assert_eq!((json.status, &page["status"]), (404, &404.into()));
    let head = proxy.ask(&Ask::head("/docs/x").header("Accept", "text/html"));
    assert_eq!((head.status, head.body.len()), (404, 0));
    assert!(proxy.get("/docs/x").text().starts_with("404 Not found\nThere is no page at this address.\n"));
    assert_eq!(origin.count(), 0);
    let counted = || proxy.metric("breadbox_requests_total", &[("route", "/docs/{*path}"), ("outcome", "not-found")]);
    eventually("four requests are counted", PATIENCE, || counted() == 4.0);
    assert_eq!(proxy.metric("breadbox_listed_paths", &[("route", "/docs/{*path}")]), 4.0);
}

#[test]
fn every_spelling_of_a_listed_path_gets_its_one_page() {
    let origin = Origin::start();
    let proxy = start(&origin);
    assert_eq!(proxy.get("/docs/a").status, 200);
    for spelling in
        ["/docs/%61", "/%64ocs/a", "/docs/x/../a", "/docs/./%2e/a", "/x/%2e%2e/docs/a", "/docs/a?utm_source=x"]
    {
        let answer = proxy.get(spelling);
        assert!(answer.status == 200 && answer.is_hit(), "{spelling}: {:?}", answer.head.headers);
    }
    assert_eq!(origin.renders("/docs/a"), 1);
    for listed in ["/docs/caf%c3%a9", "/docs/b", "/docs/deep", "/docs/deep/1/2"] {
        assert_eq!(proxy.get(listed).status, 200, "{listed}");
    }
    assert_eq!(proxy.get("/elsewhere").status, 200);
}

#[test]
fn no_spelling_and_no_method_reaches_around_the_list() {
    let origin = Origin::start();
    let proxy = start(&origin);
    for target in [
        "/docs",
        "/docs/",
        "/docs/a/",
        "/docs/A",
        "/docs/caf\u{e9}/x",
        "//docs/x",
        "/docs//a",
        "/docs%2Fx",
        "/docs%5cx",
        "/docs;v=1/x",
        "/x/..%2Fdocs/x",
        "/x/..;/docs/x",
        "/docs/a%00",
        "/docs/a%zz",
        "/docs/a;jsessionid=1",
        "/docs/<script>alert(1)</script>",
        "/docs/\"onmouseover=x",
        "/x/%252e%252e/docs/x",
    ] {
        let answer = proxy.ask(&Ask::get(target).header("Accept", "text/html"));
        assert!(matches!(answer.status, 404 | 400), "{target}: {}", answer.status);
        assert!(!answer.text().contains("<script") && !answer.text().contains("onmouseover"), "{}", answer.text());
    }
    for ask in [
        Ask::new("POST", "/docs/x").body("a=1"),
        Ask::new("PUT", "/docs/x").chunked_body("a=1"),
        Ask::new("OPTIONS", "/docs/x"),
        Ask::get("/docs/x").header("Cookie", "__prerender_bypass=1; session=2"),
        Ask::get("/docs/x").header("Authorization", "Basic eDp5"),
        Ask::get("/docs/x").header("RSC", "1"),
        Ask::get("/docs/x").header("Connection", "Upgrade").header("Upgrade", "websocket"),
    ] {
        assert_eq!(proxy.ask(&ask).status, 404, "{ask:?}");
    }
    assert_eq!(origin.count(), 0, "{:?}", origin.all_requests());
}

#[test]
fn a_connection_goes_on_after_a_404_and_ends_behind_a_body() {
    // What is behind an unread body is never taken for a request.
    let origin = Origin::start();
    let proxy = start(&origin);
    let mut client = proxy.client();
    client.send_raw(b"GET /docs/x HTTP/1.1\r\nHost: a\r\n\r\nGET /docs/a HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    assert_eq!(client.response().expect("the first").status, 404);
    assert_eq!(client.response().expect("the second").status, 200);
    let smuggled =
        b"POST /docs/x HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\nGET /docs/a HTTP/1.1\r\nHost: evil\r\n\r\n";
    client.send_raw(smuggled).expect("sent");
    let said = client.everything();
    assert!(said.starts_with("HTTP/1.1 404") && said.matches("HTTP/1.1").count() == 1, "{said}");
    assert_eq!(origin.count(), 1);
}

#[test]
fn explain_says_that_a_path_is_not_listed() {
    let origin = Origin::start();
    let proxy = start(&origin);
    let explain = |path: &str| -> Value {
        let url = format!("/-/explain?url=http://{}{path}", proxy.addr());
        let ask = Ask::get(&url).header("Authorization", "Bearer s3cret").header("Accept", "application/json");
        serde_json::from_str(&proxy.admin_ask(&ask).text()).expect("JSON")
    };
    let unknown = explain("/docs/x");
    assert_eq!((&unknown["now"]["what"], &unknown["route"]["name"]), (&"not-found".into(), &"/docs/{*path}".into()));
    let why = unknown["now"]["why"].as_str().expect("a sentence");
    assert!(why.contains("404") && why.contains("docs.txt (4 paths and patterns)"), "{why}");
    let around = explain("//docs/x");
    assert_eq!(around["now"]["what"], "not-found", "{around:#}");
    let known = explain("/docs/a");
    assert!(known["notes"].to_string().contains("has this path"), "{known:#}");
}

#[test]
fn an_editor_who_has_proved_it_sees_drafts_of_pages_that_are_not_listed_yet() {
    let origin = Origin::start();
    let proxy = start(&origin);
    let ask = Ask::new("POST", "/-/draft").header("Authorization", "Bearer s3cret").body("{\"for\": \"1h\"}");
    let cookie: Value = serde_json::from_str(&proxy.admin_ask(&ask).text()).expect("JSON");
    let [name, value] = ["name", "value"].map(|part| cookie["cookie"][part].as_str().expect("a cookie"));
    let cookie = format!("{name}={value}");
    assert_eq!(proxy.ask(&Ask::get("/docs/new").header("Cookie", &cookie)).status, 200);
    assert_eq!(proxy.ask(&Ask::get("/docs/new").header("Cookie", &format!("{cookie}x"))).status, 404);
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_list_with_mistakes_is_a_mistake_of_the_configuration() {
    // With the list's name and line; a list without a path would make everything a 404.
    let origin = Origin::start();
    let dir = tempfile::tempdir().expect("a directory");
    let list = dir.path().join("list.txt");
    let yaml = String::from(listed(&origin)).replace("docs.txt", list.to_str().expect("a path of ASCII"));
    for (text, said) in [
        ("/docs/a\ndocs/b\n", "list.txt:2: \"docs/b\" does not begin with /"),
        ("/docs/a\n/docs/b c\n", "list.txt:2: \"/docs/b c\" has white space"),
        ("# none\n", "names no path"),
        ("/blog/a\n", "has no path that the route takes"),
    ] {
        std::fs::write(&list, text).expect("the directory is writable");
        let run = Run::with_config(&["check"], &yaml);
        assert!(run.code == Some(1) && run.output.contains(said), "{said}: {}", run.output);
    }
    std::fs::remove_file(&list).expect("it was there");
    let run = Run::with_config(&["run"], &yaml);
    assert!(
        run.code == Some(1) && run.output.contains("paths.file: ") && run.output.contains("cannot be read"),
        "{}",
        run.output
    );
}

#[test]
fn a_list_that_changed_counts_from_the_next_reload_on() {
    // A path that is gone is a 404 although its page is stored; a list with a mistake changes nothing.
    let origin = Origin::start();
    let config = || listed(&origin).admin("token: t");
    let proxy = Breadbox::start_with(config(), &[], &[("docs.txt", "/docs/a\n/docs/b\n")]);
    let statuses = || ["/docs/a", "/docs/b", "/docs/c"].map(|path| proxy.get(path).status);
    assert_eq!(statuses(), [200, 200, 404]);
    proxy.write("docs.txt", "/docs/b\n/docs/c\n");
    assert_eq!(statuses(), [200, 200, 404]);
    assert_eq!(proxy.reload(config()).status, 200);
    assert_eq!(statuses(), [404, 200, 200]);
    assert_eq!(proxy.metric("breadbox_listed_paths", &[]), 2.0);
    proxy.expect_error("docs.txt:2");
    proxy.write("docs.txt", "/docs/a\nmistake\n");
    let refused = proxy.reload(config());
    assert!((400..500).contains(&refused.status) && refused.text().contains("docs.txt:2: "), "{}", refused.text());
    assert_eq!(statuses(), [404, 200, 200]);
}
