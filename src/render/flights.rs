//! The renders under way: at most one per key and purge sequence that a request may join.
//!
//! A reload may have a page rendered by somebody else. A render that was begun before it is not joined by
//! requests that come after it, and what it brings goes to those who waited for it and nowhere else
//! ([`Engine::counts`]). It must not decide how a render goes; that is [`super::run`].

use super::flight::{Flight, Waiter};
use super::scheduler::Class;
use super::{Engine, Order, Setup, run};
use crate::config::{CacheMode, Origin, OriginId, RouteId};
use crate::policy::explain::RenderUnderWay;
use crate::policy::host::Host;
use crate::policy::{Key, Standing};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Waker};

const SHARDS: usize = 64;

type Shard = Mutex<HashMap<Key, UnderWay, foldhash::quality::RandomState>>;

/// Every render under way, by key.
pub(super) struct Flights(Vec<Shard>);

/// A render and by whom.
struct UnderWay {
    flight: Arc<Flight>,
    by: Renderer,
}

/// By whom, and for what kind of route, a page is rendered under one configuration.
#[derive(Clone, Debug)]
pub(crate) struct Renderer {
    generation: u64,
    origin: Arc<Origin>,
    cache: CacheMode,
}

impl Renderer {
    /// The one of this route and origin of `setup`.
    pub(crate) fn of(setup: &Setup, route: RouteId, origin: OriginId) -> Self {
        let (cache, origin) = (setup.route(route).cache, Arc::clone(setup.config.origin(origin)));
        Renderer { generation: setup.generation, origin, cache }
    }

    /// Whether both are asked for the same page in the same way.
    fn is_like(&self, other: &Renderer) -> bool {
        self.generation == other.generation || (self.cache == other.cache && self.origin.renders_like(&other.origin))
    }

    /// Whether a request that would have `other` render may take what this one renders. One that began
    /// before a reload may take what whoever came after it has started.
    fn may_stand_in_for(&self, other: &Renderer) -> bool {
        self.generation > other.generation || self.is_like(other)
    }
}

impl Order {
    /// Who is to carry it out.
    pub(crate) fn renderer(&self) -> Renderer {
        Renderer::of(&self.setup, self.route, self.origin)
    }
}

/// Starts a render that belongs to nobody. It takes its first step here, so that the origin is asked before this thread
/// turns to what else there is, such as those who want the same page.
fn set_off(render: impl Future<Output = ()> + Send + 'static) {
    let mut render = Box::pin(render);
    // The task polls it once more, whatever happened by then.
    if render.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        tokio::spawn(render);
    }
}

impl Default for Flights {
    fn default() -> Self {
        Flights((0..SHARDS).map(|_| Shard::default()).collect())
    }
}

impl Flights {
    fn shard(&self, key: &Key) -> &Shard {
        let index = usize::try_from(key.hash64() % SHARDS as u64).unwrap_or(0);
        &self.0[index]
    }
}

impl Engine {
    /// The render of this key that is under way.
    pub(crate) fn under_way(&self, key: &Key) -> Option<RenderUnderWay> {
        let flight = Arc::clone(&self.flights.shard(key).lock().get(key)?.flight);
        Some(if flight.has_asked() { RenderUnderWay::Running } else { RenderUnderWay::Waiting })
    }

    /// Joins the render of `key` that runs, or has one started by `by`. `still_wanted` is asked under the
    /// lock that also guards landing, so that a render which has just landed is not repeated; `None`
    /// means that it was not wanted any more and the lookup is to be made again.
    pub(crate) fn join_or_start(
        self: &Arc<Self>,
        key: &Key,
        by: Renderer,
        still_wanted: impl FnOnce() -> bool,
        order: impl FnOnce() -> Order,
    ) -> Option<Waiter> {
        let mut shard = self.flights.shard(key).lock();
        if let Some(there) = shard.get(key)
            && self.may_join(there, &by)
        {
            return Some(there.flight.join());
        }
        if !still_wanted() {
            return None;
        }
        let flight = Flight::new(key.clone(), self.store.purge_seq());
        let waiter = flight.start();
        shard.insert(key.clone(), UnderWay { flight: Arc::clone(&flight), by });
        drop(shard);
        set_off(run::fly(Arc::clone(self), flight, order(), Class::Miss));
        Some(waiter)
    }

    /// Has `by` render a stale page in the background, unless a render runs, and returns it.
    pub(crate) fn refresh(
        self: &Arc<Self>,
        key: &Key,
        by: Renderer,
        still_wanted: impl FnOnce() -> bool,
        order: impl FnOnce() -> Order,
    ) -> Option<Arc<Flight>> {
        let mut shard = self.flights.shard(key).lock();
        let runs = shard.get(key).is_some_and(|there| self.may_join(there, &by));
        if runs || !still_wanted() {
            return None;
        }
        let flight = Flight::new(key.clone(), self.store.purge_seq());
        shard.insert(key.clone(), UnderWay { flight: Arc::clone(&flight), by });
        drop(shard);
        let popularity = self.store.popularity(key);
        tokio::spawn(run::fly(Arc::clone(self), Arc::clone(&flight), order(), Class::Refresh { popularity }));
        Some(flight)
    }

    /// A render that has seen an older purge sequence than its URI's is not joined, unless it has
    /// not asked the origin yet: then it takes the newer one along.
    fn may_join(&self, there: &UnderWay, by: &Renderer) -> bool {
        let flight = &there.flight;
        there.by.may_stand_in_for(by)
            && (self.store.standing_of_render(flight.key(), flight.purge_seq()) == Standing::Fine
                || flight.catch_up(self.store.purge_seq()))
    }

    pub(super) fn leave_flights(&self, flight: &Arc<Flight>) {
        let mut shard = self.flights.shard(flight.key()).lock();
        if shard.get(flight.key()).is_some_and(|there| Arc::ptr_eq(&there.flight, flight)) {
            shard.remove(flight.key());
        }
    }

    /// Whether the configuration in force would have the page of this order rendered by the same origin in
    /// the same way. Where it would not, nothing that the render brings says anything about the page.
    pub(super) fn counts(&self, order: &Order) -> bool {
        let now = self.setup_now();
        if now.generation == order.setup.generation {
            return true;
        }
        let uri = order.key.uri();
        let Ok(host) = Host::parse(uri.host.as_bytes()) else { return false };
        let Some(route) = now.routes.find(&host, uri.path) else { return false };
        let origin = now.route(route).origin;
        Renderer::of(&now, route, origin).is_like(&order.renderer())
    }
}

#[cfg(test)]
mod tests {
    use super::set_off;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_render_has_begun_when_its_starter_goes_on_and_ends_without_it() {
        // There is one thread: what is only spawned has not run yet.
        let (tell, mut begun) = oneshot::channel();
        let (answer, answered) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        set_off(async move {
            tell.send(()).expect("the test waits");
            answered.await.expect("the test answers");
            end.send(()).expect("the test waits");
        });
        assert_eq!(begun.try_recv(), Ok(()));
        answer.send(()).expect("it goes on");
        ended.await.expect("it ends");
    }
}
