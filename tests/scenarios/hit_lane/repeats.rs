//! A request that a connection sends again, octet for octet: it is not admitted once more, and nobody can tell.

use super::super::encodings::{text, until_coded};
use super::super::harness::{Answer, Ask, Breadbox, Client, Config, Origin, Response, eventually};
use super::PATIENCE;
use socket2::{Domain, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A request is known from its third hit on.
const TIMES: usize = 6;

/// The answers to the same request, asked for as often as it takes until it is known, and once more.
fn repeated(client: &mut Client, ask: &Ask) -> [Response; TIMES] {
    std::array::from_fn(|_| client.ask(ask))
}

fn texts(answers: &[Response]) -> Vec<String> {
    answers.iter().map(Response::text).collect()
}

#[test]
fn a_purge_is_seen_by_who_asks_again() {
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]).admin("token: t"));
    let mut client = proxy.client();
    for nth in 1..4 {
        let answers = repeated(&mut client, &Ask::get("/p"));
        assert_eq!(texts(&answers), vec![Origin::body("/p", nth); TIMES]);
        assert!(answers[TIMES - 1].is_hit());
        delete(&proxy, "/p");
    }
}

#[track_caller]
fn delete(proxy: &Breadbox, path: &str) {
    let purge = Ask::new("POST", "/-/purge").header("Authorization", "Bearer t");
    let purged = proxy.admin_ask(&purge.body(format!(r#"{{ "path": "{path}", "mode": "delete" }}"#)));
    assert_eq!(purged.status, 200, "{}", purged.text());
}

#[test]
fn a_page_that_goes_stale_is_refreshed_by_who_asks_again() {
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 100ms"]));
    let mut client = proxy.client();
    eventually("three refreshes, all asked for by one connection", PATIENCE, || {
        client.ask(&Ask::get("/p"));
        origin.renders("/p") >= 4
    });
    eventually("a fresh page that is newer", PATIENCE, || client.get("/p").text() != Origin::body("/p", 1));
}

#[test]
fn the_next_configuration_is_what_counts_for_who_asks_again() {
    // The route, what its pages are told apart by, and the hosts that are served.
    let origin = Origin::start();
    let isr = || Config::new(&origin).route("/{*rest}", "isr", &["revalidate: 1h"]).admin("token: t");
    let proxy = Breadbox::start(isr());
    let mut client = proxy.client();
    let ask = Ask::get("/p").header("Host", "a.test");
    assert!(repeated(&mut client, &ask)[TIMES - 1].is_hit());
    let mut after = |config: Config| {
        assert_eq!(proxy.reload(config).status, 200);
        client.try_ask(&ask).unwrap_or_else(|_| proxy.ask(&ask))
    };
    assert!(after(Config::new(&origin).route("/{*rest}", "off", &[]).admin("token: t")).is_bypass());
    assert!(after(isr()).is_hit());
    assert_eq!(after(isr().top("hosts: [ b.test ]")).status, 421);
}

#[test]
fn requests_are_told_apart() {
    // Of the same length and of others; each is sent a few times before the next comes, and many at once.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let mut client = proxy.client();
    for times in [1, 2, 3, 4, 5, 1, 1, 2, 6] {
        for path in ["/a", "/b", "/longer", "/b"] {
            let answers: Vec<_> = (0..times).map(|_| client.get(path)).collect();
            assert_eq!(texts(&answers), vec![Origin::body(path, 1); times]);
        }
        let all = ["/b", "/a", "/a", "/b", "/b", "/b", "/b", "/longer", "/b", "/a"];
        let bytes: String = all.map(|path| format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.addr())).concat();
        client.send_raw(bytes.as_bytes()).expect("the proxy reads");
        for path in all {
            assert_eq!(client.response().expect("an answer").text(), Origin::body(path, 1));
        }
    }
    assert_eq!(origin.count(), 3);
}

#[test]
fn what_counts_besides_admission_counts_again() {
    // Conditions, ranges, names and weights, and fields that an answer turned out to vary on.
    let origin = Origin::start();
    let page = |vary: &str| Answer::html("0123456789").header("ETag", "\"v1\"").header("Vary", vary);
    origin.answer("/p", page("Accept-Encoding"));
    origin.answer("/varies", page("X-Plan"));
    origin.answer("/text", Answer::html(text("t", 8000)));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let mut client = proxy.client();
    let all = |client: &mut Client, ask: &Ask, is_right: &dyn Fn(&Response) -> bool| {
        let answers = repeated(client, ask);
        assert!(answers[1..].iter().all(is_right), "{ask:?}");
    };
    client.get("/p");
    client.get("/varies");
    client.get("/text");
    until_coded(&proxy, "/text", "br");
    for _ in 0..2 {
        all(&mut client, &Ask::get("/p"), &|answer| answer.is_hit() && answer.text() == "0123456789");
        all(&mut client, &Ask::head("/p"), &|answer| answer.is_hit() && answer.body.is_empty());
        all(&mut client, &Ask::get("/p").header("If-None-Match", "\"v1\""), &|answer| answer.status == 304);
        all(&mut client, &Ask::get("/p").header("If-Match", "\"v2\""), &|answer| answer.status == 412);
        all(&mut client, &Ask::get("/p").header("Range", "bytes=2-3"), &|answer| answer.text() == "23");
        let named = |answer: &Response| answer.is_hit() && answer.header("x-request-id") == Some("mine");
        all(&mut client, &Ask::get("/p").header("X-Request-Id", "mine"), &named);
        all(&mut client, &Ask::get("/varies"), &Response::is_hit);
        all(&mut client, &Ask::get("/varies").header("X-Plan", "gold"), &Response::is_bypass);
        all(&mut client, &Ask::get("/p").header("Authorization", "Basic x"), &Response::is_bypass);
        for accept in ["gzip", "br;q=0.5, gzip;q=0.4", "identity"] {
            let coding = ["gzip", "br"].into_iter().find(|coding| accept.starts_with(coding));
            let coded = |answer: &Response| answer.is_hit() && answer.header("content-encoding") == coding;
            all(&mut client, &Ask::get("/text").header("Accept-Encoding", accept), &coded);
        }
        all(&mut client, &Ask::get("/p").header("Connection", "keep-alive"), &Response::is_hit);
    }
    let names = repeated(&mut client, &Ask::get("/p")).map(|answer| answer.header("x-request-id").map(str::to_owned));
    assert!(names.iter().all(|name| names.iter().filter(|other| *other == name).count() == 1), "{names:?}");
}

#[test]
fn a_list_that_is_read_again_is_asked_again() {
    // Lists change while a configuration is in force.
    let origin = Origin::start();
    origin.answer("/sitemap.xml", Answer::status(500));
    let list = "paths: { sitemap: http://a.test/sitemap.xml, refresh: 1s }";
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h", list]).top("hosts: [ a.test ]"));
    proxy.wait_for_output("sitemap could not be read");
    let mut client = proxy.client();
    let ask = Ask::get("/p").header("Host", "a.test");
    assert!(repeated(&mut client, &ask)[TIMES - 1].is_hit());
    let other = "<urlset><url><loc>http://a.test/q</loc></url></urlset>";
    origin.answer("/sitemap.xml", Answer::new(other).header("Content-Type", "application/xml"));
    eventually("the list holds", PATIENCE, || client.ask(&ask).status == 404);
}

#[test]
fn a_page_that_turns_out_to_vary_is_no_hit_for_who_asks_again() {
    // The page that is rendered anew varies on a field that the requests for the one before had for nothing.
    let origin = Origin::start();
    origin.on("/p", move |x| {
        let page = Answer::html(x.nth.to_string());
        x.answer(&if x.nth == 1 { page } else { page.header("Vary", "Accept-Language") })
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]).admin("token: t"));
    let (mut client, ask) = (proxy.client(), Ask::get("/p").header("Accept-Language", "de"));
    assert!(repeated(&mut client, &ask)[TIMES - 1].is_hit());
    delete(&proxy, "/p");
    assert_eq!(proxy.get("/p").text(), "2");
    assert!(proxy.get("/p").is_hit());
    assert!(repeated(&mut client, &ask).iter().all(Response::is_bypass));
}

#[test]
fn another_client_is_another_client_in_the_same_place() {
    // What a connection leaves behind is used by the next one, whose peer may not say how its visitors came.
    let origin = Origin::start();
    origin.otherwise(|x| {
        let scheme = x.seen.header("x-forwarded-proto").unwrap_or("-").to_owned();
        x.answer(&Answer::html(scheme))
    });
    let isr = Config::isr(&origin, &["revalidate: 1h"]).top("threads: 1").top("trusted_proxies: [ 127.0.0.2 ]");
    let proxy = Breadbox::start(isr);
    let ask = Ask::get("/p").header("X-Forwarded-Proto", "https");
    for _ in 0..3 {
        for (peer, scheme) in [(Ipv4Addr::new(127, 0, 0, 2), "https"), (Ipv4Addr::LOCALHOST, "http")] {
            let mut client = client_at(peer.into(), proxy.addr());
            assert_eq!(texts(&repeated(&mut client, &ask)), [scheme; TIMES], "{peer}");
            client.finish();
            assert!(client.is_closed_by_server());
        }
    }
}

fn client_at(peer: IpAddr, server: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(peer, 0).into()).expect("an address of this machine");
    socket.connect(&server.into()).expect("the proxy listens");
    Client::over(std::net::TcpStream::from(socket), server)
}

