//! The unit, the Compose file and the manifest name commands, paths, ports and times that there are.

use super::repository;
use breadbox::config::Config;
use std::fs;
use std::path::Path;
use std::process::Command;

fn example(name: &str) -> String {
    fs::read_to_string(repository().join("config/examples").join(name)).expect("the example")
}

fn parse(name: &str, yaml: &str) -> Config {
    let token = |name: &str| (name == "BREADBOX_ADMIN_TOKEN").then(|| "t".to_owned());
    Config::parse(yaml, Path::new(name), &token).unwrap_or_else(|error| panic!("{error}"))
}

/// Whether these arguments mean something; a `run` only shows its help.
fn is_understood(arguments: &[&str]) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_breadbox"));
    for argument in arguments {
        let is_file = *argument == "/etc/breadbox/proxy.yaml";
        command.arg(if is_file { repository().join("proxy.yaml") } else { argument.into() });
    }
    if arguments[0] == "run" {
        command.arg("--help");
    }
    command.output().expect("the binary runs").status.success()
}

fn seconds(text: &str) -> u64 {
    text.strip_suffix('s').and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text} is no time"))
}

#[test]
fn the_unit_starts_what_there_is_and_hides_nothing_that_is_read() {
    let unit = example("breadbox.service");
    let settings: Vec<(&str, &str)> =
        unit.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect();
    let all = |name: &str| settings.iter().filter(|(key, _)| *key == name).map(|(_, value)| *value).collect::<Vec<_>>();
    for line in [all("ExecStart"), all("ExecStartPre")].concat() {
        let arguments: Vec<&str> = line.split(' ').collect();
        assert_eq!(arguments[0], "/usr/local/bin/breadbox");
        assert!(is_understood(&arguments[1..]), "{line}");
    }
    assert!(!is_understood(&["run", "--no-such-thing"]), "mistakes are found");
    // A successor says that it is the main process, and finds the one before in the runtime directory.
    assert_eq!(
        (all("Type"), all("NotifyAccess"), all("RuntimeDirectory")),
        (vec!["notify"], vec!["all"], vec!["breadbox"])
    );
    // The disk tier tells boots apart by /proc/uptime and /proc/sys/kernel/random/boot_id.
    assert!(all("ProcSubset").iter().all(|value| *value == "all"));
    let patience = parse("reference", &fs::read_to_string(repository().join("proxy.yaml")).expect("it is there"));
    assert!(seconds(all("TimeoutStopSec")[0]) > patience.shutdown_timeout.as_secs());
}

#[test]
fn the_compose_file_fits_the_configuration_that_it_shows() {
    let text = example("compose.yaml");
    let shown: String =
        text.lines().filter_map(|line| line.strip_prefix("#   ")).map(|line| format!("{line}\n")).collect();
    let config = parse("compose.yaml", &shown);
    let compose: serde_yaml::Value = serde_yaml::from_str(&text).expect("YAML");
    let service = &compose["services"]["breadbox"];
    let words = |value: &serde_yaml::Value| -> Vec<String> {
        let words = value.as_sequence().expect("a list").iter();
        words.map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    let command = words(&service["command"]);
    assert!(is_understood(&command.iter().map(String::as_str).collect::<Vec<_>>()), "{command:?}");
    let inside: Vec<u16> = words(&service["ports"])
        .iter()
        .map(|port| port.rsplit(':').next().expect("a port").parse().expect("a number"))
        .collect();
    assert_eq!(inside, [config.listeners[0].address.port(), config.admin.address.port()]);
    assert!(seconds(service["stop_grace_period"].as_str().expect("a time")) > config.shutdown_timeout.as_secs());
    for volume in words(&compose["services"]["prometheus"]["volumes"]) {
        let (file, _) = volume.split_once(':').expect("where it goes");
        assert!(repository().join("config/examples").join(file).is_file(), "{file}");
    }
    let scrapes = compose["configs"]["prometheus"]["content"].as_str().expect("a document");
    assert!(scrapes.contains(&format!("breadbox:{}", config.admin.address.port())), "{scrapes}");
}

#[test]
fn the_manifest_holds_a_valid_configuration_and_asks_the_admin_port() {
    let documents: Vec<serde_yaml::Value> = serde_yaml::Deserializer::from_str(&example("kubernetes.yaml"))
        .map(|document| serde::Deserialize::deserialize(document).expect("YAML"))
        .collect();
    let inside = documents[0]["data"]["proxy.yaml"].as_str().expect("a configuration");
    let config = parse("kubernetes.yaml", inside);
    let pod = &documents[1]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let ports = container["ports"].as_sequence().expect("ports");
    let port =
        |name: &str| ports.iter().find(|port| port["name"] == name).and_then(|port| port["containerPort"].as_u64());
    assert_eq!(port("http"), Some(config.listeners[0].address.port().into()));
    assert_eq!(port("admin"), Some(config.admin.address.port().into()));
    for (probe, path) in [("readinessProbe", "/readyz"), ("livenessProbe", "/healthz"), ("startupProbe", "/healthz")] {
        assert_eq!(container[probe]["httpGet"]["path"], path, "{probe}");
        assert_eq!(container[probe]["httpGet"]["port"], "admin", "{probe}");
    }
    let before = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().expect("a time");
    let grace = pod["terminationGracePeriodSeconds"].as_u64().expect("a time");
    assert!(grace > before + config.shutdown_timeout.as_secs());
}
