//! `cache: headers` is a plain shared cache: what it stores, for whom, and for how long (RFC 9111 §3, §4.1,
//! §4.2, §4.4; RFC 5861; RFC 9213).

use super::harness::{Answer, Ask, Breadbox, Config, Origin, PATIENCE, eventually};

const FUTURE: &str = "Fri, 31 Dec 9999 23:59:59 GMT";
const LONG_AGO: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn shared(origin: &Origin) -> Breadbox {
    Breadbox::start(Config::headers(origin, &["bypass: { cookies: none }"]))
}

type Fields = &'static [(&'static str, &'static str)];

/// An origin that numbers its answers and gives them these fields.
fn with_fields(cases: &[Fields]) -> Origin {
    let origin = Origin::start();
    for (number, fields) in cases.iter().enumerate() {
        let fields = *fields;
        origin.on(&format!("/{number}"), move |x| {
            let answer = Answer::new(format!("{} #{}", x.seen.target, x.nth));
            x.answer(&fields.iter().fold(answer, |answer, (name, value)| answer.header(name, value)))
        });
    }
    origin
}

#[test]
fn what_must_not_be_shared_reaches_one_client_at_most() {
    // RFC 9111 §3, §5.2.2; each spelled as origins spell it.
    let cases: &[Fields] = &[
        &[("Cache-Control", "no-store")],
        &[("Cache-Control", "max-age=60, No-StOrE")],
        &[("Cache-Control", "max-age=60"), ("Cache-Control", "x, private")],
        &[("Cache-Control", "private=\"\", max-age=60")],
        &[("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "no-store")],
        &[("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "private")],
        &[("Cache-Control", "max-age=60"), ("Vary", "Accept, *")],
        &[("Cache-Control", "max-age=60"), ("Set-Cookie", "session=1")],
        &[("Cache-Control", "no-store, must-understand, max-age=60"), ("Vary", "*")],
        &[("Cache-Control", "no-store"), ("CDN-Cache-Control", "max-age=60, &&&&")],
        &[("Cache-Control", "no-store"), ("CDN-Cache-Control", "max-age=\"60\"")],
        &[("Cache-Control", "max-age=0")],
        &[("Cache-Control", "max-age=-1")],
        &[("Cache-Control", "max-age=\"a60\"")],
        &[("Expires", "0")],
        &[("Expires", "Fri, 31 Dec 9999 23:59:59 UTC")],
        &[("Cache-Control", "max-age=60"), ("Age", "61")],
        &[("Cache-Control", "s-maxage=0, max-age=60")],
        &[],
    ];
    let origin = with_fields(cases);
    let proxy = shared(&origin);
    for (number, fields) in cases.iter().enumerate() {
        let path = format!("/{number}");
        for nth in 1..=3 {
            let answer = proxy.get(&path);
            assert_eq!((answer.is_hit(), answer.text()), (false, format!("{path} #{nth}")), "{fields:?}");
        }
    }
}

#[test]
fn what_may_be_shared_is_asked_for_once() {
    // RFC 9111 §4.2.1: `s-maxage` over `max-age` over `Expires`; RFC 9213: our own field over all.
    let cases: &[Fields] = &[
        &[("Cache-Control", "foo, MaX-aGe=60")],
        &[("Cache-Control", "max-age=\"60\"")],
        &[("Cache-Control", "max-age=99999999999999999999")],
        &[("Cache-Control", "max-age=0, s-maxage=60")],
        &[("Cache-Control", "max-age=60"), ("Expires", "0")],
        &[("Expires", FUTURE)],
        &[("Last-Modified", LONG_AGO)],
        &[("Cache-Control", "no-store"), ("CDN-Cache-Control", "max-age=60")],
        &[("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "max-age=\"0\"")],
        &[("Cache-Control", "max-age=60, no-store, must-understand")],
        &[("Cache-Control", "public, max-age=60"), ("Set-Cookie", "seen=1")],
        &[("Cache-Control", "max-age=60"), ("Age", "x")],
        &[("Cache-Control", "max-age=60"), ("Age", "0"), ("Age", "999")],
        &[("Cache-Control", "max-age=60"), ("Pragma", "no-cache")],
    ];
    let origin = with_fields(cases);
    let proxy = shared(&origin);
    for (number, fields) in cases.iter().enumerate() {
        let path = format!("/{number}");
        assert!(proxy.get(&path).cache_status().stored, "{fields:?}");
        let second = proxy.get(&path);
        assert_eq!((second.is_hit(), second.text()), (true, format!("{path} #1")), "{fields:?}");
    }
}

#[test]
fn an_answer_to_credentials_is_shared_only_where_it_says_so() {
    // RFC 9111 §3.5.
    for (value, is_shared) in [
        ("max-age=60", false),
        ("max-age=60, public", true),
        ("s-maxage=60", true),
        ("max-age=60, must-revalidate", true),
    ] {
        let origin = Origin::start();
        origin.answer("/p", Answer::new("page").header("Cache-Control", value));
        let proxy = shared(&origin);
        proxy.ask(&Ask::get("/p").header("Authorization", "Basic x"));
        assert_eq!(origin.requests("/p")[0].header("authorization"), Some("Basic x"), "{value}");
        assert_eq!(proxy.get("/p").is_hit(), is_shared, "{value}");
    }
}

#[test]
fn a_status_is_stored_with_explicit_freshness_and_some_without() {
    // RFC 9111 §3, §4.2.2; RFC 9110 §15.1.
    let explicit = [200, 203, 204, 299, 301, 302, 307, 308, 400, 404, 410, 499, 500, 503, 599];
    let heuristic = [(200, true), (201, false), (203, true), (302, false), (403, false), (404, true), (501, true)];
    let origin = Origin::start();
    origin.otherwise(|x| {
        let status = x.seen.path().rsplit('/').next().and_then(|s| s.parse().ok()).unwrap_or(200);
        let answer = Answer::new("x").with_status(status);
        x.answer(&match x.seen.path().starts_with("/explicit") {
            true => answer.header("Cache-Control", "max-age=60"),
            false => answer.header("Last-Modified", LONG_AGO),
        })
    });
    let proxy = shared(&origin);
    let cases = explicit.map(|status| (format!("/explicit/{status}"), true));
    for (path, stored) in cases.into_iter().chain(heuristic.map(|(status, kept)| (format!("/guess/{status}"), kept))) {
        proxy.get(&path);
        assert_eq!(proxy.get(&path).is_hit(), stored, "{path}");
    }
}

#[test]
fn age_counts_from_what_the_origin_said() {
    // RFC 9111 §4.2.3: the larger of what `Age` and `Date` tell.
    let origin = Origin::start();
    origin.answer("/age", Answer::new("x").header("Cache-Control", "max-age=100").header("Age", "30, 99"));
    origin.answer("/date", Answer::new("x").header("Cache-Control", "max-age=9999999999").header("Date", LONG_AGO));
    let proxy = shared(&origin);
    proxy.get("/age");
    let hit = proxy.get("/age");
    let age: u64 = hit.header("age").and_then(|age| age.parse().ok()).expect("an Age");
    assert!((30..90).contains(&age) && hit.cache_status().ttl.is_some_and(|ttl| ttl <= 70), "{age}");
    proxy.get("/date");
    let age: u64 = proxy.get("/date").header("age").and_then(|age| age.parse().ok()).expect("an Age");
    assert!(age > 900_000_000, "{age}");
}

#[test]
fn variants_stand_side_by_side() {
    // RFC 9111 §4.1: in a normal form, and absent is not empty.
    let origin = Origin::start();
    origin.on("/p", |x| {
        let body = format!("{:?}", x.seen.header("x-v"));
        x.answer(&Answer::new(body).header("Cache-Control", "max-age=60").header("Vary", "X-V, Accept-Language"))
    });
    let proxy = shared(&origin);
    let with = |value: &str| Ask::get("/p").header("X-V", value);
    let (none, one, list) = (proxy.get("/p"), proxy.ask(&with("1")), proxy.ask(&with("1, 2")));
    assert_eq!([none.text(), one.text(), list.text()], ["None", "Some(\"1\")", "Some(\"1, 2\")"]);
    assert_eq!(one.cache_status().fwd.as_deref(), Some("vary-miss"));
    assert_eq!(proxy.ask(&with("")).cache_status().fwd.as_deref(), Some("vary-miss"));
    for (ask, text) in [
        (Ask::get("/p"), "None"),
        (with("1"), "Some(\"1\")"),
        (with("1,2"), "Some(\"1, 2\")"),
        (with("1").header("X-V", "2"), "Some(\"1, 2\")"),
    ] {
        let again = proxy.ask(&ask);
        assert_eq!((again.is_hit(), again.text().as_str()), (true, text));
    }
    let languages = |value: &str| proxy.ask(&Ask::get("/p").header("Accept-Language", value)).is_hit();
    assert_eq!(
        [languages("en, de;q=0.5"), languages("EN,  de;q=0.3"), languages("de, en;q=0.5")],
        [false, true, false]
    );
}

#[test]
fn a_disconnected_cache_serves_stale_unless_it_is_forbidden() {
    // RFC 9111 §4.2.4, RFC 5861 §4.
    let origin = Origin::start();
    let may = ["max-age=1", "max-age=1, stale-if-error=600", "max-age=1, stale-while-revalidate=600"];
    let must_not = ["max-age=1, must-revalidate", "max-age=1, proxy-revalidate", "s-maxage=1", "max-age=60, no-cache"];
    let paths = |values: &[&str], kind: &str| -> Vec<String> {
        let path = |(number, value): (usize, &&str)| {
            let path = format!("/{kind}/{number}");
            origin.answer(&path, Answer::new("page").header("Cache-Control", value).header("ETag", "\"v1\""));
            path
        };
        values.iter().enumerate().map(path).collect()
    };
    let (may, must_not) = (paths(&may, "may"), paths(&must_not, "must-not"));
    let proxy = shared(&origin);
    may.iter().chain(&must_not).for_each(|path| assert!(proxy.get(path).cache_status().stored, "{path}"));
    origin.stop();
    for path in &may {
        eventually(&format!("{path} is served stale"), PATIENCE, || {
            let answer = proxy.get(path);
            assert_eq!((answer.status, answer.text().as_str()), (200, "page"), "{path}");
            answer.is_stale()
        });
    }
    for path in &must_not {
        eventually(&format!("{path} fails"), PATIENCE, || proxy.get(path).status >= 500);
        assert!(proxy.get(path).status >= 500, "{path}");
    }
}

#[test]
fn an_error_gives_way_to_the_page_within_its_window() {
    // RFC 5861 §4: a 503 for a page that may be used if there is an error; without a window left, it passes.
    let origin = Origin::start();
    for (path, value) in [("/kept", "max-age=1, stale-if-error=600"), ("/strict", "max-age=1, must-revalidate")] {
        origin.on(path, move |x| match x.nth {
            1 => x.answer(&Answer::new("page").header("Cache-Control", value)),
            _ => x.answer(&Answer::status(503)),
        });
    }
    let proxy = shared(&origin);
    proxy.get("/kept");
    proxy.get("/strict");
    eventually("the page stands in for the error", PATIENCE, || {
        let answer = proxy.get("/kept");
        assert_eq!(answer.text(), "page");
        answer.is_stale()
    });
    eventually("the error passes", PATIENCE, || proxy.get("/strict").status == 503);
}

#[test]
fn unsafe_requests_invalidate_all_variants_whatever_they_are_called() {
    // RFC 9111 §4.4: also on `headers`, also `Content-Location`, not after an error.
    for (method, status, invalidates) in
        [("POST", 200, true), ("FROB", 204, true), ("M-SEARCH", 302, true), ("PUT", 500, false)]
    {
        let origin = Origin::start();
        origin.otherwise(move |x| {
            let answer = Answer::new(format!("{} #{}", x.seen.target, x.nth)).header("Vary", "X-V");
            match x.seen.method.as_str() {
                "GET" => x.answer(&answer.header("Cache-Control", "max-age=60")),
                _ => x.answer(&Answer::new("").with_status(status).header("Content-Location", "/list?page=1")),
            }
        });
        let proxy = shared(&origin);
        let asks = [Ask::get("/p"), Ask::get("/p").header("X-V", "1"), Ask::get("/list?page=1")];
        asks.iter().for_each(|ask| assert!(!proxy.ask(ask).is_hit()));
        asks.iter().for_each(|ask| assert!(proxy.ask(ask).is_hit()));
        proxy.ask(&Ask::new(method, "/p").body("x"));
        for ask in &asks {
            assert_eq!(proxy.ask(ask).is_hit(), !invalidates, "{method} {status}");
        }
    }
}
