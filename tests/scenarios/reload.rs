//! Reloading: what the file says counts for the next request, what is under way ends as it began, and a
//! file with mistakes changes nothing.

use super::harness::{Answer, Ask, Breadbox, Client, Config, Gate, Origin, PATIENCE, eventually};
use serde_json::Value;
use std::net::TcpStream;
use std::time::Duration;

/// All paths on one `isr` route, with a token.
fn isr(origin: &Origin) -> Config {
    Config::isr(origin, &["revalidate: 1h"]).admin("token: t")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_next_request_goes_by_the_new_file_and_pages_and_counts_stay() {
    // A route that is new, in front of one that moves down, counts at once, also on a connection that is open;
    // pages and counters go on; what is gone is gone from metrics.
    let origin = Origin::start();
    let first = Config::new(&origin).route("/old", "static", &[]).route("/{*rest}", "isr", &["revalidate: 1h"]);
    let proxy = Breadbox::start(first.admin("token: t"));
    let mut client = proxy.client();
    client.get("/p");
    assert!(client.get("/p").is_hit());
    let series = |route: &str| proxy.metric("breadbox_requests_total", &[("route", route)]);
    eventually("both are counted", PATIENCE, || series("/{*rest}") == 2.0);

    let second = Config::new(&origin).route("/new", "off", &[]).route("/{*rest}", "isr", &["revalidate: 1h"]);
    let answer = proxy.reload(second.admin("token: t"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(json(&answer.text())["generation"], 2);
    assert!(client.get("/new").is_bypass());
    assert!(client.get("/p").is_hit());
    assert!(client.get("/old").cache_status().stored);
    eventually("the counts go on", PATIENCE, || (series("/{*rest}"), series("/new")) == (4.0, 1.0));
    assert_eq!(proxy.metric("breadbox_renders_total", &[("route", "/{*rest}"), ("result", "good")]), 2.0);
    assert!(!proxy.admin_ask(&Ask::get("/metrics")).text().contains("route=\"/old\""));
    assert_eq!(proxy.metric("breadbox_config_generation", &[]), 2.0);
}

#[test]
fn sighup_reloads() {
    // The signal does what the request does.
    let origin = Origin::start();
    let proxy = Breadbox::start(isr(&origin));
    proxy.write("proxy.yaml", Config::new(&origin).route("/{*rest}", "off", &[]));
    proxy.signal("HUP");
    eventually("the new file counts", PATIENCE, || proxy.get("/p").is_bypass());
    eventually("the log says so", PATIENCE, || proxy.count_logged("INFO", "the configuration was reloaded") == 1);
}

#[test]
fn a_file_with_mistakes_changes_nothing_and_says_all_of_them() {
    // The answer, the log, a metric and `/readyz` say so; the next good file ends that.
    let origin = Origin::start();
    let proxy = Breadbox::start(isr(&origin));
    proxy.expect_error("the configuration was refused");
    proxy.get("/p");
    let bad = String::from(isr(&origin).top("shutdown_timeout: soon").store("memory: plenty"));
    let answer = proxy.reload(bad);
    assert_eq!(answer.status, 422);
    let keys: Vec<Value> = json(&answer.text())["mistakes"].as_array().expect("a list").clone();
    let named = |key: &str| keys.iter().any(|mistake| mistake["key"] == key && mistake["line"].as_u64() > Some(0));
    assert!(named("shutdown_timeout") && named("store.memory"), "{}", answer.text());
    eventually("the log says so", PATIENCE, || proxy.count_logged("ERROR", "shutdown_timeout") == 1);
    assert_eq!(proxy.metric("breadbox_config_last_reload_success", &[]), 0.0);
    assert_eq!(proxy.metric("breadbox_config_reloads_total", &[("result", "refused")]), 1.0);
    assert_eq!(proxy.metric("breadbox_config_generation", &[]), 1.0);
    let ready = proxy.admin_ask(&Ask::get("/readyz"));
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("degraded") && ready.text().contains("reload"), "{}", ready.text());
    assert!(proxy.get("/p").is_hit());

    assert_eq!(proxy.reload(isr(&origin)).status, 200);
    assert!(proxy.admin_ask(&Ask::get("/readyz")).text().contains("ready"));
    assert_eq!(proxy.metric("breadbox_config_last_reload_success", &[]), 1.0);
}

#[test]
fn a_file_that_is_gone_changes_nothing() {
    // A reload while the file is missing is refused like one with mistakes.
    let origin = Origin::start();
    let proxy = Breadbox::start(isr(&origin));
    proxy.expect_error("the configuration was refused");
    std::fs::remove_file(proxy.file("proxy.yaml")).expect("the directory is writable");
    let answer = proxy.admin_ask(&Ask::new("POST", "/-/reload").header("Authorization", "Bearer t"));
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("cannot be read"), "{}", answer.text());
    assert_eq!(proxy.get("/p").status, 200);
}

#[test]
fn what_cannot_change_is_refused_as_a_whole() {
    // Threads and the admin address need an upgrade; nothing else of that file is taken either.
    let origin = Origin::start();
    let proxy = Breadbox::start(isr(&origin).top("threads: 2"));
    proxy.expect_error("the configuration was refused");
    let config = Config::new(&origin).route("/{*rest}", "off", &[]).admin("token: t").top("threads: 3");
    let answer = proxy.reload(config);
    assert_eq!(answer.status, 409);
    let error = json(&answer.text())["error"].as_str().expect("a text").to_owned();
    assert!(error.contains("threads: 2 is running and the file says 3") && error.contains("upgrade"), "{error}");
    assert!(!proxy.get("/p").is_bypass());
}

#[test]
fn reloading_needs_the_token_of_the_file_in_force() {
    // The token changes with the file.
    let origin = Origin::start();
    let proxy = Breadbox::start(isr(&origin));
    let post = |token: &str| {
        proxy.admin_ask(&Ask::new("POST", "/-/reload").header("Authorization", &format!("Bearer {token}"))).status
    };
    assert_eq!(proxy.admin_ask(&Ask::new("POST", "/-/reload")).status, 401);
    assert_eq!(proxy.admin_ask(&Ask::get("/-/reload").header("Authorization", "Bearer t")).status, 405);
    assert_eq!(proxy.reload(Config::isr(&origin, &[]).admin("token: other")).status, 200);
    assert_eq!((post("t"), post("other")), (401, 200));
}

#[test]
fn a_process_without_a_file_has_nothing_to_reload() {
    // `run --origin` says so to SIGHUP and goes on.
    let origin = Origin::start();
    let proxy = Breadbox::start_args(&["run", "--origin", &origin.url(), "--listen", "127.0.0.1:0"]);
    proxy.signal("HUP");
    proxy.wait_for_output("without a configuration file");
    assert_eq!(proxy.get("/p").status, 200);
}

/// An origin whose answers to `/held` wait for the gate after four bytes, and say who made them.
fn held(gate: &Gate, name: &'static str) -> Origin {
    let origin = Origin::start();
    let held = gate.clone();
    origin.on("/held", move |x| x.answer_held(&Answer::html(format!("made by {name}")), 4, &held));
    origin.otherwise(move |x| x.answer(&Answer::html(format!("made by {name}"))));
    origin
}

#[test]
fn what_is_under_way_ends_as_it_began() {
    // A render and a bypass that are half-way are finished by the origin that they began with, although that
    // origin, its route and their places in the file are gone; what comes next is the other origin's.
    let (gate, passing) = (Gate::closed(), Gate::closed());
    passing.open();
    let (one, other) = (held(&gate, "one"), held(&passing, "other"));
    let routes = |config: Config| config.route("/held", "isr", &["revalidate: 1h"]).route("/{*rest}", "off", &[]);
    let proxy = Breadbox::start(routes(Config::new(&one).admin("token: t")));
    let mut client = proxy.client();
    client.send(&Ask::get("/held")).expect("the proxy reads");
    client.head().expect("a head");
    let second = Config::new(&other).route("/x", "static", &[]).route("/y", "static", &[]);
    let answer = proxy.reload(second.route("/{*rest}", "isr", &["revalidate: 1h"]).admin("token: t"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(proxy.get("/fresh").text(), "made by other");
    gate.open();
    assert_eq!(String::from_utf8_lossy(&client.rest().expect("the rest")), "made by one");
    eventually("the render has ended", PATIENCE, || proxy.metric("breadbox_renders_in_flight", &[]) == 0.0);
    assert_eq!(client.get("/next").text(), "made by other");
}

#[test]
fn listeners_come_and_go_while_others_serve() {
    // A listener that is added serves at once; one that is taken out refuses new connections and finishes what
    // it has; the one that stays keeps its socket and its connections.
    let gate = Gate::closed();
    let origin = held(&gate, "one");
    let proxy = Breadbox::start(isr(&origin));
    let page = Ask::get("/p").header("Host", "a.test");
    let mut stays = proxy.client();
    stays.ask(&page);
    let answer = proxy.reload(isr(&origin).listeners(2));
    assert_eq!(json(&answer.text())["listeners"]["added"], serde_json::json!(["127.0.0.1:0#2"]));
    eventually("the log names the second listener", PATIENCE, || proxy.addrs_by_now().len() == 2);
    let second = proxy.addrs_by_now()[1];
    let mut client = Client::connect(second);
    assert!(client.ask(&page).is_hit());
    client.send(&Ask::get("/held")).expect("the proxy reads");
    client.head().expect("a head");

    let answer = proxy.reload(isr(&origin).listeners(1));
    assert_eq!(json(&answer.text())["listeners"]["removed"], serde_json::json!(["127.0.0.1:0#2"]));
    eventually("new connections are refused", PATIENCE, || TcpStream::connect(second).is_err());
    gate.open();
    assert_eq!(String::from_utf8_lossy(&client.rest().expect("the rest")), "made by one");
    assert!(stays.ask(&page).is_hit());
    assert_eq!(proxy.addrs_by_now().len(), 2, "the first was opened once");
    assert!(!proxy.admin_ask(&Ask::get("/metrics")).text().contains("127.0.0.1:0#2"));
}

#[test]
fn an_address_that_is_taken_refuses_the_whole_file() {
    // The listener cannot be had, so nothing of the file counts.
    let origin = Origin::start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    let proxy = Breadbox::start(isr(&origin));
    proxy.expect_error("the configuration was refused");
    let config = String::from(Config::new(&origin).route("/{*rest}", "off", &[]).admin("token: t"));
    let answer = proxy.reload(config.replace("listeners:\n", &format!("listeners:\n  - address: {address}\n")));
    assert_eq!(answer.status, 409);
    assert!(answer.text().contains(&address.to_string()), "{}", answer.text());
    assert!(!proxy.get("/p").is_bypass());
}

#[test]
fn changed_limits_count_at_once() {
    // Limits of heads on an open connection, renders at once for those that wait already, and memory.
    let gate = Gate::closed();
    let origin = Origin::start();
    let held = gate.clone();
    origin.otherwise(move |x| x.answer_held(&Answer::html("x".repeat(100_000)), 4, &held));
    let config = |max_renders: usize, memory: &str| {
        let config = isr(&origin).origin(&format!("max_renders: {max_renders}"));
        config.store(&format!("memory: {memory}")).store("max_page: 200KiB")
    };
    let proxy = Breadbox::start(config(1, "64MiB"));
    let clients: Vec<Client> = (0..3)
        .map(|n| {
            let mut client = proxy.client();
            client.send(&Ask::get(&format!("/{n}"))).expect("the proxy reads");
            client
        })
        .collect();
    origin.wait_for_in_flight(1);
    assert_eq!(proxy.reload(config(8, "64MiB")).status, 200);
    origin.wait_for_in_flight(3);
    gate.open();
    drop(clients);
    eventually("three pages", PATIENCE, || proxy.metric("breadbox_store_pages", &[]) == 3.0);

    let mut client = proxy.client();
    let long = Ask::get("/0").header("X-Long", &"x".repeat(2_000));
    assert_eq!(client.ask(&long).status, 200);
    let limited = String::from(config(8, "20MiB")).replace(
        "  - address: 127.0.0.1:0\n",
        "  - address: 127.0.0.1:0\n    limits: { max_head: 1KiB, idle_timeout: 200ms }\n",
    );
    let answer = proxy.reload(limited);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(proxy.metric("breadbox_store_capacity_bytes", &[]), f64::from(20 << 20));
    assert_eq!(client.ask(&long).status, 431);
    let mut client = proxy.client();
    assert_eq!(client.get("/0").status, 200);
    eventually("it idles no longer than it may now", Duration::from_secs(10), || client.is_closed_by_server());
}

#[test]
fn pages_too_large_for_the_shards_of_the_store_need_an_upgrade() {
    // The store is cut into shards at the start; a page that fits into none is refused with the key.
    let origin = Origin::start();
    let proxy = Breadbox::start(isr(&origin).store("memory: 64MiB").store("max_page: 64KiB"));
    proxy.expect_error("the configuration was refused");
    let answer = proxy.reload(isr(&origin).store("memory: 64MiB").store("max_page: 32MiB"));
    assert_eq!(answer.status, 409);
    assert!(answer.text().contains("store.max_page"), "{}", answer.text());
}

#[test]
fn the_level_of_the_log_changes() {
    // What is logged goes by the new file from then on, the line that says so included.
    let origin = Origin::start();
    let proxy = Breadbox::start(isr(&origin));
    assert_eq!(proxy.reload(isr(&origin).top("log: { level: error }")).status, 200);
    assert_eq!(proxy.reload(isr(&origin).top("log: { level: info }")).status, 200);
    eventually("the second is told", PATIENCE, || proxy.count_logged("INFO", "\"generation\":3") == 1);
    assert_eq!(proxy.count_logged("INFO", "was reloaded"), 1);
}

#[test]
fn a_listener_may_take_the_place_of_one_that_overlaps_with_it() {
    // Bug: `0.0.0.0:80` could not become `127.0.0.1:80`, nor the other way round, because the port was taken: by the
    // listener that was to go. Whom the new one does not mean is refused.
    let origin = Origin::start();
    let at = |address: &str| String::from(isr(&origin)).replacen("127.0.0.1:0", address, 1);
    let proxy = Breadbox::start(at("0.0.0.0:0"));
    let port = proxy.addr().port();
    let answers = |address: &str| TcpStream::connect((address, port)).is_ok();
    Client::connect(([127, 0, 0, 1], port).into()).get("/p");
    assert!(answers("127.0.0.2"));
    for (address, others) in [("127.0.0.1", false), ("0.0.0.0", true), ("127.0.0.1", false)] {
        let answer = proxy.reload(at(&format!("{address}:{port}")));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(Client::connect(([127, 0, 0, 1], port).into()).get("/p").is_hit());
        eventually("others are served, or refused", PATIENCE, || answers("127.0.0.2") == others);
    }
}
