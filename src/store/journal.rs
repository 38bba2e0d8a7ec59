//! The purge journal: what was purged, written down beside the pages on disk, so that no purge that
//! somebody was told of is undone by a restart.
//!
//! A purge is in force before it is written down; who asked for it is told after. A page waits on its way to
//! disk until every purge that its render saw is written down, so no page on disk is newer than the journal.
//! Writes are gathered: one flush to the device serves everybody who waits. Where the journal cannot be
//! written, the pages on disk are given up first, by taking the journal away from them; a purge is refused
//! only where not even that can be done.

mod entry;

pub(super) use entry::{Change, ClockState, List, Mark, Noted, Read, RulesState, decoded, encoded};

use crate::policy::PurgeSeq;
use parking_lot::{Condvar, Mutex};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Which store a file belongs to: a new number whenever it starts cold.
pub(super) type StoreId = u64;

/// How long whoever purges waits for the device before it is refused.
const PATIENCE: Duration = Duration::from_secs(10);
/// A journal that has grown by this is written anew.
const GROWTH: u64 = 4 << 20;
/// A journal is never as large; what is, is none.
const LARGEST: u64 = 1 << 30;

/// A purge is in force, but it is not written down: a restart would bring back what it covers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWrittenDown {
    /// The device, and what it says.
    #[error(
        "it is in force, but cannot be written down ({0}), so a restart could undo it; mend the disk and purge again"
    )]
    Here(Arc<str>),
    /// The process that has taken over from this one does not answer.
    #[error("another process has taken over and was not reached; purge again")]
    Elsewhere,
}

/// Whether there are pages on disk, or may be, so that purges wait for their journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// There may be.
    Yes,
    /// There are none.
    No,
}

/// Whether a folder is locked by this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ours {
    /// It is.
    Yes,
    /// It cannot be had, or another process has it.
    No,
}

/// How the journal stands.
#[derive(Clone, Debug)]
enum Standing {
    /// There are no pages on disk that could come back.
    Unneeded,
    /// There may be, and their journal is not open yet.
    Awaited,
    /// It is written down up to here.
    Kept(u64),
    /// There may be such pages in this folder, and their journal cannot be opened.
    Shut(PathBuf, Ours, Arc<str>),
    /// It cannot be written, and the pages cannot be given up.
    Stuck(Arc<str>),
}

/// What its writer is told.
#[derive(Default)]
struct Queue {
    octets: Vec<u8>,
    last: u64,
    /// Whose journal is written.
    open: Option<StoreId>,
    /// Counts openings, so that a writer notices that another one has taken over.
    opening: u64,
    closing: bool,
}

/// See the module.
pub(super) struct Journal {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Held while a journal takes the place of another.
    files: Mutex<()>,
    standing: watch::Sender<Standing>,
}

/// The state to begin a journal with. It is asked for with nothing in the queue that it does not know.
pub(super) type Snapshot = Box<dyn Fn(&mut dyn FnMut(ClockState)) + Send>;

/// Told once when the journal cannot be written any more.
pub(super) type OnFailure = Box<dyn FnOnce(&io::Error) + Send>;

impl Journal {
    /// A journal that is not written yet.
    pub(super) fn new(awaited: Awaited) -> Self {
        let standing = match awaited {
            Awaited::Yes => Standing::Awaited,
            Awaited::No => Standing::Unneeded,
        };
        Journal {
            queue: Mutex::default(),
            wake: Condvar::new(),
            files: Mutex::default(),
            standing: watch::Sender::new(standing),
        }
    }

    /// Queues a change. Calls come in the order of their sequences.
    pub(super) fn add(&self, sequence: u64, change: &Change) {
        let mut queue = self.queue.lock();
        let Some(store) = queue.open else { return };
        entry::add(store, sequence, change, &mut queue.octets);
        queue.last = sequence;
        self.wake.notify_all();
    }

