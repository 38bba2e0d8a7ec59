//! The shipped error page in a real browser: readable on a desk and on a phone, light and dark.

use super::chromium::{Browser, Scheme, Screen};
use crate::scenarios::harness::{Breadbox, Config, Origin};

#[test]
fn the_error_page_keeps_nobody_out() {
    // No violation that axe-core finds and no sideways scrolling, where the origin is down and there is no page.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &[]));
    origin.stop();
    let browser = Browser::start();
    for (screen, on) in [(Screen::Desktop, "desktop"), (Screen::Phone, "phone")] {
        for (scheme, looks) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
            browser.screen(screen);
            browser.scheme(scheme);
            browser.go(&format!("http://{}/{on}-{looks}", proxy.addr()));
            // It appears within a moment; what is half there yet is no picture of it.
            browser.until(
                "document.readyState === 'complete' && document.body.innerText.length > 20 \
                 && document.getAnimations().every(one => one.playState === 'finished')",
            );
            assert!(browser.text().contains("502"), "{}", browser.text());
            browser.screenshot(&format!("error-{on}-{looks}"));
            assert_eq!(browser.axe(), Vec::<String>::new(), "{on}, {looks}");
            assert_eq!(browser.eval("return document.documentElement.scrollWidth > innerWidth"), false, "{on}");
        }
    }
}
