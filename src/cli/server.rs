//! Starting, serving and stopping: binds every listener, serves until a signal comes, then finishes
//! what is in flight within `shutdown_timeout`.

use crate::admin::AdminApp;
use crate::config::{Config, Limits};
use crate::front::{self, Connections, Door, Proxy, Tls};
use crate::metrics::Metrics;
use crate::render::assets::fetch_assets;
use crate::render::purged::refresh_purged;
use crate::render::{Engine, Notices, Setup};
use crate::store::popularity::HALF_LIFE;
use crate::telemetry::Telemetry;
use pingora::apps::HttpServerApp;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// What a client of the admin listener may do.
const ADMIN_LIMITS: Limits = Limits {
    head_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(60),
    max_head: 64 << 10,
    max_headers: 100,
    max_streams: 100,
    handshake_timeout: Duration::from_secs(10),
    max_handshakes: NonZeroUsize::MIN,
};

/// Why serving ended before a signal came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// A listener's address cannot be had.
    #[error("cannot listen on {address}: {error}; is another process using the address?")]
    Bind {
        /// The address from the file.
        address: SocketAddr,
        /// The system's word.
        error: std::io::Error,
    },
    /// The routes contradict each other.
    #[error(transparent)]
    Routes(#[from] crate::policy::route::RouteError),
    /// Threads or signal handlers cannot be had.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// A configuration, ready to be served.
pub(crate) struct Server {
    config: Arc<Config>,
    notices: Notices,
    telemetry: Telemetry,
}

impl Server {
    /// Serves this configuration.
    pub(crate) fn new(config: Config, notices: Notices, telemetry: Telemetry) -> Self {
        Server { config: Arc::new(config), notices, telemetry }
    }

    /// Serves until SIGTERM or SIGINT, then finishes what is in flight.
    ///
    /// # Errors
    /// When it cannot start.
    pub(crate) fn run(self) -> Result<(), ServerError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.config.threads.get())
            .thread_name("breadbox")
            .enable_all()
            .build()?;
        let result = runtime.block_on(self.serve());
        runtime.shutdown_background();
        result
    }

    async fn serve(self) -> Result<(), ServerError> {
        let config = self.config;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let metrics = Arc::new(Metrics::new(&config));
        let engine = Engine::new(Setup::new(Arc::clone(&config), Arc::clone(&metrics), self.notices)?);
        observe(&engine, &metrics);
        metrics.observe_log(self.telemetry.dropped());
        tokio::spawn(let_popularity_fade(Arc::clone(&engine)));
        tokio::spawn(refresh_purged(Arc::clone(&engine)));
        tokio::spawn(fetch_assets(Arc::clone(&engine)));
        let (stop, stopping) = watch::channel(false);
        let connections = Arc::new(Connections::default());
        let mut signals = Signals::new()?;
        let mut proxies = Vec::new();
        let mut accepting = Vec::new();
        for (index, listener) in config.listeners.iter().enumerate() {
            let (socket, address) = bind(listener.address)?;
            let proxy = front::proxy(&engine, listener.scheme(), listener.limits.clone());
            let door = Door { tls: Tls::of(listener)?, h2c: listener.h2c, limits: listener.limits.clone() };
            announce("public", address);
            proxies.push(Arc::clone(&proxy));
            let public = Public {
                proxy,
                door: Arc::new(door),
                connections: Arc::clone(&connections),
                metrics: Arc::clone(&metrics),
                stopping: stopping.clone(),
                index,
            };
            accepting
                .push(tokio::spawn(front::accept(socket, stopping.clone(), move |tcp, peer| public.serve(tcp, peer))));
        }
        let (socket, address) = bind(config.admin.address)?;
        // Before anybody can hear of the admin listener, so that nobody is told that it still starts.
        metrics.health().enter(crate::metrics::Phase::Running);
        announce("admin", address);
        let app = Arc::new(AdminApp::new(&config.admin, Arc::clone(&engine)));
        let admin_stop = stopping.clone();
        let admin_metrics = Arc::clone(&metrics);
        let door = Arc::new(Door { tls: None, h2c: false, limits: ADMIN_LIMITS });
        let admin = tokio::spawn(front::accept(socket, admin_stop.clone(), move |tcp, peer| {
            let (app, door, metrics) = (Arc::clone(&app), Arc::clone(&door), Arc::clone(&admin_metrics));
            let stopping = admin_stop.clone();
            tokio::spawn(async move { front::receive(&door, &app, tcp, peer, &metrics, &stopping).await });
        }));

        let name = signals.stop().await;
        tracing::info!(signal = name, open = connections.open(), "stopping");
        metrics.health().enter(crate::metrics::Phase::Stopping);
        let _ = stop.send(true);
        for task in accepting {
            let _ = task.await;
        }
        for proxy in &proxies {
            proxy.http_cleanup().await;
        }
        finish(&connections, config.shutdown_timeout, &mut signals).await;
        admin.abort();
        tracing::info!("stopped");
        Ok(())
    }
}

/// Waits until every connection is closed, the time is over, or a second signal comes.
async fn finish(connections: &Connections, timeout: Duration, signals: &mut Signals) {
    tokio::select! {
        () = connections.closed() => {}
        () = tokio::time::sleep(timeout) => {
            tracing::warn!(open = connections.open(), "shutdown_timeout is over; open connections are cut");
        }
        name = signals.stop() => {
            tracing::warn!(signal = name, open = connections.open(), "a second signal; open connections are cut");
        }
    }
}

fn bind(address: SocketAddr) -> Result<(tokio::net::TcpListener, SocketAddr), ServerError> {
    front::bind(address).map_err(|error| ServerError::Bind { address, error })
}

/// Yesterday's favourites make room for today's.
async fn let_popularity_fade(engine: Arc<Engine>) {
    let mut half_life = tokio::time::interval(HALF_LIFE);
    half_life.tick().await;
    loop {
        half_life.tick().await;
        engine.let_popularity_fade();
    }
}

fn announce(listener: &'static str, address: SocketAddr) {
    tracing::info!(listener, %address, "listening");
}

fn observe(engine: &Arc<Engine>, metrics: &Metrics) {
    let store = Arc::downgrade(engine);
    metrics.observe_store(move || store.upgrade().map(|engine| engine.store_reading()).unwrap_or_default());
    let keys = Arc::downgrade(engine);
    metrics.observe_backoff_keys(move || keys.upgrade().map_or(0, |engine| engine.backing_off() as u64));
}

/// What a public listener needs to serve a connection.
struct Public {
    proxy: Arc<HttpProxy<Proxy>>,
    door: Arc<Door>,
    connections: Arc<Connections>,
    metrics: Arc<Metrics>,
    stopping: ShutdownWatch,
    index: usize,
}

impl Public {
    fn serve(&self, tcp: TcpStream, peer: SocketAddr) {
        let open = self.connections.enter();
        let counted = self.metrics.connection(self.index);
        let (proxy, door) = (Arc::clone(&self.proxy), Arc::clone(&self.door));
        let (metrics, stopping) = (Arc::clone(&self.metrics), self.stopping.clone());
        tokio::spawn(async move {
            front::receive(&door, &proxy, tcp, peer, &metrics, &stopping).await;
            drop(counted);
            drop(open);
        });
    }
}

/// The signals that stop the process, and those that must not end it by accident.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal to stop and names it.
    async fn stop(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => {
                    tracing::warn!("SIGHUP: the file is not loaded again by this version; restart to change it");
                }
            }
        }
    }
}
