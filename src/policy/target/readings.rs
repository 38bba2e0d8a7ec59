//! What else a path may mean to an origin that reads it less carefully than we do: decoded again, with
//! `\` for `/`, empty segments collapsed, `;…` dropped, cut at an encoded control character, and so on,
//! in every combination. A path with a stricter reading must not reach a looser route (DESIGN §2.1).

use super::super::percent::{self, split_triple};

/// A path longer than this, in bytes, that has anything to read twice is not read at all.
const MAX_PATH: usize = 1024;
/// No honest path has more readings than this; nor is a hostile one worth the work.
const MAX_READINGS: usize = 64;

/// The path has more readings than we are willing to go through: treat it as the strictest of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyReadings;

/// One step by which a careless origin gets from one path to another.
type Step = fn(&str) -> Option<String>;

/// Applied one after the other in every order, until nothing new comes out.
const STEPS: [Step; 11] = [
    |path| decode(path, |_| true),
    |path| decode(path, |byte| !matches!(byte, b'/' | b'\\')),
    backslashes,
    collapse_slashes,
    drop_authority,
    |path| path.contains(';').then(|| drop_parameters(path)),
    |path| path.find(';').map(|at| path[..at].to_owned()),
    |path| cut_at(path, |byte| byte.is_ascii_control()),
    |path| cut_at(path, |byte| matches!(byte, b'?' | b'#')),
    super::remove_dot_segments,
    |path| path.strip_suffix('/').filter(|rest| !rest.is_empty()).map(str::to_owned),
];

/// Every further reading of a path in its normal form; the path itself is not among them.
pub(crate) fn further_readings(path: &str) -> Result<Vec<String>, TooManyReadings> {
    if !has_further_readings(path) {
        return Ok(Vec::new());
    }
    if path.len() > MAX_PATH {
        return Err(TooManyReadings);
    }
    let mut readings = vec![path.to_owned()];
    let mut next = 0;
    while next < readings.len() {
        for step in STEPS {
            let Some(reading) = step(&readings[next]).map(rooted) else { continue };
            if readings.contains(&reading) {
                continue;
            }
            if readings.len() > MAX_READINGS {
                return Err(TooManyReadings);
            }
            readings.push(reading);
        }
        next += 1;
    }
    readings.remove(0);
    Ok(readings)
}

/// The path as the most careless origin reads it, where there are [`TooManyReadings`] to try them all:
/// every step taken, again and again.
pub(crate) fn most_careless_reading(path: &str) -> String {
    /// An origin that decodes more often than this is none that we know.
    const ROUNDS: usize = 16;
    let mut reading = path.to_owned();
    for _ in 0..ROUNDS {
        let before = reading.clone();
        for step in STEPS {
            reading = step(&reading).map_or(reading, rooted);
        }
        if reading == before {
            break;
        }
    }
    reading
}

/// The one further reading of a path that has no other: without the slash at its end.
pub(crate) fn without_slash(path: &str) -> Option<&str> {
    let rest = path.strip_suffix('/').filter(|rest| !rest.is_empty())?;
    (path.len() <= MAX_PATH && !has_further_readings(rest)).then_some(rest)
}

/// Whether any step can change the path: most paths have nothing to read twice. Encoded octets
/// outside of ASCII mean the same decoded, so paths in other languages have no further readings.
pub(super) fn has_further_readings(path: &str) -> bool {
    let bytes = path.as_bytes();
    let is_plain = |pair: &[u8]| !matches!(pair[1], b';' | b'%') && pair != b"//";
    if bytes.starts_with(b"/") && bytes.windows(2).all(is_plain) {
        return bytes.len() > 1 && bytes.ends_with(b"/");
    }
    let ascii_triple = |at: usize| split_triple(&bytes[at + 1..]).is_none_or(|(byte, _)| byte.is_ascii());
    (bytes.len() > 1 && bytes.ends_with(b"/"))
        || bytes.windows(2).any(|pair| pair == b"//")
        || memchr::memchr(b';', bytes).is_some()
        || memchr::memchr_iter(b'%', bytes).any(ascii_triple)
}

/// Decodes every octet that may stand raw and that `takes` accepts; a `%` that comes out and begins
/// no triple is encoded again, so that the reading is a well-formed path.
fn decode(path: &str, takes: impl Fn(u8) -> bool) -> Option<String> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let triple = if byte == b'%' { split_triple(tail) } else { None };
        match triple {
            Some((octet, tail)) if takes(octet) && (percent::is_pchar(octet) || matches!(octet, b'/' | b'%')) => {
                decoded.push(octet);
                rest = tail;
            }
            _ => decoded.push(byte),
        }
    }
    let mut out = String::with_capacity(decoded.len());
    for (at, &byte) in decoded.iter().enumerate() {
        let raw = byte != b'%' || split_triple(&decoded[at + 1..]).is_some();
        percent::push(byte, raw, &mut out);
    }
    (out != path).then_some(out)
}

