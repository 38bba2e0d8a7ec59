//! What is popular outlives the process: so a deploy or a purge after a restart, or one that a restart has
//! interrupted, finds the pages that are asked for most, although nobody has asked for them since.

use super::*;
use std::fs;

const PAGES: usize = 12;

fn path(i: usize) -> String {
    format!("/p/{i}")
}

fn config(origin: &Origin, data: &TempDir, pace: &str) -> Config {
    let config = Config::isr(origin, &["revalidate: never"]).origin("max_renders: 1").top(pace);
    on_disk(config, data.path())
}

/// A proxy that was asked for page 0 most and for the last one least, and has been stopped.
fn asked_for(origin: &Origin, data: &TempDir) {
    let proxy = Breadbox::start(config(origin, data, "deploy: v1"));
    for i in 0..PAGES {
        (i..PAGES).for_each(|_| assert_eq!(proxy.ask(&of(&path(i))).status, 200));
    }
    stop(&proxy);
}

#[track_caller]
fn deploy(proxy: &Breadbox, id: &str) {
    let ask = Ask::new("POST", "/-/deploy").header("Authorization", "Bearer secret");
    assert_eq!(proxy.admin_ask(&ask.body(format!("{{\"id\": \"{id}\"}}").as_bytes())).status, 200);
}

/// The pages that were rendered a second time, in that order.
#[track_caller]
fn rendered_again(origin: &Origin) -> Vec<String> {
    eventually("every page is rendered again", PATIENCE, || (0..PAGES).all(|i| origin.renders(&path(i)) == 2));
    origin.all_requests().into_iter().map(|seen| seen.target).skip(PAGES).collect()
}

#[test]
fn after_a_restart_a_deploy_renders_popular_pages_again_unasked() {
    let (origin, data) = (Origin::start(), directory());
    asked_for(&origin, &data);
    let proxy = Breadbox::start(config(&origin, &data, "deploy_refresh: 1000/s"));
    // A deploy in the middle of the round that every start begins with is seen from there on: page 0 came last then.
    eventually("the round has ended", PATIENCE, || proxy.metric("breadbox_store_pages", &[]) == PAGES as f64);
    deploy(&proxy, "v2");
    let order = rendered_again(&origin);
    assert_eq!(order, (0..PAGES).map(path).collect::<Vec<_>>(), "the most popular first");
}

#[test]
fn a_deploy_that_a_restart_interrupted_goes_on() {
    let (origin, data) = (Origin::start(), directory());
    asked_for(&origin, &data);
    let proxy = Breadbox::start(config(&origin, &data, "deploy_refresh: 1/s"));
    deploy(&proxy, "v2");
    stop(&proxy);
    assert!(origin.count() < 2 * PAGES);
    let _again = Breadbox::start(config(&origin, &data, "deploy_refresh: 1000/s"));
    rendered_again(&origin);
}

#[test]
fn popularity_that_is_damaged_or_foreign_is_counted_anew() {
    // One line says so; the pages are there all the same.
    for damage in [&b""[..], b"popular?", &[0xA5; 4096]] {
        let (origin, data) = (Origin::start(), directory());
        asked_for(&origin, &data);
        fs::write(data.path().join("popular.keys"), damage).expect("a file");
        let proxy = Breadbox::start(config(&origin, &data, "deploy: v1"));
        (0..PAGES).for_each(|i| assert!(proxy.ask(&of(&path(i))).is_hit()));
        assert_eq!(proxy.count_logged("WARN", "what is popular is counted anew"), 1);
        stop(&proxy);
        let again = Breadbox::start(config(&origin, &data, "deploy: v1"));
        assert!(again.ask(&of(&path(0))).is_hit());
        assert_eq!(again.count_logged("WARN", "counted anew"), 0, "it was written anew");
    }
}

#[test]
fn a_page_that_was_not_compressed_before_a_restart_is_compressed_after_it() {
    // Its codings were still to be made when the process ended; nobody has to wait for its next refresh.
    let (origin, data) = (Origin::start(), directory());
    let page = super::super::encodings::text("p", 16_000);
    origin.answer("/p", Answer::html(page));
    let config = |compression: &str| {
        on_disk(Config::isr(&origin, &["revalidate: never"]).top(&format!("compression: {compression}")), data.path())
    };
    let before = Breadbox::start(config("{ max_waiting: 0 }"));
    assert_eq!(before.ask(&of("/p")).status, 200);
    assert_eq!(before.metric("breadbox_encodings_total", &[]), 0.0);
    stop(&before);
    let after = Breadbox::start(config("{ max_waiting: 10 }"));
    let accepting = of("/p").header("Accept-Encoding", "br");
    eventually("the page is compressed", PATIENCE, || after.ask(&accepting).header("content-encoding") == Some("br"));
    assert_eq!(origin.renders("/p"), 1);
}
