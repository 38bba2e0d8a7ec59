//! Requests by route and outcome, how long they took and how many bytes they got: the only series
//! that a hit writes. Every thread has cells of its own, summed when somebody scrapes, so that no
//! cache line travels between cores for a request, and a hit costs three relaxed additions.

use super::family::{counter, desc, family, histogram};
use crate::config::RouteId;
use crate::policy::outcome::Served;
use arc_swap::ArcSwap;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use std::array;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// The `route` of a request that no route matched; a route's own name begins with a slash or a host.
pub(super) const NO_ROUTE: &str = "no-route";

/// Upper bounds of the duration's buckets, in seconds. Hits live in the first one. With these, the
/// bucket above them and the sum, a series is exactly one [`Line`].
const BOUNDS: [f64; 14] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// The same in nanoseconds.
const BOUNDS_NANOS: [u64; BOUNDS.len()] = [
    100_000,
    300_000,
    1_000_000,
    3_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
    30_000_000_000,
];
/// Where in a line the sum is; the cells before it are buckets.
const SUM: usize = BOUNDS.len() + 1;
/// At most this many threads have cells of their own; more share them.
const MAX_SHARDS: usize = 64;

/// As much as processors fetch at once: a pair of cache lines.
#[derive(Default)]
#[repr(align(128))]
struct Line([AtomicU64; SUM + 1]);

/// One route's series: by shard, then by outcome.
type Row = Arc<[[Line; Served::ALL.len()]]>;

/// The rows of a configuration with their names; the last one: no route.
type Rows = Vec<(Arc<str>, Row)>;

/// Counts requests of one configuration. A route that the next one has too goes on in the same row.
#[derive(Clone)]
pub(super) struct Requests {
    rows: Arc<Rows>,
    /// By shard, in its first cell: bytes sent.
    bytes: Arc<[Line]>,
    /// What scrapes show.
    shown: Shown,
}

/// What scrapes show: the rows of the configuration in force.
#[derive(Clone)]
pub(super) struct Shown(Arc<Inner>);

struct Inner {
    rows: ArcSwap<Rows>,
    bytes: Arc<[Line]>,
    total: Desc,
    duration: Desc,
    bytes_sent: Desc,
}

impl Requests {
    /// Series for these routes and for requests without one, for about this many threads.
    pub(super) fn new(routes: &[Arc<str>], threads: usize) -> Self {
        // Twice the workers: the other runtimes have threads, too, and a collision costs only time.
        let shards = (threads * 2).next_power_of_two().min(MAX_SHARDS);
        let bytes: Arc<[Line]> = (0..shards).map(|_| Line::default()).collect();
        let rows = Arc::new(rows(routes, shards, &Vec::new()));
        let labels = ["route", "outcome"];
        let shown = Shown(Arc::new(Inner {
            rows: ArcSwap::new(Arc::clone(&rows)),
            bytes: Arc::clone(&bytes),
            total: desc("breadbox_requests_total", "Requests answered, by route and outcome.", &labels),
            duration: desc(
                "breadbox_request_duration_seconds",
                "From a request's head to the end of its answer.",
                &labels,
            ),
            bytes_sent: desc("breadbox_response_bytes_total", "Bytes of response bodies sent to clients.", &[]),
        }));
        Requests { rows, bytes, shown }
    }

    /// Series for the routes of the next configuration; scrapes go on showing these here until
    /// [`Requests::show`].
    pub(super) fn next(&self, routes: &[Arc<str>]) -> Self {
        Requests { rows: Arc::new(rows(routes, self.bytes.len(), &self.rows)), ..self.clone() }
    }

    /// From now on scrapes show these series.
    pub(super) fn show(&self) {
        self.shown.0.rows.store(Arc::clone(&self.rows));
    }

    /// What is asked at every scrape.
    pub(super) fn collector(&self) -> Shown {
        self.shown.clone()
    }

    /// Counts one request. Sums wrap after 584 years of requests, which reads as a restart.
    pub(super) fn record(&self, route: Option<RouteId>, served: Served, bytes: u64, duration: Duration) {
        let (_, row) = &self.rows[route.map_or(self.rows.len() - 1, |route| route.0)];
        let shard = thread_number() & (self.bytes.len() - 1);
        let line = &row[shard][served as usize].0;
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NANOS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS.len());
        line[bucket].fetch_add(1, Relaxed);
        line[SUM].fetch_add(nanos, Relaxed);
        self.bytes[shard].0[0].fetch_add(bytes, Relaxed);
    }
}

