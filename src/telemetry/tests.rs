//! What the log says, in both forms, and what it never says.

use super::access::Times;
use super::*;
use crate::config::{AccessLog, Config, LogLevel};
use crate::policy::RequestId;
use crate::policy::outcome::{Forwarded, Outcome, Served};
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::json;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use tracing::{debug, info};

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Human,
    Json,
}

/// What is logged by `act` under these directives.
fn logged(format: Format, directives: &str, act: impl FnOnce(&reload::Handle<EnvFilter, Registry>)) -> String {
    let sink = Sink::default();
    let writer = sink.clone();
    let is_json = Arc::new(AtomicBool::new(format == Format::Json));
    let (subscriber, handle) = subscriber(filter(directives).unwrap(), is_json, false, move || writer.clone());
    tracing::subscriber::with_default(subscriber, || act(&handle));
    String::from_utf8(std::mem::take(&mut sink.0.lock())).unwrap()
}

const EVIL: &str = "a\nINFO forged\r\x1b[31mred\u{9b}\0\u{7f}\u{85}\u{2028}\u{202e}";

/// Control characters stay within their line, in a message, in a text and in what is displayed.
#[test]
fn nothing_breaks_a_line() {
    for format in [Format::Human, Format::Json] {
        let text = logged(format, "", |_| info!(text = EVIL, shown = %EVIL, debugged = ?EVIL, "it said {EVIL}"));
        let line = text.strip_suffix('\n').unwrap();
        assert_eq!(line.chars().find(|c| control::steers(*c)), None, "{format:?}: {line:?}");
        assert!(line.contains("forged"), "{line}");
    }
}

/// A JSON line is one object with the fields beside the message.
#[test]
fn a_line_of_json_has_the_fields_at_the_top() {
    let text = logged(Format::Json, "", |_| info!(address = %"127.0.0.1:80", listener = %"public", "listening"));
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["message"], "listening");
    assert_eq!(line["address"], "127.0.0.1:80");
    assert_eq!(line["listener"], "public");
    assert_eq!(line["level"], "INFO");
}

/// On a terminal the fields follow the message, values that are displayed without quotes.
#[test]
fn a_line_for_people_reads_as_a_sentence() {
    let text = logged(Format::Human, "", |_| info!(address = %"127.0.0.1:80", name = "a b", "listening"));
    assert!(text.ends_with("listening address=127.0.0.1:80 name=\"a b\"\n"), "{text:?}");
}

/// Asking for one target leaves the rest as it was; a bare level is for the rest.
#[test]
fn what_the_level_does_not_name_keeps_the_default() {
    let act = |_: &_| {
        debug!(target: "breadbox::render", "render");
        debug!(target: "breadbox::other", "other");
        info!(target: "breadbox::other", "news");
    };
    let heard = |directives| {
        let text = logged(Format::Json, directives, act);
        ["render", "other", "news"].map(|word| text.contains(&format!("\"message\":\"{word}\"")))
    };
    assert_eq!(heard(""), [false, false, true]);
    assert_eq!(heard("breadbox::render=debug"), [true, false, true]);
    assert_eq!(heard("warn"), [false, false, false]);
    assert_eq!(heard("warn,breadbox::render=debug"), [true, false, false]);
}

/// A level given later counts from then on.
#[test]
fn the_level_can_be_changed_later() {
    let text = logged(Format::Json, "", |handle| {
        debug!(target: "breadbox", "first");
        handle.reload(filter("debug").unwrap()).unwrap();
        debug!(target: "breadbox", "second");
    });
    assert!(!text.contains("first") && text.contains("second"), "{text}");
}

/// Other crates trace header blocks; no level makes that heard.
#[test]
fn other_crates_are_heard_from_warnings_up_only() {
    let text = logged(Format::Json, "trace", |_| {
        tracing::trace!(target: "h2::hpack", "cookie: secret");
        info!(target: "hyper", "cookie: secret");
        info!(target: "breadboxes", "cookie: secret");
        warn!(target: "foyer", "the disk is slow");
        tracing::trace!(target: "breadbox::store", "ours");
    });
    assert!(!text.contains("secret"), "{text}");
    assert!(text.contains("the disk is slow") && text.contains("ours"), "{text}");
}

/// What the file says by default, with this of `log`.
fn of(log: &str) -> Log {
    let yaml = format!("log: {log}\norigins: {{ web: {{ servers: [ \"http://127.0.0.1:3000\" ] }} }}\n");
    Config::parse(&yaml, Path::new("proxy.yaml"), &|_| None).unwrap().log
}

const OUTCOME: Outcome = Outcome {
    served: Served::Miss,
    forwarded: Some(Forwarded::UriMiss),
    fresh_until: None,
    stored: true,
    collapsed: false,
    fwd_status: None,
    detail: Some("vary"),
};

fn event<'a>(id: &'a RequestId) -> AccessEvent<'a> {
    let ms = |micros| Duration::from_micros(micros);
    AccessEvent {
        id,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        protocol: "HTTP/1.1",
        method: "GET",
        scheme: "http",
        host: b"shop.example",
        target: b"/a?token=secret&b=1",
        agent: b"curl/8",
        traceparent: Some(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        route: "/{*rest}",
        status: 200,
        outcome: &OUTCOME,
        received: 3,
        bytes: 7,
        times: Times { total: ms(1_500), first_byte: Some(ms(1_250)), origin: Some(ms(1_000)) },
    }
}

