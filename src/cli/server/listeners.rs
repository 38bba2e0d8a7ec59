//! The public listeners: which are open, and how they become those of another configuration. One that
//! stays keeps its socket; one that is new is bound before anything changes; one that is gone takes no
//! more connections and finishes those that it has.

use super::ServerError;
use crate::config::{Config, Listener};
use crate::front::{self, Connections, LiveLimits, Proxy};
use crate::metrics::{ListenerSeries, listener_names};
use crate::render::Engine;
use pingora::apps::HttpServerApp;
use pingora::protocols::l4::stream::Stream;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a connection that is idle when its listener stops may still bring a request, which is answered
/// with `Connection: close`. Whoever sends one request after the other never meets a closed connection.
pub(super) const LAST_REQUESTS: Duration = Duration::from_millis(500);

/// Every open public listener.
pub(super) struct Listeners {
    engine: Arc<Engine>,
    connections: Arc<Connections>,
    open: Vec<Open>,
}

/// Sockets for listeners that are not open yet.
pub(super) struct Prepared(Vec<Bound>);

struct Bound {
    name: String,
    config: Listener,
    socket: TcpListener,
    address: SocketAddr,
}

/// One open listener.
struct Open {
    /// The address as in the file, with a number where it is there more than once.
    name: String,
    limits: Arc<LiveLimits>,
    proxy: Arc<HttpProxy<Proxy>>,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// What changed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
}

/// Binds what `config` listens on beyond `open`. Nothing is served there yet; dropped, the sockets close.
///
/// # Errors
/// An address that cannot be had.
pub(super) fn prepare(config: &Config, open: &[String]) -> Result<Prepared, ServerError> {
    let mut bound = Vec::new();
    for (name, listener) in named(config).filter(|(name, _)| !open.contains(name)) {
        let (socket, address) = super::bind(listener.address)?;
        bound.push(Bound { name, config: listener.clone(), socket, address });
    }
    Ok(Prepared(bound))
}

fn named(config: &Config) -> impl Iterator<Item = (String, &Listener)> {
    let names = listener_names(config.listeners.iter().map(|listener| listener.address));
    names.into_iter().zip(&config.listeners)
}

impl Listeners {
    /// None yet.
    pub(super) fn new(engine: &Arc<Engine>) -> Self {
        Listeners { engine: Arc::clone(engine), connections: Arc::default(), open: Vec::new() }
    }

    /// What the open ones are called.
    pub(super) fn names(&self) -> Vec<String> {
        self.open.iter().map(|open| open.name.clone()).collect()
    }

    /// The connections of all of them, those that are gone included.
    pub(super) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// Becomes what `config` says; `prepared` was made for it. The engine's configuration is `config` already.
    pub(super) fn become_those_of(&mut self, config: &Config, prepared: Prepared) -> Changed {
        let mut changed = Changed::default();
        for (name, listener) in named(config) {
            if let Some(open) = self.open.iter().find(|open| open.name == name) {
                open.limits.change(listener.limits.clone());
            }
        }
        let names: Vec<String> = named(config).map(|(name, _)| name).collect();
        let (stays, goes) = std::mem::take(&mut self.open).into_iter().partition(|open| names.contains(&open.name));
        self.open = stays;
        for gone in goes {
            changed.removed.push(gone.name.clone());
            tokio::spawn(gone.close());
        }
        for bound in prepared.0 {
            changed.added.push(bound.name.clone());
            self.serve(bound);
        }
        changed
    }

    fn serve(&mut self, bound: Bound) {
        let limits = LiveLimits::new(bound.config.limits);
        let proxy = front::proxy(&self.engine, Arc::clone(&limits));
        let (stop, stopping) = watch::channel(false);
        let public = Public {
            proxy: Arc::clone(&proxy),
            limits: Arc::clone(&limits),
            connections: Arc::clone(&self.connections),
            series: self.engine.setup().metrics.listener(&bound.name),
            stopping: stopping.clone(),
        };
        super::announce("public", bound.address);
        let accepting = tokio::spawn(front::accept(bound.socket, stopping, move |stream, _| public.serve(stream)));
        self.open.push(Open { name: bound.name, limits, proxy, stop, accepting });
    }

    /// Takes no more connections anywhere; what is in flight goes on, and what is idle after
    /// [`LAST_REQUESTS`] is closed.
    pub(super) async fn stop(&mut self) {
        let open = std::mem::take(&mut self.open);
        let mut accepting = Vec::new();
        let mut proxies = Vec::new();
        for one in open {
            let _ = one.stop.send(true);
            accepting.push(one.accepting);
            proxies.push(one.proxy);
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
    /// Takes no more connections; those that are idle may bring one more request for a while, and what is
    /// in flight is finished.
    async fn close(self) {
        let _ = self.stop.send(true);
        let _ = self.accepting.await;
        tokio::time::sleep(LAST_REQUESTS).await;
        self.proxy.http_cleanup().await;
    }
}

/// What a public listener needs to serve a connection.
struct Public {
    proxy: Arc<HttpProxy<Proxy>>,
    limits: Arc<LiveLimits>,
    connections: Arc<Connections>,
    series: ListenerSeries,
    stopping: ShutdownWatch,
}

impl Public {
    fn serve(&self, stream: Stream) {
        let open = self.connections.enter();
        let counted = self.series.connection();
        let (proxy, limits) = (Arc::clone(&self.proxy), Arc::clone(&self.limits));
        let stopping = self.stopping.clone();
        tokio::spawn(async move {
            front::serve(&proxy, stream, &limits, &stopping).await;
            drop(counted);
            drop(open);
        });
    }
}