    /// Waits until everything up to `sequence` is written down.
    ///
    /// # Errors
    /// When it cannot be, or the device takes longer than ten seconds.
    pub(super) async fn written_down(self: &Arc<Self>, sequence: PurgeSeq) -> Result<(), NotWrittenDown> {
        let mut standing = self.standing.subscribe();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let settled = standing.wait_for(|standing| match standing {
                Standing::Unneeded | Standing::Stuck(_) | Standing::Shut(..) => true,
                Standing::Kept(at) => *at >= sequence.0,
                Standing::Awaited => false,
            });
            let Ok(Ok(settled)) =
                tokio::time::timeout_at(deadline, settled).await.map(|one| one.map(|one| one.clone()))
            else {
                return Err(NotWrittenDown::Here("the disk does not answer".into()));
            };
            let (dir, ours, why) = match settled {
                Standing::Stuck(why) => return Err(NotWrittenDown::Here(why)),
                Standing::Shut(dir, ours, why) => (dir, ours, why),
                Standing::Unneeded | Standing::Kept(_) | Standing::Awaited => return Ok(()),
            };
            let journal = Arc::clone(self);
            let _ = tokio::task::spawn_blocking(move || journal.give_up(&dir, ours, &why)).await;
        }
    }

    /// Whether everything up to `sequence` is written down.
    pub(super) fn has(&self, sequence: PurgeSeq) -> bool {
        matches!(&*self.standing.borrow(), Standing::Kept(at) if *at >= sequence.0)
    }

    /// Whether it is written.
    pub(super) fn is_open(&self) -> bool {
        matches!(&*self.standing.borrow(), Standing::Kept(_))
    }

    /// Begins the journal of `store` in `dir` with a snapshot, in the place of the one that is there, and has
    /// changes written to it from here on.
    ///
    /// # Errors
    /// When it cannot be written; the one that is there stays.
    pub(super) fn open(
        self: &Arc<Self>,
        dir: &Path,
        store: StoreId,
        snapshot: Snapshot,
        on_failure: OnFailure,
    ) -> io::Result<()> {
        let opening = {
            let mut queue = self.queue.lock();
            queue.open = Some(store);
            queue.opening += 1;
            queue.closing = false;
            self.wake.notify_all();
            queue.opening
        };
        let (journal, dir) = (Arc::clone(self), dir.to_owned());
        let mut writer = Writer { journal, opening, dir, store, snapshot, size: 0, base: 0 };
        let begun = writer.begin().and_then(|file| {
            let run = move || writer.run(file, on_failure);
            std::thread::Builder::new().name("breadbox-purges".into()).spawn(run)
        });
        if begun.is_err() {
            let mut queue = self.queue.lock();
            queue.open = None;
            queue.octets.clear();
        }
        begun.map(|_| ())
    }

    /// Says that the journal in `dir` cannot be opened now; whoever purges is told after the pages that it
    /// guards are given up.
    pub(super) fn unavailable(&self, dir: &Path, ours: Ours, why: &str) {
        let mut queue = self.queue.lock();
        if !matches!(&*self.standing.borrow(), Standing::Unneeded | Standing::Kept(_)) {
            queue.open = None;
            self.standing.send_replace(Standing::Shut(dir.to_owned(), ours, why.into()));
        }
        self.wake.notify_all();
    }

    /// Takes the journal away from the pages on disk, which nobody will trust then, in whatever way the disk
    /// allows. Where none works, purges are refused.
    fn give_up(&self, dir: &Path, ours: Ours, why: &str) {
        let mut queue = self.queue.lock();
        if matches!(&*self.standing.borrow(), Standing::Unneeded | Standing::Awaited) {
            return;
        }
        queue.open = None;
        queue.octets.clear();
        let path = path(dir);
        let given_up = match ours {
            Ours::Yes => void(&path).is_ok(),
            // Another process may need it.
            Ours::No => path.try_exists().is_ok_and(|exists| !exists),
        };
        self.standing.send_replace(if given_up { Standing::Unneeded } else { Standing::Stuck(why.into()) });
        self.wake.notify_all();
    }

    /// Writes what is queued and ends the writer. Changes after this are not written down.
    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closing = true;
        self.wake.notify_all();
        while queue.open.is_some() && queue.closing {
            self.wake.wait(&mut queue);
        }
        self.standing.send_replace(Standing::Unneeded);
    }

    /// Waits, without a runtime, until everything up to `sequence` is written down; whether it is.
    pub(super) fn wait_for(&self, sequence: PurgeSeq) -> bool {
        let mut queue = self.queue.lock();
        while !self.has(sequence) {
            let timed_out = self.wake.wait_for(&mut queue, PATIENCE).timed_out();
            if !self.is_open() || timed_out {
                return self.has(sequence);
            }
        }
        true
    }
}

