//! The dashboard: one page with a strict policy, and the numbers it polls.

use super::harness::{Ask, Breadbox, Config, Origin, PATIENCE, eventually};
use serde_json::Value;

fn status(proxy: &Breadbox, path: &str) -> Value {
    let answer = proxy.admin_ask(&Ask::get(path).header("Authorization", "Bearer s3cret"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_str(&answer.text()).expect("JSON")
}

#[test]
fn the_page_is_self_contained_and_may_run_nothing_else() {
    // Without a token, because it holds nothing; its policy has no `unsafe-` and no other host.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &[]).admin("token: s3cret"));
    let page = proxy.admin_ask(&Ask::get("/"));
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("connect-src 'self'"), "{policy}");
    assert!(!page.text().contains("s3cret"));
}

#[test]
fn the_numbers_are_those_of_the_requests() {
    // Outcomes by route, renders by origin, the store; the top pages, the most popular first.
    let origin = Origin::start();
    let config = Config::new(&origin).route("/api/{*rest}", "off", &[]).route("/{*rest}", "isr", &["revalidate: 1h"]);
    let proxy = Breadbox::start(config.admin("token: s3cret"));
    let ask = |target: &str| proxy.ask(&Ask::get(target).header("Host", "shop.test"));
    for target in ["/a", "/a", "/a", "/b", "/api/x"] {
        ask(target);
    }
    let of_route = |status: &Value, name: &str| -> Value {
        let routes = status["totals"]["routes"].as_array().expect("routes");
        routes.iter().find(|route| route["name"] == name).expect("the route")["outcomes"].clone()
    };
    // A request is counted when it has ended, which its client may hear of before.
    eventually("all requests are counted", PATIENCE, || {
        let status = status(&proxy, "/status.json");
        of_route(&status, "/{*rest}")["hit"] == 2.0 && of_route(&status, "/api/{*rest}")["bypass"] == 1.0
    });
    let open = status(&proxy, "/status.json");
    assert_eq!(of_route(&open, "/{*rest}")["miss"], 2.0);
    assert_eq!(of_route(&open, "/api/{*rest}")["bypass"], 1.0);
    assert_eq!(open["totals"]["origins"][0]["results"]["good"], 2.0);
    assert_eq!((&open["totals"]["store"]["pages"], &open["phase"]), (&2.0.into(), &"running".into()));
    assert!(open.get("pages").is_none() && !open.to_string().contains("shop.test"), "{open}");
    let pages = status(&proxy, "/-/status.json")["pages"].clone();
    assert_eq!((&pages[0]["url"], &pages[0]["popularity"]), (&"http://shop.test/a".into(), &3.into()), "{pages}");
    assert_eq!((&pages[1]["url"], &pages[1]["freshness"]), (&"http://shop.test/b".into(), &"fresh".into()));
}

#[test]
fn an_origin_that_fails_is_shown_as_failing() {
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &[]).admin("token: s3cret"));
    origin.stop();
    eventually("the origin is failing", PATIENCE, || {
        for n in 0..5 {
            proxy.get(&format!("/{n}"));
        }
        status(&proxy, "/status.json")["failing"][0][0] == "web"
    });
    assert!(status(&proxy, "/status.json")["degraded"][0].as_str().is_some_and(|reason| reason.contains("web")));
}
