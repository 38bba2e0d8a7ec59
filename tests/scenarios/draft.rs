//! Draft mode: an editor's requests neither read nor write the cache.

use super::harness::{Ask, Breadbox, Config, Origin};

fn with_cookie(cookie: &str) -> Ask {
    Ask::get("/p").header("Cookie", cookie)
}

/// A draft is the origin's own answer to the editor, whatever is stored, and is not stored.
#[track_caller]
fn is_draft(proxy: &Breadbox, cookie: &str) -> bool {
    let hit = proxy.get("/p").text();
    let draft = proxy.ask(&with_cookie(cookie));
    assert_eq!(proxy.get("/p").text(), hit, "visitors see what they saw before");
    draft.is_bypass() && draft.detail().as_deref() == Some("draft") && draft.text() != hit
}

#[test]
fn the_cookie_of_nextjs_asks_for_drafts_by_default() {
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    assert!(is_draft(&proxy, "a=1; __prerender_bypass=x"));
    assert!(!is_draft(&proxy, "preview=1"));
    let sent = &origin.requests("/p")[1];
    assert_eq!(sent.header("cookie"), Some("a=1; __prerender_bypass=x"), "the origin knows its editor by it");
}

#[test]
fn a_route_may_name_another_cookie_or_none() {
    let origin = Origin::start();
    let start = |draft: &str| Breadbox::start(Config::isr(&origin, &["revalidate: 1h", draft]));
    let other = start("bypass: { draft: { cookie: preview } }");
    assert!(is_draft(&other, "preview=1") && !is_draft(&other, "__prerender_bypass=x"));
    let none = start("bypass: { draft: none }");
    assert!(!is_draft(&none, "__prerender_bypass=x"));
}

#[test]
fn a_draft_does_not_write_the_cache() {
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    assert!(proxy.ask(&with_cookie("__prerender_bypass=x")).is_bypass());
    let first = proxy.get("/p");
    assert_eq!((first.is_hit(), first.text()), (false, Origin::body("/p", 2)));
}

#[test]
fn a_signed_cookie_asks_for_drafts_until_it_ends() {
    // `POST /-/draft` makes it with the token; nobody else can, and another token ends it.
    let origin = Origin::start();
    let keys = ["revalidate: 1h", "bypass: { draft: none }"];
    let proxy = Breadbox::start(Config::isr(&origin, &keys).admin("token: s3cret"));
    let post = |token: &str, body: &str| {
        let ask = Ask::new("POST", "/-/draft").header("Authorization", &format!("Bearer {token}"));
        proxy.admin_ask(&ask.body(body))
    };
    assert_eq!(post("wrong", "").status, 401);
    assert_eq!(post("s3cret", r#"{"for": "1y"}"#).status, 400);
    let answer = post("s3cret", r#"{"for": "1h"}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let set = answer.header("Set-Cookie").expect("a cookie").to_owned();
    assert!(set.contains("HttpOnly") && set.contains("Max-Age=3600"), "{set}");
    let cookie = set.split(';').next().expect("a pair").to_owned();
    let document: serde_json::Value = serde_json::from_str(&answer.text()).expect("JSON");
    let named = |member: &str| document["cookie"][member].as_str().expect("text").to_owned();
    assert_eq!(cookie, format!("{}={}", named("name"), named("value")));

    assert!(is_draft(&proxy, &format!("a=1; {cookie}")));
    let (until, signature) =
        named("value").split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("two parts");
    for forged in [
        format!("{until}."),
        format!("{}.{signature}", until.replace('1', "2")),
        format!("0.{signature}"),
        "x".to_owned(),
    ] {
        assert!(!is_draft(&proxy, &format!("__breadbox_draft={forged}")), "{forged}");
    }
    let other = Breadbox::start(Config::isr(&origin, &keys).admin("token: another"));
    assert!(!is_draft(&other, &cookie));
    let short = post("s3cret", r#"{"for": "1s"}"#);
    let short = short.header("Set-Cookie").and_then(|set| set.split(';').next()).expect("a pair").to_owned();
    super::harness::eventually("it has ended", super::harness::PATIENCE, || !is_draft(&proxy, &short));
}
