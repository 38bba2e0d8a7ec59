//! The list of the paths of a route that exist: `routes[].paths`. A file is read line by line, so that
//! a list of millions needs no more room than what is kept of it; its mistakes have its own lines.

use super::cursor::{At, DAY, Keys, Shape};
use super::mistake::Wrong;
use super::patterns::Pattern;
use super::schema;
use crate::config::{Paths, Scheme, Sitemap, SitemapSource, Warm};
use crate::uri::PathSet;
use crate::uri::path::normal_path;
use http::Uri;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const REFRESH: Duration = Duration::from_secs(600);

/// Paths of one list.
const MAX_PATHS: usize = 5_000_000;

/// Bytes of a line; no path is longer.
const MAX_LINE: u64 = 16 << 10;

/// Mistakes of one list that are shown.
const MAX_SHOWN: usize = 20;

/// Bytes of a sitemap in a file, as it is on disk.
const MAX_SITEMAP: u64 = 64 << 20;

const FORMS: &str = "write { file: paths.txt }, or { sitemap: /sitemap.xml, refresh: 10m }";

/// `paths`: the list of a route with these patterns; `None` where there is none, or a mistake.
pub(super) fn paths(at: &At<'_>, patterns: &[Pattern]) -> Option<Paths> {
    if !matches!(at.shape(), Shape::Absent | Shape::Map) {
        if at.shape() == Shape::List {
            at.wrong("is a list", FORMS);
            return None;
        }
        return at.read(|name| {
            Err(Wrong::new("does not say what it is", FORMS).suggest(format!("write {{ file: {name} }}")))
        });
    }
    let keys = at.section(&schema::PATHS);
    keys.key("unknown").choice(&[("not_found", ())]);
    let max_paths = keys.key("max_paths").count(MAX_PATHS, 1..=50_000_000);
    match (at.is_set(), keys.key("file").is_set(), keys.key("sitemap").is_set()) {
        (false, ..) => None,
        (true, true, false) => of_file(&keys, patterns, max_paths),
        (true, false, true) => of_sitemap(&keys, max_paths),
        (true, true, true) => {
            at.wrong("names a file and a sitemap", "keep one of the two");
            None
        }
        (true, false, false) => {
            at.wrong("names no list", FORMS);
            None
        }
    }
}

fn of_sitemap(keys: &Keys<'_>, max_paths: usize) -> Option<Paths> {
    let source = sitemap(&keys.key("sitemap"))?;
    let refresh = keys.key("refresh").duration(REFRESH, Duration::from_secs(1)..=DAY);
    Some(Paths::Sitemap(Sitemap { source, refresh, max_paths }))
}

/// `warm`: what is rendered before anybody asks for it.
pub(super) fn warm(at: &At<'_>) -> Warm {
    let keys = at.section(&schema::WARM);
    Warm {
        sitemaps: keys.key("sitemap").items().iter().filter_map(sitemap).collect(),
        concurrency: keys.key("concurrency").positive(8, 1024),
        max_paths: keys.key("max_paths").count(MAX_PATHS, 1..=50_000_000),
    }
}

/// Where a sitemap is: a URL or a path, both of the origin, or a file.
pub(super) fn sitemap(at: &At<'_>) -> Option<SitemapSource> {
    at.need(|text| {
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) || text.contains('#') {
            return Err(Wrong::new("is neither a URL nor a path", "write /sitemap.xml, a URL, or the name of a file"));
        }
        if text.starts_with('/') {
            return Ok(SitemapSource::Origin { scheme: None, host: None, target: text.into() });
        }
        if text.contains("://") && !text.starts_with("file://") {
            return url(text);
        }
        let path = at.cx.resolve(text.strip_prefix("file://").unwrap_or(text));
        let metadata = regular(&path).map_err(|error| {
            let remedy = "write a path of the origin as /sitemap.xml, a file relative to this one, or file:///…";
            Wrong::new(format!("cannot be read ({error})"), remedy)
        })?;
        if metadata > MAX_SITEMAP {
            return Err(Wrong::new("is larger than 64MiB", "split it up, or compress it with gzip"));
        }
        Ok(SitemapSource::File(path))
    })
}

fn url(text: &str) -> Result<SitemapSource, Wrong> {
    let wrong = || Wrong::new("is not a URL of a site", "write for example https://shop.example.com/sitemap.xml");
    if text.contains('@') {
        return Err(Wrong::secret("is a URL that may hold credentials", "write it without @"));
    }
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err(wrong()),
    };
    let authority = uri.authority().ok_or_else(wrong)?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let host = authority.as_str().to_ascii_lowercase();
    Ok(SitemapSource::Origin { scheme: Some(scheme), host: Some(host.into()), target: target.into() })
}

/// The size of a file that is one.
fn regular(path: &Path) -> io::Result<u64> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_file() { Ok(metadata.len()) } else { Err(io::Error::other("it is not a regular file")) }
}

