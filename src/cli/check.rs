//! `breadbox check`: says whether a configuration is right, and everything that is wrong with it at once; with
//! `--replay`, what it would have made of an access log. It starts nothing and asks no origin.

use crate::config::Config;
use std::io::Write;
use std::path::PathBuf;

/// Check a configuration and show every mistake in it.
#[derive(clap::Args)]
pub struct Args {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = super::run::DEFAULT_CONFIG)]
    config: PathBuf,
    /// Replay this access log (combined format, also .gz; - for standard input) against the configuration.
    #[arg(long, value_name = "LOG")]
    replay: Option<PathBuf>,
}

/// Loads the configuration and describes it on `out`. Fails with every mistake in it.
pub(super) fn check(args: &Args, out: &mut impl Write) -> anyhow::Result<()> {
    let config = Config::load(&args.config)?;
    let parts = [
        count(config.routes.len(), "route"),
        count(config.origins.len(), "origin"),
        count(config.warnings.len(), "warning"),
    ];
    writeln!(out, "{}: ok ({})", args.config.display(), parts.join(", "))?;
    for warning in &config.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    match &args.replay {
        Some(log) => super::replay::replay(&config, log, out),
        None => Ok(()),
    }
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::{Args, check};
    use std::path::PathBuf;

    fn checked(yaml: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().expect("a place for a file");
        let path = folder.path().join("proxy.yaml");
        std::fs::write(&path, yaml).expect("a file can be written there");
        let mut out = Vec::new();
        check(&Args { config: path, replay: None }, &mut out).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn a_right_configuration_is_described() {
        let said = checked(concat!(
            "hosts: [ shop.example.com ]\n",
            "origins: { web: { servers: [ \"http://127.0.0.1:3000\" ] } }\n",
            "routes:\n",
            "  - { match: /about, cache: static }\n",
            "  - { match: \"/{*rest}\", cache: headers }\n",
        ));
        let said = said.expect("a right configuration");
        assert!(said.lines().next().is_some_and(|line| line.contains(": ok (2 routes, 1 origin, ")), "{said}");
    }

    #[test]
    fn warnings_are_shown_and_counted() {
        let said = checked("origins: { web: { servers: [ \"http://127.0.0.1:3000\" ] } }\n").expect("no mistake");
        let warnings = said.lines().filter(|line| line.starts_with("warning: ")).count();
        assert!(warnings > 0, "a configuration that serves any host is warned of: {said}");
        assert!(said.contains(&super::count(warnings, "warning")), "{said}");
    }

    #[test]
    fn mistakes_are_an_error() {
        let said = checked("orgins: {}\n").expect_err("an unknown key");
        assert!(said.contains("orgins"), "{said}");
    }

    #[test]
    fn a_missing_file_is_an_error_that_names_it() {
        let missing = Args { config: PathBuf::from("/nowhere/at/all.yaml"), replay: None };
        let said = check(&missing, &mut Vec::new()).expect_err("there is no such file").to_string();
        assert!(said.contains("/nowhere/at/all.yaml"), "{said}");
    }
}
