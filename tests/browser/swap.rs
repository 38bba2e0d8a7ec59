//! A fallback page in a real browser: what a visitor sees of it, and that it gives way to exactly what a plain visit
//! would have brought, once, with history, query and fragment as they were.

use super::chromium::{Browser, Scheme, Screen};
use crate::scenarios::harness::{Answer, Breadbox, Config, Gate, Origin, PATIENCE, eventually};
use serde_json::json;

/// What a fallback page has and no page of a test does.
const SHELL: &str = "document.querySelector('script[data-wait]') !== null";

/// Whether the shipped page is there and has been drawn.
const SHELL_IS_DRAWN: &str =
    "document.readyState === 'complete' && document.querySelector('script[data-wait]') !== null";

fn shown(proxy: &Breadbox) -> f64 {
    proxy.metric("breadbox_fallbacks_shown_total", &[])
}

fn html(title: &str, body: &str) -> Answer {
    Answer::html(format!(
        "<!doctype html><html lang=en><head><title>{title}</title><link rel=icon href=data:,><style>\
         @view-transition{{navigation:auto}}</style><script>addEventListener('pagereveal', event => {{ \
         document.documentElement.dataset.animated = Boolean(event.viewTransition) }})</script></head>\
         <body><main><h1>{title}</h1>{body}</main></body></html>"
    ))
}

/// An origin with a start page that is quick and other pages that stand at a gate.
fn shop() -> (Origin, Gate) {
    let (origin, gate) = (Origin::start(), Gate::closed());
    let held = gate.clone();
    origin.answer("/start", html("Start", "<a href='/slow?q=1#part'>slow</a>"));
    let space = "<p style='height:3000px'>text</p><p id=part>part</p><p style='height:3000px'>text</p>";
    origin.otherwise(move |x| {
        x.hold(&held)?;
        x.answer(&html("Slow", space))
    });
    (origin, gate)
}

fn shows_at_once(origin: &Origin, fallback: &str) -> Breadbox {
    let slow = format!("fallback: {{ after: 0{fallback} }}");
    Breadbox::start(Config::new(origin).route("/start", "isr", &[]).route("/target", "isr", &[]).route(
        "/{*rest}",
        "isr",
        &["revalidate: 1h", "uncacheable_ttl: 0", &slow],
    ))
}

