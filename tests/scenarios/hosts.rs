//! Which hosts are served, and which spellings of a host are the same.

use super::harness::{Ask, Breadbox, Config, Origin};

#[test]
fn a_host_that_is_not_served_is_refused() {
    // `hosts:` lists what is served; others get 421 and the origin sees nothing.
    let origin = Origin::start();
    let config = Config::isr(&origin, &["revalidate: 1h"]).top("hosts: [ shop.test, www.shop.test ]");
    let proxy = Breadbox::start(config);
    for host in ["shop.test", "www.shop.test", "SHOP.test", "shop.test.", "shop.test:80"] {
        assert_eq!(proxy.ask(&Ask::get("/p").header("Host", host)).status, 200, "{host}");
    }
    let before = origin.count();
    for host in ["evil.test", "shop.test.evil.test", "xshop.test", "127.0.0.1"] {
        assert_eq!(proxy.ask(&Ask::get("/p").header("Host", host)).status, 421, "{host}");
        assert_eq!(proxy.ask(&Ask::new("POST", "/p").header("Host", host).body("x")).status, 421, "{host}");
    }
    assert_eq!(origin.count(), before);
}

#[test]
fn spellings_of_a_host_share_a_page() {
    // Case, a trailing dot and the default port make no difference; another port and another name do.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    for host in ["shop.test", "SHOP.Test", "shop.test.", "shop.test:80", "Shop.Test.:80"] {
        assert_eq!(proxy.ask(&Ask::get("/p").header("Host", host)).text(), Origin::body("/p", 1), "{host}");
    }
    for (host, nth) in [("other.test", 2), ("shop.test:8080", 3)] {
        assert_eq!(proxy.ask(&Ask::get("/p").header("Host", host)).text(), Origin::body("/p", nth), "{host}");
    }
    let told: Vec<_> = origin.requests("/p").iter().map(|s| s.header("x-forwarded-host").map(str::to_owned)).collect();
    let expected = ["shop.test", "other.test", "shop.test:8080"].map(|host| Some(host.to_owned()));
    assert_eq!(told, expected);
}

#[test]
fn a_route_may_name_its_host() {
    // The same path under another host takes another route.
    let origin = Origin::start();
    let config =
        Config::new(&origin).route("/p", "off", &["host: live.test"]).route("/{*rest}", "isr", &["revalidate: 1h"]);
    let proxy = Breadbox::start(config);
    for host in ["live.test", "shop.test"] {
        proxy.ask(&Ask::get("/p").header("Host", host));
    }
    assert!(proxy.ask(&Ask::get("/p").header("Host", "live.test")).is_bypass());
    assert!(proxy.ask(&Ask::get("/p").header("Host", "shop.test")).is_hit());
}
