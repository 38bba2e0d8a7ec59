//! Renders by origin, route and result, how long they took, how many run and wait, and the waits
//! that failures caused. Renders are rare beside hits, so plain counters do.

use super::Names;
use super::requests::NO_ROUTE;
use super::result::RenderResult;
use crate::config::{OriginId, RouteId};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use std::sync::Arc;
use std::time::Duration;

/// Upper bounds of a render's duration, in seconds.
const BOUNDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Counts renders; every handle is resolved once.
pub(super) struct Renders {
    families: Families,
    /// By route; each with its origin.
    routes: Vec<RouteSeries>,
    /// By origin.
    origins: Vec<OriginSeries>,
    /// Of requests without a route.
    collapsed_without_route: IntCounter,
}

struct RouteSeries {
    origin: OriginId,
    collapsed: IntCounter,
    /// By result.
    results: Vec<IntCounter>,
}

struct OriginSeries {
    duration: Histogram,
    in_flight: IntGauge,
    waiting: IntGauge,
    backoffs: IntCounter,
}

/// The families; what has the same labels is the same series in every configuration.
#[derive(Clone)]
struct Families {
    collapsed: IntCounterVec,
    renders: IntCounterVec,
    duration: HistogramVec,
    in_flight: IntGaugeVec,
    waiting: IntGaugeVec,
    backoffs: IntCounterVec,
}

impl Renders {
    /// Series for these routes and origins.
    pub(super) fn new(names: &Names, registry: &Registry) -> prometheus::Result<Self> {
        Ok(Renders::of(names, Families::new(registry)?))
    }

    /// Series for the routes and origins of the next configuration.
    pub(super) fn next(&self, names: &Names) -> Self {
        Renders::of(names, self.families.clone())
    }

    fn of(names: &Names, families: Families) -> Self {
        Renders {
            routes: families.route_series(names),
            origins: names.origins.iter().map(|origin| families.origin_series(origin)).collect(),
            collapsed_without_route: families.collapsed.with_label_values(&[NO_ROUTE]),
            families,
        }
    }

    /// Takes out what `names` has and `kept` has not.
    pub(super) fn forget(&self, names: &Names, kept: &Names) {
        // What is not there need not be taken out.
        for origin in names.origins.iter().filter(|origin| !kept.origins.contains(origin)) {
            let label: [&str; 1] = [origin];
            let _ = self.families.duration.remove_label_values(&label);
            let _ = self.families.in_flight.remove_label_values(&label);
            let _ = self.families.waiting.remove_label_values(&label);
            let _ = self.families.backoffs.remove_label_values(&label);
        }
        for route in names.routes.iter().filter(|route| !kept.routes.contains(route)) {
            let _ = self.families.collapsed.remove_label_values(&[&**route]);
        }
        let rendered: Vec<_> = kept.rendered().collect();
        for (origin, route) in names.rendered().filter(|pair| !rendered.contains(pair)) {
            for result in RenderResult::ALL {
                let _ = self.families.renders.remove_label_values(&[origin, route, result.as_str()]);
            }
        }
    }

    /// Counts a render that ended; its time in the queue does not count.
    pub(super) fn ended(&self, route: RouteId, result: RenderResult, duration: Duration) -> OriginId {
        let series = &self.routes[route.0];
        series.results[result as usize].inc();
        self.origins[series.origin.0].duration.observe(duration.as_secs_f64());
        series.origin
    }

    /// Counts a request that waited for somebody else's render.
    pub(super) fn collapsed(&self, route: Option<RouteId>) {
        route.map_or(&self.collapsed_without_route, |route| &self.routes[route.0].collapsed).inc();
    }

    /// Counts a failure that makes its key wait.
    pub(super) fn backed_off(&self, origin: OriginId) {
        self.origins[origin.0].backoffs.inc();
    }

    pub(super) fn in_flight(&self, origin: OriginId) -> &IntGauge {
        &self.origins[origin.0].in_flight
    }

    pub(super) fn waiting(&self, origin: OriginId) -> &IntGauge {
        &self.origins[origin.0].waiting
    }
}

impl Families {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let help = "From the start of a render to its end, without its time in the queue.";
        let opts = HistogramOpts::new("breadbox_render_duration_seconds", help).buckets(BOUNDS.to_vec());
        let duration = HistogramVec::new(opts, &["origin"])?;
        registry.register(Box::new(duration.clone()))?;
        let collapsed = "Requests that waited for a render somebody else had started.";
        let labels = ["origin", "route", "result"];
        let backoffs = "Failed renders that made their key wait before the next try.";
        Ok(Families {
            collapsed: counters(registry, "breadbox_collapsed_requests_total", collapsed, &["route"])?,
            renders: counters(registry, "breadbox_renders_total", "Renders that ended, by how they ended.", &labels)?,
            duration,
            in_flight: gauges(registry, "breadbox_renders_in_flight", "Renders that run now.", "origin")?,
            waiting: gauges(registry, "breadbox_renders_waiting", "Renders that wait for their turn.", "origin")?,
            backoffs: counters(registry, "breadbox_backoffs_total", backoffs, &["origin"])?,
        })
    }

    fn route_series(&self, names: &Names) -> Vec<RouteSeries> {
        let one = |(route, id): (&Arc<str>, &OriginId)| {
            let origin = &*names.origins[id.0];
            let result = |result: RenderResult| self.renders.with_label_values(&[origin, route, result.as_str()]);
            RouteSeries {
                origin: *id,
                collapsed: self.collapsed.with_label_values(&[&**route]),
                results: RenderResult::ALL.into_iter().map(result).collect(),
            }
        };
        names.routes.iter().zip(&names.route_origins).map(one).collect()
    }

    fn origin_series(&self, origin: &str) -> OriginSeries {
        OriginSeries {
            duration: self.duration.with_label_values(&[origin]),
            in_flight: self.in_flight.with_label_values(&[origin]),
            waiting: self.waiting.with_label_values(&[origin]),
            backoffs: self.backoffs.with_label_values(&[origin]),
        }
    }
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}

/// Gauges with one label, registered.
pub(super) fn gauges(registry: &Registry, name: &str, help: &str, label: &str) -> prometheus::Result<IntGaugeVec> {
    let gauges = IntGaugeVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(gauges.clone()))?;
    Ok(gauges)
}
