//! What is not cached goes through untouched, in both directions, in any size.

use super::harness::{Answer, Ask, Breadbox, Client, Config, Gate, Origin, PATIENCE, eventually};
use xxhash_rust::xxh3::xxh3_64;

const MIB: u64 = 1024 * 1024;

fn off(origin: &Origin) -> Config {
    Config::new(origin).route("/{*rest}", "off", &[])
}

#[test]
fn a_large_upload_streams_through() {
    // 64 MiB with a length and in chunks arrive byte for byte, and little of them stays in memory.
    let origin = Origin::start();
    let body = &(0..=255).collect::<Vec<u8>>().repeat(64 * MIB as usize / 256);
    let proxy = Breadbox::start(off(&origin));
    proxy.get("/warm");
    let before = proxy.rss_bytes();
    proxy.ask(&Ask::new("POST", "/up").body(body.clone()));
    proxy.ask(&Ask::new("PUT", "/up").chunked_body(body.clone()));
    for seen in origin.requests("/up") {
        assert_eq!((seen.body_len, seen.body_hash), (64 * MIB, xxh3_64(body)), "{}", seen.method);
    }
    let grown = proxy.peak_rss_bytes().saturating_sub(before);
    assert!(grown < 32 * MIB, "memory grew by {} MiB", grown / MIB);
}

#[test]
fn an_upload_streams_while_the_client_still_sends() {
    // The origin has the first part before the client sends the second.
    let origin = Origin::start();
    let arrived = Gate::closed();
    let signal = arrived.clone();
    origin.on_raw("/up", move |x| {
        assert_eq!(x.receive()?, b"first");
        signal.open();
        assert_eq!(x.receive()?, b"second");
        x.close();
        x.answer(&Answer::html("both arrived"))
    });
    let proxy = Breadbox::start(off(&origin));
    let mut client = proxy.client();
    client.send_raw(b"POST /up HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\nfirst").expect("the proxy reads");
    let wait = std::thread::spawn(move || arrived.pass(&std::sync::atomic::AtomicBool::new(false)));
    wait.join().expect("no panic").expect("the first part arrived");
    client.send_raw(b"second").expect("the proxy reads");
    assert_eq!(client.response().expect("an answer").text(), "both arrived");
}

#[test]
fn a_client_that_waits_for_100_gets_it() {
    // `Expect: 100-continue` is answered before the body is sent, and the upload arrives.
    let origin = Origin::start();
    let proxy = Breadbox::start(off(&origin));
    let mut client = proxy.client();
    let head = b"POST /up HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    client.send_raw(head).expect("the proxy reads");
    assert!(client.interim().expect("an interim answer").start.starts_with("HTTP/1.1 100 "));
    client.send_raw(b"body").expect("the proxy reads");
    assert_eq!(client.response().expect("an answer").status, 200);
    assert_eq!(origin.wait_for_requests("/up", 1)[0].path(), "/up");
    eventually("the body arrives", PATIENCE, || origin.requests("/up")[0].body == b"body");
}

#[test]
fn a_websocket_runs_both_ways() {
    // After the 101 bytes go both ways as they are, whichever side speaks first, on every kind of route.
    let origin = Origin::start();
    origin.on_raw("/ws", |x| {
        assert_eq!(x.seen.header("upgrade"), Some("websocket"));
        let accept = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        x.send(format!("HTTP/1.1 101 Switching Protocols\r\n{accept}\r\n\r\n").as_bytes())?;
        x.send(b"hello from the origin")?;
        x.close();
        loop {
            let bytes = x.receive()?;
            if bytes.is_empty() {
                return Ok(());
            }
            x.send(&bytes.iter().map(u8::to_ascii_uppercase).collect::<Vec<_>>())?;
        }
    });
    for cache in ["off", "isr", "headers"] {
        let proxy = Breadbox::start(Config::new(&origin).route("/{*rest}", cache, &[]));
        let mut client = proxy.client();
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13";
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        let request = format!("GET /ws HTTP/1.1\r\nHost: a.test\r\n{upgrade}\r\n{key}\r\n\r\n");
        client.send_raw(request.as_bytes()).expect("the proxy reads");
        let head = client.head().expect("a head");
        assert!(head.start.starts_with("HTTP/1.1 101"), "{cache}: {}", head.start);
        assert_eq!(head.get("upgrade"), Some("websocket"));
        expect_bytes(&mut client, b"hello from the origin");
        for word in [&b"one"[..], b"two", b"three"] {
            client.send_raw(word).expect("the proxy reads");
            expect_bytes(&mut client, &word.to_ascii_uppercase());
        }
    }
}

fn expect_bytes(client: &mut Client, expected: &[u8]) {
    let mut got = Vec::new();
    while got.len() < expected.len() {
        let bytes = client.receive().expect("bytes of the other side");
        assert!(!bytes.is_empty(), "the connection ended after {got:?}");
        got.extend(bytes);
    }
    assert_eq!(got, expected);
}

