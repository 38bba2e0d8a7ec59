//! The files that are shipped beside the reference are valid, and no damage to a file makes the parser panic.

use super::{parse, parse_file, repository};
use breadbox::config::Config;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

/// Examples that are no `proxy.yaml`.
const DEPLOYMENTS: [&str; 3] = ["breadbox.service", "compose.yaml", "kubernetes.yaml"];

#[test]
fn the_manifest_holds_a_valid_configuration_and_asks_the_admin_port() {
    let text = fs::read_to_string(repository().join("config/examples/kubernetes.yaml")).expect("the manifest");
    let documents: Vec<serde_yaml::Value> = serde_yaml::Deserializer::from_str(&text)
        .map(|document| serde::Deserialize::deserialize(document).expect("YAML"))
        .collect();
    let inside = documents[0]["data"]["proxy.yaml"].as_str().expect("a configuration");
    let token = |name: &str| (name == "BREADBOX_ADMIN_TOKEN").then(|| "t".to_owned());
    let config = Config::parse(inside, Path::new("kubernetes.yaml"), &token).unwrap_or_else(|error| panic!("{error}"));
    let container = &documents[1]["spec"]["template"]["spec"]["containers"][0];
    let ports = container["ports"].as_sequence().expect("ports");
    let port =
        |name: &str| ports.iter().find(|port| port["name"] == name).and_then(|port| port["containerPort"].as_u64());
    assert_eq!(port("http"), Some(config.listeners[0].address.port().into()));
    assert_eq!(port("admin"), Some(config.admin.address.port().into()));
    for (probe, path) in [("readinessProbe", "/readyz"), ("livenessProbe", "/healthz"), ("startupProbe", "/healthz")] {
        assert_eq!(container[probe]["httpGet"]["path"], path, "{probe}");
        assert_eq!(container[probe]["httpGet"]["port"], "admin", "{probe}");
    }
}

#[test]
fn the_examples_are_valid_and_warn_of_nothing() {
    let directory = repository().join("config/examples");
    let files: Vec<_> =
        fs::read_dir(directory).expect("the examples").map(|entry| entry.expect("a file").path()).collect();
    assert!(files.len() >= 3);
    let configures_something_else = |file: &PathBuf| DEPLOYMENTS.iter().any(|name| file.ends_with(name));
    for file in files.into_iter().filter(|file| !configures_something_else(file)) {
        let config = parse_file(&file).unwrap_or_else(|error| panic!("{error}"));
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "([a-z]{0,8}[:&*\\[\\]{}\"'#|>%@!? \t\n,-]{0,3}){0,40}|.{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_damage_to_the_reference_makes_the_parser_panic(cut in 0_usize..9_000, insert in "[:&*\\[\\]{}\"'#|>\t\n -]{0,3}") {
        let mut text = fs::read_to_string(repository().join("config/reference.yaml")).expect("the reference");
        let at = text.floor_char_boundary(cut.min(text.len()));
        text.insert_str(at, &insert);
        let _ = parse(&text);
    }
}
