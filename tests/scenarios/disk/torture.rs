//! The process is killed again and again, in the middle of fills, overwrites and purges: it always starts,
//! every page is one that the origin sent for its URL, and no purge that was answered is undone.
//!
//! A page says its URL, the count of the state of the origin at which it was made, and a checksum over its
//! filler. A purge first raises that count: what is served afterwards has to be as new.

use super::super::harness::Client;
use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

const PAGES: usize = 60;

/// Kills, unless the environment asks for more.
fn kills() -> usize {
    std::env::var("TORTURE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(12)
}

fn path(i: usize) -> String {
    format!("/p/{i}")
}

fn made(target: &str, state: u64) -> String {
    let seed = target.bytes().fold(state, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let filler: String = (0..400 + seed % 3000).map(|i| char::from(b'a' + ((seed ^ (i * i)) % 26) as u8)).collect();
    format!("{target}|{state}|{filler}")
}

/// The state that a page was made at, if it is a page of this URL.
fn state_of(body: &str, target: &str) -> u64 {
    let state = body.split('|').nth(1).and_then(|state| state.parse().ok());
    let state = state.unwrap_or_else(|| panic!("{target}: not a page: {}", body.chars().take(80).collect::<String>()));
    assert!(body == made(target, state), "{target}: not what was sent");
    state
}

#[test]
fn kills_at_random_moments_lose_no_purge_and_break_no_page() {
    let (origin, data) = (Origin::start(), directory());
    // By page: the state of the origin's content.
    let states: Arc<Vec<AtomicU64>> = Arc::new((0..PAGES).map(|_| AtomicU64::new(1)).collect());
    let answers = Arc::clone(&states);
    origin.otherwise(move |x| {
        let page: usize = x.seen.target.trim_start_matches("/p/").parse().expect("a number");
        x.answer(&Answer::html(made(&x.seen.target, answers[page].load(SeqCst))))
    });
    let config = Config::isr(&origin, &["revalidate: 5ms"]).store("memory: 1MiB").store("max_page: 64KiB");
    let config = on_disk_of(config, data.path(), "4MiB");
    // By page: nothing older than this may be served.
    let floor: Vec<AtomicU64> = (0..PAGES).map(|_| AtomicU64::new(1)).collect();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for round in 0..kills() {
        let proxy = Breadbox::start(config.clone());
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for c in 0..3 {
                let (client, floor, over) = (proxy.client(), &floor, &over);
                scope.spawn(move || read(client, floor, over, c));
            }
            for c in 0..2 {
                let (client, floor, states, over) = (Client::connect(proxy.admin_addr()), &floor, &states, &over);
                scope.spawn(move || write(client, floor, states, over, round * 7 + c));
            }
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // The moment is what is random here; nothing is waited for.
            thread::sleep(Duration::from_millis(20 + (random >> 33) % 300));
            proxy.kill();
            over.store(true, SeqCst);
        });
    }
    origin.stop();
    let last = Breadbox::start(config);
    let there = (0..PAGES).filter(|i| {
        let answer = last.ask(&of(&path(*i)));
        if answer.status == 200 {
            assert!(state_of(&answer.text(), &path(*i)) >= floor[*i].load(SeqCst), "{}", path(*i));
        }
        answer.status == 200
    });
    assert!(there.count() > 0, "some pages outlived all of it");
}

fn read(mut client: Client, floor: &[AtomicU64], over: &AtomicBool, c: usize) {
    let mut i = c;
    while !over.load(SeqCst) {
        i = (i * 5 + 3 + c) % (PAGES + 1);
        let page = i % PAGES;
        let least = floor[page].load(SeqCst);
        let Ok(answer) = client.try_ask(&of(&path(page))) else { return };
        if answer.status == 200 {
            assert!(state_of(&answer.text(), &path(page)) >= least, "{}: a purge was undone", path(page));
        }
    }
}

/// Changes a page at the origin and purges it; once that is answered, nothing older may be served.
fn write(mut client: Client, floor: &[AtomicU64], states: &[AtomicU64], over: &AtomicBool, start: usize) {
    let mut page = start;
    while !over.load(SeqCst) {
        page = (page + 2) % PAGES;
        let state = states[page].fetch_add(1, SeqCst) + 1;
        let document = format!("{{\"path\": \"{}\", \"mode\": \"delete\"}}", path(page));
        let ask = Ask::new("POST", "/-/purge").header("Authorization", "Bearer secret").body(document.as_bytes());
        let Ok(answer) = client.try_ask(&ask) else { return };
        if answer.status == 200 {
            floor[page].fetch_max(state, SeqCst);
        }
    }
}
