//! Ranges, a test per clause.

use super::*;
use crate::policy::sample::{date, fields, request};
use http::HeaderMap;
use proptest::prelude::*;

fn evaluated(request: &HeaderMap, status: StatusCode, fields: &Fields, len: u64) -> RangeAnswer {
    let etag = fields.get(&header::ETAG);
    evaluate(request, &Subject { status, fields, etag, len, is_negotiated: false })
}

fn ranges(range: &str, len: u64) -> RangeAnswer {
    evaluated(&request(&[("range", range)]), StatusCode::OK, &Fields::new(), len)
}

#[test]
fn a_single_range_is_cut_to_what_exists() {
    // RFC 9110 §14.1.2.
    for (range, expected) in [
        ("bytes=0-1", 0..2),
        ("bytes=1-", 1..11),
        ("bytes=-1", 10..11),
        ("bytes=-500", 0..11),
        ("bytes=5-500", 5..11),
        ("BYTES=5-99999999999999999999999", 5..11),
        ("bytes=90-, 3-4", 3..5),
        ("bytes= 0-1", 0..2),
    ] {
        assert_eq!(ranges(range, 11), RangeAnswer::Single(expected), "{range}");
    }
}

#[test]
fn several_ranges_keep_their_order() {
    assert_eq!(ranges("bytes=8-9, 0-1 ,-1", 11), RangeAnswer::Multiple(vec![8..10, 0..2, 10..11]));
}

#[test]
fn what_does_not_exist_is_unsatisfiable() {
    // RFC 9110 §14.1.2, §15.5.17.
    for range in ["bytes=11-", "bytes=11-20", "bytes=-0", "bytes=99-,-0"] {
        assert_eq!(ranges(range, 11), RangeAnswer::Unsatisfiable, "{range}");
    }
    assert_eq!(ranges("bytes=0-", 0), RangeAnswer::Unsatisfiable);
}

#[test]
fn broken_and_unknown_ranges_do_not_count() {
    // RFC 9110 §14.2.
    for range in [
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=2-1",
        "bytes=a-b",
        "bytes=1-2, x",
        "lines=1-2",
        "bytes=1-2-3",
        "bytes=+1-2",
    ] {
        assert_eq!(ranges(range, 11), RangeAnswer::Whole, "{range}");
    }
    let twice = request(&[("range", "bytes=0-1"), ("range", "bytes=2-3")]);
    assert_eq!(evaluated(&twice, StatusCode::OK, &Fields::new(), 11), RangeAnswer::Whole);
    assert_eq!(evaluated(&request::<&str>(&[]), StatusCode::OK, &Fields::new(), 11), RangeAnswer::Whole);
}

#[test]
fn only_a_200_has_ranges() {
    let asked = request(&[("range", "bytes=0-1")]);
    assert_eq!(evaluated(&asked, StatusCode::NOT_FOUND, &Fields::new(), 11), RangeAnswer::Whole);
}

#[test]
fn too_many_or_overlapping_ranges_get_the_whole_page() {
    // RFC 9110 §14.2, §17.15.
    let many = |count: usize| format!("bytes={}", vec!["0-0"; count].join(","));
    assert_eq!(ranges(&many(MAX_RANGES + 1), 1000), RangeAnswer::Whole);
    assert!(matches!(ranges(&many(MAX_RANGES), 1000), RangeAnswer::Multiple(_)));
    assert_eq!(ranges("bytes=0-,0-", 11), RangeAnswer::Whole);
}

#[test]
fn if_range_compares_strongly() {
    // RFC 9110 §13.1.5.
    let page = [("etag", "\"abc\"".to_owned()), ("last-modified", date(-60)), ("date", date(0))];
    let with = |condition: &str, page: &[(&str, String)]| {
        let asked = request(&[("range", "bytes=0-1"), ("if-range", condition)]);
        evaluated(&asked, StatusCode::OK, &fields(page), 11) == RangeAnswer::Single(0..2)
    };
    assert!(with("\"abc\"", &page));
    assert!(with(&date(-60), &page));
    for other in ["\"x\"", "W/\"abc\"", &date(-59), &date(-61), "yesterday", "\"x\", \"abc\""] {
        assert!(!with(other, &page), "{other}");
    }
    assert!(!with("W/\"abc\"", &[("etag", "W/\"abc\"".to_owned())]));
    let just_made = [("last-modified", date(0)), ("date", date(0))];
    assert!(!with(&date(0), &just_made));
}

proptest! {
    #[test]
    fn every_range_lies_within_the_page(range in "bytes=[0-9,-]{0,30}", len in 0u64..50) {
        let all = match ranges(&range, len) {
            RangeAnswer::Single(range) => vec![range],
            RangeAnswer::Multiple(ranges) => ranges,
            RangeAnswer::Whole | RangeAnswer::Unsatisfiable => vec![],
        };
        prop_assert!(all.iter().all(|range| range.start < range.end && range.end <= len));
        let total: u64 = all.iter().map(|range| range.end - range.start).sum();
        prop_assert!(total <= len);
    }

    #[test]
    fn any_value_is_read_without_a_panic(range in "[ -~]{0,60}", condition in "[ -~]{0,40}") {
        let asked = request(&[("range", &range), ("if-range", &condition)]);
        let _ = evaluated(&asked, StatusCode::OK, &fields(&[("etag", &condition)]), 11);
    }
}
