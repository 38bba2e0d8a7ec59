//! What the log costs a request: nothing when it is off, a draw when it is sampled, a line when it is on; and what
//! a request's name costs. It prints figures on stdout and asserts nothing about time; the log goes to stderr, so
//! run it with `2>/dev/null`.

use breadbox::config::{AccessLog, Config, Log, LogFormat};
use breadbox::policy::RequestId;
use breadbox::policy::outcome::{Outcome, Served};
use breadbox::telemetry::access::{self, AccessEvent, Times};
use breadbox::telemetry::{self, ids};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 200_000;

const HIT: Outcome = Outcome {
    served: Served::Hit,
    forwarded: None,
    fresh_until: None,
    stored: false,
    collapsed: false,
    fwd_status: None,
    detail: None,
};

fn main() {
    // `cargo bench --no-run` and `cargo test --benches` pass arguments of their own; none mean anything here.
    let yaml = "origins: { web: { servers: [ \"http://127.0.0.1:3000\" ] } }\n";
    let config = Config::parse(yaml, Path::new("proxy.yaml"), &|_| None).expect("a valid configuration");
    let log = |access| Log { access, format: LogFormat::Json, buffer: 64 << 20, ..config.log.clone() };
    let [off, sampled, on] = [AccessLog::Off, AccessLog::Sampled(10_000), AccessLog::On].map(log);
    let human = Log { format: LogFormat::Human, ..on.clone() };
    let telemetry = telemetry::start(&on).expect("the log starts");
    println!("| {:<58} | {:>12} |", "", "time");
    println!("|{:-<60}|{:->13}:|", "", "");
    row("a name for a request", || {
        black_box(ids::fresh().as_bytes());
    });
    row("a request, access: off", || request(&off));
    row("a request, access: 1%", || request(&sampled));
    row("a request, access: on, as JSON", || request(&on));
    telemetry.change(&human).expect("the log is there");
    row("a request, access: on, for people", || request(&human));
    println!("\nlines dropped: {}", telemetry.dropped()());
}

fn row(what: &str, mut act: impl FnMut()) {
    (0..ROUNDS / 10).for_each(|_| act());
    let start = Instant::now();
    (0..ROUNDS).for_each(|_| act());
    println!("| {what:<58} | {:>9} ns |", (start.elapsed() / ROUNDS).as_nanos());
}

/// What the end of a hit does about the log.
fn request(log: &Log) {
    if !access::is_wanted(black_box(log), &HIT, 200) {
        return;
    }
    let us = Duration::from_micros;
    AccessEvent {
        id: &RequestId::made(7),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        protocol: "HTTP/1.1",
        method: "GET",
        scheme: "https",
        host: b"shop.example.com",
        target: b"/products/42?page=2&sort=price&token=secret",
        agent: b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
        traceparent: None,
        route: "/products/{id}",
        status: 200,
        outcome: &HIT,
        received: 0,
        bytes: 16_384,
        times: Times { total: us(21), first_byte: Some(us(14)), origin: None },
    }
    .emit(log);
}
