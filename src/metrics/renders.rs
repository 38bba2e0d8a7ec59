//! Renders by origin, route and result, how long they took, how many run and wait, and the waits
//! that failures caused. Renders are rare beside hits, so plain counters do.

use super::Names;
use super::requests::NO_ROUTE;
use super::result::RenderResult;
use crate::config::{OriginId, RouteId};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use std::time::Duration;

/// Upper bounds of a render's duration, in seconds.
const BOUNDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Counts renders; every handle is resolved once.
pub(super) struct Renders {
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

impl Renders {
    /// Series for these routes and origins.
    pub(super) fn new(names: &Names, registry: &Registry) -> prometheus::Result<Self> {
        let collapsed = counters(
            registry,
            "breadbox_collapsed_requests_total",
            "Requests that waited for a render somebody else had started.",
            &["route"],
        )?;
        Ok(Renders {
            routes: route_series(names, registry, &collapsed)?,
            origins: origin_series(names, registry)?,
            collapsed_without_route: collapsed.with_label_values(&[NO_ROUTE]),
        })
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

fn route_series(names: &Names, registry: &Registry, collapsed: &IntCounterVec) -> prometheus::Result<Vec<RouteSeries>> {
    let labels = ["origin", "route", "result"];
    let renders = counters(registry, "breadbox_renders_total", "Renders that ended, by how they ended.", &labels)?;
    let one = |(route, origin): (&_, &OriginId)| {
        let route: &str = route;
        let result =
            |result: RenderResult| renders.with_label_values(&[&*names.origins[origin.0], route, result.as_str()]);
        RouteSeries {
            origin: *origin,
            collapsed: collapsed.with_label_values(&[route]),
            results: RenderResult::ALL.into_iter().map(result).collect(),
        }
    };
    Ok(names.routes.iter().map(AsRef::as_ref).zip(&names.route_origins).map(one).collect())
}

fn origin_series(names: &Names, registry: &Registry) -> prometheus::Result<Vec<OriginSeries>> {
    let help = "From the start of a render to its end, without its time in the queue.";
    let opts = HistogramOpts::new("breadbox_render_duration_seconds", help).buckets(BOUNDS.to_vec());
    let duration = HistogramVec::new(opts, &["origin"])?;
    registry.register(Box::new(duration.clone()))?;
    let in_flight = gauges(registry, "breadbox_renders_in_flight", "Renders that run now.", "origin")?;
    let waiting = gauges(registry, "breadbox_renders_waiting", "Renders that wait for their turn.", "origin")?;
    let help = "Failed renders that made their key wait before the next try.";
    let backoffs = counters(registry, "breadbox_backoffs_total", help, &["origin"])?;
    let one = |origin: &_| {
        let label: [&str; 1] = [AsRef::<str>::as_ref(origin)];
        OriginSeries {
            duration: duration.with_label_values(&label),
            in_flight: in_flight.with_label_values(&label),
            waiting: waiting.with_label_values(&label),
            backoffs: backoffs.with_label_values(&label),
        }
    };
    Ok(names.origins.iter().map(one).collect())
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
