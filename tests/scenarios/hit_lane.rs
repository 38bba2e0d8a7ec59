//! The hit lane answers what the other path answers, byte for byte, and gives every connection back in order.

use super::harness::{Answer, Answered, Ask, Breadbox, Config, Http2, Origin, PATIENCE, Response, eventually, get};
use http::Request;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

mod repeats;

/// A field that no answer depends on and that the lane does not take: the request goes the other way.
const OTHER_WAY: (&str, &str) = ("Trailer", "x");

const TARGETS: [&str; 16] = [
    "/pages/dated",
    "/pages/undated",
    "/pages/%75ndated",
    "/pages/./dated",
    "/pages/dated?a=1&b=2",
    "/pages/dated?b=2&a=1",
    "/pages/dated?utm_source=x",
    "/pages/moved?utm_source=x",
    "/pages/moved",
    "/pages/missing",
    "/pages/twice",
    "/shared/language",
    "/shared/tagged",
    "/shared/stale",
    "/off/x",
    "/pages/plain",
];

const FIELDS: [(&str, &str); 26] = [
    ("Accept", "text/html"),
    ("Accept", "*/*"),
    ("Accept-Encoding", "gzip, br;q=0.5"),
    ("Accept-Encoding", "identity;q=0"),
    ("Accept-Language", "de, en;q=0.5"),
    ("Accept-Language", "fr"),
    ("If-None-Match", "\"v1\""),
    ("If-None-Match", "W/\"v1\", \"other\""),
    ("If-None-Match", "*"),
    ("If-Match", "\"v2\""),
    ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),
    ("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("Range", "bytes=0-3"),
    ("Range", "bytes=900000-"),
    ("If-Range", "\"v1\""),
    ("Cookie", "session=1"),
    ("Cookie", "currency=eur; other=2"),
    ("Authorization", "Basic x"),
    ("Cache-Control", "no-cache"),
    ("Cache-Control", "max-age=0"),
    ("Connection", "keep-alive"),
    ("User-Agent", "a browser"),
    ("RSC", "1"),
    ("X-Forwarded-Proto", "https"),
    ("X-Request-Id", "abc"),
];

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|x| {
        let path = x.seen.path();
        let name = path.rsplit('/').next().unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
        let body = format!("<p>{name}</p>").repeat(60);
        let page = Answer::new(body).header("Content-Type", "text/html").header("ETag", "\"v1\"");
        x.answer(&match name.as_str() {
            "dated" => page.header("Date", "Sun, 06 Nov 1994 08:49:37 GMT").header("Last-Modified", LONG_AGO),
            "moved" => page.with_status(302).header("Location", "/pages/dated"),
            "missing" => page.with_status(404),
            "twice" => page.header("Link", "</a>").header("X-Between", "1").header("Link", "</b>"),
            "language" => page.header("Cache-Control", "max-age=600").header("Vary", "Accept-Language"),
            "tagged" => page.header("Cache-Control", "public, s-maxage=600"),
            "stale" => page.header("Cache-Control", "max-age=0, stale-while-revalidate=600"),
            _ => page,
        })
    });
    origin
}

const LONG_AGO: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn config(origin: &Origin) -> Config {
    let keyed = "vary: { headers: [Accept-Language], cookies: [currency] }";
    Config::new(origin)
        .route("/pages/{*rest}", "isr", &["revalidate: 1h", keyed, "bypass: { cookies: [session] }"])
        .route("/off/{*rest}", "off", &[])
        .route("/{*rest}", "headers", &["bypass: { cookies: none }"])
}

/// All of an answer but what time changes.
fn bytes_of(response: &Response) -> String {
    let mut text = format!("{}\r\n", response.status);
    for (name, value) in &response.head.headers {
        let value = match name.to_ascii_lowercase().as_str() {
            "age" | "date" if name != "Date" || value != LONG_AGO => "*",
            "cache-status" => value.split("; ttl=").next().unwrap_or_default(),
            "x-request-id" if value != "abc" => "*",
            "content-type" if value.starts_with("multipart/") => "*",
            _ => value,
        };
        text += &format!("{name}: {value}\r\n");
    }
    // Our own error pages name their request.
    let id = response.header("x-request-id").unwrap_or("-");
    text + &String::from_utf8_lossy(&response.body).replace(id, "*")
}

/// A request that was made up.
#[derive(Debug)]
struct Made {
    method: &'static str,
    host: &'static str,
    target: &'static str,
    fields: Vec<(&'static str, &'static str)>,
}

