//! A set of paths that says in constant time whether a path is in it, and takes as little room as that
//! needs: a million paths are 19 MiB.
//!
//! Of a path only 64 bits are kept: SipHash under a key that is drawn at random for each set and never
//! leaves the process. So nobody can make up a path that passes for a listed one; by chance, with a million
//! listed, one in 18,000,000,000,000 does. What that costs is a request to the origin, which knows what
//! exists. The other way round there is no doubt: a listed path is always found.

use super::path::normal_path;
use super::pattern::Pattern;
use super::percent::Encoding;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::BuildHasher;
use thiserror::Error;

/// Bytes of the longest path in a set: a request for a longer one is never looked up.
const MAX_PATH: usize = 8 << 10;

/// Patterns in one set. They share a tree, so a lookup takes no longer for many.
const MAX_PATTERNS: usize = 10_000;

/// Paths, and patterns of paths.
#[derive(Default)]
pub struct PathSet {
    key: RandomState,
    exact: HashSet<u64, foldhash::fast::RandomState>,
    patterns: Patterns,
}

/// Why a line names no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("does not begin with /")]
    Relative,
    /// A whole URL.
    #[error("is a URL")]
    Url,
    /// White space or a control character.
    #[error("has white space or a control character in it")]
    Blank,
    /// A query or a fragment.
    #[error("is more than a path")]
    MoreThanAPath,
    /// A `%` without two hex digits behind it.
    #[error("has a % that encodes nothing")]
    Encoding,
    /// Too many bytes.
    #[error("is longer than 8KiB")]
    TooLong,
    /// `/*` at the end, which elsewhere stands for everything below.
    #[error("ends in *, which stands for itself")]
    Star,
    /// Braces, but no pattern.
    #[error("{0}")]
    Pattern(&'static str),
    /// Too many patterns.
    #[error("is the 10001st pattern, and more are not taken")]
    TooManyPatterns,
}

impl PathError {
    /// What would be right.
    pub const fn remedy(self) -> &'static str {
        match self {
            PathError::Relative => "write the whole path, from the / behind the host",
            PathError::Url | PathError::MoreThanAPath => "write the path alone, without scheme, host, ? and #",
            PathError::Blank => "write one path a line, and %20 for a space",
            PathError::Encoding => "write %25 for %",
            PathError::TooLong => "take it out: such a path is never looked up",
            PathError::Star => "write {*rest} for everything below",
            PathError::Pattern(_) => "write {name} for a segment, {*rest} at the end, and %7B and %7D for braces",
            PathError::TooManyPatterns => "write fewer, or {*rest} for what many of them have in common",
        }
    }
}

impl PathSet {
    /// An empty set.
    pub fn new() -> Self {
        PathSet::default()
    }

    /// Adds what a person has written: a path in any spelling, or a pattern (`/docs/{id}`, `/docs/{*rest}`).
    ///
    /// # Errors
    /// What is neither.
    pub fn insert_line(&mut self, line: &str) -> Result<(), PathError> {
        check(line)?;
        if line.contains(['{', '}']) {
            return self.patterns.insert(line);
        }
        self.insert_path(line)
    }

    /// Adds a path in any spelling; braces stand for themselves.
    ///
    /// # Errors
    /// What does not begin with `/`, is too long or encodes nothing with a `%`.
    pub fn insert_path(&mut self, path: &str) -> Result<(), PathError> {
        if !path.starts_with('/') {
            return Err(PathError::Relative);
        }
        let (normal, encoding) = normal_path(path.as_bytes());
        if encoding == Encoding::Invalid {
            return Err(PathError::Encoding);
        }
        if normal.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        self.exact.insert(self.key.hash_one(&*normal));
        Ok(())
    }

    /// Whether a path in its normal form is in the set (see the top about chance).
    pub fn contains(&self, path: &str) -> bool {
        self.exact.contains(&self.key.hash_one(path)) || self.patterns.match_any(path)
    }

    /// How many different paths and patterns there are.
    pub fn len(&self) -> usize {
        self.exact.len() + self.patterns.shapes.len()
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for PathSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathSet").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Mistakes that would otherwise be brought into some normal form.
fn check(line: &str) -> Result<(), PathError> {
    if line.starts_with("http://") || line.starts_with("https://") {
        return Err(PathError::Url);
    }
    if !line.starts_with('/') {
        return Err(PathError::Relative);
    }
    if line.contains(['?', '#']) {
        return Err(PathError::MoreThanAPath);
    }
    if line.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(PathError::Blank);
    }
    if line.ends_with("/*") {
        return Err(PathError::Star);
    }
    Ok(())
}

/// Patterns, of which only matters whether one takes a path.
#[derive(Default)]
struct Patterns {
    shapes: HashSet<Box<str>>,
    /// Those without a catch-all.
    exact: matchit::Router<()>,
    /// Those with one, by the number of segments in front of it: in one tree they would collide.
    catch_alls: BTreeMap<usize, matchit::Router<()>>,
}

impl Patterns {
    fn insert(&mut self, raw: &str) -> Result<(), PathError> {
        if raw.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        let pattern = Pattern::parse(raw).map_err(PathError::Pattern)?;
        if self.shapes.contains(pattern.shape()) {
            return Ok(());
        }
        if self.shapes.len() == MAX_PATTERNS {
            return Err(PathError::TooManyPatterns);
        }
        self.shapes.insert(pattern.shape().into());
        let router = match pattern.catch_all_depth() {
            None => &mut self.exact,
            Some(depth) => self.catch_alls.entry(depth).or_default(),
        };
        for spelling in pattern.spellings() {
            router.insert(spelling, ()).expect("shapes differ and one router has catch-alls of one depth only");
        }
        Ok(())
    }

