//! When the origin is asked, by whom, how often, and what of its answers counts.
//!
//! [`Engine`] is the whole of it: it knows the pages, the renders in flight, the origins and which
//! keys back off. One render per key and purge sequence at a time; the flight map holds that.

pub(crate) mod assets;
mod awaited;
pub mod backoff;
mod complaints;
mod deploys;
mod encode;
mod failures;
mod flight;
mod flights;
mod gate;
mod mishap;
mod notices;
mod order;
pub mod origin;
mod page;
mod preloads;
pub(crate) mod purged;
pub(crate) mod recall;
mod run;
pub mod scheduler;
pub(crate) mod sitemaps;

pub(crate) use awaited::{Awaited, Full};
pub(crate) use failures::{FailedRender, Failures};
pub(crate) use flight::{Failure, Flight, Head, HeadKind, Told, Waiter};
pub(crate) use flights::Renderer;
pub(crate) use gate::is_html;
pub use notices::Notices;

use crate::config::reload::Fixed;
use crate::config::{Config, Origin, OriginId, Route, RouteId};
use crate::metrics::{Metrics, StoreReading};
use crate::policy::route::{RouteError, RouteTable};
use crate::policy::{Key, Page, Timestamp};
use crate::store::{Clock, Locked, OnLock, Store};
use arc_swap::ArcSwap;
use backoff::{Backoff, GoodRenders};
use complaints::Complaints;
use deploys::Deploys;
use encode::Encoder;
use flights::Flights;
use http::HeaderMap;
use origin::OriginClient;
use parking_lot::Mutex;
use preloads::Preloads;
use scheduler::Scheduler;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// One origin at run time. What it knows of the origin goes on in the next configuration, by name.
pub(crate) struct OriginState {
    /// Talks to it.
    pub(crate) client: OriginClient,
    /// Holds its renders within their limits.
    pub(crate) scheduler: Scheduler,
    /// Keeps its failures from flooding the log.
    pub(crate) complaints: Arc<Complaints>,
    /// Whose good renders end waits.
    pub(crate) good_renders: GoodRenders,
}

/// One configuration at run time. A request keeps the one it began with.
pub struct Setup {
    /// The configuration.
    pub config: Arc<Config>,
    /// Which route takes a path.
    pub routes: RouteTable,
    /// What is said once.
    pub notices: Notices,
    /// Every series.
    pub metrics: Arc<Metrics>,
    pub(crate) origins: Vec<OriginState>,
    /// Which one it is, counted from the one that the process began with.
    pub(crate) generation: u64,
}

/// Everything a request needs: pages, renders, and the configuration in force.
pub struct Engine {
    setup: ArcSwap<Setup>,
    pub(crate) store: Store,
    backoff: Backoff,
    flights: Flights,
    encoder: Encoder,
    /// Wakes whoever renders purged pages again.
    purged: Notify,
    deploys: Deploys,
    /// Pages whose assets are to be fetched, and where they wait until somebody does it.
    asset_pages: mpsc::Sender<assets::Linking>,
    asset_queue: Mutex<Option<assets::Queue>>,
    /// The last renders that failed.
    pub(crate) failures: Failures,
    /// Who waits behind fallback pages.
    pub(crate) awaited: Awaited,
    pub(crate) preloads: Preloads,
    clock: Clock,
}

/// What a render is to do.
#[derive(Clone)]
pub(crate) struct Order {
    /// The configuration that the request which started it began with.
    pub(crate) setup: Arc<Setup>,
    /// The route it is for.
    pub(crate) route: RouteId,
    /// Who renders.
    pub(crate) origin: OriginId,
    /// The URI's key, variant included where it is known beforehand.
    pub(crate) key: Key,
    /// What the origin is asked, without conditions.
    pub(crate) request: crate::policy::render_request::RenderRequest,
    /// The fields of the request that started it, which select the variant (`cache: headers`).
    pub(crate) asked_with: HeaderMap,
    /// Facts of the request that started it.
    pub(crate) asker: Asker,
    /// The page it would replace.
    pub(crate) prior: Option<Arc<Page>>,
}

/// Facts of the request that started a render.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asker {
    /// It carried `Authorization`.
    pub(crate) authorized: bool,
    /// It carried cookies.
    pub(crate) sent_cookie: bool,
}

impl Setup {
    /// A configuration ready to serve. Connects to nothing.
    ///
    /// # Errors
    /// When two routes take the same paths.
    pub fn new(config: Arc<Config>, metrics: Arc<Metrics>, notices: Notices) -> Result<Self, RouteError> {
        let routes = RouteTable::new(&config)?;
        let origins = config.origins.iter().map(OriginState::new).collect();
        Ok(Setup { config, routes, notices, metrics, origins, generation: 0 })
    }

    /// The next configuration, ready to serve: counts, limits and what is known of the origins go on.
    /// Nothing of the one in force changes until [`Engine::take`].
    ///
    /// # Errors
    /// When two routes take the same paths.
    pub fn next(&self, config: Arc<Config>, notices: Notices) -> Result<Self, RouteError> {
        let mut routes = RouteTable::new(&config)?;
        routes.inherit(&config, &self.routes, &self.config);
        let known = |origin: &Origin| self.config.origins.iter().position(|other| other.name == origin.name);
        let state = |origin: &Arc<Origin>| match known(origin) {
            Some(at) => self.origins[at].next(&self.config.origins[at], origin),
            None => OriginState::new(origin),
        };
        let origins = config.origins.iter().map(state).collect();
        let metrics = Arc::new(self.metrics.next(&config));
        Ok(Setup { config, routes, notices, metrics, origins, generation: self.generation + 1 })
    }

    /// The route with this id.
    pub(crate) fn route(&self, id: RouteId) -> &Arc<Route> {
        self.config.route(id)
    }

