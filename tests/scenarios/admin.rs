//! The admin listener: health, readiness, metrics; and that none of it is public.

use super::harness::{Answer, Ask, Breadbox, Config, Http2, Origin, PATIENCE, crowd, eventually};
use http::Request;

#[test]
fn health_and_readiness_are_told() {
    // `/healthz` and `/readyz` answer 200, and `/readyz` says `ready`.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &[]));
    assert_eq!(proxy.admin_ask(&Ask::get("/healthz")).status, 200);
    let ready = proxy.admin_ask(&Ask::get("/readyz"));
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("ready"), "{}", ready.text());
    assert_eq!(proxy.admin_ask(&Ask::get("/nothing")).status, 404);
}

#[test]
fn an_origin_whose_renders_all_fail_degrades_readiness() {
    // `/readyz` stays 200 and says `degraded` with the origin's name; a good render makes it ready again.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 200ms"]));
    proxy.get("/p");
    origin.stop();
    eventually("degraded", PATIENCE, || {
        proxy.get("/p");
        let ready = proxy.admin_ask(&Ask::get("/readyz"));
        assert_eq!(ready.status, 200);
        ready.text().contains("degraded") && ready.text().contains("web")
    });
    assert_eq!(proxy.admin_ask(&Ask::get("/healthz")).status, 200);
    origin.start_again();
    eventually("ready again", PATIENCE, || {
        proxy.get("/p");
        let text = proxy.admin_ask(&Ask::get("/readyz")).text();
        text.contains("ready") && !text.contains("degraded")
    });
}

#[test]
fn metrics_tell_what_happened() {
    // Series are there from the start, count what was served, and never carry a path or a host.
    let origin = Origin::start();
    let config = Config::new(&origin).route("/api/{*rest}", "off", &[]).route("/{*rest}", "isr", &["revalidate: 1h"]);
    let proxy = Breadbox::start(config);
    let metrics = || proxy.admin_ask(&Ask::get("/metrics")).text();
    for name in ["breadbox_requests_total", "breadbox_renders_total", "breadbox_store_bytes", "breadbox_build_info"] {
        assert!(metrics().contains(name), "{name}");
    }
    for name in ["breadbox_renders_in_flight", "breadbox_renders_waiting", "breadbox_store_evictions_total"] {
        assert!(metrics().contains(name), "{name}");
    }
    let ask = |target: &str| proxy.ask(&Ask::get(target).header("Host", "very-secret.test"));
    ask("/very-secret-path");
    ask("/very-secret-path");
    ask("/api/x");
    eventually("the requests are counted", PATIENCE, || {
        let count = |outcome| proxy.metric("breadbox_requests_total", &[("outcome", outcome)]);
        (count("hit"), count("miss"), count("bypass")) == (1.0, 1.0, 1.0)
    });
    assert!(!metrics().contains("very-secret"));
    assert_eq!(proxy.metric("breadbox_config_generation", &[]), 1.0);
    assert_eq!(proxy.metric("breadbox_store_pages", &[]), 1.0);
}

#[test]
fn the_number_of_series_does_not_depend_on_what_is_asked_for() {
    // After 10,000 different paths, hosts and methods there are the series that were there before.
    let origin = Origin::start();
    let config = Config::new(&origin).route("/api/{*rest}", "off", &[]).route("/{*rest}", "isr", &["revalidate: 1h"]);
    let proxy = Breadbox::start(config);
    let series = || -> Vec<String> {
        let text = proxy.admin_ask(&Ask::get("/metrics")).text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.rsplit_once(' ').expect("a sample").0.to_owned()).collect()
    };
    let before = series();
    crowd(proxy.addr(), 10, |client_number, client| {
        for n in 0..1_000 {
            let n = client_number * 1_000 + n;
            let method = if n % 3 == 0 { format!("METHOD{n}") } else { "GET".to_owned() };
            let target = if n % 7 == 0 { format!("/api/{n}") } else { format!("/p/{n}?q={n}") };
            client.ask(&Ask::new(&method, &target).header("Host", &format!("host-{n}.test")));
        }
    });
    eventually("all requests are counted", PATIENCE, || proxy.metric("breadbox_requests_total", &[]) == 10_000.0);
    assert_eq!(series(), before);
}

