//! The same page in many tabs: one render, one long poll, and all of them get the page.

use super::chromium::{Browser, Tab};
use crate::scenarios::harness::{Answer, Breadbox, Config, Gate, Origin, PATIENCE, eventually};

const PAGE: &str = "<!doctype html><html lang=en><title>The page</title><link rel=icon href=data:,><h1>The page</h1>";

fn start() -> (Origin, Gate, Breadbox) {
    let (origin, gate) = (Origin::start(), Gate::closed());
    let held = gate.clone();
    origin.on("/p", move |x| {
        x.hold(&held)?;
        x.answer(&Answer::html(PAGE))
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h", "fallback: { after: 0 }"]));
    (origin, gate, proxy)
}

/// Opens `url` in `n` tabs, each of which shows the fallback page.
fn open(browser: &Browser, url: &str, n: usize) -> Vec<Tab> {
    let mut tabs = vec![browser.tab()];
    tabs.extend((1..n).map(|_| browser.open_tab()));
    for tab in &tabs {
        browser.switch_to(tab);
        browser.go(url);
        browser.until("document.querySelector('script[data-wait]') && document.readyState === 'complete'");
    }
    tabs
}

fn all_get_the_page(browser: &Browser, tabs: &[Tab]) {
    for tab in tabs {
        browser.switch_to(tab);
        browser.until("document.title === 'The page'");
        assert_eq!(browser.console_errors(), Vec::<String>::new());
    }
}

fn polls(proxy: &Breadbox) -> f64 {
    proxy.metric("breadbox_long_polls", &[])
}

#[test]
fn ten_tabs_cause_one_render_and_hold_one_poll() {
    let (origin, gate, proxy) = start();
    let browser = Browser::start();
    let tabs = open(&browser, &format!("http://{}/p", proxy.addr()), 10);
    assert_eq!(proxy.metric("breadbox_fallbacks_shown_total", &[]), 10.0);
    eventually("one polls", PATIENCE, || polls(&proxy) == 1.0);
    // The tab that polls goes: another takes over.
    browser.switch_to(&tabs[0]);
    browser.close_tab();
    eventually("it has left", PATIENCE, || {
        proxy.metric("breadbox_long_polls_ended_total", &[("result", "left")]) == 1.0
    });
    eventually("another polls", PATIENCE, || polls(&proxy) == 1.0);
    gate.open();
    all_get_the_page(&browser, &tabs[1..]);
    assert_eq!(origin.count(), 1);
    assert_eq!(proxy.metric("breadbox_long_polls_ended_total", &[]), 2.0, "and no more than those two");
    assert_eq!(proxy.metric("breadbox_fallbacks_shown_total", &[]), 10.0, "nobody saw it twice");
}

#[test]
fn where_there_are_no_locks_tabs_ask_each_other() {
    // Web Locks are not there on plain HTTP away from localhost.
    let (origin, gate, proxy) = start();
    let browser = Browser::start_with(&["--host-resolver-rules=MAP shop.test 127.0.0.1"]);
    let tabs = open(&browser, &format!("http://shop.test:{}/p", proxy.addr().port()), 3);
    assert_eq!(browser.eval("return Boolean(navigator.locks)"), false);
    eventually("one polls", PATIENCE, || polls(&proxy) == 1.0);
    gate.open();
    all_get_the_page(&browser, &tabs);
    assert_eq!(origin.count(), 1);
    assert_eq!(proxy.metric("breadbox_fallbacks_shown_total", &[]), 3.0);
}
