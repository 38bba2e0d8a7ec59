//! What of a request-target is logged: the path and the query, without a user's credentials, without the
//! values of secret parameters, wherever they stand, and cut where it is too long.

use crate::config::Redact;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// Bytes of a target that are logged.
pub(super) const LONGEST: usize = 2048;

/// What stands in place of a secret.
const REDACTED: &str = "REDACTED";

/// What may stand between a name and its value, in lower case: also encoded, in a URL within a value.
const EQUALS: [&str; 3] = ["=", "%3d", "%253d"];

/// What may stand between two pairs of one value or path.
const DIVIDERS: [&str; 8] = [";", "?", "%3b", "%3f", "%26", "%253b", "%253f", "%2526"];

/// How often a name is decoded to find out what it means: proxies and frameworks decode more than once.
const DECODINGS: usize = 3;

/// The path and the query of a target, as they are logged.
pub(super) fn path_and_query(target: &[u8], redact: &Redact) -> (String, Option<String>) {
    let cut = &target[..target.len().min(LONGEST)];
    let text = String::from_utf8_lossy(cut);
    let text = without_authority(&text);
    let text = text.split('#').next().unwrap_or_default();
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    (path_parameters(path, redact), query.map(|query| pairs(query, redact)))
}

/// Without scheme, user and host of an absolute target; of a CONNECT's target without the user.
fn without_authority(target: &str) -> &str {
    if target.starts_with('/') {
        return target;
    }
    let Some((_, rest)) = target.split_once("://") else {
        return target.rsplit_once('@').map_or(target, |(_, host)| host);
    };
    rest.find(['/', '?', '#']).map_or("/", |at| &rest[at..])
}

/// A path with its parameters, as in `/a;jsessionid=1`.
fn path_parameters(path: &str, redact: &Redact) -> String {
    if !path.contains(['=', '%']) {
        return path.to_owned();
    }
    let segments = path.split('/').map(|segment| match segment.find([';', '%']) {
        Some(_) => pair(segment, redact, Bare::Shown),
        None => segment.to_owned(),
    });
    segments.collect::<Vec<_>>().join("/")
}

/// The pairs of a query.
fn pairs(query: &str, redact: &Redact) -> String {
    query.split('&').map(|text| pair(text, redact, Bare::AsValue)).collect::<Vec<_>>().join("&")
}

/// What a text without a name is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bare {
    Shown,
    AsValue,
}

/// A pair, or several that something else than `&` divides, up to the first value that is secret: what stands
/// behind that may be part of it.
fn pair(text: &str, redact: &Redact, bare: Bare) -> String {
    let lower = text.to_ascii_lowercase();
    let ends = EQUALS.iter().flat_map(|sign| lower.match_indices(sign).map(|(at, sign)| (at, at + sign.len())));
    let is_named = |(at, _): &(usize, usize)| is_secret(name_before(&lower, *at), redact);
    match ends.filter(is_named).min() {
        Some((_, end)) if end < text.len() => format!("{}{REDACTED}", &text[..end]),
        None if *redact == Redact::All && bare == Bare::AsValue && !text.is_empty() => REDACTED.to_owned(),
        _ => text.to_owned(),
    }
}

/// The name that ends here, behind whatever divides pairs.
fn name_before(lower: &str, end: usize) -> &str {
    let before = &lower[..end];
    let starts = DIVIDERS.iter().filter_map(|divider| Some(before.rfind(divider)? + divider.len()));
    &before[starts.max().unwrap_or(0)..]
}

fn is_secret(name: &str, redact: &Redact) -> bool {
    let Redact::Named(patterns) = redact else { return true };
    let mut name = Cow::Borrowed(name);
    for _ in 0..DECODINGS {
        let lower = name.to_lowercase();
        // `user[password]` and `user.password` name what the last part says.
        let last = lower.trim_end_matches(']').rsplit(['[', '.']).next().unwrap_or_default();
        if patterns.matches(lower.trim()) || patterns.matches(last.trim()) {
            return true;
        }
        let decoded = percent_decode_str(&name).decode_utf8_lossy().replace('+', " ");
        if decoded == *name {
            break;
        }
        name = Cow::Owned(decoded);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NamePatterns;
    use proptest::prelude::*;

    fn named() -> Redact {
        Redact::Named(NamePatterns::new(["*token", "password", "jsessionid"]))
    }

    fn logged(target: &str, redact: &Redact) -> String {
        let (path, query) = path_and_query(target.as_bytes(), redact);
        query.map_or(path.clone(), |query| format!("{path}?{query}"))
    }

    #[test]
    fn values_of_named_parameters_are_left_out() {
        for (target, shown) in [
            ("/a?b=1&c", "/a?b=1&c"),
            ("/a", "/a"),
            ("/a?", "/a?"),
            ("/a?token=s", "/a?token=REDACTED"),
            ("/a?Access_Token=s&b=1", "/a?Access_Token=REDACTED&b=1"),
            ("/a?x=1;token=s;y=2&z=3", "/a?x=1;token=REDACTED&z=3"),
            ("/a?next=/b%3Fc%3D1%26token%3Ds%26d%3D2&z=3", "/a?next=/b%3Fc%3D1%26token%3DREDACTED&z=3"),
            ("/a?token=s%26t&z=3", "/a?token=REDACTED&z=3"),
            ("/a%3Ftoken=s/b", "/a%3Ftoken=REDACTED/b"),
            ("/a=b/c", "/a=b/c"),
            ("/a?%74oken=s", "/a?%74oken=REDACTED"),
            ("/a?%2574oken=s", "/a?%2574oken=REDACTED"),
            ("/a?token%3Ds", "/a?token%3DREDACTED"),
            ("/a?user[password]=s&user%5Bpassword%5D=s", "/a?user[password]=REDACTED&user%5Bpassword%5D=REDACTED"),
            ("/a?token=a=b", "/a?token=REDACTED"),
            ("/a?token=&token", "/a?token=&token"),
            ("/a;jsessionid=s;v=1/b;JSESSIONID=s?c=1", "/a;jsessionid=REDACTED/b;JSESSIONID=REDACTED?c=1"),
            ("/a?b#token=s", "/a?b"),
            ("http://user:s@host/a?token=s", "/a?token=REDACTED"),
            ("http://user:s@host", "/"),
            ("user:s@host:443", "host:443"),
            ("*", "*"),
        ] {
            assert_eq!(logged(target, &named()), shown, "{target}");
        }
        assert_eq!(logged("/a;b=2/%20?b=1&c&", &Redact::All), "/a;b=REDACTED/%20?b=REDACTED&REDACTED&");
    }

    #[test]
    fn a_long_target_is_cut_and_bytes_that_are_no_text_are_shown_as_such() {
        let (path, query) = path_and_query(&[b'/', 0xff, b'a'], &named());
        assert_eq!((path.as_str(), query), ("/\u{fffd}a", None));
        let (path, _) = path_and_query(&[&b"/"[..], &[b'a'; 5000]].concat(), &named());
        assert_eq!(path.len(), LONGEST);
    }

    proptest! {
        #[test]
        fn no_secret_is_shown(before in "[ -~]{0,20}", after in "[ -~]{0,20}", separator in "[&;]") {
            prop_assume!(!before.contains('#'));
            let target = format!("/a?{before}{separator}token=S3CRET{separator}{after}");
            prop_assert!(!logged(&target, &named()).contains("S3CRET"));
        }
    }
}
