//! The dashboard as a person sees it: live, with the keyboard, on a phone, in the dark.

use super::chromium::{Browser, Scheme, Screen};
use crate::scenarios::harness::{Answer, Ask, Breadbox, Config, Origin, PATIENCE, eventually};
use serde_json::json;

const TOKEN: &str = "s3cret";

/// A shop with a few pages, some of which fail.
fn shop(origin: &Origin) -> Breadbox {
    origin.otherwise(|x| {
        if x.seen.target.starts_with("/broken") {
            return x.answer(&Answer::status(500));
        }
        let body = Origin::body(&x.seen.target, x.nth);
        x.answer(&Answer::html(format!("<!doctype html><title>shop</title>{body}")))
    });
    let config = Config::new(origin)
        .top("hosts: [ shop.test ]")
        .admin(&format!("token: {TOKEN}"))
        .route("/products/{id}", "isr", &["revalidate: 1h", "tags: [ \"product-{id}\" ]"])
        .route("/api/{*rest}", "off", &[])
        .route("/{*rest}", "isr", &["revalidate: 1h"]);
    Breadbox::start(config)
}

fn ask(proxy: &Breadbox, target: &str) {
    proxy.ask(&Ask::get(target).header("Host", "shop.test"));
}

/// Some traffic of every kind.
fn visit(proxy: &Breadbox) {
    for n in 0..30 {
        ask(proxy, &format!("/products/{}", n % 4));
        ask(proxy, "/about");
    }
    ask(proxy, "/api/cart");
    ask(proxy, "/broken");
}

#[track_caller]
fn open(proxy: &Breadbox) -> Browser {
    let browser = Browser::start();
    browser.go(&format!("http://{}/", proxy.admin_addr()));
    browser.until_shows("From the store");
    browser
}

/// Presses a key that has a name.
fn press(browser: &Browser, key: &str, code: u32) {
    let text = if key == "Enter" { "\r" } else { "" };
    for kind in ["keyDown", "keyUp"] {
        browser.cdp(
            "Input.dispatchKeyEvent",
            &json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text }),
        );
    }
}

fn tab(browser: &Browser) {
    press(browser, "Tab", 9);
}

fn enter(browser: &Browser) {
    press(browser, "Enter", 13);
}

fn write(browser: &Browser, text: &str) {
    browser.cdp("Input.insertText", &json!({ "text": text }));
}

/// Goes on with Tab until the element with this id has the focus.
#[track_caller]
fn tab_to(browser: &Browser, id: &str) {
    for _ in 0..60 {
        if browser.eval("return document.activeElement?.id ?? ''") == id {
            return;
        }
        tab(browser);
    }
    panic!("Tab does not reach #{id}");
}

/// Nothing that keeps people out, and nothing wider than the screen.
#[track_caller]
fn assert_usable(browser: &Browser, what: &str) {
    assert_eq!(browser.axe(), Vec::<String>::new(), "{what}");
    let wide = browser.eval("return document.documentElement.scrollWidth - innerWidth");
    assert!(wide.as_i64().is_some_and(|wide| wide <= 0), "{what} is {wide} pixels wider than the screen");
}

#[test]
fn the_numbers_change_while_one_looks() {
    // Requests after the page has loaded show without a reload; nothing is asked of another host, nothing fails.
    let origin = Origin::start();
    let proxy = shop(&origin);
    let browser = open(&proxy);
    browser.until_shows("No requests yet");
    visit(&proxy);
    browser.until_shows("62 requests");
    browser.until(
        "[...document.querySelectorAll('#routes th[scope=row]')].some(cell => cell.innerText === '/products/{id}')",
    );
    browser.until_shows("Internal Server Error");
    assert!(!browser.text().contains("/broken"), "paths are shown to who has the token");
    assert_eq!(browser.eval("return performance.getEntriesByType('navigation').length"), 1);
    let foreign =
        "return performance.getEntriesByType('resource').filter(e => !e.name.startsWith(location.origin)).length";
    assert_eq!(browser.eval(foreign), 0);
    assert_eq!(browser.console_errors(), Vec::<String>::new());
}

