//! The harness against itself, without Breadbox: what the scenarios rely on when they say "while the
//! origin still renders" or "the origin never saw more than eight".

use super::harness::{Answer, Ask, Breadbox, Client, Gate, Identity, Origin, PATIENCE, crowd, eventually};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

#[test]
fn every_framing_carries_the_body() {
    // An answer arrives whole, whichever way it says where it ends.
    let origin = Origin::start();
    let body = "x".repeat(100_000);
    origin.answer("/length", Answer::html(body.clone()));
    origin.answer("/chunked", Answer::html(body.clone()).chunked());
    origin.answer("/close", Answer::html(body.clone()).until_close());
    let mut client = Client::connect(origin.addr());
    for path in ["/length", "/chunked", "/close", "/length"] {
        assert_eq!(client.get(path).text(), body, "{path}");
    }
    assert_eq!(client.ask(&Ask::head("/length")).header("content-length"), Some("100000"));
}

#[test]
fn the_ledger_tells_requests_in_flight() {
    // Held requests are in flight together, each is recorded as it came, and they settle when answered.
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.otherwise(move |x| {
        x.hold(&held)?;
        let n = x.nth;
        x.answer(&Answer::html(format!("{n}")))
    });
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| crowd(origin.addr(), 8, |i, client| client.get(&format!("/p?i={i}")).text()));
        origin.wait_for_in_flight(8);
        gate.wait_for(8);
        gate.let_through(3);
        eventually("three settle", Duration::from_secs(10), || origin.in_flight() == 5);
        gate.open();
        let mut bodies = asked.join().expect("clients do not panic");
        bodies.sort();
        assert_eq!(bodies, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    });
    assert_eq!((origin.max_in_flight(), origin.in_flight(), origin.renders("/p")), (8, 0, 8));
    assert_eq!(origin.renders("/p?i=3"), 1);
}

#[test]
fn a_crowd_is_served_together() {
    // Five hundred clients hold their connections open at the same moment, and each gets an answer of its own.
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.otherwise(move |x| {
        x.hold(&held)?;
        let target = x.seen.target.clone();
        x.answer(&Answer::html(target))
    });
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| crowd(origin.addr(), 500, |i, client| client.get(&format!("/{i}")).text()));
        origin.wait_for_in_flight(500);
        gate.open();
        let bodies = asked.join().expect("clients do not panic");
        assert!(bodies.iter().enumerate().all(|(i, body)| *body == format!("/{i}")));
    });
}

#[test]
fn a_body_can_be_held_in_the_middle() {
    // The first bytes arrive while the rest is held.
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/", move |x| x.answer_held(&Answer::html("first and last").chunked(), 5, &held));
    let mut client = Client::connect(origin.addr());
    client.send(&Ask::get("/")).expect("the origin reads");
    client.head().expect("a head");
    assert_eq!(client.at_least(5), b"first");
    gate.open();
    assert_eq!(client.rest().expect("the rest"), b" and last");
}

#[test]
fn bad_answers_are_bad() {
    // Truncation, reset and garbage are seen as such, and a script whose client left counts as aborted.
    let origin = Origin::start();
    origin.on("/truncated", |x| x.truncated(&Answer::html("half"), 8));
    origin.on("/reset", |x| {
        x.reset();
        Ok(())
    });
    origin.on("/garbage", |x| {
        x.close();
        x.send(b"\x16\x03nonsense\r\n\r\n")
    });
    for path in ["/truncated", "/reset"] {
        assert!(Client::connect(origin.addr()).try_ask(&Ask::get(path)).is_err(), "{path}");
    }
    assert_eq!(Client::connect(origin.addr()).get("/garbage").status, 0);
    origin.on("/endless", |x| {
        x.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            x.chunk(&[b'x'; 16 * 1024])?;
        }
    });
    let mut client = Client::connect(origin.addr());
    client.send(&Ask::get("/endless")).expect("the origin reads");
    client.head().expect("a head");
    client.at_least(100_000);
    client.abort();
    eventually("the script fails", Duration::from_secs(10), || origin.aborted("/endless") == 1);
}

