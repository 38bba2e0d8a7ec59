//! What `/readyz` says: whether the process is up, and which origins' last renders all failed. It
//! is told of every render with the metrics and changes nothing of what is served.

use super::disk::Trouble;
use crate::config::OriginId;
use crate::metrics::result::OriginVerdict;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// An origin is degraded when this many renders in a row failed …
const FAILURES: u64 = 5;
/// … or when several did and the first of them is this long ago.
const FAILING_FOR: Duration = Duration::from_secs(30);
/// In an origin's cell, the bits of the number of failures; above them is when the first one was.
const COUNT_BITS: u32 = 16;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not every listener accepts yet.
    Starting,
    /// Serving.
    Running,
    /// Told to stop: no new connections.
    Stopping,
}

/// The state of the process and of its origins; what every render tells it is kept without locks.
pub struct Health {
    process: Arc<Process>,
    /// By origin: how many renders failed since the last that did not, and the milliseconds from
    /// `since` to the first of them. Zero: none.
    origins: Vec<(Arc<str>, Arc<AtomicU64>)>,
}

/// What a change of the configuration does not touch.
struct Process {
    phase: AtomicU8,
    reload_refused: AtomicBool,
    /// What is wrong with sitemaps, a sentence each.
    list_troubles: Mutex<Vec<String>>,
    disk: Trouble,
    since: Instant,
}

impl Health {
    /// A process that is starting, with origins of which nothing is known.
    pub(super) fn new(origins: &[Arc<str>]) -> Self {
        let process = Arc::new(Process {
            phase: AtomicU8::new(Phase::Starting as u8),
            reload_refused: AtomicBool::new(false),
            list_troubles: Mutex::default(),
            disk: Trouble::default(),
            since: Instant::now(),
        });
        Health { process, origins: origins.iter().map(|name| (name.clone(), Arc::default())).collect() }
    }

    /// The same process with the origins of the next configuration; of those that stay it is known how they are.
    pub(super) fn next(&self, origins: &[Arc<str>]) -> Self {
        let known = |name: &Arc<str>| self.origins.iter().find(|(other, _)| other == name);
        let cell = |name: &Arc<str>| known(name).map(|(_, cell)| Arc::clone(cell)).unwrap_or_default();
        let origins = origins.iter().map(|name| (name.clone(), cell(name))).collect();
        Health { process: Arc::clone(&self.process), origins }
    }

    /// Says where the process is in its life.
    pub fn enter(&self, phase: Phase) {
        self.process.phase.store(phase as u8, Relaxed);
    }

    /// Where the process is in its life.
    pub fn phase(&self) -> Phase {
        match self.process.phase.load(Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Running,
            _ => Phase::Stopping,
        }
    }

    /// Why the process is degraded, a sentence each; empty when it is not.
    pub fn reasons(&self) -> Vec<String> {
        self.reasons_at(self.process.since.elapsed())
    }

    /// The origins that degrade the process, with how many of their renders failed in a row.
    pub fn failing(&self) -> Vec<(Arc<str>, u64)> {
        let now = self.process.since.elapsed();
        let failing = |(name, cell): &(Arc<str>, Arc<AtomicU64>)| {
            Some((Arc::clone(name), failures_of_degraded(cell.load(Relaxed), now)?))
        };
        self.origins.iter().filter_map(failing).collect()
    }

    /// Says what is wrong with the sitemaps of routes, in place of what was said before.
    pub fn set_list_troubles(&self, troubles: Vec<String>) {
        *self.process.list_troubles.lock() = troubles;
    }

    /// Where the disk tier says why it is off.
    pub(super) fn disk_trouble(&self) -> Trouble {
        Arc::clone(&self.process.disk)
    }

    pub(super) fn set_reload_refused(&self, refused: bool) {
        self.process.reload_refused.store(refused, Relaxed);
    }

    /// Takes note of a render.
    pub(super) fn origin_result(&self, origin: OriginId, verdict: OriginVerdict) {
        self.origin_result_at(origin, verdict, self.process.since.elapsed());
    }

    fn origin_result_at(&self, origin: OriginId, verdict: OriginVerdict, now: Duration) {
        let cell = &self.origins[origin.0].1;
        match verdict {
            OriginVerdict::Unknown => {}
            // A healthy origin's cell is only read, so it stays in every core's cache.
            OriginVerdict::Works if cell.load(Relaxed) == 0 => {}
            OriginVerdict::Works => cell.store(0, Relaxed),
            OriginVerdict::Fails => {
                let next = |old| Some(after_failure(old, now));
                cell.fetch_update(Relaxed, Relaxed, next).expect("the function always gives a value");
            }
        }
    }

