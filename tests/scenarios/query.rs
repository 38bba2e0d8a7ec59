//! Which query parameters count, and in which form they reach the origin.

use super::harness::{Ask, Breadbox, Config, Origin};

/// The targets the origin saw after clients asked for these.
fn seen_by_origin(cache: &str, keys: &[&str], asked: &[&str]) -> Vec<String> {
    let origin = Origin::start();
    let mut all = vec!["revalidate: 1h"];
    all.extend(keys);
    let keys = if cache == "isr" { &all[..] } else { keys };
    let proxy = Breadbox::start(Config::new(&origin).route("/{*rest}", cache, keys));
    for target in asked {
        assert_eq!(proxy.ask(&Ask::get(target)).status, 200, "{target}");
    }
    origin.all_requests().into_iter().map(|seen| seen.target).collect()
}

#[test]
fn the_order_of_parameters_does_not_matter() {
    // Parameters are sorted by name, repeated ones keep their order, and the origin sees that form.
    let asked = ["/p?b=2&a=1", "/p?a=1&b=2", "/p?a=2&a=1", "/p?a=1&a=2", "/p?b=2&a=1"];
    assert_eq!(seen_by_origin("isr", &[], &asked), ["/p?a=1&b=2", "/p?a=2&a=1", "/p?a=1&a=2"]);
}

#[test]
fn tracking_parameters_never_count() {
    // They are in no key and in no render, whether all parameters count or some are named.
    let asked = ["/p?utm_source=x&a=1", "/p?a=1&gclid=y", "/p?fbclid=z&a=1&utm_campaign=w", "/p?utm_medium=v", "/p"];
    assert_eq!(seen_by_origin("isr", &[], &asked), ["/p?a=1", "/p"]);
    assert_eq!(seen_by_origin("isr", &["query: [ a ]"], &asked), ["/p?a=1", "/p"]);
}

#[test]
fn only_named_parameters_count() {
    // Others are neither in the key nor sent.
    let asked = ["/p?page=2&sort=up&x=9", "/p?sort=up&page=2", "/p?x=9", "/p", "/p?page=3"];
    assert_eq!(seen_by_origin("isr", &["query: [ page, sort ]"], &asked), ["/p?page=2&sort=up", "/p", "/p?page=3"]);
    assert_eq!(seen_by_origin("isr", &["query: none"], &asked), ["/p"]);
}

#[test]
fn a_parameter_with_and_without_a_value_are_not_confused() {
    // Whatever the origin could tell apart has a page of its own.
    let asked = ["/p?a", "/p?a=", "/p?a=1", "/p?a=%31", "/p?A=1", "/p?a=1%26b=2", "/p?a=1&b=2"];
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    for target in asked.iter().chain(&asked) {
        proxy.get(target);
    }
    let mut targets: Vec<_> = origin.all_requests().into_iter().map(|seen| seen.target).collect();
    targets.sort();
    let all = targets.len();
    targets.dedup();
    assert_eq!(targets.len(), all, "one page for each form the origin sees: {targets:?}");
    for apart in ["/p?a=1", "/p?A=1", "/p?a=1&b=2"] {
        assert!(targets.iter().any(|t| t == apart), "{apart} in {targets:?}");
    }
    assert!(all >= 5, "{targets:?}");
}

#[test]
fn bypasses_and_header_routes_send_the_query_as_it_came() {
    // Byte for byte, tracking parameters and order included.
    let asked = ["/p?b=2&a=1&utm_source=x&a=%31", "/p?", "/p?&&a"];
    assert_eq!(seen_by_origin("off", &[], &asked), asked);
    assert_eq!(seen_by_origin("headers", &[], &asked), asked);
}

#[test]
fn the_tracking_list_can_be_changed() {
    // A top-level `tracking:` says what counts as tracking.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]).top("tracking: [ \"ref_*\" ]"));
    for target in ["/p?ref_a=1", "/p?ref_b=2", "/p"] {
        proxy.get(target);
    }
    assert_eq!(origin.count(), 1);
}
