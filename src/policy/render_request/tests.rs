//! What renders send, field by field.

use super::*;
use crate::config::{CacheMode, VaryRule};
use crate::policy::admission::{Admission, admit};
use crate::policy::route::RouteTable;
use crate::policy::testing::{self, Ask, wire};

fn sent(config: &Config, ask: &Ask) -> String {
    let table = RouteTable::new(config).unwrap();
    let Admission::Lookup(wanted) = admit(config, &table, &ask.incoming()) else { panic!("{ask:?} is no lookup") };
    String::from_utf8(wire(&build(config, &wanted, &ask.headers))).unwrap()
}

#[test]
fn an_anonymous_render_is_written_from_the_key() {
    let config = testing::config(vec![testing::route("/{*rest}")]);
    let ask = Ask::get("/%61?b=1&a=2&gclid=3")
        .host("A.com:8080")
        .field("cookie", "x=1")
        .field("accept-language", "de")
        .field("range", "bytes=0-");
    let expected = "GET /a?a=2&b=1 HTTP/1.1\r\nhost: a.com:8080\r\n\
        accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
        user-agent: Mozilla/5.0 (compatible; breadbox/0.1)\r\naccept-encoding: identity\r\n\
        x-forwarded-host: a.com:8080\r\nx-forwarded-proto: http\r\n\r\n";
    assert_eq!(sent(&config, &ask), expected);
}

#[test]
fn what_the_route_keys_on_is_sent_and_what_no_render_may_carry_is_not() {
    let mut route = testing::route("/{*rest}");
    let names =
        ["accept", "authorization", "cookie", "host", "if-none-match", "user-agent", "x-forwarded-host", "x-tenant"];
    route.vary = VaryRule {
        headers: names.map(HeaderName::from_static).to_vec(),
        cookies: vec!["currency".into(), "lang".into()],
    };
    let mut config = testing::config(vec![route]);
    let mut origin = testing::origin();
    origin.host_header = Some(HeaderValue::from_static("internal"));
    config.origins = vec![origin.into()];
    let ask = Ask::get("/").https().field("x-tenant", "a").field("x-tenant", "b").field("accept", "*/*");
    let ask = ask
        .field("cookie", "lang=de; sid=1; currency=eur")
        .field("if-none-match", "x")
        .field("x-forwarded-host", "evil");
    let expected = "GET / HTTP/1.1\r\nhost: internal\r\naccept-encoding: identity\r\naccept: */*\r\nx-tenant: a, b\r\n\
        cookie: currency=eur; lang=de\r\nx-forwarded-host: shop.example.com\r\nx-forwarded-proto: https\r\n\r\n";
    assert_eq!(sent(&config, &ask), expected);
}

#[test]
fn a_render_on_headers_carries_the_end_to_end_fields_of_the_request() {
    let mut route = testing::route("/{*rest}");
    route.cache = CacheMode::Headers;
    let config = testing::config(vec![route]);
    let kept = [("accept-encoding", "br"), ("cookie", "a=1"), ("authorization", "x"), ("accept-language", "de")];
    let dropped = [
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "range",
        "te",
        "keep-alive",
        "trailer",
        "proxy-connection",
        "proxy-authorization",
        "http2-settings",
        "expect",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x_forwarded_prefix",
        "x-real-ip",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "front-end-https",
        "proxy",
    ];
    let ask = kept.iter().fold(Ask::get("/a?b&a"), |ask, (name, value)| ask.field(name, value));
    let ask = dropped.iter().fold(ask, |ask, name| ask.field(name, "s3cret")).field("content-length", "0");
    let sent = sent(&config, &ask);
    assert!(sent.starts_with("GET /a?b&a HTTP/1.1\r\nhost: shop.example.com\r\n"), "{sent}");
    assert!(!sent.contains("s3cret") && !sent.contains("content-length"), "{sent}");
    for (name, value) in kept {
        assert!(sent.contains(&format!("\r\n{name}: {value}\r\n")), "{name} in {sent}");
    }
    assert!(sent.ends_with("\r\nx-forwarded-host: shop.example.com\r\nx-forwarded-proto: http\r\n\r\n"), "{sent}");
}
