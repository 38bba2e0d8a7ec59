//! What the binary writes to stderr: JSON lines, kept as they come.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// The lines so far; a thread adds to them until the stream ends.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Inner>);

#[derive(Default)]
struct Inner {
    lines: Mutex<Lines>,
    grown: Condvar,
    /// Held by whoever wants nothing to be read.
    reading: Mutex<()>,
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    /// Reads `stream` in a thread of its own.
    pub(crate) fn follow(stream: impl Read + Send + 'static) -> Self {
        let log = Log::default();
        let writer = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                drop(writer.0.reading.lock());
                writer.change(|lines| lines.lines.push(line));
            }
            writer.change(|lines| lines.ended = true);
        });
        log
    }

    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lines.lock().expect("nobody panics while holding the log").lines.clone()
    }

    /// Reads nothing for as long as the guard is kept: whoever writes finds the pipe full some time.
    pub(crate) fn pause(&self) -> MutexGuard<'_, ()> {
        self.0.reading.lock().expect("nobody panics while holding the lock")
    }

    /// All lines so far as one text.
    pub(crate) fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// Waits until the lines satisfy `find`; the whole log as the error where they do not in time, or where the
    /// stream ended before.
    pub(crate) fn wait<T>(&self, deadline: Duration, find: impl Fn(&[String]) -> Option<T>) -> Result<T, String> {
        let until = Instant::now() + deadline;
        let mut lines = self.0.lines.lock().expect("nobody panics while holding the log");
        loop {
            if let Some(found) = find(&lines.lines) {
                return Ok(found);
            }
            if lines.ended || Instant::now() > until {
                return Err(lines.lines.join("\n"));
            }
            let woken = self.0.grown.wait_timeout(lines, Duration::from_millis(100));
            lines = woken.expect("nobody panics while holding the log").0;
        }
    }

    /// Waits until the stream has ended.
    pub(crate) fn wait_for_end(&self, deadline: Duration) {
        let until = Instant::now() + deadline;
        let mut lines = self.0.lines.lock().expect("nobody panics while holding the log");
        while !lines.ended && Instant::now() < until {
            let woken = self.0.grown.wait_timeout(lines, Duration::from_millis(100));
            lines = woken.expect("nobody panics while holding the log").0;
        }
    }

    fn change(&self, change: impl FnOnce(&mut Lines)) {
        change(&mut self.0.lines.lock().expect("nobody panics while holding the log"));
        self.0.grown.notify_all();
    }
}

/// A field of a line: of its `fields` object, or of the line itself where the format is flat.
pub(crate) fn field(line: &str, name: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let value = line.get("fields").and_then(|fields| fields.get(name)).or_else(|| line.get(name))?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// Whether a line is an event of this level.
pub(crate) fn is_level(line: &str, level: &str) -> bool {
    field(line, "level").as_deref() == Some(level)
}
