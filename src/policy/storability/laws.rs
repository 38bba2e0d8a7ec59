//! What must not be stored never is, whatever stands around it.

use super::*;
use crate::config::SetCookie;
use crate::policy::merge::{self, HeadUpdate, Held, Renewal};
use crate::policy::sample::{NOW, at, date, fields, isr_after, route};
use proptest::prelude::*;

/// Lines that say nothing against storing, or speak for it.
fn harmless() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let line = prop_oneof![
        "(public|max-age=[0-9]{1,6}|s-maxage=[0-9]{1,6}|foo|bar=\"x, y\"|stale-if-error|must-revalidate| |immutable)"
            .prop_map(|value| ("cache-control", value)),
        "(max-age=\"60\"|x=[a-z]|public, max-age=9+|no-cache=\"a\"|private=\"b\"),?"
            .prop_map(|value| ("cache-control", value)),
        (-100i64..100_000).prop_map(|at| ("expires", date(at))),
        (-100_000i64..100).prop_map(|at| ("last-modified", date(at))),
        (-100i64..100).prop_map(|at| ("date", date(at))),
        "[0-9]{0,6}".prop_map(|value| ("age", value)),
        Just(("etag", "\"abc\"".to_owned())),
        "(foo|bar, baz|Accept-Encoding)".prop_map(|value| ("vary", value)),
        "(x=\\([0-9]|max-age=x y|&&&)".prop_map(|value| ("cdn-cache-control", value)),
    ];
    proptest::collection::vec(line, 0..8)
}

/// A directive as origins spell it: in any case, among others, on a line of its own or not.
fn spelled(directive: &'static str) -> impl Strategy<Value = String> {
    let spelled = proptest::collection::vec(any::<bool>(), directive.len()).prop_map(move |upper| {
        let letters = directive.chars().zip(upper);
        letters.map(|(c, upper)| if upper { c.to_ascii_uppercase() } else { c }).collect::<String>()
    });
    ("(|max-age=60, ?|public ,|x=\"a\\\\\"b\", )", spelled, "(|,max-age=60| , s-maxage=60|=yes|=\"\")")
        .prop_map(|(before, directive, after)| format!("{before}{directive}{after}"))
}

/// A line that keeps an answer out of `cache: headers`.
fn forbidding() -> impl Strategy<Value = (&'static str, String)> {
    prop_oneof![
        spelled("no-store").prop_map(|value| ("cache-control", value)),
        spelled("private").prop_map(|value| ("cache-control", value)),
        "(\\*|foo, \\*|,\\* , bar|not a name)".prop_map(|value| ("vary", value)),
    ]
}

/// A line that keeps an answer out everywhere.
fn forbidding_everywhere() -> impl Strategy<Value = (&'static str, String)> {
    prop_oneof![
        "(no-store|private|max-age=60, no-store|private, s-maxage=60)".prop_map(|value| ("cdn-cache-control", value)),
        "(\\*|foo, \\*|,\\* , bar|not a name)".prop_map(|value| ("vary", value)),
    ]
}

fn lines(mut around: Vec<(&'static str, String)>, line: (&'static str, String), at: usize) -> Fields {
    around.insert(at % (around.len() + 1), line);
    fields(&around)
}

fn answer(status: u16, sent: &Fields) -> Answer<'_> {
    let status = StatusCode::from_u16(status).expect("a status");
    Answer { status, fields: sent, requested_at: at(-1), received_at: NOW }
}

fn is_stored(route: &Route, authorized: bool, answer: &Answer<'_>) -> bool {
    matches!(judge(route, authorized, answer, 0.5), Storability::Store(_))
}

