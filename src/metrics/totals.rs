//! The numbers of a scrape, grouped for people: what the dashboard shows. They are read off the series
//! themselves, so that a dashboard and Prometheus cannot disagree.

use super::Metrics;
use prometheus::proto::{Metric, MetricFamily};
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything since the start, and what is there now.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// When the process started, in seconds since 1970.
    pub started: f64,
    /// How many configurations were taken.
    pub config_generation: f64,
    /// Whether the last one that was read was taken: 0 or 1.
    pub config_last_reload: f64,
    /// Connections of clients that are open.
    pub connections: f64,
    /// Bytes of response bodies sent.
    pub response_bytes: f64,
    /// Requests that waited for a render somebody else had started.
    pub collapsed: f64,
    /// Keys that wait after a failed render.
    pub backoff_keys: f64,
    /// What the store holds.
    pub store: StoreTotals,
    /// Upper bounds of the buckets of requests, in seconds.
    pub request_bounds: Vec<f64>,
    /// Upper bounds of the buckets of renders, in seconds.
    pub render_bounds: Vec<f64>,
    /// By route, requests without one last.
    pub routes: Vec<RouteTotals>,
    /// By origin.
    pub origins: Vec<OriginTotals>,
}

/// What the store holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StoreTotals {
    /// Bytes of pages.
    pub bytes: f64,
    /// Bytes it may hold.
    pub capacity: f64,
    /// Pages.
    pub pages: f64,
    /// Pages that went to make room.
    pub evictions: f64,
}

/// Requests of one route.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RouteTotals {
    /// Its name.
    pub name: String,
    /// By outcome.
    pub outcomes: BTreeMap<String, f64>,
    /// Seconds of all requests together.
    pub seconds: f64,
    /// Requests up to each bound, smaller ones included.
    pub buckets: Vec<f64>,
    /// The same of requests that no stored page answered.
    pub waited: Vec<f64>,
}

/// Renders of one origin.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OriginTotals {
    /// Its name.
    pub name: String,
    /// By result.
    pub results: BTreeMap<String, f64>,
    /// Renders that run.
    pub running: f64,
    /// Renders that wait for their turn.
    pub waiting: f64,
    /// Failed renders that made their key wait.
    pub backoffs: f64,
    /// Seconds of all renders together.
    pub seconds: f64,
    /// Renders up to each bound, shorter ones included.
    pub buckets: Vec<f64>,
}

impl Metrics {
    /// The numbers of a scrape, grouped.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for family in self.registry.gather() {
            totals.take(&family);
        }
        totals
    }
}

impl Totals {
    fn take(&mut self, family: &MetricFamily) {
        for metric in family.get_metric() {
            let value = value(metric);
            match family.name() {
                "breadbox_start_time_seconds" => self.started = value,
                "breadbox_config_generation" => self.config_generation = value,
                "breadbox_config_last_reload_success" => self.config_last_reload = value,
                "breadbox_connections" => self.connections += value,
                "breadbox_response_bytes_total" => self.response_bytes = value,
                "breadbox_collapsed_requests_total" => self.collapsed += value,
                "breadbox_backoff_keys" => self.backoff_keys = value,
                "breadbox_store_bytes" => self.store.bytes = value,
                "breadbox_store_capacity_bytes" => self.store.capacity = value,
                "breadbox_store_pages" => self.store.pages = value,
                "breadbox_store_evictions_total" => self.store.evictions = value,
                "breadbox_requests_total" => self.take_requests(metric, value),
                "breadbox_request_duration_seconds" => self.take_request_times(metric),
                "breadbox_renders_total" => {
                    *self.origin(metric).results.entry(label(metric, "result")).or_default() += value;
                }
                "breadbox_render_duration_seconds" => self.take_render_times(metric),
                "breadbox_renders_in_flight" => self.origin(metric).running = value,
                "breadbox_renders_waiting" => self.origin(metric).waiting = value,
                "breadbox_backoffs_total" => self.origin(metric).backoffs = value,
                _ => {}
            }
        }
    }

    fn take_requests(&mut self, metric: &Metric, value: f64) {
        *self.route(metric).outcomes.entry(label(metric, "outcome")).or_default() += value;
    }