impl Made {
    fn up(random: &mut StdRng) -> Self {
        Made {
            method: if random.random_ratio(1, 6) { "HEAD" } else { "GET" },
            target: TARGETS[random.random_range(0..TARGETS.len())],
            fields: (0..random.random_range(0..4)).map(|_| FIELDS[random.random_range(0..FIELDS.len())]).collect(),
            host: ["shop.test", "SHOP.test", "shop.test:80"][random.random_range(0..3)],
        }
    }

    fn http1(&self) -> Ask {
        let ask = Ask::new(self.method, self.target);
        let ask = self.fields.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
        ask.header("Host", self.host)
    }

    fn http2(&self, more: &[(&str, &str)]) -> Request<()> {
        let uri = format!("http://{}{}", self.host, self.target);
        // RFC 9113 §8.2.2: there is none in HTTP/2.
        let fields = self.fields.iter().chain(more).filter(|(name, _)| *name != "Connection");
        let request = Request::builder().method(self.method).uri(uri);
        fields.fold(request, |request, (name, value)| request.header(*name, *value)).body(()).expect("a request")
    }
}

#[test]
fn both_ways_answer_with_the_same_bytes() {
    // Thousands of requests, each in the lane and around it, over one connection each.
    let origin = origin();
    let proxy = Breadbox::start(config(&origin));
    let (mut lane, mut other) = (proxy.client(), proxy.client());
    let mut random = StdRng::seed_from_u64(1);
    let mut hits = 0;
    for turn in 0..3000 {
        let ask = Made::up(&mut random).http1();
        let around = ask.clone().header(OTHER_WAY.0, OTHER_WAY.1);
        if turn < 1000 {
            // What is not stored yet is now, as far as it may be.
            other.ask(&around);
        }
        let is_hit = |response: &Response| response.all("cache-status").iter().any(|status| status.contains("; hit"));
        let (mut one, mut theirs) = (lane.ask(&ask), other.ask(&around));
        if is_hit(&one) != is_hit(&theirs) {
            // A refresh that an earlier request had started ended between the two.
            (one, theirs) = (lane.ask(&ask), other.ask(&around));
        }
        assert_eq!(one.status, theirs.status, "{ask:?}");
        assert_eq!(is_hit(&one), is_hit(&theirs), "{ask:?}");
        if is_hit(&one) {
            assert_eq!(bytes_of(&one), bytes_of(&theirs), "{ask:?}");
            hits += 1;
            // A request that comes again is known by then.
            for _ in 0..4 {
                let again = bytes_of(&lane.ask(&ask));
                if again != bytes_of(&theirs) {
                    theirs = other.ask(&around);
                }
                assert_eq!(again, bytes_of(&theirs), "{ask:?}");
            }
        }
    }
    assert!(hits > 1000, "the lane was hardly tried: {hits} hits");
}

/// All of an answer over HTTP/2 but what time changes.
fn text_of(answer: &Answered) -> String {
    let fields = answer.head.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().expect("a text")));
    let mut text = format!("{}\r\n", answer.status());
    for (name, value) in fields {
        text += &format!("{name}: {}\r\n", timeless(name, value));
    }
    // Our own error pages name their request.
    text + &answer.text().replace(answer.header("x-request-id").unwrap_or("-"), "*")
}

fn timeless<'a>(name: &str, value: &'a str) -> &'a str {
    match name {
        "age" | "date" | "x-request-id" => "*",
        "cache-status" => value.split("; ttl=").next().unwrap_or_default(),
        _ => value,
    }
}

/// Status, fields in the order of their names and body of an answer in either protocol, but for what time changes and
/// what is about a connection.
fn essence<'a>(status: u16, fields: impl Iterator<Item = (String, &'a str)>, body: &[u8]) -> String {
    let of_connection = |name: &str| matches!(name, "connection" | "keep-alive" | "transfer-encoding");
    let mut fields: Vec<_> = fields
        .filter(|(name, _)| !of_connection(name))
        .map(|(name, value)| format!("{name}: {}\r\n", timeless(&name, value)))
        .collect();
    fields.sort();
    format!("{status}\r\n{}\r\n{}", fields.concat(), String::from_utf8_lossy(body))
}

