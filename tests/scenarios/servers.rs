//! Origins with several servers, and origins behind TLS.

use super::harness::{Ask, Breadbox, Config, Identity, Origin};

#[test]
fn several_servers_take_turns_and_a_dead_one_is_passed_over() {
    // Renders and bypasses go to both; when one refuses connections nobody notices.
    let (a, b) = (Origin::start(), Origin::start());
    let config = Config::new(&a).server(&b).route("/api/{*rest}", "off", &[]).route("/{*rest}", "isr", &[]);
    let proxy = Breadbox::start(config);
    for n in 0..10 {
        assert_eq!(proxy.get(&format!("/page/{n}")).status, 200);
        assert_eq!(proxy.get(&format!("/api/{n}")).status, 200);
    }
    assert!(a.count() >= 5 && b.count() >= 5, "{} and {}", a.count(), b.count());
    b.stop();
    for n in 10..20 {
        assert_eq!(proxy.get(&format!("/page/{n}")).status, 200);
        assert_eq!(proxy.get(&format!("/api/{n}")).status, 200);
    }
}

#[test]
fn an_https_origin_is_verified() {
    // With its certificate in `ca:` pages and bypasses come through TLS; without it there is no connection.
    let identity = Identity::localhost();
    let pem = identity.pem.clone();
    let origin = Origin::start_tls(identity);
    let config = |origin: &Origin| Config::new(origin).route("/api/{*rest}", "off", &[]).route("/{*rest}", "isr", &[]);
    let trusting = Breadbox::start_with(config(&origin).origin("ca: ca.pem"), &[], &[("ca.pem", &pem)]);
    assert_eq!(trusting.get("/page").text(), Origin::body("/page", 1));
    assert_eq!(trusting.get("/api/x").text(), Origin::body("/api/x", 1));
    let wary = Breadbox::start(config(&origin));
    assert!(matches!(wary.get("/page").status, 502 | 504));
    assert!(matches!(wary.get("/api/x").status, 502 | 504));
    assert_eq!(origin.count(), 2);
}

#[test]
fn renders_reuse_connections() {
    // Pages rendered one after the other share connections; one that the origin has closed costs no error.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &[]).origin("keepalive_timeout: 30s"));
    for n in 0..20 {
        assert_eq!(proxy.get(&format!("/{n}")).status, 200);
    }
    let connections = origin.all_requests().iter().map(|seen| seen.connection).max();
    assert!(connections.is_some_and(|last| last < 10), "{connections:?}");
    for n in 20..30 {
        origin.stop();
        origin.start_again();
        assert_eq!(proxy.get(&format!("/{n}")).status, 200, "a kept connection that is gone is replaced");
    }
}

#[test]
fn the_host_field_can_be_fixed() {
    // `host_header:` is what the origin sees as Host, while X-Forwarded-Host says what the visitor asked.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &[]).origin("host_header: internal.test"));
    proxy.ask(&Ask::get("/p").header("Host", "shop.test"));
    let seen = &origin.requests("/p")[0];
    assert_eq!((seen.all("host"), seen.all("x-forwarded-host")), (vec!["internal.test"], vec!["shop.test"]));
}
