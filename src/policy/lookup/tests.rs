//! The whole table of verdicts, with `now` given.

use super::*;
use crate::config::Scheme;
use crate::policy::encoding::{Coding, Representations};
use crate::policy::key::KeyUri;
use crate::policy::{Fields, Key, PurgeSeq, Validators};
use bytes::Bytes;
use http::StatusCode;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(10_000);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn page(fresh: u64, while_revalidate: u64, if_error: u64) -> Page {
    Page {
        key: Key::of(KeyUri { scheme: Scheme::Http, host: "a", path: "/p", query: None }),
        status: StatusCode::OK,
        fields: Fields::new(),
        representations: Representations::only(Coding::Identity, None, Bytes::new()),
        lifetime: Lifetime {
            born: at(0),
            fresh_until: at(fresh),
            while_revalidate_until: at(while_revalidate),
            if_error_until: at(if_error),
            has_ttl: true,
        },
        origin_validators: Validators::default(),
        tags: Box::default(),
        purge_seq: PurgeSeq(0),
        purge_memo: crate::policy::PurgeMemo::default(),
        selecting: Box::default(),
        unkeyed_vary: Box::default(),
    }
}

fn verdict(page: &Page, wish: ClientWish, state: KeyState) -> Verdict {
    decide(Some(page), Forwarded::Stale, wish, false, &state, NOW)
}

fn backing_off() -> KeyState {
    KeyState { backing_off_until: Some(at(10_001)), ..KeyState::default() }
}

fn render(why: Forwarded, otherwise: Otherwise) -> Verdict {
    Verdict::Render { why, otherwise, meanwhile: Meanwhile::Nothing }
}

#[test]
fn a_visitor_is_shown_a_fallback_page_in_front_of_a_miss_and_of_nothing_else() {
    let visitor = KeyState { audience: Audience::Visitor, ..KeyState::default() };
    let nothing = |missing, state: KeyState| decide(None, missing, ClientWish::Anything, false, &state, NOW);
    let shown = |why| Verdict::Render { why, otherwise: Otherwise::ErrorPage, meanwhile: Meanwhile::Fallback };
    assert_eq!(nothing(Forwarded::UriMiss, visitor), shown(Forwarded::UriMiss));
    assert_eq!(nothing(Forwarded::UriMiss, KeyState::default()), render(Forwarded::UriMiss, Otherwise::ErrorPage));
    assert_eq!(verdict(&page(1, 1, 1), ClientWish::Anything, visitor), shown(Forwarded::Stale), "past its windows");
    // A page that may be served, or stands in for a failure, is not nothing.
    assert_eq!(verdict(&page(20_000, 20_000, 20_000), ClientWish::Anything, visitor), Verdict::Fresh);
    assert_eq!(verdict(&page(1, 20_000, 20_000), ClientWish::Anything, visitor), Verdict::Stale(Refresh::Start));
    let kept = verdict(&page(1, 1, 20_000), ClientWish::Anything, visitor);
    assert_eq!(kept, render(Forwarded::Stale, Otherwise::StalePage));
    let until = at(10_001);
    let backing_off = KeyState { backing_off_until: Some(until), ..visitor };
    assert_eq!(nothing(Forwarded::UriMiss, backing_off), Verdict::BackingOff { until });
    let uncacheable = KeyState { uncacheable: true, ..visitor };
    assert_eq!(nothing(Forwarded::UriMiss, uncacheable), Verdict::Bypass(BypassDetail::Uncacheable));
}

#[test]
fn a_page_is_fresh_until_its_last_millisecond() {
    let state = KeyState::default();
    assert_eq!(verdict(&page(10_001, 10_001, 10_001), ClientWish::Anything, state), Verdict::Fresh);
    assert_eq!(
        verdict(&page(10_000, 10_000, 10_000), ClientWish::Anything, state),
        render(Forwarded::Stale, Otherwise::ErrorPage)
    );
}

#[test]
fn a_stale_page_is_served_while_it_is_refreshed_unless_its_key_backs_off() {
    let stale = page(9_000, 20_000, 20_000);
    assert_eq!(verdict(&stale, ClientWish::Anything, KeyState::default()), Verdict::Stale(Refresh::Start));
    assert_eq!(verdict(&stale, ClientWish::Anything, backing_off()), Verdict::Stale(Refresh::Hold));
    let over = KeyState { backing_off_until: Some(NOW), ..KeyState::default() };
    assert_eq!(verdict(&stale, ClientWish::Anything, over), Verdict::Stale(Refresh::Start));
}

#[test]
fn a_page_in_its_error_window_waits_for_a_render_and_stands_in_for_it() {
    let stale = page(9_000, 9_000, 20_000);
    assert_eq!(
        verdict(&stale, ClientWish::Anything, KeyState::default()),
        render(Forwarded::Stale, Otherwise::StalePage)
    );
    assert_eq!(verdict(&stale, ClientWish::Anything, backing_off()), Verdict::Stale(Refresh::Hold));
}

#[test]
fn without_a_page_a_key_that_backs_off_fails_at_once() {
    let nothing = |state| decide(None, Forwarded::UriMiss, ClientWish::Anything, false, &state, NOW);
    assert_eq!(nothing(KeyState::default()), render(Forwarded::UriMiss, Otherwise::ErrorPage));
    assert_eq!(nothing(backing_off()), Verdict::BackingOff { until: at(10_001) });
    let remembered = KeyState { uncacheable: true, ..KeyState::default() };
    assert_eq!(nothing(remembered), Verdict::Bypass(BypassDetail::Uncacheable));
    let cached_only = KeyState { only_if_cached: true, ..KeyState::default() };
    assert_eq!(nothing(cached_only), Verdict::NotCached);
}

