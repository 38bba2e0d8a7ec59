//! Documents, what they mean, and what is wrong with those that mean nothing.

use super::*;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::render::Notices;
use std::sync::Arc;

fn setup() -> Setup {
    let config = Arc::new(Config::for_origin("http://127.0.0.1:9", None).unwrap());
    let metrics = Arc::new(Metrics::new(&config));
    Setup::new(config, metrics, Notices::new(1)).unwrap()
}

fn said(body: &str) -> Result<Value, String> {
    read(body.as_bytes(), &setup()).map(|(rules, mode)| document(&rules, mode, PurgeSeq(7)))
}

#[test]
fn what_was_accepted_is_said_as_it_was_understood() {
    for (body, accepted) in [
        (r#"{"path": "/%61/../b"}"#, json!([{"path": "/b"}])),
        (r#"{"path": ["/a", "/b?x"]}"#, json!([{"path": "/a"}, {"path": "/b?x"}])),
        (r#"{"path": "https://Shop.test/a"}"#, json!([{"path": "/a", "host": "shop.test"}])),
        (
            r#"{"prefix": "/a/", "host": ["x", "y:81"]}"#,
            json!([{"prefix": "/a/", "host": "x"}, {"prefix": "/a/", "host": "y:81"}]),
        ),
        (r#"{"tag": ["a, b", "c"]}"#, json!([{"tag": "a"}, {"tag": "b"}, {"tag": "c"}])),
        (r#"{"host": "Shop.test:443"}"#, json!([{"host": "shop.test"}])),
        (r#"{"all": true}"#, json!([{"all": true}])),
    ] {
        assert_eq!(said(body), Ok(json!({"accepted": accepted, "mode": "stale", "sequence": 7})), "{body}");
    }
    assert_eq!(said(r#"{"all": true, "mode": "delete"}"#).unwrap()["mode"], "delete");
}

#[test]
fn a_document_that_means_nothing_is_refused_with_the_reason() {
    for (body, why) in [
        ("", "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "nothing is named"),
        (r#"{"mode": "stale"}"#, "nothing is named"),
        (r#"{"paths": "/a"}"#, "`paths` is not known"),
        (r#"{"path": 1}"#, "`path` is neither text nor a list"),
        (r#"{"path": ["/a", null]}"#, "`path` is neither text nor a list"),
        (r#"{"path": []}"#, "`path` is an empty list"),
        (r#"{"path": ""}"#, "`path`: \"\" is not a path"),
        (r#"{"path": "a"}"#, "`path`: \"a\" is not a path"),
        (r#"{"path": "/a", "mode": "soft"}"#, "`mode` is neither"),
        (r#"{"path": "/a", "tag": "b"}"#, "path and tag exclude each other"),
        (r#"{"prefix": "/a?b"}"#, "has a query"),
        (r#"{"tag": " , "}"#, "is not a tag"),
        (r#"{"host": "a b"}"#, "is not a host"),
        (r#"{"all": false}"#, "`all` is not true"),
        (r#"{"all": true, "host": "a"}"#, "exclude each other"),
        (r#"{"path": "http://a/b", "host": "c"}"#, "names another"),
        (r#"{"path": "/a", "path": "/b"}"#, "there twice"),
    ] {
        let said = said(body).expect_err(body);
        assert!(said.contains(why), "{body}: {said}");
    }
    let many = json!({ "path": vec!["/a"; 100], "host": vec!["a"; 100] }).to_string();
    assert!(said(&many).expect_err("too many").contains("4096"));
}

#[test]
fn the_address_of_this_listener_is_no_host_of_a_site() {
    for host in ["127.0.0.1:9145", "127.0.0.1", "[::1]:9145", "localhost:9145", "LocalHost"] {
        assert!(!is_of_a_site(host), "{host}");
    }
    assert!(is_of_a_site("shop.test") && is_of_a_site("shop.test:8080"));
}

#[test]
fn the_log_names_the_first_rules_and_no_query() {
    let (rules, _) = read(br#"{"path": ["/a?token=secret", "/b"], "host": "x"}"#, &setup()).unwrap();
    assert_eq!(shown(&rules), "path /a with a query on x, path /b on x");
    let (rules, _) = read(br#"{"tag": "a b c d e f"}"#, &setup()).unwrap();
    assert_eq!(shown(&rules), "tag a, tag b, tag c, tag d, tag e, \u{2026}");
}