/// What is written in `dir`.
///
/// # Errors
/// When it cannot be read; `None` where there is none.
pub(super) fn read(dir: &Path) -> io::Result<Option<Read>> {
    let path = path(dir);
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        // What is no file could keep its reader waiting for ever.
        Ok(metadata) if metadata.len() > LARGEST || !metadata.is_file() => return Ok(Some(Read::Broken)),
        Ok(_) => {}
    }
    let octets = fs::read(path)?;
    // A journal that was taken away from its pages.
    Ok((!octets.is_empty()).then(|| entry::read(&octets)))
}

fn path(dir: &Path) -> PathBuf {
    dir.join("purges.journal")
}

/// Empties the file, or takes its name away; each is enough, and a full disk allows both.
fn void(path: &Path) -> io::Result<()> {
    let emptied = OpenOptions::new().write(true).truncate(true).open(path).and_then(|file| file.sync_all());
    let emptied = match emptied {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other,
    };
    let removed = fs::remove_file(path).and_then(|()| sync_folder(path));
    emptied.or(removed)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

struct Writer {
    journal: Arc<Journal>,
    /// Which opening it writes for.
    opening: u64,
    dir: PathBuf,
    store: StoreId,
    snapshot: Snapshot,
    size: u64,
    base: u64,
}

impl Writer {
    /// Writes the journal anew and puts it in the place of the old one.
    fn begin(&mut self) -> io::Result<File> {
        let _alone = self.journal.files.lock();
        if self.journal.queue.lock().opening != self.opening {
            return Err(io::Error::other("another writer has taken over"));
        }
        let mut begun = (Vec::new(), 0);
        let queue = &self.journal.queue;
        let store = self.store;
        (self.snapshot)(&mut |state| {
            begun = (entry::begin(store, &state), state.sequence);
            // Whatever is queued is in the snapshot.
            queue.lock().octets.clear();
        });
        let (octets, sequence) = begun;
        let (path, new) = (path(&self.dir), self.dir.join("purges.journal.new"));
        let mut file = File::create(&new)?;
        file.write_all(&octets)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        sync_folder(&path)?;
        self.size = octets.len() as u64;
        self.base = self.size;
        self.kept(sequence);
        Ok(file)
    }

    fn kept(&self, sequence: u64) {
        let queue = self.journal.queue.lock();
        if queue.opening == self.opening && queue.open.is_some() {
            self.journal.standing.send_replace(Standing::Kept(sequence));
            self.journal.wake.notify_all();
        }
    }

    fn run(mut self, mut file: File, on_failure: OnFailure) {
        loop {
            let (octets, last) = match self.next() {
                Some(next) => next,
                None => return,
            };
            if let Err(error) = self.write(&mut file, &octets, last) {
                if self.journal.queue.lock().opening != self.opening {
                    return;
                }
                // Nobody may be told of a purge while pages could come back that it covers.
                self.journal.give_up(&self.dir, Ours::Yes, &error.to_string());
                on_failure(&error);
                return;
            }
        }
    }

    /// Waits for something to write; `None` when there will be nothing more.
    fn next(&self) -> Option<(Vec<u8>, u64)> {
        let mut queue = self.journal.queue.lock();
        loop {
            if queue.opening != self.opening || queue.open.is_none() {
                return None;
            }
            if !queue.octets.is_empty() {
                return Some((std::mem::take(&mut queue.octets), queue.last));
            }
            if queue.closing {
                queue.open = None;
                self.journal.wake.notify_all();
                return None;
            }
            self.journal.wake.wait(&mut queue);
        }
    }

    fn write(&mut self, file: &mut File, octets: &[u8], last: u64) -> io::Result<()> {
        file.write_all(octets)?;
        file.sync_data()?;
        self.size += octets.len() as u64;
        self.kept(last);
        if self.size > self.base + GROWTH {
            *file = self.begin()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