fn of_file(keys: &Keys<'_>, patterns: &[Pattern], max_paths: usize) -> Option<Paths> {
    if keys.key("refresh").is_set() {
        keys.key("refresh").wrong("has no effect with a file: it is read at load", "take it out, and reload");
    }
    let at = keys.key("file");
    let path = at.need(|text| {
        let path = at.cx.resolve(text);
        let remedy = "write the path of a file with one path a line, relative to this one";
        regular(&path).map(|_| path).map_err(|error| Wrong::new(format!("cannot be read ({error})"), remedy))
    })?;
    let mut list = List { at: &at, path: &path, set: PathSet::new(), own: own(patterns), is_own: false, mistakes: 0 };
    match list.read(max_paths) {
        Err(error) => {
            at.wrong(format!("{} cannot be read to its end ({error})", at.quoted()), "name a file that can be read");
        }
        Ok(()) => list.check_whole(),
    }
    let List { set, mistakes: 0, .. } = list else { return None };
    Some(Paths::File { path, set: Arc::new(set) })
}

/// The paths that the route itself takes.
fn own(patterns: &[Pattern]) -> PathSet {
    let mut own = PathSet::new();
    for pattern in patterns {
        // A pattern that is none has been noted where it stands.
        let _ = own.insert_line(&pattern.text);
    }
    own
}

/// A list that is being read.
struct List<'a> {
    at: &'a At<'a>,
    path: &'a PathBuf,
    set: PathSet,
    /// What the route takes.
    own: PathSet,
    /// Whether a line so far is for the route.
    is_own: bool,
    mistakes: usize,
}

impl List<'_> {
    fn read(&mut self, max_paths: usize) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(256 << 10, File::open(self.path)?);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if line.len() as u64 == MAX_LINE {
                self.wrong(number, "", "is longer than 16KiB", "write one path a line");
                break;
            }
            let bytes = if number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line) } else { &line };
            match std::str::from_utf8(bytes) {
                Ok(text) => self.line(number, text),
                Err(_) => self.wrong(number, "", "is not UTF-8", "save the file as UTF-8"),
            }
            if self.set.len() > max_paths {
                let problem = format!("is one path more than max_paths ({max_paths})");
                self.wrong(number, "", &problem, "raise max_paths of the route's paths, or write patterns");
                break;
            }
        }
        Ok(())
    }

    fn line(&mut self, number: usize, text: &str) {
        let text = without_comment(text);
        if text.is_empty() {
            return;
        }
        match self.set.insert_line(text) {
            Err(error) => self.wrong(number, text, &error.to_string(), error.remedy()),
            Ok(()) if !self.is_own => {
                self.is_own = text.contains('{') || self.own.contains(&normal_path(text.as_bytes()).0);
            }
            Ok(()) => {}
        }
    }

    fn wrong(&mut self, line: usize, text: &str, problem: &str, remedy: &str) {
        const LONGEST: usize = 80;
        self.mistakes += 1;
        if self.mistakes > MAX_SHOWN {
            return;
        }
        let (end, more) = text.char_indices().nth(LONGEST).map_or((text.len(), ""), |(end, _)| (end, "…"));
        let quoted = format!("\"{}{more}\" ", text[..end].escape_debug());
        let quoted = if text.is_empty() { "" } else { &quoted };
        self.at.cx.mistake_in(self.path, line, format!("{quoted}{problem}"), remedy);
    }

    /// Mistakes of the list as a whole: either would make every page of the route a 404.
    fn check_whole(&mut self) {
        let more = self.mistakes.saturating_sub(MAX_SHOWN);
        if more > 0 {
            self.at.wrong(format!("{} has {more} more mistakes", self.at.quoted()), "correct the first ones");
        }
        if self.mistakes > 0 {
            return;
        }
        if self.set.is_empty() {
            self.wrong_whole("names no path, so every page of the route would be a 404", "write one path a line");
        } else if !self.is_own && !self.own.is_empty() {
            let problem = "has no path that the route takes, so all its pages would be a 404";
            self.wrong_whole(problem, "write whole paths, as they stand in the address bar behind the host");
        }
    }

    fn wrong_whole(&mut self, problem: &str, remedy: &str) {
        self.mistakes += 1;
        self.at.wrong(format!("{} {problem}", self.at.quoted()), remedy);
    }
}

/// What stands in front of a `#` at the beginning of the line or behind white space.
fn without_comment(text: &str) -> &str {
    let starts = text.match_indices('#').map(|(at, _)| at);
    let end = starts.into_iter().find(|at| text[..*at].chars().next_back().is_none_or(char::is_whitespace));
    text[..end.unwrap_or(text.len())].trim()
}

#[cfg(test)]
mod tests {
    use super::without_comment;

    #[test]
    fn a_comment_begins_a_line_or_follows_white_space() {
        for (line, path) in [
            ("# all", ""),
            ("  # all\r\n", ""),
            ("/a # one\n", "/a"),
            ("/a\t#b", "/a"),
            ("/a#b # c", "/a#b"),
            (" /a \r\n", "/a"),
            ("\n", ""),
        ] {
            assert_eq!(without_comment(line), path, "{line:?}");
        }
    }
}
