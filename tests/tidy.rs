//! Holds the shape of the house: which rooms there are, which may use which, and how a file looks. It reads
//! the sources as tokens, so comments and strings cannot mislead it; code under `#[cfg(test)]` is free.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every room and the rooms that it may use. None is used by a room that it uses itself.
const ROOMS: [(&str, &[&str]); 11] = [
    ("cli", &["admin", "front", "render", "sitemap", "store", "policy", "config", "metrics", "telemetry", "uri"]),
    ("admin", &["front", "render", "sitemap", "store", "policy", "config", "metrics", "telemetry", "uri"]),
    ("front", &["render", "sitemap", "store", "policy", "config", "metrics", "telemetry", "uri"]),
    ("render", &["sitemap", "store", "policy", "config", "metrics", "telemetry", "uri"]),
    ("sitemap", &[]),
    ("store", &["policy", "config", "metrics", "telemetry", "uri"]),
    ("metrics", &["policy", "config"]),
    ("telemetry", &["policy", "config"]),
    ("policy", &["config", "uri"]),
    ("config", &["uri"]),
    ("uri", &[]),
];

/// Where pingora may be imported: files and folders below `src` that begin like this.
const PINGORA: [&str; 4] = ["front", "admin", "cli", "render/origin"];

/// What would give policy a clock, I/O, asynchrony or a global.
const IMPURE: [&str; 12] = [
    "Instant", "async", "await", "tokio", "fs", "process", "thread", "tracing", "OnceLock", "LazyLock", "Mutex",
    "RwLock",
];

const LONGEST_FILE: usize = 400;

/// A source file, without its tests.
struct Source {
    /// Below `src`, such as `policy/key.rs`.
    path: String,
    words: Vec<String>,
}

impl Source {
    fn room(&self) -> &str {
        let end = self.path.find(['/', '.']).expect("a path ends in .rs");
        &self.path[..end]
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`, with its path below the package's root.
fn rust_files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("a readable folder").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(below_root(&path));
            }
        }
    }
    found.sort();
    found
}

fn below_root(path: &Path) -> String {
    let path = path.strip_prefix(root()).expect("a path below the root");
    path.to_str().expect("a path of ASCII").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("a readable file")
}

/// The files of the library that are not tests.
fn sources() -> Vec<Source> {
    let mut tests = BTreeSet::new();
    let mut sources = Vec::new();
    for path in rust_files("src") {
        let mut words = Words::default();
        words.add(read(&path).parse().expect("Rust that compiles"));
        tests.extend(words.test_modules.iter().map(|name| Path::new(&path).with_extension("").join(name)));
        sources.push(Source { path: path.trim_start_matches("src/").to_owned(), words: words.list });
    }
    let is_test = |source: &Source| {
        let module = Path::new("src").join(&source.path).with_extension("");
        module.ancestors().any(|ancestor| tests.contains(ancestor))
    };
    sources.retain(|source| !is_test(source));
    sources
}

/// The tokens of a file as text, without the items under `#[cfg(test)]`.
#[derive(Default)]
struct Words {
    list: Vec<String>,
    /// Modules in files of their own that are tests.
    test_modules: Vec<PathBuf>,
}

impl Words {
    fn add(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            if is_punct(&token, '#') && tokens.peek().is_some_and(is_cfg_test) {
                self.skip_item(&mut tokens);
                continue;
            }
            match token {
                TokenTree::Group(group) => {
                    let (open, close) = delimiters(group.delimiter());
                    self.list.push(open.into());
                    self.add(group.stream());
                    self.list.push(close.into());
                }
                other => self.list.push(other.to_string()),
            }
        }
    }

    /// Leaves out everything up to the item's braces or semicolon.
    fn skip_item(&mut self, tokens: &mut impl Iterator<Item = TokenTree>) {
        let mut words = Vec::new();
        for token in tokens {
            match &token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
                token if is_punct(token, ';') => break,
                token => words.push(token.to_string()),
            }
        }
        if let Some(module) = words.iter().position(|word| word == "mod") {
            self.test_modules.extend(words.get(module + 1).map(PathBuf::from));
        }
    }
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

fn is_cfg_test(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.stream().to_string().replace(' ', "") == "cfg(test)")
}