/// In either case of the hex digit: decoding may have brought the lower one out.
fn backslashes(path: &str) -> Option<String> {
    let has_one = path.contains("%5C") || path.contains("%5c");
    has_one.then(|| path.replace("%5C", "/").replace("%5c", "/"))
}

fn collapse_slashes(path: &str) -> Option<String> {
    if !path.contains("//") {
        return None;
    }
    let mut out = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        out.push('/');
        out.push_str(segment);
    }
    if path.ends_with('/') {
        out.push('/');
    }
    Some(out)
}

/// `//a/b` resolved as a reference, as many Node servers do: `a` is taken for a host.
fn drop_authority(path: &str) -> Option<String> {
    let rest = path.strip_prefix("//")?;
    Some(rest.find('/').map_or_else(String::new, |at| rest[at..].to_owned()))
}

fn drop_parameters(path: &str) -> String {
    let kept: Vec<&str> = path.split('/').map(|segment| segment.split(';').next().unwrap_or(segment)).collect();
    kept.join("/")
}

fn cut_at(path: &str, ends: impl Fn(u8) -> bool) -> Option<String> {
    let bytes = path.as_bytes();
    memchr::memchr_iter(b'%', bytes)
        .find(|at| split_triple(&bytes[at + 1..]).is_some_and(|(octet, _)| ends(octet)))
        .map(|at| path[..at].to_owned())
}

fn rooted(path: String) -> String {
    if path.starts_with('/') { path } else { format!("/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_paths_have_one_reading() {
        for path in ["/", "/a/b", "/caf%C3%A9", "/a-b_c~d", "/a:b@c,d"] {
            assert_eq!(further_readings(path), Ok(vec![]), "{path}");
        }
    }

    #[test]
    fn tricks_are_read_as_a_careless_origin_would() {
        for (path, reading) in [
            ("/x/..%2Fapi", "/api"),
            ("/x/%252e%252e/api", "/api"),
            ("/x/%25252e%25252e/api", "/api"),
            ("/x/..%5Capi", "/api"),
            ("/x%255c../api", "/api"),
            ("/x/..;/api", "/api"),
            ("/x/..%3B/api", "/api"),
            ("/api;.css", "/api"),
            ("/api;x/y", "/api"),
            ("/a%2Fb%3Bx", "/a%2Fb"),
            ("/api%00.css", "/api"),
            ("/api%0A.css", "/api"),
            ("/api%3F.css", "/api"),
            ("/api%23.css", "/api"),
            ("/api%2500.css", "/api"),
            ("//api", "/api"),
            ("//x/api", "/api"),
            ("/api/", "/api"),
            ("/%5C%5Capi", "/api"),
            ("/api%2Fusers", "/api/users"),
            ("/a%26b", "/a&b"),
        ] {
            let readings = further_readings(path).unwrap();
            assert!(readings.iter().any(|r| r == reading), "{path}: {readings:?}");
        }
    }

    #[test]
    fn a_padded_trick_is_seen_through_too() {
        let padding = "%25%2F;x//%5C".repeat(40);
        for tail in
            ["..%2F..%252Fapi", "../../../../../../../../../../../../..;/%61pi%00", "%2e%2e/%2e%2e/../../../api;"]
        {
            let path = format!("/x/{padding}/{}{tail}", "..%2F".repeat(400));
            assert!(further_readings(&path).is_err());
            assert_eq!(most_careless_reading(&path), "/api", "{tail}");
        }
    }

    #[test]
    fn endless_readings_are_given_up() {
        let nested = format!("/{}", "%25;%2F//%5C%00/".repeat(30));
        assert_eq!(further_readings(&format!("/%{}41", "25".repeat(200))), Err(TooManyReadings));
        assert!(further_readings(&nested).map_or(0, |readings| readings.len()) <= MAX_READINGS);
        assert_eq!(further_readings(&format!("/{};", "a".repeat(MAX_PATH))), Err(TooManyReadings));
    }

    proptest! {
        #[test]
        fn readings_are_bounded_paths(raw in "/([/.;a]|%2[eEfF5]|%5[cC]|%00|%25|%61|%3f|%|\\\\|é){0,16}") {
            let (path, _) = super::super::normal_path(raw.as_bytes());
            if let Ok(readings) = further_readings(&path) {
                prop_assert!(readings.len() <= MAX_READINGS);
                prop_assert!(readings.iter().all(|r| r.starts_with('/') && *r != path));
            }
        }

        #[test]
        fn a_path_that_is_skipped_has_nothing_to_change(path in "/([/.;a]|%2[eEfF5]|%5[cC]|%C3%A9|%25|%3F){0,6}") {
            let (path, _) = super::super::normal_path(path.as_bytes());
            if let Some(rest) = without_slash(&path) {
                prop_assert_eq!(further_readings(&path), Ok(vec![rest.to_owned()]));
            }
            if !has_further_readings(&path) {
                prop_assert!(STEPS.iter().all(|step| step(&path).is_none()));
            }
        }
    }
}