#[test]
fn nothing_of_admin_is_public() {
    // On the public listener the admin's paths are the origin's.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::new(&origin).route("/{*rest}", "off", &[]));
    for path in ["/metrics", "/healthz", "/readyz", "/", "/status.json", "/-/status.json", "/-/explain", "/-/purge"] {
        assert_eq!(proxy.get(path).text(), Origin::body(path, 1), "{path}");
    }
    assert_eq!(proxy.ask(&Ask::new("POST", "/-/purge").body("{}")).text(), Origin::body("/-/purge", 2));
}

#[test]
fn no_spelling_of_a_request_leads_to_admin() {
    // The admin's own authority, as `Host` or in an absolute target, paths in other spellings, over HTTP/1.1 and
    // HTTP/2, with the token: the origin is asked, or the request is refused.
    let origin = Origin::start();
    origin.otherwise(|x| x.answer(&Answer::new("of the origin")));
    let config = Config::new(&origin).route("/{*rest}", "off", &[]).admin("token: t").listener("h2c: true");
    let proxy = Breadbox::start(config);
    let admin = proxy.admin_addr().to_string();
    let paths = [
        "/metrics",
        "/status.json",
        "/-/status.json",
        "/-/explain?url=/p",
        "/-/purge",
        "/-/reload",
        "/%2D/purge",
        "//-/purge",
        "/-%2Fpurge",
        "/x/../-/purge",
        "/x/..%2f-/purge",
        "/./metrics",
        "/metrics;x",
    ];
    let mut http2 = Http2::plain(proxy.addr());
    for path in paths {
        for method in ["GET", "POST", "PURGE", "BAN"] {
            for target in [path.to_owned(), format!("http://{admin}{path}")] {
                let ask = Ask::new(method, &target).header("Host", &admin).header("Authorization", "Bearer t");
                let answer = proxy.ask(&ask);
                assert!(
                    answer.text() == "of the origin" || answer.status == 400,
                    "{method} {target}: {}",
                    answer.text()
                );
            }
            let request = Request::builder().method(method).uri(format!("http://{admin}{path}"));
            let answer = http2.ask(request.header("authorization", "Bearer t").body(()).expect("a request"), &[]);
            assert_eq!(answer.expect("an answer").text(), "of the origin", "{method} {path}");
        }
    }
    assert_eq!(proxy.metric("breadbox_config_generation", &[]), 1.0);
    assert_eq!(proxy.metric("breadbox_purges_total", &[]), 0.0);
}

#[test]
fn changes_need_the_token() {
    // A POST without the token, or where none is set, is refused; the origin hears of nothing.
    let origin = Origin::start();
    let post = || Ask::new("POST", "/-/purge").body("{\"all\": true}");
    let closed = Breadbox::start(Config::isr(&origin, &[]));
    assert!(matches!(closed.admin_ask(&post()).status, 401 | 403));
    let guarded = Breadbox::start(Config::isr(&origin, &[]).admin("token: right"));
    assert!(matches!(guarded.admin_ask(&post()).status, 401 | 403));
    let wrong = post().header("Authorization", "Bearer wrong");
    assert!(matches!(guarded.admin_ask(&wrong).status, 401 | 403));
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_token_comes_from_the_environment() {
    // `${VAR}` is filled in, and never logged.
    let origin = Origin::start();
    let config = Config::isr(&origin, &[]).admin("token: ${SCENARIO_TOKEN}").top("threads: ${SCENARIO_THREADS:-1}");
    let proxy = Breadbox::start_with(config, &[("SCENARIO_TOKEN", "from-the-environment")], &[]);
    assert_eq!(proxy.admin_ask(&Ask::get("/healthz")).status, 200);
    assert!(proxy.logs().iter().all(|line| !line.contains("from-the-environment")));
}
