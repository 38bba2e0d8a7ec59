//! The thread that writes: it takes the directory, finds what is in it, writes what comes, cleans up behind
//! it, and closes it. When anything fails it lets go of all of it, waits and begins anew, for as long as the
//! process runs.

use super::directory::{Directory, Locked, Refusal};
use super::log::{self, PageLog};
use super::popular::{self, Found};
use super::unwritten::Change;
use super::{OnLock, Phase, Shared, record};
use crate::metrics::{DiskDrop, DiskFailure};
use crate::policy::PurgeSeq;
use crate::store::journal::{self, ClockState, Ours, Read, StoreId};
use crate::store::purge_clock::PurgeClock;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of pages that are written together, more or less.
const BATCH: usize = 4 << 20;
/// Between two looks at the directory.
const LOOK: Duration = Duration::from_secs(2);
/// Before the first try to begin anew; doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long the tier has to work before its failure counts as over.
const PROBATION: Duration = Duration::from_secs(5);
/// Between two tries to take a directory that another process is about to let go.
const POLL: Duration = Duration::from_millis(50);
/// Between two times that the popular keys are written down.
const REMEMBER: Duration = Duration::from_secs(300);
/// Bytes that have to fit on the device before the tier is used again after a failure.
const PROBE: usize = 1 << 20;

/// What was found before anything was served.
pub(super) struct First {
    directory: Option<Directory>,
    store: Option<StoreId>,
    /// Whether the purge clock knows what the journal does.
    known: bool,
    waiting: bool,
    trouble: Option<String>,
}

/// The thread.
pub(super) struct Worker {
    shared: Arc<Shared>,
    directory: Option<Directory>,
    store: Option<StoreId>,
    known: bool,
    /// Another process is about to let go of the directory.
    waiting: bool,
    /// A failure was logged and is not over.
    failing: bool,
    /// When the tier was last taken into use.
    since: Instant,
    /// When the popular keys were last written down; `None` before they were read.
    remembered: Option<Instant>,
}

impl First {
    /// Takes the directory, and tells the purge clock what was purged before.
    pub(super) fn look(path: &Path, on_lock: OnLock, purges: &PurgeClock) -> Result<First, Locked> {
        let mut first = First { directory: None, store: None, known: false, waiting: false, trouble: None };
        match Directory::take(path) {
            Ok(directory) => first.directory = Some(directory),
            Err(Refusal::Locked(locked)) if on_lock == OnLock::Refuse => return Err(locked),
            Err(Refusal::Locked(_)) => first.waiting = true,
            Err(Refusal::Io(error)) => first.trouble = Some(error.to_string()),
        }
        match journal::read(path) {
            Ok(Some(Read::Whole(store, state))) => {
                purges.begin_at(&state);
                first.store = Some(store);
                first.known = first.directory.is_some();
            }
            Ok(_) => first.known = first.directory.is_some(),
            Err(error) => first.trouble = first.trouble.or(Some(format!("the purge journal cannot be read: {error}"))),
        }
        // Another process may go on counting; and where somebody has cut the journal off, pages that saw a purge
        // which is lost must not be ahead of those to come.
        purges.leave_room();
        Ok(first)
    }
}

impl Worker {
    /// Starts the thread.
    pub(super) fn start(shared: Arc<Shared>, first: First) {
        let First { directory, store, known, waiting, trouble } = first;
        let (failing, since, remembered) = (false, Instant::now(), None);
        let mut worker = Worker { shared, directory, store, known, waiting, failing, since, remembered };
        let run = move || {
            if let Some(trouble) = trouble {
                worker.down(DiskFailure::Open, &trouble);
                worker.shared.unwritten.wait(FIRST_WAIT);
            }
            worker.run();
        };
        std::thread::Builder::new().name("breadbox-disk".into()).spawn(run).expect("a process may have another thread");
    }

