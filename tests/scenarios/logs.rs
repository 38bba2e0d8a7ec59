//! The log: one access event for each request, as JSON, that nothing a visitor sends can break or fill
//! with secrets; and a reader of the log that is stuck, which costs nobody a request.

use super::harness::{Answer, Ask, Breadbox, Client, Config, Http2, Origin, PATIENCE, Response, eventually};
use serde_json::Value;

const LARGE: usize = 7 << 20;

fn logging(origin: &Origin, log: &str) -> Config {
    Config::new(origin).top(&format!("log: {log}")).route("/off/{*rest}", "off", &[]).route(
        "/isr/{*rest}",
        "isr",
        &["revalidate: 1h"],
    )
}

/// The access events so far; every line of the log has to be JSON.
fn events(proxy: &Breadbox) -> Vec<Value> {
    let lines = proxy.logs();
    let parsed = lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line:?}")));
    parsed.filter(|event: &Value| event["target"] == "breadbox::access").collect()
}

/// Waits until there are this many access events.
#[track_caller]
fn wait_for(proxy: &Breadbox, n: usize) -> Vec<Value> {
    eventually(&format!("{n} access events"), PATIENCE, || events(proxy).len() >= n);
    events(proxy)
}

#[test]
fn every_request_has_one_event_that_says_what_became_of_it() {
    // A miss, a hit, a bypass with a body and a refusal: route, outcome, reason, times, sizes and the name of each.
    let origin = Origin::start();
    origin.answer("/isr/a", Answer::html("12345"));
    let proxy = Breadbox::start(logging(&origin, "{ access: on }"));
    let host = |ask: Ask| ask.header("Host", "shop.test").header("User-Agent", "test/1");
    let answers = [
        proxy.ask(&host(Ask::get("/isr/a?b=1").header("X-Request-Id", "first"))),
        proxy.ask(&host(Ask::get("/isr/a?b=1"))),
        proxy.ask(&host(Ask::new("POST", "/off/x").body("1234567"))),
        proxy.ask(&Ask::get("/isr/a").header("Host", "a b")),
    ];
    let events = wait_for(&proxy, 4);
    assert_eq!(events.len(), 4, "{events:?}");
    // Events come as requests end, which is not the order in which clients hear of it.
    let event_of = |answer: &Response| {
        let name = answer.header("x-request-id").expect("every answer names its request");
        events.iter().find(|event| event["id"] == name).unwrap_or_else(|| panic!("{name} in {events:?}"))
    };
    for (event, answer) in answers.iter().map(|answer| (event_of(answer), answer)) {
        assert_eq!((event["status"].as_u64(), event["level"].as_str()), (Some(answer.status.into()), Some("INFO")));
        assert_eq!(event["bytes"], answer.body.len(), "{event}");
        assert_eq!(event["client"], "127.0.0.1");
        let (total, first) = (event["duration_ms"].as_f64().unwrap(), event["first_byte_ms"].as_f64().unwrap());
        assert!(0.0 < first && first <= total && total < 60_000.0, "{event}");
    }
    let [miss, hit, bypass, refused] = [0, 1, 2, 3].map(|i| event_of(&answers[i]));
    assert_eq!(
        (&miss["id"], &miss["route"], &miss["host"]),
        (&"first".into(), &"/isr/{*rest}".into(), &"shop.test".into())
    );
    assert_eq!((&miss["path"], &miss["query"], &miss["agent"]), (&"/isr/a".into(), &"b=1".into(), &"test/1".into()));
    assert_eq!((&miss["served"], &miss["fwd"], &miss["stored"]), (&"miss".into(), &"uri-miss".into(), &true.into()));
    assert!(miss["origin_ms"].as_f64().unwrap() <= miss["first_byte_ms"].as_f64().unwrap(), "{miss}");
    assert_eq!((&hit["served"], &hit["origin_ms"], &hit["fwd"]), (&"hit".into(), &Value::Null, &Value::Null));
    assert_eq!(
        (&bypass["served"], &bypass["fwd"], &bypass["received"]),
        (&"bypass".into(), &"method".into(), &7.into())
    );
    assert!(bypass["origin_ms"].is_f64(), "{bypass}");
    assert_eq!((&refused["served"], &refused["status"]), (&"refused".into(), &400.into()));
    assert!(refused["detail"].is_string(), "{refused}");
}

