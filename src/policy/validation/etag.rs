//! Entity tags (RFC 9110 §8.8.3). A tag without quotes is broken but in use: it is opaque, and equal
//! only to itself (FRAMEWORKS 5).

use crate::policy::list::trim;
use http::HeaderValue;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// How two entity tags are compared (RFC 9110 §8.8.3.2).
pub(crate) type Comparison = fn(&[u8], &[u8]) -> bool;

/// Equal, and neither is weak.
pub(crate) fn strong_match(one: &[u8], other: &[u8]) -> bool {
    one == other && !one.starts_with(b"W/")
}

/// Equal but for being weak.
pub(crate) fn weak_match(one: &[u8], other: &[u8]) -> bool {
    opaque(one) == opaque(other)
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// A strong entity tag for a body: 128 bits of it, quoted.
pub fn strong_etag(body: &[u8]) -> HeaderValue {
    let text = format!("\"{:032x}\"", xxh3_128(body));
    HeaderValue::from_str(&text).expect("quotes and hex digits are visible ASCII")
}

/// The entity tag of a representation that was made from the one tagged `etag`: the same with a suffix
/// inside its quotes, weak if that is weak. A strong one also names the bytes, which another version or
/// quality of a compressor makes differently. `None` where there is nothing to derive it from.
pub(crate) fn coded_etag(etag: &HeaderValue, suffix: &str, body: Option<&[u8]>) -> Option<HeaderValue> {
    let bytes = etag.as_bytes();
    let (inside, quote) = match bytes {
        [] => return None,
        [inside @ .., b'"'] if inside.contains(&b'"') => (inside, &b"\""[..]),
        _ => (bytes, &b""[..]),
    };
    let hash = body.filter(|_| !bytes.starts_with(b"W/")).map(|body| format!("-{:08x}", xxh3_64(body) as u32));
    let tagged = [inside, b"-", suffix.as_bytes(), hash.unwrap_or_default().as_bytes(), quote].concat();
    HeaderValue::from_bytes(&tagged).ok()
}

/// Whether a list of entity tags, or `*`, names the page's.
pub(crate) fn is_named(list: &[u8], page: Option<&HeaderValue>, same: Comparison) -> bool {
    if trim(list) == b"*" {
        return true;
    }
    page.is_some_and(|page| tags(list).any(|tag| same(tag, page.as_bytes())))
}

/// The tags of a list. Commas inside the quotes do not separate, and there are no escapes in them.
fn tags(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        while let [b',' | b' ' | b'\t', behind @ ..] = rest {
            rest = behind;
        }
        if rest.is_empty() {
            return None;
        }
        let (tag, behind) = rest.split_at(tag_end(rest));
        rest = behind;
        Some(trim(tag))
    })
}

fn tag_end(bytes: &[u8]) -> usize {
    let open = if bytes.starts_with(b"W/") { 2 } else { 0 };
    if bytes.get(open) == Some(&b'"') {
        let close = bytes[open + 1..].iter().position(|&byte| byte == b'"');
        if let Some(at) = close {
            return open + 1 + at + 1;
        }
    }
    bytes.iter().position(|&byte| byte == b',').unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(list: &str, page: &str, same: Comparison) -> bool {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).expect("a field value");
        is_named(list.as_bytes(), Some(&value(page)), same)
    }

    #[test]
    fn weak_and_strong_comparison_follow_the_table() {
        // RFC 9110 §8.8.3.2.
        for (one, other, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            assert_eq!(strong_match(one.as_bytes(), other.as_bytes()), strong, "{one} {other}");
            assert_eq!(weak_match(one.as_bytes(), other.as_bytes()), weak, "{one} {other}");
        }
    }

    #[test]
    fn a_list_names_each_of_its_members() {
        for list in ["\"a\", \"x,y\", \"c\"", "\"x,y\"", " W/\"1\",\"x,y\"", "a,,\"x,y\"", "*"] {
            assert!(names(list, "\"x,y\"", strong_match), "{list}");
        }
        for list in ["", "\"x\"", "\"x", "x,y", "\"*\"", "\"a\" *"] {
            assert!(!names(list, "\"x,y\"", weak_match), "{list}");
        }
    }

    #[test]
    fn unquoted_and_odd_tags_are_opaque() {
        for tag in ["abcdef", "w/\"abcdef\"", "W\"abcdef\"", "W\\\"abcdef\"", "\"abcdefü\""] {
            assert!(names(tag, tag, weak_match), "{tag}");
        }
        assert!(!names("abcdef", "\"abcdef\"", weak_match));
    }

    #[test]
    fn equal_bodies_have_equal_strong_tags() {
        assert_eq!(strong_etag(b"a"), strong_etag(b"a"));
        assert_ne!(strong_etag(b"a"), strong_etag(b"b"));
        assert_eq!(strong_etag(b"").len(), 34);
    }

    proptest! {
        #[test]
        fn any_list_is_read_to_its_end(list in "[ -~]{0,60}") {
            prop_assert!(tags(list.as_bytes()).count() <= list.len());
        }

        #[test]
        fn a_tag_is_found_wherever_it_stands(before in proptest::collection::vec("(W/)?\"[a-f,]{0,4}\"", 0..4)) {
            let list = [before.as_slice(), &["\"here\"".to_owned()]].concat().join(", ");
            prop_assert!(names(&list, "\"here\"", strong_match));
        }
    }
}