    fn run(&mut self) {
        let mut wait = FIRST_WAIT;
        while !self.shared.unwritten.is_closing() {
            match self.open() {
                Ok(Some(log)) => match self.serve(log) {
                    Ok(()) => break,
                    Err(error) => {
                        if self.since.elapsed() > PROBATION {
                            wait = FIRST_WAIT;
                        }
                        self.down(DiskFailure::Write, &error.to_string());
                    }
                },
                Ok(None) => {
                    // Nobody waits for that; it may take as long as the other one's requests.
                    self.shared.phase.send_replace(Phase::Off);
                    self.shared.series.down("another process is about to let go of its directory");
                    self.shared.unwritten.wait(POLL);
                    continue;
                }
                Err(error) => self.down(DiskFailure::Open, &error.to_string()),
            }
            self.shared.unwritten.wait(wait);
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        self.shared.journal.close();
        self.directory = None;
        self.shared.series.closed();
        self.shared.phase.send_replace(Phase::Closed);
    }

    /// Takes the tier into use; nothing while another process is about to let go.
    fn open(&mut self) -> io::Result<Option<PageLog>> {
        let started = Instant::now();
        let shared = Arc::clone(&self.shared);
        if !self.take_directory()? {
            return Ok(None);
        }
        if self.waiting {
            self.waiting = false;
            shared.phase.send_replace(Phase::Opening { since: Instant::now() });
        }
        shared.failure.lock().take();
        let (store, cold) = self.store()?;
        if self.failing {
            self.probe()?;
        }
        let (series, purges) = (shared.series.clone(), Arc::clone(&shared.purges));
        let failing = Arc::downgrade(&shared);
        let on_failure = move |error: &io::Error| {
            if let Some(shared) = failing.upgrade() {
                shared.fail(format!("the purge journal cannot be written: {error}"));
            }
        };
        let snapshot = move |use_it: &mut dyn FnMut(ClockState)| purges.with_state(use_it);
        shared.journal.open(&shared.config.path, store, Box::new(snapshot), Box::new(on_failure))?;
        self.store = Some(store);
        self.recall_popularity()?;
        let popularity = Arc::clone(&shared.popularity);
        let (log, recovered) = PageLog::open(
            &shared.config.path,
            store,
            shared.config.capacity,
            Arc::clone(&shared.index),
            Box::new(move |key| popularity.estimate(key) > 1),
            Box::new(move || series.evicted()),
        )?;
        let took = started.elapsed();
        let (pages, bytes) = (shared.index.records(), shared.index.bytes());
        if recovered.foreign > 0 || cold.is_some() {
            let (path, files) = (shared.config.path.display().to_string(), recovered.foreign);
            let why = cold.unwrap_or("files of pages were of another store or another version");
            tracing::warn!(path, files, why, "the disk tier starts without pages that cannot be trusted");
        }
        if !self.failing {
            tracing::info!(pages, bytes, took_ms = took.as_millis() as u64, "the disk tier is open");
        }
        self.since = Instant::now();
        shared.series.up(took);
        shared.phase.send_replace(Phase::Open);
        Ok(Some(log))
    }

    fn take_directory(&mut self) -> io::Result<bool> {
        if let Some(directory) = &self.directory
            && directory.is_there()?
        {
            return Ok(true);
        }
        self.directory = None;
        match Directory::take(&self.shared.config.path) {
            Ok(directory) => self.directory = Some(directory),
            Err(Refusal::Locked(_)) if self.waiting => return Ok(false),
            Err(Refusal::Locked(locked)) => return Err(io::Error::other(locked)),
            Err(Refusal::Io(error)) => return Err(error),
        }
        Ok(true)
    }

    /// Which store the pages on disk have to be of: the journal's, if it is whole. Without it nobody knows
    /// what was purged, and no page can be trusted.
    fn store(&mut self) -> io::Result<(StoreId, Option<&'static str>)> {
        let found = journal::read(&self.shared.config.path)?;
        let lost = self.shared.unwritten.take_lost_removals();
        let known = std::mem::replace(&mut self.known, true);
        if let Some(Read::Whole(store, state)) = &found {
            if !known {
                self.shared.purges.take_over(state);
                self.store = Some(*store);
            }
            if self.store == Some(*store) && !lost {
                return Ok((*store, None));
            }
        }
        self.store = None;
        let broken = found == Some(Read::Broken);
        let why = broken.then_some("the purge journal is damaged, or of another version");
        // Another number than any that is there.
        Ok((rand::random(), why))
    }

    /// Whether there is room again.
    fn probe(&self) -> io::Result<()> {
        let path = self.shared.config.path.join("probe");
        let probed = std::fs::write(&path, vec![1; PROBE]);
        let removed = std::fs::remove_file(&path);
        probed.and(removed)
    }

    /// Writes until the process ends, or something fails.
    fn serve(&mut self, mut log: PageLog) -> io::Result<()> {
        let mut looked = Instant::now();
        let mut cleaning = false;
        loop {
            let patience = if cleaning { Duration::ZERO } else { LOOK };
            let batch = self.shared.unwritten.next(BATCH, patience);
            if let Some(failure) = self.shared.failure.lock().take() {
                self.shared.unwritten.failed();
                return Err(io::Error::other(failure));
            }
            let nothing = batch.is_empty();
            if let Err(error) = self.write(&mut log, &batch) {
                self.shared.unwritten.failed();
                return Err(error);
            }
            self.shared.unwritten.written();
            for (hash, place) in std::mem::take(&mut *self.shared.broken.lock()) {
                log.forget(hash, place);
            }
            let index = &self.shared.index;
            self.shared.series.holds(index.bytes(), index.records(), self.shared.unwritten.bytes());
            if nothing && self.shared.unwritten.is_closing() {
                log.close()?;
                self.remember_popularity();
                return Ok(());
            }
            cleaning = log.clean_ahead()?;
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look()?;
                if self.remembered.is_none_or(|last| last.elapsed() >= REMEMBER) {
                    self.remember_popularity();
                }
            }
        }
    }

