//! Codings made of pages, what they saved, what they cost, and how many wait; pages that clients wanted
//! without their coding. All of it is off the path of hits, so plain counters do.

use super::{Metrics, counter, gauge};
use crate::config::Codec;
use prometheus::{Counter, CounterVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use std::time::Duration;

/// What became of compressing a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodingResult {
    /// It is smaller by so many bytes.
    Made {
        /// Bytes.
        saved: u64,
    },
    /// It would not be smaller.
    Larger,
    /// The compressor failed.
    Failed,
}

impl EncodingResult {
    const WORDS: [&'static str; 3] = ["made", "larger", "failed"];

    const fn number(self) -> usize {
        match self {
            EncodingResult::Made { .. } => 0,
            EncodingResult::Larger => 1,
            EncodingResult::Failed => 2,
        }
    }
}

impl Metrics {
    /// Counts a page that was compressed, and how long that took.
    pub fn encoded(&self, codec: Codec, result: EncodingResult, took: Duration) {
        self.encodings.encoded(codec, result, took);
    }

    /// So many pages wait to be compressed.
    pub fn encodings_waiting(&self, pages: usize) {
        self.encodings.waiting(pages);
    }

    /// Counts a page that is not compressed because too many wait.
    pub fn encoding_dropped(&self) {
        self.encodings.dropped();
    }

    /// Counts an answer that was made from a coding because the page was wanted without.
    pub fn unpacked(&self, took: Duration) {
        self.encodings.unpacked(took);
    }
}

/// Counts codings; every handle is resolved once.
#[derive(Clone)]
pub(super) struct Encodings {
    /// By codec.
    codecs: Vec<Series>,
    waiting: IntGauge,
    dropped: IntCounter,
    unpacked: IntCounter,
    unpacking: Counter,
}

#[derive(Clone)]
struct Series {
    /// By result.
    results: Vec<IntCounter>,
    saved: IntCounter,
    seconds: Counter,
}

impl Encodings {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let results = IntCounterVec::new(
            Opts::new("breadbox_encodings_total", "Codings made of stored pages, by what became of them."),
            &["coding", "result"],
        )?;
        let saved = IntCounterVec::new(
            Opts::new("breadbox_encoding_saved_bytes_total", "Bytes by which codings are smaller than their pages."),
            &["coding"],
        )?;
        let seconds = CounterVec::new(
            Opts::new("breadbox_encoding_seconds_total", "Time spent on compressing pages."),
            &["coding"],
        )?;
        registry.register(Box::new(results.clone()))?;
        registry.register(Box::new(saved.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        let unpacking =
            Counter::new("breadbox_unpacking_seconds_total", "Time spent on pages that were wanted without a coding.")?;
        registry.register(Box::new(unpacking.clone()))?;
        let one = |codec: Codec| {
            let coding = codec.as_str();
            Series {
                results: EncodingResult::WORDS.map(|word| results.with_label_values(&[coding, word])).into(),
                saved: saved.with_label_values(&[coding]),
                seconds: seconds.with_label_values(&[coding]),
            }
        };
        Ok(Encodings {
            codecs: Codec::ALL.map(one).into(),
            waiting: gauge(registry, "breadbox_encodings_waiting", "Pages that wait to be compressed.")?,
            dropped: counter(
                registry,
                "breadbox_encodings_dropped_total",
                "Pages that were not compressed because too many waited.",
            )?,
            unpacked: counter(
                registry,
                "breadbox_unpacked_pages_total",
                "Answers made from a coding because the page was wanted without.",
            )?,
            unpacking,
        })
    }

    pub(super) fn encoded(&self, codec: Codec, result: EncodingResult, took: Duration) {
        let series = &self.codecs[codec as usize];
        series.results[result.number()].inc();
        series.seconds.inc_by(took.as_secs_f64());
        if let EncodingResult::Made { saved } = result {
            series.saved.inc_by(saved);
        }
    }

    pub(super) fn waiting(&self, pages: usize) {
        self.waiting.set(i64::try_from(pages).unwrap_or(i64::MAX));
    }

    pub(super) fn dropped(&self) {
        self.dropped.inc();
    }

    pub(super) fn unpacked(&self, took: Duration) {
        self.unpacked.inc();
        self.unpacking.inc_by(took.as_secs_f64());
    }
}
