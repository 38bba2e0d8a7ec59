//! Fallback pages by route, and the long polls by which they wait.

use super::{Held, Metrics, Names, counter, gauge};
use crate::config::RouteId;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use std::time::Duration;

/// Upper bounds of the time from a fallback page to the real one, in seconds.
const BOUNDS: [f64; 12] = [0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 60.0];

/// How a long poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollEnd {
    /// The render has something to tell.
    Answered,
    /// The page was shown for as long as its route holds it.
    Held,
    /// The client left.
    Left,
    /// The process stops.
    Stopping,
}

impl PollEnd {
    /// Every value, for metrics that exist before they happen.
    pub const ALL: [PollEnd; 4] = [PollEnd::Answered, PollEnd::Held, PollEnd::Left, PollEnd::Stopping];

    /// The word in the answer and the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            PollEnd::Answered => "answered",
            PollEnd::Held => "held",
            PollEnd::Left => "left",
            PollEnd::Stopping => "stopping",
        }
    }
}

/// Bounds that a long poll can run into.
const LIMITS: [&str; 3] = ["token", "client", "total"];

/// The series that have a route.
#[derive(Clone)]
struct ByRoute {
    shown: IntCounterVec,
    swaps: IntCounterVec,
    swap_time: HistogramVec,
}

/// Counts fallback pages.
#[derive(Clone)]
pub(super) struct Fallbacks {
    by_route: ByRoute,
    /// By route.
    shown: Vec<IntCounter>,
    /// By route.
    swaps: Vec<IntCounter>,
    swap_time: Vec<Histogram>,
    given_up: IntCounter,
    open: IntGauge,
    ended: IntCounterVec,
    refused: IntCounterVec,
}

impl Fallbacks {
    pub(super) fn new(names: &Names, registry: &Registry) -> prometheus::Result<Self> {
        let opts = HistogramOpts::new("breadbox_fallback_swap_seconds", "From a fallback page to what followed it.");
        let times = HistogramVec::new(opts.buckets(BOUNDS.to_vec()), &["route"])?;
        registry.register(Box::new(times.clone()))?;
        let ended =
            counters(registry, "breadbox_long_polls_ended_total", "Long polls that ended, by why they did.", "result")?;
        let refused = counters(
            registry,
            "breadbox_long_polls_refused_total",
            "Long polls over a bound of `long_polls`; their pages load again after a while instead.",
            "limit",
        )?;
        PollEnd::ALL.iter().for_each(|end| drop(ended.with_label_values(&[end.as_str()])));
        LIMITS.iter().for_each(|limit| drop(refused.with_label_values(&[limit])));
        let help = "Fallback pages shown in front of a miss.";
        let shown = counters(registry, "breadbox_fallbacks_shown_total", help, "route")?;
        let help = "Fallback pages whose visitors came back and got something else: the page, a redirect, an error.";
        let swaps = counters(registry, "breadbox_fallback_swaps_total", help, "route")?;
        let by_route = ByRoute { shown, swaps, swap_time: times };
        let (shown, swaps, swap_time) = by_route.of(names);
        Ok(Fallbacks {
            by_route,
            shown,
            swaps,
            swap_time,
            given_up: counter(
                registry,
                "breadbox_fallbacks_given_up_total",
                "Fallback pages that were shown for as long as their route holds them, or left while they waited.",
            )?,
            open: gauge(registry, "breadbox_long_polls", "Long polls of fallback pages that are open.")?,
            ended,
            refused,
        })
    }

    /// The same with the routes of the next configuration.
    pub(super) fn next(&self, names: &Names) -> Self {
        let (shown, swaps, swap_time) = self.by_route.of(names);
        Fallbacks { shown, swaps, swap_time, ..self.clone() }
    }

    /// Routes that only the configuration before had are gone from scrapes.
    pub(super) fn forget(&self, before: &Names, now: &Names) {
        for route in before.routes.iter().filter(|route| !now.routes.contains(route)) {
            // What is not there need not be taken out.
            let _ = self.by_route.shown.remove_label_values(&[&**route]);
            let _ = self.by_route.swaps.remove_label_values(&[&**route]);
            let _ = self.by_route.swap_time.remove_label_values(&[&**route]);
        }
    }

    pub(super) fn shown(&self, route: RouteId) {
        self.shown[route.0].inc();
    }

    pub(super) fn gave_way(&self, route: RouteId, after: Duration) {
        self.swaps[route.0].inc();
        self.swap_time[route.0].observe(after.as_secs_f64());
    }

    pub(super) fn poll_opens(&self) -> Held {
        Held::new(&self.open)
    }

    pub(super) fn poll_ended(&self, end: PollEnd) {
        self.ended.with_label_values(&[end.as_str()]).inc();
        if matches!(end, PollEnd::Held | PollEnd::Left) {
            self.given_up.inc();
        }
    }

    pub(super) fn poll_refused(&self, limit: &'static str) {
        self.refused.with_label_values(&[limit]).inc();
    }
}

impl Metrics {
    /// Counts a fallback page that was shown.
    pub fn fallback_shown(&self, route: RouteId) {
        self.fallbacks.shown(route);
    }

    /// Counts a fallback page that gave way to something else, that long after it was first shown.
    pub fn fallback_gave_way(&self, route: RouteId, after: Duration) {
        self.fallbacks.gave_way(route, after);
    }

    /// One more open long poll, for as long as the value is kept.
    pub fn poll_opens(&self) -> Held {
        self.fallbacks.poll_opens()
    }

    /// Counts a long poll that ended.
    pub fn poll_ended(&self, end: PollEnd) {
        self.fallbacks.poll_ended(end);
    }

    /// Counts a long poll that was over a bound: `token`, `client` or `total`.
    pub fn poll_refused(&self, limit: &'static str) {
        self.fallbacks.poll_refused(limit);
    }
}

impl ByRoute {
    fn of(&self, names: &Names) -> (Vec<IntCounter>, Vec<IntCounter>, Vec<Histogram>) {
        let counters = |series: &IntCounterVec| {
            names.routes.iter().map(|route| series.with_label_values(&[&**route])).collect::<Vec<_>>()
        };
        let times = names.routes.iter().map(|route| self.swap_time.with_label_values(&[&**route])).collect();
        (counters(&self.shown), counters(&self.swaps), times)
    }
}

fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
    let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}
