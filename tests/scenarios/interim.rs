//! 1xx answers of the origin (RFC 9110 §15.2): they reach the client whose request they answer, while
//! the final answer is still being made, and nobody else.

use super::harness::{Ask, Breadbox, Client, Config, Gate, Origin};

const HINTS: &[u8] =
    b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n";
const FINAL: &[u8] = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\npage";

fn shared(origin: &Origin) -> Breadbox {
    Breadbox::start(Config::headers(origin, &["bypass: { cookies: none }"]).route("/off", "off", &[]))
}

/// Hints, and behind the gate the page.
fn held(gate: &Gate) -> Origin {
    let origin = Origin::start();
    for path in ["/p", "/off"] {
        let gate = gate.clone();
        origin.on(path, move |x| {
            x.send(HINTS)?;
            x.hold(&gate)?;
            x.settle();
            x.send(FINAL)
        });
    }
    origin
}

#[test]
fn hints_arrive_while_the_origin_still_works() {
    // On a miss and on a bypass alike, without what belongs to the connection.
    for path in ["/p", "/off"] {
        let gate = Gate::closed();
        let origin = held(&gate);
        let proxy = shared(&origin);
        let mut client = proxy.client();
        client.send(&Ask::get(path)).expect("the proxy reads");
        let hints = client.interim().expect("hints before the answer");
        assert!(hints.start.starts_with("HTTP/1.1 103 "), "{path}: {}", hints.start);
        assert_eq!((hints.get("link"), hints.get("x-hop")), (Some("</style.css>; rel=preload"), None), "{path}");
        gate.open();
        assert_eq!(client.response().expect("the answer").text(), "page", "{path}");
    }
}

#[test]
fn hints_are_not_lost_in_one_segment_with_the_answer() {
    // Origins that write both at once.
    let origin = Origin::start();
    for path in ["/p", "/off"] {
        origin.on(path, |x| {
            x.settle();
            x.send(&[HINTS, HINTS, FINAL].concat())
        });
    }
    let proxy = shared(&origin);
    for path in ["/p", "/off"] {
        let answer = proxy.get(path);
        let hints: Vec<_> = answer.informational.iter().filter_map(|head| head.get("link")).collect();
        assert_eq!((answer.text().as_str(), hints.len()), ("page", 2), "{path}");
        assert_eq!(answer.header("link"), None, "{path}: hints are no part of the answer");
    }
}

#[test]
fn nobody_but_the_client_that_started_the_render_gets_hints() {
    // Neither who waits along nor who is served the page.
    let gate = Gate::closed();
    let origin = held(&gate);
    let proxy = shared(&origin);
    let mut first = proxy.client();
    first.send(&Ask::get("/p")).expect("the proxy reads");
    first.interim().expect("hints before the answer");
    let mut second = proxy.client();
    second.send(&Ask::get("/p")).expect("the proxy reads");
    gate.open();
    assert_eq!(first.response().expect("the answer").text(), "page");
    let along = second.response().expect("the answer");
    assert_eq!((along.text().as_str(), along.informational.len()), ("page", 0));
    let hit = proxy.get("/p");
    assert!(hit.is_hit() && hit.informational.is_empty() && hit.header("link").is_none());
    assert_eq!(origin.renders("/p"), 1);
}

#[test]
fn a_client_of_http_1_0_and_a_page_for_everybody_get_none() {
    // HTTP/1.0 has no 1xx, and a render on `isr` is nobody's request.
    let origin = Origin::start();
    origin.otherwise(|x| {
        x.settle();
        x.send(&[HINTS, FINAL].concat())
    });
    let proxy = shared(&origin);
    let mut old = Client::connect(proxy.addr());
    old.send_raw(b"GET /p HTTP/1.0\r\nHost: a\r\n\r\n").expect("the proxy reads");
    assert!(old.everything().starts_with("HTTP/1.1 200 "));
    let isr = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    assert!(isr.get("/q").informational.is_empty());
}
