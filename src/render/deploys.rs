//! Deploys of the origin: which build runs, and at what pace the pages of earlier ones are rendered
//! again. Such a page is served for as long as that takes; nobody waits, and the renderer that has just
//! started is asked for so many a second, whoever visits.

use super::Engine;
use crate::config::Config;
use crate::policy::{Page, PurgeSeq, Standing};
use crate::store::NotWrittenDown;
use parking_lot::Mutex;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The build that runs, and the pace.
#[derive(Debug)]
pub(super) struct Deploys {
    /// The build that runs until one is announced.
    first: Option<Box<str>>,
    changing: Mutex<()>,
    pace: Pace,
}

/// What became of the news that a build runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deployed {
    /// The build before.
    pub(crate) previous: Option<Box<str>>,
    /// The purge sequence; pages whose renders saw an earlier one are of earlier builds.
    pub(crate) sequence: PurgeSeq,
    /// Whether it is news at all.
    pub(crate) is_new: bool,
}

impl Deploys {
    pub(super) fn new(first: Option<Box<str>>) -> Self {
        Deploys { first, changing: Mutex::new(()), pace: Pace::new() }
    }
}

impl Engine {
    /// Takes note that this build runs now, and returns when a restart will know it too. The same one again
    /// changes nothing.
    ///
    /// # Errors
    /// When it is in force but a restart could forget it.
    pub(crate) async fn deploy(&self, id: &str) -> Result<Deployed, NotWrittenDown> {
        let deployed = self.deploy_now(id);
        self.store.written_down(deployed.sequence).await?;
        Ok(deployed)
    }

    fn deploy_now(&self, id: &str) -> Deployed {
        let changing = self.deploys.changing.lock();
        let previous = self.build();
        if previous.as_deref() == Some(id) {
            return Deployed { previous, sequence: self.store.purge_seq(), is_new: false };
        }
        let sequence = self.store.deploy(id);
        drop(changing);
        self.setup.load().metrics.deployed();
        self.purged.notify_one();
        Deployed { previous, sequence, is_new: true }
    }

    /// The build that runs, where it is known.
    pub(crate) fn build(&self) -> Option<Box<str>> {
        self.store.build().or_else(|| self.deploys.first.clone())
    }

    /// How a page stands after purges and deploys; an asset that never changes is of every build.
    pub(crate) fn standing(&self, config: &Config, page: &Page) -> Standing {
        match self.store.standing(page) {
            Standing::Deployed if config.deploys.immutable_assets.matches(page.key.uri().path) => Standing::Fine,
            standing => standing,
        }
    }

    /// Whether a page of an earlier build may be rendered again now, because somebody asks for it.
    pub(crate) fn is_its_turn(&self) -> bool {
        self.deploys.pace.take(self.setup.load().config.deploys.refresh)
    }

    /// Waits for the turn of a page that nobody asks for.
    pub(super) async fn wait_for_turn(&self, rate: NonZeroU32) {
        tokio::time::sleep(self.deploys.pace.reserve(rate)).await;
    }
}

/// So many a second, evenly: the next one may go at a point in time that each moves on.
#[derive(Debug)]
struct Pace {
    since: Instant,
    /// Microseconds since `since`.
    next: AtomicU64,
}

impl Pace {
    fn new() -> Self {
        Pace { since: Instant::now(), next: AtomicU64::new(0) }
    }

    /// Takes the next place if it is free now.
    fn take(&self, rate: NonZeroU32) -> bool {
        let now = self.now();
        let free = |next: u64| (next <= now).then(|| now + step(rate));
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok()
    }

    /// Takes the next place and says how long it is until then.
    fn reserve(&self, rate: NonZeroU32) -> Duration {
        let now = self.now();
        let taken = |next: u64| Some(next.max(now) + step(rate));
        let next = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).unwrap_or(now);
        Duration::from_micros(next.saturating_sub(now))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX / 2)
    }
}

/// Microseconds between two.
fn step(rate: NonZeroU32) -> u64 {
    1_000_000 / u64::from(rate.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_a_step_apart_whoever_takes_them() {
        let pace = Pace::new();
        let rate = NonZeroU32::new(1).unwrap();
        assert!(pace.take(rate));
        assert!(!pace.take(rate));
        let first = pace.reserve(rate);
        let second = pace.reserve(rate);
        assert!(first <= Duration::from_secs(1), "{first:?}");
        assert!(second > first && second <= Duration::from_secs(2), "{second:?}");
        assert!(!pace.take(rate));
    }
}
