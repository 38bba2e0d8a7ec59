//! Logs: one line for each event, for a person on a terminal and as JSON everywhere else, on stderr.
//! A line never holds a cookie or a credential, whatever the level, and nothing that a
//! visitor sends can break it or draw on a terminal.
//!
//! Breadbox's own events never hold any of those. Other crates' may: pingora writes request lines
//! into its errors, and `h2` whole header blocks into its traces. So of other crates only warnings
//! and errors are heard, and of pingora only what [`gate`] lets through.
//!
//! In JSON an event's fields stand beside `timestamp`, `level`, `target` and `message`, so no field
//! may be called that.

pub mod access;
mod control;
mod gate;
mod human;
pub mod ids;
mod lines;
pub mod once;
mod panics;
mod queue;

pub use access::AccessEvent;
pub use once::{Notice, Once};

use crate::config::{Log, LogFormat};
use lines::Lines;
use queue::{Queue, Sink};
use std::env;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tracing::{Level, Metadata, Subscriber, warn};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// Where the level comes from before the file is asked; the first one that is set counts.
const VARIABLES: [&str; 2] = ["BREADBOX_LOG", "RUST_LOG"];

/// Access events are switched by `log.access`, not by the level of everything else.
const ACCESS: &str = "breadbox::access=info";

/// How long the end of the process waits for whoever reads the log.
const FAREWELL: Duration = Duration::from_secs(1);

/// The running log; it can be told another level and another form. When it is dropped, what waits is written.
pub struct Telemetry {
    filter: reload::Handle<EnvFilter, Registry>,
    is_json: Arc<AtomicBool>,
    queue: Arc<Queue>,
    /// The level is that of a variable, whatever the file says.
    is_overridden: bool,
}

/// Why logging could not be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody has set up logging in this process before.
    #[error("logging is already set up in this process")]
    AlreadyStarted,
    /// The log is gone.
    #[error("the log is no longer there: {0}")]
    Gone(#[from] reload::Error),
    /// The thread that writes lines cannot be had.
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(#[from] std::io::Error),
}

/// Starts to log, once in a process. The level is that of `BREADBOX_LOG` or `RUST_LOG`
/// (`info`, `breadbox::render=debug`, …), else the file's; a variable that is no such list is reported and ignored.
///
/// # Errors
/// When this process logs already, or a thread cannot be had.
pub fn start(log: &Log) -> Result<Telemetry, Error> {
    let wanted = VARIABLES.into_iter().find_map(|name| Some((name, env::var(name).ok().filter(|v| !v.is_empty())?)));
    let (overriding, mistake) = match wanted.as_ref().map(|(name, directives)| (name, filter(directives))) {
        None => (None, None),
        Some((_, Ok(filter))) => (Some(filter), None),
        Some((name, Err(error))) => (None, Some((name, error))),
    };
    let is_overridden = overriding.is_some();
    let is_json = Arc::new(AtomicBool::new(is_json(log)));
    let queue = Queue::start(std::io::stderr(), log.buffer, |lines| {
        warn!(lines, "lines of the log were dropped: whoever reads it is too slow");
    })?;
    let sink = Sink(Arc::clone(&queue));
    let level = overriding.unwrap_or_else(|| of_file(log));
    let (subscriber, filter) = subscriber(level, Arc::clone(&is_json), has_colours(), move || sink.clone());
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Error::AlreadyStarted)?;
    gate::open().map_err(|_| Error::AlreadyStarted)?;
    panics::log_them();
    if let Some((variable, error)) = mistake {
        warn!(variable, %error, instead = log.level.as_str(), "the log level is not understood and ignored");
    }
    Ok(Telemetry { filter, is_json, queue, is_overridden })
}

impl Telemetry {
    /// Logs as this file says from now on; a level from a variable stays.
    ///
    /// # Errors
    /// When the log is gone.
    pub fn change(&self, log: &Log) -> Result<(), Error> {
        self.is_json.store(is_json(log), Relaxed);
        self.queue.set_capacity(log.buffer);
        if !self.is_overridden {
            self.filter.reload(of_file(log))?;
        }
        Ok(())
    }

    /// Where the number of lines that were dropped since the start comes from.
    pub fn dropped(&self) -> impl Fn() -> u64 + Send + 'static {
        let queue = Arc::clone(&self.queue);
        move || queue.dropped()
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.queue.flush(FAREWELL);
    }
}

fn is_json(log: &Log) -> bool {
    match log.format {
        LogFormat::Json => true,
        LogFormat::Human => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    }
}

/// Only a terminal has colours, and only one whose user has not turned them off (no-color.org).
fn has_colours() -> bool {
    std::io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The filter of the file's level.
fn of_file(log: &Log) -> EnvFilter {
    filter(log.level.as_str()).expect("the name of a level is a directive")
}

/// The filter of such a list; what it does not name keeps the default, so that asking for details of one
/// room does not silence everything else.
fn filter(directives: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(format!("info,{ACCESS},{directives}"))
}

fn subscriber<W>(
    filter: EnvFilter,
    is_json: Arc<AtomicBool>,
    has_colours: bool,
    writer: W,
) -> (impl Subscriber + Send + Sync, reload::Handle<EnvFilter, Registry>)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer()
        .with_ansi(has_colours)
        .fmt_fields(human::Fields)
        .event_format(Lines::new(is_json))
        .with_writer(writer)
        // Complaints about a log that cannot be written would go to the same place, and panic there.
        .log_internal_errors(false);
    (tracing_subscriber::registry().with(filter).with(filter_fn(may_be_heard)).with(lines), handle)
}

/// Own events at any level, others' from warnings up.
fn may_be_heard(event: &Metadata<'_>) -> bool {
    let target = event.target();
    let own = target.strip_prefix("breadbox").is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    own || *event.level() <= Level::WARN
}

#[cfg(test)]
mod tests;
