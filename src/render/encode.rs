//! Compresses stored pages, off the path of every request: a page is served without a coding until its
//! codings are there. A few threads of low priority take pages from a bounded queue; what does not fit
//! in stays as it is until its next refresh.
//!
//! Pages in the queue are not kept alive by it: one that has left the store or was replaced is skipped.

use super::{Engine, Setup};
use crate::config::{Compression, Compressor, Encoders, Route};
use crate::metrics::{EncodingResult, Metrics};
use crate::policy::Page;
use crate::policy::encoding::{Representation, Representations, State};
use crate::store::{Wear, codec};
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How long a page is left alone after it was stored: those who waited for it are answered first.
const REST: Duration = Duration::from_millis(50);
/// Requests for a page from which it counts as used: the one that it was rendered for, and another.
const USED: u32 = 2;
/// Filled to less than this share in eighths, a store has room for every body that is asked for.
const ROOMY: usize = 4;
/// Filled to this share in eighths, it keeps more bodies only for pages that ask most.
const NEARLY_FULL: usize = 7;

/// The queue and its threads, which start with the first page.
pub(super) struct Encoder {
    queue: Arc<Queue>,
    started: Once,
    config: Encoders,
}

#[derive(Default)]
struct Queue {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

struct Job {
    page: Weak<Page>,
    /// When it may begin.
    due: Instant,
    rules: Arc<Compression>,
    metrics: Arc<Metrics>,
}

impl Encoder {
    /// An empty queue.
    pub(super) fn new(config: Encoders) -> Self {
        Encoder { queue: Arc::default(), started: Once::new(), config }
    }

    fn start(&self, engine: &Arc<Engine>) {
        for number in 0..self.config.threads.get() {
            let (queue, engine) = (Arc::clone(&self.queue), Arc::downgrade(engine));
            let thread = thread::Builder::new().name(format!("encode-{number}"));
            if let Err(error) = thread.spawn(move || work(&queue, &engine)) {
                tracing::error!(%error, "a thread that compresses pages cannot be started");
            }
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.queue.state.lock().is_closed = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    /// Takes a job in, unless there is no room.
    fn push(&self, job: Job, most: usize) -> Result<usize, Job> {
        let mut state = self.state.lock();
        if state.jobs.len() >= most {
            return Err(job);
        }
        state.jobs.push_back(job);
        let waiting = state.jobs.len();
        drop(state);
        self.changed.notify_one();
        Ok(waiting)
    }

    /// Waits for a job that may begin; `None` once there will be none.
    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        while !state.is_closed {
            match state.jobs.front().map(|job| job.due) {
                None => self.changed.wait(&mut state),
                Some(due) if due > Instant::now() => _ = self.changed.wait_until(&mut state, due),
                Some(_) => {
                    let job = state.jobs.pop_front()?;
                    job.metrics.encodings_waiting(state.jobs.len());
                    return Some(job);
                }
            }
        }
        None
    }
}

fn work(queue: &Queue, engine: &Weak<Engine>) {
    give_way();
    while let Some(job) = queue.next() {
        let (Some(engine), Some(page)) = (engine.upgrade(), job.page.upgrade()) else { continue };
        engine.encode(&job, &page);
    }
}

/// Requests go first: on Linux priorities are those of threads.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "the thread that compresses pages keeps its priority");
    }
}

impl Engine {
    /// Has the codings of a page made that was just stored, if it is to have some.
    pub(super) fn encode_later(self: &Arc<Self>, setup: &Setup, route: &Route, page: &Arc<Page>) {
        let Some(rules) = route.compression.as_ref().filter(|_| page.representations.state() == State::Pending) else {
            return;
        };
        self.encoder.started.call_once(|| self.encoder.start(self));
        let metrics = Arc::clone(&setup.metrics);
        let due = Instant::now() + REST;
        let job = Job { page: Arc::downgrade(page), due, rules: Arc::clone(rules), metrics };
        match self.encoder.queue.push(job, setup.config.encoders.max_waiting) {
            Ok(waiting) => setup.metrics.encodings_waiting(waiting),
            Err(job) => job.metrics.encoding_dropped(),
        }
    }

    fn encode(&self, job: &Job, page: &Arc<Page>) {
        let Some(body) = page.representations.original().body.as_ref() else { return };
        if !self.store.holds(page) {
            return;
        }
        let made = job.rules.compressors.iter().filter_map(|compressor| {
            let coded = compressed(*compressor, body, &job.metrics)?;
            Some((compressor.codec.into(), coded))
        });
        let representations = page.representations.encoded(made.collect(), job.rules.fingerprint());
        self.exchange(page, representations);
    }

    /// Puts the same page with other representations in its place, which is no use of it: a page that nobody asks for
    /// twice is still the first to leave.
    fn exchange(&self, page: &Arc<Page>, representations: Representations) {
        let wear = if self.store.popularity(&page.key) >= USED { Wear::Used } else { Wear::New };
        let other = Page { representations, ..(**page).clone() };
        self.store.exchange(page, Arc::new(other), wear);
    }

    /// The body of a representation of a page. One that is not kept is made from another, and kept from
    /// then on if there is room, or it is asked for again and again. `None` where that fails, which means that the store
    /// holds rubbish: the page is taken out.
    pub(crate) fn body_of(&self, page: &Arc<Page>, one: &Representation) -> Option<Bytes> {
        if let Some(body) = &one.body {
            return Some(body.clone());
        }
        let metrics = Arc::clone(&self.setup.load().metrics);
        let started = Instant::now();
        let Some(body) = codec::unpack(&page.representations, one) else {
            tracing::error!(coding = one.coding.as_str(), "a stored page cannot be brought back from its codings");
            self.store.remove(&page.key);
            return None;
        };
        metrics.unpacked(started.elapsed());
        let demand = page.representations.demand();
        let (held, eighth) = (self.store.bytes(), self.store.capacity() / 8);
        let is_wanted = match () {
            () if held < eighth * ROOMY => true,
            () if held < eighth * NEARLY_FULL => demand.is_lasting(),
            () => demand.is_highest(),
        };
        if is_wanted {
            self.exchange(page, page.representations.unpacked(body.clone()));
        }
        Some(body)
    }
}

/// A compressor that fails or panics costs its coding and nothing else.
fn compressed(compressor: Compressor, body: &Bytes, metrics: &Metrics) -> Option<Bytes> {
    let started = Instant::now();
    let coded = catch_unwind(AssertUnwindSafe(|| codec::encode(compressor, body)));
    let elapsed = started.elapsed();
    let Ok(Ok(coded)) = coded else {
        tracing::warn!(coding = compressor.codec.as_str(), bytes = body.len(), "a page cannot be compressed");
        metrics.encoded(compressor.codec, EncodingResult::Failed, elapsed);
        return None;
    };
    let saved = (body.len() as u64).saturating_sub(coded.len() as u64);
    let result = if saved > 0 { EncodingResult::Made { saved } } else { EncodingResult::Larger };
    metrics.encoded(compressor.codec, result, elapsed);
    Some(Bytes::from(coded.into_boxed_slice()))
}

#[cfg(test)]
mod tests;
