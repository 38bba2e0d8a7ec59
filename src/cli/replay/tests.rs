//! A replay from the bytes of a log to the report.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::path::Path;

const CONFIG: &str = r#"
hosts: [ shop.example.com ]
origins: { web: { servers: [ "http://127.0.0.1:3000" ] } }
routes:
  - { match: "/products/{id}", cache: isr, revalidate: 60s }
  - { match: "/api/{*rest}", cache: "off" }
  - { match: "/{*rest}", cache: static }
"#;

fn line(second: u64, request: &str, status: u16) -> String {
    let (minute, second) = (second / 60, second % 60);
    format!(
        "192.0.2.1 - - [10/Oct/2025:13:{minute:02}:{second:02} +0200] \"{request} HTTP/1.1\" {status} 99 \"-\" \"x\"\n"
    )
}

fn log() -> String {
    let mut log = String::new();
    for second in 0..120 {
        log += &line(second, "GET /products/1?utm_source=a", 200);
        log += &line(second, &format!("GET /about?session={second}&lang={}", second % 2), 200);
    }
    log += &line(120, "POST /api/cart", 200);
    log += &line(120, "GET /api/cart", 200);
    log += &line(120, "GET /broken", 500);
    log + "garbage\n\"\n" + &"x".repeat(200_000) + "\n" + &line(121, "GET /products/1", 200)
}

fn report(log: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    std::fs::write(&path, log).unwrap();
    let config = Config::parse(CONFIG, Path::new("proxy.yaml"), &|_| None).unwrap();
    let mut out = Vec::new();
    replay(&config, &path, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Hits, renders by route, bypasses by reason, what splits the cache, what was skipped and what is assumed.
#[test]
fn a_log_is_replayed_against_the_configuration() {
    let said = report(log().as_bytes());
    for expected in [
        "replay: 244 requests over 2 min",
        "skipped: 3 of 247 lines",
        "fresh 118, stale 2",
        "method 1, off 1",
        "/products/{id}        121     99.2 %          3          0",
        "/{*rest}              121      0.0 %        121          0",
        "origin web: 124 renders",
        "session on /{*rest}: about 1",
        "`query: [ lang ]` on the route, or `session` in `tracking:`",
        "not stored: 1",
        "one host (shop.example.com)",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in:\n{said}");
    }
    assert!(!said.contains("utm_source") && !said.contains("lang on"), "{said}");
}

#[test]
fn a_compressed_log_of_several_members_says_the_same() {
    let log = log();
    let mut packed = Vec::new();
    for half in [&log.as_bytes()[..9_999], &log.as_bytes()[9_999..]] {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(half).unwrap();
        packed.extend(encoder.finish().unwrap());
    }
    assert_eq!(report(&packed), report(log.as_bytes()));
}

#[test]
fn an_empty_log_and_one_without_a_last_newline_are_logs() {
    assert!(report(b"").contains("nothing to replay"));
    let one = line(0, "GET /about", 200);
    assert!(report(one.trim_end().as_bytes()).contains("replay: 1 requests"));
}

#[test]
fn a_log_that_is_not_there_is_named() {
    let config = Config::parse(CONFIG, Path::new("proxy.yaml"), &|_| None).unwrap();
    let error = replay(&config, Path::new("/nowhere/access.log"), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("/nowhere/access.log"), "{error}");
}
