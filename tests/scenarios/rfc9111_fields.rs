//! Which fields a shared cache keeps, passes on and takes off (RFC 9111 §3.1, RFC 9110 §6.6.1, §7.6.1).

use super::harness::{Answer, Ask, Breadbox, Config, Origin, Response};

const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn shared(origin: &Origin) -> Breadbox {
    Breadbox::start(Config::headers(origin, &["bypass: { cookies: none }"]).route("/off", "off", &[]))
}

fn page(body: &str) -> Answer {
    Answer::new(body).header("Cache-Control", "max-age=4000000000").header("ETag", "\"v1\"")
}

#[test]
fn the_date_is_the_origins_on_every_answer() {
    // Whole, cut, confirmed or proxied: nothing that is passed on looks younger than it is.
    let origin = Origin::start();
    for path in ["/p", "/off", "/chunked"] {
        let answer = page("0123456789").header("Date", OLD);
        origin.answer(path, if path == "/chunked" { answer.chunked() } else { answer });
    }
    let proxy = shared(&origin);
    let asks = [
        Ask::get("/p"),
        Ask::get("/p"),
        Ask::head("/p"),
        Ask::get("/p").header("Range", "bytes=2-4"),
        Ask::get("/p").header("If-None-Match", "\"v1\""),
        Ask::get("/off"),
        Ask::get("/chunked"),
        Ask::get("/chunked"),
    ];
    let mut client = proxy.client();
    for (number, ask) in asks.iter().enumerate() {
        let answer = client.ask(ask);
        assert_eq!(answer.all("date"), [OLD], "{number}: {} {} {}", ask.method, ask.target, answer.status);
    }
    // An answer without one gets the time of its arrival, and what Breadbox says itself the time of saying it.
    origin.answer("/undated", page("x"));
    let first = proxy.get("/undated");
    assert_eq!((first.all("date").len(), proxy.get("/undated").all("date")), (1, first.all("date")));
    let failed = proxy.ask(&Ask::get("/none").header("Cache-Control", "only-if-cached"));
    assert_ne!((failed.status, failed.header("date")), (504, Some(OLD)));
}

#[test]
fn what_belongs_to_a_connection_is_neither_stored_nor_passed_on() {
    // From the origin to clients: nominated fields and the well-known ones, on miss, hit and bypass.
    let origin = Origin::start();
    for path in ["/p", "/off"] {
        let answer = page("page")
            .header("Connection", "X-Nominated, Vary")
            .header("X-Nominated", "1")
            .header("Keep-Alive", "timeout=5")
            .header("Proxy-Authenticate", "Basic")
            .header("Proxy-Connection", "keep-alive")
            .header("TE", "gzip")
            .header("Vary", "X-Kept");
        origin.answer(path, answer);
    }
    let proxy = shared(&origin);
    for path in ["/p", "/p", "/off"] {
        let answer = proxy.get(path);
        for name in ["x-nominated", "keep-alive", "proxy-authenticate", "proxy-connection", "te"] {
            assert_eq!(answer.header(name), None, "{path}: {name}");
        }
        assert_eq!(answer.header("vary"), Some("X-Kept"), "{path}: what the key depends on cannot be nominated");
    }
    assert!(proxy.get("/p").is_hit());
}

#[test]
fn what_belongs_to_the_clients_connection_does_not_reach_the_origin() {
    // From clients to the origin, on a render and on a bypass.
    let origin = Origin::start();
    let proxy = shared(&origin);
    for path in ["/p", "/off"] {
        let ask = Ask::get(path)
            .header("Connection", "X-Nominated, keep-alive")
            .header("X-Nominated", "1")
            .header("Keep-Alive", "timeout=5")
            .header("Proxy-Connection", "keep-alive")
            .header("Proxy-Authorization", "Basic x")
            .header("TE", "trailers")
            .header("X-Kept", "1");
        proxy.ask(&ask);
        let seen = &origin.requests(path)[0];
        for name in ["x-nominated", "keep-alive", "proxy-connection", "proxy-authorization", "te"] {
            assert_eq!(seen.header(name), None, "{path}: {name}");
        }
        assert_eq!(seen.header("x-kept"), Some("1"), "{path}");
    }
}

#[test]
fn everything_else_is_replayed_in_order_and_with_repetitions() {
    // Unknown fields too; only `Age`, `Cache-Status` and what belongs to the connection is ours.
    let sent = [("X-B", "1"), ("Link", "</1>"), ("X-A", ""), ("Link", "</2>"), ("X-B", "2"), ("Expires", "0")];
    let origin = Origin::start();
    let answer = sent.iter().fold(page("page"), |answer, (name, value)| answer.header(name, value));
    origin.answer("/p", answer.header("Cache-Status", "origin; hit"));
    let proxy = shared(&origin);
    for _ in 0..2 {
        let answer = proxy.get("/p");
        for (name, _) in sent {
            let values: Vec<_> = sent.iter().filter(|(other, _)| other == &name).map(|(_, value)| *value).collect();
            assert_eq!(answer.all(name), values, "{name}");
        }
        let place = |name: &str| answer.head.headers.iter().position(|(other, _)| other.eq_ignore_ascii_case(name));
        assert!(["X-B", "Link", "X-A", "Expires"].map(place).is_sorted(), "{:?}", answer.head.headers);
        assert_eq!(answer.all("cache-status").join(", ").split(", ").next(), Some("origin; hit"));
    }
}

#[test]
fn what_an_answer_withholds_reaches_the_client_it_was_for_and_nobody_else() {
    // `no-cache="…"`, `private="…"`, and a cookie beside `public`: the rest of the page is shared.
    let origin = Origin::start();
    let mine = page("page")
        .header("Cache-Control", "public, no-cache=\"x-a\", private=\"x-b\"")
        .header("X-A", "1")
        .header("X-B", "2")
        .header("X-C", "3")
        .header("Set-Cookie", "session=1");
    origin.answer("/p", mine);
    let proxy = shared(&origin);
    let own =
        |answer: &Response| ["x-a", "x-b", "set-cookie", "x-c"].map(|name| answer.header(name).map(str::to_owned));
    let some = |value: &str| Some(value.to_owned());
    assert_eq!(own(&proxy.get("/p")), [some("1"), some("2"), some("session=1"), some("3")]);
    let other = proxy.get("/p");
    assert!(other.is_hit());
    assert_eq!(own(&other), [None, None, None, some("3")]);
}

#[test]
fn a_transfer_coding_that_nobody_knows_ends_with_the_connection() {
    // RFC 9112 §6.3: the body is what comes until the end; the field itself goes no further.
    let origin = Origin::start();
    origin.on("/p", |x| {
        x.close();
        x.settle();
        x.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: AKUEO\r\nCache-Control: max-age=60\r\n\r\n4\r\nbody\r\n")
    });
    let proxy = shared(&origin);
    for hit in [false, true] {
        let answer = proxy.get("/p");
        assert_eq!((answer.is_hit(), answer.text().as_str()), (hit, "4\r\nbody\r\n"));
        assert!(answer.header("transfer-encoding").is_none_or(|coding| coding == "chunked"));
    }
}
