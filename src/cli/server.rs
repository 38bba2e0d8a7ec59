//! Starting, serving and stopping: binds every listener, serves until a signal comes, then finishes
//! what is in flight within `shutdown_timeout`.

mod fronts;
mod listeners;
mod reload;
mod signals;
mod systemd;
mod upgrade;
mod watch;

use crate::admin::AdminApp;
use crate::admin::reload::Reloading;
use crate::config::{Config, Limits};
use crate::front::{self, Connections, Door, LiveLimits};
use crate::metrics::{Metrics, Phase};
use crate::render::assets::fetch_assets;
use crate::render::purged::refresh_purged;
use crate::render::sitemaps::keep_lists;
use crate::render::{Engine, Notices, Setup};
use crate::store::OnLock;
use crate::store::popularity::HALF_LIFE;
pub(super) use reload::{Reloader, Source};

use fronts::Fronts;
use listeners::Listeners;
use signals::{Signals, Wish};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use upgrade::{Inherited, Program, Sockets, Successors};

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

/// How long the start waits for sitemaps that are files.
const FOR_LISTS: Duration = Duration::from_secs(5);

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
    /// Files cannot be watched.
    #[error("cannot watch the configuration: {0}; start without --watch, or raise fs.inotify.max_user_watches")]
    Watch(#[from] notify::Error),
    /// There is no place where a running process waits for its successor.
    #[error("there is no socket to take over by; write upgrade_sock, or an admin.address with a port")]
    NoUpgradeSocket,
    /// The running process does not hand over.
    #[error(
        "cannot take over from the Breadbox that is running ({path}): {error}; where none runs, start without --upgrade"
    )]
    TakeOver {
        /// Where it was looked for.
        path: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
    /// The running process stopped, or another successor was first.
    #[error("the Breadbox that was running did not let go: {error}")]
    NotLetGo {
        /// What went wrong.
        error: std::io::Error,
    },
    /// Another process has the directory of the disk tier.
    #[error(transparent)]
    Locked(#[from] crate::store::Locked),
    /// Threads or signal handlers cannot be had.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// How a process starts to serve, and goes on.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Reload when the configuration, or a file that it names, has changed.
    #[arg(long, conflicts_with = "origin")]
    watch: bool,
    /// Take over from the Breadbox that is running, which finishes what it has; not one connection is refused.
    #[arg(long)]
    upgrade: bool,
}

/// A configuration, ready to be served.
pub(crate) struct Server {
    config: Arc<Config>,
    notices: Notices,
    reloader: Reloader,
    options: Options,
}

/// Why a process stops.
enum End {
    Signal(&'static str),
    HandedOver,
}

impl Server {
    /// Serves this configuration.
    pub(crate) fn new(config: Config, notices: Notices, reloader: Reloader, options: Options) -> Self {
        Server { config: Arc::new(config), notices, reloader, options }
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
        let mut signals = Signals::new()?;
        let config = self.config;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let program = Program::of_this_process();
        let mut inherited = if self.options.upgrade { Some(Inherited::of_running(&config)?) } else { None };
        let sockets = Sockets::default();
        let fronts = Fronts::start(config.threads)?;
        let prepared = listeners::prepare(&config, &[], inherited.as_mut(), &sockets, &fronts.view())?;
        let admin_socket = admin_socket(&config, inherited.as_mut(), &sockets)?;
        let metrics = Arc::new(Metrics::new(&config));
        let setup = Setup::new(Arc::clone(&config), Arc::clone(&metrics), self.notices)?;
        // The process that is taken over from keeps its disk until it has finished.
        let engine = Engine::open(setup, if self.options.upgrade { OnLock::Wait } else { OnLock::Refuse })?;
        observe(&engine, &metrics);
        metrics.observe_log(self.reloader.telemetry.dropped());
        let mut watch = self.reloader.watch(&config, self.options.watch)?;
        let mut listeners = Listeners::new(&engine, &sockets, fronts.view());
        let (tell, lists) = oneshot::channel();
        tokio::spawn(keep_lists(Arc::clone(&engine), tell));
        // Nobody is let through because a file has not been read yet; one that takes long is waited for no longer.
        let _ = tokio::time::timeout(FOR_LISTS, lists).await;
        if let Some(inherited) = inherited {
            let taking = tokio::task::spawn_blocking(move || inherited.take_over());
            taking.await.map_err(std::io::Error::other)??;
        }
        tokio::spawn(let_popularity_fade(Arc::clone(&engine)));
        tokio::spawn(refresh_purged(Arc::clone(&engine)));
        tokio::spawn(fetch_assets(Arc::clone(&engine)));
        listeners.become_those_of(&config, prepared);
        let (reloading, mut reloads) = Reloading::new();
        metrics.health().enter(Phase::Running);
        if !config.warm.sitemaps.is_empty() {
            tokio::spawn(front::warm_at_start(Arc::clone(&engine)));
        }
        let admin = serve_admin(admin_socket, AdminApp::new(Arc::clone(&engine), reloading), Arc::clone(&metrics));
        let mut successors = Successors::expect(&config, &sockets, self.options.upgrade);
        systemd::ready();

        let end = loop {
            tokio::select! {
                wish = signals.next() => match wish {
                    Wish::Stop(name) => break End::Signal(name),
                    // What became of it is in the log.
                    Wish::Reload => drop(self.reloader.reload(&engine, &mut listeners).await),
                    Wish::Upgrade if successors.can_come() => program.start(),
                    Wish::Upgrade => {
                        tracing::warn!("SIGQUIT: there is no socket for a successor; write upgrade_sock");
                        continue;
                    }
                },
                Some(answer) = reloads.recv() => {
                    // Whoever asked may have gone.
                    let _ = answer.send(self.reloader.reload(&engine, &mut listeners).await);
                }
                Some(()) = watch.changed() => drop(self.reloader.reload(&engine, &mut listeners).await),
                Some(successor) = successors.next() => match successor.go() {
                    Ok(()) => break End::HandedOver,
                    Err(error) => tracing::warn!(%error, "a successor has gone; this process goes on"),
                },
            }
            watch.follow(&self.reloader.source, &engine.setup().config);
        };
        drop((reloads, watch));
        let connections = Arc::clone(listeners.connections());
        match end {
            End::Signal(name) => {
                systemd::stopping();
                tracing::info!(signal = name, open = connections.open(), "stopping");
            }
            End::HandedOver => {
                // From here on the successor answers who asks.
                admin.abort();
                tracing::info!(open = connections.open(), "a successor has taken over; stopping");
            }
        }
        metrics.health().enter(Phase::Stopping);
        sockets.clear();
        drop(successors);
        engine.close_polls();
        listeners.stop().await;
        finish(&connections, engine.setup().config.shutdown_timeout, &mut signals).await;
        // Nobody renders any more.
        engine.close_store().await;
        admin.abort();
        tracing::info!("stopped");
        Ok(())
    }
}

/// The admin listener's socket: that of the process that is taken over from, if there is one and it has the address.
fn admin_socket(
    config: &Config,
    inherited: Option<&mut Inherited>,
    sockets: &Sockets,
) -> Result<(TcpListener, SocketAddr), ServerError> {
    let address = config.admin.address;
    let (mut same, others) = inherited.map(|inherited| inherited.take_admin(address)).unwrap_or_default();
    let socket = match same.pop() {
        Some(socket) => socket,
        None => bind(address, &others)?,
    };
    let bound = socket.local_addr()?;
    socket.set_nonblocking(true)?;
    let served = TcpListener::from_std(socket.try_clone()?)?;
    sockets.keep(upgrade::ADMIN, socket);
    Ok((served, bound))
}

/// Serves the admin listener until the task is aborted.
fn serve_admin((socket, address): (TcpListener, SocketAddr), app: AdminApp, metrics: Arc<Metrics>) -> JoinHandle<()> {
    announce("admin", address);
    let app = Arc::new(app);
    let door = Arc::new(Door { tls: None, h2c: false, limits: LiveLimits::new(ADMIN_LIMITS), lane: None });
    tokio::spawn(async move {
        // It answers to the end, so that whoever watches can see it.
        let (_never, stopping) = tokio::sync::watch::channel(false);
        let serve_stopping = stopping.clone();
        front::accept(socket, stopping, move |tcp, peer| {
            let (app, door, metrics) = (Arc::clone(&app), Arc::clone(&door), Arc::clone(&metrics));
            let stopping = serve_stopping.clone();
            tokio::spawn(async move { front::receive(&door, &app, tcp, peer, &metrics, &stopping).await });
        })
        .await;
    })
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

fn bind(address: SocketAddr, closing: &[std::net::TcpListener]) -> Result<std::net::TcpListener, ServerError> {
    let bound = front::bind(address, closing).and_then(|(socket, _)| socket.into_std());
    bound.map_err(|error| ServerError::Bind { address, error })
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
