//! How pages stand after the purges and invalidations since their renders (DESIGN §2.4, RFC 9111 §4.4).
//!
//! Nothing is searched for: a purge raises a counter and is remembered with its number; a page carries
//! the number that its render saw, and a lookup compares. Purges that operators ask for are a bounded
//! list of rules. Of what writes change, tags are another such list, so that visitors who write cannot
//! crowd out what operators purged; a URI or a path of one host has a slot in a table of fixed size:
//! there is no bound on how many of them are remembered, only on how exactly.
//!
//! It must not keep a list of pages, or ever call a page better than a purge says that covers it.
//! Where it cannot tell, more is covered. A page that was compared since the last purge costs one
//! comparison; any other is compared once and remembers the outcome.

mod kept;
mod rules;

use super::NotWrittenDown;
use super::heir::{Bequest, Heir};
use super::journal::{Awaited, Change, Journal, List};
use crate::config::PurgeMode;
use crate::policy::purge::{Rule, Scope, Subject};
use crate::policy::{Key, Page, PurgeSeq, Standing, key};
use parking_lot::{Mutex, RwLock};
use rules::Rules;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many slots there are; 512 KiB of memory, whatever the number of pages. A power of two.
const SLOTS: usize = 65_536;

/// Tags that writes changed and that are remembered one by one; about 6 MiB when all are taken.
const WRITTEN_TAGS: NonZeroUsize = NonZeroUsize::new(65_536).expect("more than none");

/// The purge sequence, and what each purge covered.
///
/// All accesses are sequentially consistent, and a purge is written down before the sequence shows
/// it: when [`purge`](PurgeClock::purge) or [`invalidate`](PurgeClock::invalidate) returns, every
/// thread sees it, and a render either took its sequence before (its page is covered, also when it is
/// stored later) or connects to the origin after.
pub struct PurgeClock {
    sequence: AtomicU64,
    /// The sequence of the newest rule.
    newest_rule: AtomicU64,
    /// The sequence of the last deploy.
    deploy: AtomicU64,
    /// The sequence of the newest rule that names a tag.
    newest_tag: AtomicU64,
    /// What operators purged.
    rules: RwLock<Rules>,
    /// The tags that writes changed.
    written: RwLock<Rules>,
    /// Of each slot: the newest sequence, and whether pages are deleted by it, in its lowest bit.
    slots: Box<[AtomicU64]>,
    /// The build that was deployed then.
    build: RwLock<Option<Box<str>>>,
    /// Where it is written down.
    journal: Arc<Journal>,
    /// Who else is told: the process that has taken over.
    heir: Arc<Heir>,
    /// And the one that was taken over from.
    elder: Arc<Heir>,
    /// Held by whoever purges, so that sequences are shown in their order; the sequence up to which another
    /// process's journal is known.
    writer: Mutex<u64>,
}

impl PurgeClock {
    /// A clock at which nothing has been purged, and which remembers this many rules one by one.
    pub fn new(max_rules: NonZeroUsize) -> Self {
        PurgeClock::with_journal(max_rules, Arc::new(Journal::new(Awaited::No)))
    }

    /// The same, written down.
    pub(super) fn with_journal(max_rules: NonZeroUsize, journal: Arc<Journal>) -> Self {
        PurgeClock {
            sequence: AtomicU64::new(0),
            newest_rule: AtomicU64::new(0),
            deploy: AtomicU64::new(0),
            newest_tag: AtomicU64::new(0),
            rules: RwLock::new(Rules::new(max_rules)),
            written: RwLock::new(Rules::new(WRITTEN_TAGS)),
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            build: RwLock::new(None),
            journal,
            heir: Arc::default(),
            elder: Arc::default(),
            writer: Mutex::new(0),
        }
    }

    /// The sequence that a render takes before it connects.
    pub fn now(&self) -> PurgeSeq {
        PurgeSeq(self.sequence.load(Ordering::SeqCst))
    }

