//! The patterns of `match`: whole segments that are literal, `{name}`, or at the end `{*rest}`.
//!
//! A pattern has to stand in the normal form of paths (DESIGN §2.1), or no request would ever match
//! it; two patterns are the same when only the names of their parameters differ.

use super::mistake::Wrong;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 2048;

/// What cannot stand in a path as it is (RFC 3986 §3.3).
const NOT_IN_PATHS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');

/// A pattern that is well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// As it stands in the file.
    pub(super) text: Box<str>,
    /// The same without names: equal for patterns that match the same paths.
    pub(super) shape: Box<str>,
}

impl Pattern {
    /// Whether one of its segments is called `name`.
    pub(super) fn has_parameter(&self, name: &str) -> bool {
        let segments = self.text.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        segments.map(|found| found.strip_prefix('*').unwrap_or(found)).any(|found| found == name)
    }
}

enum Segment<'a> {
    Literal(&'a str),
    Parameter(&'a str),
    CatchAll(&'a str),
}

/// Reads a pattern.
pub(super) fn pattern(text: &str) -> Result<Pattern, Wrong> {
    whole(text)?;
    let segments = segments(text)?;
    let catch_all = segments.iter().position(|segment| matches!(segment, Segment::CatchAll(_)));
    if catch_all.is_some_and(|index| index + 1 < segments.len()) {
        return Err(Wrong::new("goes on behind a catch-all", "write {*rest} at the end, and {name} for one segment"));
    }
    unique_names(&segments)?;
    let shape: String = segments.iter().map(Segment::shape).collect();
    Ok(Pattern { text: text.into(), shape: shape.into() })
}

/// The segments; what is suggested for one of them is suggested as a whole pattern.
fn segments(text: &str) -> Result<Vec<Segment<'_>>, Wrong> {
    let mut segments = Vec::new();
    let mut start = 1;
    for part in text[1..].split('/') {
        let end = start + part.len();
        segments.push(segment(part).map_err(|wrong| Wrong {
            suggestion:
                wrong.suggestion.as_ref().map(|better| format!("write {}{better}{}", &text[..start], &text[end..])),
            ..wrong
        })?);
        start = end + 1;
    }
    Ok(segments)
}

/// Mistakes that show before the segments are looked at.
fn whole(text: &str) -> Result<(), Wrong> {
    if text.len() > MAX_PATTERN {
        return Err(Wrong::new("is too long", format!("write at most {MAX_PATTERN} bytes")));
    }
    if text.contains("://") {
        return Err(Wrong::new("is a URL", "write the path alone, and the host as host:"));
    }
    let regex = [".*", ".+", "(?", "\\", "^", "|", "["].iter().any(|sign| text.contains(sign)) || text.ends_with('$');
    if regex {
        return Err(Wrong::new(
            "looks like a regular expression",
            "write /products/{id}, or /docs/{*rest} for all below",
        ));
    }
    if !text.starts_with('/') {
        return Err(Wrong::new("does not begin with /", "write / in front").suggest(format!("write /{text}")));
    }
    if text.contains(['?', '#']) {
        return Err(Wrong::new("is more than a path", "write the path alone; query: says which parameters count"));
    }
    Ok(())
}

fn segment(text: &str) -> Result<Segment<'_>, Wrong> {
    if let Some(name) = text.strip_prefix(':') {
        return Err(Wrong::new("writes a parameter with a colon", "write {name}").suggest(format!("{{{name}}}")));
    }
    let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
        return literal(text).map(Segment::Literal);
    };
    let (name, catch_all) = match inner.strip_prefix('*') {
        Some(name) => (name, true),
        None => (inner, false),
    };
    if name.contains(':') {
        return Err(Wrong::new("puts a condition on a parameter", "write {name}; parameters take any text"));
    }
    if name.ends_with('*') {
        return Err(Wrong::new("has the * behind the name", "write {*rest}"));
    }
    if name.contains(['{', '}']) {
        return Err(partial());
    }
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || !name.bytes().all(known) {
        let remedy = if catch_all { "write {*rest}" } else { "write {name}, with letters, digits, - and _" };
        return Err(Wrong::new("has a parameter without a name that is valid", remedy));
    }
    Ok(if catch_all { Segment::CatchAll(name) } else { Segment::Parameter(name) })
}

