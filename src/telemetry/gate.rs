//! What of pingora's log is heard. Pingora writes the request line with its query, `Host`, and parts
//! of bodies and response heads (so `Set-Cookie`) into errors and warnings. Those are kept back:
//! in their place comes a DEBUG event with their place in pingora's source. What became of a
//! request is in the access event, which our own hooks emit.

use log::{Level, LevelFilter, Log, Record, SetLoggerError};
use tracing::debug;
use tracing_log::LogTracer;

/// Modules of pingora that never see a request. Their warnings and errors are about listeners,
/// handshakes, threads and signals.
const WITHOUT_REQUESTS: [&str; 4] =
    ["pingora_core::listeners", "pingora_core::server", "pingora_core::services", "pingora_runtime"];

/// Takes the records of the `log` crate.
pub(super) struct Gate {
    tracer: LogTracer,
}

/// Puts the gate in place for the whole process.
pub(super) fn open() -> Result<(), SetLoggerError> {
    log::set_boxed_logger(Box::new(Gate::new()))?;
    // Pingora's own account of its start and stop says nothing that ours does not.
    log::set_max_level(LevelFilter::Warn);
    Ok(())
}

impl Gate {
    pub(super) fn new() -> Self {
        Gate { tracer: LogTracer::new() }
    }
}

impl Log for Gate {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if !may_hold_a_request(record.target()) {
            return self.tracer.log(record);
        }
        let place = format_args!("{}:{}", record.file().unwrap_or("?"), record.line().unwrap_or(0));
        debug!(severity = %record.level(), module = record.target(), %place, "pingora reported something about a request");
    }

    fn flush(&self) {}
}

fn may_hold_a_request(target: &str) -> bool {
    let within =
        |module: &str| target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    target.starts_with("pingora") && !WITHOUT_REQUESTS.into_iter().any(within)
}
