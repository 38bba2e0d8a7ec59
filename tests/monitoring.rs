//! That Prometheus and Grafana are shown what there is: every series and every label value that the shipped
//! dashboard, rules and alerts name exists in a fresh process, and every recorded series is recorded.

use breadbox::config::Config;
use breadbox::metrics::Metrics;
use serde_json::Value as Json;
use serde_yaml::Value as Yaml;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const DASHBOARD: &str = "config/grafana/breadbox.json";
const RULES: &str = "config/prometheus/rules.yml";
const ALERTS: &str = "config/prometheus/alerts.yml";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a shipped file is well-formed")
}

/// What a fresh process shows.
fn scrape() -> String {
    let yaml = "origins: { web: { servers: [ \"http://127.0.0.1:3000\" ] } }\n";
    let config = Config::parse(yaml, &PathBuf::from("proxy.yaml"), &|_| None).expect("a shipped file is well-formed");
    String::from_utf8(Metrics::new(&config).encode()).expect("a shipped file is well-formed")
}

fn samples(scrape: &str) -> BTreeSet<&str> {
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(['{', ' ']).next().expect("a shipped file is well-formed")).collect()
}

/// The expressions of the dashboard: every `expr`, and the queries of its variables.
fn dashboard_expressions(value: &Json, found: &mut Vec<String>) {
    match value {
        Json::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "expr" || name == "definition" => found.push(text.to_owned()),
                    _ => dashboard_expressions(value, found),
                }
            }
        }
        Json::Array(values) => values.iter().for_each(|value| dashboard_expressions(value, found)),
        _ => {}
    }
}

fn rules(path: &str) -> Vec<Yaml> {
    let file: Yaml = serde_yaml::from_str(&read(path)).expect("a shipped file is well-formed");
    let groups = file["groups"].as_sequence().expect("a shipped file is well-formed");
    groups
        .iter()
        .flat_map(|group| group["rules"].as_sequence().expect("a shipped file is well-formed").clone())
        .collect()
}

fn text(rule: &Yaml, key: &str) -> String {
    rule[key].as_str().unwrap_or_default().to_owned()
}

/// Every expression, with what it is in.
fn expressions() -> Vec<(&'static str, String)> {
    let mut of_dashboard = Vec::new();
    dashboard_expressions(
        &serde_json::from_str(&read(DASHBOARD)).expect("a shipped file is well-formed"),
        &mut of_dashboard,
    );
    assert!(of_dashboard.len() > 30, "the dashboard has {} expressions", of_dashboard.len());
    let of_rules = [RULES, ALERTS].map(|path| rules(path).iter().map(|rule| (path, text(rule, "expr"))).collect());
    let of_rules: Vec<Vec<_>> = of_rules.into();
    of_dashboard.into_iter().map(|expr| (DASHBOARD, expr)).chain(of_rules.into_iter().flatten()).collect()
}

/// Names as PromQL has them.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
}

/// What the expression compares the label with: `outcome=~"hit|stale"` has two values.
fn values<'a>(expression: &'a str, label: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (at, _) in expression.match_indices(label) {
        let rest = expression[at + label.len()..].trim_start_matches(['=', '~', '!']);
        let matcher = rest.len() < expression[at + label.len()..].len();
        if let Some(value) = rest.strip_prefix('"').filter(|_| matcher).and_then(|rest| rest.split('"').next()) {
            found.extend(value.split('|').filter(|value| !value.starts_with('$')));
        }
    }
    found
}

#[test]
fn every_series_that_is_used_exists() {
    let scrape = scrape();
    let samples = samples(&scrape);
    let recorded: BTreeSet<String> = rules(RULES).iter().map(|rule| text(rule, "record")).collect();
    for (path, expression) in expressions() {
        for name in names(&expression) {
            let is_ours = name.starts_with("breadbox_") || name.starts_with("process_");
            assert!(!is_ours || samples.contains(name), "{path} uses {name}, which does not exist: {expression}");
            let is_recorded = name.contains(':') && name.contains("breadbox");
            assert!(!is_recorded || recorded.contains(name), "{path} uses {name}, which nobody records: {expression}");
        }
    }
}

#[test]
fn every_label_value_that_is_used_exists() {
    let scrape = scrape();
    for (path, expression) in expressions() {
        for label in ["outcome", "result"] {
            for value in values(&expression, label) {
                let there = scrape.contains(&format!("{label}=\"{value}\""));
                assert!(there, "{path} uses {label} {value}, which does not exist: {expression}");
            }
        }
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    for alert in rules(ALERTS) {
        let name = text(&alert, "alert");
        assert!(["page", "ticket"].contains(&alert["labels"]["severity"].as_str().unwrap()), "{name}");
        assert!(alert["annotations"]["summary"].as_str().unwrap().len() > 20, "{name}");
        assert!(alert["annotations"]["runbook"].as_str().unwrap().len() > 80, "{name}");
    }
}

#[test]
fn the_panels_of_the_dashboard_do_not_overlap_and_all_say_what_they_show() {
    let dashboard: Json = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{}", panel["title"]);
        for (x, y) in (0..place("w")).flat_map(|x| (0..place("h")).map(move |y| (x, y))) {
            assert!(taken.insert((place("x") + x, place("y") + y)), "{} overlaps", panel["title"]);
        }
        assert!(panel["type"] == "row" || panel["description"].is_string(), "{}", panel["title"]);
    }
}

#[test]
fn the_scan_sees_what_it_should() {
    let expression = "rate(breadbox_x_total{outcome=~\"hit|stale\",result!=\"a\"}[5m]) / job:breadbox_y:rate5m";
    let found: Vec<_> = names(expression).filter(|name| name.contains("breadbox")).collect();
    assert_eq!(found, ["breadbox_x_total", "job:breadbox_y:rate5m"]);
    assert_eq!(values(expression, "outcome"), ["hit", "stale"]);
    assert_eq!(values(expression, "result"), ["a"]);
    assert_eq!(values("sum by (outcome) (x)", "outcome"), Vec::<&str>::new());
}
