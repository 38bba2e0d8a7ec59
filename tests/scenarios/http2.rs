//! HTTP/2, with prior knowledge on a plain listener: the same pages and the same rules as over
//! HTTP/1.1, and the bounds that keep a client from abusing it (RFC 9113).

use super::harness::{Answer, Ask, Breadbox, Client, Config, Gate, Http2, Origin, PATIENCE, eventually, get};
use http::{HeaderMap, HeaderValue, Request};
use std::time::Duration;

fn start(config: Config) -> Breadbox {
    Breadbox::start(config.listener("h2c: true"))
}

fn fields(request: http::request::Builder) -> Request<()> {
    request.body(()).expect("a request")
}

#[test]
fn both_protocols_come_in_through_one_listener_and_share_pages() {
    // What HTTP/2 stored, HTTP/1.1 is served, and the other way round; HEAD, 304, ranges and misses too.
    let origin = Origin::start();
    origin.on("/r", |x| x.answer(&Answer::html("0123456789").header("ETag", "\"v\"")));
    let proxy = start(Config::headers(&origin, &["heuristic_max: 0"]));
    let mut http2 = Http2::plain(proxy.addr());
    let first = http2.get("http://a.test/r");
    assert_eq!((first.status(), &*first.text()), (200, "0123456789"));
    let proxy = start(Config::isr(&origin, &[]));
    let mut http2 = Http2::plain(proxy.addr());
    let first = http2.get("http://a.test/r");
    assert_eq!((first.status(), &*first.text()), (200, "0123456789"));
    assert_eq!(first.header("transfer-encoding"), None);
    let second = Client::connect(proxy.addr()).ask(&Ask::get("/r").header("Host", "a.test"));
    assert!(second.is_hit());
    let etag = second.header("etag").expect("a page has one").to_owned();
    let head = http2.ask(fields(Request::head("http://a.test/r")), &[]).expect("an answer");
    assert_eq!((head.status(), head.header("content-length"), head.body.len()), (200, Some("10"), 0));
    let fresh = http2.ask(fields(Request::get("http://a.test/r").header("if-none-match", &etag)), &[]);
    assert_eq!(fresh.expect("an answer").status(), 304);
    let part = http2.ask(fields(Request::get("http://a.test/r").header("range", "bytes=2-4")), &[]);
    assert_eq!(part.expect("an answer").text(), "234");
    assert!(http2.get("http://a.test/r").header("cache-status").is_some_and(|status| status.contains("hit")));
}

#[test]
fn the_fields_of_a_hit_are_counted_as_those_of_a_miss_are() {
    // The host is one of them, whatever it is called.
    let origin = Origin::start();
    let proxy = start(Config::isr(&origin, &[]).listener("limits: { max_headers: 3 }"));
    let mut http2 = Http2::plain(proxy.addr());
    assert_eq!(http2.get("http://a.test/p").status(), 200);
    let mut ask = |path, fields: &[&str]| {
        let request = Request::get(format!("http://a.test{path}"));
        let request = fields.iter().fold(request, |request, name| request.header(*name, "1"));
        http2.ask(request.body(()).expect("a request"), &[]).expect("an answer").status()
    };
    for path in ["/p", "/other"] {
        assert_eq!((ask(path, &["x", "y"]), ask(path, &["x", "y", "z"])), (200, 431), "{path}");
    }
}

#[test]
fn a_request_that_begins_like_the_preface_is_http1() {
    // `PRI` and `PATCH` begin with the same letter; pieces of any size decide alike.
    let origin = Origin::start();
    let proxy = start(Config::isr(&origin, &[]));
    for pieces in
        [&["P", "ATCH /p HTTP/1.1\r\nHost: a.test\r\n\r\n"][..], &["PRI", "NT /p HTTP/1.1\r\nHost: a\r\n\r\n"]]
    {
        let mut client = proxy.client();
        for piece in pieces {
            client.send_raw(piece.as_bytes()).expect("the proxy reads");
        }
        assert_eq!(client.response().expect("an answer").status, 200);
    }
    let plain = Breadbox::start(Config::isr(&origin, &[]));
    let mut client = plain.client();
    client.send_raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("the proxy reads");
    assert!(!client.everything().starts_with("HTTP/1.1 200"), "without h2c it is no request");
}

