//! The one normal form of a path (DESIGN §2.1): unreserved octets decoded, hex upper case, dot segments
//! removed. What else a path may mean to a careless origin is policy's business.

use super::percent::{self, Component, Encoding};
use std::borrow::Cow;

/// What Breadbox itself answers is below this path.
pub const OWN: &str = "/.breadbox";

/// The one normal form of a path; an empty one is `/`.
pub(crate) fn normal_path(raw: &[u8]) -> (Cow<'_, str>, Encoding) {
    if raw.starts_with(b"/")
        && let Some(path) = percent::as_normal(raw, Component::Path)
    {
        let path = remove_dot_segments(path).map_or(Cow::Borrowed(path), Cow::Owned);
        return (path, Encoding::Valid);
    }
    let mut path = String::with_capacity(raw.len());
    if !raw.starts_with(b"/") {
        path.push('/');
    }
    let encoding = percent::normalise_into(raw, Component::Path, &mut path);
    let path = remove_dot_segments(&path).unwrap_or(path);
    (Cow::Owned(path), encoding)
}

/// The path without `.` and `..` segments (RFC 3986 §5.2.4); `None` where it has none. Empty segments stay.
pub(crate) fn remove_dot_segments(path: &str) -> Option<String> {
    // A dot segment begins with a dot, which nearly no segment does.
    let begins_with_dot = path.starts_with('.') || path.as_bytes().windows(2).any(|pair| pair == b"/.");
    if !begins_with_dot || !path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
        if matches!(segment, "." | "..") && segments.peek().is_none() {
            kept.push("");
        }
    }
    Some(format!("/{}", kept.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(raw: &str) -> String {
        normal_path(raw.as_bytes()).0.into_owned()
    }

    #[test]
    fn dot_segments_are_removed_in_every_spelling() {
        for (raw, normal) in [
            ("/a/./b", "/a/b"),
            ("/a/%2e/b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/%2E%2e/b", "/b"),
            ("/a/.%2e", "/"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/a//../b", "/a/b"),
            ("//", "//"),
            ("/a/..;/b", "/a/..;/b"),
            ("/a/..%2Fb", "/a/..%2Fb"),
            ("/...", "/..."),
            ("", "/"),
        ] {
            assert_eq!(path(raw), normal, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn the_normal_path_is_idempotent(raw in "/([/.;a]|%2[eEfF]|%5[cC]|%00|%25|%61|%|\\\\|é){0,12}") {
            let (once, encoding) = normal_path(raw.as_bytes());
            prop_assert_eq!(normal_path(once.as_bytes()), (once.clone(), encoding));
            prop_assert!(once.starts_with('/') && !once.split('/').any(|s| s == "." || s == ".."));
        }
    }
}