#[test]
fn an_event_stream_passes_event_by_event() {
    // Events come one by one while the origin holds the next; the stream ends when its client leaves.
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/events", move |x| {
        x.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for n in 0.. {
            x.chunk(format!("data: {n}\n\n").as_bytes())?;
            x.hold(&held)?;
        }
        Ok(())
    });
    let proxy = Breadbox::start(off(&origin));
    let mut client = proxy.client();
    client.send(&Ask::get("/events")).expect("the proxy reads");
    client.head().expect("a head");
    for n in 0..5 {
        let event = format!("data: {n}\n\n");
        assert_eq!(client.at_least(event.len()), event.as_bytes());
        gate.let_through(1);
    }
    client.abort();
    eventually("the stream ends", PATIENCE, || {
        gate.let_through(1);
        origin.aborted("/events") == 1
    });
}

#[test]
fn forwarding_fields_say_who_asks() {
    // They are set the usual way; what a visitor claims is replaced, and believed from a trusted proxy only.
    let origin = Origin::start();
    let spoofed = Ask::new("POST", "/p")
        .header("Host", "shop.test:8080")
        .header("X-Forwarded-For", "192.0.2.1")
        .header("X-Forwarded-Host", "evil.test")
        .header("X-Forwarded-Proto", "https")
        .header("Forwarded", "for=192.0.2.1")
        .header("X-Real-IP", "192.0.2.1")
        .header("X-Original-URL", "/admin")
        .header("X-Rewrite-URL", "/admin")
        .header("X-HTTP-Method-Override", "DELETE")
        .body("x");
    Breadbox::start(off(&origin)).ask(&spoofed);
    let seen = &origin.requests("/p")[0];
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-host"), ["shop.test:8080"], "a port that is not the default is kept");
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    for name in ["forwarded", "x-original-url", "x-rewrite-url", "x-http-method-override"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_ne!(seen.header("x-real-ip"), Some("192.0.2.1"));
    Breadbox::start(off(&origin).top("trusted_proxies: [ 127.0.0.0/8 ]")).ask(&spoofed);
    let seen = &origin.requests("/p")[1];
    assert_eq!(seen.all("x-forwarded-for").join(", "), "192.0.2.1, 127.0.0.1");
    assert_eq!(seen.all("x-forwarded-host"), ["evil.test"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["https"]);
}

#[test]
fn a_bypass_is_forwarded_byte_for_byte() {
    // Target, cookies, conditions and repeated fields arrive as they were sent, and the answer returns as it is.
    let origin = Origin::start();
    origin.otherwise(|x| {
        let answer = Answer::new("<>").with_status(418).header("Set-Cookie", "a=1").header("Set-Cookie", "b=2");
        x.answer(&answer.header("Cache-Control", "private, max-age=7").header("ETag", "\"own\""))
    });
    let proxy = Breadbox::start(off(&origin));
    let target = "/a%2fb/%7Euser/./x/../y;v=1//z?b=2&a=1&utm_source=q&&%zz=";
    let ask = Ask::get(target)
        .header("Cookie", "session=1")
        .header("If-None-Match", "\"x\"")
        .header("Range", "bytes=0-1")
        .header("X-Repeated", "one")
        .header("X-Repeated", "two");
    let answer = proxy.ask(&ask);
    let seen = &origin.all_requests()[0];
    assert_eq!(seen.target, target);
    assert_eq!((seen.header("cookie"), seen.header("if-none-match")), (Some("session=1"), Some("\"x\"")));
    assert_eq!((seen.header("range"), seen.all("x-repeated")), (Some("bytes=0-1"), vec!["one", "two"]));
    assert_eq!((answer.status, answer.all("set-cookie")), (418, vec!["a=1", "b=2"]));
    assert_eq!(answer.header("cache-control"), Some("private, max-age=7"));
    assert_eq!((answer.header("etag"), answer.is_bypass()), (Some("\"own\""), true));
}

#[test]
fn a_request_no_route_matches_is_a_bypass() {
    // It goes to the first origin, and says why.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::new(&origin).route("/known", "isr", &[]));
    let answer = proxy.get("/unknown");
    assert_eq!((answer.text(), answer.detail()), (Origin::body("/unknown", 1), Some("no-route".to_owned())));
    assert_eq!(proxy.get("/unknown").text(), Origin::body("/unknown", 2));
}

#[test]
fn an_unsafe_request_is_never_sent_twice() {
    // The origin closes a kept connection under a POST: the client gets an error, the origin got it once.
    let origin = Origin::start();
    let proxy = Breadbox::start(off(&origin));
    proxy.get("/warm");
    origin.on("/order", |x| {
        x.reset();
        Ok(())
    });
    let answer = proxy.ask(&Ask::new("POST", "/order").body("one item"));
    assert!(matches!(answer.status, 502..=504), "{}", answer.status);
    assert_eq!(origin.renders("/order"), 1);
}