#[test]
fn the_first_byte_of_a_hit_is_not_the_last_one() {
    // More than the client's window over HTTP/2, and than a client takes that does not read over HTTP/1.1.
    let origin = Origin::start();
    origin.answer("/isr/large", Answer::html("x".repeat(LARGE)));
    let proxy = Breadbox::start(logging(&origin, "{ access: on }").listener("h2c: true"));
    let ask = Ask::get("/isr/large").header("Host", "a.test");
    assert_eq!(proxy.ask(&ask).status, 200);
    assert_eq!(Http2::plain(proxy.addr()).get("http://a.test/isr/large").body.len(), LARGE);
    let mut slow = proxy.client();
    slow.send(&ask).expect("the proxy reads");
    assert!(proxy.ask(&ask).is_hit(), "it was read meanwhile");
    assert_eq!(slow.response().expect("an answer").body.len(), LARGE);
    let events = wait_for(&proxy, 4);
    for (event, protocol) in [(&events[1], "HTTP/2.0"), (&events[3], "HTTP/1.1")] {
        assert_eq!((&event["served"], &event["protocol"]), (&"hit".into(), &protocol.into()));
        let (total, first) = (event["duration_ms"].as_f64().unwrap(), event["first_byte_ms"].as_f64().unwrap());
        assert!(first < total, "{event}");
    }
}

#[test]
fn no_secret_is_logged() {
    // Cookies, credentials and values of secret parameters are in no line, at the most talkative level, whatever fails.
    const SECRET: &str = "s3cr3t-v4lue";
    let origin = Origin::start();
    origin.otherwise(|x| {
        if x.seen.target.contains("fail") {
            return x.answer(&Answer::status(500).header("Set-Cookie", "a=s3cr3t-v4lue"));
        }
        x.answer(&Answer::html("page").header("Set-Cookie", "a=s3cr3t-v4lue").header("X-Custom", "s3cr3t-v4lue"))
    });
    let proxy = Breadbox::start(
        logging(&origin, "{ access: on, level: trace }").route("/headers", "headers", &[]).admin("token: s3cr3t-v4lue"),
    );
    let secret = |ask: Ask| {
        ask.header("Cookie", &format!("session={SECRET}"))
            .header("Authorization", &format!("Bearer {SECRET}"))
            .header("Proxy-Authorization", &format!("Basic {SECRET}"))
            .header("X-Api-Key", SECRET)
            .header("Referer", &format!("http://u:{SECRET}@a.test/?token={SECRET}"))
    };
    let query =
        format!("token={SECRET}&q=1&%70assword={SECRET};x={SECRET}&user[api_key]={SECRET}&next=%2F%3Fcode%3D{SECRET}");
    let mut asked = 0;
    for path in ["/isr/a", "/isr/fail", "/off/a", "/off/fail", "/headers", "/isr/a;jsessionid"] {
        let target = if path.contains(';') { format!("{path}={SECRET}") } else { format!("{path}?{query}") };
        for ask in [Ask::get(&target), Ask::new("POST", &target).body(format!("password={SECRET}"))] {
            proxy.ask(&secret(ask));
            asked += 1;
        }
    }
    // A failing render, and a user in an absolute target, which is refused before there is an event.
    proxy.ask(&Ask::get(&format!("/isr/fail?token={SECRET}")).header("X-Api-Key", SECRET));
    proxy.ask(&Ask::get(&format!("http://user:{SECRET}@a.test/isr/a")));
    proxy.admin_ask(
        &Ask::new("POST", "/-/purge").header("Authorization", &format!("Bearer {SECRET}")).body("{\"all\":true}"),
    );
    proxy.admin_ask(
        &Ask::get(&format!("/-/explain?url=/a%3Ftoken={SECRET}")).header("Authorization", &format!("Bearer {SECRET}")),
    );
    wait_for(&proxy, asked + 1);
    let log = proxy.logs().join("\n");
    assert!(!log.contains(SECRET), "{log}");
    assert!(log.contains("q=1") && log.contains("token=REDACTED"), "{log}");
}