/// An access event says what the outcome says, and no secret of the query.
#[test]
fn an_access_event_is_its_outcome() {
    let id = RequestId::made(1);
    let text = logged(Format::Json, "warn", |_| event(&id).emit(&of("{ access: on }")));
    assert!(!text.contains("secret"), "{text}");
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (field, value) in [
        ("level", json!("INFO")),
        ("target", json!("breadbox::access")),
        ("message", json!("request")),
        ("id", json!("00000000000000000000000000000001")),
        ("client", json!("127.0.0.1")),
        ("protocol", json!("HTTP/1.1")),
        ("method", json!("GET")),
        ("scheme", json!("http")),
        ("host", json!("shop.example")),
        ("path", json!("/a")),
        ("query", json!("token=REDACTED&b=1")),
        ("route", json!("/{*rest}")),
        ("status", json!(200)),
        ("served", json!("miss")),
        ("fwd", json!("uri-miss")),
        ("fwd_status", json!(null)),
        ("stored", json!(true)),
        ("collapsed", json!(false)),
        ("detail", json!("vary")),
        ("received", json!(3)),
        ("bytes", json!(7)),
        ("duration_ms", json!(1.5)),
        ("first_byte_ms", json!(1.25)),
        ("origin_ms", json!(1.0)),
        ("agent", json!("curl/8")),
        ("trace", json!("4bf92f3577b34da6a3ce929d0e0e4736")),
    ] {
        assert_eq!(line[field], value, "{field}");
    }
}

/// Off is off, a share is a share, and what failed is heard in every share.
#[test]
fn access_events_are_on_off_or_sampled() {
    let wanted = |log: &str, outcome: &Outcome, status| access::is_wanted(&of(log), outcome, status);
    let failed = Outcome { served: Served::Failed, ..OUTCOME };
    assert!(!wanted("{}", &failed, 502) && !wanted("{ access: off }", &failed, 502));
    assert!(wanted("{ access: on }", &OUTCOME, 200));
    assert!(wanted("{ access: 0.0001% }", &failed, 502) && wanted("{ access: 0.0001% }", &OUTCOME, 500));
    assert_eq!(of("{ access: 0.0001% }").access, AccessLog::Sampled(1));
    assert!((0..100).any(|_| wanted("{ access: 50% }", &OUTCOME, 200)));
    assert!((0..100).any(|_| !wanted("{ access: 50% }", &OUTCOME, 200)));
}

/// The level that a variable names replaces the file's, and every level of the file is a filter.
#[test]
fn every_level_of_the_file_is_a_filter() {
    for level in LogLevel::ALL {
        let log = Log { level, ..of("{}") };
        let _ = of_file(&log);
    }
}

proptest! {
    /// Whatever a visitor sends, an access event is one line that steers no terminal, and JSON where that
    /// is wanted.
    #[test]
    fn whatever_is_sent_an_access_event_is_one_line(
        (host, target, agent) in (bytes(), bytes(), bytes()),
        method in "[\u{0}-\u{ff}]{0,40}",
        route in "[\u{0}-\u{ff}]{0,10}",
    ) {
        let id = RequestId::made(7);
        let log = of("{ access: on }");
        for format in [Format::Human, Format::Json] {
            let sent = AccessEvent {
                host: &host, target: &target, agent: &agent, traceparent: Some(&agent), method: &method, route: &route,
                ..event(&id)
            };
            let text = logged(format, "", |_| sent.emit(&log));
            let line = text.strip_suffix('\n').unwrap();
            prop_assert_eq!(line.chars().find(|c| control::steers(*c)), None, "{:?}: {:?}", format, line);
            prop_assert!(line.len() < 40_000, "{} bytes", line.len());
            if format == Format::Json {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                prop_assert_eq!(&line["status"], &json!(200));
            }
        }
    }
}

/// Bytes, among them many that mean something to a terminal or to JSON.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces = proptest::sample::select(vec![
        &b"\n"[..],
        b"\r\n",
        b"\x1b[2J",
        b"\x1b]0;x\x07",
        b"\xc2\x9b31m",
        b"\xe2\x80\xa8",
        b"\xe2\x80\xae",
        b"\"",
        b"\\",
        b"\0",
        b"\x7f",
        b"\xff",
        b"/",
        b"?token=",
        b"&",
        b"%0a",
        b"\xf0\x9f\x8d\x9e",
        b"a",
    ]);
    let noise = proptest::collection::vec(any::<u8>(), 0..8);
    let piece = prop_oneof![pieces.prop_map(<[u8]>::to_vec), noise];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// What pingora writes about requests is kept back with its place in its source; what it writes
/// about listeners is heard.
#[test]
fn pingora_cannot_log_a_request() {
    let text = logged(Format::Json, "trace", |_| {
        let gate = gate::Gate::new();
        let say = |target: &str, level, text: &str| {
            let args = format_args!("{text}");
            log::Log::log(
                &gate,
                &log::Record::builder()
                    .target(target)
                    .level(level)
                    .file(Some("lib.rs"))
                    .line(Some(7))
                    .args(args)
                    .build(),
            );
        };
        say("pingora_proxy", log::Level::Error, "Fail to proxy: GET /?token=secret, Host: a");
        say("pingora_core::protocols::http::v1::client", log::Level::Warn, "buf: Set-Cookie: secret");
        say("pingora_core::serverless", log::Level::Warn, "secret");
        say("pingora_core::apps::http_app", log::Level::Trace, "Cookie: secret");
        say("pingora_core::services::listening", log::Level::Info, "chatter");
        say("pingora_core::services::listening", log::Level::Error, "Accept() failed");
    });
    assert!(!text.contains("secret") && !text.contains("chatter"), "{text}");
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.contains("Accept() failed"), "{text}");
    assert!(text.contains("\"place\":\"lib.rs:7\""), "{text}");
}