/// Rows for these routes and for no route; those of `before` that have the same name, and new ones.
fn rows(routes: &[Arc<str>], shards: usize, before: &Rows) -> Rows {
    let names = routes.iter().cloned().chain([Arc::from(NO_ROUTE)]);
    let row = |name: Arc<str>| {
        let known = before.iter().find(|(other, _)| *other == name).map(|(_, row)| Arc::clone(row));
        let row = known.unwrap_or_else(|| (0..shards).map(|_| array::from_fn(|_| Line::default())).collect());
        (name, row)
    };
    names.map(row).collect()
}

/// The cells of one series over all shards.
fn sums(row: &Row, served: Served) -> [u64; SUM + 1] {
    let cell =
        |i: usize| row.iter().fold(0, |sum: u64, shard| sum.wrapping_add(shard[served as usize].0[i].load(Relaxed)));
    array::from_fn(cell)
}

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.total, &self.0.duration, &self.0.bytes_sent]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let inner = &*self.0;
        let mut totals = Vec::new();
        let mut durations = Vec::new();
        for (route, row) in inner.rows.load().iter() {
            for served in Served::ALL {
                let sums = sums(row, served);
                let labels = [("route", &**route), ("outcome", served.as_str())];
                let buckets = &sums[..SUM];
                // The total is read off the buckets, so the two always agree.
                totals.push(counter(&labels, buckets.iter().sum::<u64>() as f64));
                durations.push(histogram(&labels, &BOUNDS, buckets, sums[SUM] as f64 / 1e9));
            }
        }
        let bytes = inner.bytes.iter().fold(0, |sum: u64, shard| sum.wrapping_add(shard.0[0].load(Relaxed)));
        vec![
            family(&inner.total, MetricType::COUNTER, totals),
            family(&inner.duration, MetricType::HISTOGRAM, durations),
            family(&inner.bytes_sent, MetricType::COUNTER, vec![counter(&[], bytes as f64)]),
        ]
    }
}

/// A number that the calling thread keeps for life; threads that count get 0, 1, 2, …
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: usize = NEXT.fetch_add(1, Relaxed));
    NUMBER.with(|number| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hit indexes with `served as usize`; scrapes name the columns by `Served::ALL`.
    #[test]
    fn outcomes_are_numbered_in_the_order_they_are_listed() {
        for (i, served) in Served::ALL.into_iter().enumerate() {
            assert_eq!(served as usize, i);
        }
    }

    /// The two lists of bounds are one list in two units.
    #[test]
    fn bounds_in_nanoseconds_are_the_bounds_in_seconds() {
        let nanos = BOUNDS.map(|seconds| (seconds * 1e9_f64).round() as u64);
        assert_eq!(nanos, BOUNDS_NANOS);
    }

    /// A series does not share a cache line with its neighbours.
    #[test]
    fn a_series_is_one_line() {
        assert_eq!(size_of::<Line>(), 128);
    }

    /// What many threads count at once is all there, each in its own route, outcome and bucket.
    #[test]
    fn counts_of_many_threads_add_up() {
        let requests = Requests::new(&["/a".into(), "/b".into()], 2);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        requests.record(Some(RouteId(1)), Served::Hit, 10, Duration::from_micros(20));
                        requests.record(None, Served::Bypass, 1, Duration::from_secs(31));
                    }
                });
            }
        });
        let line = |row: usize, served: Served| sums(&requests.rows[row].1, served);
        let hits = line(1, Served::Hit);
        assert_eq!((hits[0], hits[SUM]), (8_000, 8_000 * 20_000));
        assert_eq!(line(2, Served::Bypass)[BOUNDS.len()], 8_000);
        assert_eq!(line(0, Served::Hit), [0; SUM + 1]);
        let bytes = requests.collector().collect()[2].get_metric()[0].get_counter().get_value();
        assert_eq!(bytes, 88_000.0);
    }

    /// A route keeps its counts through a change of the configuration, wherever it stands then; one that
    /// is gone is shown no more, and a request that began before is still counted.
    #[test]
    fn a_route_keeps_its_row() {
        let old = Requests::new(&["/a".into(), "/b".into()], 1);
        let count = |requests: &Requests, id| requests.record(Some(RouteId(id)), Served::Hit, 1, Duration::ZERO);
        count(&old, 1);
        let new = old.next(&["/c".into(), "/b".into()]);
        count(&old, 0);
        new.show();
        count(&old, 1);
        count(&new, 1);
        let shown: Vec<(String, f64)> = old.collector().collect()[0]
            .get_metric()
            .iter()
            .filter(|metric| metric.get_label().iter().any(|label| label.value() == "hit"))
            .map(|metric| {
                let route = metric.get_label().iter().find(|label| label.name() == "route").unwrap();
                (route.value().to_owned(), metric.get_counter().get_value())
            })
            .collect();
        let expected = [("/c", 0.0), ("/b", 3.0), (NO_ROUTE, 0.0)];
        assert_eq!(shown, expected.map(|(name, count)| (name.to_owned(), count)));
    }
}
