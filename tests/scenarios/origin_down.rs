//! The origin dies: whoever asks for a page that was rendered once gets it, and nobody hammers the dead.

use super::harness::{Ask, Breadbox, Config, Origin, crowd, until_stale};
use std::time::{Duration, Instant};

const PAGES: usize = 20;

fn path(i: usize) -> String {
    format!("/p/{}", i % PAGES)
}

/// Asks for every page until it is there and has been served stale.
fn warm(proxy: &Breadbox) {
    crowd(proxy.addr(), PAGES, |i, client| assert_eq!(client.get(&path(i)).status, 200));
}

/// 10,000 requests of eight clients, each with the page the origin once made for its URL.
fn ask_ten_thousand_times(proxy: &Breadbox) {
    crowd(proxy.addr(), 8, |client_number, client| {
        for n in 0..1250 {
            let path = path(client_number * 7 + n);
            let answer = client.get(&path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert!(answer.text().starts_with(&format!("page {path} #")), "{path}: {}", answer.text());
        }
    });
}

#[test]
fn a_dead_origin_costs_no_request_an_error() {
    // The origin refuses; 10,000 requests get their pages; a page nobody has asked for gets a clean error.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 200ms"]));
    warm(&proxy);
    origin.stop();
    for i in 0..PAGES {
        until_stale(proxy.addr(), &Ask::get(&path(i)));
    }
    let since = Instant::now();
    ask_ten_thousand_times(&proxy);
    let backoffs = proxy.metric("breadbox_backoffs_total", &[]);
    assert!(backoffs >= 1.0 && backoffs <= bound(since.elapsed()), "{backoffs} failed renders");
    let never_seen = proxy.get("/never-seen");
    assert!(matches!(never_seen.status, 502 | 504), "{}", never_seen.status);
    assert!(never_seen.header("retry-after").is_some());
    let backing_off = proxy.get("/never-seen");
    assert_eq!(backing_off.status, 503);
    let retry_after = backing_off.header("retry-after").and_then(|v| v.parse::<u64>().ok());
    assert!(retry_after.is_some_and(|seconds| (1..=60).contains(&seconds)), "{retry_after:?}");
}

#[test]
fn a_failing_origin_is_asked_a_bounded_number_of_times() {
    // The origin resets every request: attempts a page stay within the backoff's schedule.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 200ms"]));
    warm(&proxy);
    origin.stop();
    origin.otherwise(|x| {
        x.reset();
        Ok(())
    });
    let since = Instant::now();
    let before: Vec<_> = (0..PAGES).map(|i| origin.renders(&path(i))).collect();
    origin.start_again();
    for i in 0..PAGES {
        until_stale(proxy.addr(), &Ask::get(&path(i)));
    }
    ask_ten_thousand_times(&proxy);
    let bound = bound(since.elapsed()) / PAGES as f64;
    for (i, before) in before.iter().enumerate() {
        let attempts = origin.renders(&path(i)) - before;
        assert!(attempts as f64 <= bound, "{attempts} attempts at {}, more than {bound}", path(i));
    }
}

/// The most failed renders of all pages in this time: 1 s doubling to 10 s, 20 % sooner at most, and the
/// two before the first wait (one may have been under way).
fn bound(elapsed: Duration) -> f64 {
    let (mut tries, mut wait, mut left) = (2.0, 0.8, elapsed.as_secs_f64());
    while left > wait {
        left -= wait;
        tries += 1.0;
        wait = f64::min(wait * 2.0, 8.0);
    }
    tries * PAGES as f64
}

#[test]
fn error_pages_speak_the_language_of_the_client() {
    // HTML, JSON or text by `Accept`; none is a page, and nothing of the request is reflected.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &[]));
    origin.stop();
    let kinds = [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("application/json", "application/json"),
        ("text/plain", "text/plain"),
    ];
    for (accept, content_type) in kinds {
        let path = format!("/{}?<script>", content_type.replace('/', "-"));
        let path = path.replace("<script>", "marker-of-the-request");
        for status in [502, 503] {
            let answer = proxy.ask(&Ask::get(&path).header("Accept", accept));
            assert_eq!(answer.status, status, "{accept}");
            let sent = answer.header("content-type").unwrap_or_default();
            assert!(sent.starts_with(content_type), "{accept}: {sent}");
            assert!(answer.header("retry-after").is_some(), "{accept}");
            assert!(!answer.text().contains("marker-of-the-request"), "{accept}");
            assert!(!answer.is_hit() && !answer.cache_status().stored, "{accept}");
            if content_type == "application/json" {
                serde_json::from_slice::<serde_json::Value>(&answer.body).expect("JSON");
            }
        }
    }
}

#[test]
fn an_origin_that_is_down_does_not_keep_breadbox_from_starting() {
    // Start first, origin later.
    let origin = Origin::start();
    origin.stop();
    let proxy = Breadbox::start(Config::isr(&origin, &[]));
    assert_eq!(proxy.get("/early").status, 502);
    origin.start_again();
    assert_eq!(proxy.get("/later").text(), "page /later #1");
    assert_eq!(proxy.get("/early").status, 200, "a good render of the origin ends the wait of its keys");
}
