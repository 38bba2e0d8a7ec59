//! Variants, a test per clause.

use super::normal::accepts_html;
use super::*;
use crate::config::{CacheMode, VaryRule};
use crate::policy::sample::{fields, request, route};
use proptest::prelude::*;

fn vary(value: &str) -> Fields {
    fields(&[("vary", value)])
}

fn same(vary_on: &str, one: &[(&str, &str)], other: &[(&str, &str)]) -> bool {
    let selecting = selecting(&vary(vary_on), &request(one)).expect("no star");
    let matched = matches(&selecting, &request(other));
    let names = names(&vary(vary_on)).expect("no star");
    assert_eq!(matched, fingerprint(&names, &request(one)) == fingerprint(&names, &request(other)));
    matched
}

fn same_value(name: &str, one: &str, other: &str) -> bool {
    same(name, &[(name, one)], &[(name, other)])
}

#[test]
fn a_star_anywhere_is_selected_by_nothing() {
    // RFC 9111 §4.1.
    for star in ["*", "*, *", ", *", "*, Foo", "Foo, *", "foo bar"] {
        assert_eq!(names(&vary(star)), Err(VaryStar), "{star}");
    }
    assert_eq!(names(&fields(&[("vary", ""), ("vary", "*")])), Err(VaryStar));
    let many: Vec<String> = (0..=MAX_VARY_NAMES).map(|n| format!("x-{n}")).collect();
    assert_eq!(names(&vary(&many.join(","))), Err(VaryStar));
}

#[test]
fn names_are_joined_from_all_lines_in_lower_case() {
    let read = names(&fields(&[("vary", "Foo,, bar"), ("vary", "BAR")])).expect("no star");
    assert_eq!(read, ["bar", "foo"]);
    assert_eq!(names(&fields(&[("a", "1")])), Ok(vec![]));
}

#[test]
fn every_named_field_has_to_match() {
    // RFC 9111 §4.1.
    let stored = [("foo", "1"), ("bar", "abc")];
    assert!(same("Foo, Bar", &stored, &[("bar", "abc"), ("foo", "1"), ("other", "3")]));
    assert!(!same("Foo, Bar", &stored, &[("foo", "2"), ("bar", "abc")]));
    assert!(!same("Foo, Bar", &stored, &[]));
    assert!(same("Foo, Bar, Baz", &[("foo", "1")], &[("foo", "1")]));
}

#[test]
fn absent_is_not_empty() {
    assert!(!same("Foo", &[], &[("foo", "")]));
    assert!(!same("Foo", &[("foo", "1")], &[]));
    assert!(!same("Foo", &[], &[("foo", "1")]));
    assert!(same("Foo", &[], &[]));
}

#[test]
fn whitespace_and_the_number_of_lines_do_not_count() {
    // RFC 9111 §4.1: adding whitespace, combining field lines.
    assert!(same_value("foo", "1,2", " 1, 2 "));
    assert!(same("Foo", &[("foo", "1, 2")], &[("foo", "1"), ("foo", "2")]));
    assert!(!same_value("foo", "1,2", "2,1"));
    assert!(!same_value("foo", "a b", "ab"));
    assert!(!same_value("foo", "\"a, b\"", "\"a,b\""));
}

#[test]
fn languages_count_by_preference() {
    assert!(same_value("accept-language", "en, de", "de, en"));
    assert!(same_value("accept-language", "en, de", "eN ,   De"));
    assert!(same_value("accept-language", "de-CH,de;q=0.9,en;q=0.8", "de-ch, en;q=0.1, de;q=0.5"));
    assert!(!same_value("accept-language", "de, en;q=0.5", "en, de;q=0.5"));
    assert!(!same_value("accept-language", "de, en", "de, en;q=0.5"));
    assert!(!same_value("accept-language", "de, en", "de, en;q=0"));
    assert!(!same_value("accept-language", "de", "de-ch"));
}