#[test]
fn the_demo_shows_a_page_at_once_and_then_the_product() {
    // On a desk and on a phone, light and dark: a picture of each, and nothing that keeps anybody out.
    let demo = Breadbox::start_args(&["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let browser = Browser::start();
    browser.cdp("Network.enable", &json!({}));
    let hold_back = |urls: &[&str]| browser.cdp("Network.setBlockedURLs", &json!({ "urls": urls }));
    let mut product = 4711;
    for (screen, on) in [(Screen::Desktop, "desktop"), (Screen::Phone, "phone")] {
        for (scheme, looks) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
            browser.screen(screen);
            browser.scheme(scheme);
            hold_back(&["*/.breadbox/*"]);
            let url = format!("http://{}/products/{product}", demo.addr());
            browser.go(&url);
            browser.until(SHELL_IS_DRAWN);
            browser.screenshot(&format!("fallback-{on}-{looks}"));
            assert_eq!(browser.axe(), Vec::<String>::new(), "{on}, {looks}: the fallback page");
            assert_eq!(browser.eval("return document.documentElement.scrollWidth > innerWidth"), false, "{on}");
            hold_back(&[]);
            browser.go(&url);
            browser.until("document.querySelector('.product') && document.readyState === 'complete'");
            browser.screenshot(&format!("product-{on}-{looks}"));
            product += 1;
        }
    }
    // And as it is, with nothing held back and nothing on the console.
    browser.console();
    let before = shown(&demo);
    browser.go(&format!("http://{}/products/815", demo.addr()));
    browser.until("document.querySelector('.product') && document.readyState === 'complete'");
    assert!(browser.text().contains("Add to the cart"));
    assert_eq!(browser.console_errors(), Vec::<String>::new());
    assert_eq!(shown(&demo) - before, 1.0);
    eventually("the swap is counted", PATIENCE, || demo.metric("breadbox_fallback_swaps_total", &[]) >= 1.0);
}

#[test]
fn history_query_and_fragment_are_those_of_a_plain_visit() {
    let (origin, gate) = shop();
    let proxy = shows_at_once(&origin, "");
    let browser = Browser::start();
    browser.go(&format!("http://{}/start", proxy.addr()));
    browser.until("document.title === 'Start' && document.readyState === 'complete'");
    let entries = browser.eval("return history.length").as_i64().expect("a number");
    browser.eval("document.querySelector('a').click()");
    browser.until(SHELL);
    eventually("it polls", PATIENCE, || proxy.metric("breadbox_long_polls", &[]) == 1.0);
    gate.open();
    browser.until("document.title === 'Slow' && document.readyState === 'complete'");
    assert_eq!(browser.eval("return location.pathname + location.search + location.hash"), "/slow?q=1#part");
    browser.until("Math.abs(document.getElementById('part').getBoundingClientRect().top) < 2");
    assert_eq!(browser.eval("return history.length"), entries + 1, "one entry for the page");
    browser.back();
    browser.until("document.title === 'Start'");
    browser.forward();
    browser.until("document.title === 'Slow'");
    assert_eq!(browser.eval("return location.hash"), "#part");
    assert_eq!(shown(&proxy), 1.0, "once");
    assert_eq!(origin.renders("/slow?q=1"), 1);
    assert_eq!(browser.console_errors(), Vec::<String>::new());
}

#[test]
fn an_address_that_was_typed_keeps_its_fragment_too() {
    let (origin, gate) = shop();
    let proxy = shows_at_once(&origin, "");
    let browser = Browser::start();
    browser.go(&format!("http://{}/slow#part", proxy.addr()));
    browser.until(SHELL_IS_DRAWN);
    let entries = browser.eval("return history.length");
    gate.open();
    browser.until("document.title === 'Slow' && document.readyState === 'complete'");
    browser.until("Math.abs(document.getElementById('part').getBoundingClientRect().top) < 2");
    assert_eq!(browser.eval("return location.hash + document.referrer"), "#part");
    assert_eq!((browser.eval("return history.length"), shown(&proxy)), (entries, 1.0));
}

#[test]
fn where_browsers_can_the_page_is_faded_in() {
    let (origin, gate) = shop();
    let proxy = shows_at_once(&origin, "");
    let browser = Browser::start();
    browser.go(&format!("http://{}/start", proxy.addr()));
    browser.until("document.title === 'Start' && document.readyState === 'complete'");
    browser.eval("document.querySelector('a').click()");
    browser.until(SHELL_IS_DRAWN);
    let entries = browser.eval("return history.length");
    gate.open();
    browser.until("document.title === 'Slow'");
    browser.until("document.documentElement.dataset.animated");
    assert_eq!(browser.eval("return document.documentElement.dataset.animated"), "true");
    assert_eq!(browser.eval("return history.length"), entries);
    let referrer = browser.eval("return document.referrer");
    assert!(referrer.as_str().is_some_and(|from| from.ends_with("/start")), "{referrer}");
    assert_eq!(browser.eval("return location.pathname + location.search + location.hash"), "/slow?q=1#part");
    assert_eq!((shown(&proxy), browser.console_errors()), (1.0, Vec::new()));
}

#[test]
fn whatever_the_render_brings_is_shown_once() {
    // A redirect, not found, a failure, an answer for one client alone, a render that outlasts the hold.
    let origin = Origin::start();
    let gate = Gate::closed();
    let script = |answer: Answer| {
        let held = gate.clone();
        move |x: &mut crate::scenarios::harness::Exchange<'_>| {
            x.hold(&held)?;
            x.answer(&answer)
        }
    };
    origin.answer("/target", html("Target", ""));
    origin.on("/moved", script(Answer::redirect(302, "/target")));
    origin.on("/missing", script(html("No such page", "").with_status(404)));
    origin.on("/broken", script(Answer::status(500)));
    origin.on("/mine", script(html("Mine", "").header("Set-Cookie", "a=1")));
    origin.on("/long", script(html("At last", "")));
    let proxy = shows_at_once(&origin, ", hold: 2s");
    let browser = Browser::start();
    let cases = [
        ("/moved", "document.title === 'Target' && location.pathname === '/target'"),
        ("/missing", "document.title === 'No such page'"),
        ("/broken", "document.body?.innerText.includes('503')"),
        ("/mine", "document.title === 'Mine'"),
    ];
    for (path, end) in cases {
        gate.close();
        let before = shown(&proxy);
        browser.go(&format!("http://{}{path}", proxy.addr()));
        browser.until(SHELL);
        gate.open();
        browser.until(end);
        browser.until("document.readyState === 'complete'");
        assert_eq!(shown(&proxy) - before, 1.0, "{path}");
        // Browsers say on the console that a document is not found; that is the page's own status.
        let errors = browser.console_errors();
        let of_itself = |text: &String| text.contains(&format!("{path} - Failed to load resource"));
        assert!(errors.iter().all(of_itself), "{path}: {errors:?}");
    }
    gate.close();
    let before = shown(&proxy);
    browser.go(&format!("http://{}/long", proxy.addr()));
    browser.until(SHELL);
    eventually("the page was held long enough", PATIENCE, || {
        proxy.metric("breadbox_long_polls_ended_total", &[("result", "held")]) == 1.0
    });
    gate.open();
    browser.until("document.title === 'At last'");
    assert_eq!(shown(&proxy) - before, 1.0);
    assert_eq!(origin.renders("/long"), 1);
    assert_eq!(browser.console_errors(), Vec::<String>::new());
}