    fn match_any(&self, path: &str) -> bool {
        !self.shapes.is_empty() && self.catch_alls.values().chain([&self.exact]).any(|router| router.at(path).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(lines: &[&str]) -> PathSet {
        let mut set = PathSet::new();
        lines.iter().for_each(|line| set.insert_line(line).unwrap_or_else(|error| panic!("{line} {error}")));
        set
    }

    fn has(set: &PathSet, raw: &str) -> bool {
        set.contains(&normal_path(raw.as_bytes()).0)
    }

    #[test]
    fn every_spelling_of_a_listed_path_is_in_the_set_and_no_other_path_is() {
        let set = set(&["/", "/docs/caf\u{e9}", "/docs/%7eann/./x/../y", "/docs/a%2fb", "/q\"<"]);
        for raw in ["/", "/docs/café", "/docs/caf%c3%a9", "/%64ocs/%63af%C3%A9", "/docs/~ann/y", "/docs/%7Eann/y"] {
            assert!(has(&set, raw), "{raw}");
        }
        for raw in ["/docs/z/../a%2Fb", "/q%22%3C"] {
            assert!(has(&set, raw), "{raw}");
        }
        for raw in ["/docs", "/docs/cafe", "/docs/café/", "/docs//café", "/Docs/café", "/docs/a/b", "/docs/a%252fb", ""]
        {
            assert!(!set.contains(raw), "{raw}");
        }
    }

    #[test]
    fn patterns_take_what_patterns_of_routes_take() {
        let set = set(&["/a/{id}", "/a/{name}", "/b/{*rest}", "/b/c/{*rest}", "/caf\u{e9}/{x}/z", "/{a}/{b}/{c}/{d}"]);
        for path in ["/a/1", "/b", "/b/", "/b/c/d/e", "/caf%C3%A9/1/z", "/1/2/3/4"] {
            assert!(set.contains(path), "{path}");
        }
        for path in ["/a", "/a/", "/a/1/2", "/bc", "/caf%C3%A9/1/y", "/1/2/3"] {
            assert!(!set.contains(path), "{path}");
        }
        assert_eq!(set.len(), 5);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for (line, error) in [
            ("docs", PathError::Relative),
            ("http://a/", PathError::Url),
            ("/a b", PathError::Blank),
            ("/a\u{a0}b", PathError::Blank),
            ("/a?b", PathError::MoreThanAPath),
            ("/a#b", PathError::MoreThanAPath),
            ("/a%zz", PathError::Encoding),
            ("/a/*", PathError::Star),
        ] {
            assert_eq!(PathSet::new().insert_line(line), Err(error), "{line}");
        }
        for line in ["/{a}x", "/{*r}/b", "/a/{", "/{}"] {
            assert!(matches!(PathSet::new().insert_line(line), Err(PathError::Pattern(_))), "{line}");
        }
        let long = format!("/{}", "a".repeat(MAX_PATH));
        assert_eq!(PathSet::new().insert_line(&long), Err(PathError::TooLong));
    }

    #[test]
    fn there_are_not_too_many_patterns() {
        let mut set = PathSet::new();
        (0..MAX_PATTERNS).for_each(|i| set.insert_line(&format!("/{i}/{{x}}")).expect("one more"));
        assert_eq!(set.insert_line("/more/{x}"), Err(PathError::TooManyPatterns));
        assert_eq!(set.insert_line("/7/{y}"), Ok(()));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "/([/.;{}*?#]|%2[eEfF]|%|é|[a-c]){0,16}|.{0,16}") {
            let _ = PathSet::new().insert_line(&line);
        }

        /// Whatever a line is, the path it names is in the set, and in no other spelling outside of it.
        #[test]
        fn a_line_that_is_taken_is_found_by_its_normal_form(line in "/([/.;]|%2[eEfF]|%C3%A9|[a-c]){0,12}") {
            let mut set = PathSet::new();
            prop_assert_eq!(set.insert_line(&line), Ok(()));
            prop_assert!(has(&set, &line));
            let elsewhere = format!("{}x", line);
            prop_assert!(!has(&set, &elsewhere));
        }
    }
}