#[test]
fn a_silent_client_is_cut_off() {
    // Half a preface, a preface and nothing more, and a connection that idles: each has its time.
    let origin = Origin::start();
    let proxy = start(Config::isr(&origin, &[]).listener("limits: { head_timeout: 300ms, idle_timeout: 300ms }"));
    let mut half = proxy.client();
    half.send_raw(b"PRI * HTTP").expect("the proxy reads");
    assert!(half.is_closed_by_server());
    let mut http2 = Http2::plain(proxy.addr());
    assert_eq!(http2.get("http://a.test/p").status(), 200);
    assert!(http2.ended().is_ok(), "an idle connection ends with GOAWAY and NO_ERROR");
    eventually("none is open", PATIENCE, || proxy.metric("breadbox_connections", &[]) == 0.0);
}

#[test]
fn the_authority_is_the_host() {
    // `:authority` alone, `Host` alone and both alike are one page; two that differ are refused (RFC 9113 §8.3.1).
    let origin = Origin::start();
    let proxy = start(Config::isr(&origin, &[]).top("hosts: [ a.test ]"));
    let mut http2 = Http2::plain(proxy.addr());
    assert_eq!(http2.get("http://a.test/p").status(), 200);
    let both = fields(Request::get("http://a.test/p").header("host", "a.test"));
    assert!(http2.ask(both, &[]).expect("an answer").header("cache-status").is_some_and(|s| s.contains("hit")));
    let differ = fields(Request::get("http://a.test/p").header("host", "b.test"));
    assert_eq!(http2.ask(differ, &[]).expect("an answer").status(), 400);
    assert_eq!(http2.get("http://b.test/p").status(), 421);
    assert_eq!(origin.count(), 1);
    assert_eq!(origin.requests("/p")[0].all("x-forwarded-host"), ["a.test"]);
}

#[test]
fn fields_of_a_connection_are_refused() {
    // RFC 9113 §8.2.2: such a request is malformed; the others on the connection are not.
    let origin = Origin::start();
    let proxy = start(Config::isr(&origin, &[]));
    let mut http2 = Http2::plain(proxy.addr());
    for (name, value) in
        [("connection", "close"), ("keep-alive", "1"), ("proxy-connection", "x"), ("transfer-encoding", "chunked")]
    {
        let answer = http2.ask(fields(Request::get("http://a.test/p").header(name, value)), &[]);
        assert!(answer.is_err(), "{name}: {answer:?}");
    }
    assert_eq!(http2.get("http://a.test/p").status(), 200);
    assert_eq!(origin.count(), 1);
}

#[test]
fn pieces_of_a_cookie_are_one_field_for_the_origin() {
    // RFC 9113 §8.2.3: HTTP/2 may split it, HTTP/1.1 must not see that; a bypass cookie in any piece counts.
    let origin = Origin::start();
    let proxy = start(Config::isr(&origin, &["bypass: { cookies: [ session ] }"]));
    let mut http2 = Http2::plain(proxy.addr());
    let request = Request::get("http://a.test/p").header("cookie", "a=1").header("cookie", "session=2");
    let answer = http2.ask(fields(request), &[]).expect("an answer");
    assert!(answer.header("cache-status").is_some_and(|status| status.contains("detail=cookie")));
    assert_eq!(origin.requests("/p")[0].all("cookie"), ["a=1; session=2"]);
}

#[test]
fn too_many_fields_and_too_large_heads_are_refused() {
    let origin = Origin::start();
    let proxy = start(Config::isr(&origin, &[]).listener("limits: { max_head: 4KiB, max_headers: 20 }"));
    let mut http2 = Http2::plain(proxy.addr());
    let mut many = get("http://a.test/p");
    for n in 0..30 {
        let name = http::HeaderName::try_from(format!("x-{n}")).expect("a name");
        many.headers_mut().insert(name, HeaderValue::from_static("1"));
    }
    assert_eq!(http2.ask(many, &[]).expect("an answer").status(), 431);
    let large = fields(Request::get("http://a.test/p").header("x", "y".repeat(8000)));
    assert!(!matches!(http2.ask(large, &[]), Ok(answer) if answer.status() != 431));
    assert_eq!((Http2::plain(proxy.addr()).get("http://a.test/p").status(), origin.count()), (200, 1));
}

