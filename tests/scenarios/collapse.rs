//! Clients that want a page nobody has rendered yet wait for one render together.

use super::harness::{Answer, Ask, Breadbox, Config, Gate, Origin, crowd};
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn five_hundred_clients_on_a_cold_page_cause_one_render() {
    // All of them have the first half before the origin makes the second, so all share the one render.
    const CLIENTS: usize = 500;
    let origin = Origin::start();
    let body = format!("first half|{}", "second half ".repeat(5000));
    let gate = Gate::closed();
    let (held, answer) = (gate.clone(), Answer::html(body.clone()).chunked());
    origin.on("/p", move |x| x.answer_held(&answer, 10, &held));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let joined = AtomicUsize::new(0);
    let answers = crowd(proxy.addr(), CLIENTS, |_, client| {
        client.send(&Ask::get("/p")).expect("the proxy reads");
        let head = client.head().expect("a head");
        let mut body = client.at_least(10);
        if joined.fetch_add(1, Ordering::SeqCst) + 1 == CLIENTS {
            gate.open();
        }
        body.extend(client.rest().expect("the rest"));
        (head.get("cache-status").unwrap_or_default().to_owned(), String::from_utf8(body).expect("text"))
    });
    assert!(answers.iter().all(|(_, got)| *got == body));
    let collapsed = answers.iter().filter(|(status, _)| status.contains("collapsed")).count();
    assert_eq!(collapsed, CLIENTS - 1, "one client started the render, the others joined it");
    assert_eq!(origin.renders("/p"), 1);
    assert!(proxy.get("/p").is_hit());
    assert!(proxy.metric("breadbox_collapsed_requests_total", &[]) >= 499.0);
}

#[test]
fn different_pages_are_not_collapsed() {
    // Five clients on each of twenty cold pages: twenty renders, and everybody gets their own page.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let answers = crowd(proxy.addr(), 100, |i, client| (i % 20, client.get(&format!("/p/{}", i % 20)).text()));
    for (page, text) in answers {
        assert_eq!(text, Origin::body(&format!("/p/{page}"), 1));
    }
    assert_eq!(origin.count(), 20);
}
