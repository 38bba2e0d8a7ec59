//! What a scrape shows: that the number of series never changes, that names obey the rules, and
//! that the text is the format's.

use super::*;
use crate::config::{Limits, Listener};
use crate::policy::outcome::Served;
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet};

fn metrics() -> Metrics {
    let names = Names {
        routes: vec!["/".into(), "shop.example/\"{id}\"\n".into(), "/{*rest}".into()],
        route_origins: vec![OriginId(0), OriginId(1), OriginId(0)],
        origins: vec!["web".into(), "shop".into()],
        listeners: listener_names(["0.0.0.0:8080", "127.0.0.1:0", "127.0.0.1:0"].iter().map(|a| a.parse().unwrap())),
        listed: Vec::new(),
        threads: 2,
    };
    Metrics::with_names(names).unwrap()
}

fn outcome(served: Served, collapsed: bool) -> Outcome {
    Outcome { served, forwarded: None, fresh_until: None, stored: false, collapsed, fwd_status: None, detail: None }
}

/// The scrape as (series with labels → value), checked line by line against the text format.
fn scrape(metrics: &Metrics) -> BTreeMap<String, f64> {
    let text = String::from_utf8(metrics.encode()).unwrap();
    assert!(text.ends_with('\n'));
    let mut series = BTreeMap::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let (word, rest) = comment.split_once(' ').unwrap();
            let (name, _) = rest.split_once(' ').unwrap();
            assert!(word == "HELP" || word == "TYPE", "{line}");
            assert!(word == "HELP" || name == family, "{line}: TYPE follows its HELP");
            family = name.to_owned();
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with(&family), "{line}: under {family}");
        assert!(!name.contains('{') || name.ends_with('}'), "{line}");
        let value = value.parse().unwrap_or_else(|_| panic!("{line}: no number"));
        assert!(series.insert(name.to_owned(), value).is_none(), "{line}: twice");
    }
    series
}

fn keys(metrics: &Metrics) -> BTreeSet<String> {
    scrape(metrics).into_keys().collect()
}

/// Whatever happens, there are the series that were there before anything did.
#[test]
fn the_number_of_series_never_changes() {
    let metrics = metrics();
    let before = keys(&metrics);
    let listeners = metrics.names.listeners.clone();
    let mut random = rand::rng();
    for _ in 0..10_000 {
        let route = random.random_range(0..4_usize);
        let served = Served::ALL[random.random_range(0..Served::ALL.len())];
        let result = RenderResult::ALL[random.random_range(0..RenderResult::ALL.len())];
        let duration = Duration::from_micros(random.random_range(0..90_000_000));
        let route = (route < 3).then_some(RouteId(route));
        metrics.request(route, &outcome(served, random.random()), random.random_range(0..9_999), duration);
        metrics.render(RouteId(random.random_range(0..3)), result, duration);
        metrics.backed_off(OriginId(random.random_range(0..2)));
        drop((metrics.listener(&listeners[random.random_range(0..3)]).connection(), metrics.render_runs(OriginId(1))));
        metrics.invalidated();
    }
    metrics.reload_refused();
    assert_eq!(keys(&metrics), before);
}

