//! The law of a shared cache, over generated combinations of fields and against the running product: what must
//! not be stored never reaches a second client (RFC 9111 §3), and a cookie never does at all.

use super::harness::{Answer, Ask, Breadbox, Config, Origin, crowd};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestCaseError, TestRunner};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many combinations are tried, each on a path of its own.
const CASES: u32 = 96;
/// Clients that ask for each at the same moment.
const CLIENTS: usize = 3;

type Line = (&'static str, String);

/// Lines that say nothing against storing, or speak for it.
fn harmless() -> impl Strategy<Value = Vec<Line>> {
    let line = prop_oneof![
        "(max-age=[0-9]{1,6}|foo|bar=\"x, y\"|stale-if-error=9|immutable|no-cache=\"a\"|stale-while-revalidate=9),?"
            .prop_map(|value| ("Cache-Control", value)),
        Just(("Expires", "Fri, 31 Dec 9999 23:59:59 GMT".to_owned())),
        Just(("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned())),
        "\"[a-z]{3}\"".prop_map(|value| ("ETag", value)),
        "(foo|bar, baz|Accept-Encoding)".prop_map(|value| ("Vary", value)),
        "[0-9]{1,3}".prop_map(|value| ("Age", value)),
        Just(("CDN-Cache-Control", "max-age=\"no number\"".to_owned())),
    ];
    proptest::collection::vec(line, 0..6)
}

/// Why an answer must not be shared.
#[derive(Clone, Debug)]
enum Reason {
    Line(Line),
    Status(u16),
    Credentials,
}

fn reason() -> impl Strategy<Value = Reason> {
    let directive =
        "(|max-age=60, |public,|x=\"\\\\\"\", )(no-store|No-Store|private|PRIVATE|private=\"\")(|, max-age=9|=x)";
    prop_oneof![
        4 => directive.prop_map(|value| Reason::Line(("Cache-Control", value))),
        2 => "(no-store|private|max-age=60, no-store)".prop_map(|value| Reason::Line(("CDN-Cache-Control", value))),
        2 => "(\\*|foo, \\*|not a name)".prop_map(|value| Reason::Line(("Vary", value))),
        2 => "[a-z]{3}=[a-z]{3}".prop_map(|value| Reason::Line(("Set-Cookie", value))),
        1 => Just(Reason::Status(206)),
        1 => Just(Reason::Credentials),
    ]
}

fn shared(origin: &Origin) -> Breadbox {
    Breadbox::start(Config::headers(origin, &["bypass: { cookies: none }"]))
}

/// Runs `holds` for each combination of `cases` on a fresh path.
fn for_all<S: Strategy>(cases: &S, holds: impl Fn(&str, S::Value) -> Result<(), TestCaseError>) {
    let count = AtomicUsize::new(0);
    let limits = Cases { cases: CASES, max_shrink_iters: 64, failure_persistence: None, ..Cases::default() };
    let result = TestRunner::new(limits).run(cases, |case| {
        let path = format!("/{}", count.fetch_add(1, Ordering::Relaxed));
        holds(&path, case)
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn what_must_not_be_stored_never_reaches_a_second_client() {
    // Asked for by several at once, and again: every client gets an answer that was made for it alone.
    let origin = Origin::start();
    let proxy = shared(&origin);
    for_all(&(harmless(), reason(), any::<prop::sample::Index>()), |path, (mut lines, reason, at)| {
        let mut status = 200;
        let mut ask = Ask::get(path);
        match reason {
            Reason::Line((name, _)) if name == "CDN-Cache-Control" => lines.retain(|(other, _)| *other != name),
            Reason::Status(other) => status = other,
            Reason::Credentials => ask = ask.header("Authorization", "Basic x"),
            Reason::Line(_) => {}
        }
        if let Reason::Line(line) = reason {
            lines.insert(at.index(lines.len() + 1), line);
        }
        origin.on(path, move |x| {
            let answer = Answer::new(format!("#{}", x.nth)).with_status(status);
            x.answer(&lines.iter().fold(answer, |answer, (name, value)| answer.header(name, value)))
        });
        let mut bodies: Vec<String> = crowd(proxy.addr(), CLIENTS, |_, client| client.ask(&ask).text());
        bodies.push(proxy.ask(&ask).text());
        // Without credentials, where they were the reason: the only one that may be stored from here on.
        bodies.push(proxy.get(path).text());
        let different: HashSet<&String> = bodies.iter().collect();
        prop_assert_eq!(different.len(), bodies.len(), "{:?}", bodies);
        Ok(())
    });
}

#[test]
fn a_cookie_never_reaches_a_second_client() {
    // Whatever stands around it, also where the rest of the answer is shared.
    let origin = Origin::start();
    let proxy = shared(&origin);
    let shared = "(|public|public, max-age=60|s-maxage=60|private=\"set-cookie\"|no-cache=\"set-cookie\", max-age=60)";
    for_all(&(harmless(), shared), |path, (lines, shared)| {
        origin.on(path, move |x| {
            let answer =
                Answer::new("page").header("Cache-Control", &shared).header("Set-Cookie", &format!("n={}", x.nth));
            x.answer(&lines.iter().fold(answer, |answer, (name, value)| answer.header(name, value)))
        });
        let ask = Ask::get(path);
        let mut cookies =
            crowd(proxy.addr(), CLIENTS, |_, client| client.ask(&ask).header("set-cookie").map(str::to_owned));
        cookies.push(proxy.get(path).header("set-cookie").map(str::to_owned));
        let cookies: Vec<String> = cookies.into_iter().flatten().collect();
        let different: HashSet<&String> = cookies.iter().collect();
        prop_assert!(!cookies.is_empty(), "the client that it was made for gets it");
        prop_assert_eq!(different.len(), cookies.len(), "{:?}", cookies);
        Ok(())
    });
}
