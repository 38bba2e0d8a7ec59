//! `PURGE` and `BAN` as WordPress, Drupal and Magento send them: on the admin listener with the token, on
//! the public one from `purge_from` networks, and from nobody else.

use super::harness::{Answer, Ask, Breadbox, Config, Origin, PATIENCE, eventually};

const HOST: &str = "shop.test";

/// A site whose pages carry the tags of the three.
fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|x| {
        let body = Origin::body(&x.seen.target, x.nth);
        let tags = format!("page:{}", x.seen.path().trim_start_matches('/'));
        x.answer(&Answer::html(body).header("X-Tags", &format!("all,{tags}")))
    });
    origin
}

fn config(origin: &Origin) -> Config {
    Config::isr(origin, &["revalidate: 1h", "tags: { header: X-Tags }"]).admin("token: s3cret")
}

fn get(path: &str) -> Ask {
    Ask::get(path).header("Host", HOST)
}

fn store(proxy: &Breadbox, paths: &[&str]) {
    for path in paths {
        eventually("the page is stored", PATIENCE, || proxy.ask(&get(path)).is_hit());
    }
}

type Fields = &'static [(&'static str, &'static str)];

/// What each of them sends, and which of `/a/1`, `/a/2` and `/b` it purges.
const SENT: &[(&str, &str, Fields, [bool; 3])] = &[
    ("PURGE", "/a/1", &[("X-Purge-Method", "default")], [true, false, false]),
    ("PURGE", "/a/.*", &[("X-Purge-Method", "regex")], [true, true, false]),
    ("PURGE", "/.*", &[("X-VC-Purge-Method", "regex"), ("X-VC-Purge-Host", HOST)], [true, true, true]),
    ("BAN", "/", &[("Cache-Tags", "page:a/1 page:b")], [true, false, true]),
    ("BAN", "/", &[("Cache-Tags", "page:a/1|page:a/2")], [true, true, false]),
    ("URIBAN", "/a/", &[], [true, true, false]),
    ("PURGE", "/", &[("X-Magento-Tags-Pattern", "((^|,)page:b(,|$))")], [false, false, true]),
    ("PURGE", "/", &[("X-Magento-Tags-Pattern", ".*")], [true, true, true]),
    ("BAN", "/", &[("X-Host", "^shop\\.test$"), ("X-Url", "^/b$"), ("X-Content-Type", ".*")], [false, false, true]),
    ("PURGEKEYS", "/", &[("xkey-purge", "page:a/2")], [false, true, false]),
];

fn sent(method: &str, target: &str, fields: &[(&str, &str)]) -> Ask {
    let ask = Ask::new(method, target).header("Host", HOST);
    fields.iter().fold(ask, |ask, (name, value)| ask.header(name, value))
}

#[test]
fn publishing_software_purges_on_both_listeners() {
    for public in [false, true] {
        for (method, target, fields, gone) in SENT {
            let origin = origin();
            let from = if public { "purge_from: [ 127.0.0.0/8 ]" } else { "purge_from: []" };
            let proxy = Breadbox::start(config(&origin).top(from));
            store(&proxy, &["/a/1", "/a/2", "/b"]);
            let ask = sent(method, target, fields);
            let answer =
                if public { proxy.ask(&ask) } else { proxy.admin_ask(&ask.header("Authorization", "Bearer s3cret")) };
            assert_eq!(answer.status, 200, "{method} {target} {fields:?}: {}", answer.text());
            let found = ["/a/1", "/a/2", "/b"].map(|path| proxy.ask(&get(path)).text() != Origin::body(path, 1));
            assert_eq!(found, *gone, "{method} {target} {fields:?}");
            assert!(origin.all_requests().iter().all(|seen| seen.method == "GET"), "the origin hears of no purge");
        }
    }
}

#[test]
fn a_soft_purge_leaves_pages_stale() {
    let origin = origin();
    let proxy = Breadbox::start(config(&origin).top("purge_from: 127.0.0.1").top("purge_refresh: 0"));
    store(&proxy, &["/b"]);
    assert_eq!(proxy.ask(&sent("PURGEKEYS", "/", &[("xkey-softpurge", "page:b")])).status, 200);
    let stale = proxy.ask(&get("/b"));
    assert_eq!((stale.is_stale(), stale.text()), (true, Origin::body("/b", 1)));
}

#[test]
fn other_networks_are_refused_and_without_purge_from_it_is_the_origins_business() {
    let origin = origin();
    let refusing =
        Breadbox::start(config(&origin).top("purge_from: [ 192.0.2.0/24 ]").top("trusted_proxies: [ 127.0.0.1 ]"));
    store(&refusing, &["/b"]);
    let before = origin.count();
    for method in ["PURGE", "BAN", "URIBAN", "PURGEKEYS"] {
        let ask = sent(
            method,
            "/b",
            &[("X-Forwarded-For", "192.0.2.1"), ("Cache-Tags", "all"), ("Authorization", "Bearer s3cret")],
        );
        assert_eq!(refusing.ask(&ask).status, 405, "{method}");
    }
    assert!(refusing.ask(&get("/b")).is_hit());
    assert_eq!(origin.count(), before);

    let forwarding = Breadbox::start(config(&origin));
    store(&forwarding, &["/b", "/a/1"]);
    assert!(forwarding.ask(&sent("BAN", "/b", &[("Cache-Tags", "all")])).is_bypass());
    assert_eq!(origin.requests("/b").last().map(|seen| seen.method.clone()).as_deref(), Some("BAN"));
    assert!(forwarding.ask(&get("/a/1")).is_hit(), "no tag was purged");
}

#[test]
fn a_purge_key_is_the_token_and_a_wrong_one_is_refused() {
    let origin = origin();
    let proxy = Breadbox::start(config(&origin));
    store(&proxy, &["/b"]);
    for key in ["", "s3cre", "s3cret2"] {
        let refused = proxy.admin_ask(&sent("PURGE", "/b", &[("X-VC-Purge-Key", key)]));
        assert_eq!(refused.status, 401, "{key}");
    }
    assert!(proxy.ask(&get("/b")).is_hit());
    assert_eq!(proxy.admin_ask(&sent("PURGE", "/b", &[("X-VC-Purge-Key", "s3cret")])).status, 200);
    assert!(!proxy.ask(&get("/b")).is_hit());
}

#[test]
fn what_cannot_be_understood_is_a_400() {
    let origin = origin();
    let proxy = Breadbox::start(config(&origin).top("purge_from: 127.0.0.1"));
    for (method, fields) in [("BAN", [("Cache-Tags", ",")]), ("PURGE", [("X-VC-Purge-Host", "a/b")])] {
        let refused = proxy.ask(&sent(method, "/", &fields));
        assert_eq!(refused.status, 400);
        assert!(refused.text().contains("what is to be purged is not a"), "{}", refused.text());
    }
    assert_eq!(origin.count(), 0);
}
