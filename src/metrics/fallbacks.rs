//! Fallback pages by route, and the long polls by which they wait.

use super::{Held, Names, counter, gauge};
use crate::config::RouteId;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use std::sync::Arc;
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

/// Counts fallback pages.
pub(super) struct Fallbacks {
    families: Families,
    /// By route.
    routes: Vec<OfRoute>,
}

struct OfRoute {
    shown: IntCounter,
    swaps: IntCounter,
    swap_time: Histogram,
}

#[derive(Clone)]
struct Families {
    shown: IntCounterVec,
    swaps: IntCounterVec,
    swap_time: HistogramVec,
    given_up: IntCounter,
    open: IntGauge,
    ended: IntCounterVec,
    refused: IntCounterVec,
}

impl Fallbacks {
    pub(super) fn new(names: &Names, registry: &Registry) -> prometheus::Result<Self> {
        Ok(Fallbacks::of(names, Families::new(registry)?))
    }

    /// The series of the next configuration: those whose routes it has too go on counting.
    pub(super) fn next(&self, names: &Names) -> Self {
        Fallbacks::of(names, self.families.clone())
    }

    fn of(names: &Names, families: Families) -> Self {
        let of_route = |route: &Arc<str>| OfRoute {
            shown: families.shown.with_label_values(&[&**route]),
            swaps: families.swaps.with_label_values(&[&**route]),
            swap_time: families.swap_time.with_label_values(&[&**route]),
        };
        Fallbacks { routes: names.routes.iter().map(of_route).collect(), families }
    }

    /// Takes out what `names` has and `kept` has not.
    pub(super) fn forget(&self, names: &Names, kept: &Names) {
        for route in names.routes.iter().filter(|route| !kept.routes.contains(route)) {
            // What is not there need not be taken out.
            let _ = self.families.shown.remove_label_values(&[&**route]);
            let _ = self.families.swaps.remove_label_values(&[&**route]);
            let _ = self.families.swap_time.remove_label_values(&[&**route]);
        }
    }
}

impl Families {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let by_route = |name, help| counters(registry, name, help, "route");
        let opts = HistogramOpts::new("breadbox_fallback_swap_seconds", "From a fallback page to what followed it.");
        let swap_time = HistogramVec::new(opts.buckets(BOUNDS.to_vec()), &["route"])?;
        registry.register(Box::new(swap_time.clone()))?;
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
        Ok(Families {
            shown: by_route("breadbox_fallbacks_shown_total", "Fallback pages shown in front of a miss.")?,
            swaps: by_route(
                "breadbox_fallback_swaps_total",
                "Fallback pages whose visitors came back and got something else: the page, a redirect, an error.",
            )?,
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
}

impl super::Metrics {
    /// Counts a fallback page that was shown.
    pub fn fallback_shown(&self, route: RouteId) {
        self.fallbacks.routes[route.0].shown.inc();
    }

    /// Counts a fallback page that gave way to something else, that long after it was first shown.
    pub fn fallback_gave_way(&self, route: RouteId, after: Duration) {
        let of_route = &self.fallbacks.routes[route.0];
        of_route.swaps.inc();
        of_route.swap_time.observe(after.as_secs_f64());
    }

    /// One more open long poll, for as long as the value is kept.
    pub fn poll_opens(&self) -> Held {
        Held::new(&self.fallbacks.families.open)
    }

    /// Counts a long poll that ended.
    pub fn poll_ended(&self, end: PollEnd) {
        let families = &self.fallbacks.families;
        families.ended.with_label_values(&[end.as_str()]).inc();
        if matches!(end, PollEnd::Held | PollEnd::Left) {
            families.given_up.inc();
        }
    }

    /// Counts a long poll that was over a bound: `token`, `client` or `total`.
    pub fn poll_refused(&self, limit: &'static str) {
        self.fallbacks.families.refused.with_label_values(&[limit]).inc();
    }
}

fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
    let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}
