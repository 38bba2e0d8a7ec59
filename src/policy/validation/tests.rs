//! Preconditions and validators, a test per clause.

use super::*;
use crate::policy::sample::{NOW, at, date, fields, request};
use http::HeaderMap;

const TAGGED: [(&str, &str); 2] = [("etag", "\"abc\""), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")];

fn evaluated(method: &Method, request: &HeaderMap, status: StatusCode, page: &Fields, at: Timestamp) -> Precondition {
    evaluate(method, request, status, page, page.get(&header::ETAG), at)
}

fn get(conditions: &[(&str, &str)], page: &[(&str, &str)]) -> Precondition {
    evaluated(&Method::GET, &request(conditions), StatusCode::OK, &fields(page), NOW)
}

#[test]
fn if_none_match_compares_weakly_and_knows_lists_and_the_star() {
    // RFC 9110 §13.1.2.
    for known in ["\"abc\"", "W/\"abc\"", "\"x\", \"abc\", \"y\"", "*"] {
        assert_eq!(get(&[("if-none-match", known)], &TAGGED), Precondition::NotModified, "{known}");
    }
    assert_eq!(get(&[("if-none-match", "\"x\""), ("if-none-match", "\"abc\"")], &TAGGED), Precondition::NotModified);
    assert_eq!(get(&[("if-none-match", "\"x\"")], &TAGGED), Precondition::Proceed);
    assert_eq!(get(&[("if-none-match", "\"abc\"")], &[]), Precondition::Proceed);
    assert_eq!(get(&[("if-none-match", "W/\"abc\"")], &[("etag", "W/\"abc\"")]), Precondition::NotModified);
}

#[test]
fn if_none_match_goes_before_if_modified_since() {
    // RFC 9110 §13.2.2; RFC 9111 §4.3.2.
    let now = date(0);
    assert_eq!(get(&[("if-none-match", "\"x\""), ("if-modified-since", &now)], &TAGGED), Precondition::Proceed);
    let old = date(-2_000_000_000);
    assert_eq!(get(&[("if-none-match", "\"abc\""), ("if-modified-since", &old)], &TAGGED), Precondition::NotModified);
}

#[test]
fn if_modified_since_compares_with_last_modified_then_date_then_the_arrival() {
    // RFC 9111 §4.3.2.
    let (then, before, now) = (date(-3000), date(-3001), date(0));
    assert_eq!(get(&[("if-modified-since", &then)], &[("last-modified", &then)]), Precondition::NotModified);
    assert_eq!(get(&[("if-modified-since", &then)], &[("last-modified", &before)]), Precondition::NotModified);
    assert_eq!(get(&[("if-modified-since", &before)], &[("last-modified", &then)]), Precondition::Proceed);
    assert_eq!(get(&[("if-modified-since", &now)], &[("date", &then)]), Precondition::NotModified);
    assert_eq!(get(&[("if-modified-since", &then)], &[("date", &now)]), Precondition::Proceed);
    assert_eq!(get(&[("if-modified-since", &date(1))], &[]), Precondition::NotModified);
    assert_eq!(get(&[("if-modified-since", &date(-1))], &[]), Precondition::Proceed);
}

#[test]
fn a_date_that_is_none_or_repeated_is_no_condition() {
    // RFC 9110 §13.1.3.
    let now = date(0);
    assert_eq!(get(&[("if-modified-since", "yesterday")], &TAGGED), Precondition::Proceed);
    assert_eq!(get(&[("if-modified-since", &now), ("if-modified-since", &now)], &TAGGED), Precondition::Proceed);
    assert_eq!(get(&[("if-modified-since", &now)], &[("last-modified", "x"), ("date", &now)]), Precondition::Proceed);
    assert_eq!(get(&[("if-unmodified-since", "x")], &TAGGED), Precondition::Proceed);
}

#[test]
fn if_match_compares_strongly_and_fails_with_412() {
    // RFC 9110 §13.1.1.
    assert_eq!(get(&[("if-match", "\"x\", \"abc\"")], &TAGGED), Precondition::Proceed);
    assert_eq!(get(&[("if-match", "*")], &[]), Precondition::Proceed);
    assert_eq!(get(&[("if-match", "\"x\"")], &TAGGED), Precondition::Failed);
    assert_eq!(get(&[("if-match", "W/\"abc\"")], &[("etag", "W/\"abc\"")]), Precondition::Failed);
    assert_eq!(get(&[("if-match", "\"abc\""), ("if-none-match", "\"abc\"")], &TAGGED), Precondition::NotModified);
}

#[test]
fn if_unmodified_since_counts_only_without_if_match() {
    // RFC 9110 §13.1.4, §13.2.2.
    let (then, before) = (date(-3000), date(-3001));
    let page = [("last-modified", then.as_str()), ("etag", "\"abc\"")];
    assert_eq!(get(&[("if-unmodified-since", &then)], &page), Precondition::Proceed);
    assert_eq!(get(&[("if-unmodified-since", &before)], &page), Precondition::Failed);
    assert_eq!(get(&[("if-unmodified-since", &before), ("if-match", "\"abc\"")], &page), Precondition::Proceed);
    assert_eq!(get(&[("if-unmodified-since", &before)], &[]), Precondition::Proceed);
}

#[test]
fn pages_that_are_not_2xx_and_other_methods_have_no_preconditions() {
    // RFC 9110 §13.2.1.
    let conditions = request(&[("if-none-match", "*")]);
    let evaluate = |method, status| evaluated(&method, &conditions, status, &fields(&TAGGED), NOW);
    assert_eq!(evaluate(Method::GET, StatusCode::NOT_FOUND), Precondition::Proceed);
    assert_eq!(evaluate(Method::POST, StatusCode::OK), Precondition::Proceed);
    assert_eq!(evaluate(Method::HEAD, StatusCode::OK), Precondition::NotModified);
}

#[test]
fn a_refresh_asks_with_the_origins_own_validators() {
    // RFC 9111 §4.3.1.
    let unquoted = validators(&fields(&[("etag", "abc"), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")]));
    let expected = fields(&[("if-none-match", "abc"), ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")]);
    assert_eq!(conditionals(&unquoted), expected);
    assert!(!validators(&fields(&[("last-modified", "x"), ("etag", "")])).any());
}

#[test]
fn a_304_for_another_validator_does_not_confirm() {
    // RFC 9111 §4.3.4.
    let ours = validators(&fields(&TAGGED));
    assert!(confirms(&ours, &fields(&[("etag", "\"abc\"")])));
    assert!(confirms(&ours, &fields(&[("etag", "W/\"abc\"")])));
    assert!(confirms(&ours, &fields(&[("cache-control", "max-age=60")])));
    assert!(confirms(&ours, &fields(&[TAGGED[1]])));
    assert!(!confirms(&ours, &fields(&[("etag", "\"def\""), TAGGED[1]])));
    assert!(!confirms(&ours, &fields(&[("last-modified", &date(0))])));
}

#[test]
fn a_304_to_a_client_carries_what_updates_its_copy_and_no_more() {
    // RFC 9110 §15.4.5.
    let page = fields(&[
        ("content-type", "text/html"),
        ("cache-control", "max-age=60"),
        ("etag", "\"abc\""),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("vary", "a"),
        ("vary", "b"),
        ("date", "x"),
        ("expires", "0"),
        ("content-location", "/"),
        ("link", "</a>"),
    ]);
    let names: Vec<String> = not_modified_fields(&page).iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["cache-control", "etag", "vary", "vary", "date", "expires", "content-location"]);
    let untagged = fields(&[TAGGED[1]]);
    assert_eq!(not_modified_fields(&untagged), untagged);
}

#[test]
fn a_page_without_an_etag_gets_one_of_its_body() {
    let mut page = fields(&[("etag", "W/\"1\"")]);
    ensure_etag(&mut page, b"body");
    assert_eq!(page, fields(&[("etag", "W/\"1\"")]));
    let mut page = Fields::new();
    ensure_etag(&mut page, b"body");
    assert_eq!(page.get(&header::ETAG), Some(&strong_etag(b"body")));
    assert_eq!(
        evaluated(&Method::GET, &request(&[("if-none-match", "*")]), StatusCode::OK, &page, at(0)),
        Precondition::NotModified
    );
}