    /// Hands out the permits to ask this origin.
    pub(crate) fn scheduler(&self, origin: OriginId) -> &Scheduler {
        &self.origins[origin.0].scheduler
    }
}

impl OriginState {
    fn new(origin: &Arc<Origin>) -> Self {
        OriginState {
            client: OriginClient::new(Arc::clone(origin)),
            scheduler: Scheduler::new(origin.max_renders, origin.max_waiting, origin.queue_timeout),
            complaints: Arc::default(),
            good_renders: GoodRenders::none(),
        }
    }

    /// The origin as the next configuration has it. Its limits are changed by [`OriginState::limit`].
    fn next(&self, before: &Origin, origin: &Arc<Origin>) -> Self {
        // Other servers may well be up: what waited for the old ones is tried at once.
        let same = before.servers == origin.servers;
        OriginState {
            client: self.client.next(Arc::clone(origin)),
            scheduler: self.scheduler.clone(),
            complaints: Arc::clone(&self.complaints),
            good_renders: if same { self.good_renders.clone() } else { GoodRenders::none() },
        }
    }

    fn limit(&self, origin: &Origin) {
        self.scheduler.set_limits(origin.max_renders, origin.max_waiting, origin.queue_timeout);
    }
}

impl Engine {
    /// An engine with an empty store in memory.
    pub fn new(setup: Setup) -> Arc<Self> {
        let store = Store::new(&setup.config.store, &setup.config.purging);
        Engine::with_store(setup, store, Clock::start())
    }

    /// An engine with the store that the configuration names, disk included.
    ///
    /// # Errors
    /// When another process uses the disk tier's directory, unless it is waited for.
    pub fn open(setup: Setup, on_lock: OnLock) -> Result<Arc<Self>, Locked> {
        let clock = Clock::start();
        let (config, series) = (&setup.config, setup.metrics.disk().clone());
        let store = Store::open(&config.store, &config.purging, on_lock, series, clock)?;
        Ok(Engine::with_store(setup, store, clock))
    }

    fn with_store(setup: Setup, store: Store, clock: Clock) -> Arc<Self> {
        let (asset_pages, asset_queue) = assets::queue();
        Arc::new(Engine {
            store,
            encoder: Encoder::new(setup.config.encoders),
            backoff: Backoff::default(),
            flights: Flights::default(),
            purged: Notify::new(),
            deploys: Deploys::new(setup.config.deploys.first.clone()),
            asset_pages,
            asset_queue: Mutex::new(Some(asset_queue)),
            failures: Failures::default(),
            awaited: Awaited::new(setup.config.admin.token.as_deref()),
            preloads: Preloads::default(),
            clock,
            setup: ArcSwap::from_pointee(setup),
        })
    }

    /// Writes to disk what is not there yet and lets go of the disk tier's directory, within
    /// `store.disk.flush_timeout`; memory serves on. What is purged afterwards is not written down.
    pub async fn close_store(&self) {
        self.store.close().await;
    }

    /// The configuration in force.
    pub fn setup(&self) -> Arc<Setup> {
        self.setup.load_full()
    }

    /// The configuration in force, for a moment.
    pub(crate) fn setup_now(&self) -> arc_swap::Guard<Arc<Setup>> {
        self.setup.load()
    }

    /// The time at an instant since the start.
    pub(crate) fn time_of(&self, instant: std::time::Instant) -> Timestamp {
        self.clock.at(instant)
    }

    /// Puts the next configuration in force: requests that come from now on go by it, and those under way
    /// end under the one that they began with. Pages, renders and purges stay.
    pub fn take(&self, setup: Setup) {
        let setup = Arc::new(setup);
        let before = self.setup.swap(Arc::clone(&setup));
        setup.metrics.supersede(&before.metrics);
        setup.metrics.certificates(&setup.config.listeners);
        for (state, origin) in setup.origins.iter().zip(&setup.config.origins) {
            state.limit(origin);
        }
        self.store.limit_purge_rules(&setup.config.purging);
        self.store.limit_memory(&setup.config.store);
    }

    /// The bounds of `next` that the store cannot take over while it runs.
    pub(crate) fn fixed_memory(&self, next: &Config) -> Option<Fixed> {
        let running = self.setup.load();
        if self.store.can_become(&next.store) {
            return None;
        }
        let (key, running, wanted) = if running.config.store.max_page == next.store.max_page {
            ("store.memory", running.config.store.memory, next.store.memory)
        } else {
            ("store.max_page", running.config.store.max_page, next.store.max_page)
        };
        Some(Fixed { key, running: format!("{running}B"), wanted: format!("{wanted}B") })
    }

    /// The time, read once per request at the edge.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Until when no render of this key by this origin of `setup` is tried.
    pub(crate) fn backing_off_until(
        &self,
        setup: &Setup,
        key: &Key,
        origin: OriginId,
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.backoff.waiting(key, &setup.origins[origin.0].good_renders, now)
    }

    /// Keys that back off now.
    pub(crate) fn backing_off(&self) -> usize {
        self.backoff.len()
    }

    /// Ends the long polls of fallback pages: the process stops, and they would hold it up.
    pub(crate) fn close_polls(&self) {
        self.awaited.close();
    }

    /// Halves every popularity.
    pub(crate) fn let_popularity_fade(&self) {
        self.store.let_popularity_fade();
    }

    /// What the store holds, for metrics.
    pub(crate) fn store_reading(&self) -> StoreReading {
        StoreReading {
            bytes: self.store.bytes() as u64,
            pages: self.store.pages() as u64,
            capacity: self.store.capacity() as u64,
            evictions: self.store.evictions(),
            purge_rules: self.store.purge_rules() as u64,
            purge_rules_merged: self.store.merged_purge_rules(),
        }
    }
}