    /// Changes how many rules are remembered one by one; the oldest ones give way.
    pub fn limit(&self, max_rules: NonZeroUsize) {
        let _writer = self.writer.lock();
        if self.rules.write().limit(max_rules) {
            // What merged covers more than before, so every page is to be compared again.
            let sequence = self.show(|next| self.newest_rule.store(next, Ordering::SeqCst));
            // Every sequence is written down, because pages wait for that.
            self.note(sequence, &Change::Rules(List::Purged, PurgeMode::Stale, Vec::new()));
        }
    }

    /// Covers whatever these rules name and whose render took its sequence before this call.
    pub fn purge(&self, rules: &[Rule], mode: PurgeMode) -> PurgeSeq {
        self.remember(List::Purged, rules, mode)
    }

    /// Covers every page with this tag whose render took its sequence before this call, because a
    /// write has changed what the tag stands for.
    pub fn invalidate_tag(&self, tag: &str, mode: PurgeMode) -> PurgeSeq {
        self.remember(List::Written, &[Rule::anywhere(Scope::Tag(tag.into()))], mode)
    }

    fn remember(&self, list: List, rules: &[Rule], mode: PurgeMode) -> PurgeSeq {
        let _writer = self.writer.lock();
        let names_tag = rules.iter().any(|rule| matches!(rule.scope, Scope::Tag(_)));
        let sequence = self.show(|next| {
            let mut remembered = self.list(list).write();
            rules.iter().for_each(|rule| remembered.add(rule, next, mode));
            if names_tag {
                self.newest_tag.store(next, Ordering::SeqCst);
            }
            self.newest_rule.store(next, Ordering::SeqCst);
        });
        let note = |rule: &Rule| {
            let covers_all = rule.scope == Scope::All && rule.host.is_none();
            (!covers_all).then(|| (rule.label(), rule.prefix_len(), rule.host.is_some()))
        };
        self.note(sequence, &Change::Rules(list, mode, rules.iter().map(note).collect()));
        sequence
    }

    fn list(&self, list: List) -> &RwLock<Rules> {
        match list {
            List::Purged => &self.rules,
            List::Written => &self.written,
        }
    }

    /// Covers every page of a URI, in all its variants, whose render took its sequence before this
    /// call. `uri_hash` is [`Key::uri_hash`].
    pub fn invalidate(&self, uri_hash: u64) -> PurgeSeq {
        self.mark(uri_hash, PurgeMode::Delete)
    }

    /// Covers every page of a path of one host, with all its queries.
    pub fn invalidate_path(&self, host: &str, path: &str, mode: PurgeMode) -> PurgeSeq {
        self.mark(key::path_hash(host, path), mode)
    }

    fn mark(&self, hash: u64, mode: PurgeMode) -> PurgeSeq {
        let _writer = self.writer.lock();
        let sequence = self.show(|next| {
            // A slot keeps the newest sequence and the strongest mode: more is covered, never less.
            let slot = self.slot(hash);
            let deletes = slot.load(Ordering::SeqCst) & 1 | u64::from(mode == PurgeMode::Delete);
            slot.store(next << 1 | deletes, Ordering::SeqCst);
        });
        self.note(sequence, &Change::Slot(slot_number(hash), mode));
        sequence
    }

    /// Lets everything whose render took its sequence before this call be of an earlier build than this one.
    /// It is written down like a purge.
    pub fn deploy(&self, id: &str) -> PurgeSeq {
        let _writer = self.writer.lock();
        let sequence = self.show(|next| {
            *self.build.write() = Some(id.into());
            self.deploy.store(next, Ordering::SeqCst);
        });
        self.note(sequence, &Change::Deploy(id.into()));
        sequence
    }

    /// The last build that was deployed, and the sequence since when.
    pub fn deployed(&self) -> Option<(Box<str>, PurgeSeq)> {
        let build = self.build.read();
        build.clone().map(|id| (id, PurgeSeq(self.deploy.load(Ordering::SeqCst))))
    }

    /// Has a change written down, and told to the processes before and after, where there are any.
    fn note(&self, sequence: PurgeSeq, change: &Change) {
        self.heir.add(sequence.0, change);
        self.elder.add(sequence.0, change);
        self.journal.add(sequence.0, change);
    }

