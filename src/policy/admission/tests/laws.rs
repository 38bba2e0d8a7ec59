//! Laws of identity, over generated routes and hostile requests. The oracle is what a render sends,
//! byte for byte, and what naive origins read; never the key's own code.

use super::*;
use crate::config::QueryRule;
use crate::policy::render_request::{RenderRequest, build};
use crate::policy::testing::wire;
use http::header::HOST;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// Fields a route may name, those that no render may carry among them.
const KEYABLE: [&str; 8] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "rsc",
    "user-agent",
    "x-forwarded-host",
    "x-tenant",
];

fn any_route() -> impl Strategy<Value = Route> {
    let query = prop_oneof![
        Just(QueryRule::All),
        Just(QueryRule::None),
        Just(QueryRule::Only(vec!["a".into(), "utm_source".into()]))
    ];
    let cookies = subsequence(vec!["currency", "lang"], 0..=2);
    (any::<bool>(), query, subsequence(KEYABLE.to_vec(), 0..=KEYABLE.len()), cookies).prop_map(
        |(kept, query, headers, cookies)| {
            let mut route = testing::route("/{*rest}");
            route.cache = if kept { CacheMode::Static } else { CacheMode::Isr };
            route.query = query;
            route.vary.headers = headers.into_iter().map(HeaderName::from_static).collect();
            route.vary.cookies = cookies.into_iter().map(Into::into).collect();
            route
        },
    )
}

fn any_path() -> impl Strategy<Value = String> {
    "/([ab/.;]|%61|%2[ef]|%2E|%5c|%C3%A9|é|\\\\){0,5}"
}

fn any_query() -> impl Strategy<Value = String> {
    "(\\?(([ab]|%61|utm_source|_rsc|%zz|%)(=([12+]|%31|%2B|%|;)?)?&?){0,4})?"
}

fn any_fields() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let field = prop_oneof![
        (select(vec!["accept", "accept-language", "rsc", "user-agent", "x-tenant"]), "[ab]?"),
        (select(vec!["accept", "accept-language", "x-tenant", "x-forwarded-proto"]), "(a, b|b|https)"),
        (Just("rsc"), "1"),
        (Just("user-agent"), Just(testing::origin().user_agent.to_str().unwrap().to_owned())),
        (Just("cookie"), "((currency|lang|x)=?[12]?(; ?|;;)?){0,4}"),
        (
            select(vec!["x-forwarded-host", "x-forwarded-for", "x-original-url", "if-none-match", "range", "origin"]),
            "[ab]?"
        ),
    ];
    proptest::collection::vec(field, 0..5)
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let host = select(vec!["a.com", "A.com.", "a.com:80", "a.com:443", "a.com:", "b.com"]);
    let peer = select(vec!["192.0.2.1", "10.0.0.1"]);
    (any_path(), any_query(), any_fields(), host, peer, any::<bool>()).prop_map(
        |(path, query, fields, host, peer, https)| {
            let ask = Ask::bytes(format!("{path}{query}").as_bytes()).host(host).peer(peer);
            let ask = if https { ask.https() } else { ask };
            fields.into_iter().fold(ask, |ask, (name, value)| ask.field(name, value.trim()))
        },
    )
}

/// Two requests that differ in some of their parts only, so that many pairs are of one page.
fn any_pair() -> impl Strategy<Value = (Ask, Ask)> {
    (any_ask(), any_ask(), any::<[bool; 5]>()).prop_map(|(one, mut other, [path, query, host, fields, peer])| {
        let [from_path, from_query] = [(path, &one), (query, &one)].map(|(same, one)| if same { one } else { &other });
        other.target = [part(from_path, 0), part(from_query, 1)].concat();
        if host {
            other.headers.insert(HOST, one.headers[HOST].clone());
            other.listener_scheme = one.listener_scheme;
        }
        if fields {
            let host = other.headers[HOST].clone();
            other.headers = one.headers.clone();
            other.headers.insert(HOST, host);
        }
        if peer {
            other.peer = one.peer;
        }
        (one, other)
    })
}

/// The path (0) or the query with its `?` (1) of a request.
fn part(ask: &Ask, index: usize) -> Vec<u8> {
    let at = ask.target.iter().position(|b| *b == b'?').unwrap_or(ask.target.len());
    let (path, query) = ask.target.split_at(at);
    [path, query][index].to_vec()
}