#[test]
fn without_scripts_the_page_asks_again() {
    let (origin, gate) = shop();
    let proxy = shows_at_once(&origin, "");
    let browser = Browser::start();
    browser.no_scripts();
    browser.go(&format!("http://{}/slow", proxy.addr()));
    eventually("the fallback page is there", PATIENCE, || browser.source().contains("data-wait"));
    gate.open();
    eventually("the page is there", PATIENCE, || browser.source().contains("<h1>Slow</h1>"));
    assert_eq!(origin.count(), 1);
    assert_eq!(proxy.metric("breadbox_long_polls_ended_total", &[]), 0.0);
}

#[test]
fn a_page_of_the_operators_runs_what_is_in_it_and_no_more() {
    // Its own inline script and style work under the policy; what comes from elsewhere does not.
    let (origin, gate) = shop();
    let page = "<!doctype html><html lang=en><head><title>Ours</title><link rel=icon href=data:,>\
        <style>h1{color:rgb(1,2,3)}</style></head><body><main><h1>Ours</h1><p role=status>Wait</p></main>\
        <script>document.title = 'Ours, running'</script><p onclick=\"document.title='no'\">x</p></body></html>";
    let route = ["revalidate: 1h", "fallback: { page: ours.html, after: 0 }"];
    let proxy = Breadbox::start_with(Config::isr(&origin, &route), &[], &[("ours.html", page)]);
    let browser = Browser::start();
    browser.go(&format!("http://{}/slow", proxy.addr()));
    browser.until("document.title === 'Ours, running'");
    assert_eq!(browser.eval("return getComputedStyle(document.querySelector('h1')).color"), "rgb(1, 2, 3)");
    let errors = browser.console_errors();
    assert!(errors.len() == 1 && errors[0].contains("inline event handler"), "{errors:?}");
    gate.open();
    browser.until("document.title === 'Slow'");
    assert_eq!((shown(&proxy), browser.console_errors()), (1.0, Vec::new()));
}
