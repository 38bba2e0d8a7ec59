//! The lists of paths that routes have: how many paths, and how often their sitemaps were read. Only
//! routes with a list have series.

use super::renders;
use crate::config::{Config, Paths, RouteId};
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Counts readings and shows sizes.
pub(super) struct Lists(BTreeMap<RouteId, Series>);

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
        let series = listed.iter().map(|listed| {
            let gauge = paths.with_label_values(&[&*listed.name]);
            gauge.set(i64::try_from(listed.paths).unwrap_or(i64::MAX));
            let of_result = |result| readings.with_label_values(&[&*listed.name, result]);
            let readings = listed.is_sitemap.then(|| ["good", "failed"].map(of_result));
            (listed.route, Series { paths: gauge, readings })
        });
        Ok(Lists(series.collect()))
    }

    pub(super) fn has(&self, route: RouteId, paths: usize) {
        if let Some(series) = self.0.get(&route) {
            series.paths.set(i64::try_from(paths).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn read(&self, route: RouteId, result: Result<(), ()>) {
        if let Some([good, failed]) = self.0.get(&route).and_then(|series| series.readings.as_ref()) {
            if result.is_ok() { good.inc() } else { failed.inc() }
        }
    }
}