    fn reasons_at(&self, now: Duration) -> Vec<String> {
        let failing = |(name, cell): &(Arc<str>, Arc<AtomicU64>)| {
            let failures = failures_of_degraded(cell.load(Relaxed), now)?;
            let at_least = if failures == COUNT_MASK { "at least " } else { "" };
            Some(format!("origin {name}: its last {at_least}{failures} renders failed"))
        };
        let reload = self
            .process
            .reload_refused
            .load(Relaxed)
            .then(|| "the last reload of the configuration was refused".into());
        let lists = self.process.list_troubles.lock().clone();
        let disk = self.process.disk.lock().as_ref().map(|why| format!("the disk tier is off: {why}"));
        self.origins.iter().filter_map(failing).chain(disk).chain(reload).chain(lists).collect()
    }
}

fn after_failure(old: u64, now: Duration) -> u64 {
    let count = old & COUNT_MASK;
    if count == 0 {
        return (millis(now) << COUNT_BITS) | 1;
    }
    (old & !COUNT_MASK) | (count + 1).min(COUNT_MASK)
}

/// The number of failures in a row, if they make their origin degraded.
fn failures_of_degraded(cell: u64, now: Duration) -> Option<u64> {
    let count = cell & COUNT_MASK;
    let failing_for = millis(now).saturating_sub(cell >> COUNT_BITS);
    // One failure may be one page's fault, however long ago it was.
    let degraded = count >= FAILURES || (count >= 2 && failing_for >= millis(FAILING_FOR));
    degraded.then_some(count)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: OriginId = OriginId(0);
    const SHOP: OriginId = OriginId(1);

    fn health() -> Health {
        Health::new(&["web".into(), "shop".into()])
    }

    fn fail(health: &Health, origin: OriginId, second: u64) {
        health.origin_result_at(origin, OriginVerdict::Fails, Duration::from_secs(second));
    }

    fn reasons(health: &Health, second: u64) -> Vec<String> {
        health.reasons_at(Duration::from_secs(second))
    }

    /// Five failures in a row degrade an origin and no other; the first good render ends it.
    #[test]
    fn an_origin_is_degraded_after_five_failures_and_recovers_at_the_first_good_render() {
        let health = health();
        for _ in 0..4 {
            fail(&health, SHOP, 1);
        }
        assert!(reasons(&health, 1).is_empty());
        fail(&health, SHOP, 1);
        assert_eq!(reasons(&health, 1), ["origin shop: its last 5 renders failed"]);
        health.origin_result_at(SHOP, OriginVerdict::Unknown, Duration::from_secs(2));
        assert_eq!(reasons(&health, 2).len(), 1);
        health.origin_result_at(SHOP, OriginVerdict::Works, Duration::from_secs(2));
        assert!(reasons(&health, 2).is_empty());
    }

    /// A quiet origin is degraded by fewer failures when they go on for half a minute; by one, never.
    #[test]
    fn an_origin_that_fails_for_half_a_minute_is_degraded() {
        let health = health();
        fail(&health, WEB, 10);
        assert!(reasons(&health, 3_600).is_empty());
        fail(&health, WEB, 20);
        assert!(reasons(&health, 39).is_empty());
        assert_eq!(reasons(&health, 40), ["origin web: its last 2 renders failed"]);
    }

    /// The count stops at its bound and leaves the time beside it alone.
    #[test]
    fn failures_do_not_overflow() {
        let health = health();
        for _ in 0..70_000 {
            fail(&health, WEB, 7);
        }
        assert_eq!(health.origins[0].1.load(Relaxed) >> COUNT_BITS, 7_000);
        assert_eq!(reasons(&health, 8), ["origin web: its last at least 65535 renders failed"]);
    }

    /// Phases survive the trip through a number.
    #[test]
    fn phases_are_what_was_entered() {
        let health = health();
        assert_eq!(health.phase(), Phase::Starting);
        for phase in [Phase::Running, Phase::Stopping, Phase::Starting] {
            health.enter(phase);
            assert_eq!(health.phase(), phase);
        }
    }
}
