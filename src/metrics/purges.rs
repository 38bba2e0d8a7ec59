//! What was purged, by kind and mode, and what deploys made of pages; never what exactly.

use super::Metrics;
use crate::config::PurgeMode;
use crate::policy::purge::Kind;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// Counts purges.
#[derive(Clone)]
pub(super) struct Purges {
    /// By kind, then mode.
    purged: Vec<[IntCounter; PurgeMode::ALL.len()]>,
    refreshed: IntCounter,
    deploys: IntCounter,
    deploy_refreshes: IntCounter,
    assets: IntCounter,
}

impl Purges {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let help = "Rules that somebody purged by: paths, prefixes, tags, hosts, everything.";
        let counters = IntCounterVec::new(Opts::new("breadbox_purges_total", help), &["kind", "mode"])?;
        registry.register(Box::new(counters.clone()))?;
        let of = |kind: Kind| PurgeMode::ALL.map(|mode| counters.with_label_values(&[kind.as_str(), mode.as_str()]));
        let help = "Purged pages that were rendered again although nobody had asked for them yet.";
        let refreshed = super::counter(registry, "breadbox_purge_refreshes_total", help)?;
        let deploys = super::counter(registry, "breadbox_deploys_total", "Builds of the origins that were announced.")?;
        let help = "Pages of earlier builds that were rendered again although nobody had asked for them yet.";
        let deploy_refreshes = super::counter(registry, "breadbox_deploy_refreshes_total", help)?;
        let help = "Assets that were fetched because a stored page links them.";
        let assets = super::counter(registry, "breadbox_assets_fetched_total", help)?;
        let purged = Kind::ALL.into_iter().map(of).collect();
        Ok(Purges { purged, refreshed, deploys, deploy_refreshes, assets })
    }

    pub(super) fn purged(&self, kind: Kind, mode: PurgeMode) {
        self.purged[kind as usize][mode as usize].inc();
    }

    pub(super) fn refreshed(&self) {
        self.refreshed.inc();
    }

    pub(super) fn deployed(&self) {
        self.deploys.inc();
    }

    pub(super) fn refreshed_deployed(&self) {
        self.deploy_refreshes.inc();
    }

    pub(super) fn fetched_asset(&self) {
        self.assets.inc();
    }
}

impl Metrics {
    /// Counts a rule that somebody purged by.
    pub fn purged(&self, kind: Kind, mode: PurgeMode) {
        self.purges.purged(kind, mode);
    }

    /// Counts a purged page that is rendered again although nobody asked for it.
    pub fn refreshed_purged(&self) {
        self.purges.refreshed();
    }

    /// Counts a build of the origin that was announced.
    pub fn deployed(&self) {
        self.purges.deployed();
    }

    /// Counts a page of an earlier build that is rendered again although nobody asked for it.
    pub fn refreshed_deployed(&self) {
        self.purges.refreshed_deployed();
    }

    /// Counts an asset that is fetched because a page links it.
    pub fn fetched_asset(&self) {
        self.purges.fetched_asset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A purge indexes with `kind as usize` and `mode as usize`; the series are made in the order of `ALL`.
    #[test]
    fn kinds_and_modes_are_numbered_in_the_order_they_are_listed() {
        assert!(Kind::ALL.into_iter().enumerate().all(|(i, kind)| kind as usize == i));
        assert!(PurgeMode::ALL.into_iter().enumerate().all(|(i, mode)| mode as usize == i));
    }
}
