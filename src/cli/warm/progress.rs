//! How far it is: a bar with rate and remaining time on a terminal, plain lines elsewhere. On stderr, so
//! that stdout has the summary alone.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// From one line to the next.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// Shows how far it is.
pub(super) enum Progress {
    Bar(ProgressBar),
    Lines(Lines),
}

/// Plain lines.
pub(super) struct Lines {
    all: usize,
    done: usize,
    failed: usize,
    started: Instant,
    last: Instant,
}

impl Progress {
    pub(super) fn new(all: usize) -> Progress {
        if !std::io::stderr().is_terminal() {
            let now = Instant::now();
            return Progress::Lines(Lines { all, done: 0, failed: 0, started: now, last: now });
        }
        let template = "{bar:32} {pos}/{len} pages, {per_sec}, {eta} left{msg}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(all as u64).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(250));
        Progress::Bar(bar)
    }

    /// One more is done; `failed` is how many failed so far.
    pub(super) fn step(&mut self, failed: usize) {
        match self {
            Progress::Bar(bar) => {
                if failed > 0 {
                    bar.set_message(format!(", {failed} failed"));
                }
                bar.inc(1);
            }
            Progress::Lines(lines) => lines.step(failed),
        }
    }

    /// A line in between.
    pub(super) fn say(&self, line: &str) {
        // Where stderr is gone, nobody wants to know.
        let say = || drop(writeln!(std::io::stderr(), "{line}"));
        match self {
            Progress::Bar(bar) => bar.suspend(say),
            Progress::Lines(_) => say(),
        }
    }

    pub(super) fn finish(self) {
        match self {
            Progress::Bar(bar) => bar.finish_and_clear(),
            Progress::Lines(lines) => lines.show(),
        }
    }
}

impl Lines {
    fn step(&mut self, failed: usize) {
        self.done += 1;
        self.failed = failed;
        if self.last.elapsed() >= BETWEEN_LINES {
            self.last = Instant::now();
            self.show();
        }
    }

    fn show(&self) {
        let rate = self.done as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let left = (self.all - self.done) as f64 / rate.max(0.001);
        let (done, all, failed) = (self.done, self.all, self.failed);
        // Where stderr is gone, nobody wants to know.
        let _ =
            writeln!(std::io::stderr(), "{done} of {all} pages, {rate:.0} a second, {left:.0} s left, {failed} failed");
    }
}
