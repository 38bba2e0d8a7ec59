//! The public listeners: which are open, and how they become those of another configuration. One that
//! stays keeps its socket; one that is new is bound before anything changes; one that is gone takes no
//! more connections and finishes those that it has.

use super::ServerError;
use super::fronts;
use super::upgrade::{Inherited, Sockets};
use crate::config::{Config, Listener};
use crate::front::{self, Accepted, Connections, Door, LAST_REQUESTS, Lane, LiveLimits, Proxy, Tls, Waiting};
use crate::metrics::{ListenerSeries, Metrics, listener_names};
use crate::render::Engine;
use arc_swap::ArcSwap;
use pingora::apps::HttpServerApp;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Every open public listener.
pub(super) struct Listeners {
    engine: Arc<Engine>,
    sockets: Sockets,
    fronts: fronts::View,
    connections: Arc<Connections>,
    open: Vec<Open>,
}

/// Everything that becoming the listeners of a configuration needs and may not get.
pub(super) struct Prepared {
    bound: Vec<Bound>,
    /// For listeners that are open and whose connections are to begin otherwise.
    doors: Vec<(String, Option<Arc<Tls>>)>,
}

/// A listener that is not open yet.
struct Bound {
    kept: Kept,
    /// Of each socket, the handles of all fronts.
    served: Vec<Vec<Waiting>>,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
}

/// Sockets that a successor can have. Dropped, they close with their listener.
struct Kept {
    /// The listener's address as in the file, with a number where it is there more than once.
    name: String,
    sockets: Sockets,
    is_open: bool,
}

impl Kept {
    fn keep(&mut self, socket: std::net::TcpListener, fronts: &fronts::View) -> std::io::Result<Vec<Waiting>> {
        let served = fronts.register(&socket)?;
        self.is_open = true;
        self.sockets.keep(&self.name, socket);
        Ok(served)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.is_open {
            self.sockets.forget(&self.name);
        }
    }
}

/// One open listener.
struct Open {
    kept: Kept,
    config: Listener,
    limits: Arc<LiveLimits>,
    service: Arc<ArcSwap<Service>>,
    /// Those that older connections are served by.
    older: Vec<Arc<HttpProxy<Proxy>>>,
    stop: watch::Sender<bool>,
    accepting: Vec<JoinHandle<()>>,
}

/// What serves connections that begin now.
struct Service {
    door: Arc<Door>,
    proxy: Arc<HttpProxy<Proxy>>,
}

/// What changed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
}

/// Binds what `config` listens on beyond `open`, or takes it from the process before. Nothing is served there
/// yet; dropped, the sockets close.
///
/// # Errors
/// An address that cannot be had, or no random numbers for TLS.
pub(super) fn prepare(
    config: &Config,
    open: &[(String, Listener)],
    mut inherited: Option<&mut Inherited>,
    sockets: &Sockets,
    fronts: &fronts::View,
) -> Result<Prepared, ServerError> {
    let mut prepared = Prepared { bound: Vec::new(), doors: Vec::new() };
    let wanted: Vec<String> = named(config).map(|(name, _)| name).collect();
    let closing = match &inherited {
        Some(inherited) => inherited.others(&wanted)?,
        None => sockets.others(&wanted)?,
    };
    for (name, listener) in named(config) {
        match open.iter().find(|(other, _)| *other == name) {
            Some((_, before)) if opens_alike(before, listener) => {}
            Some(_) => prepared.doors.push((name, Tls::of(listener)?)),
            None => {
                let mut taken = inherited.as_mut().map(|inherited| inherited.take(&name)).unwrap_or_default();
                if taken.is_empty() {
                    taken.push(super::bind(listener.address, &closing)?);
                }
                let address = taken[0].local_addr()?;
                let mut kept = Kept { name, sockets: sockets.clone(), is_open: false };
                let served = taken.into_iter().map(|socket| kept.keep(socket, fronts)).collect::<Result<_, _>>()?;
                prepared.bound.push(Bound { kept, served, address, tls: Tls::of(listener)? });
            }
        }
    }
    Ok(prepared)
}

/// Whether connections begin alike; certificates and limits of requests change behind the same door.
fn opens_alike(one: &Listener, other: &Listener) -> bool {
    one.scheme() == other.scheme()
        && one.h2c == other.h2c
        && one.limits.handshake_timeout == other.limits.handshake_timeout
        && one.limits.max_handshakes == other.limits.max_handshakes
}

fn named(config: &Config) -> impl Iterator<Item = (String, &Listener)> {
    let names = listener_names(config.listeners.iter().map(|listener| listener.address));
    names.into_iter().zip(&config.listeners)
}

impl Listeners {
    /// None yet.
    pub(super) fn new(engine: &Arc<Engine>, sockets: &Sockets, fronts: fronts::View) -> Self {
        let (engine, sockets) = (Arc::clone(engine), sockets.clone());
        Listeners { engine, sockets, fronts, connections: Arc::default(), open: Vec::new() }
    }

    /// Who serves their connections.
    pub(super) fn fronts(&self) -> &fronts::View {
        &self.fronts
    }

    /// Where a successor finds the sockets.
    pub(super) fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Those that are open, by name.
    pub(super) fn open(&self) -> Vec<(String, Listener)> {
        self.open.iter().map(|open| (open.kept.name.clone(), open.config.clone())).collect()
    }