#[test]
fn codings_count_as_the_set_that_is_acceptable() {
    assert!(same_value("accept-encoding", "gzip, deflate, br", "br;q=0.9,x-gzip, DEFLATE;q=0.1"));
    assert!(same_value("accept-encoding", "gzip", "gzip, identity, br;q=0"));
    assert!(!same_value("accept-encoding", "gzip", "br"));
    assert!(!same_value("accept-encoding", "gzip, *;q=0", "gzip"));
    assert!(!same_value("accept-encoding", "gzip, identity;q=0", "gzip"));
    assert!(!same("accept-encoding", &[("accept-encoding", "")], &[]));
}

#[test]
fn html_is_accepted_by_the_most_specific_range() {
    // RFC 9110 §12.5.1.
    let accepts = |value: &str| accepts_html(&request(&[("accept", value)]));
    assert!(accepts("text/html,application/xhtml+xml,*/*;q=0.8"));
    assert!(accepts("*/*"));
    assert!(accepts("application/json, text/*;q=0.1"));
    assert!(accepts_html(&request::<&str>(&[])));
    assert!(!accepts("application/json"));
    assert!(!accepts("*/*, Text/HTML;q=0"));
    assert!(!accepts("text/*;q=0.000, */*"));
}

#[test]
fn a_request_with_a_field_that_the_route_does_not_key_on_is_not_shown_the_page() {
    // DESIGN §3 "Vary".
    let mut route = route(CacheMode::Isr);
    route.vary = VaryRule { headers: vec![HeaderName::from_static("rsc")], cookies: vec![] };
    let unkeyed = unkeyed(&route, &vary("RSC, Next-Router-Prefetch, Accept-Encoding, Cookie, Host, Accept"));
    assert_eq!(&*unkeyed, ["accept", "next-router-prefetch"]);
    assert!(!carries_unkeyed(&unkeyed, &request(&[("rsc", "1"), ("cookie", "a=b"), ("accept", "text/html")])));
    assert!(!carries_unkeyed(&unkeyed, &request(&[("accept", "*/*")])));
    assert!(carries_unkeyed(&unkeyed, &request(&[("accept", "application/json")])));
    assert!(carries_unkeyed(&unkeyed, &request(&[("next-router-prefetch", "")])));
}

#[test]
fn accept_does_not_count_where_the_page_does_not_vary_on_it() {
    let unkeyed = unkeyed(&route(CacheMode::Isr), &vary("X-Theme"));
    assert!(!carries_unkeyed(&unkeyed, &request(&[("accept", "application/json")])));
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,40}", "(en|de|fr)(-[A-Z]{2})?(;q=[01](\\.[0-9]{0,4})?)?(, ?(en|de)(;q=0\\.[0-9])?){0,3}"]
}

proptest! {
    #[test]
    fn a_request_always_selects_the_variant_it_made(name in "(foo|accept-language|accept-encoding)", value in value()) {
        prop_assert!(same_value(&name, &value, &value));
    }

    #[test]
    fn different_lists_of_values_have_different_fingerprints(one in proptest::collection::vec("[ab]{0,2}", 2), other in proptest::collection::vec("[ab]{0,2}", 2)) {
        let both = |values: &[String]| request(&[("foo", values[0].clone()), ("bar", values[1].clone())]);
        let names = [HeaderName::from_static("foo"), HeaderName::from_static("bar")];
        let equal = fingerprint(&names, &both(&one)) == fingerprint(&names, &both(&other));
        prop_assert_eq!(equal, one == other);
    }

    #[test]
    fn languages_in_another_order_select_the_same_variant(mut list in proptest::collection::vec("(en|de|fr|it)(-[a-z]{2})?(;q=0\\.[0-9])?", 1..5)) {
        let one = list.join(", ");
        list.reverse();
        prop_assert!(same_value("accept-language", &one, &list.join(",")));
    }
}