#[test]
fn everything_can_be_done_with_the_keyboard() {
    // A purge asks for the token and is carried out; a page is explained; the token opens the paths and is forgotten.
    let origin = Origin::start();
    let proxy = shop(&origin);
    visit(&proxy);
    let browser = open(&proxy);
    tab_to(&browser, "purge-value");
    write(&browser, "/products/1");
    enter(&browser);
    browser.until("document.getElementById('ask').open");
    write(&browser, TOKEN);
    enter(&browser);
    browser.until_shows("{\"accepted\":[{\"path\":\"/products/1\"}],\"mode\":\"stale\"");
    eventually("the page is rendered again", PATIENCE, || origin.requests("/products/1").len() == 2);
    tab_to(&browser, "explain-url");
    write(&browser, "/products/1?utm_source=x");
    tab_to(&browser, "explain-headers");
    write(&browser, "Accept-Language: de");
    tab(&browser);
    tab(&browser);
    enter(&browser);
    browser.until_shows("tracking, left out: utm_source=x");
    browser.until_shows("tags: product-1");
    browser.until_shows("http://shop.test/about");
    browser.until_shows("/broken");
    assert_eq!(browser.console_errors(), Vec::<String>::new());
    tab_to(&browser, "unlock");
    enter(&browser);
    browser.until("!document.body.innerText.includes('http://shop.test/about')");
    assert_eq!(browser.eval("return sessionStorage.length"), 0, "nothing is kept of a token that is forgotten");
}

#[test]
fn a_wrong_token_is_said_and_asked_for_again() {
    let origin = Origin::start();
    let proxy = shop(&origin);
    let browser = open(&proxy);
    tab_to(&browser, "unlock");
    enter(&browser);
    write(&browser, "wrong");
    enter(&browser);
    browser.until_shows("This token was not accepted.");
    browser.until("document.getElementById('ask').open");
    assert_eq!(browser.eval("return sessionStorage.length"), 0);
    press(&browser, "Escape", 27);
    browser.until("!document.getElementById('ask').open");
    browser.until_shows("ready");
}

#[test]
fn what_visitors_ask_for_is_text_on_the_page() {
    // A path that is markup is shown as it is and runs nothing.
    let origin = Origin::start();
    let proxy = shop(&origin);
    for _ in 0..3 {
        ask(&proxy, "/%3Cimg%20src=x%20onerror=document.title='pwned'%3E");
        ask(&proxy, "/a?b=%3Cscript%3Edocument.title='pwned'%3C/script%3E&'\"c");
        ask(&proxy, "/broken%3Cimg%20src=x%20onerror=document.title='pwned'%3E");
    }
    let browser = open(&proxy);
    browser.eval(&format!("sessionStorage.setItem('breadbox-token', '{TOKEN}'); location.reload()"));
    browser
        .until("document.querySelectorAll('#pages tbody tr').length >= 2 && !document.querySelector('#pages .empty')");
    browser.until(
        "document.querySelectorAll('#failures tbody tr').length >= 1 && !document.querySelector('#failures .empty')",
    );
    assert_eq!(browser.eval("return document.title"), "Breadbox");
    assert_eq!(browser.eval("return document.querySelectorAll('main img, main script').length"), 0);
    assert_eq!(browser.console_errors(), Vec::<String>::new());
}

#[test]
fn it_works_on_a_phone_and_in_the_dark() {
    // No violation that axe-core finds and no sideways scrolling: wide and narrow, light and dark, locked and open.
    let origin = Origin::start();
    let proxy = shop(&origin);
    visit(&proxy);
    let browser = open(&proxy);
    browser.until_shows("Internal Server Error");
    for (screen, scheme) in [
        (Screen::Desktop, Scheme::Light),
        (Screen::Desktop, Scheme::Dark),
        (Screen::Phone, Scheme::Light),
        (Screen::Phone, Scheme::Dark),
    ] {
        let what = format!("{screen:?}, {scheme:?}").to_lowercase().replace(", ", "_");
        browser.screen(screen);
        browser.scheme(scheme);
        browser.screenshot(&format!("dashboard_{what}"));
        assert_usable(&browser, &what);
    }
    browser.eval("document.getElementById('unlock').click()");
    browser.until("document.getElementById('ask').open");
    browser.screenshot("dashboard_token");
    assert_usable(&browser, "the question for the token");
    write(&browser, TOKEN);
    enter(&browser);
    browser.until_shows("http://shop.test/about");
    browser.eval("document.getElementById('pages').scrollIntoView()");
    browser.screenshot("dashboard_pages");
    assert_usable(&browser, "the top pages");
    browser.screen(Screen::Desktop);
    browser.scheme(Scheme::Light);
    browser.eval("document.getElementById('explain-url').value = '/products/1'; document.querySelector('#explain button').click()");
    browser.until_shows("tags: product-1");
    browser.eval("document.getElementById('purge-title').scrollIntoView()");
    browser.screenshot("dashboard_tools");
    assert_usable(&browser, "an explanation");
    assert_eq!(browser.console_errors(), Vec::<String>::new());
}
