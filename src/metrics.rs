//! Every series, in one place. Names are `breadbox_…`, with `_total`, `_seconds` and `_bytes` as
//! Prometheus has them; labels are from sets that the configuration closes (route, origin, listener)
//! or that the code does (outcome, result). What a visitor can choose, a path or a host, is never a
//! label, so the number of series is known at the start, and all of them are there from then on.
//!
//! Nothing here decides anything. Beside the counts, [`Health`] is kept, because it is told of the
//! same renders.

mod disk;
mod encodings;
mod fallbacks;
mod family;
pub mod handshakes;
pub mod health;
mod lists;
mod observed;
mod process;
mod purges;
mod register;
mod renders;
mod requests;
pub mod result;
#[cfg(test)]
mod tests;
pub mod totals;

pub use disk::{Disk, DiskDrop, DiskFailure, DiskRead};
pub use encodings::EncodingResult;
pub use fallbacks::PollEnd;
pub use handshakes::{HandshakeFailure, HandshakeKind, TlsVersion};
pub use health::{Health, Phase};
pub use observed::StoreReading;
pub use result::{OriginVerdict, RenderResult};
pub use totals::Totals;

use crate::config::{Config, Listener, OriginId, RouteId};
use crate::policy::outcome::Outcome;
use encodings::Encodings;
use fallbacks::Fallbacks;
use handshakes::Handshakes;
use lists::{Listed, Lists};
use observed::Observed;
use process::Process;
use prometheus::{Encoder, IntCounter, IntGauge, IntGaugeVec, Registry, TextEncoder};
use purges::Purges;
use register::{config_reloads, counter, gauge, open_connections, register_start};
use renders::Renders;
use requests::Requests;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The `Content-Type` of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Every series of one configuration. Ids given to it must be ids of that configuration.
pub struct Metrics {
    registry: Registry,
    requests: Requests,
    renders: Renders,
    observed: Observed,
    disk: Disk,
    health: Health,
    open_connections: IntGaugeVec,
    names: Names,
    handshakes: Handshakes,
    connections_total: IntCounter,
    invalidations: IntCounter,
    purges: Purges,
    lists: Lists,
    fallbacks: Fallbacks,
    encodings: Encodings,
    config_generation: IntGauge,
    config_last_reload: IntGauge,
    /// Taken, refused.
    config_reloads: [IntCounter; 2],
}

/// The values that labels can have.
struct Names {
    routes: Vec<Arc<str>>,
    /// By route: who renders its pages.
    route_origins: Vec<OriginId>,
    origins: Vec<Arc<str>>,
    listeners: Vec<String>,
    listed: Vec<Listed>,
    threads: usize,
}

/// What is counted on one public listener.
pub struct ListenerSeries {
    open: IntGauge,
    total: IntCounter,
}

/// One more of something that is there now: counted when it is made, taken off when it is dropped.
#[must_use]
pub struct Held(IntGauge);

impl Metrics {
    /// The series of this configuration, all of them zero. It is generation 1.
    pub fn new(config: &Config) -> Metrics {
        let metrics =
            Metrics::with_names(Names::of(config)).expect("the names of series are literals, valid and distinct");
        metrics.certificates(&config.listeners);
        metrics
    }

    /// The series of the next configuration: those whose labels it has too go on counting. Scrapes
    /// show what is gone until [`Metrics::supersede`].
    pub fn next(&self, config: &Config) -> Metrics {
        let names = Names::of(config);
        Metrics {
            registry: self.registry.clone(),
            requests: self.requests.next(&names.routes),
            renders: self.renders.next(&names),
            observed: self.observed.clone(),
            disk: self.disk.clone(),
            health: self.health.next(&names.origins),
            open_connections: open_connections(&names, &self.open_connections),
            handshakes: self.handshakes.clone(),
            connections_total: self.connections_total.clone(),
            invalidations: self.invalidations.clone(),
            purges: self.purges.clone(),
            lists: self.lists.next(&names.listed),
            fallbacks: self.fallbacks.next(&names),
            encodings: self.encodings.clone(),
            config_generation: self.config_generation.clone(),
            config_last_reload: self.config_last_reload.clone(),
            config_reloads: self.config_reloads.clone(),
            names,
        }
    }

