//! Making series known to the registry: single ones, and those that belong to no part of the program.

use super::{Names, renders};
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::time::{SystemTime, UNIX_EPOCH};

/// The series that never change.
pub(super) fn register_start(registry: &Registry) -> prometheus::Result<()> {
    let info = renders::gauges(registry, "breadbox_build_info", "The version that runs.", "version")?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    let start = Gauge::new("breadbox_start_time_seconds", "When the process started, in seconds since 1970.")?;
    start.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    registry.register(Box::new(start))
}

/// The family, in which every listener has its series.
pub(super) fn open_connections(names: &Names, family: &IntGaugeVec) -> IntGaugeVec {
    for name in &names.listeners {
        family.with_label_values(&[name]);
    }
    family.clone()
}

/// Configurations that were read while serving.
pub(super) fn config_reloads(registry: &Registry) -> prometheus::Result<[IntCounter; 2]> {
    let help = "Configurations that were read again, by what became of them.";
    let reloads = IntCounterVec::new(Opts::new("breadbox_config_reloads_total", help), &["result"])?;
    registry.register(Box::new(reloads.clone()))?;
    Ok(["taken", "refused"].map(|result| reloads.with_label_values(&[result])))
}

pub(super) fn counter(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}