#[test]
fn the_log_says_of_a_request_that_comes_again_what_it_says_of_others() {
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]).top("log: { access: on }"));
    let mut client = proxy.client();
    let ask = Ask::get("/p?a=1").header("User-Agent", "monitor/1").header("Traceparent", "00-1-2-03");
    client.ask(&ask);
    let count = |text: &str| proxy.logs().iter().filter(|line| line.contains(text)).count();
    let answers = repeated(&mut client, &ask);
    for answer in &answers {
        let id = format!("\"id\":\"{}\"", answer.header("x-request-id").expect("every answer has a name"));
        eventually("an event for each", PATIENCE, || count(&id) == 1);
    }
    let events: Vec<serde_json::Value> =
        proxy.logs().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let hits: Vec<_> = events.iter().filter(|event| event["served"] == "hit").collect();
    assert_eq!(hits.len(), TIMES, "{hits:?}");
    for hit in hits {
        for name in ["client", "method", "host", "path", "query", "agent", "traceparent", "route", "status", "bytes"] {
            assert_eq!(hit[name], events.iter().find(|event| event["served"] == "hit").expect("some")[name], "{name}");
        }
        assert_eq!((hit["agent"].as_str(), hit["path"].as_str()), (Some("monitor/1"), Some("/p")));
    }
}

#[test]
fn answers_that_the_system_takes_in_parts_arrive_whole() {
    // A thread has a body that it sends often at hand, in front of which it puts one head after the other; what is left
    // of an answer must be that answer's when the client takes it.
    const ASKED: usize = 400;
    let origin = Origin::start();
    let body = "0123456789".repeat(6000);
    origin.answer("/p", Answer::html(body.clone()));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h", "compression: off"]).top("threads: 1"));
    let mut slow = proxy.client();
    slow.get("/p");
    for n in 0..ASKED {
        slow.send(&Ask::get("/p").header("X-Request-Id", &format!("slow-{n}"))).expect("the proxy reads");
        if n % 10 == 0 {
            let other = proxy.ask(&Ask::get("/p").header("X-Request-Id", "other"));
            assert!(other.header("x-request-id") == Some("other") && other.text() == body);
        }
    }
    for n in 0..ASKED {
        let answer = slow.response().expect("an answer");
        assert_eq!(answer.header("x-request-id"), Some(&*format!("slow-{n}")));
        assert!(answer.text() == body, "{n}");
    }
}
