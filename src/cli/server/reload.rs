//! Reading the configuration again while it is served: everything that can go wrong goes wrong before
//! anything changes.

use super::ServerError;
use super::fronts;
use super::listeners::{self, Listeners, Prepared};
use super::upgrade::Sockets;
use super::watch::Watch;
use crate::admin::reload::{Outcome, Refusal, Reloaded};
use crate::config::{Config, Listener};
use crate::render::{Engine, Notices, Setup};
use crate::telemetry::Telemetry;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long reading the file, and those that it names, may take: a network file system that hangs must not
/// keep the process from stopping.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a configuration comes from, and so whether it can be read again.
#[derive(Clone, Debug)]
pub(in crate::cli) enum Source {
    /// This file.
    File(PathBuf),
    /// The command line, or the program itself.
    BuiltIn,
}

/// Reads configurations again.
pub(in crate::cli) struct Reloader {
    /// Where they come from.
    pub(in crate::cli) source: Source,
    /// The log, which a configuration changes.
    pub(in crate::cli) telemetry: Telemetry,
}

/// A configuration that is ready to be served.
struct Ready {
    setup: Setup,
    prepared: Prepared,
}

impl Reloader {
    /// Watches the file that `config` was read from, and those that it names, if that `is_wanted`.
    pub(super) fn watch(&self, config: &Config, is_wanted: bool) -> Result<Watch, ServerError> {
        match &self.source {
            Source::File(path) if is_wanted => Ok(Watch::new(path, config)?),
            Source::File(_) | Source::BuiltIn => Ok(Watch::nothing()),
        }
    }

    /// Reads the configuration again and has it served, or changes nothing. Says in the log, in the metrics
    /// and to the caller what became of it.
    pub(super) async fn reload(&self, engine: &Arc<Engine>, listeners: &mut Listeners) -> Outcome {
        let outcome = match read(&self.source, engine, listeners).await {
            Ok(ready) => Ok(take(ready, engine, listeners).await),
            Err(refusal) => Err(refusal),
        };
        if outcome.is_ok()
            && let Err(error) = self.telemetry.change(&engine.setup().config.log)
        {
            tracing::error!(%error, "the log goes on as before");
        }
        tell(&outcome, engine);
        outcome
    }
}

async fn read(source: &Source, engine: &Arc<Engine>, listeners: &Listeners) -> Result<Ready, Refusal> {
    let Source::File(path) = source else {
        return Err(Refusal::Never("this process runs without a configuration file; there is nothing to reload"));
    };
    let (path, engine): (PathBuf, _) = (path.clone(), Arc::clone(engine));
    let (open, sockets, fronts) = (listeners.open(), listeners.sockets().clone(), listeners.fronts().clone());
    let reading = tokio::task::spawn_blocking(move || ready(&path, &engine, &open, &sockets, &fronts));
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Ok(ready)) => ready,
        Ok(Err(_)) => Err(Refusal::Other("reading the configuration broke off".to_owned())),
        Err(_) => Err(Refusal::Other(format!("the configuration could not be read within {PATIENCE:?}"))),
    }
}

/// Everything that can fail.
fn ready(
    path: &Path,
    engine: &Arc<Engine>,
    open: &[(String, Listener)],
    sockets: &Sockets,
    fronts: &fronts::View,
) -> Result<Ready, Refusal> {
    let config = Config::load(path).map_err(Refusal::Mistakes)?;
    let setup = engine.setup();
    let mut fixed = setup.config.fixed(&config);
    fixed.extend(engine.fixed_memory(&config));
    if !fixed.is_empty() {
        return Err(Refusal::Fixed(fixed));
    }
    let other = |error: &dyn std::fmt::Display| Refusal::Other(error.to_string());
    let prepared = listeners::prepare(&config, open, None, sockets, fronts).map_err(|error| other(&error))?;
    let notices = Notices::new(config.routes.len());
    let setup = setup.next(Arc::new(config), notices).map_err(|error| other(&error))?;
    Ok(Ready { setup, prepared })
}

/// Nothing fails any more.
async fn take(ready: Ready, engine: &Arc<Engine>, listeners: &mut Listeners) -> Reloaded {
    let config = Arc::clone(&ready.setup.config);
    let taking = Arc::clone(engine);
    // Pages that have no room any more are dropped here, which may take a while.
    let _ = tokio::task::spawn_blocking(move || taking.take(ready.setup)).await;
    let changed = listeners.become_those_of(&config, ready.prepared);
    let metrics = &engine.setup().metrics;
    metrics.reload_taken();
    Reloaded {
        generation: metrics.generation(),
        added: changed.added,
        removed: changed.removed,
        warnings: config.warnings.clone(),
    }
}

fn tell(outcome: &Outcome, engine: &Engine) {
    match outcome {
        Ok(taken) => {
            for warning in &taken.warnings {
                tracing::warn!("{warning}");
            }
            let (added, removed) = (taken.added.join(", "), taken.removed.join(", "));
            tracing::info!(generation = taken.generation, added, removed, "the configuration was reloaded");
        }
        // Nothing was read, so nothing is wrong with what would be.
        Err(Refusal::Never(why)) => tracing::warn!(reason = why, "the configuration was not reloaded"),
        Err(refusal) => {
            engine.setup().metrics.reload_refused();
            for mistake in refusal.to_string().lines() {
                tracing::error!(mistake, "the configuration was refused; nothing has changed");
            }
        }
    }
}