    /// Once: what an earlier process knew to be popular.
    fn recall_popularity(&mut self) -> io::Result<()> {
        if self.remembered.is_some() {
            return Ok(());
        }
        let path = &self.shared.config.path;
        match popular::read(path)? {
            Found::Keys(keys) => keys.into_iter().for_each(|(key, count)| self.shared.popularity.add(key, count)),
            Found::Foreign => {
                let path = path.display().to_string();
                tracing::warn!(path, "popular.keys is damaged, or of another version; what is popular is counted anew");
            }
            Found::Nothing => {}
        }
        self.remembered = Some(Instant::now());
        Ok(())
    }

    /// Pages can do without it, so a failure is no reason to stop: what matters more will meet it, too.
    fn remember_popularity(&mut self) {
        let keys = self.shared.popularity.top(popular::KEYS);
        if let Err(error) = popular::write(&self.shared.config.path, &keys) {
            tracing::warn!(%error, "what is popular could not be written to disk");
        }
        self.remembered = Some(Instant::now());
    }

    fn look(&mut self) -> io::Result<()> {
        if self.directory.as_ref().is_none_or(|directory| !directory.is_there().unwrap_or(false)) {
            return Err(io::Error::other("the directory is gone"));
        }
        if self.failing && self.since.elapsed() > PROBATION {
            self.failing = false;
            tracing::info!(pages = self.shared.index.records(), "the disk tier is back");
        }
        Ok(())
    }

    fn write(&self, log: &mut PageLog, batch: &[(u64, Change)]) -> io::Result<()> {
        let shared = &self.shared;
        let newest = batch.iter().map(|(_, change)| change.purge_seq()).max().unwrap_or(PurgeSeq(0));
        if !batch.is_empty() && !shared.journal.wait_for(newest) {
            return Err(io::Error::other("the purge journal cannot be written"));
        }
        let written = shared.wall.written(shared.clock.now());
        let mut frames = log::Batch::default();
        for (hash, change) in batch {
            match change {
                Change::Keep(key, entry) => {
                    let len = frames.add(*hash, |out| record::write(key, entry, written, out));
                    if len > log::largest_record(shared.config.capacity) {
                        frames.take_back();
                        frames.remove(*hash);
                        shared.series.dropped(DiskDrop::TooLarge);
                    } else {
                        shared.series.wrote(1);
                    }
                }
                Change::Remove if shared.index.get(*hash).is_some() => frames.remove(*hash),
                Change::Remove => {}
            }
            if frames.len() >= log.comfortable() {
                log.append(&std::mem::take(&mut frames))?;
            }
        }
        log.append(&frames)
    }

    /// Turns the tier off; the log says so once.
    fn down(&mut self, what: DiskFailure, why: &str) {
        let shared = &self.shared;
        let path = shared.config.path.display().to_string();
        shared.phase.send_replace(Phase::Off);
        shared.index.clear();
        shared.series.holds(0, 0, shared.unwritten.bytes());
        shared.series.failed(what);
        shared.series.down(&format!("{path}: {why}"));
        let ours = if self.directory.is_some() { Ours::Yes } else { Ours::No };
        shared.journal.unavailable(&shared.config.path, ours, why);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(path, error = why, "the disk tier is off; memory serves alone, and the disk is tried again");
        }
    }
}
