//! An answer that may not be shared goes to one client at most, never in the place of another's own, and
//! serialises nobody; answers without an end pass through.

use super::harness::{Answer, Ask, Breadbox, Client, Config, Gate, Origin, PATIENCE, crowd, eventually};
use std::collections::HashSet;

const MIB: u64 = 1024 * 1024;

/// Answers that may not be shared under `from: headers`.
const UNCACHEABLE: &[(&str, &str, &str)] = &[
    ("/private", "Cache-Control", "private"),
    ("/no-store", "Cache-Control", "no-store"),
    ("/cdn", "CDN-Cache-Control", "no-store"),
    ("/set-cookie", "Set-Cookie", "session=secret"),
    ("/vary", "Vary", "*"),
];

/// An origin whose answers cannot be shared; each body is used once, and names the cookie it was asked with.
fn origin(gate: Option<&Gate>) -> Origin {
    let origin = Origin::start();
    for (path, name, value) in UNCACHEABLE {
        let gate = gate.cloned();
        origin.on(path, move |x| {
            if let Some(gate) = &gate {
                x.hold(gate)?;
            }
            let cookie = x.seen.header("cookie").unwrap_or("none");
            let body = format!("{} #{} cookie={cookie}", x.seen.target, x.nth);
            x.answer(&Answer::html(body).header(name, value))
        });
    }
    origin
}

fn from_headers(origin: &Origin) -> Config {
    Config::isr(origin, &["revalidate: { from: headers, default: 60s }"])
}

#[test]
fn one_client_alone_gets_the_answer_and_the_next_its_own() {
    // The render's answer goes to the client that started it; later ones are bypasses with their own cookies.
    let origin = origin(None);
    let proxy = Breadbox::start(from_headers(&origin));
    for (path, ..) in UNCACHEABLE {
        let first = proxy.get(path);
        assert_eq!(first.text(), format!("{path} #1 cookie=none"));
        assert!(!first.cache_status().stored && !first.is_hit(), "{path}");
        let second = proxy.ask(&Ask::get(path).header("Cookie", "session=second"));
        assert_eq!(second.text(), format!("{path} #2 cookie=session=second"));
        assert!(second.is_bypass(), "{path}: {:?}", second.cache_status());
    }
}

#[test]
fn a_client_with_a_cookie_never_gets_the_anonymous_answer() {
    // What was rendered without the visitor's cookie is thrown away, and the visitor's own request is forwarded.
    let origin = origin(None);
    let proxy = Breadbox::start(from_headers(&origin));
    for (path, ..) in UNCACHEABLE {
        let own = proxy.ask(&Ask::get(path).header("Cookie", "session=mine"));
        assert_eq!(own.text(), format!("{path} #2 cookie=session=mine"));
        let asked = origin.requests(path);
        assert_eq!((asked[0].header("cookie"), asked[1].header("cookie")), (None, Some("session=mine")), "{path}");
    }
}

#[test]
fn clients_that_waited_are_not_serialised_and_share_nothing() {
    // When the render turns out private, all who waited are at the origin together, and no two get the same answer.
    let gate = Gate::closed();
    let origin = origin(Some(&gate));
    let proxy = Breadbox::start(from_headers(&origin).origin("max_renders: 16"));
    for (path, ..) in UNCACHEABLE {
        gate.close();
        let bodies = std::thread::scope(|scope| {
            let asked = scope.spawn(|| crowd(proxy.addr(), 10, |_, client| client.get(path).text()));
            origin.wait_for_requests(path, 1);
            gate.let_through(1);
            origin.wait_for_requests(path, 10);
            gate.wait_for(9);
            gate.open();
            asked.join().expect("clients do not panic")
        });
        let different: HashSet<_> = bodies.iter().collect();
        assert_eq!(different.len(), 10, "{path}: {bodies:?}");
        assert_eq!(origin.renders(path), 10, "{path}");
    }
}

#[test]
fn clients_that_waited_stay_under_the_limit() {
    // With `max_renders: 4` the origin never sees more than four of those who waited at once.
    let gate = Gate::closed();
    let origin = origin(Some(&gate));
    let proxy = Breadbox::start(from_headers(&origin).origin("max_renders: 4"));
    let mut clients: Vec<_> = (0..12).map(|_| proxy.client()).collect();
    clients[0].send(&Ask::get("/private")).expect("the proxy reads");
    origin.wait_for_requests("/private", 1);
    for client in &mut clients[1..] {
        client.send(&Ask::get("/private")).expect("the proxy reads");
    }
    // All have been read once a later request on another connection is answered by each worker; the memory of
    // uncacheable keys makes later ones plain bypasses, which no limit holds back, so wait until they have joined.
    settle(&proxy);
    gate.let_through(1);
    gate.wait_for(1);
    gate.open();
    let bodies: HashSet<_> = clients.iter_mut().map(|c| c.response().expect("an answer").text()).collect();
    assert_eq!(bodies.len(), 12);
    assert!(origin.max_in_flight() <= 4, "{} at once", origin.max_in_flight());
}

/// Asks for another page often enough that everything sent before has been read.
fn settle(proxy: &Breadbox) {
    crowd(proxy.addr(), 16, |i, client| {
        for n in 0..20 {
            client.get(&format!("/other/{i}/{n}"));
        }
    });
}

