//! The files that are shipped beside the reference are valid, and no damage to a file makes the parser panic.

use super::{parse, parse_file, repository};
use proptest::prelude::*;
use std::fs;
use std::path::PathBuf;

/// Examples that are no `proxy.yaml`.
const DEPLOYMENTS: [&str; 3] = ["breadbox.service", "compose.yaml", "kubernetes.yaml"];

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