#[test]
fn over_http2_both_ways_answer_alike() {
    // The same requests as streams of two connections: the fields, their order and the bytes are the same. Over
    // HTTP/1.1, where heads are written from bytes that were made once, the answer says the same.
    let origin = origin();
    let proxy = Breadbox::start(config(&origin).listener("h2c: true"));
    let (mut lane, mut other) = (Http2::plain(proxy.addr()), Http2::plain(proxy.addr()));
    let mut http1 = proxy.client();
    let mut random = StdRng::seed_from_u64(2);
    let mut hits = 0;
    for turn in 0..2000 {
        let made = Made::up(&mut random);
        let ask = |client: &mut Http2, more| client.ask(made.http2(more), &[]).expect("an answer");
        if turn < 600 {
            ask(&mut other, &[OTHER_WAY]);
        }
        let is_hit = |answer: &Answered| answer.header("cache-status").is_some_and(|status| status.contains("; hit"));
        let mut both = (ask(&mut lane, &[]), ask(&mut other, &[OTHER_WAY]));
        if is_hit(&both.0) != is_hit(&both.1) {
            // A refresh that an earlier request had started ended between the two.
            both = (ask(&mut lane, &[]), ask(&mut other, &[OTHER_WAY]));
        }
        assert_eq!(is_hit(&both.0), is_hit(&both.1), "{made:?}");
        if is_hit(&both.0) {
            let texts = (text_of(&both.0), text_of(&both.1));
            if !texts.0.contains("multipart/") && both.0.status() != 412 {
                assert_eq!(texts.0, texts.1, "{made:?}");
                let fields = both.0.head.headers().iter();
                let fields = fields.map(|(name, value)| (name.as_str().to_owned(), value.to_str().expect("a text")));
                let over_http2 = essence(both.0.status(), fields, &both.0.body);
                let old = http1.ask(&made.http1());
                let fields = old.head.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()));
                assert_eq!(essence(old.status, fields, &old.body), over_http2, "{made:?}");
            }
            hits += 1;
        }
    }
    assert!(hits > 700, "the lane was hardly tried: {hits} hits");
}

#[test]
fn over_http2_a_hit_larger_than_its_windows_arrives_whole_beside_others() {
    // The client lets 64 KiB come at a time; the other streams of the connection are answered meanwhile.
    let origin = Origin::start();
    let body = "0123456789".repeat(200_000);
    let served = body.clone();
    origin.on("/large", move |x| x.answer(&Answer::html(served.clone())));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]).listener("h2c: true"));
    let mut client = Http2::plain(proxy.addr());
    for path in ["/large", "/small"] {
        client.get(&format!("http://a.test{path}"));
    }
    let large: Vec<_> = (0..3).map(|_| client.send(get("http://a.test/large"))).collect();
    assert!(client.get("http://a.test/small").header("cache-status").is_some_and(|status| status.contains("; hit")));
    for sent in large {
        let answer = client.answer(sent).expect("an answer");
        assert!(answer.header("cache-status").is_some_and(|status| status.contains("; hit")));
        assert!(answer.text() == body);
    }
    let lines = [("route", "/{*rest}"), ("outcome", "hit")];
    eventually("all are counted", PATIENCE, || proxy.metric("breadbox_requests_total", &lines) == 4.0);
}

#[test]
fn over_http2_the_pieces_of_a_cookie_are_one_field_for_the_lane_too() {
    // RFC 9113 §8.2.3: a browser splits it. A bypass cookie in any piece counts, others do not cost the hit.
    let origin = origin();
    let proxy = Breadbox::start(config(&origin).listener("h2c: true"));
    let mut client = Http2::plain(proxy.addr());
    let mut ask_for = |path: &str, pieces: &[&str]| {
        let request = Request::get(format!("http://a.test{path}"));
        let request = pieces.iter().fold(request, |request, piece| request.header("cookie", *piece));
        client.ask(request.body(()).expect("a request"), &[]).expect("an answer")
    };
    // What a stale hit sends to the origin: pieces there would be two fields.
    for _ in 0..2 {
        ask_for("/shared/stale", &["a=1", "b=2"]);
    }
    origin.wait_for_requests("/shared/stale", 2);
    assert!(origin.requests("/shared/stale").iter().all(|request| request.all("cookie") == ["a=1; b=2"]));
    let mut ask = |pieces: &[&str]| ask_for("/pages/dated", pieces);
    ask(&[]);
    let status = |answer: &Answered| answer.header("cache-status").unwrap_or_default().to_owned();
    assert!(status(&ask(&["_ga=1", "other=2"])).contains("; hit"));
    assert!(status(&ask(&["_ga=1", "session=2"])).contains("detail=cookie"));
    // Keyed on: another page.
    assert!(status(&ask(&["_ga=1", "currency=usd"])).contains("fwd=uri-miss"));
    assert!(status(&ask(&["currency=usd", "_ga=1"])).contains("; hit"));
}