fn render(config: &Config, ask: &Ask) -> Option<(Wanted, RenderRequest)> {
    let Admission::Lookup(wanted) = admit_on(config, ask) else { return None };
    let request = build(config, &wanted, &ask.headers);
    Some((*wanted, request))
}

/// Whether two requests share a page, by their keys and by the bytes of their renders.
fn verdicts(route: &Route, one: &Ask, other: &Ask) -> Option<(bool, bool)> {
    let config = testing::config(vec![route.clone()]);
    let (one, other) = (render(&config, one)?, render(&config, other)?);
    Some((one.0.key == other.0.key, wire(&one.1) == wire(&other.1)))
}

#[test]
fn the_generated_pairs_are_of_both_kinds() {
    let mut runner = TestRunner::deterministic();
    let verdicts: Vec<_> = (0..400)
        .filter_map(|_| (any_route(), any_pair()).new_tree(&mut runner).ok().map(|tree| tree.current()))
        .filter_map(|(route, (one, other))| verdicts(&route, &one, &other))
        .collect();
    let same = verdicts.iter().filter(|(_, same_bytes)| *same_bytes).count();
    assert!(same > 20 && verdicts.len() - same > 20, "{same} of {}", verdicts.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn two_requests_share_a_key_exactly_when_their_renders_send_the_same_bytes(route in any_route(), (one, other) in any_pair()) {
        if let Some((same_key, same_bytes)) = verdicts(&route, &one, &other) {
            prop_assert_eq!(same_key, same_bytes);
        }
    }

    #[test]
    fn a_render_that_came_back_as_a_request_would_be_of_the_same_page(route in any_route(), ask in any_ask()) {
        let config = testing::config(vec![route]);
        if let Some((wanted, request)) = render(&config, &ask) {
            let mut again = Ask::get(&request.target).host(request.host.to_str().unwrap());
            again.listener_scheme = wanted.scheme;
            for (name, value) in request.fields.iter() {
                again.headers.append(name.clone(), value.clone());
            }
            let (wanted_again, request_again) = render(&config, &again).expect("a render is no bypass");
            prop_assert_eq!(wanted_again.key, wanted.key);
            prop_assert_eq!(wire(&request_again), wire(&request));
        }
    }
}

/// One careless step of an origin, on decoded text.
fn naive_step(step: usize, path: &[u8]) -> Vec<u8> {
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    match step {
        0 => percent_encoding::percent_decode(path).collect(),
        1 => text(path).replace('\\', "/").into_bytes(),
        2 => {
            let mut path = path.to_vec();
            path.dedup_by(|next, last| *next == b'/' && *last == b'/');
            path
        }
        3 => text(path)
            .split('/')
            .map(|segment| segment.split(';').next().unwrap())
            .collect::<Vec<_>>()
            .join("/")
            .into_bytes(),
        4 => path.split(|b| *b == 0).next().unwrap().to_vec(),
        5 => path.split(|b| matches!(b, b'?' | b'#')).next().unwrap().to_vec(),
        6 => path.split(|b| *b == b';').next().unwrap().to_vec(),
        7 if path.starts_with(b"//") => [b"/", path[2..].splitn(2, |b| *b == b'/').nth(1).unwrap_or_default()].concat(),
        _ => {
            let mut kept: Vec<&[u8]> = Vec::new();
            for segment in path.split(|b| *b == b'/').skip(1) {
                match segment {
                    b"." => {}
                    b".." => drop(kept.pop()),
                    _ => kept.push(segment),
                }
            }
            [b"/", &kept.join(&b'/')[..]].concat()
        }
    }
}

/// One trick of an attacker, the other way round.
fn trick(kind: usize, at: usize, path: &str) -> String {
    let slashes: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
    let slash = slashes[at % slashes.len()];
    let spell = |by: &str| format!("{}{by}{}", &path[..slash], &path[slash + 1..]);
    match kind {
        0 if slash > 0 => spell("%2F"),
        1 if slash > 0 => spell("%5C"),
        2 if slash > 0 => spell("\\"),
        3 => spell("//"),
        4 => spell("/./"),
        5 if slash > 0 => spell(";x=y/"),
        6 if slash > 0 => spell("%3Bx/"),
        7 => format!("/public/..{path}"),
        8 => format!("/public/%2e%2e{path}"),
        9 => format!("/public/..;{path}"),
        10 => format!("{path}%00.css"),
        11 => format!("{path}%3F.css"),
        12 => format!("{path};.css"),
        13 => path.replace('%', "%25"),
        14 => {
            let at = 1 + at % (path.len() - 1);
            let byte = path.as_bytes()[at];
            if byte == b'%' || !byte.is_ascii() {
                path.to_owned()
            } else {
                format!("{}%{byte:02x}{}", &path[..at], &path[at + 1..])
            }
        }
        _ => format!("/raw{}..{path}", ["/", "%2f", "%5c", "//x/"][at % 4]),
    }
}

fn is_strict(path: &[u8]) -> bool {
    path == b"/api" || path.starts_with(b"/api/")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_path_trick_reaches_a_looser_route(
        tricks in proptest::collection::vec((0usize..16, 0usize..40), 0..5),
        steps in proptest::collection::vec(0usize..9, 0..7),
    ) {
        let mut config = shop();
        config.routes.push(testing::route("/public/{*rest}").into());
        let target = tricks.iter().fold("/api/users/me".to_owned(), |path, (kind, at)| trick(*kind, *at, &path));
        if let Admission::Lookup(wanted) = admit_on(&config, &Ask::get(&target)) {
            let read = steps.iter().fold(wanted.target.clone().into_bytes(), |path, step| naive_step(*step, &path));
            prop_assert!(!is_strict(&read), "{} is sent as {} and read as {}", target, wanted.target, String::from_utf8_lossy(&read));
        }
    }

    #[test]
    fn no_bytes_make_admission_panic(target in proptest::collection::vec(any::<u8>(), 0..40), value in proptest::collection::vec(any::<u8>(), 0..20)) {
        for field in ["host", "cookie", "connection", "forwarded", "x-forwarded-for"] {
            let mut ask = Ask::bytes(&[b"/", &target[..]].concat()).peer("10.0.0.1");
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                ask.headers.insert(field, value);
            }
            let _ = admit_on(&shop(), &ask);
            ask.target.remove(0);
            let _ = admit_on(&shop(), &ask);
        }
    }
}

