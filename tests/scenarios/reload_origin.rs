//! A reload that has pages rendered by somebody else, while a render runs: whoever comes after it is answered by
//! whom the file names, and what the one before brings goes to those who waited for it and nowhere else.

use super::harness::{Answer, Ask, Breadbox, Client, Config, Gate, Origin, PATIENCE, crowd, eventually, until_stale};

/// An origin that holds its answers until the gate opens, and says who made them.
fn holding(gate: &Gate, name: &'static str) -> Origin {
    let (origin, held) = (Origin::start(), gate.clone());
    origin.otherwise(move |x| {
        x.hold(&held)?;
        x.answer(&Answer::html(format!("made by {name}")))
    });
    origin
}

/// An origin that answers at once.
fn prompt(name: &'static str) -> Origin {
    let gate = Gate::closed();
    gate.open();
    holding(&gate, name)
}

fn isr(origin: &Origin) -> Config {
    Config::isr(origin, &["revalidate: 1h"]).admin("token: t")
}

/// A client that waits for the first render of this path.
fn waiting(proxy: &Breadbox, origin: &Origin, path: &str) -> Client {
    let mut client = proxy.client();
    client.send(&Ask::get(path)).expect("the proxy reads");
    origin.wait_for_requests(path, 1);
    client
}

#[track_caller]
fn reload(proxy: &Breadbox, config: impl Into<String>) {
    let answer = proxy.reload(config);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[track_caller]
fn ended(proxy: &Breadbox) {
    eventually("the render has ended", PATIENCE, || proxy.metric("breadbox_renders_in_flight", &[]) == 0.0);
}

#[test]
fn whoever_comes_after_the_reload_does_not_join_a_render_of_the_origin_before() {
    // Bug: the request joined it, and was served what the file had turned away from. Nor does that render take the
    // place of the page that is there by now when it ends.
    let gate = Gate::closed();
    let (one, other) = (holding(&gate, "one"), prompt("other"));
    let proxy = Breadbox::start(isr(&one));
    let mut before = waiting(&proxy, &one, "/p");
    reload(&proxy, isr(&other));
    assert_eq!(proxy.get("/p").text(), "made by other");
    gate.open();
    assert_eq!(before.response().expect("an answer").text(), "made by one");
    ended(&proxy);
    let after = proxy.get("/p");
    assert_eq!((after.is_hit(), &*after.text()), (true, "made by other"));
    assert_eq!((one.count(), other.count()), (1, 1));
}

#[test]
fn what_the_origin_before_brings_is_not_kept() {
    // Nobody has asked since: the next request is the other origin's all the same, and it is one render for all.
    let gate = Gate::closed();
    let (one, other) = (holding(&gate, "one"), prompt("other"));
    let proxy = Breadbox::start(isr(&one));
    let mut before = waiting(&proxy, &one, "/p");
    reload(&proxy, isr(&other));
    gate.open();
    assert_eq!(before.response().expect("an answer").text(), "made by one");
    ended(&proxy);
    for text in crowd(proxy.addr(), 8, |_, client| client.get("/p").text()) {
        assert_eq!(text, "made by other");
    }
    assert_eq!(other.count(), 1);
}

#[test]
fn a_route_that_is_given_to_another_origin_is_rendered_by_that_one() {
    // Both origins stay as they are in the file; the route names the other one.
    let gate = Gate::closed();
    let (one, other) = (holding(&gate, "one"), prompt("other"));
    let with_both = |route: &str| {
        let config = Config::new(&one).admin("token: t").route("/p", "isr", &[route]);
        String::from(config).replace("origins:\n", &format!("origins:\n  other: {{ servers: [ {} ] }}\n", other.url()))
    };
    let proxy = Breadbox::start(with_both("origin: web"));
    let mut before = waiting(&proxy, &one, "/p");
    reload(&proxy, with_both("origin: other"));
    assert_eq!(proxy.get("/p").text(), "made by other");
    gate.open();
    assert_eq!(before.response().expect("an answer").text(), "made by one");
    ended(&proxy);
    assert_eq!(proxy.get("/p").text(), "made by other");
}

#[test]
fn a_refresh_by_the_origin_before_leaves_the_page_stale() {
    // The refresh that runs at the reload brings nothing; the stale page is served, and refreshed by the other one.
    let gate = Gate::closed();
    gate.open();
    let (one, other) = (holding(&gate, "one"), prompt("other"));
    let config = |origin: &Origin| Config::isr(origin, &["revalidate: 200ms"]).admin("token: t");
    let proxy = Breadbox::start(config(&one));
    proxy.get("/p");
    gate.close();
    until_stale(proxy.addr(), &Ask::get("/p"));
    one.wait_for_requests("/p", 2);
    reload(&proxy, config(&other));
    assert_eq!(proxy.get("/p").text(), "made by one", "the page that is there");
    other.wait_for_requests("/p", 1);
    gate.open();
    ended(&proxy);
    assert_eq!(proxy.get("/p").text(), "made by other");
}

#[test]
fn what_the_origin_before_fails_at_is_not_held_against_the_other() {
    // A failure and an answer that is not to be shared say nothing about the origin that renders now.
    let gate = Gate::closed();
    let (one, other) = (Origin::start(), prompt("other"));
    for (path, answer) in [("/fails", Answer::status(500)), ("/private", Answer::html("x").header("Set-Cookie", "a=1"))]
    {
        let held = gate.clone();
        one.on(path, move |x| {
            x.hold(&held)?;
            x.answer(&answer)
        });
    }
    let proxy = Breadbox::start(isr(&one));
    let mut clients = ["/fails", "/private"].map(|path| waiting(&proxy, &one, path));
    reload(&proxy, isr(&other));
    gate.open();
    for client in &mut clients {
        client.response().expect("an answer");
    }
    ended(&proxy);
    for path in ["/fails", "/private"] {
        assert!(proxy.get(path).cache_status().stored, "{path} is rendered at once and kept");
    }
}

#[test]
fn a_reload_that_leaves_the_origin_where_it_is_does_not_cost_a_render() {
    // Limits change, routes come and go: the render that runs is joined, and kept.
    let (gate, one) = (Gate::closed(), Origin::start());
    let held = gate.clone();
    one.otherwise(move |x| x.answer_held(&Answer::html("made by one"), 4, &held));
    let proxy = Breadbox::start(isr(&one));
    let mut before = waiting(&proxy, &one, "/p");
    let changed = Config::new(&one).route("/x", "off", &[]).route("/{*rest}", "isr", &["revalidate: 1h"]);
    reload(&proxy, changed.admin("token: t").origin("max_renders: 9"));
    let mut after = proxy.client();
    after.send(&Ask::get("/p")).expect("the proxy reads");
    let head = after.head().expect("a head");
    assert!(head.get("cache-status").is_some_and(|status| status.contains("collapsed")), "{head:?}");
    gate.open();
    assert_eq!(before.response().expect("an answer").text(), "made by one");
    assert_eq!(String::from_utf8_lossy(&after.rest().expect("the rest")), "made by one");
    ended(&proxy);
    assert!(proxy.get("/p").is_hit());
    assert_eq!(one.count(), 1);
}