#[test]
fn a_hundred_streams_at_once_wait_for_one_render() {
    let (origin, gate) = (Origin::start(), Gate::closed());
    let held = gate.clone();
    origin.on("/p", move |x| {
        x.hold(&held)?;
        x.answer(&Answer::html("page"))
    });
    let proxy = start(Config::isr(&origin, &[]));
    let mut http2 = Http2::plain(proxy.addr());
    let sent: Vec<_> = (0..100).map(|_| http2.send(get("http://a.test/p"))).collect();
    origin.wait_for_requests("/p", 1);
    gate.open();
    for sent in sent {
        assert_eq!(http2.answer(sent).expect("an answer").text(), "page");
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn trailers_do_not_break_a_request_or_an_answer() {
    let origin = Origin::start();
    origin.on("/t", |x| {
        x.read_body()?;
        x.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 7\r\n\r\n")?;
        x.close();
        Ok(())
    });
    let proxy = start(Config::headers(&origin, &[]));
    let mut http2 = Http2::plain(proxy.addr());
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("3"));
    let answer = http2.ask_with_trailers(fields(Request::post("http://a.test/t")), b"sent", Some(trailers));
    assert_eq!(answer.expect("an answer").text(), "body");
    assert_eq!(origin.requests("/t")[0].body, b"sent");
    assert_eq!(http2.get("http://a.test/t").text(), "body");
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_whole() {
    // The stream is reset, as an HTTP/1.1 connection would be cut; the next one is served.
    let origin = Origin::start();
    origin.on("/cut", |x| x.truncated(&Answer::html("half"), 4000));
    let proxy = start(Config::new(&origin).route("/{*rest}", "off", &[]));
    let mut http2 = Http2::plain(proxy.addr());
    assert!(http2.ask(get("http://a.test/cut"), &[]).is_err());
    assert_eq!(http2.get("http://a.test/p").status(), 200);
    let proxy = start(Config::isr(&origin, &[]));
    let mut http2 = Http2::plain(proxy.addr());
    let cut = http2.ask(get("http://a.test/cut"), &[]);
    assert!(!matches!(&cut, Ok(answer) if answer.status() == 200), "{cut:?}");
}

#[test]
fn what_is_in_flight_at_the_end_is_finished_and_nothing_new_is_taken() {
    // SIGTERM: GOAWAY, the stream that runs is answered whole, the connection ends without an error.
    let (origin, gate) = (Origin::start(), Gate::closed());
    let held = gate.clone();
    origin.on("/slow", move |x| {
        x.hold(&held)?;
        x.answer(&Answer::html("late"))
    });
    let proxy = start(Config::isr(&origin, &[]).top("shutdown_timeout: 20s"));
    let mut http2 = Http2::plain(proxy.addr());
    let slow = http2.send(get("http://a.test/slow"));
    origin.wait_for_requests("/slow", 1);
    proxy.sigterm();
    eventually("nothing new is taken", PATIENCE, || std::net::TcpStream::connect(proxy.addr()).is_err());
    gate.open();
    assert_eq!(http2.answer(slow).expect("an answer").text(), "late");
    assert!(http2.ended().is_ok());
    assert_eq!(proxy.wait_exit(PATIENCE - Duration::from_secs(5)).code(), Some(0));
}

#[test]
fn rapid_resets_end_the_connection_and_not_the_proxy() {
    // CVE-2023-44487: streams that are opened and reset at once, by the thousand.
    let origin = Origin::start();
    let proxy = start(Config::isr(&origin, &[]));
    let mut http2 = Http2::plain(proxy.addr());
    for _ in 0..5000 {
        http2.send(get("http://a.test/p")).abort();
    }
    let mut other = Http2::plain(proxy.addr());
    assert_eq!(other.get("http://a.test/q").status(), 200);
    assert!(origin.count() <= 2, "resets are no renders: {}", origin.count());
}
