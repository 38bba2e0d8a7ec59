//! What became of all pages, and the summary of it.

use super::list::Page;
use super::verdict::Verdict;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Instant;

/// Failures that are shown one by one.
const MAX_SHOWN: usize = 20;

/// Reasons that are counted one by one; there are few in practice.
const MAX_REASONS: usize = 50;

/// Counts.
pub(super) struct Tally {
    started: Instant,
    before: usize,
    skipped: usize,
    rendered: usize,
    kept: usize,
    not_kept: BTreeMap<Box<str>, usize>,
    failed: usize,
    shown: Vec<(String, Box<str>)>,
}

impl Tally {
    /// `before` were done by an earlier run, `skipped` are of other hosts.
    pub(super) fn new(before: usize, skipped: usize) -> Self {
        Tally {
            started: Instant::now(),
            before,
            skipped,
            rendered: 0,
            kept: 0,
            not_kept: BTreeMap::new(),
            failed: 0,
            shown: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, page: &Page, verdict: Verdict) {
        match verdict {
            Verdict::Rendered => self.rendered += 1,
            Verdict::Kept => self.kept += 1,
            Verdict::NotKept(why) => {
                let why = if self.not_kept.len() < MAX_REASONS { why } else { "other reasons".into() };
                *self.not_kept.entry(why).or_default() += 1;
            }
            Verdict::Failed(why) => {
                self.failed += 1;
                if self.shown.len() < MAX_SHOWN {
                    self.shown.push((format!("{}{}", page.host, page.target), why));
                }
            }
        }
    }

    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    /// The summary: one line, and what went wrong.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let not_kept: usize = self.not_kept.values().sum();
        let asked = self.rendered + self.kept + not_kept + self.failed;
        let seconds = self.started.elapsed().as_secs_f64();
        writeln!(
            out,
            "{asked} pages in {seconds:.1} s ({:.0} a second): {} rendered, {} there already, {not_kept} not kept, {} failed",
            asked as f64 / seconds.max(0.001),
            self.rendered,
            self.kept,
            self.failed
        )?;
        if self.before > 0 {
            writeln!(out, "{} were done by an earlier run", self.before)?;
        }
        if self.skipped > 0 {
            writeln!(out, "left out, because their hosts are not served: {}", self.skipped)?;
        }
        for (why, pages) in &self.not_kept {
            writeln!(out, "not kept: {pages} because of {why}")?;
        }
        for (page, why) in &self.shown {
            writeln!(out, "failed: {page}: {why}")?;
        }
        if self.failed > self.shown.len() {
            writeln!(out, "failed: and {} more", self.failed - self.shown.len())?;
        }
        Ok(())
    }
}
