//! Tags: where they come from, that clients never see them, and that a purge of one finds its pages.

use super::harness::{Answer, Ask, Breadbox, Config, Origin, PATIENCE, Response, eventually};

fn purge(proxy: &Breadbox, tags: &str) {
    let body = format!(r#"{{"tag": {tags}, "mode": "delete"}}"#);
    let ask = Ask::new("POST", "/-/purge").header("Authorization", "Bearer t").body(body);
    assert_eq!(proxy.admin_ask(&ask).status, 200);
}

#[track_caller]
fn store(proxy: &Breadbox, paths: &[&str]) -> Vec<Response> {
    let first = paths.iter().map(|path| proxy.get(path)).collect();
    paths.iter().for_each(|path| eventually("the page is stored", PATIENCE, || proxy.get(path).is_hit()));
    first
}

#[test]
fn every_usual_field_carries_tags_and_none_reaches_a_client() {
    // `Cache-Tag`, `Surrogate-Key`, `xkey`, separated by commas or spaces; several at once are purged together.
    let origin = Origin::start();
    let fields = [("/a", "Cache-Tag", "one,two"), ("/b", "Surrogate-Key", "two three"), ("/c", "xkey", "four, two")];
    for (path, name, value) in fields {
        origin.on(path, move |x| x.answer(&Answer::html(Origin::body(path, x.nth)).header(name, value)));
    }
    for (tags, gone) in [
        (r#""one""#, [true, false, false]),
        (r#""three four""#, [false, true, true]),
        (r#"["one", "four"]"#, [true, false, true]),
        (r#""two""#, [true, true, true]),
        (r#""tw""#, [false, false, false]),
    ] {
        let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]).admin("token: t"));
        for answer in store(&proxy, &["/a", "/b", "/c"]) {
            let names = ["Cache-Tag", "Surrogate-Key", "xkey"];
            assert!(names.iter().all(|name| answer.header(name).is_none()), "on a miss");
        }
        assert!(proxy.get("/a").header("Cache-Tag").is_none(), "on a hit");
        purge(&proxy, tags);
        assert_eq!(["/a", "/b", "/c"].map(|path| !proxy.get(path).is_hit()), gone, "{tags}");
    }
}

#[test]
fn a_configured_field_takes_their_place() {
    let origin = Origin::start();
    origin.on("/p", |x| {
        let answer = Answer::html(Origin::body("/p", x.nth));
        x.answer(&answer.header("X-Magento-Tags", "cat_p_1,cat_c_2").header("Cache-Tag", "other"))
    });
    let keys = ["revalidate: 1h", "tags: { header: X-Magento-Tags }"];
    let proxy = Breadbox::start(Config::isr(&origin, &keys).admin("token: t"));
    let first = &store(&proxy, &["/p"])[0];
    assert_eq!((first.header("X-Magento-Tags"), first.header("Cache-Tag")), (None, Some("other")));
    purge(&proxy, r#""other""#);
    assert!(proxy.get("/p").is_hit());
    purge(&proxy, r#""cat_c_2""#);
    assert!(!proxy.get("/p").is_hit());
}

#[test]
fn a_route_tags_its_pages_by_their_parameters() {
    // Besides what the response says; on `headers` routes too.
    let origin = Origin::start();
    origin.otherwise(|x| {
        let body = Origin::body(&x.seen.target, x.nth);
        x.answer(&Answer::html(body).header("Cache-Tag", "sent").header("Cache-Control", "max-age=1000"))
    });
    let tags = |more: &str| format!("tags: {more}");
    let config = Config::new(&origin)
        .route("\"/products/{id}\"", "isr", &["revalidate: 1h", &tags("[ \"product-{id}\", product ]")])
        .route("\"/shop/{shop}/{*rest}\"", "headers", &[&tags("{ add: [ \"shop-{shop}\", product ] }")])
        .admin("token: t");
    let paths = ["/products/1", "/products/2", "/shop/x/1"];
    for (tag, gone) in [
        (r#""product-1""#, [true, false, false]),
        (r#""shop-x""#, [false, false, true]),
        (r#""product""#, [true, true, true]),
        (r#""sent""#, [true, true, false]),
    ] {
        let proxy = Breadbox::start(config.clone());
        store(&proxy, &paths);
        purge(&proxy, tag);
        assert_eq!(paths.map(|path| !proxy.get(path).is_hit()), gone, "{tag}");
    }
}

#[test]
fn tags_beyond_the_bounds_are_dropped_and_said_once() {
    // Pages are stored all the same; the operator learns that a purge may miss them.
    let origin = Origin::start();
    origin.otherwise(|x| {
        let answer = Answer::html(Origin::body(&x.seen.target, x.nth));
        x.answer(&answer.header("Cache-Tag", &format!("short {}", "x".repeat(300))))
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]).admin("token: t"));
    store(&proxy, &["/a", "/b", "/c"]);
    proxy.wait_for_output("a purge of those that were dropped misses these pages");
    assert_eq!(proxy.count_logged("WARN", "dropped"), 1);
    purge(&proxy, r#""short""#);
    assert!(!proxy.get("/a").is_hit());
}
