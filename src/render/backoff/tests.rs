//! How many attempts a failing key gets, with every moment given.

use super::*;
use proptest::prelude::*;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + millis)
}

fn backoff() -> (Backoff<u32>, GoodRenders) {
    (Backoff::default(), GoodRenders::none())
}

/// Attempts on page 1 in 30 s, which is asked for every millisecond and always fails, while another
/// page of the origin is rendered well at the times in `good`.
fn attempts(random: impl Fn() -> f64, good: impl Fn(u64) -> bool) -> usize {
    let (backoff, web) = backoff();
    let mut attempts = 0;
    for millis in 0..30_000 {
        if good(millis) {
            backoff.succeeded(&2, &web);
        }
        if backoff.waiting(&1, &web, at(millis)).is_none() {
            attempts += 1;
            backoff.failed(&1, &web, at(millis), None, random());
        }
    }
    attempts
}

#[test]
fn waits_double_from_one_to_ten_seconds() {
    let (backoff, web) = backoff();
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..6 {
        let until = backoff.failed(&1, &web, now, None, 0.5);
        waits.push(until.since(now).as_millis());
        assert_eq!(backoff.waiting(&1, &web, until.earlier(Duration::from_millis(1))), Some(until));
        assert_eq!(backoff.waiting(&1, &web, until), None);
        now = until;
    }
    assert_eq!(waits, [1000, 2000, 4000, 8000, 10_000, 10_000]);
    assert_eq!(backoff.waiting(&2, &web, now), None);
}

#[test]
fn waits_vary_by_a_fifth_either_way() {
    assert_eq!(wait(1, 0.0), Duration::from_millis(800));
    assert_eq!(wait(1, 1.0), Duration::from_millis(1200));
    assert_eq!(wait(u32::MAX, 0.0), Duration::from_secs(8));
    assert_eq!(wait(9, 1.0), Duration::from_secs(12));
}

#[test]
fn a_failing_origin_is_tried_at_most_eight_times_a_page_in_thirty_seconds() {
    assert_eq!(attempts(|| 0.0, |_| false), 7);
    assert_eq!(attempts(|| 0.5, |_| false), 6);
    // One render that was under way ends well after the failures began.
    assert!(attempts(|| 0.0, |millis| millis == 50) <= 8);
}

#[test]
fn a_broken_page_on_a_healthy_origin_is_not_retried_in_a_hot_loop() {
    // A hundred good renders a second: one early try, because the first failure cannot tell whose
    // fault it is, and then full waits.
    assert!(attempts(|| 0.0, |millis| millis % 10 == 0) <= 8);
    for pause in [100, 700, 1500, 3000, 5000, 9000] {
        let count = attempts(|| 0.0, |millis| millis % pause == 0);
        assert!(count <= 12, "{count} attempts with a good render every {pause} ms");
    }
}

#[test]
fn a_good_render_ends_the_waits_of_all_keys_of_its_origin_only() {
    let (backoff, web) = backoff();
    for key in 1..=3 {
        backoff.failed(&key, &web, at(0), None, 0.5);
    }
    let other = GoodRenders::none();
    backoff.failed(&4, &other, at(0), None, 0.5);
    backoff.succeeded(&9, &web);
    for key in 1..=3 {
        assert_eq!(backoff.waiting(&key, &web, at(1)), None);
    }
    assert!(backoff.waiting(&4, &other, at(1)).is_some());
}

#[test]
fn a_page_that_fails_on_though_others_are_good_waits_in_full_and_longer_each_time() {
    let (backoff, web) = backoff();
    backoff.failed(&1, &web, at(0), None, 0.5);
    backoff.succeeded(&9, &web);
    assert_eq!(backoff.failed(&1, &web, at(10), None, 0.5), at(2010));
    backoff.succeeded(&9, &web);
    assert_eq!(backoff.waiting(&1, &web, at(20)), Some(at(2010)));
    assert_eq!(backoff.failed(&1, &web, at(2010), None, 0.5), at(6010));
    backoff.succeeded(&9, &web);
    assert_eq!(backoff.waiting(&1, &web, at(2020)), Some(at(6010)));
}

