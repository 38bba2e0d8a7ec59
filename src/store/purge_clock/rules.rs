//! The rules that are remembered one by one, and the floor into which the oldest of them merge. The
//! floor covers every page: what it says holds for pages that are older than the rule was.

use crate::config::PurgeMode;
use crate::policy::purge::{Rule, Scope, Subject};
use crate::policy::{PurgeSeq, Standing};
use crate::store::journal::{Mark, Noted, RulesState};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;

/// The rules and the floor.
#[derive(Debug)]
pub(super) struct Rules {
    limit: NonZeroUsize,
    /// By label.
    remembered: HashMap<u64, Noted, foldhash::quality::RandomState>,
    /// Sequence and label of each, the oldest first.
    ages: BTreeSet<(u64, u64)>,
    /// How many prefixes of each length there are.
    prefix_lengths: BTreeMap<usize, usize>,
    /// How many rules name a host.
    hosted: usize,
    floor: Mark,
    merged: u64,
}

impl Mark {
    fn says(self, seq: PurgeSeq) -> Standing {
        if self.delete > seq.0 {
            Standing::Void
        } else if self.stale > seq.0 {
            Standing::Stale
        } else {
            Standing::Fine
        }
    }
}

impl Rules {
    pub(super) fn new(limit: NonZeroUsize) -> Self {
        Rules {
            limit,
            remembered: HashMap::default(),
            ages: BTreeSet::new(),
            prefix_lengths: BTreeMap::new(),
            hosted: 0,
            floor: Mark::default(),
            merged: 0,
        }
    }

    /// Remembers a rule at this sequence. What purges everything is the floor itself.
    pub(super) fn add(&mut self, rule: &Rule, sequence: u64, mode: PurgeMode) {
        let mark = Mark::at(sequence, mode);
        if rule.scope == Scope::All && rule.host.is_none() {
            self.floor.raise(mark);
            return;
        }
        self.note(rule.label(), Noted { mark, prefix: rule.prefix_len(), hosted: rule.host.is_some() });
        self.merge_oldest();
    }

    fn note(&mut self, label: u64, noted: Noted) {
        let mut newest = noted.mark;
        if let Some(known) = self.remembered.get_mut(&label) {
            self.ages.remove(&(known.mark.newest(), label));
            known.mark.raise(noted.mark);
            newest = known.mark;
        } else {
            noted.prefix.into_iter().for_each(|length| *self.prefix_lengths.entry(length).or_default() += 1);
            self.hosted += usize::from(noted.hosted);
            self.remembered.insert(label, noted);
        }
        self.ages.insert((newest.newest(), label));
    }

    /// Everything that is remembered.
    pub(super) fn state(&self) -> RulesState {
        RulesState { floor: self.floor, noted: self.remembered.iter().map(|(label, noted)| (*label, *noted)).collect() }
    }

    /// Remembers all of this too. What is newer than `known` counts as made at `now`.
    pub(super) fn absorb(&mut self, state: &RulesState, known: u64, now: u64) {
        self.floor.raise(state.floor.renewed(known, now));
        for (label, noted) in &state.noted {
            self.note(*label, Noted { mark: noted.mark.renewed(known, now), ..*noted });
        }
        self.merge_oldest();
    }

    /// Changes the limit; whether rules had to merge for it.
    pub(super) fn limit(&mut self, limit: NonZeroUsize) -> bool {
        let before = self.merged;
        self.limit = limit;
        self.merge_oldest();
        self.merged > before
    }

    fn merge_oldest(&mut self) {
        while self.remembered.len() > self.limit.get() {
            let Some((_, label)) = self.ages.pop_first() else { return };
            let Some(oldest) = self.remembered.remove(&label) else { continue };
            self.floor.raise(oldest.mark);
            self.hosted -= usize::from(oldest.hosted);
            self.merged += 1;
            let Some(length) = oldest.prefix else { continue };
            let left = self.prefix_lengths.get(&length).map_or(0, |count| count - 1);
            if left == 0 {
                self.prefix_lengths.remove(&length)
            } else {
                self.prefix_lengths.insert(length, left)
            };
        }
    }

    /// What the rules say of a page whose render took `seq`.
    pub(super) fn say(&self, subject: Subject<'_>, seq: PurgeSeq) -> Standing {
        let mut standing = self.floor.says(seq);
        if self.remembered.is_empty() {
            return standing;
        }
        let hosts = subject.hosts().filter(|_| self.hosted > 0).map(Some);
        for host in hosts.chain([None]) {
            for label in subject.labels(host, self.prefix_lengths.keys().copied()) {
                if standing == Standing::Void {
                    return standing;
                }
                let said = self.remembered.get(&label).map_or(Standing::Fine, |rule| rule.mark.says(seq));
                standing = standing.max(said);
            }
        }
        standing
    }

    pub(super) fn len(&self) -> usize {
        self.remembered.len()
    }

    pub(super) fn merged(&self) -> u64 {
        self.merged
    }
}
