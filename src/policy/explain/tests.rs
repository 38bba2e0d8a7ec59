//! What is said about requests: the same that is done with them.

use super::*;
use crate::config::{BypassCookies, NamePatterns, QueryRule, VaryRule};
use crate::policy::lookup::{KeyState, Meanwhile, Otherwise, Refresh, Verdict};
use crate::policy::outcome::Forwarded;
use crate::policy::{PurgeSeq, Timestamp, testing};
use std::time::Duration;

fn config() -> Config {
    let mut products = testing::route("/products/{id}");
    products.query = QueryRule::Only(vec!["page".into()]);
    products.vary = VaryRule { headers: vec!["accept-language".parse().unwrap()], cookies: vec!["currency".into()] };
    products.bypass_cookies = BypassCookies::Names(NamePatterns::new(["session"]));
    let mut api = testing::route("/api/{*rest}");
    api.cache = CacheMode::Off;
    let mut rest = testing::route("/{*rest}");
    rest.cache = CacheMode::Headers;
    rest.bypass_cookies = BypassCookies::Any;
    testing::config(vec![products, api, rest])
}

fn explain(url: &str, fields: &[&str], cookies: &[&str]) -> Explanation {
    let config = config();
    let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let asked = Asked::new(url, &owned(fields), &owned(cookies), Some("shop.example.com")).unwrap();
    of_request(&config, &RouteTable::new(&config).unwrap(), &asked).0
}

#[test]
fn the_route_the_key_and_what_was_dropped_are_named() {
    let said = explain(
        "http://shop.example.com/products/4%32?page=2&utm_source=x&colour=red",
        &["Accept-Language: de", "User-Agent: me"],
        &["currency=EUR", "theme=dark"],
    );
    assert_eq!(said.now.what, "lookup");
    let route = said.route.as_ref().unwrap();
    assert_eq!((&*route.name, route.cache, &*route.origin), ("/products/{id}", "isr", "web"));
    assert_eq!(route.why, "goes before /{*rest}: in segment 1 a literal goes before a catch-all");
    let key = said.key.as_ref().unwrap();
    assert_eq!((&*key.path, key.query.as_deref()), ("/products/42", Some("page=2")));
    let weights: Vec<_> = key.parameters.iter().map(|one| (&*one.parameter, one.weight)).collect();
    assert_eq!(weights, [("page=2", "counts"), ("utm_source=x", "tracking"), ("colour=red", "not-listed")]);
    let variant: Vec<_> = key.variant.iter().map(|one| (&*one.what, one.value.as_deref())).collect();
    assert_eq!(variant, [("header accept-language", Some("de")), ("cookie currency", Some("currency=EUR"))]);
    assert_eq!(key.ignored, ["header user-agent", "cookie theme"]);
    let render = said.render.as_ref().unwrap();
    assert_eq!(render.target, "/products/42?page=2");
    assert!(render.fields.contains(&("cookie".into(), "currency=EUR".into())), "{:?}", render.fields);
    assert!(!format!("{:?}", render.fields).contains("dark"));
    let text = said.to_string();
    for part in ["left out: utm_source=x", "says: colour=red", "by header accept-language: `de`", "the file alone"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn a_bypass_is_named_with_its_reason() {
    for (url, fields, cookies, words) in [
        ("/api/x", &[][..], &[][..], "`cache: off`"),
        ("/products/1", &[], &["session=1"], "`bypass.cookies` (session)"),
        ("/products/1", &["Authorization: Basic x"], &[], "`Authorization`"),
        ("/products/1", &["RSC: 1"], &[], "Next-Router-State-Tree"),
        ("/other", &[], &["a=1"], "cookies (a)"),
        ("/%2e%2e%2fapi/x", &[], &[], "stricter route"),
    ] {
        let said = explain(url, fields, cookies);
        assert_eq!(said.now.what, "bypass", "{url}: {}", said.now.why);
        assert!(said.now.why.contains(words), "{}", said.now.why);
        assert!(said.route.is_some() && said.key.is_none());
    }
    let said = explain("http://shop.example.com/a b", &[], &[]);
    assert_eq!((said.now.what, said.now.why.contains("400")), ("refused", true));
}

#[test]
fn credentials_are_not_repeated() {
    let said = explain("/other", &["Authorization: Bearer s3cret"], &[]);
    assert_eq!(said.now.what, "lookup", "{}", said.now.why);
    assert!(!said.to_string().contains("s3cret"));
    assert!(!serde_json::to_string(&said).unwrap().contains("s3cret"));
}

#[test]
fn nothing_in_a_value_acts_on_the_terminal() {
    let config = config();
    let asked = Asked::new("http://shop.example.com/\u{1b}[2J", &[], &[], None).unwrap();
    let text = of_request(&config, &RouteTable::new(&config).unwrap(), &asked).0.to_string();
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn facts(verdict: Verdict) -> Facts<'static> {
    Facts {
        verdict,
        page: None,
        void: None,
        anonymous: true,
        key_state: KeyState::default(),
        place: "in memory",
        under_way: None,
        last_failure: None,
        origin_renders: (2, 3),
        purge_sequence: PurgeSeq(7),
        now: NOW,
    }
}

#[test]
fn every_verdict_has_words() {
    let until = NOW.later(Duration::from_secs(4));
    let held = KeyState { backing_off_until: Some(until), ..KeyState::default() };
    let render = |why, otherwise| Verdict::Render { why, otherwise, meanwhile: Meanwhile::Nothing };
    let (why, otherwise) = (Forwarded::UriMiss, Otherwise::ErrorPage);
    let shown = Verdict::Render { why, otherwise, meanwhile: Meanwhile::Fallback };
    for (facts, what, words) in [
        (facts(Verdict::Fresh), "hit", "until it is purged"),
        (facts(Verdict::Stale(Refresh::Start)), "stale", "one render in the background"),
        (Facts { key_state: held, ..facts(Verdict::Stale(Refresh::Hold)) }, "stale", "is tried in 4 s"),
        (facts(Verdict::Stale(Refresh::Hold)), "stale", "own Cache-Control"),
        (facts(render(Forwarded::UriMiss, Otherwise::ErrorPage)), "render", "nothing is stored: it starts a render"),
        (
            facts(shown),
            "render",
            "waits for it; if that takes longer than `fallback.after` it is shown the fallback page",
        ),
        (facts(render(Forwarded::VaryMiss, Otherwise::ErrorPage)), "render", "other variants"),
        (
            Facts {
                place: "in memory",
                under_way: Some(RenderUnderWay::Running),
                ..facts(render(Forwarded::Request, Otherwise::StalePage))
            },
            "render",
            "waits for the render that is under way; the stored page is served if",
        ),
        (facts(Verdict::BackingOff { until }), "backoff", "tried in 4 s"),
        (facts(Verdict::NotCached), "not-cached", "504"),
        (facts(Verdict::Bypass(crate::policy::lookup::BypassDetail::Vary)), "bypass", "varies"),
    ] {
        let said = words::of_verdict(&facts);
        assert_eq!(said.what, what);
        assert!(said.why.contains(words), "{}", said.why);
    }
}

#[test]
fn a_time_is_said_as_a_person_says_it() {
    for (millis, said) in [
        (0, "0 ms"),
        (850, "850 ms"),
        (1_900, "1 s"),
        (119_000, "119 s"),
        (120_000, "2 min"),
        (7_200_000, "2 h"),
        (172_800_000, "2 days"),
    ] {
        assert_eq!(human(Duration::from_millis(millis)), said);
    }
}
