//! Ages and lifetimes, a test per clause.

use super::*;
use crate::policy::fields::Fields;
use crate::policy::sample::{NOW, at, date, fields};
use http::StatusCode;
use proptest::prelude::*;

/// An answer that was asked for two seconds before it arrived, at [`NOW`].
fn slow(fields: &Fields) -> Answer<'_> {
    Answer { status: StatusCode::OK, fields, requested_at: at(-2), received_at: NOW }
}

fn answer(fields: &Fields) -> Answer<'_> {
    Answer { requested_at: NOW, ..slow(fields) }
}

fn explicit(pairs: &[(&str, &str)]) -> Option<u64> {
    let fields = fields(pairs);
    explicit_lifetime(&Stated::of(&fields), &answer(&fields)).map(|lifetime| lifetime.as_secs())
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_broken_or_repeated_age_counts_by_its_first_member_or_not_at_all() {
    // RFC 9111 §5.1.
    let cases = [
        ("7200", 7200),
        ("7200, 0", 7200),
        ("0, 7200", 0),
        ("abc", 0),
        ("-7200", 0),
        ("7200.0", 0),
        ("7200;foo=bar", 0),
        ("2147483649", 1 << 31),
        ("99999999999999999999", 1 << 31),
        ("", 0),
    ];
    for (value, expected) in cases {
        assert_eq!(age_value(&answer(&fields(&[("age", value)]))), secs(expected), "{value}");
    }
    assert_eq!(age_value(&answer(&fields(&[("age", "5"), ("age", "7200")]))), secs(5));
    assert_eq!(age_value(&answer(&Fields::new())), secs(0));
}

#[test]
fn the_initial_age_is_the_larger_of_age_plus_delay_and_apparent_age() {
    // RFC 9111 §4.2.3.
    let delayed = fields(&[("age", "30")]);
    assert_eq!(corrected_initial_age(&slow(&delayed)), secs(32));
    let apparent = fields(&[("age", "30".to_owned()), ("date", date(-7200))]);
    assert_eq!(corrected_initial_age(&slow(&apparent)), secs(7199));
    let fast_clock = fields(&[("age", "3".to_owned()), ("date", date(7200))]);
    assert_eq!(corrected_initial_age(&slow(&fast_clock)), secs(5));
}

#[test]
fn the_second_that_date_cannot_tell_is_not_age() {
    let sent = fields(&[("date", date(0))]);
    let arrived = Answer { requested_at: NOW, received_at: NOW.later(Duration::from_millis(990)), ..answer(&sent) };
    let without_delay = Answer { requested_at: arrived.received_at, ..arrived };
    assert_eq!(corrected_initial_age(&without_delay), secs(0));
}

#[test]
fn s_maxage_goes_before_max_age_before_expires() {
    // RFC 9111 §4.2.1.
    let past = date(-10);
    assert_eq!(explicit(&[("expires", &past), ("cache-control", "max-age=0, s-maxage=60")]), Some(60));
    assert_eq!(explicit(&[("expires", &past), ("cache-control", "max-age=30")]), Some(30));
    assert_eq!(explicit(&[("expires", &date(40)), ("cache-control", "max-age=nonsense")]), Some(0));
    assert_eq!(explicit(&[("cache-control", "public")]), None);
}

#[test]
fn expires_is_compared_with_date_and_with_the_arrival_where_date_is_broken() {
    // RFC 9111 §4.2.1, §5.3.
    assert_eq!(explicit(&[("expires", &date(20)), ("date", &date(10))]), Some(10));
    assert_eq!(explicit(&[("expires", &date(300)), ("date", &date(400))]), Some(0));
    assert_eq!(explicit(&[("expires", &date(10)), ("date", "foo")]), Some(10));
    assert_eq!(explicit(&[("expires", &date(10))]), Some(10));
    assert_eq!(explicit(&[("expires", "0"), ("date", &date(0))]), Some(0));
}

#[test]
fn a_targeted_field_keeps_expires_from_counting() {
    // RFC 9213 §2.2.
    assert_eq!(explicit(&[("cdn-cache-control", "foo"), ("expires", &date(60))]), None);
    assert_eq!(explicit(&[("cdn-cache-control", "max-age=5"), ("cache-control", "s-maxage=60")]), Some(5));
}

#[test]
fn heuristic_freshness_is_a_capped_tenth_of_the_time_since_the_last_change() {
    // RFC 9111 §4.2.2.
    let heuristic = |modified: i64, longest: u64| {
        let fields = fields(&[("last-modified", date(modified)), ("date", date(0))]);
        heuristic_lifetime(&answer(&fields), secs(longest))
    };
    assert_eq!(heuristic(-86_400, 86_400), Some(secs(8640)));
    assert_eq!(heuristic(-86_400, 60), Some(secs(60)));
    assert_eq!(heuristic(-86_400, 0), None);
    assert_eq!(heuristic(-5, 86_400), None);
    assert_eq!(heuristic(100, 86_400), None);
    assert_eq!(heuristic_lifetime(&answer(&fields(&[("last-modified", "x")])), secs(60)), None);
}

#[test]
fn a_lifetime_is_counted_from_birth() {
    let terms = Terms {
        age: secs(30),
        fresh_for: Window::For(secs(40)),
        while_revalidate: Window::For(secs(5)),
        if_error: Window::Forever,
    };
    let lifetime = terms.lifetime(NOW);
    let expected = Lifetime {
        born: at(-30),
        fresh_until: at(10),
        while_revalidate_until: at(15),
        if_error_until: Timestamp::FOREVER,
        has_ttl: true,
    };
    assert_eq!(lifetime, expected);
    assert_eq!(Terms::of(&lifetime), Terms { age: secs(0), ..terms });
    assert_eq!((age(&lifetime, at(2)), ttl(&lifetime, at(2))), (32, 8));
}

#[test]
fn a_stale_page_never_shows_a_ttl_of_zero_or_more() {
    let lifetime =
        Terms { age: secs(0), fresh_for: Window::For(secs(1)), ..Terms::of(&sample_lifetime()) }.lifetime(NOW);
    let just_stale = lifetime.fresh_until.later(Duration::from_millis(1));
    assert_eq!(ttl(&lifetime, just_stale), -1);
    assert_eq!(ttl(&lifetime, NOW.later(Duration::from_millis(1))), 0);
}

#[test]
fn an_age_beyond_everything_is_stale_even_with_the_longest_lifetime() {
    let longest = Window::For(secs(1 << 31));
    let terms = Terms {
        age: secs(1 << 31),
        fresh_for: longest,
        while_revalidate: Window::For(secs(0)),
        if_error: Window::For(secs(0)),
    };
    assert_eq!(state(&terms.lifetime(NOW), NOW), State::Void);
}

fn sample_lifetime() -> Lifetime {
    Lifetime { born: NOW, fresh_until: at(10), while_revalidate_until: at(20), if_error_until: at(30), has_ttl: true }
}

#[test]
fn a_page_passes_through_its_windows_in_order() {
    let lifetime = sample_lifetime();
    let states = [0, 9, 10, 19, 20, 29, 30].map(|second| state(&lifetime, at(second)));
    use State::{Fresh, IfError, Void, WhileRevalidate};
    assert_eq!(states, [Fresh, Fresh, WhileRevalidate, WhileRevalidate, IfError, IfError, Void]);
}

fn window() -> impl Strategy<Value = Window> {
    prop_oneof![Just(Window::Forever), any::<u64>().prop_map(|s| Window::For(Duration::from_secs(s)))]
}

proptest! {
    #[test]
    fn a_page_past_its_windows_is_never_usable(
        age in any::<u64>(), fresh_for in window(), while_revalidate in window(), if_error in window(), later in any::<u64>()
    ) {
        let age = Duration::from_secs(age);
        let lifetime = Terms { age, fresh_for, while_revalidate, if_error }.lifetime(NOW);
        prop_assert!(lifetime.while_revalidate_until >= lifetime.fresh_until);
        prop_assert!(lifetime.if_error_until >= lifetime.fresh_until);
        let last = lifetime.while_revalidate_until.max(lifetime.if_error_until);
        let past = last.later(Duration::from_millis(later));
        prop_assert_eq!(state(&lifetime, past), State::Void);
        prop_assert!(ttl(&lifetime, past) <= 0);
    }

    #[test]
    fn only_a_page_younger_than_its_lifetime_is_fresh(age in any::<u32>(), lifetime in any::<u32>()) {
        let terms = Terms {
            age: secs(u64::from(age)),
            fresh_for: Window::For(secs(u64::from(lifetime))),
            while_revalidate: Window::For(secs(0)),
            if_error: Window::For(secs(0)),
        };
        prop_assert_eq!(state(&terms.lifetime(NOW), NOW) == State::Fresh, age < lifetime);
    }
}
