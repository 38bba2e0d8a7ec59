//! How fields are written for a person: `message name=value …`, on one line whatever they hold.
//! tracing's own writer escapes what moves a terminal's cursor, but leaves line ends as they are.

use super::control::steers;
use std::fmt::{self, Debug, Write};
use tracing::field::{Field, Visit};
use tracing_subscriber::field::{MakeVisitor, RecordFields, VisitOutput};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Writes fields on one line.
pub(super) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = self.make_visitor(writer);
        fields.record(&mut visitor);
        visitor.finish()
    }
}

impl<'w> MakeVisitor<Writer<'w>> for Fields {
    type Visitor = Visitor<'w>;

    fn make_visitor(&self, writer: Writer<'w>) -> Visitor<'w> {
        Visitor { line: OneLine(writer), begun: false, result: Ok(()) }
    }
}

/// Writes one event's fields.
pub(super) struct Visitor<'w> {
    line: OneLine<'w>,
    begun: bool,
    result: fmt::Result,
}

impl Visit for Visitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // `log.*` is where a record of the `log` crate came from; the line's head shows it already.
        if self.result.is_err() || field.name().starts_with("log.") {
            return;
        }
        let space = if self.begun { " " } else { "" };
        self.begun = true;
        self.result = match field.name() {
            "message" => write!(self.line, "{space}{value:?}"),
            name => write!(self.line, "{space}{name}={value:?}"),
        };
    }
}

impl VisitOutput<fmt::Result> for Visitor<'_> {
    fn finish(self) -> fmt::Result {
        self.result
    }
}

/// Writes what steers a terminal as escapes.
struct OneLine<'w>(Writer<'w>);

impl Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(steers) {
            let Some((at, control)) = part.char_indices().next_back().filter(|(_, last)| steers(*last)) else {
                self.0.write_str(part)?;
                continue;
            };
            self.0.write_str(&part[..at])?;
            write!(self.0, "{}", control.escape_default())?;
        }
        Ok(())
    }
}
