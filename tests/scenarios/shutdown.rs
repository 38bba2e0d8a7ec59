//! SIGTERM: nothing new is taken, what is in flight is finished, and there is an end to the patience.

use super::harness::{Answer, Ask, Breadbox, Config, Gate, Origin, PATIENCE, eventually};
use std::net::TcpStream;
use std::time::Duration;

/// An origin that holds its answers after their first bytes.
fn holding(gate: &Gate) -> Origin {
    let origin = Origin::start();
    let held = gate.clone();
    origin.otherwise(move |x| {
        let body = Origin::body(&x.seen.target, x.nth);
        x.answer_held(&Answer::html(body), 4, &held)
    });
    origin
}

#[test]
fn what_is_in_flight_is_finished() {
    // A render and a bypass that run when SIGTERM comes are answered whole; new connections are refused; exit 0.
    let gate = Gate::closed();
    let origin = holding(&gate);
    let config = Config::new(&origin).route("/api/{*rest}", "off", &[]).route("/{*rest}", "isr", &[]);
    let proxy = Breadbox::start(config.top("shutdown_timeout: 20s"));
    let mut clients = ["/page", "/api/x"].map(|path| {
        let mut client = proxy.client();
        client.send(&Ask::get(path)).expect("the proxy reads");
        client.head().expect("a head");
        let begun = client.at_least(4);
        (path, client, begun)
    });
    proxy.sigterm();
    eventually("new connections are refused", PATIENCE, || TcpStream::connect(proxy.addr()).is_err());
    gate.open();
    for (path, client, begun) in &mut clients {
        begun.extend(client.rest().expect("the rest"));
        assert_eq!(String::from_utf8_lossy(begun), Origin::body(path, 1));
    }
    assert_eq!(proxy.wait_exit(PATIENCE).code(), Some(0));
}

#[test]
fn an_idle_proxy_ends_at_once() {
    // Without anything in flight nobody waits for `shutdown_timeout`, although clients keep their connections.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &[]).top("shutdown_timeout: 10m"));
    let mut idle = proxy.client();
    idle.get("/p");
    proxy.sigterm();
    assert_eq!(proxy.wait_exit(PATIENCE).code(), Some(0));
    assert!(idle.is_closed_by_server());
}

#[test]
fn patience_ends() {
    // What is still in flight after `shutdown_timeout` is given up.
    let gate = Gate::closed();
    let origin = holding(&gate);
    let proxy = Breadbox::start(Config::isr(&origin, &[]).top("shutdown_timeout: 500ms"));
    let mut client = proxy.client();
    client.send(&Ask::get("/p")).expect("the proxy reads");
    origin.wait_for_requests("/p", 1);
    proxy.sigterm();
    proxy.wait_exit(PATIENCE - Duration::from_secs(5));
    assert!(client.response().is_err());
}

#[test]
fn whoever_goes_on_asking_is_told_with_an_answer_that_it_is_the_last() {
    // A process that ended closed connections with hits on them without a word, and their next request was lost.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    proxy.get("/p");
    let mut client = proxy.client();
    assert_eq!(client.get("/p").header("connection"), Some("keep-alive"));
    proxy.sigterm();
    while client.try_ask(&Ask::get("/p")).expect("an answer").header("connection") != Some("close") {}
    assert!(client.is_closed_by_server());
    assert_eq!(proxy.wait_exit(PATIENCE).code(), Some(0));
}