#[test]
fn a_client_may_insist_on_validation_or_accept_a_stale_page() {
    let fresh = page(20_000, 20_000, 20_000);
    assert_eq!(
        verdict(&fresh, ClientWish::Validated, KeyState::default()),
        render(Forwarded::Request, Otherwise::StalePage)
    );
    let stale = page(9_000, 9_000, 20_000);
    assert_eq!(verdict(&stale, ClientWish::StaleAllowed, KeyState::default()), Verdict::Stale(Refresh::Hold));
}

#[test]
fn a_request_with_a_field_the_route_does_not_key_on_is_a_bypass() {
    let fresh = page(20_000, 20_000, 20_000);
    let verdict = decide(Some(&fresh), Forwarded::Stale, ClientWish::Anything, true, &KeyState::default(), NOW);
    assert_eq!(verdict, Verdict::Bypass(BypassDetail::Vary));
}

fn wishes() -> impl Strategy<Value = ClientWish> {
    prop_oneof![Just(ClientWish::Anything), Just(ClientWish::Validated), Just(ClientWish::StaleAllowed)]
}

proptest! {
    /// A page past all its windows is never served, whatever else is so.
    #[test]
    fn a_page_past_its_window_is_never_served(
        fresh in 0_u64..=10_000,
        swr in 0_u64..=10_000,
        sie in 0_u64..=10_000,
        wish in wishes(),
        uncacheable: bool,
        only_if_cached: bool,
        until in proptest::option::of(0_u64..20_000),
    ) {
        let expired = page(fresh, swr.max(fresh), sie.max(fresh));
        let backing_off_until = until.map(at);
        let state = KeyState { uncacheable, only_if_cached, backing_off_until, ..KeyState::default() };
        let verdict = verdict(&expired, wish, state);
        let served = matches!(
            verdict,
            Verdict::Fresh | Verdict::Stale(_) | Verdict::Render { otherwise: Otherwise::StalePage, .. }
        );
        prop_assert!(!served, "{verdict:?}");
    }

    /// `only-if-cached` never reaches the origin.
    #[test]
    fn only_if_cached_is_never_forwarded(fresh in 0_u64..20_000, swr in 0_u64..20_000, sie in 0_u64..20_000, wish in wishes()) {
        let page = page(fresh, swr.max(fresh), sie.max(fresh));
        let state = KeyState { only_if_cached: true, ..KeyState::default() };
        let verdict = verdict(&page, wish, state);
        prop_assert!(!matches!(verdict, Verdict::Render { .. } | Verdict::Bypass(_)), "{verdict:?}");
    }
}

#[test]
fn a_page_that_was_purged_is_not_fresh_whatever_its_lifetime() {
    let purged = KeyState { standing: Standing::Stale, ..KeyState::default() };
    let stale = Verdict::Stale(Refresh::Start);
    assert_eq!(verdict(&page(20_000, 30_000, 30_000), ClientWish::Anything, purged), stale);
    assert_eq!(verdict(&page(u64::MAX, u64::MAX, u64::MAX), ClientWish::Anything, purged), stale);
    assert_eq!(verdict(&page(5_000, 30_000, 30_000), ClientWish::Anything, purged), stale);
    let backing_off = KeyState { standing: Standing::Stale, ..backing_off() };
    assert_eq!(
        verdict(&page(20_000, 30_000, 30_000), ClientWish::Anything, backing_off),
        Verdict::Stale(Refresh::Hold)
    );
}

#[test]
fn a_purged_page_that_may_not_be_used_stale_is_rendered_first() {
    let purged = KeyState { standing: Standing::Stale, ..KeyState::default() };
    let waits = |otherwise| render(Forwarded::Stale, otherwise);
    assert_eq!(
        verdict(&page(20_000, 20_000, 30_000), ClientWish::Anything, purged),
        waits(Otherwise::StalePage),
        "unless the render fails"
    );
    assert_eq!(verdict(&page(20_000, 20_000, 20_000), ClientWish::Anything, purged), waits(Otherwise::ErrorPage));
}

#[test]
fn a_deleted_page_is_never_served() {
    let void = KeyState { standing: Standing::Void, ..KeyState::default() };
    for wish in [ClientWish::Anything, ClientWish::Validated, ClientWish::StaleAllowed] {
        let said = verdict(&page(20_000, 30_000, 30_000), wish, void);
        assert_eq!(said, render(Forwarded::Stale, Otherwise::ErrorPage), "{wish:?}");
    }
}

#[test]
fn a_page_of_an_earlier_build_is_served_and_rendered_again_in_its_turn() {
    let deployed = KeyState { standing: Standing::Deployed, ..KeyState::default() };
    let in_turn = Verdict::Stale(Refresh::InTurn);
    // It is as good as its own lifetime says: no window has to allow it.
    for page in [page(20_000, 20_000, 20_000), page(20_000, 30_000, 30_000), page(u64::MAX, u64::MAX, u64::MAX)] {
        assert_eq!(verdict(&page, ClientWish::Anything, deployed), in_turn);
    }
    let past = page(5_000, 30_000, 30_000);
    assert_eq!(verdict(&past, ClientWish::Anything, deployed), Verdict::Stale(Refresh::Start), "its time has come");
    let failed = KeyState { standing: Standing::Deployed, ..backing_off() };
    assert_eq!(verdict(&page(20_000, 30_000, 30_000), ClientWish::Anything, failed), Verdict::Stale(Refresh::Hold));
}