proptest! {
    #[test]
    fn what_forbids_storing_is_never_stored(around in harmless(), line in forbidding(), at in any::<usize>(), status in 200u16..600) {
        let sent = lines(around, line, at);
        let headers = route(CacheMode::Headers);
        prop_assert!(!is_stored(&headers, false, &answer(status, &sent)));
        let strips = Route { set_cookie: SetCookie::Strip, ..headers };
        prop_assert!(!is_stored(&strips, true, &answer(status, &sent)));
    }

    #[test]
    fn from_headers_it_is_not_stored_on_isr_either(around in harmless(), line in forbidding(), at in any::<usize>()) {
        let sent = lines(around, line, at);
        prop_assert!(!is_stored(&route(CacheMode::Isr), false, &answer(200, &sent)));
    }

    #[test]
    fn what_is_addressed_to_us_is_obeyed_everywhere(around in harmless(), line in forbidding_everywhere(), at in any::<usize>()) {
        let around = around.into_iter().filter(|(name, _)| *name != "cdn-cache-control").collect();
        let sent = lines(around, line, at);
        for route in [route(CacheMode::Headers), route(CacheMode::Isr), route(CacheMode::Static), isr_after(60)] {
            prop_assert!(!is_stored(&route, false, &answer(200, &sent)));
        }
    }

    #[test]
    fn a_cookie_is_in_nothing_that_is_stored(around in harmless(), strip in any::<bool>(), at in any::<usize>()) {
        let sent = lines(around, ("set-cookie", "session=1".to_owned()), at);
        for mode in [CacheMode::Headers, CacheMode::Isr, CacheMode::Static] {
            let set_cookie = if strip { SetCookie::Strip } else { SetCookie::Uncacheable };
            let route = Route { set_cookie, ..route(mode) };
            if is_stored(&route, false, &answer(200, &sent)) {
                prop_assert!(!stored_fields(&route, &answer(200, &sent)).contains(&header::SET_COOKIE));
            }
        }
    }

    #[test]
    fn credentials_are_shared_only_by_those_who_say_so(around in harmless()) {
        let says_so = ["public", "s-maxage", "must-revalidate"];
        let around: Vec<_> = around.into_iter().filter(|(_, value)| !says_so.iter().any(|word| value.contains(word))).collect();
        let sent = fields(&around);
        prop_assert!(!is_stored(&route(CacheMode::Headers), true, &answer(200, &sent)));
        prop_assert!(!is_stored(&route(CacheMode::Isr), true, &answer(200, &sent)));
    }

    #[test]
    fn a_304_or_a_head_answer_that_forbids_storing_ends_the_page(around in harmless(), line in forbidding(), at in any::<usize>()) {
        let sent = lines(around.into_iter().filter(|(name, _)| !matches!(*name, "etag" | "last-modified")).collect(), line, at);
        let page = fields(&[("cache-control", "max-age=60"), ("etag", "\"abc\"")]);
        let answer = answer(200, &sent);
        let Storability::Store(lifetime) = judge(&route(CacheMode::Headers), false, &Answer { fields: &page, ..answer }, 0.5) else {
            return Err(TestCaseError::fail("the page may be stored"));
        };
        let validators = crate::policy::validation::validators(&page);
        let held = Held { status: StatusCode::OK, fields: &page, lifetime: &lifetime, validators: &validators, len: 4 };
        let renewal = merge::renew(&route(CacheMode::Headers), false, held, &answer, 0.5);
        prop_assert!(matches!(renewal.storability, Storability::Uncacheable(_)));
        let by_head = merge::head_update(&route(CacheMode::Headers), false, held, &answer, 0.5);
        let kept = matches!(by_head, HeadUpdate::Renewed(Renewal { storability: Storability::Store(_), .. }));
        prop_assert!(!kept);
    }

    #[test]
    fn a_part_and_a_304_are_never_pages(around in harmless(), status in prop_oneof![Just(206u16), Just(304), 100u16..200]) {
        let sent = fields(&around);
        for mode in [CacheMode::Headers, CacheMode::Isr, CacheMode::Static, CacheMode::Off] {
            prop_assert!(!is_stored(&route(mode), false, &answer(status, &sent)));
        }
    }

    #[test]
    fn a_route_that_is_off_stores_nothing(around in harmless(), status in 100u16..600) {
        let sent = fields(&around);
        prop_assert!(!is_stored(&route(CacheMode::Off), false, &answer(status, &sent)));
    }
}

#[test]
fn every_reason_has_a_word_of_its_own() {
    let mut words = Reason::ALL.map(Reason::as_str);
    words.sort_unstable();
    assert!(words.windows(2).all(|pair| pair[0] != pair[1]));
}