/// What a visitor may have on them that is nobody else's business.
const PRIVATE: [&str; 24] = [
    "cookie",
    "authorization",
    "proxy-authorization",
    "if-none-match",
    "if-modified-since",
    "if-range",
    "range",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x_forwarded_host",
    "x-real-ip",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "cf-connecting-ip",
    "true-client-ip",
    "referer",
    "origin",
    "accept-language",
    "user-agent",
    "accept",
];

proptest! {
    #[test]
    fn nothing_of_a_visitor_is_in_a_render_but_what_the_route_keys_on(
        route in any_route(),
        names in subsequence(PRIVATE.to_vec(), 0..=PRIVATE.len()),
        peer in select(vec!["192.0.2.1", "10.0.0.1"]),
    ) {
        let config = testing::config(vec![route.clone()]);
        let mut ask = Ask::get("/a?gclid=s3cret").peer(peer);
        for name in names.iter().filter(|name| **name != "authorization") {
            ask = ask.field(name, if *name == "cookie" { "sid=s3cret; currency=s3cret" } else { "s3cret" });
        }
        let (mut wanted, _) = render(&config, &ask).expect("nothing here makes a bypass");
        // A credential is a bypass already; the render must not rely on that.
        ask = ask.field("authorization", "s3cret");
        wanted.tracking = None;
        let request = build(&config, &wanted, &ask.headers);
        prop_assert!(!request.target.contains("s3cret") && !request.host.to_str().unwrap().contains("s3cret"));
        for (name, value) in request.fields.iter().filter(|(_, value)| value.to_str().unwrap().contains("s3cret")) {
            match name.as_str() {
                "cookie" => {
                    prop_assert_eq!(value, "currency=s3cret");
                    prop_assert!(route.vary.cookies.iter().any(|cookie| &**cookie == "currency"));
                }
                "accept" | "accept-language" | "user-agent" => prop_assert!(route.vary.headers.contains(name)),
                other => prop_assert!(false, "{}", other),
            }
        }
        let protos = request.fields.get_all(&HeaderName::from_static("x-forwarded-proto")).count();
        let hosts = request.fields.get_all(&HeaderName::from_static("x-forwarded-host")).count();
        prop_assert_eq!((protos, hosts), (1, 1));
    }
}
