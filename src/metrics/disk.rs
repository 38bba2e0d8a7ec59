//! The disk tier: what it holds, what is read and written, what is lost. All of it is there and zero where
//! there is no such tier. Why it is off, if it is, is told to health in the same breath.

use parking_lot::Mutex;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use std::sync::Arc;
use std::time::Duration;

/// Bounds of the histogram of reads, in seconds.
const READ_BOUNDS: [f64; 11] = [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0];

/// Why the tier is off; `None`: it is not.
pub(super) type Trouble = Arc<Mutex<Option<Arc<str>>>>;

/// How a read of a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskRead {
    /// With the page.
    Hit,
    /// There is none.
    Miss,
    /// Something else was in its place.
    Corrupt,
    /// With an error of the device.
    Error,
}

/// Why a page was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskDrop {
    /// Too many pages waited to be written.
    Full,
    /// It is larger than what the capacity allows for one page.
    TooLarge,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFailure {
    /// Taking the tier into use.
    Open,
    /// A read.
    Read,
    /// A write.
    Write,
}

/// The series of the disk tier.
#[derive(Clone)]
pub struct Disk {
    up: IntGauge,
    bytes: IntGauge,
    pages: IntGauge,
    capacity: IntGauge,
    unwritten: IntGauge,
    reads: [IntCounter; 4],
    read_seconds: Histogram,
    writes: IntCounter,
    dropped: [IntCounter; 2],
    failures: [IntCounter; 3],
    evictions: IntCounter,
    recovery: Gauge,
    trouble: Trouble,
}

impl Disk {
    pub(super) fn new(registry: &Registry, trouble: Trouble) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| super::gauge(registry, name, help);
        let counter = |name: &str, help: &str| super::counter(registry, name, help);
        let vector = |name: &str, help: &str, label: &str| -> prometheus::Result<IntCounterVec> {
            let vector = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(vector.clone()))?;
            Ok(vector)
        };
        let reads = vector("breadbox_disk_reads_total", "Reads of pages from disk.", "result")?;
        let dropped = vector("breadbox_disk_dropped_writes_total", "Pages that were not written to disk.", "kind")?;
        let failures = vector("breadbox_disk_errors_total", "Errors of the disk tier.", "kind")?;
        let opts = HistogramOpts::new("breadbox_disk_read_seconds", "How long reading a page from disk takes.");
        let read_seconds = Histogram::with_opts(opts.buckets(READ_BOUNDS.to_vec()))?;
        registry.register(Box::new(read_seconds.clone()))?;
        let recovery = Gauge::new("breadbox_disk_recovery_seconds", "How long the last recovery of the disk took.")?;
        registry.register(Box::new(recovery.clone()))?;
        Ok(Disk {
            up: gauge("breadbox_disk_up", "Whether pages are kept on disk now.")?,
            bytes: gauge("breadbox_disk_bytes", "Bytes of pages on disk.")?,
            pages: gauge("breadbox_disk_pages", "Pages on disk, lists of variants counted with them.")?,
            capacity: gauge("breadbox_disk_capacity_bytes", "Bytes that the files of pages may take.")?,
            unwritten: gauge("breadbox_disk_unwritten_bytes", "Bytes of pages that wait to be written to disk.")?,
            reads: ["hit", "miss", "corrupt", "error"].map(|result| reads.with_label_values(&[result])),
            read_seconds,
            writes: counter("breadbox_disk_writes_total", "Pages written to disk.")?,
            dropped: ["full", "too_large"].map(|kind| dropped.with_label_values(&[kind])),
            failures: ["open", "read", "write"].map(|kind| failures.with_label_values(&[kind])),
            evictions: counter("breadbox_disk_evictions_total", "Pages that left the disk to make room for others.")?,
            recovery,
            trouble,
        })
    }

    /// The files of pages may take this many bytes.
    pub fn set_capacity(&self, bytes: u64) {
        self.capacity.set(bytes.cast_signed());
    }

    /// The tier is in use.
    pub fn up(&self, recovery: Duration) {
        self.recovery.set(recovery.as_secs_f64());
        self.up.set(1);
        *self.trouble.lock() = None;
    }

    /// The tier is off; `why` is a sentence for `/readyz`.
    pub fn down(&self, why: &str) {
        self.up.set(0);
        *self.trouble.lock() = Some(why.into());
    }

    /// The tier is closed.
    pub fn closed(&self) {
        self.up.set(0);
    }

    /// What it holds.
    pub fn holds(&self, bytes: u64, pages: u64, unwritten: usize) {
        self.bytes.set(bytes.cast_signed());
        self.pages.set(pages.cast_signed());
        self.unwritten.set((unwritten as u64).cast_signed());
    }

    /// Counts a read.
    pub fn read(&self, result: DiskRead, took: Duration) {
        self.reads[result as usize].inc();
        if result != DiskRead::Miss {
            self.read_seconds.observe(took.as_secs_f64());
        }
    }

    /// Counts pages that were written.
    pub fn wrote(&self, pages: u64) {
        self.writes.inc_by(pages);
    }

    /// Counts a page that was not written.
    pub fn dropped(&self, why: DiskDrop) {
        self.dropped[why as usize].inc();
    }

    /// Counts an error.
    pub fn failed(&self, what: DiskFailure) {
        self.failures[what as usize].inc();
    }

    /// Counts a page that left.
    pub fn evicted(&self) {
        self.evictions.inc();
    }
}
