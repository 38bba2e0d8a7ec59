//! Purging, and rendering pages that a purge or a deploy made stale before somebody asks for them: the popular ones first, so
//! many a second, and never with more than a quarter of what an origin renders at once. What is not
//! among the popular keys, or depends on more than its key, is refreshed when the next request comes.

use super::{Asker, Engine, Flight, Order, Setup};
use crate::config::{OriginId, PurgeMode};
use crate::policy::parameters::Changed;
use crate::policy::purge::Rule;
use crate::policy::{Key, PurgeSeq, Standing, again, render_request};
use crate::store::NotWrittenDown;
use http::HeaderMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Popular keys that are looked at after a purge.
const POPULAR: usize = 16_384;

/// Keys that are looked at in one go.
const AT_A_TIME: usize = 16;
/// Walks until the last page is rendered again, where renders fail meanwhile.
const ROUNDS: usize = 30;
/// Between two of these.
const ROUND_PAUSE: Duration = Duration::from_secs(10);
/// Between two walks over them, so that purges that come in one by one cost one walk together.
const PAUSE: Duration = Duration::from_millis(500);

impl Engine {
    /// Purges what these rules name, for the next request on every thread, and returns when a restart cannot
    /// bring it back any more.
    ///
    /// # Errors
    /// When it is in force but could be undone by a restart.
    pub(crate) async fn purge(&self, rules: &[Rule], mode: PurgeMode) -> Result<PurgeSeq, NotWrittenDown> {
        let sequence = self.store.purge(rules, mode);
        let metrics = &self.setup.load().metrics;
        rules.iter().for_each(|rule| metrics.purged(rule.kind(), mode));
        self.made_stale(mode);
        self.store.written_down(sequence).await?;
        Ok(sequence)
    }

    /// Purges what a write to the origin has changed; `host` is the one that it went to. It does not
    /// count as a purge: nobody asked for one.
    pub(crate) fn write_through(&self, host: &str, changed: Changed) -> PurgeSeq {
        let (sequence, mode) = match changed {
            Changed::Path { host: other, path, mode } => {
                (self.store.invalidate_path(other.as_deref().unwrap_or(host), &path, mode), mode)
            }
            Changed::Tag { tag, mode } => (self.store.invalidate_tag(&tag, mode), mode),
        };
        self.made_stale(mode);
        sequence
    }

    /// Wakes [`refresh_purged`] where there may be stale pages to render again.
    fn made_stale(&self, mode: PurgeMode) {
        if mode == PurgeMode::Stale {
            self.purged.notify_one();
        }
    }

    /// What is to be done about the page of `key`, if a purge or a deploy has made it stale.
    fn due(&self, setup: &Arc<Setup>, key: &Key) -> Due {
        let Some(prior) = self.store.get(key) else { return Due::Never };
        let standing = self.standing(&setup.config, &prior);
        if !matches!(standing, Standing::Deployed | Standing::Stale) {
            return Due::Never;
        }
        let Some((wanted, headers)) = again::wanted(&setup.config, &setup.routes, key) else { return Due::Never };
        let now = self.now();
        if self.store.is_uncacheable(key, now) {
            return Due::Never;
        }
        if self.backing_off_until(setup, key, wanted.origin, now).is_some_and(|until| now < until) {
            return Due::Later;
        }
        let order = Order {
            setup: Arc::clone(setup),
            route: wanted.route,
            origin: wanted.origin,
            key: key.clone(),
            request: render_request::build(&setup.config, &wanted, &headers),
            asked_with: HeaderMap::new(),
            asker: Asker::default(),
            prior: Some(prior),
        };
        Due::Now(Box::new(order), standing)
    }
}

/// Whether a popular page is to be rendered again.
enum Due {
    /// It is not, or nothing made from its key would do it.
    Never,
    /// Its last render has failed and its wait is not over.
    Later,
    /// It is, because it stands like this.
    Now(Box<Order>, Standing),
}

/// Renders popular pages again whenever a purge or a deploy has made pages stale; never ends. What the process
/// before had not come to is done first.
pub(crate) async fn refresh_purged(engine: Arc<Engine>) {
    tokio::spawn(Arc::clone(&engine).go_on_after_a_start());
    let mut sweep = Sweep { engine: &engine, room: Room::default() };
    loop {
        engine.purged.notified().await;
        for _ in 0..ROUNDS {
            let mut left = false;
            for (nth, key) in engine.store.popular(POPULAR).iter().enumerate() {
                left |= sweep.refresh(key).await.is_break();
                if nth % AT_A_TIME == 0 {
                    // Most keys take no waiting, and requests have to have their turn on this thread.
                    tokio::task::yield_now().await;
                }
            }
            if !left {
                break;
            }
            // Renders fail while an origin starts; the pages are still to be rendered after that.
            let news = tokio::time::timeout(ROUND_PAUSE, engine.purged.notified()).await;
            if news.is_ok() {
                engine.purged.notify_one();
                break;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Walks over the popular keys.
struct Sweep<'a> {
    engine: &'a Arc<Engine>,
    room: Room,
}

impl Sweep<'_> {
    /// Renders one page again where that is due; breaks off where it has to be looked at once more.
    async fn refresh(&mut self, key: &Key) -> ControlFlow<()> {
        let setup = self.engine.setup();
        self.engine.recall_popular(&setup, key).await;
        let (order, standing) = match self.engine.due(&setup, key) {
            Due::Never => return ControlFlow::Continue(()),
            Due::Later => return ControlFlow::Break(()),
            Due::Now(order, standing) => (order, standing),
        };
        if standing == Standing::Stale && setup.config.purging.refresh == 0 {
            return ControlFlow::Continue(());
        }
        let origin = order.origin;
        self.room.wait(&setup, origin).await;
        if standing == Standing::Deployed {
            self.engine.wait_for_turn(setup.config.deploys.refresh).await;
        }
        let still_wanted = || matches!(self.engine.due(&setup, key), Due::Now(..));
        let Some(flight) = self.engine.refresh(key, order.renderer(), still_wanted, || *order) else {
            return ControlFlow::Continue(());
        };
        self.room.take(flight, Arc::clone(&setup.config.origin(origin).name));
        match u32::try_from(setup.config.purging.refresh) {
            _ if standing == Standing::Deployed => setup.metrics.refreshed_deployed(),
            Ok(rate @ 1..) => {
                setup.metrics.refreshed_purged();
                tokio::time::sleep(Duration::from_secs(1) / rate).await;
            }
            _ => {}
        }
        // Whether it went well is seen in the next round.
        ControlFlow::Break(())
    }
}

/// Room at the origins for renders that nobody waits for: a quarter of what each renders at once.
#[derive(Default)]
pub(super) struct Room {
    running: JoinSet<Arc<str>>,
    /// Of each running render: whom it asks. By name, which outlives a change of the configuration.
    at_once: Vec<Arc<str>>,
}

impl Room {
    /// Counts a render until it has ended.
    pub(super) fn take(&mut self, flight: Arc<Flight>, origin: Arc<str>) {
        self.at_once.push(Arc::clone(&origin));
        self.running.spawn(async move {
            flight.ended().await;
            origin
        });
    }

    /// Waits until this origin has room for one more of these renders.
    pub(super) async fn wait(&mut self, setup: &Setup, origin: OriginId) {
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
