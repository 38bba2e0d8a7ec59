//! A render belongs to nobody: whoever started it may leave.

use super::harness::{Answer, Ask, Breadbox, Client, Config, Gate, Origin, PATIENCE, eventually};

#[test]
fn the_client_that_started_a_render_leaves_before_the_head() {
    // The others are served by the same render and the page is stored.
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/p", move |x| {
        x.hold(&held)?;
        x.answer(&Answer::html("the page"))
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let mut first = proxy.client();
    first.send(&Ask::get("/p")).expect("the proxy reads");
    origin.wait_for_requests("/p", 1);
    let mut others: Vec<_> = (0..10).map(|_| proxy.client()).collect();
    for other in &mut others {
        other.send(&Ask::get("/p")).expect("the proxy reads");
    }
    first.abort();
    gate.open();
    for other in &mut others {
        assert_eq!(other.response().expect("an answer").text(), "the page");
    }
    eventually("the page is stored", PATIENCE, || proxy.get("/p").is_hit());
    assert_eq!(origin.renders("/p"), 1);
}

#[test]
fn everybody_leaves_and_the_page_is_stored_all_the_same() {
    // A render without any client left goes on to its end.
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/p", move |x| {
        x.hold(&held)?;
        x.answer(&Answer::html("the page"))
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let mut only = proxy.client();
    only.send(&Ask::get("/p")).expect("the proxy reads");
    origin.wait_for_requests("/p", 1);
    only.abort();
    gate.open();
    eventually("the page is stored", PATIENCE, || proxy.get("/p").is_hit());
    assert_eq!((origin.renders("/p"), origin.aborted("/p")), (1, 0));
}

#[test]
fn the_client_that_started_a_render_leaves_in_mid_body() {
    // The second client reads on to the end, and the page is stored whole.
    let origin = Origin::start();
    let body = "0123456789".repeat(20_000);
    let gate = Gate::closed();
    let (held, answer) = (gate.clone(), Answer::html(body.clone()));
    origin.on("/p", move |x| x.answer_held(&answer, 1000, &held));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let begin = |mut client: Client| {
        client.send(&Ask::get("/p")).expect("the proxy reads");
        client.head().expect("a head");
        let begun = client.at_least(1000);
        (client, begun)
    };
    let (first, _) = begin(proxy.client());
    let (mut second, mut got) = begin(proxy.client());
    first.abort();
    gate.open();
    got.extend(second.rest().expect("the rest"));
    assert_eq!(got, body.as_bytes());
    eventually("the page is stored", PATIENCE, || proxy.get("/p").is_hit());
    assert_eq!((proxy.get("/p").text(), origin.renders("/p")), (body, 1));
}

#[test]
fn a_client_that_does_not_read_holds_nobody_up() {
    // The one that started the render never reads; the others get the whole page and it is stored.
    let origin = Origin::start();
    let body = "0123456789abcdef".repeat(4 * 1024 * 1024 / 16);
    origin.answer("/p", Answer::html(body.clone()).chunked());
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let mut slow = proxy.client();
    slow.send(&Ask::get("/p")).expect("the proxy reads");
    origin.wait_for_requests("/p", 1);
    assert!(proxy.get("/p").body == body.as_bytes());
    eventually("the page is stored", PATIENCE, || proxy.get("/p").is_hit());
    assert!(slow.response().expect("the slow client's answer").body == body.as_bytes());
    assert_eq!(origin.renders("/p"), 1);
}
