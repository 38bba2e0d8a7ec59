//! A connection's first request, which may be there before the connection is taken: it is answered like every other,
//! however much of it, or of what follows, came with it.

use super::harness::{Answer, Ask, Breadbox, Client, Config, Origin, PATIENCE, eventually};

/// Larger than what the system takes at once.
const LARGE: usize = 6 << 20;

fn start() -> (Origin, Breadbox) {
    let origin = Origin::start();
    origin.otherwise(|x| {
        x.read_body()?;
        let path = x.seen.path();
        x.answer(&match path {
            "/large" => Answer::html("x".repeat(LARGE)),
            _ => Answer::html(format!("this is {path}")),
        })
    });
    let config = Config::new(&origin).route("/off/{*rest}", "off", &[]).route("/{*rest}", "isr", &["revalidate: 1h"]);
    let proxy = Breadbox::start(config);
    for path in ["/a", "/b", "/large"] {
        assert_eq!(proxy.client().ask(&Ask::get(path).header("Host", "shop.test")).status, 200);
    }
    (origin, proxy)
}

fn request(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n{more}\r\n")
}

/// Clients that have connected and sent this before any of them is taken.
fn sent_before(proxy: &Breadbox, all: &[&str]) -> Vec<Client> {
    proxy.pause();
    let send = |bytes: &&str| {
        let mut client = proxy.client();
        client.send_raw(bytes.as_bytes()).expect("it is connected");
        client
    };
    let clients = all.iter().map(send).collect();
    proxy.resume();
    clients
}

fn is_over(client: &mut Client) -> bool {
    client.receive().is_ok_and(|bytes| bytes.is_empty())
}

#[test]
fn the_only_request_of_a_connection_is_answered_and_the_connection_ends() {
    let (origin, proxy) = start();
    let hit = request("/a", "Connection: close\r\n");
    let condition = request("/a", "Connection: close\r\nIf-None-Match: *\r\n");
    let miss = request("/new", "Connection: close\r\n");
    let bypass = request("/off/x", "Connection: close\r\n");
    let post = "POST /off/y HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody";
    let mut clients = sent_before(&proxy, &[&hit, &condition, &miss, &bypass, post]);
    for (client, (status, text)) in clients.iter_mut().zip([
        (200, "this is /a"),
        (304, ""),
        (200, "this is /new"),
        (200, "this is /off/x"),
        (200, "this is /off/y"),
    ]) {
        let answer = client.response().expect("an answer");
        assert_eq!((answer.status, &*answer.text()), (status, text));
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(is_over(client), "{text}");
    }
    assert_eq!(origin.requests("/off/y")[0].body, b"body");
    eventually("none is open", PATIENCE, || proxy.metric("breadbox_connections", &[]) == 0.0);
}

#[test]
fn what_follows_the_first_request_is_answered_too() {
    let (_origin, proxy) = start();
    let (a, b) = (request("/a", ""), request("/b", ""));
    let last = request("/b", "Connection: close\r\n");
    let (half, rest) = a.split_at(20);
    let pipelined = [&*a, &b, &a, &last].concat();
    let with_half = [&*b, half].concat();
    let behind_the_last = [&*last, &a].concat();
    let mut clients = sent_before(&proxy, &[&a, &pipelined, half, &with_half, &behind_the_last]);
    let mut expect = |at: usize, text: &str| {
        let answer = clients[at].response().expect("an answer");
        assert!(answer.is_hit() && answer.text() == text, "{at}: {}", answer.text());
    };
    expect(0, "this is /a");
    for text in ["this is /a", "this is /b", "this is /a", "this is /b"] {
        expect(1, text);
    }
    expect(3, "this is /b");
    // The last answer arrives although what is behind it is not read.
    expect(4, "this is /b");
    for at in [2, 3] {
        clients[at].send_raw(rest.as_bytes()).expect("it is open");
        let answer = clients[at].response().expect("an answer");
        assert!(answer.is_hit() && answer.text() == "this is /a", "{at}");
    }
    clients[0].send_raw(b.as_bytes()).expect("it is open");
    assert_eq!(clients[0].response().expect("an answer").text(), "this is /b");
    assert!(is_over(&mut clients[1]) && is_over(&mut clients[4]));
}

#[test]
fn an_answer_that_does_not_fit_goes_on_when_the_client_reads() {
    let (_origin, proxy) = start();
    let (close, keep) = (request("/large", "Connection: close\r\n"), request("/large", ""));
    for mut client in sent_before(&proxy, &[&close, &keep]) {
        let answer = client.response().expect("an answer");
        assert!(answer.is_hit());
        assert_eq!(answer.body.len(), LARGE);
    }
}

#[test]
fn whoever_has_gone_or_sends_nonsense_harms_nobody() {
    let (_origin, proxy) = start();
    let hit = request("/a", "");
    let mut clients = sent_before(&proxy, &[&hit, "", "\x16\x03\x01", "GET / HTTP/1.1\nHost: a\n\n", &hit]);
    clients.swap_remove(0).abort();
    drop(clients.remove(0));
    assert_eq!(clients[1].response().expect("an answer").status, 400);
    drop(clients);
    assert!(proxy.client().ask(&Ask::get("/a").header("Host", "shop.test")).is_hit());
    // A client that has said that it sends no more is answered all the same.
    proxy.pause();
    let mut half = proxy.client();
    half.send_raw(hit.as_bytes()).expect("it is connected");
    half.finish();
    proxy.resume();
    assert_eq!(half.response().expect("an answer").text(), "this is /a");
    assert!(is_over(&mut half));
    eventually("none is open", PATIENCE, || proxy.metric("breadbox_connections", &[]) == 0.0);
}

#[test]
fn what_came_at_once_is_counted() {
    let (_origin, proxy) = start();
    let hits = || proxy.metric("breadbox_requests_total", &[("outcome", "hit")]);
    let before = hits();
    let hit = request("/a", "Connection: close\r\n");
    for mut client in sent_before(&proxy, &[&*hit; 20]) {
        assert!(client.response().expect("an answer").is_hit());
    }
    assert_eq!(hits() - before, 20.0);
}
