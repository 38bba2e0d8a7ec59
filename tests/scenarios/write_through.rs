//! `invalidate:` on a route: what a successful write through it purges besides its own URI.

use super::harness::{Answer, Ask, Breadbox, Config, Gate, Origin, PATIENCE, eventually, until_body};

const HOST: &str = "shop.test";

fn get(path: &str) -> Ask {
    Ask::get(path).header("Host", HOST)
}

fn write(method: &str, path: &str) -> Ask {
    Ask::new(method, path).header("Host", HOST).body("change")
}

/// A shop: an API beside its pages.
fn config(origin: &Origin) -> Config {
    let entries = r#"[ "/products/{id}", /products, { tag: "product-{id}" }, { path: /feed, mode: stale }, { path: /, host: www.test } ]"#;
    Config::new(origin)
        .route("\"/api/products/{id}\"", "\"off\"", &[&format!("invalidate: {entries}")])
        .route("\"/{*rest}\"", "isr", &["revalidate: 1h", "vary: { headers: [ X-Variant ] }"])
        .top("purge_refresh: 0")
}

fn start(origin: &Origin) -> Breadbox {
    origin.on("/tagged", |x| x.answer(&Answer::html(Origin::body("/tagged", x.nth)).header("Cache-Tag", "product-7")));
    Breadbox::start(config(origin))
}

fn store(proxy: &Breadbox, asks: &[Ask]) {
    for ask in asks {
        eventually("the page is stored", PATIENCE, || proxy.ask(ask).is_hit());
    }
}

#[test]
fn a_successful_write_purges_what_its_route_names() {
    // With the parameters of the request, in all queries and variants, on its host.
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let origin = Origin::start();
        let proxy = start(&origin);
        let gone = [
            get("/products/7"),
            get("/products/7?q"),
            get("/products/7").header("X-Variant", "v"),
            get("/products"),
            get("/tagged"),
            Ask::get("/").header("Host", "www.test"),
        ];
        let kept = [
            get("/products/8"),
            get("/"),
            get("/products/7/reviews"),
            Ask::get("/products/7").header("Host", "b.test"),
        ];
        store(&proxy, &gone);
        store(&proxy, &kept);
        assert!(proxy.ask(&write(method, "/api/products/7")).is_bypass());
        for ask in gone {
            let after = proxy.ask(&ask);
            assert!(!after.is_hit(), "{method}: {ask:?}");
        }
        assert!(kept.iter().map(|ask| proxy.ask(ask)).all(|answer| answer.is_hit() && !answer.is_stale()), "{method}");
    }
}

#[test]
fn an_entry_may_leave_its_pages_stale() {
    let origin = Origin::start();
    let proxy = start(&origin);
    store(&proxy, &[get("/feed")]);
    proxy.ask(&write("POST", "/api/products/7"));
    let stale = proxy.ask(&get("/feed"));
    assert_eq!((stale.text(), stale.is_stale()), (Origin::body("/feed", 1), true));
    assert!(until_body(proxy.addr(), &get("/feed"), &Origin::body("/feed", 2)).is_hit());
}

#[test]
fn a_failed_write_and_a_read_purge_nothing() {
    let origin = Origin::start();
    let proxy = start(&origin);
    let pages = [get("/products/7"), get("/products"), get("/tagged"), get("/feed")];
    store(&proxy, &pages);
    proxy.ask(&get("/api/products/7"));
    for status in [400, 404, 500] {
        origin.answer("/api/products/7", Answer::status(status));
        assert_eq!(proxy.ask(&write("POST", "/api/products/7")).status, status);
    }
    assert!(pages.iter().map(|ask| proxy.ask(ask)).all(|answer| answer.is_hit() && !answer.is_stale()));
}

#[test]
fn a_render_that_began_before_the_write_is_not_kept() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/products/7", move |x| {
        if x.nth == 1 {
            x.hold(&held)?;
        }
        let body = Origin::body("/products/7", x.nth);
        x.answer(&Answer::html(body))
    });
    let proxy = start(&origin);
    let mut early = proxy.client();
    early.send(&get("/products/7")).expect("the proxy reads");
    origin.wait_for_requests("/products/7", 1);
    proxy.ask(&write("POST", "/api/products/7"));
    assert_eq!(proxy.ask(&get("/products/7")).text(), Origin::body("/products/7", 2));
    gate.open();
    assert_eq!(early.response().expect("an answer").text(), Origin::body("/products/7", 1));
    assert_eq!(proxy.ask(&get("/products/7")).text(), Origin::body("/products/7", 2));
}
