//! Tags (surrogate keys) of an answer: the labels that a purge names (DESIGN §5). Separated by commas
//! or whitespace in the fields that the route names.

use super::fields::Fields;
use super::parameters;
use crate::config::Route;
use http::HeaderName;

/// Bytes of a tag. A longer one is dropped, and counted.
pub const MAX_TAG_BYTES: usize = 256;

/// Tags of a page. Those behind the last that fits are dropped, and counted.
pub const MAX_TAGS: usize = 1024;

/// The tags of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// Sorted and without repetition.
    pub kept: Box<[Box<str>]>,
    /// How many were too long, too many or no text. A purge of such a tag misses the page, so whoever
    /// stores it says so in the log.
    pub dropped: usize,
}

/// The tags of an answer: those that its route gives every page of the path, then those of the
/// fields that the route names.
pub fn of_answer(route: &Route, path: &str, fields: &Fields) -> Tags {
    with_own(parameters::tags(route, path), &route.tag_headers, fields)
}

/// Whether an answer has any of the fields that the route names.
pub fn are_stated(route: &Route, fields: &Fields) -> bool {
    route.tag_headers.iter().any(|name| fields.contains(name))
}

/// Reads the tags from the fields called `headers`, in the order of the list.
pub fn parse(headers: &[HeaderName], fields: &Fields) -> Tags {
    with_own(Vec::new(), headers, fields)
}

fn with_own(own: Vec<String>, headers: &[HeaderName], fields: &Fields) -> Tags {
    let named = own.len();
    let mut kept: Vec<Box<str>> = own.into_iter().filter(|tag| tag.len() <= MAX_TAG_BYTES).map(Into::into).collect();
    let mut dropped = named - kept.len();
    let values = headers.iter().flat_map(|name| fields.get_all(name));
    let words = values.flat_map(|value| value.as_bytes().split(|byte| matches!(byte, b',' | b' ' | b'\t')));
    for word in words.filter(|word| !word.is_empty()) {
        match std::str::from_utf8(word) {
            Ok(tag) if tag.len() <= MAX_TAG_BYTES && kept.len() < MAX_TAGS => kept.push(tag.into()),
            _ => dropped += 1,
        }
    }
    kept.sort_unstable();
    kept.dedup();
    Tags { kept: kept.into(), dropped }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Template;
    use crate::policy::sample::fields;
    use proptest::prelude::*;

    fn read(pairs: &[(&str, &str)]) -> Tags {
        parse(&[HeaderName::from_static("cache-tag"), HeaderName::from_static("surrogate-key")], &fields(pairs))
    }

    #[test]
    fn tags_are_separated_by_commas_or_whitespace_and_sorted() {
        let tags = read(&[("cache-tag", "b, a,,c"), ("surrogate-key", "a\td  é"), ("x-tag", "z"), ("cache-tag", "e")]);
        let kept: Vec<&str> = tags.kept.iter().map(AsRef::as_ref).collect();
        assert_eq!(kept, ["a", "b", "c", "d", "e", "é"]);
        assert_eq!(tags.dropped, 0);
    }

    #[test]
    fn tags_beyond_the_bounds_are_dropped_and_counted() {
        let long = "x".repeat(MAX_TAG_BYTES + 1);
        let many: Vec<String> = (0..MAX_TAGS + 5).map(|n| n.to_string()).collect();
        assert_eq!(read(&[("cache-tag", &format!("{long} a"))]), Tags { kept: ["a".into()].into(), dropped: 1 });
        let tags = read(&[("cache-tag", &many.join(","))]);
        assert_eq!((tags.kept.len(), tags.dropped), (MAX_TAGS, 5));
    }

    #[test]
    fn the_routes_own_tags_come_first_and_only_long_ones_are_dropped() {
        let mut route = crate::policy::testing::route("/p/{id}");
        route.tag_headers = vec![HeaderName::from_static("cache-tag")];
        route.tags = vec![Template::parse("p-{id}").unwrap(), Template::parse("p").unwrap()];
        let many: Vec<String> = (0..MAX_TAGS).map(|n| n.to_string()).collect();
        let tags = of_answer(&route, "/p/7", &fields(&[("cache-tag", &many.join(","))]));
        assert!(tags.kept.contains(&"p-7".into()) && tags.kept.contains(&"p".into()));
        assert_eq!((tags.kept.len(), tags.dropped), (MAX_TAGS, 2));
        let long = format!("/p/{}", "x".repeat(MAX_TAG_BYTES));
        assert_eq!(of_answer(&route, &long, &fields::<&str>(&[])), Tags { kept: ["p".into()].into(), dropped: 1 });
    }

    proptest! {
        #[test]
        fn whatever_is_sent_the_tags_stay_within_their_bounds(value in "[a-c, \t]{0,200}") {
            let tags = read(&[("cache-tag", &value)]);
            prop_assert!(tags.kept.is_sorted());
            prop_assert!(tags.kept.iter().all(|tag| !tag.is_empty() && tag.len() <= MAX_TAG_BYTES));
        }
    }
}