#[test]
fn a_stopped_origin_refuses_and_comes_back() {
    // Stopping resets connections and refuses new ones; the same port answers again afterwards.
    let origin = Origin::start();
    let mut client = Client::connect(origin.addr());
    assert_eq!(client.get("/").text(), "page / #1");
    for _ in 0..3 {
        origin.stop();
        assert!(client.try_ask(&Ask::get("/")).is_err());
        assert!(TcpStream::connect(origin.addr()).is_err());
        origin.start_again();
        client = Client::connect(origin.addr());
        assert_eq!(client.get("/").status, 200);
    }
}

#[test]
fn request_bodies_are_hashed() {
    // A body is measured and hashed, however it was framed; 100-continue is answered.
    let origin = Origin::start();
    let body = vec![b'a'; 200_000];
    let mut client = Client::connect(origin.addr());
    client.ask(&Ask::new("POST", "/up").body(body.clone()));
    client.ask(&Ask::new("POST", "/up").chunked_body(body.clone()));
    let answered = client.ask(&Ask::new("POST", "/up").body(body.clone()).header("Expect", "100-continue"));
    assert!(matches!(&answered.informational[..], [head] if head.start.contains(" 100 ")));
    for seen in origin.requests("/up") {
        assert_eq!((seen.body_len, seen.body_hash), (200_000, xxhash_rust::xxh3::xxh3_64(&body)));
    }
}

#[test]
fn an_origin_speaks_tls() {
    // The TLS origin answers as its certificate says.
    let identity = Identity::localhost();
    assert!(identity.pem.contains("BEGIN CERTIFICATE"));
    let origin = Origin::start_tls(identity);
    assert!(origin.url().starts_with("https://localhost:"));
    assert!(Client::connect(origin.addr()).try_ask(&Ask::get("/")).is_err(), "plain HTTP is no TLS");
}

/// A process that logs as Breadbox does that the origin's address is its own, then does `act`.
fn stand_in(origin: &Origin, act: &str) -> Breadbox {
    let event = |listener| {
        let fields = format!(r#""message":"listening","listener":"{listener}","address":"{}""#, origin.addr());
        format!(r#"echo '{{"level":"INFO","fields":{{{fields}}}}}' >&2"#)
    };
    let script = format!("{}; {}; {act}", event("admin"), event("public"));
    let mut command = Command::new("sh");
    command.args(["-c", &script]);
    Breadbox::spawn(command, 1, None)
}

/// Whether the end of the scenario is a failure.
fn complains(breadbox: Breadbox) -> bool {
    catch_unwind(AssertUnwindSafe(|| drop(breadbox))).is_err()
}

#[test]
fn a_scenario_fails_when_the_process_misbehaved() {
    // An ERROR nobody expected, a panic and an early end are complaints; good order and a told end are none.
    let origin = Origin::start();
    let error = r#"echo '{"level":"ERROR","fields":{"message":"the disk is full"}}' >&2; exec sleep 100"#;
    assert!(!complains(stand_in(&origin, "exec sleep 100")));
    let logged = |act| {
        let breadbox = stand_in(&origin, act);
        eventually("the line is read", PATIENCE, || breadbox.logs().len() >= 3);
        breadbox
    };
    assert!(complains(logged(error)));
    let expecting = logged(error);
    expecting.expect_error("disk is full");
    assert_eq!(expecting.count_logged("ERROR", "disk"), 1);
    assert!(!complains(expecting));
    assert!(complains(logged("echo \"thread 'main' panicked at src/x.rs\" >&2; exec sleep 100")));
    let gone = logged("echo bye >&2; exit 0");
    gone.wait_exit(PATIENCE);
    assert!(complains(gone));
    let told = logged("trap 'exit 7' TERM; echo ready >&2; while :; do sleep 0.01; done");
    told.sigterm();
    assert_eq!(told.wait_exit(PATIENCE).code(), Some(7));
    assert!(!complains(told));
}

#[test]
fn metrics_are_summed_over_labels() {
    // Series of the asked name whose labels fit are added up; others do not count.
    let origin = Origin::start();
    let text = "# TYPE a counter\na{x=\"1\",y=\"1\"} 1\na{x=\"1\",y=\"2\"} 2\na{x=\"2\"} 4\nab 8\n";
    origin.answer("/metrics", Answer::new(text));
    let breadbox = stand_in(&origin, "exec sleep 100");
    let sum = |name, labels| breadbox.metric(name, labels);
    assert_eq!((sum("a", &[]), sum("a", &[("x", "1")]), sum("ab", &[]), sum("c", &[])), (7.0, 3.0, 8.0, 0.0));
}
