//! Answers arrive as the origin makes them: first byte to first byte.

use super::harness::{Answer, Ask, Breadbox, Client, Config, Gate, Origin};

/// Reads the first bytes of `path` while the origin holds the rest.
fn begin(proxy: &Breadbox, path: &str) -> (Client, Vec<u8>) {
    let mut client = proxy.client();
    client.send(&Ask::get(path)).expect("the proxy reads");
    client.head().expect("a head");
    let begun = client.at_least(5);
    (client, begun)
}

#[test]
fn a_miss_streams_to_the_first_and_to_the_second_client() {
    // Both have the first byte while the origin holds the rest; both get all of it; one render.
    let origin = Origin::start();
    let answer = Answer::html("first, and then the rest");
    for (path, answer) in [("/length", answer.clone()), ("/chunked", answer.clone().chunked())] {
        let gate = Gate::closed();
        let held = gate.clone();
        origin.on(path, move |x| x.answer_held(&answer, 5, &held));
        let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
        let mut readers = [begin(&proxy, path), begin(&proxy, path)];
        gate.open();
        for (client, begun) in &mut readers {
            begun.extend(client.rest().expect("the rest"));
            assert_eq!(begun, b"first, and then the rest");
        }
        assert_eq!(origin.renders(path), 1);
    }
}

#[test]
fn a_close_delimited_answer_streams_too() {
    // An answer without a length, ended by the origin's close, arrives in pieces and whole.
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/p", move |x| x.answer_held(&Answer::html("first, and then the rest").until_close(), 5, &held));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let (mut client, mut begun) = begin(&proxy, "/p");
    gate.open();
    begun.extend(client.rest().expect("the rest"));
    assert_eq!(begun, b"first, and then the rest");
}

#[test]
fn a_head_arrives_while_the_body_is_still_made() {
    // A head that names the length of its body does not wait for it: on a bypass, on a miss, and for one client alone.
    let origin = Origin::start();
    let config = Config::new(&origin).route("/off", "off", &[]).route("/isr", "isr", &["revalidate: 1h"]).route(
        "/own",
        "headers",
        &[],
    );
    let proxy = Breadbox::start(config);
    for path in ["/off", "/isr", "/own"] {
        let gate = Gate::closed();
        let held = gate.clone();
        let answer = Answer::html("made slowly").header("Cache-Control", "no-store");
        origin.on(path, move |x| x.answer_held(&answer, 0, &held));
        let mut client = proxy.client();
        client.send(&Ask::get(path)).expect("the proxy reads");
        assert_eq!(client.head().expect("a head").get("content-length"), Some("11"), "{path}");
        gate.open();
        assert_eq!(client.rest().expect("the rest"), b"made slowly", "{path}");
    }
}

#[test]
fn bypasses_and_header_routes_stream() {
    // `off` and `headers` routes pass on what has come while the origin holds the rest.
    let origin = Origin::start();
    let proxy = Config::new(&origin).route("/off", "off", &[]).route("/headers", "headers", &[]);
    let proxy = Breadbox::start(proxy);
    for (path, cache_control) in [("/off", "no-store"), ("/headers", "no-store"), ("/headers", "max-age=60")] {
        let gate = Gate::closed();
        let held = gate.clone();
        let answer = Answer::html("first, and then the rest").chunked().header("Cache-Control", cache_control);
        origin.on(path, move |x| x.answer_held(&answer, 5, &held));
        let (mut client, mut begun) = begin(&proxy, path);
        gate.open();
        begun.extend(client.rest().expect("the rest"));
        assert_eq!(begun, b"first, and then the rest", "{path} {cache_control}");
    }
}