#[test]
fn nothing_a_visitor_sends_breaks_a_line() {
    // Control characters, terminal escapes and bytes that are no text in path, query, host, method and fields.
    let origin = Origin::start();
    let proxy = Breadbox::start(logging(&origin, "{ access: on }"));
    let evil: [&[u8]; 9] = [
        b"\x1b[2J",
        b"\x1b]0;x\x07",
        b"\xc2\x9b31m",
        b"\xe2\x80\xa8",
        b"\xe2\x80\xae",
        b"\x7f",
        b"\xff\xfe",
        b"\"\\",
        b"%0a%1b",
    ];
    for piece in evil {
        let around = |start: &[u8], end: &[u8]| [start, piece, end].concat();
        for head in [
            around(b"GET /off/", b" HTTP/1.1\r\nHost: a.test\r\n\r\n"),
            around(b"GET /off/?a=", b" HTTP/1.1\r\nHost: a.test\r\n\r\n"),
            around(b"GET /off/ HTTP/1.1\r\nHost: a", b".test\r\n\r\n"),
            around(b"GET", b" /off/ HTTP/1.1\r\nHost: a.test\r\n\r\n"),
            around(b"GET /off/ HTTP/1.1\r\nHost: a.test\r\nUser-Agent: ", b"\r\nX-Request-Id: a\r\n\r\n"),
            around(b"GET /off/ HTTP/1.1\r\nHost: a.test\r\nX-Request-Id: ", b"\r\n\r\n"),
            around(b"GET /off/ HTTP/1.1\r\nHost: a.test\r\ntraceparent: ", b"\r\nX: ,\r\n\r\n"),
        ] {
            let mut client = Client::connect(proxy.addr());
            client.send_raw(&head).expect("the proxy reads");
            let _ = client.response();
        }
    }
    proxy.ask(&Ask::get("/off/end").header("X-Request-Id", "the-end"));
    proxy.wait_for_output("the-end");
    let events = events(&proxy);
    assert!(events.len() > 30, "{}", events.len());
    for line in proxy.logs() {
        let steers = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}');
        assert!(!line.contains(steers), "{line:?}");
    }
}

#[test]
fn access_events_are_off_by_default_and_a_share_has_all_that_fail() {
    // By default no request has an event; of a small share, those that fail have one each.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &[]));
    proxy.get("/a");
    proxy.admin_ask(&Ask::get("/metrics"));
    assert_eq!(events(&proxy).len(), 0);

    origin.answer("/off/fail", Answer::status(503));
    let proxy = Breadbox::start(logging(&origin, "{ access: 0.0001% }"));
    for _ in 0..20 {
        proxy.get("/off/good");
    }
    for _ in 0..3 {
        proxy.get("/off/fail");
    }
    let failed = wait_for(&proxy, 3);
    assert_eq!(failed.iter().filter(|event| event["status"] == 503).count(), 3, "{failed:?}");
    assert!(failed.len() < 10, "{failed:?}");
}

#[test]
fn the_level_of_the_file_counts_unless_a_variable_is_set() {
    // `log.level: warn` silences what happens seldom, not the access events; BREADBOX_LOG brings it back.
    let origin = Origin::start();
    let yaml = String::from(Config::isr(&origin, &[]).top("log: { level: debug, access: on }"));
    let proxy = Breadbox::start(yaml.as_str());
    proxy.get("/a");
    wait_for(&proxy, 1);
    assert!(proxy.count_logged("INFO", "listening") > 0);
    let proxy = Breadbox::start_with(yaml.replace("debug", "error"), &[("BREADBOX_LOG", "info")], &[]);
    proxy.get("/a");
    wait_for(&proxy, 1);
    assert!(proxy.count_logged("INFO", "listening") > 0, "the variable counts");
}

#[test]
fn a_reader_of_the_log_that_is_stuck_delays_nobody() {
    // The pipe is full and nobody reads it: requests go on as before, and the lines that are lost are counted.
    let origin = Origin::start();
    let config = logging(&origin, "{ access: on, buffer: 64KiB }");
    let proxy = Breadbox::start(config);
    let paused = proxy.pause_log();
    let mut client = proxy.client();
    let agent = "x".repeat(256);
    let dropped = || proxy.metric("breadbox_log_dropped_total", &[]);
    eventually("lines are dropped", PATIENCE, || {
        for _ in 0..100 {
            assert_eq!(client.ask(&Ask::get("/isr/a").header("User-Agent", &agent)).status, 200);
        }
        dropped() > 100.0
    });
    drop(paused);
    proxy.wait_for_output("lines of the log were dropped");
    let before = dropped();
    proxy.ask(&Ask::get("/isr/a").header("X-Request-Id", "afterwards"));
    proxy.wait_for_output("afterwards");
    assert_eq!(dropped(), before, "nothing is lost any more");
}
