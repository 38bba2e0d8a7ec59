//! A file with mistakes: every one of them at once, with its place, and no start.

use super::harness::{Breadbox, Config, Origin, Run};

const WRONG: &str = "\
listeners:
  - address: 127.0.0.1:0
admin:
  address: 127.0.0.1:0
origins:
  web:
    servers: [ \"http://127.0.0.1:1\" ]
    max_renders: many
store:
  memory: 64 parsecs
routes:
  - match: /a
    cache: isr
    revalidate: soon
  - match: /b
    cache: sometimes
  - match: /c
    cash: isr
  - match: /d
    cache: isr
    origin: nowhere
";

#[test]
fn every_mistake_is_reported_at_once() {
    // `check` and `run` name file, line and key of each mistake and exit 1.
    for command in ["check", "run"] {
        let run = Run::with_config(&[command], WRONG);
        assert_eq!(run.code, Some(1), "{command}: {}", run.output);
        assert!(run.output.contains("proxy.yaml"), "{}", run.output);
        let mistakes = [
            ("8", "max_renders"),
            ("10", "memory"),
            ("14", "revalidate"),
            ("16", "cache"),
            ("18", "cash"),
            ("21", "origin"),
        ];
        for (line, key) in mistakes {
            let place = format!("proxy.yaml:{line}");
            let named = run.output.lines().any(|said| said.contains(&place) && said.contains(key));
            assert!(named, "{command}: {key} in line {line}:\n{}", run.output);
        }
        assert!(!run.output.contains("panicked"), "{}", run.output);
    }
}

#[test]
fn a_sound_file_is_said_to_be_sound() {
    // `check` exits 0, and warns where any host is served.
    let origin = Origin::start();
    let run = Run::with_config(&["check"], &String::from(Config::isr(&origin, &["revalidate: 60s"])));
    assert_eq!(run.code, Some(0), "{}", run.output);
    assert!(run.output.contains("hosts"), "{}", run.output);
}

#[test]
fn an_unset_variable_is_a_mistake() {
    // `${VAR}` without a value and without a default is named.
    let origin = Origin::start();
    let config = Config::isr(&origin, &[]).admin("token: ${SCENARIO_UNSET_TOKEN}");
    let run = Run::with_config(&["check"], &String::from(config));
    assert_eq!(run.code, Some(1), "{}", run.output);
    assert!(run.output.contains("SCENARIO_UNSET_TOKEN"), "{}", run.output);
}

#[test]
fn an_admin_address_beyond_loopback_needs_a_token() {
    // Metrics on every interface without a token is a mistake.
    let origin = Origin::start();
    let yaml = String::from(Config::isr(&origin, &[]))
        .replace("admin:\n  address: 127.0.0.1:0", "admin:\n  address: 0.0.0.0:0");
    let run = Run::with_config(&["check"], &yaml);
    assert_eq!(run.code, Some(1), "{}", run.output);
    assert!(run.output.contains("token"), "{}", run.output);
}

#[test]
fn an_origin_that_does_not_resolve_is_no_mistake() {
    // Names are resolved when connecting: the proxy starts and answers with a clean error.
    let origin = Origin::start();
    let yaml = String::from(Config::isr(&origin, &[])).replace(&origin.url(), "http://no-such-name.invalid:80");
    let proxy = Breadbox::start(yaml);
    assert!(matches!(proxy.get("/p").status, 502 | 504));
}