    /// From here on changes wait to be told to the process that takes over.
    pub(super) fn bequeath(&self) -> Bequest {
        let _writer = self.writer.lock();
        self.heir.expect(self.now().0)
    }

    /// The same for the process that was taken over from, while it finishes what it has.
    pub(super) fn report(&self) -> Bequest {
        let _writer = self.writer.lock();
        self.elder.expect(self.now().0)
    }

    /// Waits until the processes before and after, where there are any, know everything up to `sequence`.
    ///
    /// # Errors
    /// When it cannot be told.
    pub(super) async fn told(&self, sequence: PurgeSeq) -> Result<(), NotWrittenDown> {
        self.heir.knows(sequence).await?;
        self.elder.knows(sequence).await
    }

    /// Writes something down under the next sequence and only then lets the sequence be seen: whoever
    /// sees it finds what it stands for.
    fn show(&self, write_down: impl FnOnce(u64)) -> PurgeSeq {
        let next = self.sequence.load(Ordering::SeqCst) + 1;
        write_down(next);
        self.sequence.store(next, Ordering::SeqCst);
        PurgeSeq(next)
    }

    /// How a page stands now.
    pub fn standing(&self, page: &Page) -> Standing {
        let (compared, known) = page.purge_memo.read();
        let compared = compared.max(page.purge_seq);
        let now = self.now();
        if compared >= now {
            return known;
        }
        let mut standing = known.max(self.deploy_says(page.purge_seq)).max(self.slots_say(&page.key, page.purge_seq));
        if self.newest_rule.load(Ordering::SeqCst) > compared.0 {
            let subject = Subject { uri: page.key.uri(), tags: &page.tags };
            standing = standing.max(self.rules_say(subject, page.purge_seq));
        }
        page.purge_memo.write(now, standing);
        standing
    }

    /// How the page of a render would stand that took `seq`. Its tags are not known yet, so it
    /// counts as covered by every purge of a tag.
    pub fn standing_of_render(&self, key: &Key, seq: PurgeSeq) -> Standing {
        if seq >= self.now() {
            return Standing::Fine;
        }
        let mut standing = self.deploy_says(seq).max(self.slots_say(key, seq));
        if self.newest_rule.load(Ordering::SeqCst) > seq.0 {
            standing = standing.max(self.rules_say(Subject { uri: key.uri(), tags: &[] }, seq));
        }
        let tag = self.newest_tag.load(Ordering::SeqCst) > seq.0;
        if tag { standing.max(Standing::Stale) } else { standing }
    }

    /// Rules that are remembered one by one.
    pub fn rules(&self) -> usize {
        self.rules.read().len()
    }

    /// Rules that had to merge into one that covers more, since the start.
    pub fn merged(&self) -> u64 {
        self.rules.read().merged()
    }

    fn deploy_says(&self, seq: PurgeSeq) -> Standing {
        if self.deploy.load(Ordering::SeqCst) > seq.0 { Standing::Deployed } else { Standing::Fine }
    }

    fn rules_say(&self, subject: Subject<'_>, seq: PurgeSeq) -> Standing {
        self.rules.read().say(subject, seq).max(self.written.read().say(subject, seq))
    }

    fn slots_say(&self, key: &Key, seq: PurgeSeq) -> Standing {
        let uri = key.uri();
        let hashes = [key.uri_hash(), key::path_hash(uri.host, uri.path)];
        let say = |hash: u64| {
            let word = self.slot(hash).load(Ordering::SeqCst);
            match (word >> 1 > seq.0, word & 1) {
                (false, _) => Standing::Fine,
                (true, 0) => Standing::Stale,
                (true, _) => Standing::Void,
            }
        };
        hashes.into_iter().map(say).max().unwrap_or_default()
    }

    fn slot(&self, hash: u64) -> &AtomicU64 {
        &self.slots[slot_number(hash) as usize]
    }
}

fn slot_number(hash: u64) -> u32 {
    u32::try_from(hash & (SLOTS as u64 - 1)).expect("there are fewer slots than that")
}

#[cfg(test)]
pub(in crate::store) mod tests;
