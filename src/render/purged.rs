//! Purging, and rendering purged pages again before somebody asks for them: the popular ones first, so
//! many a second, and never with more than a quarter of what an origin renders at once. What is not
//! among the popular keys, or depends on more than its key, is refreshed when the next request comes.

use super::{Asker, Engine, Flight, Order, Setup};
use crate::config::{OriginId, PurgeMode};
use crate::policy::parameters::Changed;
use crate::policy::purge::Rule;
use crate::policy::{Key, PurgeSeq, Standing, again, render_request};
use http::HeaderMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Popular keys that are looked at after a purge.
const POPULAR: usize = 16_384;

/// Between two walks over them, so that purges that come in one by one cost one walk together.
const PAUSE: Duration = Duration::from_millis(500);

impl Engine {
    /// Purges what these rules name, for the next request on every thread.
    pub(crate) fn purge(&self, rules: &[Rule], mode: PurgeMode) -> PurgeSeq {
        let sequence = self.store.purge(rules, mode);
        let metrics = &self.setup.load().metrics;
        rules.iter().for_each(|rule| metrics.purged(rule.kind(), mode));
        self.made_stale(mode);
        sequence
    }

    /// Purges what a write to the origin has changed; `host` is the one that it went to. It does not
    /// count as a purge: nobody asked for one.
    pub(crate) fn write_through(&self, host: &str, changed: Changed) {
        match changed {
            Changed::Path { host: other, path, mode } => {
                self.store.invalidate_path(other.as_deref().unwrap_or(host), &path, mode);
                self.made_stale(mode);
            }
            Changed::Tag { tag, mode } => {
                self.store.invalidate_tag(&tag, mode);
                self.made_stale(mode);
            }
        }
    }

    /// Wakes [`refresh_purged`] where there may be stale pages to render again.
    fn made_stale(&self, mode: PurgeMode) {
        if mode == PurgeMode::Stale {
            self.purged.notify_one();
        }
    }

    /// The order for the page of `key`, if a purge has made it stale and nothing speaks against
    /// asking for it now.
    fn order_purged(&self, setup: &Arc<Setup>, key: &Key) -> Option<Order> {
        let prior = self.store.get(key).filter(|page| self.store.standing(page) == Standing::Stale)?;
        let (wanted, headers) = again::wanted(&setup.config, &setup.routes, key)?;
        let now = self.now();
        let waits = self.backing_off_until(setup, key, wanted.origin, now).is_some_and(|until| now < until);
        if waits || self.store.is_uncacheable(key, now) {
            return None;
        }
        Some(Order {
            setup: Arc::clone(setup),
            route: wanted.route,
            origin: wanted.origin,
            key: key.clone(),
            request: render_request::build(&setup.config, &wanted, &headers),
            asked_with: HeaderMap::new(),
            asker: Asker::default(),
            prior: Some(prior),
        })
    }
}

/// Renders popular pages again whenever a purge has made pages stale; never ends.
pub(crate) async fn refresh_purged(engine: Arc<Engine>) {
    let mut sweep = Sweep { engine: &engine, running: JoinSet::new(), at_once: Vec::new() };
    loop {
        engine.purged.notified().await;
        for key in engine.store.popular(POPULAR) {
            sweep.refresh(&key).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Walks over the popular keys.
struct Sweep<'a> {
    engine: &'a Arc<Engine>,
    running: JoinSet<Arc<str>>,
    /// Of each running render: whom it asks. By name, which outlives a change of the configuration.
    at_once: Vec<Arc<str>>,
}

impl Sweep<'_> {
    async fn refresh(&mut self, key: &Key) {
        let setup = self.engine.setup();
        let Ok(rate @ 1..) = u32::try_from(setup.config.purging.refresh) else { return };
        let Some(order) = self.engine.order_purged(&setup, key) else { return };
        let origin = order.origin;
        self.wait_for_room(&setup, origin).await;
        let still_wanted = || self.engine.order_purged(&setup, key).is_some();
        let Some(flight) = self.engine.refresh(key, still_wanted, || order) else { return };
        setup.metrics.refreshed_purged();
        self.start(flight, Arc::clone(&setup.config.origin(origin).name));
        tokio::time::sleep(Duration::from_secs(1) / rate).await;
    }

    fn start(&mut self, flight: Arc<Flight>, origin: Arc<str>) {
        self.at_once.push(Arc::clone(&origin));
        self.running.spawn(async move {
            flight.ended().await;
            origin
        });
    }

    /// Waits until this origin has room for one more of these renders.
    async fn wait_for_room(&mut self, setup: &Setup, origin: OriginId) {
        let origin = setup.config.origin(origin);
        let most = (origin.max_renders.get() / 4).max(1);
        while let Some(ended) = self.running.try_join_next() {
            self.end(ended.ok());
        }
        while self.at_once.iter().filter(|other| **other == origin.name).count() >= most {
            let Some(ended) = self.running.join_next().await else { return self.at_once.clear() };
            self.end(ended.ok());
        }
    }

    fn end(&mut self, origin: Option<Arc<str>>) {
        if let Some(at) = self.at_once.iter().position(|other| Some(other) == origin.as_ref()) {
            self.at_once.swap_remove(at);
        }
    }
}
