//! Deploys of the origin: pages of earlier builds are served while they are rendered again at a bounded
//! pace, and the assets that such pages link outlive their build.

use super::harness::{Answer, Ask, Breadbox, Config, Gate, Origin, PATIENCE, Response, Run, eventually, until_body};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

const TOKEN: &str = "s3cret";

fn config(origin: &Origin, lifetime: &str) -> Config {
    Config::isr(origin, &[&format!("revalidate: {lifetime}")]).admin(&format!("token: {TOKEN}"))
}

fn post(proxy: &Breadbox, body: &str) -> Response {
    let ask = Ask::new("POST", "/-/deploy").header("Authorization", &format!("Bearer {TOKEN}")).body(body);
    proxy.admin_ask(&ask)
}

#[track_caller]
fn deploy(proxy: &Breadbox, id: &str) -> serde_json::Value {
    let answer = post(proxy, &format!("{{\"id\": \"{id}\"}}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_str(&answer.text()).expect("the answer is JSON")
}

#[track_caller]
fn store(proxy: &Breadbox, paths: &[String]) {
    for path in paths {
        eventually("the page is stored", PATIENCE, || proxy.get(path).is_hit());
    }
}

fn pages(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("/p{n}")).collect()
}

#[test]
fn pages_of_an_earlier_build_are_served_while_they_are_rendered_again_unasked() {
    // The old page at once, one render each in the background, then the new page; the same id again is no deploy.
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.otherwise(move |x| {
        if x.nth > 1 {
            x.hold(&held)?;
        }
        let body = Origin::body(&x.seen.target, x.nth);
        x.answer(&Answer::html(body))
    });
    let proxy = Breadbox::start(config(&origin, "1h").top("deploy: v1").top("deploy_refresh: 1000/s"));
    let paths = pages(5);
    store(&proxy, &paths);
    assert_eq!(deploy(&proxy, "v1")["changed"], false);
    assert!(!proxy.get("/p0").is_stale());
    let deployed = deploy(&proxy, "v2");
    assert_eq!((&deployed["changed"], deployed["previous"].as_str()), (&true.into(), Some("v1")));
    for path in &paths {
        let old = proxy.get(path);
        assert_eq!((old.text(), old.is_stale()), (Origin::body(path, 1), true));
    }
    gate.open();
    for path in &paths {
        eventually("the page was rendered again", PATIENCE, || origin.renders(path) == 2);
        assert!(until_body(proxy.addr(), &Ask::get(path), &Origin::body(path, 2)).is_hit());
        assert!(!proxy.get(path).is_stale());
    }
    assert_eq!(deploy(&proxy, "v2")["changed"], false);
    assert_eq!(proxy.metric("breadbox_deploys_total", &[]), 1.0);
    assert!(paths.iter().all(|path| origin.renders(path) == 2));
}

#[test]
fn visitors_do_not_make_a_deploy_ask_the_origin_faster_than_it_may() {
    // A thousand requests for fifty pages of the earlier build cost no more renders than the pace allows.
    let origin = Origin::start();
    let proxy = Breadbox::start(config(&origin, "1h").top("deploy_refresh: 2/s"));
    let paths = pages(50);
    store(&proxy, &paths);
    let before = origin.count();
    let start = Instant::now();
    deploy(&proxy, "v2");
    let mut client = proxy.client();
    for _ in 0..20 {
        for path in &paths {
            assert!(client.get(path).is_hit());
        }
    }
    let asked = origin.count() - before;
    let allowed = 2 * (start.elapsed().as_secs() as usize + 1) + 1;
    assert!(asked <= allowed, "{asked} renders, {allowed} allowed");
    eventually("the first pages are rendered again", PATIENCE, || origin.count() > before);
}

#[test]
fn a_page_whose_time_has_come_is_refreshed_as_ever_after_a_deploy() {
    // The pace of a deploy is for pages that would still be fresh; others are refreshed at once.
    let origin = Origin::start();
    let proxy = Breadbox::start(config(&origin, "50ms").top("deploy_refresh: 1/s"));
    let paths = pages(20);
    store(&proxy, &paths);
    deploy(&proxy, "v2");
    for path in &paths {
        let renders = origin.renders(path);
        eventually("the page is refreshed", PATIENCE, || {
            proxy.get(path);
            origin.renders(path) > renders
        });
    }
}

/// An origin whose page links an asset of its build; the next build has another asset and not this one.
fn building(origin: &Origin) -> Arc<AtomicBool> {
    let next = Arc::new(AtomicBool::new(false));
    let (of_page, of_asset) = (Arc::clone(&next), Arc::clone(&next));
    origin.on("/p0", move |x| {
        let build = if of_page.load(Ordering::SeqCst) { 2 } else { 1 };
        let html = format!(
            "<!doctype html><script src=\"/static/app.{build}.js\"></script><script src=\"https://cdn.test/static/x.js\">\
             </script><img src=\"/images/a.png\">"
        );
        x.answer(&Answer::html(html))
    });
    origin.on("/static/app.1.js", move |x| match of_asset.load(Ordering::SeqCst) {
        false => x.answer(&Answer::new("one").header("Content-Type", "text/javascript")),
        true => x.answer(&Answer::html("gone").with_status(404)),
    });
    origin.answer("/static/app.2.js", Answer::new("two").header("Content-Type", "text/javascript"));
    next
}

#[test]
fn assets_that_a_page_links_are_fetched_with_it_and_outlive_their_build() {
    // Nobody asked for the script while its build ran; after the next build's 404s it is still there.
    let origin = Origin::start();
    let next = building(&origin);
    let proxy =
        Breadbox::start(config(&origin, "50ms").top("immutable_assets: [ \"/static/*\" ]").top("deploy_refresh: 9/s"));
    proxy.get("/p0");
    origin.wait_for_requests("/static/app.1.js", 1);
    eventually("the asset is stored", PATIENCE, || proxy.metric("breadbox_store_pages", &[]) == 2.0);
    assert_eq!(proxy.metric("breadbox_assets_fetched_total", &[]), 1.0);
    assert_eq!(origin.renders("/images/a.png") + origin.renders("/static/x.js"), 0);

    next.store(true, Ordering::SeqCst);
    deploy(&proxy, "v2");
    eventually("the origin has refused the asset", PATIENCE, || {
        let old = proxy.get("/static/app.1.js");
        assert_eq!((old.status, old.text().as_str()), (200, "one"));
        origin.renders("/static/app.1.js") >= 2
    });
    for _ in 0..20 {
        let old = proxy.get("/static/app.1.js");
        assert_eq!((old.status, old.text().as_str(), old.is_hit()), (200, "one", true));
    }
    eventually("the page links the new asset", PATIENCE, || proxy.get("/p0").text().contains("app.2.js"));
    origin.wait_for_requests("/static/app.2.js", 1);
}

#[test]
fn no_deploy_makes_an_immutable_asset_stale() {
    let origin = Origin::start();
    let proxy = Breadbox::start(config(&origin, "1h").top("immutable_assets: [ \"/static/*\" ]"));
    store(&proxy, &["/static/a.js".to_owned()]);
    deploy(&proxy, "v2");
    let asset = proxy.get("/static/a.js");
    assert!(asset.is_hit() && !asset.is_stale());
    assert_eq!(origin.renders("/static/a.js"), 1);
}

#[test]
fn a_deploy_that_cannot_be_meant_changes_nothing() {
    let origin = Origin::start();
    let proxy = Breadbox::start(config(&origin, "1h"));
    store(&proxy, &pages(1));
    for body in ["", "{}", "{\"id\": 1}", "{\"id\": \"\"}", "{\"id\": \"a b\"}", "{\"id\": \"a\", \"x\": 1}"] {
        let refused = post(&proxy, body);
        assert_eq!(refused.status, 400, "{body}");
        assert!(refused.text().contains("error"), "{}", refused.text());
    }
    assert_eq!(proxy.admin_ask(&Ask::new("POST", "/-/deploy").body("{\"id\": \"v2\"}")).status, 401);
    assert!(!proxy.get("/p0").is_stale());
    assert_eq!(proxy.metric("breadbox_deploys_total", &[]), 0.0);
}

#[test]
fn a_command_announces_a_build() {
    let origin = Origin::start();
    let proxy = Breadbox::start(config(&origin, "1h"));
    let admin = format!("http://{}", proxy.admin_addr());
    let run = |id: &str, token: &str| Run::with_config(&["deploy", id, "--admin", &admin, "--token", token], "");
    let first = run("v1", TOKEN);
    assert_eq!(first.code, Some(0), "{}", first.output);
    assert!(first.output.contains("deployed v1"), "{}", first.output);
    assert!(run("v2", TOKEN).output.contains("deployed v2 after v1"));
    assert!(run("v2", TOKEN).output.contains("nothing changes"));
    let wrong = run("v3", "wrong");
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.output.contains("the token is wrong"), "{}", wrong.output);
}
