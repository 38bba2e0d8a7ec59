//! The purge clock across restarts: what it knows as a value, to be written down, and taking such a value in.
//!
//! A process that takes over from another one does not know what that one purges until its journal is
//! closed, and serves meanwhile. So it counts from far ahead, where no number of the other can meet its own,
//! and whatever it learns later counts as purged when it learns it: more is covered, never less.

use super::{Ordering, PurgeClock, PurgeSeq};
use crate::store::heir::Relative;
use crate::store::journal::{Change, ClockState};
use std::sync::atomic::AtomicU64;

/// How far ahead of what it knows of a process begins to count.
const AHEAD: u64 = 1 << 32;

impl PurgeClock {
    /// Takes in what a journal knows before anything else happens.
    pub(in crate::store) fn begin_at(&self, state: &ClockState) {
        let mut known = self.writer.lock();
        self.take(state, state.sequence, state.sequence);
        self.sequence.store(state.sequence, Ordering::SeqCst);
        *known = state.sequence;
    }

    /// Counts on from where no other process gets to.
    pub(in crate::store) fn leave_room(&self) {
        let _writer = self.writer.lock();
        self.sequence.fetch_add(AHEAD, Ordering::SeqCst);
    }

    /// Takes in what a journal knows after other things have happened here. What is new counts as purged now;
    /// so does what was purged here, if the journal's pages may have seen numbers as high.
    pub(in crate::store) fn take_over(&self, state: &ClockState) -> PurgeSeq {
        let mut known = self.writer.lock();
        let here = self.sequence.load(Ordering::SeqCst);
        let now = here.max(state.sequence) + 1;
        if state.sequence >= here {
            let own = self.state_now();
            self.take(&own, *known, now);
        }
        self.take(state, *known, now);
        self.sequence.store(now, Ordering::SeqCst);
        *known = now;
        PurgeSeq(now)
    }

    /// Takes in what the process before or after has changed: it counts as changed now. Who told it is not told.
    pub(in crate::store) fn take_in(&self, change: &Change, by: Relative) -> PurgeSeq {
        let known = self.writer.lock();
        let mut state = ClockState::default();
        state.apply(*known + 1, change.clone());
        let sequence = self.show(|now| self.take(&state, *known, now));
        let others = match by {
            Relative::Predecessor => &self.heir,
            Relative::Successor => &self.elder,
        };
        others.add(sequence.0, change);
        self.journal.add(sequence.0, change);
        sequence
    }

    /// What is known now, with whoever purges kept waiting meanwhile.
    pub(in crate::store) fn with_state(&self, use_it: &mut dyn FnMut(ClockState)) {
        let _writer = self.writer.lock();
        use_it(self.state_now());
    }

    fn state_now(&self) -> ClockState {
        let slot = |(number, word): (usize, &AtomicU64)| {
            let word = word.load(Ordering::SeqCst);
            let number = u32::try_from(number).expect("there are fewer slots than that");
            (word > 0).then_some((number, (word >> 1, word & 1 == 1)))
        };
        ClockState {
            sequence: self.sequence.load(Ordering::SeqCst),
            purged: self.rules.read().state(),
            written: self.written.read().state(),
            slots: self.slots.iter().enumerate().filter_map(slot).collect(),
            deploy: self.deployed().map(|(id, since)| (id, since.0)),
        }
    }

    /// What is newer than `known` counts as made at `now`.
    fn take(&self, state: &ClockState, known: u64, now: u64) {
        let renewed = |at: u64| if at > known { now } else { at };
        self.rules.write().absorb(&state.purged, known, now);
        self.written.write().absorb(&state.written, known, now);
        for (number, (sequence, deletes)) in &state.slots {
            let Some(slot) = self.slots.get(*number as usize) else { continue };
            let word = slot.load(Ordering::SeqCst);
            let newest = renewed(*sequence).max(word >> 1);
            slot.store(newest << 1 | word & 1 | u64::from(*deletes), Ordering::SeqCst);
        }
        if let Some((id, since)) = &state.deploy
            && renewed(*since) >= self.deploy.load(Ordering::SeqCst)
        {
            *self.build.write() = Some(id.clone());
            self.deploy.store(renewed(*since), Ordering::SeqCst);
        }
        // Every page is compared again. Which rules name a tag is not written down.
        self.newest_rule.store(now, Ordering::SeqCst);
        self.newest_tag.store(now, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