fn delimiters(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// The names that the file takes from the root of the crate, whether it says `crate::` or `super::`.
fn taken_from_root(source: &Source) -> BTreeSet<&str> {
    let depth = source.path.split('/').count();
    let words: Vec<&str> = source.words.iter().map(String::as_str).collect();
    let supers = ["super", ":", ":"].repeat(depth);
    let mut names = BTreeSet::new();
    for start in 0..words.len() {
        let rest = &words[start..];
        let from_super = start < 3 || words[start - 3..start] != supers[..3];
        let rest = match rest {
            ["crate", ":", ":", rest @ ..] => rest,
            _ if from_super && rest.starts_with(&supers) => &rest[supers.len()..],
            _ => continue,
        };
        names.extend(first_names(rest));
    }
    names
}

/// `name`, or the first name of each entry of `{ … }`.
fn first_names<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let ["{", entries @ ..] = words else { return words.first().copied().into_iter().collect() };
    let (mut names, mut depth, mut first) = (Vec::new(), 1, true);
    for &word in entries {
        match word {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if depth == 1 && first => names.push(word),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        first = depth == 1 && word == ",";
    }
    names
}

fn fixture(path: &str, text: &str) -> Source {
    let mut words = Words::default();
    words.add(text.parse().expect("Rust"));
    Source { path: path.into(), words: words.list }
}

/// The rooms that `source` uses although it may not.
fn forbidden_rooms(source: &Source) -> Vec<String> {
    let Some((room, allowed)) = ROOMS.iter().find(|(room, _)| *room == source.room()) else { return Vec::new() };
    let taken = taken_from_root(source);
    let others = ROOMS.iter().map(|(other, _)| other).filter(|other| taken.contains(**other) && *other != room);
    let forbidden = others.filter(|other| !allowed.contains(other));
    forbidden.map(|other| format!("{} must not use {other}", source.path)).collect()
}

fn imports_pingora(source: &Source) -> bool {
    source.words.iter().any(|word| word == "pingora" || word.starts_with("pingora_"))
}

fn unwraps(source: &Source) -> bool {
    source.words.windows(3).any(|words| words[0] == "." && words[1] == "unwrap" && words[2] == "(")
}

fn none(violations: Vec<String>) {
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn the_rooms_are_those_of_the_design() {
    let found: BTreeSet<String> = fs::read_dir(root().join("src"))
        .expect("there are sources")
        .map(|entry| entry.expect("a readable folder").path().with_extension(""))
        .map(|path| path.file_name().and_then(|name| name.to_str()).expect("a name of ASCII").to_owned())
        .filter(|name| name != "lib" && name != "main")
        .collect();
    let expected: BTreeSet<String> = ROOMS.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(found, expected);
}

#[test]
fn no_room_uses_one_that_uses_it() {
    for (index, (room, uses)) in ROOMS.iter().enumerate() {
        let above: Vec<&str> = ROOMS[..=index].iter().map(|(room, _)| *room).collect();
        assert!(uses.iter().all(|used| !above.contains(used)), "{room}");
    }
}

#[test]
fn dependencies_point_downwards() {
    none(sources().iter().flat_map(forbidden_rooms).collect());
}

#[test]
fn pingora_is_known_in_few_places() {
    let sources = sources();
    let elsewhere = sources.iter().filter(|source| !PINGORA.iter().any(|place| source.path.starts_with(place)));
    none(elsewhere.filter(|source| imports_pingora(source)).map(|source| source.path.clone()).collect());
}

#[test]
fn policy_has_no_clock_no_io_no_async_and_no_globals() {
    let sources = sources();
    let policy = sources.iter().filter(|source| source.room() == "policy");
    let impure = |source: &Source| IMPURE.into_iter().find(|word| source.words.iter().any(|other| other == word));
    let reads_clock = |source: &Source| source.words.windows(4).any(|words| *words == ["SystemTime", ":", ":", "now"]);
    let why = |source| if reads_clock(source) { Some("SystemTime::now") } else { impure(source) };
    none(policy.filter_map(|source| Some(format!("{}: {}", source.path, why(source)?))).collect());
}

#[test]
fn nothing_unwraps_outside_tests() {
    none(sources().iter().filter(|source| unwraps(source)).map(|source| source.path.clone()).collect());
}

#[test]
fn every_file_says_first_what_it_is_and_is_short() {
    let mut violations = Vec::new();
    for path in ["src", "tests", "benches"].into_iter().flat_map(rust_files) {
        let text = read(&path);
        if !text.starts_with("//! ") {
            violations.push(format!("{path} does not open with //!"));
        }
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            violations.push(format!("{path} has {lines} lines; which two things is it?"));
        }
    }
    none(violations);
}

#[test]
fn files_are_named_after_what_they_are() {
    let misnamed = |path: &String| {
        let name = Path::new(path).file_stem().and_then(|name| name.to_str()).expect("a name of ASCII");
        ["mod", "util", "utils", "common", "helpers", "prelude", "types", "misc"].contains(&name)
    };
    none(rust_files("src").into_iter().filter(misnamed).collect());
}

#[test]
fn the_scan_sees_what_it_should() {
    let policy = |text| fixture("policy/key.rs", text);
    for text in [
        "use crate::store::Memory;",
        "use crate::{config::Route, store::Memory};",
        "use crate::{config::{Route, RouteId}, front};",
        "use super::super::render::flight;",
        "fn f() { crate::metrics::count() }",
        "fn f() { log!(\"{}\", crate::telemetry::level()) }",
    ] {
        assert_eq!(forbidden_rooms(&policy(text)).len(), 1, "{text}");
    }
    for text in [
        "use crate::policy::time; use crate::config::{store, Route};",
        "use super::store; // not the room, but policy's own",
        "/// See [`crate::store`].\nfn f() { let _ = \"crate::store\"; }",
        "#[cfg(test)] mod tests { use crate::store::Memory; }",
        "#[cfg(test)] use crate::store::Memory;",
    ] {
        assert_eq!(forbidden_rooms(&policy(text)), Vec::<String>::new(), "{text}");
    }
    assert_eq!(forbidden_rooms(&fixture("config.rs", "use super::policy::Key;")).len(), 1);
    assert!(imports_pingora(&policy("use pingora_core::Result;")) && !imports_pingora(&policy("// pingora\n")));
    assert!(unwraps(&policy("fn f() { g().unwrap() }")) && !unwraps(&policy("fn f() { g().unwrap_or(1) }")));
    assert!(!unwraps(&policy(
        "fn f() {} #[cfg(test)] #[derive(Debug)] struct T { a: u8 } #[cfg(test)] mod t { fn f() { g().unwrap() } }"
    )));
}