    fn take_request_times(&mut self, metric: &Metric) {
        self.request_bounds = bounds(metric);
        let from_page = matches!(&*label(metric, "outcome"), "hit" | "stale");
        let route = self.route(metric);
        route.seconds += metric.get_histogram().get_sample_sum();
        add(&mut route.buckets, metric);
        if !from_page {
            add(&mut route.waited, metric);
        }
    }

    fn take_render_times(&mut self, metric: &Metric) {
        self.render_bounds = bounds(metric);
        let origin = self.origin(metric);
        origin.seconds += metric.get_histogram().get_sample_sum();
        add(&mut origin.buckets, metric);
    }

    fn route(&mut self, metric: &Metric) -> &mut RouteTotals {
        let name = label(metric, "route");
        let at = self.routes.iter().position(|route| route.name == name).unwrap_or_else(|| {
            self.routes.push(RouteTotals { name, ..RouteTotals::default() });
            self.routes.len() - 1
        });
        &mut self.routes[at]
    }

    fn origin(&mut self, metric: &Metric) -> &mut OriginTotals {
        let name = label(metric, "origin");
        let at = self.origins.iter().position(|origin| origin.name == name).unwrap_or_else(|| {
            self.origins.push(OriginTotals { name, ..OriginTotals::default() });
            self.origins.len() - 1
        });
        &mut self.origins[at]
    }
}

/// Of a counter or a gauge; zero for what is neither.
fn value(metric: &Metric) -> f64 {
    metric.get_counter().get_value() + metric.get_gauge().get_value()
}

fn label(metric: &Metric, name: &str) -> String {
    let found = metric.get_label().iter().find(|label| label.name() == name);
    found.map(|label| label.value().to_owned()).unwrap_or_default()
}

fn bounds(metric: &Metric) -> Vec<f64> {
    metric.get_histogram().get_bucket().iter().map(|bucket| bucket.upper_bound()).filter(|b| b.is_finite()).collect()
}

/// Adds the counts of a histogram's buckets, and of all its samples behind them.
fn add(sums: &mut Vec<f64>, metric: &Metric) {
    let histogram = metric.get_histogram();
    let finite = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let counts = finite.map(|bucket| bucket.cumulative_count()).chain([histogram.get_sample_count()]);
    for (at, count) in counts.enumerate() {
        if sums.len() <= at {
            sums.push(0.0);
        }
        sums[at] += count as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::super::RenderResult;
    use super::*;
    use crate::config::{OriginId, RouteId};
    use crate::policy::outcome::{Outcome, Served};
    use std::time::Duration;

    #[test]
    fn the_totals_are_those_of_the_series() {
        let metrics = Metrics::of_one_route();
        let outcome = |served, collapsed| Outcome {
            served,
            forwarded: None,
            fresh_until: None,
            stored: false,
            collapsed,
            fwd_status: None,
            detail: None,
        };
        metrics.request(Some(RouteId(0)), &outcome(Served::Hit, false), 10, Duration::from_micros(50));
        metrics.request(Some(RouteId(0)), &outcome(Served::Miss, true), 5, Duration::from_millis(200));
        metrics.request(None, &outcome(Served::Bypass, false), 1, Duration::from_secs(60));
        metrics.render(RouteId(0), RenderResult::Good, Duration::from_millis(30));
        metrics.backed_off(OriginId(0));
        let _running = metrics.render_runs(OriginId(0));
        let totals = metrics.totals();
        assert_eq!((totals.response_bytes, totals.collapsed, totals.config_generation), (16.0, 1.0, 1.0));
        let route = totals.routes.iter().find(|route| route.name == "/").unwrap();
        assert_eq!((route.outcomes["hit"], route.outcomes["miss"], route.outcomes["stale"]), (1.0, 1.0, 0.0));
        assert_eq!(route.buckets.len(), totals.request_bounds.len() + 1);
        assert_eq!((route.buckets[0], *route.buckets.last().unwrap()), (1.0, 2.0));
        assert_eq!((route.waited[0], *route.waited.last().unwrap()), (0.0, 1.0));
        let none = totals.routes.iter().find(|route| route.name == "no-route").unwrap();
        assert_eq!((none.buckets[totals.request_bounds.len() - 1], *none.buckets.last().unwrap()), (0.0, 1.0));
        let origin = &totals.origins[0];
        assert_eq!((&*origin.name, origin.results["good"], origin.running, origin.backoffs), ("web", 1.0, 1.0, 1.0));
        assert_eq!(*origin.buckets.last().unwrap(), 1.0);
    }
}