    /// The connections of all of them, those that are gone included.
    pub(super) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// Becomes what `config` says; `prepared` was made for it. The engine's configuration is `config` already.
    pub(super) fn become_those_of(&mut self, config: &Config, prepared: Prepared) -> Changed {
        let mut changed = Changed::default();
        let wanted: Vec<(String, &Listener)> = named(config).collect();
        let is_wanted = |open: &Open| wanted.iter().any(|(name, _)| *name == open.kept.name);
        let (stays, goes): (Vec<Open>, Vec<Open>) = std::mem::take(&mut self.open).into_iter().partition(is_wanted);
        self.open = stays;
        for gone in goes {
            changed.removed.push(gone.kept.name.clone());
            tokio::spawn(gone.close());
        }
        let Prepared { mut bound, mut doors } = prepared;
        for (name, listener) in wanted {
            if let Some(open) = self.open.iter_mut().find(|open| open.kept.name == name) {
                let door = doors.iter().position(|(other, _)| *other == name).map(|at| doors.swap_remove(at).1);
                open.change(&self.engine, listener, door);
            } else if let Some(at) = bound.iter().position(|bound| bound.kept.name == name) {
                changed.added.push(name);
                self.serve(bound.swap_remove(at), listener);
            }
        }
        changed
    }

    fn serve(&mut self, bound: Bound, listener: &Listener) {
        let limits = LiveLimits::new(listener.limits.clone());
        let service = Service::new(&self.engine, listener, &limits, bound.tls);
        let service = Arc::new(ArcSwap::from_pointee(service));
        let (stop, stopping) = watch::channel(false);
        let metrics = Arc::clone(&self.engine.setup().metrics);
        let public = Public {
            service: Arc::clone(&service),
            fronts: self.fronts.clone(),
            connections: Arc::clone(&self.connections),
            series: metrics.listener(&bound.kept.name),
            metrics,
            stopping: stopping.clone(),
        };
        super::announce("public", bound.address);
        let public = Arc::new(public);
        let accept = |(here, socket)| {
            let public = Arc::clone(&public);
            let serve = move |accepted| public.serve(here, accepted);
            self.fronts.handle(here).spawn(front::accept(socket, stopping.clone(), serve))
        };
        let accepting =
            bound.served.into_iter().flat_map(|socket| socket.into_iter().enumerate()).map(accept).collect();
        let (kept, config) = (bound.kept, listener.clone());
        self.open.push(Open { kept, config, limits, service, older: Vec::new(), stop, accepting });
    }

    /// Takes no more connections anywhere; what is in flight goes on, and what is idle after
    /// [`LAST_REQUESTS`] is closed.
    pub(super) async fn stop(&mut self) {
        let open = std::mem::take(&mut self.open);
        let mut accepting = Vec::new();
        let mut proxies = Vec::new();
        for one in open {
            let _ = one.stop.send(true);
            accepting.extend(one.accepting);
            proxies.extend(one.older);
            proxies.push(Arc::clone(&one.service.load().proxy));
        }
        for task in accepting {
            let _ = task.await;
        }
        tokio::select! {
            () = self.connections.closed() => {}
            () = tokio::time::sleep(LAST_REQUESTS) => {}
        }
        for proxy in proxies {
            proxy.http_cleanup().await;
        }
    }
}

impl Open {
    /// Becomes what the next configuration says of it; `tls` is given where connections are to begin otherwise.
    fn change(&mut self, engine: &Arc<Engine>, listener: &Listener, tls: Option<Option<Arc<Tls>>>) {
        self.limits.change(listener.limits.clone());
        let service = self.service.load_full();
        match tls {
            None => {
                if let Some(tls) = &service.door.tls {
                    tls.replace(&listener.tls);
                }
            }
            Some(tls) => {
                self.older.retain(|proxy| Arc::strong_count(proxy) > 1);
                self.older.push(Arc::clone(&service.proxy));
                self.service.store(Arc::new(Service::new(engine, listener, &self.limits, tls)));
            }
        }
        self.config = listener.clone();
    }

    /// Takes no more connections; those that are idle may bring one more request for a while, and what is
    /// in flight is finished.
    async fn close(self) {
        let _ = self.stop.send(true);
        drop(self.kept);
        for task in self.accepting {
            let _ = task.await;
        }
        tokio::time::sleep(LAST_REQUESTS).await;
        for proxy in self.older {
            proxy.http_cleanup().await;
        }
        let service = self.service.load_full();
        service.proxy.http_cleanup().await;
    }
}

impl Service {
    fn new(engine: &Arc<Engine>, listener: &Listener, limits: &Arc<LiveLimits>, tls: Option<Arc<Tls>>) -> Self {
        let proxy = front::proxy(engine, listener.scheme(), Arc::clone(limits));
        let lane = Some(Lane::new(engine, listener.scheme(), Arc::clone(limits)));
        Service { door: Arc::new(Door { tls, h2c: listener.h2c, limits: Arc::clone(limits), lane }), proxy }
    }
}

/// What a public listener needs to serve a connection.
struct Public {
    service: Arc<ArcSwap<Service>>,
    fronts: fronts::View,
    connections: Arc<Connections>,
    series: ListenerSeries,
    metrics: Arc<Metrics>,
    stopping: ShutdownWatch,
}

impl Public {
    /// Serves a connection that was taken at the front `here`, on which this runs.
    fn serve(&self, here: usize, accepted: Accepted) {
        let counted = (self.connections.enter(), self.series.connection());
        let service = self.service.load();
        // Whoever takes connections goes on, whatever becomes of one.
        let greeting = AssertUnwindSafe(|| front::greet(&service.door, accepted, &self.stopping));
        let Ok(Some(greeted)) = catch_unwind(greeting) else { return };
        let place = self.fronts.place(here);
        let service = Arc::clone(&service);
        let (metrics, stopping) = (Arc::clone(&self.metrics), self.stopping.clone());
        // In a box, so that it is not copied from hand to hand.
        self.fronts.handle(place.at()).clone().spawn(Box::pin(async move {
            front::receive(&service.door, &service.proxy, greeted, &metrics, &stopping).await;
            drop((counted, place));
        }));
    }
}