/// What was counted is what is shown.
#[test]
fn a_scrape_shows_what_was_counted() {
    let metrics = metrics();
    metrics.request(Some(RouteId(0)), &outcome(Served::Hit, false), 100, Duration::from_micros(50));
    metrics.request(Some(RouteId(0)), &outcome(Served::Miss, true), 11, Duration::from_millis(600));
    metrics.request(None, &outcome(Served::Bypass, false), 0, Duration::from_secs(60));
    metrics.render(RouteId(1), RenderResult::Timeout, Duration::from_secs(2));
    metrics.observe_store(|| StoreReading { bytes: 5, pages: 4, capacity: 3, evictions: 2, ..StoreReading::default() });
    metrics.observe_backoff_keys(|| 9);
    let waiting = metrics.render_waits(OriginId(0));
    let _connection = metrics.listener("127.0.0.1:0#2").connection();
    drop(metrics.listener("0.0.0.0:8080").connection());
    metrics.reload_taken();
    let shown = scrape(&metrics);
    for (series, value) in [
        (r#"breadbox_requests_total{route="/",outcome="hit"}"#, 1.0),
        (r#"breadbox_requests_total{route="no-route",outcome="bypass"}"#, 1.0),
        (r#"breadbox_requests_total{route="/{*rest}",outcome="hit"}"#, 0.0),
        (r#"breadbox_request_duration_seconds_bucket{route="/",outcome="hit",le="0.0001"}"#, 1.0),
        (r#"breadbox_request_duration_seconds_bucket{route="/",outcome="miss",le="0.5"}"#, 0.0),
        (r#"breadbox_request_duration_seconds_bucket{route="/",outcome="miss",le="1"}"#, 1.0),
        (r#"breadbox_request_duration_seconds_bucket{route="no-route",outcome="bypass",le="30"}"#, 0.0),
        (r#"breadbox_request_duration_seconds_bucket{route="no-route",outcome="bypass",le="+Inf"}"#, 1.0),
        (r#"breadbox_request_duration_seconds_sum{route="/",outcome="miss"}"#, 0.6),
        ("breadbox_response_bytes_total", 111.0),
        (r#"breadbox_collapsed_requests_total{route="/"}"#, 1.0),
        (r#"breadbox_renders_total{origin="shop",result="timeout",route="shop.example/\"{id}\"\n"}"#, 1.0),
        (r#"breadbox_render_duration_seconds_count{origin="shop"}"#, 1.0),
        (r#"breadbox_renders_waiting{origin="web"}"#, 1.0),
        (r#"breadbox_connections{listener="0.0.0.0:8080"}"#, 0.0),
        (r#"breadbox_connections{listener="127.0.0.1:0#2"}"#, 1.0),
        ("breadbox_connections_total", 2.0),
        ("breadbox_store_bytes", 5.0),
        ("breadbox_store_pages", 4.0),
        ("breadbox_store_capacity_bytes", 3.0),
        ("breadbox_store_evictions_total", 2.0),
        ("breadbox_backoff_keys", 9.0),
        ("breadbox_config_generation", 2.0),
        ("breadbox_config_last_reload_success", 1.0),
    ] {
        assert_eq!(shown.get(series), Some(&value), "{series}");
    }
    drop(waiting);
    metrics.reload_refused();
    let shown = scrape(&metrics);
    assert_eq!(shown[r#"breadbox_renders_waiting{origin="web"}"#], 0.0);
    assert_eq!(shown["breadbox_config_last_reload_success"], 0.0);
}

/// `breadbox_` or `process_`, units and `_total` where they belong, labels from the list.
#[test]
fn names_obey_the_rules() {
    let metrics = metrics();
    for family in metrics.registry.gather() {
        let name = family.name();
        assert!(name.starts_with("breadbox_") || name.starts_with("process_"), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert!(family.help().ends_with('.'), "{name}: a sentence");
        let counter = family.get_field_type() == prometheus::proto::MetricType::COUNTER;
        assert_eq!(counter, name.ends_with("_total"), "{name}");
        for unit in ["millis", "_ms", "_kb", "minutes"] {
            assert!(!name.contains(unit), "{name}");
        }
        for label in family.get_metric().iter().flat_map(|metric| metric.get_label()) {
            let known = [
                "route", "outcome", "origin", "result", "listener", "version", "kind", "mode", "reason", "limit",
                "coding",
            ];
            assert!(known.contains(&label.name()), "{name}: {}", label.name());
        }
    }
}

/// Failing renders reach health through the metrics, so the two cannot disagree.
#[test]
fn renders_that_are_counted_are_what_health_judges() {
    let metrics = metrics();
    for _ in 0..5 {
        metrics.render(RouteId(1), RenderResult::ServerError, Duration::from_millis(1));
        metrics.render(RouteId(0), RenderResult::ServerError, Duration::from_millis(1));
        metrics.render(RouteId(2), RenderResult::NotFound, Duration::from_millis(1));
    }
    assert_eq!(metrics.health().reasons(), ["origin shop: its last 5 renders failed"]);
    metrics.reload_refused();
    assert_eq!(metrics.health().reasons().len(), 2);
}

/// A change of the configuration takes nothing off what stays, adds what is new, and removes what is gone,
/// also from a request or a render that began before.
#[test]
fn series_go_on_through_a_change_of_the_configuration() {
    let before = metrics();
    before.render(RouteId(2), RenderResult::Good, Duration::ZERO);
    before.request(Some(RouteId(2)), &outcome(Served::Miss, true), 1, Duration::ZERO);
    let running = before.render_runs(OriginId(0));
    let mut next = crate::policy::testing::config(vec![
        crate::policy::testing::route("/new"),
        crate::policy::testing::route("/{*rest}"),
    ]);
    let address = "0.0.0.0:8080".parse().unwrap();
    let limits = Limits {
        head_timeout: Duration::ZERO,
        idle_timeout: Duration::ZERO,
        max_head: 0,
        max_headers: 0,
        max_streams: 0,
        handshake_timeout: Duration::ZERO,
        max_handshakes: std::num::NonZeroUsize::MIN,
    };
    next.listeners = vec![Listener { address, limits, tls: vec![], h2c: false }];
    let after = before.next(&next);
    let all = keys(&before);
    assert!(all.contains(r#"breadbox_renders_total{origin="web",result="good",route="/new"}"#), "there from the start");
    after.supersede(&before);
    after.reload_taken();
    before.render(RouteId(2), RenderResult::Good, Duration::ZERO);
    before.render(RouteId(1), RenderResult::Good, Duration::ZERO);
    after.render(RouteId(1), RenderResult::Good, Duration::ZERO);
    after.request(Some(RouteId(1)), &outcome(Served::Miss, true), 1, Duration::ZERO);
    let shown = scrape(&after);
    for (series, value) in [
        (r#"breadbox_renders_total{origin="web",result="good",route="/{*rest}"}"#, Some(3.0)),
        (r#"breadbox_renders_total{origin="web",result="good",route="/new"}"#, Some(0.0)),
        (r#"breadbox_requests_total{route="/{*rest}",outcome="miss"}"#, Some(2.0)),
        (r#"breadbox_collapsed_requests_total{route="/{*rest}"}"#, Some(2.0)),
        (r#"breadbox_renders_in_flight{origin="web"}"#, Some(1.0)),
        (r#"breadbox_renders_in_flight{origin="shop"}"#, None),
        (r#"breadbox_connections{listener="0.0.0.0:8080"}"#, Some(0.0)),
        (r#"breadbox_connections{listener="127.0.0.1:0"}"#, None),
        ("breadbox_response_bytes_total", Some(2.0)),
        ("breadbox_config_generation", Some(2.0)),
        (r#"breadbox_config_reloads_total{result="taken"}"#, Some(1.0)),
    ] {
        assert_eq!(shown.get(series).copied(), value, "{series}");
    }
    assert!(shown.keys().all(|series| !series.contains("shop")), "{shown:?}");
    drop(running);
    assert_eq!(scrape(&before)[r#"breadbox_renders_in_flight{origin="web"}"#], 0.0);
}
