//! What a list of a million paths costs: to read it with the configuration, to keep it, and to look a
//! path up in it, next to a list of a thousand. It prints figures and asserts nothing about time or room;
//! that a lookup is right is checked, so that nothing fast and wrong is measured.

use breadbox::config::{Config, Paths};
use breadbox::uri::PathSet;
use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const MANY: usize = 1_000_000;
const FEW: usize = 1_000;
const LOOKUPS: usize = 2_000_000;

fn main() {
    // `cargo bench --no-run` and `cargo test --benches` pass arguments of their own; none mean anything here.
    let directory = tempfile::tempdir().expect("a directory");
    println!("| {:<58} | {:>12} |", "", "");
    println!("|{:-<60}|{:->13}:|", "", "");
    for paths in [FEW, MANY] {
        let file = directory.path().join("paths.txt");
        std::fs::write(&file, list(paths)).expect("a file");
        let before = resident("VmRSS:");
        let start = Instant::now();
        let set = load(directory.path());
        let took = start.elapsed();
        assert_eq!(set.len(), paths + 1);
        row(&format!("{paths} paths: read with the configuration"), &format!("{} ms", took.as_millis()));
        let now = resident("VmRSS:");
        row("  the most memory there was while reading", &mib(resident("VmHWM:").saturating_sub(before)));
        row("  what stays of it", &mib(now.saturating_sub(before)));
        row("  a lookup of a path in it", &nanos(lookups(&set, paths, "")));
        row("  a lookup of a path that is not", &nanos(lookups(&set, paths, "x")));
    }
}

fn row(what: &str, figure: &str) {
    println!("| {what:<58} | {figure:>12} |");
}

fn mib(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}

fn nanos(time: Duration) -> String {
    format!("{} ns", time.as_nanos())
}

fn path(number: usize) -> String {
    format!("/docs/caf%C3%A9-{}/a-page-with-a-name-of-its-own-{number}", number % 1_000)
}

/// One path a line, as a site would write them, and a pattern.
fn list(paths: usize) -> String {
    let mut text = String::from("# every page\n/docs/archive/{*rest}\n");
    for number in 0..paths {
        writeln!(text, "{}", path(number).replace("%C3%A9", "é")).expect("memory takes it");
    }
    text
}

fn load(directory: &Path) -> Arc<PathSet> {
    let yaml = "origins: { web: { servers: [ \"http://127.0.0.1:3000\" ] } }\n\
                routes: [ { match: \"/docs/{*rest}\", cache: isr, paths: { file: paths.txt } } ]\n";
    let config = Config::parse(yaml, &directory.join("proxy.yaml"), &|_| None).expect("a valid configuration");
    match config.routes[0].paths.clone() {
        Some(Paths::File { set, .. }) => set,
        other => panic!("{other:?}"),
    }
}

/// The mean over paths of the list with this behind them; patterns are tried where nothing else is found.
fn lookups(set: &PathSet, paths: usize, behind: &str) -> Duration {
    const DIFFERENT: usize = 100_000;
    let asked: Vec<String> = (0..DIFFERENT).map(|n| path(n * 7_919 % paths) + behind).collect();
    let start = Instant::now();
    let mut found = 0;
    for n in 0..LOOKUPS {
        found += usize::from(set.contains(black_box(&asked[n % DIFFERENT])));
    }
    let took = start.elapsed();
    assert_eq!(found, if behind.is_empty() { LOOKUPS } else { 0 });
    Duration::from_nanos(u64::try_from(took.as_nanos() / LOOKUPS as u128).unwrap_or(u64::MAX))
}

/// KiB, as Linux counts them.
fn resident(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}
