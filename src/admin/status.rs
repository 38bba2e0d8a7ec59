//! What the dashboard shows, as JSON: the numbers of the metrics and the health to whoever reaches the
//! listener, as `/metrics` does; the paths that visitors ask for only with the token.

use crate::metrics::{Phase, Totals};
use crate::policy::explain::Freshness;
use crate::policy::host::Host;
use crate::policy::{Key, Timestamp, freshness};
use crate::render::{Engine, FailedRender, Setup};
use serde::Serialize;
use std::sync::Arc;

/// How many pages are listed.
const TOP: usize = 25;

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// What closed sets hold: names of routes, origins and reasons.
    Closed,
    /// Paths, too.
    Paths,
}

/// Everything the dashboard shows.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: &'static str,
    /// Milliseconds since 1970.
    now: u64,
    phase: &'static str,
    /// Why the process is degraded, a sentence each.
    degraded: Vec<String>,
    /// Origins whose last renders all failed, and how many.
    failing: Vec<(Arc<str>, u64)>,
    /// The build of the origin that was announced last.
    build: Option<Box<str>>,
    purge_sequence: u64,
    totals: Totals,
    failures: Vec<Failure>,
    /// The pages that are asked for most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pages: Option<Vec<PopularPage>>,
}

#[derive(Debug, Serialize)]
struct Failure {
    ms_ago: u64,
    origin: Arc<str>,
    route: Arc<str>,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Box<str>>,
}

#[derive(Debug, Serialize)]
struct PopularPage {
    url: String,
    route: Option<Arc<str>>,
    /// How often it was asked for, halved every ten minutes.
    popularity: u32,
    /// Nothing where the URL's own key stores no page: none is there, or only variants.
    freshness: Option<Freshness>,
    age: Option<u64>,
    bytes: Option<u64>,
}

/// What there is to tell about this engine.
pub(super) fn of(engine: &Arc<Engine>, detail: Detail) -> Status {
    let setup = engine.setup();
    let now = engine.now();
    let health = setup.metrics.health();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        now: now.millis(),
        phase: match health.phase() {
            Phase::Starting => "starting",
            Phase::Running => "running",
            Phase::Stopping => "stopping",
        },
        degraded: health.reasons(),
        failing: health.failing(),
        build: engine.build(),
        purge_sequence: engine.store.purge_seq().0,
        totals: setup.metrics.totals(),
        failures: engine.failures.recent().into_iter().map(|failed| failure(failed, detail, now)).collect(),
        pages: (detail == Detail::Paths).then(|| {
            let top = engine.store.top(TOP).into_iter();
            top.map(|(key, popularity)| popular(engine, &setup, &key, popularity, now)).collect()
        }),
    }
}

fn failure(failed: FailedRender, detail: Detail, now: Timestamp) -> Failure {
    Failure {
        ms_ago: now.millis().saturating_sub(failed.at.millis()),
        origin: failed.origin,
        route: failed.route,
        reason: failed.reason,
        path: (detail == Detail::Paths).then_some(failed.path),
    }
}

fn popular(engine: &Engine, setup: &Setup, key: &Key, popularity: u32, now: Timestamp) -> PopularPage {
    let uri = key.uri();
    let query = uri.query.map(|query| format!("?{query}")).unwrap_or_default();
    let route = Host::parse(uri.host.as_bytes()).ok().and_then(|host| setup.routes.find(&host, uri.path));
    let page = engine.store.get(key);
    PopularPage {
        url: format!("{}://{}{}{query}", uri.scheme.as_str(), uri.host, uri.path),
        route: route.map(|id| Arc::clone(&setup.route(id).name)),
        popularity,
        freshness: page.as_ref().map(|page| match freshness::state(&page.lifetime, now) {
            freshness::State::Fresh => Freshness::Fresh,
            freshness::State::WhileRevalidate | freshness::State::IfError => Freshness::Stale,
            freshness::State::Void => Freshness::Expired,
        }),
        age: page.as_ref().map(|page| freshness::age(&page.lifetime, now)),
        bytes: page.as_ref().map(|page| page.representations.original().len),
    }
}