    /// Takes the place of the series of the configuration before: what only that one had is gone from scrapes.
    pub fn supersede(&self, before: &Metrics) {
        self.requests.show();
        self.renders.forget(&before.names, &self.names);
        self.lists.forget(&before.names.listed, &self.names.listed);
        self.fallbacks.forget(&before.names, &self.names);
        for listener in before.names.listeners.iter().filter(|name| !self.names.listeners.contains(name)) {
            // What is not there need not be taken out.
            let _ = self.open_connections.remove_label_values(&[listener]);
            self.handshakes.no_expiry(listener);
        }
    }

    fn with_names(names: Names) -> prometheus::Result<Metrics> {
        let registry = Registry::new();
        let requests = Requests::new(&names.routes, names.threads);
        let observed = Observed::new();
        registry.register(Box::new(requests.collector()))?;
        registry.register(Box::new(observed.clone()))?;
        registry.register(Box::new(Process::new()))?;
        register_start(&registry)?;
        let connections =
            renders::gauges(&registry, "breadbox_connections", "Connections of clients that are open.", "listener")?;
        let health = Health::new(&names.origins);
        let metrics = Metrics {
            requests,
            renders: Renders::new(&names, &registry)?,
            observed,
            disk: Disk::new(&registry, health.disk_trouble())?,
            health,
            open_connections: open_connections(&names, &connections),
            handshakes: Handshakes::new(&registry)?,
            connections_total: counter(&registry, "breadbox_connections_total", "Connections accepted from clients.")?,
            invalidations: counter(
                &registry,
                "breadbox_invalidations_total",
                "URIs invalidated by answers to unsafe requests.",
            )?,
            purges: Purges::new(&registry)?,
            lists: Lists::new(&names.listed, &registry)?,
            fallbacks: Fallbacks::new(&names, &registry)?,
            encodings: Encodings::new(&registry)?,
            config_generation: gauge(&registry, "breadbox_config_generation", "How many configurations were taken.")?,
            config_last_reload: gauge(
                &registry,
                "breadbox_config_last_reload_success",
                "Whether the last configuration read was taken.",
            )?,
            config_reloads: config_reloads(&registry)?,
            registry,
            names,
        };
        metrics.config_generation.inc();
        metrics.config_last_reload.set(1);
        Ok(metrics)
    }

    /// Counts a request that was answered: `bytes` of its response's body, `duration` from its head
    /// to the end of its answer.
    pub fn request(&self, route: Option<RouteId>, outcome: &Outcome, bytes: u64, duration: Duration) {
        self.requests.record(route, outcome.served, bytes, duration);
        if outcome.collapsed {
            self.renders.collapsed(route);
        }
    }

    /// Counts a render that ended; `duration` is without its time in the queue. Health hears of it.
    pub fn render(&self, route: RouteId, result: RenderResult, duration: Duration) {
        let origin = self.renders.ended(route, result, duration);
        self.health.origin_result(origin, result.verdict());
    }

    /// One more render that runs, for as long as the value is kept.
    pub fn render_runs(&self, origin: OriginId) -> Held {
        Held::new(self.renders.in_flight(origin))
    }

    /// One more render that waits for its turn, for as long as the value is kept.
    pub fn render_waits(&self, origin: OriginId) -> Held {
        Held::new(self.renders.waiting(origin))
    }

    /// Counts a failed render that makes its key wait before the next try.
    pub fn backed_off(&self, origin: OriginId) {
        self.renders.backed_off(origin);
    }

    /// The series of a public listener, by one of [`listener_names`]. They outlive a change of the
    /// configuration.
    pub fn listener(&self, name: &str) -> ListenerSeries {
        let open = self.open_connections.with_label_values(&[name]);
        ListenerSeries { open, total: self.connections_total.clone() }
    }

    /// Counts a TLS handshake that was finished.
    pub fn handshake(&self, version: TlsVersion, kind: HandshakeKind) {
        self.handshakes.finished(version, kind);
    }

    /// Counts a TLS handshake that was not finished.
    pub fn handshake_failed(&self, reason: HandshakeFailure) {
        self.handshakes.failed(reason);
    }

