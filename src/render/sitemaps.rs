//! Keeps the lists of routes that come from sitemaps: reads each at start and again and again, and gives
//! what it says to the table of routes. A sitemap that cannot be read changes nothing: the list that was
//! read last stays, and where none ever was, every path is let through. Either is said in the log and on
//! `/readyz`.

mod fetch;
mod list;

pub(crate) use fetch::{SiteFetch, whole};

use super::{Engine, Setup};
use crate::config::{Paths, RouteId, Sitemap, SitemapSource};
use crate::sitemap::Walked;
use crate::uri::PathSet;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// From the first failure to the next try; doubled by every further one.
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// How long a route that was never given its list waits at most for the next try.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// How often it is looked whether another configuration is in force.
const TICK: Duration = Duration::from_secs(1);

/// How one reading ended.
type Reading = Result<(PathSet, Walked), String>;

/// Keeps the lists; never ends. `ready` is told when the sitemaps that are files have been read once.
pub(crate) async fn keep_lists(engine: Arc<Engine>, ready: oneshot::Sender<()>) {
    let mut keeper = Keeper::of(engine.setup());
    keeper.read_files().await;
    // Whoever waits for it may have given up.
    let _ = ready.send(());
    loop {
        let setup = engine.setup();
        if !Arc::ptr_eq(&setup, &keeper.setup) {
            keeper = Keeper::of(setup);
        }
        keeper.start_due();
        let tick = tokio::time::sleep_until(Instant::now() + TICK);
        tokio::select! {
            Some(ended) = keeper.running.join_next(), if !keeper.running.is_empty() => {
                if let Ok((route, reading)) = ended {
                    keeper.take(route, reading);
                }
            }
            () = tick => {}
        }
    }
}

/// The sitemaps of one configuration.
struct Keeper {
    setup: Arc<Setup>,
    routes: BTreeMap<RouteId, State>,
    running: JoinSet<(RouteId, Reading)>,
}

/// What is known of a route's sitemap.
struct State {
    sitemap: Sitemap,
    /// When it is read next; nothing while it is being read.
    due: Option<Instant>,
    failures: u32,
    trouble: Option<String>,
}

impl Keeper {
    fn of(setup: Arc<Setup>) -> Keeper {
        let mut routes = BTreeMap::new();
        for (index, route) in setup.config.routes.iter().enumerate() {
            let id = RouteId(index);
            if let Some(Paths::Sitemap(sitemap)) = &route.paths {
                let due = Some(Instant::now());
                routes.insert(id, State { sitemap: sitemap.clone(), due, failures: 0, trouble: None });
            }
            if let Some(paths) = setup.routes.lists().len(id) {
                setup.metrics.listed(id, paths);
            }
        }
        let keeper = Keeper { setup, routes, running: JoinSet::new() };
        keeper.tell_health();
        keeper
    }

    async fn read_files(&mut self) {
        let is_file = |state: &State| matches!(state.sitemap.source, SitemapSource::File(_));
        let files: Vec<RouteId> =
            self.routes.iter().filter(|(_, state)| is_file(state)).map(|(route, _)| *route).collect();
        for route in files {
            let reading = list::read(&self.setup, route, &self.routes[&route].sitemap).await;
            self.take(route, reading);
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        for (route, state) in &mut self.routes {
            if state.due.is_none_or(|due| due > now) {
                continue;
            }
            state.due = None;
            let (setup, route, sitemap) = (Arc::clone(&self.setup), *route, state.sitemap.clone());
            self.running.spawn(async move { (route, list::read(&setup, route, &sitemap).await) });
        }
    }

    fn take(&mut self, route: RouteId, reading: Reading) {
        let Some(state) = self.routes.get_mut(&route) else { return };
        let name = &self.setup.route(route).name;
        let lists = self.setup.routes.lists();
        let before = lists.len(route);
        self.setup.metrics.sitemap_read(route, reading.as_ref().map(drop).map_err(drop));
        let wait = match reading {
            Ok((set, walked)) => {
                let (paths, source) = (set.len(), &state.sitemap.source);
                if before != Some(paths) || state.failures > 0 {
                    tracing::info!(route = %name, sitemap = %source, documents = walked.documents, paths, "sitemap read");
                }
                lists.learn(route, set);
                self.setup.metrics.listed(route, paths);
                (state.failures, state.trouble) = (0, None);
                state.sitemap.refresh
            }
            Err(why) => {
                let meanwhile = meanwhile(before);
                if state.failures == 0 {
                    tracing::warn!(route = %name, %why, meanwhile, "sitemap could not be read");
                }
                state.trouble = Some(format!("the sitemap of route {name} could not be read: {why}; {meanwhile}"));
                state.failures = state.failures.saturating_add(1);
                let most =
                    if before.is_none() { LONGEST_RETRY.min(state.sitemap.refresh) } else { state.sitemap.refresh };
                FIRST_RETRY.saturating_mul(1 << (state.failures - 1).min(16)).min(most)
            }
        };
        state.due = Some(Instant::now() + wait);
        self.tell_health();
    }

    fn tell_health(&self) {
        let troubles = self.routes.values().filter_map(|state| state.trouble.clone()).collect();
        self.setup.metrics.health().set_list_troubles(troubles);
    }
}

/// What becomes of requests while the sitemap cannot be read.
fn meanwhile(before: Option<usize>) -> &'static str {
    match before {
        None => "it never could, so every path is let through",
        Some(_) => "the list that was read before stays",
    }
}
