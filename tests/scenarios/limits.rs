//! How much the origin is asked at once: renders, refreshes beside misses, and the queue behind them.

use super::harness::{Answer, Ask, Breadbox, Config, Gate, Origin, PATIENCE, crowd, eventually, until_stale};
use std::sync::atomic::{AtomicUsize, Ordering};

/// An origin that holds everything but `/p`.
fn holding(gate: &Gate) -> Origin {
    let origin = Origin::start();
    let held = gate.clone();
    origin.otherwise(move |x| {
        if x.seen.path() != "/p" {
            x.hold(&held)?;
        }
        let body = Origin::body(&x.seen.target, x.nth);
        x.answer(&Answer::html(body))
    });
    origin
}

#[test]
fn two_hundred_cold_pages_never_exceed_the_limit() {
    // With `max_renders: 8` the origin never sees more than eight at once, and everybody gets their own page.
    let gate = Gate::closed();
    let origin = holding(&gate);
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]).origin("max_renders: 8"));
    let answers = std::thread::scope(|scope| {
        let asked = scope.spawn(|| crowd(proxy.addr(), 200, |i, client| (i, client.get(&format!("/page/{i}")))));
        // A quarter of the eight is kept for refreshes.
        origin.wait_for_in_flight(6);
        gate.open();
        asked.join().expect("clients do not panic")
    });
    for (i, answer) in answers {
        let expected = Origin::body(&format!("/page/{i}"), 1);
        assert_eq!((answer.status, answer.text()), (200, expected));
    }
    assert!(origin.max_in_flight() <= 8, "{} at once", origin.max_in_flight());
    assert_eq!(origin.count(), 200);
}

#[test]
fn refreshes_are_not_starved_by_misses() {
    // While misses hold all the slots they can have, and more wait, a stale page's refresh reaches the origin.
    let gate = Gate::closed();
    let origin = holding(&gate);
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 300ms"]).origin("max_renders: 8"));
    proxy.get("/p");
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| crowd(proxy.addr(), 30, |i, client| client.get(&format!("/page/{i}")).status));
        origin.wait_for_in_flight(6);
        until_stale(proxy.addr(), &Ask::get("/p"));
        origin.wait_for_requests("/p", 2);
        assert!(origin.in_flight() <= 8);
        gate.open();
        assert!(asked.join().expect("clients do not panic").iter().all(|status| *status == 200));
    });
}

#[test]
fn a_single_slot_alternates_between_misses_and_refreshes() {
    // With `max_renders: 1` a refresh gets its turn although misses wait.
    let gate = Gate::closed();
    let origin = holding(&gate);
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 300ms"]).origin("max_renders: 1"));
    proxy.get("/p");
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| crowd(proxy.addr(), 10, |i, client| client.get(&format!("/page/{i}")).status));
        origin.wait_for_in_flight(1);
        gate.wait_for(1);
        until_stale(proxy.addr(), &Ask::get("/p"));
        eventually("the misses wait", PATIENCE, || proxy.metric("breadbox_renders_waiting", &[]) >= 10.0);
        gate.let_through(2);
        origin.wait_for_requests("/p", 2);
        gate.open();
        assert!(asked.join().expect("clients do not panic").iter().all(|status| *status == 200));
    });
    assert_eq!(origin.max_in_flight(), 1);
}

#[test]
fn a_full_queue_refuses_with_retry_after() {
    // Slots and queue are full: whoever comes then gets a 503 at once, the others their pages.
    let gate = Gate::closed();
    let origin = holding(&gate);
    let config = Config::isr(&origin, &["revalidate: 1h"]).origin("max_renders: 2").origin("max_waiting: 2");
    let proxy = Breadbox::start(config);
    let refused = AtomicUsize::new(0);
    let statuses = crowd(proxy.addr(), 10, |i, client| {
        let answer = client.get(&format!("/page/{i}"));
        if answer.status == 503 {
            assert!(answer.header("retry-after").is_some_and(|v| v.parse::<u32>().is_ok()));
            // One or two are being rendered (one slot is kept for refreshes) and two wait: six are too many for sure.
            if refused.fetch_add(1, Ordering::SeqCst) + 1 == 6 {
                gate.open();
            }
        }
        answer.status
    });
    let refused = refused.load(Ordering::SeqCst);
    assert!((6..=7).contains(&refused), "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 10 - refused);
    assert!(origin.max_in_flight() <= 2);
}

#[test]
fn a_render_waits_only_so_long() {
    // After `queue_timeout` those who wait get a 503 while the one being rendered goes on.
    let gate = Gate::closed();
    let origin = holding(&gate);
    let config = Config::isr(&origin, &["revalidate: 1h"]).origin("max_renders: 1").origin("queue_timeout: 300ms");
    let proxy = Breadbox::start(config);
    let mut first = proxy.client();
    first.send(&Ask::get("/page/first")).expect("the proxy reads");
    origin.wait_for_requests("/page/first", 1);
    let late = crowd(proxy.addr(), 5, |i, client| client.get(&format!("/page/{i}")));
    for answer in late {
        assert_eq!(answer.status, 503);
        assert!(answer.header("retry-after").is_some());
    }
    gate.open();
    assert_eq!(first.response().expect("an answer").text(), Origin::body("/page/first", 1));
    assert_eq!(origin.count(), 1, "those who gave up were never rendered");
}

#[test]
fn a_client_that_does_not_hang_up_keeps_no_render_from_starting() {
    // Bug: the place at the origin that a forwarded request had was given back when its connection had ended, for which
    // a client is waited for.
    let origin = Origin::start();
    origin.otherwise(|x| x.answer(&Answer::html("x").header("Set-Cookie", "a=1")));
    let proxy = Breadbox::start(Config::isr(&origin, &[]).origin("max_renders: 1"));
    let mut turn = 0;
    eventually("somebody else is answered while the connection is still waited for", PATIENCE, || {
        turn += 1;
        let forwarded = Ask::get(&format!("/forwarded/{turn}")).header("Cookie", "b=2");
        let mut stays = proxy.client();
        assert_eq!(stays.ask(&forwarded.header("Connection", "close")).status, 200);
        assert_eq!(proxy.get(&format!("/rendered/{turn}")).status, 200);
        proxy.metric("breadbox_connections", &[]) > 1.0
    });
}