    /// Takes note of the certificates that listeners have from now on.
    pub fn certificates(&self, listeners: &[Listener]) {
        for (name, listener) in self.names.listeners.iter().zip(listeners) {
            match listener.tls.iter().map(|certificate| certificate.expires).min() {
                Some(first) => self.handshakes.expiry(name, first),
                None => self.handshakes.no_expiry(name),
            }
        }
    }

    /// Counts a URI that an answer to an unsafe request invalidated (RFC 9111 §4.4).
    pub fn invalidated(&self) {
        self.invalidations.inc();
    }

    /// How many configurations were taken.
    pub fn generation(&self) -> i64 {
        self.config_generation.get()
    }

    /// Counts a configuration that was taken.
    pub fn reload_taken(&self) {
        self.config_generation.inc();
        self.config_last_reload.set(1);
        self.config_reloads[0].inc();
        self.health.set_reload_refused(false);
    }

    /// Takes note of a configuration that was refused.
    pub fn reload_refused(&self) {
        self.config_last_reload.set(0);
        self.config_reloads[1].inc();
        self.health.set_reload_refused(true);
    }

    /// Where the store's numbers come from; asked at every scrape. A source that owns whoever holds
    /// these metrics should do so weakly.
    pub fn observe_store(&self, source: impl Fn() -> StoreReading + Send + 'static) {
        self.observed.set_store(Box::new(source));
    }

    /// Where the number of keys that back off comes from; asked at every scrape.
    pub fn observe_backoff_keys(&self, source: impl Fn() -> u64 + Send + 'static) {
        self.observed.set_backoff_keys(Box::new(source));
    }

    /// The series of the disk tier.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Where the number of log lines that were dropped comes from; asked at every scrape.
    pub fn observe_log(&self, dropped: impl Fn() -> u64 + Send + 'static) {
        self.observed.set_log_dropped(Box::new(dropped));
    }

    /// What `/readyz` is made from.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// All series in Prometheus' text format; its type is [`CONTENT_TYPE`].
    pub fn encode(&self) -> Vec<u8> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("writing to memory does not fail");
        text
    }
}

#[cfg(test)]
impl Metrics {
    /// For tests of other rooms: one origin `web` with one route `/`, one listener.
    pub(crate) fn of_one_route() -> Metrics {
        let names = Names {
            routes: vec!["/".into()],
            route_origins: vec![OriginId(0)],
            origins: vec!["web".into()],
            listeners: vec!["127.0.0.1:0".into()],
            listed: Vec::new(),
            threads: 1,
        };
        Metrics::with_names(names).expect("the names are distinct")
    }
}

impl Names {
    /// Who renders which route.
    fn rendered(&self) -> impl Iterator<Item = (&str, &str)> {
        let ids = self.route_origins.iter();
        self.routes.iter().zip(ids).map(|(route, origin)| (&*self.origins[origin.0], &**route))
    }

    fn of(config: &Config) -> Names {
        Names {
            routes: config.routes.iter().map(|route| route.name.clone()).collect(),
            route_origins: config.routes.iter().map(|route| route.origin).collect(),
            origins: config.origins.iter().map(|origin| origin.name.clone()).collect(),
            listeners: listener_names(config.listeners.iter().map(|listener| listener.address)),
            listed: Listed::all(config),
            threads: config.threads.get(),
        }
    }
}

/// What listeners are called: the addresses as in the file; repeated ones, which only port 0 allows, are numbered.
pub fn listener_names(addresses: impl Iterator<Item = SocketAddr>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for address in addresses.map(|address| address.to_string()) {
        let repeats = names.iter().filter(|name| name.split('#').next() == Some(&address)).count();
        names.push(if repeats == 0 { address } else { format!("{address}#{}", repeats + 1) });
    }
    names
}

impl ListenerSeries {
    /// One more connection, for as long as the value is kept.
    pub fn connection(&self) -> Held {
        self.total.inc();
        Held::new(&self.open)
    }
}

impl Held {
    fn new(gauge: &IntGauge) -> Held {
        gauge.inc();
        Held(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}