#[test]
fn an_outage_ends_a_broken_pages_own_fault_and_the_recovery_its_wait() {
    // Failures without a good render in between are the origin's again.
    let (backoff, web) = backoff();
    backoff.failed(&1, &web, at(0), None, 0.5);
    backoff.succeeded(&9, &web);
    backoff.failed(&1, &web, at(10), None, 0.5);
    backoff.failed(&1, &web, at(2010), None, 0.5);
    assert!(backoff.waiting(&1, &web, at(2020)).is_some());
    backoff.succeeded(&9, &web);
    assert_eq!(backoff.waiting(&1, &web, at(2020)), None);
}

#[test]
fn a_good_render_of_the_key_itself_forgets_its_failures() {
    let (backoff, web) = backoff();
    backoff.failed(&1, &web, at(0), None, 0.5);
    backoff.failed(&1, &web, at(1000), None, 0.5);
    backoff.succeeded(&1, &web);
    assert!(backoff.is_empty());
    assert_eq!(backoff.failed(&1, &web, at(2000), None, 0.5), at(3000));
}

#[test]
fn the_origins_retry_after_stretches_a_wait_up_to_a_minute() {
    let (backoff, web) = backoff();
    let asked = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(backoff.failed(&1, &web, at(0), asked(30), 0.5), at(30_000));
    assert_eq!(backoff.failed(&2, &web, at(0), asked(3600), 0.5), at(60_000));
    assert_eq!(backoff.failed(&3, &web, at(0), asked(0), 0.5), at(1000));
    assert_eq!(backoff.waiting(&2, &web, at(59_999)), Some(at(60_000)));
}

#[test]
fn a_key_nobody_asked_for_a_minute_begins_anew() {
    let (backoff, web) = backoff();
    for millis in [0, 1000, 3000] {
        backoff.failed(&1, &web, at(millis), None, 0.5);
    }
    assert_eq!(backoff.failed(&1, &web, at(67_001), None, 0.5), at(68_001));
}

#[test]
fn a_wall_clock_set_back_does_not_make_a_wait_endless() {
    let (backoff, web) = backoff();
    backoff.failed(&1, &web, at(900_000), None, 0.5);
    assert_eq!(backoff.waiting(&1, &web, at(0)), None);
}

#[test]
fn the_keys_that_failed_longest_ago_are_forgotten_first() {
    let web = GoodRenders::none();
    let backoff: Backoff<u32> = Backoff::with_capacity(64);
    for key in 0..1000 {
        backoff.failed(&key, &web, at(0), None, 0.5);
    }
    assert!(backoff.len() <= 64, "{}", backoff.len());
    assert!(backoff.waiting(&999, &web, at(1)).is_some());
    assert!(backoff.waiting(&0, &web, at(1)).is_none());
    for shard in &backoff.shards {
        let shard = shard.lock();
        assert_eq!(shard.failing.len(), shard.oldest.len());
    }
}

#[test]
fn a_key_that_another_origin_renders_now_does_not_wait_for_the_first_one() {
    // A reload may give a route another origin; a page's own fault stays with the page.
    let (backoff, web) = backoff();
    let other = GoodRenders::none();
    backoff.failed(&1, &web, at(0), None, 0.5);
    assert!(backoff.waiting(&1, &web.clone(), at(1)).is_some());
    assert_eq!(backoff.waiting(&1, &other, at(1)), None);
}

proptest! {
    /// Whatever the other pages do, a page that always fails gets at most two tries for each wait
    /// of the schedule, and one where its origin renders nothing or keeps rendering.
    #[test]
    fn attempts_are_bounded_whatever_the_other_pages_do(
        good in prop::collection::btree_set(0u64..30_000, 0..200),
        random in 0.0f64..1.0,
    ) {
        prop_assert!(attempts(|| random, |millis| good.contains(&millis)) <= 12);
    }
}
