//! The driver does what its words say: a page of our own, seen through it.

use super::chromium::{Browser, Scheme, Screen};
use crate::scenarios::harness::{Answer, Origin, PATIENCE, eventually};

#[test]
fn pages_scripts_tabs_screens_and_the_console() {
    let origin = Origin::start();
    let page = "<!doctype html><html lang=en><title>one</title><meta name=viewport content='width=device-width'>\
        <main><h1>Hello</h1></main><script>console.error('oh ' + 'no'); history.scrollRestoration;</script>";
    origin.answer("/one", Answer::html(page));
    origin.answer(
        "/two",
        Answer::html("<!doctype html><html lang=en><title>two</title><img src=/x><noscript>off</noscript>"),
    );
    let browser = Browser::start();
    browser.go(&format!("{}/one", origin.url()));
    browser.until_shows("Hello");
    assert_eq!((browser.eval("return document.title"), browser.text()), ("one".into(), "Hello".to_owned()));
    browser.until("document.readyState === 'complete'");
    assert!(browser.console_errors().iter().any(|text| text.contains("oh no")));
    assert_eq!(browser.axe(), Vec::<String>::new());

    let dark = "matchMedia('(prefers-color-scheme: dark)').matches";
    assert_eq!(browser.eval(&format!("return {dark}")), false);
    browser.scheme(Scheme::Dark);
    browser.until(dark);
    browser.scheme(Scheme::Light);
    browser.until(&format!("!{dark}"));
    assert_eq!(browser.eval("return innerWidth"), 1280);
    browser.screen(Screen::Phone);
    browser.until("innerWidth === 390");
    let picture = std::fs::read(browser.screenshot("chromium_itself")).expect("a file");
    assert!(picture.starts_with(b"\x89PNG"));

    browser.go(&format!("{}/two", origin.url()));
    browser.until("document.title === 'two' && document.readyState === 'complete'");
    assert!(browser.axe().iter().any(|line| line.contains("image-alt")));
    browser.back();
    browser.until("document.title === 'one'");
    browser.forward();
    browser.until("document.title === 'two'");
    browser.reload();
    browser.until("document.title === 'two' && performance.getEntriesByType('navigation')[0].type === 'reload'");

    let first = browser.tab();
    browser.open_tab();
    browser.go(&format!("{}/one", origin.url()));
    browser.until_shows("Hello");
    browser.close_tab();
    browser.switch_to(&first);
    assert!(browser.url().ends_with("/two"));
    browser.no_scripts();
    browser.reload();
    eventually("the page without scripts is there", PATIENCE, || browser.source().contains("<noscript>off"));
}