fn partial() -> Wrong {
    Wrong::new("has braces within a segment", "let a parameter take a whole segment, as in /files/{name}")
}

fn literal(text: &str) -> Result<&str, Wrong> {
    if text.contains(['{', '}']) {
        return Err(partial());
    }
    if text.contains('*') {
        return Err(Wrong::new("has a *", "write {*rest} at the end for everything below"));
    }
    if text == "." || text == ".." {
        return Err(Wrong::new("has a dot segment, which no path keeps", "write the path that it leads to"));
    }
    let normal = normal(text).ok_or_else(|| Wrong::new("has a % that is no percent-encoding", "write %25 for %"))?;
    if normal == text {
        return Ok(text);
    }
    let problem = "is not in the normal form of paths, so that nothing would match it";
    Err(Wrong::new(problem, "write unreserved characters as they are, others as %XX").suggest(normal))
}

/// Unreserved octets as they are, all others in upper case hex (RFC 3986 §6.2.2).
fn normal(text: &str) -> Option<String> {
    let mut normal = String::new();
    let mut parts = text.split('%');
    normal.extend(parts.next().map(|part| utf8_percent_encode(part, NOT_IN_PATHS)).into_iter().flatten());
    for part in parts {
        let hex = part.get(..2).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let octet = percent_decode_str(&format!("%{hex}")).next()?;
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            normal.push(char::from(octet));
        } else {
            normal.push_str(&format!("%{octet:02X}"));
        }
        normal.extend(utf8_percent_encode(&part[2..], NOT_IN_PATHS));
    }
    Some(normal)
}

fn unique_names(segments: &[Segment<'_>]) -> Result<(), Wrong> {
    let mut seen = std::collections::HashSet::new();
    let twice = segments.iter().filter_map(Segment::name).find(|name| !seen.insert(*name));
    match twice {
        None => Ok(()),
        Some(_) => Err(Wrong::new("uses a name twice", "give each parameter a name of its own")),
    }
}

impl Segment<'_> {
    fn name(&self) -> Option<&str> {
        match self {
            Segment::Literal(_) => None,
            Segment::Parameter(name) | Segment::CatchAll(name) => Some(name),
        }
    }

    fn shape(&self) -> String {
        match self {
            Segment::Literal(text) => format!("/{text}"),
            Segment::Parameter(_) => "/{}".to_owned(),
            Segment::CatchAll(_) => "/{*}".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pattern;
    use proptest::prelude::*;

    #[test]
    fn names_of_parameters_do_not_tell_patterns_apart() {
        let cases = [
            ("/", "/"),
            ("/a/{id}", "/a/{}"),
            ("/a/{x}/", "/a/{}/"),
            ("/{a}/{b-2}/{*rest}", "/{}/{}/{*}"),
            ("/caf%C3%A9;v=1//x", "/caf%C3%A9;v=1//x"),
        ];
        for (text, shape) in cases {
            let read = pattern(text).expect(text);
            assert_eq!((&*read.text, &*read.shape), (text, shape));
        }
    }

    #[test]
    fn what_would_never_match_is_refused_with_what_would() {
        let cases = [
            ("/café", "/caf%C3%A9"),
            ("/a b", "/a%20b"),
            ("/%7euser/x", "/~user/x"),
            ("/x/%c3%a9", "/x/%C3%A9"),
            ("/a/:id/b", "/a/{id}/b"),
            ("/a/*", "{*rest}"),
            ("a", "/a"),
        ];
        for (text, remedy) in cases {
            let wrong = pattern(text).expect_err(text);
            let said = wrong.suggestion.unwrap_or(wrong.remedy);
            assert!(said.contains(remedy), "{text}: {said}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[/a{}*:%é.0-9A-F]{0,24}|.{0,24}") {
            let _ = pattern(&text);
        }
    }
}
