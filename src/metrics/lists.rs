//! The lists of paths that routes have: how many paths, and how often their sitemaps were read. Only
//! routes with a list have series.

use super::{Metrics, renders};
use crate::config::{Config, Paths, RouteId};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a reading ends.
const RESULTS: [&str; 2] = ["good", "failed"];

/// Counts readings and shows sizes.
pub(super) struct Lists {
    paths: IntGaugeVec,
    readings: IntCounterVec,
    routes: BTreeMap<RouteId, Series>,
}

struct Series {
    paths: IntGauge,
    /// Readings of its sitemap: good, failed.
    readings: Option<[IntCounter; 2]>,
}

/// A route with a list, for labels.
pub(super) struct Listed {
    pub(super) route: RouteId,
    pub(super) name: Arc<str>,
    /// Paths that are known from the start.
    pub(super) paths: usize,
    pub(super) is_sitemap: bool,
}

impl Listed {
    /// The routes of this configuration that have a list.
    pub(super) fn all(config: &Config) -> Vec<Listed> {
        let listed = |(index, route): (usize, &Arc<crate::config::Route>)| {
            let (paths, is_sitemap) = match route.paths.as_ref()? {
                Paths::File { set, .. } => (set.len(), false),
                Paths::Sitemap(_) => (0, true),
            };
            Some(Listed { route: RouteId(index), name: Arc::clone(&route.name), paths, is_sitemap })
        };
        config.routes.iter().enumerate().filter_map(listed).collect()
    }
}

impl Lists {
    pub(super) fn new(listed: &[Listed], registry: &Registry) -> prometheus::Result<Self> {
        let help = "Paths and patterns in the list of a route; 0: its sitemap was never read.";
        let paths = renders::gauges(registry, "breadbox_listed_paths", help, "route")?;
        let help = "Readings of the sitemap of a route, by result.";
        let readings = IntCounterVec::new(Opts::new("breadbox_sitemap_reads_total", help), &["route", "result"])?;
        registry.register(Box::new(readings.clone()))?;
        let mut lists = Lists { paths, readings, routes: BTreeMap::new() };
        lists.routes = lists.series(listed);
        Ok(lists)
    }

    /// The lists of the next configuration; routes that have one in both go on counting.
    pub(super) fn next(&self, listed: &[Listed]) -> Self {
        Lists { paths: self.paths.clone(), readings: self.readings.clone(), routes: self.series(listed) }
    }

    /// Takes out what `listed` has and `kept` has not.
    pub(super) fn forget(&self, listed: &[Listed], kept: &[Listed]) {
        for gone in listed.iter().filter(|listed| !kept.iter().any(|kept| kept.name == listed.name)) {
            // What is not there need not be taken out.
            let _ = self.paths.remove_label_values(&[&*gone.name]);
            for result in RESULTS {
                let _ = self.readings.remove_label_values(&[&*gone.name, result]);
            }
        }
    }

    fn series(&self, listed: &[Listed]) -> BTreeMap<RouteId, Series> {
        let series = listed.iter().map(|listed| {
            let gauge = self.paths.with_label_values(&[&*listed.name]);
            if !listed.is_sitemap {
                gauge.set(i64::try_from(listed.paths).unwrap_or(i64::MAX));
            }
            let of_result = |result| self.readings.with_label_values(&[&*listed.name, result]);
            (listed.route, Series { paths: gauge, readings: listed.is_sitemap.then(|| RESULTS.map(of_result)) })
        });
        series.collect()
    }

    pub(super) fn has(&self, route: RouteId, paths: usize) {
        if let Some(series) = self.routes.get(&route) {
            series.paths.set(i64::try_from(paths).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn read(&self, route: RouteId, result: Result<(), ()>) {
        if let Some([good, failed]) = self.routes.get(&route).and_then(|series| series.readings.as_ref()) {
            if result.is_ok() { good.inc() } else { failed.inc() }
        }
    }
}

impl Metrics {
    /// Counts a reading of the sitemap of a route.
    pub fn sitemap_read(&self, route: RouteId, result: Result<(), ()>) {
        self.lists.read(route, result);
    }

    /// Takes note of how many paths the list of a route has.
    pub fn listed(&self, route: RouteId, paths: usize) {
        self.lists.has(route, paths);
    }
}
