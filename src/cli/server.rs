//! Starting, serving and stopping: binds every listener, serves until a signal comes, then finishes
//! what is in flight within `shutdown_timeout`.

mod admin;
mod fronts;
mod listeners;
mod reload;
mod signals;
mod systemd;
mod upgrade;
mod watch;

use crate::admin::AdminApp;
use crate::admin::reload::Reloading;
use crate::config::Config;
use crate::front::{self, Connections};
use crate::metrics::{Metrics, Phase};
use crate::render::assets::fetch_assets;
use crate::render::purged::refresh_purged;
use crate::render::sitemaps::keep_lists;
use crate::render::{Engine, Notices, Setup};
use crate::store::popularity::HALF_LIFE;
use crate::store::{OnLock, Relative};
pub(super) use reload::{Reloader, Source};

use admin::AdminListener;
use fronts::Fronts;
use listeners::Listeners;
use signals::{Signals, Wish};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use upgrade::{Inherited, Predecessor, Program, Sockets, Successor, Successors};

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
        let admin_socket = admin::socket(&config, inherited.as_mut(), &sockets)?;
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
            let predecessor = taking.await.map_err(std::io::Error::other)??;
            follow(&engine, predecessor);
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
        let app = AdminApp::new(Arc::clone(&engine), reloading);
        let admin = AdminListener::serve(admin_socket, app, Arc::clone(&metrics));
        let mut successors = Successors::expect(&config, &sockets, self.options.upgrade);
        systemd::ready();

        let end = loop {
            tokio::select! {
                wish = signals.next() => match wish {
                    Wish::Stop(name) => break End::Signal(name),
                    // What became of it is in the log.
                    Wish::Reload => drop(self.reloader.reload(&engine, &mut listeners).await),
                    Wish::Upgrade => match successors.place() {
                        Some(place) => program.start(place),
                        None => {
                            tracing::warn!("SIGQUIT: there is no socket for a successor; write upgrade_sock");
                            continue;
                        }
                    },
                },
                Some(answer) = reloads.recv() => {
                    // Whoever asked may have gone.
                    let _ = answer.send(self.reloader.reload(&engine, &mut listeners).await);
                }
                Some(()) = watch.changed() => drop(self.reloader.reload(&engine, &mut listeners).await),
                Some(successor) = successors.next() => if hand_over(&engine, successor) {
                    break End::HandedOver;
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
                admin.hand_over();
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
        admin.end().await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Hears what is purged in the process before while that one finishes what it has, and has it told what is purged
/// here: clients of connections that it has still see the pages of both.
fn follow(engine: &Arc<Engine>, predecessor: Predecessor) {
    let (report, heir) = (engine.store.report(), Arc::clone(engine));
    let Predecessor { mut listens, mut tells } = predecessor;
    tokio::task::spawn_blocking(move || report.tell_until_gone(|purged| upgrade::tell(&mut listens, purged)));
    tokio::task::spawn_blocking(move || {
        upgrade::follow(&mut tells, |purged| heir.store.take_in(purged, Relative::Predecessor));
    });
}

/// Lets the successor serve, and has it told what is purged here from then on, as it tells this process; whether it
/// is there.
fn hand_over(engine: &Arc<Engine>, mut successor: Successor) -> bool {
    // Whatever is purged after this waits until the successor has heard it.
    let bequest = engine.store.bequeath();
    if let Err(error) = successor.go() {
        tracing::warn!(%error, "a successor has gone; this process goes on");
        bequest.revoke();
        return false;
    }
    let Successor { mut listens, mut tells } = successor;
    tokio::task::spawn_blocking(move || bequest.tell(|purged| upgrade::tell(&mut listens, purged)));
    let elder = Arc::clone(engine);
    tokio::task::spawn_blocking(move || {
        upgrade::follow(&mut tells, |purged| elder.store.take_in(purged, Relative::Successor));
    });
    true
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
    let bound = front::bind(address, closing);
    bound.map(|(socket, _)| socket).map_err(|error| ServerError::Bind { address, error })
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
