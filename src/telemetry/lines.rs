//! An event as one line, in the form that is wanted at the moment.

use super::control;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{self, Format, FormatEvent, FormatFields, Json, Writer};
use tracing_subscriber::registry::LookupSpan;

/// Writes events for people or as JSON.
pub(super) struct Lines {
    is_json: Arc<AtomicBool>,
    human: Format,
    json: Format<Json>,
}

impl Lines {
    /// Lines of JSON while `is_json` says so.
    pub(super) fn new(is_json: Arc<AtomicBool>) -> Self {
        let json = format::format().json().flatten_event(true).with_current_span(false).with_span_list(false);
        Lines { is_json, human: format::format(), json }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if !self.is_json.load(Relaxed) {
            return self.human.format_event(cx, out, event);
        }
        let mut line = String::new();
        self.json.format_event(cx, Writer::new(&mut line), event)?;
        control::write_json(line.trim_end_matches('\n'), &mut out)?;
        out.write_char('\n')
    }
}
