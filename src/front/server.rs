//! Starting, serving and stopping: binds every listener, serves until a signal comes, then finishes
//! what is in flight within `shutdown_timeout`.

use super::guard::Guarded;
use super::handler::Proxy;
use super::listen::{self, Connections};
use crate::admin::AdminApp;
use crate::config::{Config, Limits, Scheme};
use crate::metrics::Metrics;
use crate::render::{Engine, Notices};
use pingora::apps::HttpServerApp;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Why serving ended before a signal came.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
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
pub struct Server {
    config: Arc<Config>,
    notices: Notices,
}

impl Server {
    /// Serves this configuration.
    pub fn new(config: Config, notices: Notices) -> Self {
        Server { config: Arc::new(config), notices }
    }

    /// Serves until SIGTERM or SIGINT, then finishes what is in flight.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn run(self) -> Result<(), ServerError> {
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
        let engine = Engine::new(Arc::clone(&config), Arc::clone(&metrics), self.notices)?;
        observe(&engine);
        let (stop, stopping) = watch::channel(false);
        let connections = Arc::new(Connections::default());
        let mut signals = Signals::new()?;
        let mut proxies = Vec::new();
        let mut accepting = Vec::new();
        for (index, listener) in config.listeners.iter().enumerate() {
            let (socket, address) = bind(listener.address)?;
            let proxy = proxy(&engine, listener.limits.clone());
            announce("public", address);
            proxies.push(Arc::clone(&proxy));
            let public = Public {
                proxy,
                limits: listener.limits.clone(),
                connections: Arc::clone(&connections),
                metrics: Arc::clone(&metrics),
                stopping: stopping.clone(),
                index,
            };
            accepting
                .push(tokio::spawn(listen::accept(socket, stopping.clone(), move |stream, _| public.serve(stream))));
        }
        let (socket, address) = bind(config.admin.address)?;
        announce("admin", address);
        let app = Arc::new(AdminApp::new(&config.admin, Arc::clone(&metrics)));
        let admin_stop = stopping.clone();
        let admin = tokio::spawn(listen::accept(socket, admin_stop.clone(), move |stream, _| {
            tokio::spawn(serve_admin(Arc::clone(&app), stream, admin_stop.clone()));
        }));
        metrics.health().enter(crate::metrics::Phase::Running);

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
    listen::bind(address).map_err(|error| ServerError::Bind { address, error })
}

fn announce(listener: &'static str, address: SocketAddr) {
    tracing::info!(listener, %address, "listening");
}

fn observe(engine: &Arc<Engine>) {
    let store = Arc::downgrade(engine);
    engine.metrics.observe_store(move || store.upgrade().map(|engine| engine.store_reading()).unwrap_or_default());
    let keys = Arc::downgrade(engine);
    engine.metrics.observe_backoff_keys(move || keys.upgrade().map_or(0, |engine| engine.backing_off() as u64));
}

fn proxy(engine: &Arc<Engine>, limits: Limits) -> Arc<HttpProxy<Proxy>> {
    let servers = engine.config.origins.iter().map(|origin| origin.servers.len()).max().unwrap_or(1);
    // Every server once, and once more where a reused connection had died.
    let conf = ServerConf { max_retries: servers + 1, ..ServerConf::default() };
    let proxy = Proxy { engine: Arc::clone(engine), limits, scheme: Scheme::Http };
    Arc::new(http_proxy(&Arc::new(conf), proxy))
}

/// What a public listener needs to serve a connection.
struct Public {
    proxy: Arc<HttpProxy<Proxy>>,
    limits: Limits,
    connections: Arc<Connections>,
    metrics: Arc<Metrics>,
    stopping: ShutdownWatch,
    index: usize,
}

impl Public {
    fn serve(&self, stream: pingora::protocols::l4::stream::Stream) {
        let open = self.connections.enter();
        let counted = self.metrics.connection(self.index);
        let proxy = Arc::clone(&self.proxy);
        let stopping = self.stopping.clone();
        let guarded = Guarded::new(stream, self.limits.head_timeout, self.limits.idle_timeout);
        tokio::spawn(async move {
            serve_connection(&proxy, guarded, &stopping).await;
            drop(counted);
            drop(open);
        });
    }
}

/// Serves the requests of one connection, one after the other.
async fn serve_connection(proxy: &Arc<HttpProxy<Proxy>>, guarded: Guarded, stopping: &ShutdownWatch) {
    let phase = Arc::clone(guarded.phase());
    let mut session = ServerSession::new_http1(Box::new(guarded) as Stream);
    session.set_keepalive((!*stopping.borrow()).then_some(0));
    session.set_pipelining_enabled(true);
    loop {
        phase.expect_head();
        let Some(reused) = proxy.process_new_http(session, stopping).await else { return };
        let (stream, settings) = reused.consume();
        session = ServerSession::new_http1(stream);
        if let Some(settings) = settings {
            settings.apply_to_session(&mut session);
        }
    }
}

async fn serve_admin(
    app: Arc<impl HttpServerApp + Send + Sync + 'static>,
    stream: pingora::protocols::l4::stream::Stream,
    stopping: ShutdownWatch,
) {
    let guarded = Guarded::new(stream, Duration::from_secs(10), Duration::from_secs(60));
    let phase = Arc::clone(guarded.phase());
    let mut session = ServerSession::new_http1(Box::new(guarded) as Stream);
    session.set_keepalive((!*stopping.borrow()).then_some(0));
    loop {
        phase.expect_head();
        let Some(reused) = app.process_new_http(session, &stopping).await else { return };
        let (stream, settings) = reused.consume();
        session = ServerSession::new_http1(stream);
        if let Some(settings) = settings {
            settings.apply_to_session(&mut session);
        }
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
