//! What is purged here after another process has taken over is purged there too: that process serves, and has
//! rendered pages by then which the purge covers. Nobody is told that a purge is done before the other process has
//! said that it is; a write to the origin that was under way is told as well.
//!
//! The process before is told the same way what is purged after it: connections that it has still may bring a
//! request, and are answered with its pages. It has gone soon, and then it need not know anything.
//!
//! What is told is a change of the purge clock in the form of the journal, not what somebody asked for.

use super::NotWrittenDown;
use super::journal::{self, Change};
use crate::policy::PurgeSeq;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::watch;

/// Changes that wait to be told.
const WAITING: usize = 1024;
/// How long whoever purges waits for the other process.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much the other process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// There is none.
    Nobody,
    /// Everything up to this sequence.
    UpTo(u64),
    /// It cannot be told any more.
    Lost,
}

/// A change, encoded, and its sequence here.
type News = (u64, Vec<u8>);

/// Another process that serves the same sockets, as this one sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relative {
    /// This one has taken over from it.
    Predecessor,
    /// It has taken over from this one.
    Successor,
}

/// The other process, if there is one.
pub(super) struct Heir {
    changes: Mutex<Option<SyncSender<News>>>,
    told: watch::Sender<Told>,
}

impl Default for Heir {
    fn default() -> Self {
        Heir { changes: Mutex::default(), told: watch::Sender::new(Told::Nobody) }
    }
}

impl Heir {
    /// One more change; calls come in the order of their sequences.
    pub(super) fn add(&self, sequence: u64, change: &Change) {
        let mut changes = self.changes.lock();
        let Some(sender) = &*changes else { return };
        if sender.try_send((sequence, journal::encoded(change))).is_err() {
            *changes = None;
            self.told.send_replace(Told::Lost);
        }
    }

    /// Waits until the other process knows everything up to `sequence`.
    ///
    /// # Errors
    /// When it cannot be told.
    pub(super) async fn knows(&self, sequence: PurgeSeq) -> Result<(), NotWrittenDown> {
        let mut told = self.told.subscribe();
        let settled = told.wait_for(|told| match told {
            Told::Nobody | Told::Lost => true,
            Told::UpTo(at) => *at >= sequence.0,
        });
        match tokio::time::timeout(PATIENCE, settled).await {
            Ok(Ok(told)) if *told != Told::Lost => Ok(()),
            _ => Err(NotWrittenDown::Elsewhere),
        }
    }

    /// From here on changes wait to be told; `known` is the last sequence that need not be.
    pub(super) fn expect(self: &Arc<Self>, known: u64) -> Bequest {
        let (sender, changes) = sync_channel(WAITING);
        *self.changes.lock() = Some(sender);
        self.told.send_replace(Told::UpTo(known));
        Bequest { heir: Arc::clone(self), changes }
    }

    fn end(&self, told: Told) {
        *self.changes.lock() = None;
        self.told.send_replace(told);
    }
}

/// What there is to tell.
pub(crate) struct Bequest {
    heir: Arc<Heir>,
    changes: Receiver<News>,
}

impl Bequest {
    /// Nobody has taken over after all.
    pub(crate) fn revoke(self) {
        self.heir.end(Told::Nobody);
    }

    /// Tells each change as it comes; `tell` returns when the other process has taken it in. Ends when it cannot.
    pub(crate) fn tell(self, tell: impl FnMut(&[u8]) -> io::Result<()>) {
        if let Err(error) = self.tell_each(tell) {
            self.heir.end(Told::Lost);
            tracing::warn!(%error, "what is purged here is not told to the process that has taken over");
        }
    }

    /// The same for the process before, until it has gone.
    pub(crate) fn tell_until_gone(self, tell: impl FnMut(&[u8]) -> io::Result<()>) {
        if let Err(error) = self.tell_each(tell) {
            tracing::debug!(%error, "the process before is told no more of what is purged here");
        }
        self.heir.end(Told::Nobody);
    }

    fn tell_each(&self, mut tell: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        while let Ok((sequence, change)) = self.changes.recv() {
            tell(&change)?;
            self.heir.told.send_replace(Told::UpTo(sequence));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PurgeMode;

    fn change() -> Change {
        Change::Slot(7, PurgeMode::Delete)
    }

    #[tokio::test]
    async fn a_change_is_known_when_the_other_process_has_taken_it_in() {
        let heir = Arc::new(Heir::default());
        heir.add(1, &change());
        assert_eq!(heir.knows(PurgeSeq(1)).await, Ok(()), "there is nobody to be told");
        let bequest = heir.expect(1);
        assert_eq!(heir.knows(PurgeSeq(1)).await, Ok(()), "it was before");
        heir.add(2, &change());
        let knows = tokio::spawn({
            let heir = Arc::clone(&heir);
            async move { heir.knows(PurgeSeq(2)).await }
        });
        let (heard, hears) = std::sync::mpsc::channel();
        let (done, is_done) = std::sync::mpsc::channel();
        let teller = std::thread::spawn(move || {
            bequest.tell(|octets| {
                heard.send(journal::decoded(octets)).map_err(io::Error::other)?;
                is_done.recv().map_err(io::Error::other)
            });
        });
        assert_eq!(hears.recv().expect("it is told"), Some(change()));
        tokio::task::yield_now().await;
        assert!(!knows.is_finished());
        done.send(()).expect("the other process is there");
        assert_eq!(knows.await.expect("no panic"), Ok(()));
        drop(done);
        heir.add(3, &change());
        teller.join().expect("no panic");
        assert_eq!(heir.knows(PurgeSeq(3)).await, Err(NotWrittenDown::Elsewhere));
    }

    #[tokio::test]
    async fn a_process_that_has_gone_need_not_know() {
        let heir = Arc::new(Heir::default());
        let report = heir.expect(0);
        heir.add(1, &change());
        let teller = std::thread::spawn(move || report.tell_until_gone(|_| Err(io::ErrorKind::BrokenPipe.into())));
        assert_eq!(heir.knows(PurgeSeq(1)).await, Ok(()));
        teller.join().expect("no panic");
        heir.add(2, &change());
        assert_eq!(heir.knows(PurgeSeq(2)).await, Ok(()));
    }

    #[tokio::test]
    async fn where_nobody_takes_over_after_all_nobody_is_waited_for() {
        let heir = Arc::new(Heir::default());
        let bequest = heir.expect(0);
        heir.add(1, &change());
        bequest.revoke();
        assert_eq!(heir.knows(PurgeSeq(1)).await, Ok(()));
    }

    #[tokio::test]
    async fn more_than_can_wait_is_not_said_to_be_known() {
        let heir = Arc::new(Heir::default());
        let _bequest = heir.expect(0);
        (0..=WAITING as u64).for_each(|sequence| heir.add(sequence, &change()));
        assert_eq!(heir.knows(PurgeSeq(1)).await, Err(NotWrittenDown::Elsewhere));
    }

    #[test]
    fn what_another_version_says_is_not_guessed_at() {
        let told = journal::encoded(&change());
        assert_eq!(journal::decoded(&told), Some(change()));
        assert_eq!(journal::decoded(&[&told[..], b"x"].concat()), None);
        (0..told.len()).for_each(|cut| assert_eq!(journal::decoded(&told[..cut]), None));
        assert_eq!(journal::decoded(&[&[told[0] + 1], &told[1..]].concat()), None);
    }
}