#[test]
fn uncacheable_keys_are_forgotten_after_a_while() {
    // After `uncacheable_ttl` the key is rendered, and this time stored.
    let origin = Origin::start();
    origin.on("/p", |x| {
        let cache_control = if x.seen.header("cookie").is_some() || x.nth == 1 { "private" } else { "max-age=1000" };
        let body = Origin::body("/p", x.nth);
        x.answer(&Answer::html(body).header("Cache-Control", cache_control))
    });
    let keys = &["revalidate: { from: headers, default: 60s }", "uncacheable_ttl: 300ms"];
    let proxy = Breadbox::start(Config::isr(&origin, keys));
    proxy.get("/p");
    eventually("the key is cacheable again", PATIENCE, || proxy.get("/p").is_hit());
}

#[test]
fn a_force_ssl_redirect_never_loops() {
    // Behind a TLS terminator that is trusted, http and https are different pages: the redirect reaches only http.
    let origin = Origin::start();
    origin.on("/secure", |x| {
        if x.seen.header("x-forwarded-proto") == Some("https") {
            return x.answer(&Answer::html("secure page"));
        }
        x.answer(&Answer::redirect(301, "https://site.test/secure"))
    });
    let plain = Ask::get("/secure").header("Host", "site.test");
    let https = plain.clone().header("X-Forwarded-Proto", "https");
    for order in [[&plain, &https, &plain, &https], [&https, &plain, &https, &plain]] {
        let config = Config::isr(&origin, &["revalidate: 1h"]).top("trusted_proxies: [ 127.0.0.0/8 ]");
        let proxy = Breadbox::start(config.listeners(2));
        for ask in order {
            for listener in proxy.addrs() {
                let answer = Client::connect(*listener).ask(ask);
                let expected = if std::ptr::eq(ask, &https) { 200 } else { 301 };
                assert_eq!(answer.status, expected, "{ask:?}");
            }
        }
    }
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    assert_eq!(proxy.ask(&https).status, 301, "a visitor's own X-Forwarded-Proto is not believed");
    let fixed = Config::isr(&origin, &["revalidate: 1h"]).origin("public_scheme: https");
    assert_eq!(Breadbox::start(fixed).ask(&plain).status, 200, "public_scheme fixes it");
}

#[test]
fn a_gigabyte_streams_through_with_flat_memory() {
    // An answer that outgrows `max_page` on a cached route passes to its client whole, and little of it stays.
    const SIZE: u64 = 1024 * MIB;
    let origin = Origin::start();
    origin.on("/big", |x| {
        x.send(format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes())?;
        let piece = vec![b'b'; MIB as usize];
        for _ in 0..SIZE / MIB {
            x.send(&piece)?;
        }
        Ok(())
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]).store("max_page: 1MiB"));
    proxy.get("/warm");
    let before = proxy.rss_bytes();
    let mut client = proxy.client();
    client.send(&Ask::get("/big")).expect("the proxy reads");
    client.head().expect("a head");
    let (mut got, expected) = (0, vec![b'b'; MIB as usize]);
    while let Some(piece) = client.piece().expect("the body goes on") {
        assert!(piece == expected[..piece.len()]);
        got += piece.len() as u64;
    }
    assert_eq!(got, SIZE);
    let grown = proxy.peak_rss_bytes().saturating_sub(before);
    assert!(grown < 64 * MIB, "memory grew by {} MiB", grown / MIB);
    assert_eq!(origin.renders("/big"), 1);
}

#[test]
fn a_client_that_waited_for_an_answer_that_outgrew_the_store_gets_it_whole() {
    // The first client gets the pass-through, the second asks the origin itself; both bodies are whole.
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    let body = "0123456789abcdef".repeat(16 * 1024);
    let answer = Answer::html(body.clone()).chunked();
    origin.on("/big", move |x| x.answer_held(&answer, 1000, &held));
    let proxy = Breadbox::start(Config::isr(&origin, &[]).store("max_page: 64KiB"));
    let mut first = proxy.client();
    first.send(&Ask::get("/big")).expect("the proxy reads");
    origin.wait_for_requests("/big", 1);
    let mut second = proxy.client();
    second.send(&Ask::get("/big")).expect("the proxy reads");
    settle(&proxy);
    gate.open();
    assert!(first.response().expect("the first answer").text() == body);
    match second.response() {
        Ok(answer) => assert!(answer.status == 200 && answer.text() == body),
        Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::UnexpectedEof, "a second client may see a break, not a lie"),
    }
    assert!(proxy.get("/big").is_bypass(), "the key is remembered");
}

#[test]
fn an_endless_event_stream_passes_through() {
    // Events arrive as they are sent on a cached route; a second client has its own stream; both end with their clients.
    let origin = Origin::start();
    let gates = [Gate::closed(), Gate::closed()];
    let held = gates.clone();
    origin.on("/events", move |x| {
        x.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let nth = x.nth;
        for n in 0.. {
            x.chunk(format!("data: stream {nth} event {n}\n\n").as_bytes())?;
            x.hold(&held[nth - 1])?;
        }
        Ok(())
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let mut streams: Vec<_> = (1..=2)
        .map(|nth| {
            let mut client = proxy.client();
            client.send(&Ask::get("/events")).expect("the proxy reads");
            client.head().expect("a head");
            let first = format!("data: stream {nth} event 0\n\n");
            assert_eq!(client.at_least(first.len()), first.as_bytes());
            client
        })
        .collect();
    for (nth, client) in (1..).zip(&mut streams) {
        gates[nth - 1].wait_for(1);
        gates[nth - 1].let_through(1);
        let next = format!("data: stream {nth} event 1\n\n");
        assert_eq!(client.at_least(next.len()), next.as_bytes());
    }
    streams.into_iter().for_each(Client::abort);
    eventually("both streams end with their clients", PATIENCE, || {
        gates.iter().for_each(|gate| gate.let_through(1));
        origin.aborted("/events") == 2
    });
}
