//! Logs: one line for each event, for a person on a terminal and as JSON everywhere else, on stderr.
//! A line never holds a cookie, a credential or a query, whatever the level, and nothing that a
//! visitor sends can break it or draw on a terminal.
//!
//! Breadbox's own events never hold any of those. Other crates' may: pingora writes request lines
//! into its errors, and `h2` whole header blocks into its traces. So of other crates only warnings
//! and errors are heard, and of pingora only what [`gate`] lets through.
//!
//! In JSON an event's fields stand beside `timestamp`, `level`, `target` and `message`, so no field
//! may be called that.

pub mod access;
mod gate;
mod human;
pub mod once;

pub use access::AccessEvent;
pub use once::{Notice, Once};

use std::env;
use std::io::IsTerminal;
use tracing::{Level, Metadata, Subscriber, warn};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// Where the level comes from; the first one that is set counts.
const VARIABLES: [&str; 2] = ["BREADBOX_LOG", "RUST_LOG"];
/// The level of whatever the variables do not name.
const DEFAULT: &str = "info";

/// The running log; it can be told another level.
pub struct Telemetry {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Why logging could not be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody has set up logging in this process before.
    #[error("logging is already set up in this process")]
    AlreadyStarted,
    /// Not a list of `target=level`.
    #[error("not a list of `target=level`: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The log is gone.
    #[error("the log is no longer there: {0}")]
    Gone(#[from] reload::Error),
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Human,
    Json,
}

/// Starts to log, once in a process. The level is that of `BREADBOX_LOG` or `RUST_LOG`
/// (`info`, `breadbox::access=debug`, …), else `info`; one that is no such list is reported and ignored.
pub fn start() -> Result<Telemetry, Error> {
    let format = if std::io::stderr().is_terminal() { Format::Human } else { Format::Json };
    let wanted = VARIABLES.into_iter().find_map(|name| Some((name, env::var(name).ok().filter(|v| !v.is_empty())?)));
    let (filter, mistake) = match wanted.as_ref().map(|(name, directives)| (name, filter(directives))) {
        None => (EnvFilter::new(DEFAULT), None),
        Some((_, Ok(filter))) => (filter, None),
        Some((name, Err(error))) => (EnvFilter::new(DEFAULT), Some((name, error))),
    };
    let (subscriber, filter) = subscriber(filter, format, std::io::stderr);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Error::AlreadyStarted)?;
    gate::open().map_err(|_| Error::AlreadyStarted)?;
    if let Some((variable, error)) = mistake {
        warn!(variable, %error, instead = DEFAULT, "the log level is not understood and ignored");
    }
    Ok(Telemetry { filter })
}

impl Telemetry {
    /// Changes what is logged from now on; written as in `RUST_LOG`.
    pub fn set_level(&self, directives: &str) -> Result<(), Error> {
        Ok(self.filter.reload(filter(directives)?)?)
    }
}

/// The filter of such a list; what it does not name keeps the default, so that asking for access
/// events does not silence everything else.
fn filter(directives: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(format!("{DEFAULT},{directives}"))
}

fn subscriber<W>(
    filter: EnvFilter,
    format: Format,
    writer: W,
) -> (impl Subscriber + Send + Sync, reload::Handle<EnvFilter, Registry>)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter);
    // Complaints about a log that cannot be written would go to the same place, and panic there.
    let lines = fmt::layer().with_writer(writer).log_internal_errors(false);
    let lines = match format {
        Format::Human => lines.fmt_fields(human::Fields).boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    (tracing_subscriber::registry().with(filter).with(filter_fn(may_be_heard)).with(lines), handle)
}

/// Own events at any level, others' from warnings up.
fn may_be_heard(event: &Metadata<'_>) -> bool {
    let target = event.target();
    let own = target.strip_prefix("breadbox").is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    own || *event.level() <= Level::WARN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::outcome::{Forwarded, Outcome, Served};
    use parking_lot::Mutex;
    use serde_json::json;
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;
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

    /// What is logged by `act` under these directives.
    fn logged(format: Format, directives: &str, act: impl FnOnce(&reload::Handle<EnvFilter, Registry>)) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let (subscriber, handle) = subscriber(filter(directives).unwrap(), format, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || act(&handle));
        String::from_utf8(std::mem::take(&mut sink.0.lock())).unwrap()
    }

    const EVIL: &str = "a\nINFO forged\r\x1b[31mred\u{9b}\0\u{7f}\u{85}";

    /// Control characters stay within their line, in a message, in a text and in what is displayed.
    #[test]
    fn nothing_breaks_a_line() {
        for format in [Format::Human, Format::Json] {
            let text = logged(format, "", |_| info!(text = EVIL, shown = %EVIL, debugged = ?EVIL, "it said {EVIL}"));
            let line = text.strip_suffix('\n').unwrap();
            // The colours of the terminal are tracing's own and not from the event.
            let line = match format {
                Format::Human => line.split_once("it said").unwrap().1,
                Format::Json => line,
            };
            let broken = line.chars().find(|c| *c < ' ' || (format == Format::Human && c.is_control()));
            assert_eq!(broken, None, "{format:?}: {line:?}");
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
            debug!(target: "breadbox::access", "access");
            debug!(target: "breadbox::other", "other");
            info!(target: "breadbox::other", "news");
        };
        let heard = |directives| {
            let text = logged(Format::Json, directives, act);
            ["access", "other", "news"].map(|word| text.contains(&format!("\"message\":\"{word}\"")))
        };
        assert_eq!(heard(""), [false, false, true]);
        assert_eq!(heard("breadbox::access=debug"), [true, false, true]);
        assert_eq!(heard("warn"), [false, false, false]);
        assert_eq!(heard("warn,breadbox::access=debug"), [true, false, false]);
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

    /// An access event says what the outcome says, and not the query.
    #[test]
    fn an_access_event_is_its_outcome() {
        let outcome = Outcome {
            served: Served::Miss,
            forwarded: Some(Forwarded::UriMiss),
            fresh_until: None,
            stored: true,
            collapsed: false,
            fwd_status: None,
            detail: Some("vary"),
        };
        let text = logged(Format::Json, "breadbox::access=debug", |_| {
            assert!(AccessEvent::is_heard());
            let duration = Duration::from_micros(1_500);
            let (method, host, path, route) = ("GET", "shop.example", "/a?token=secret", "/{*rest}");
            AccessEvent { method, host, path, route, status: 200, outcome: &outcome, bytes: 7, duration }.emit();
        });
        assert!(!text.contains("secret"), "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (field, value) in [
            ("level", json!("DEBUG")),
            ("target", json!("breadbox::access")),
            ("method", json!("GET")),
            ("host", json!("shop.example")),
            ("path", json!("/a")),
            ("route", json!("/{*rest}")),
            ("status", json!(200)),
            ("served", json!("miss")),
            ("fwd", json!("uri-miss")),
            ("fwd_status", json!(null)),
            ("stored", json!(true)),
            ("collapsed", json!(false)),
            ("detail", json!("vary")),
            ("bytes", json!(7)),
            ("duration_ms", json!(1.5)),
        ] {
            assert_eq!(line[field], value, "{field}");
        }
        assert_eq!(logged(Format::Json, "", |_| assert!(!AccessEvent::is_heard())), "");
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
}
