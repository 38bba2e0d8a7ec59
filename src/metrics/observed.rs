//! Series whose numbers other rooms keep: they are asked for when somebody scrapes. Until a source
//! is given, its series are there and zero.

use super::family::{counter, desc, family, gauge};
use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use std::sync::Arc;

/// What the store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreReading {
    /// Bytes of pages in memory, overhead counted.
    pub bytes: u64,
    /// Pages in memory.
    pub pages: u64,
    /// Bytes it may hold.
    pub capacity: u64,
    /// Pages that had to go to make room, since the start.
    pub evictions: u64,
    /// Purge rules that are remembered one by one.
    pub purge_rules: u64,
    /// Purge rules that merged into one that covers more, since the start.
    pub purge_rules_merged: u64,
}

type StoreSource = Box<dyn Fn() -> StoreReading + Send>;
type CountSource = Box<dyn Fn() -> u64 + Send>;

/// Asks the sources.
#[derive(Clone)]
pub(super) struct Observed(Arc<Inner>);

struct Inner {
    sources: Mutex<Sources>,
    bytes: Desc,
    pages: Desc,
    capacity: Desc,
    evictions: Desc,
    backoff_keys: Desc,
    purge_rules: Desc,
    purge_rules_merged: Desc,
    log_dropped: Desc,
}

#[derive(Default)]
struct Sources {
    store: Option<StoreSource>,
    backoff_keys: Option<CountSource>,
    log_dropped: Option<CountSource>,
}

impl Observed {
    pub(super) fn new() -> Self {
        Observed(Arc::new(Inner {
            sources: Mutex::default(),
            bytes: desc("breadbox_store_bytes", "Bytes of pages in memory, overhead counted.", &[]),
            pages: desc("breadbox_store_pages", "Pages in memory.", &[]),
            capacity: desc("breadbox_store_capacity_bytes", "Bytes of pages that memory may hold.", &[]),
            evictions: desc("breadbox_store_evictions_total", "Pages that went to make room for others.", &[]),
            backoff_keys: desc("breadbox_backoff_keys", "Keys that wait after a failed render.", &[]),
            purge_rules: desc("breadbox_purge_rules", "Purge rules that are remembered one by one.", &[]),
            purge_rules_merged: desc(
                "breadbox_purge_rules_merged_total",
                "Purge rules that merged into one that covers more, because there were too many.",
                &[],
            ),
            log_dropped: desc(
                "breadbox_log_dropped_total",
                "Lines of the log that were dropped because whoever reads it was too slow.",
                &[],
            ),
        }))
    }

    pub(super) fn set_store(&self, source: StoreSource) {
        self.0.sources.lock().store = Some(source);
    }

    pub(super) fn set_backoff_keys(&self, source: CountSource) {
        self.0.sources.lock().backoff_keys = Some(source);
    }

    pub(super) fn set_log_dropped(&self, source: CountSource) {
        self.0.sources.lock().log_dropped = Some(source);
    }
}

impl Collector for Observed {
    fn desc(&self) -> Vec<&Desc> {
        let inner = &*self.0;
        vec![
            &inner.bytes,
            &inner.pages,
            &inner.capacity,
            &inner.evictions,
            &inner.backoff_keys,
            &inner.purge_rules,
            &inner.purge_rules_merged,
            &inner.log_dropped,
        ]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let inner = &*self.0;
        let sources = inner.sources.lock();
        let store = sources.store.as_ref().map(|read| read()).unwrap_or_default();
        let backoff_keys = sources.backoff_keys.as_ref().map_or(0, |read| read());
        let log_dropped = sources.log_dropped.as_ref().map_or(0, |read| read());
        let gauge = |desc, value: u64| family(desc, MetricType::GAUGE, vec![gauge(&[], value as f64)]);
        vec![
            gauge(&inner.bytes, store.bytes),
            gauge(&inner.pages, store.pages),
            gauge(&inner.capacity, store.capacity),
            family(&inner.evictions, MetricType::COUNTER, vec![counter(&[], store.evictions as f64)]),
            gauge(&inner.backoff_keys, backoff_keys),
            gauge(&inner.purge_rules, store.purge_rules),
            family(&inner.purge_rules_merged, MetricType::COUNTER, vec![counter(&[], store.purge_rules_merged as f64)]),
            family(&inner.log_dropped, MetricType::COUNTER, vec![counter(&[], log_dropped as f64)]),
        ]
    }
}