#[test]
fn pipelined_requests_of_both_kinds_are_answered_in_their_order() {
    // Hits, misses, bypasses and bodies in one piece: nothing behind a request is lost or taken for its body.
    let origin = origin();
    let proxy = Breadbox::start(config(&origin));
    proxy.get("/pages/dated");
    let mut client = proxy.client();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.addr());
    let post = format!("POST /off/post HTTP/1.1\r\nHost: {}\r\nContent-Length: 5\r\n\r\nGET /", proxy.addr());
    let all =
        [get("/pages/dated"), post, get("/pages/dated"), get("/off/1"), get("/pages/undated"), get("/pages/dated")];
    client.send_raw(all.concat().as_bytes()).expect("the requests are sent");
    for name in ["dated", "post", "dated", "1", "undated", "dated"] {
        let response = client.response().expect("an answer");
        assert!(response.text().starts_with(&format!("<p>{name}</p>")), "{name}: {}", response.text());
    }
    assert_eq!(client.get("/pages/dated").status, 200, "the connection is still good");
}

#[test]
fn a_request_in_many_pieces_is_one_request() {
    // Byte by byte, a hit is a hit.
    let origin = origin();
    let proxy = Breadbox::start(config(&origin));
    proxy.get("/pages/dated");
    let mut client = proxy.client();
    let request = format!("GET /pages/dated HTTP/1.1\r\nHost: {}\r\nX-Long: {}\r\n\r\n", proxy.addr(), "x".repeat(300));
    for byte in request.as_bytes() {
        client.send_raw(&[*byte]).expect("a byte is sent");
    }
    assert!(client.response().expect("an answer").is_hit());
}

#[test]
fn a_page_larger_than_what_the_system_takes_at_once_arrives_whole() {
    // A client that reads nothing for a while gets all of it, and the next answer behind it.
    let origin = Origin::start();
    let body = "0123456789".repeat(600_000);
    let served = body.clone();
    origin.otherwise(move |x| x.answer(&Answer::html(served.clone())));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    assert_eq!(proxy.get("/p").body.len(), body.len());
    let mut client = proxy.client();
    let twice = format!("GET /p HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.addr()).repeat(2);
    client.send_raw(twice.as_bytes()).expect("the requests are sent");
    for _ in 0..2 {
        let response = client.response().expect("an answer");
        assert!(response.is_hit() && response.text() == body);
    }
}

#[test]
fn a_short_request_behind_a_large_page_is_answered_whatever_its_head_took_before() {
    // A head that came in pieces was read again only when twice as much had come; so was the next request, which
    // never grew so long, and its client waited until it was thrown out.
    let origin = Origin::start();
    origin.otherwise(|x| {
        let size = if x.seen.path() == "/large" { 16 << 20 } else { 10 };
        x.answer(&Answer::html("x".repeat(size)))
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]).store("max_page: 32MiB"));
    assert_eq!(proxy.get("/large").body.len(), 16 << 20);
    proxy.get("/small");
    let mut client = proxy.client();
    let small = format!("GET /small HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.addr());
    let large = format!("GET /large HTTP/1.1\r\nHost: {}\r\nX-Long: {}\r\n\r\n", proxy.addr(), "x".repeat(300));
    let (begin, rest) = large.split_at(80);
    client.send_raw(format!("{small}{begin}").as_bytes()).expect("the requests are sent");
    assert!(client.response().expect("an answer").is_hit());
    client.send_raw(format!("{rest}{small}").as_bytes()).expect("the requests are sent");
    for size in [16 << 20, 10] {
        assert_eq!(client.response().expect("an answer").body.len(), size);
    }
}

#[test]
fn a_connection_idles_for_idle_timeout_whatever_was_asked_over_it() {
    // Only hits counted as requests, so a connection without one was closed after `head_timeout`.
    let origin = origin();
    let limits = "limits: { head_timeout: 10m, idle_timeout: 300ms }";
    let proxy = Breadbox::start(config(&origin).listener(limits));
    for targets in [&["/off/x"][..], &["/pages/plain"], &["/pages/plain"], &["/off/x", "/off/x"]] {
        let mut client = proxy.client();
        assert!(targets.iter().all(|target| client.get(target).status == 200));
        assert!(client.is_closed_by_server(), "{targets:?}");
    }
}
