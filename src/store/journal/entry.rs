//! What the purge journal is made of: the whole state of the purge clock, and one entry for whatever
//! changed it since. It is read on a machine that may have lost power in the middle of a write.
//!
//! What stands behind the last whole entry is a write that nobody was told of if it is cut off, or was
//! never filled in; it is left out. Anything else that is not whole means that an entry which somebody
//! relied on may be lost: then nothing that the journal guards can be trusted.

use super::StoreId;
use crate::config::PurgeMode;
use crate::store::octets::{Octets, Put};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const MAGIC: u64 = u64::from_le_bytes(*b"bb-purge");
/// The version of everything below; another one is another store.
const FORMAT: u32 = 1;
/// Octets in front of the first entry.
const HEAD: usize = 32;
/// Octets in front of each entry: its length, a checksum of that, and the entry's checksum.
const FRAME: usize = 16;

const STATE: u8 = 1;
const RULES: u8 = 2;
const SLOT: u8 = 3;
const DEPLOY: u8 = 4;

/// The newest sequence at which something was purged in each mode; zero: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Mark {
    /// Made stale.
    pub(in crate::store) stale: u64,
    /// Made void.
    pub(in crate::store) delete: u64,
}

/// A rule as it is remembered: not what it names, only its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Noted {
    /// When.
    pub(in crate::store) mark: Mark,
    /// Bytes of the prefix it names.
    pub(in crate::store) prefix: Option<usize>,
    /// Whether it names a host.
    pub(in crate::store) hosted: bool,
}

/// Rules by their labels, and what covers everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct RulesState {
    /// What covers everything.
    pub(in crate::store) floor: Mark,
    /// The rules that are remembered one by one.
    pub(in crate::store) noted: BTreeMap<u64, Noted>,
}

/// Which of the two lists of rules is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum List {
    /// What operators purged.
    Purged,
    /// The tags that writes changed.
    Written,
}

/// Everything that the purge clock knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct ClockState {
    /// The last sequence given out.
    pub(in crate::store) sequence: u64,
    /// What operators purged.
    pub(in crate::store) purged: RulesState,
    /// The tags that writes changed.
    pub(in crate::store) written: RulesState,
    /// Hashes of what writes changed, by slot: the newest sequence, and whether pages are deleted by it.
    pub(in crate::store) slots: BTreeMap<u32, (u64, bool)>,
    /// The generation of the origin's build, and the sequence since which it is in force.
    pub(in crate::store) deploy: Option<(Box<str>, u64)>,
}

/// One thing that changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Change {
    /// Rules: label, prefix, whether a host is named; `None` covers everything.
    Rules(List, PurgeMode, Vec<Option<(u64, Option<usize>, bool)>>),
    /// A slot.
    Slot(u32, PurgeMode),
    /// A generation of the origin's build.
    Deploy(Box<str>),
}

impl Mark {
    /// The newer of both, mode by mode.
    pub(in crate::store) fn raise(&mut self, other: Mark) {
        self.stale = self.stale.max(other.stale);
        self.delete = self.delete.max(other.delete);
    }

    /// This mode at this sequence.
    pub(in crate::store) fn at(sequence: u64, mode: PurgeMode) -> Mark {
        match mode {
            PurgeMode::Stale => Mark { stale: sequence, delete: 0 },
            PurgeMode::Delete => Mark { stale: 0, delete: sequence },
        }
    }

    /// The newer of its modes.
    pub(in crate::store) fn newest(self) -> u64 {
        self.stale.max(self.delete)
    }

    /// Whatever is newer than `known` is as new as `now`.
    pub(in crate::store) fn renewed(self, known: u64, now: u64) -> Mark {
        let renewed = |at: u64| if at > known { now } else { at };
        Mark { stale: renewed(self.stale), delete: renewed(self.delete) }
    }
}

impl ClockState {
    pub(in crate::store) fn apply(&mut self, sequence: u64, change: Change) {
        self.sequence = self.sequence.max(sequence);
        match change {
            Change::Rules(list, mode, rules) => {
                let mark = Mark::at(sequence, mode);
                let state = if list == List::Purged { &mut self.purged } else { &mut self.written };
                for rule in rules {
                    let Some((label, prefix, hosted)) = rule else {
                        state.floor.raise(mark);
                        continue;
                    };
                    let noted = state.noted.entry(label).or_insert(Noted { mark, prefix, hosted });
                    noted.mark.raise(mark);
                }
            }
            Change::Slot(slot, mode) => {
                let (at, deletes) = self.slots.entry(slot).or_default();
                *at = sequence.max(*at);
                *deletes |= mode == PurgeMode::Delete;
            }
            Change::Deploy(id) => self.deploy = Some((id, sequence)),
        }
    }
}

/// What a journal says.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) enum Read {
    /// Whose it is and what it knows.
    Whole(StoreId, ClockState),
    /// It is another version, or not whole.
    Broken,
}

/// The beginning of a journal: its head and the whole state.
pub(super) fn begin(store: StoreId, state: &ClockState) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + 64 + state.slots.len() * 16);
    out.put_u64(MAGIC);
    out.put_u32(FORMAT);
    out.put_u32(0);
    out.put_u64(store);
    out.put_u64(xxh3_64(&out));
    frame(store, &mut out, |out| write_state(state, out));
    out
}

/// Appends one change.
pub(super) fn add(store: StoreId, sequence: u64, change: &Change, out: &mut Vec<u8>) {
    frame(store, out, |out| match change {
        Change::Rules(list, mode, rules) => {
            out.put_u8(RULES);
            out.put_u64(sequence);
            out.put_u8(u8::from(*list == List::Written));
            out.put_u8(u8::from(*mode == PurgeMode::Delete));
            out.put_len(rules.len());
            for rule in rules {
                out.put_u8(u8::from(rule.is_some()));
                if let Some((label, prefix, hosted)) = rule {
                    write_rule(*label, *prefix, *hosted, out);
                }
            }
        }
        Change::Slot(slot, mode) => {
            out.put_u8(SLOT);
            out.put_u64(sequence);
            out.put_u32(*slot);
            out.put_u8(u8::from(*mode == PurgeMode::Delete));
        }
        Change::Deploy(id) => {
            out.put_u8(DEPLOY);
            out.put_u64(sequence);
            out.put_text(id.as_bytes());
        }
    });
}

/// One change alone, for another process, which may be of another version.
pub(in crate::store) fn encoded(change: &Change) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u32(FORMAT);
    add(0, 0, change, &mut out);
    out
}

/// The change, if it is one of this version.
pub(in crate::store) fn decoded(octets: &[u8]) -> Option<Change> {
    let (format, mut rest) = octets.split_first_chunk()?;
    let (_, change) = read_change(next(0, &mut rest)?)?;
    (u32::from_le_bytes(*format) == FORMAT && rest.is_empty()).then_some(change)
}

/// Reads a journal.
pub(super) fn read(journal: &[u8]) -> Read {
    whole(journal).map_or(Read::Broken, |(store, state)| Read::Whole(store, state))
}

fn whole(journal: &[u8]) -> Option<(StoreId, ClockState)> {
    let (head, mut rest) = journal.split_at_checked(HEAD)?;
    let mut octets = Octets::new(head);
    if (octets.u64()?, octets.u32()?, octets.u32()?) != (MAGIC, FORMAT, 0) {
        return None;
    }
    let store = octets.u64()?;
    if octets.u64()? != xxh3_64(&head[..HEAD - 8]) {
        return None;
    }
    let mut state = read_state(next(store, &mut rest)?)?;
    while let Some(entry) = next(store, &mut rest) {
        let (sequence, change) = read_change(entry)?;
        state.apply(sequence, change);
    }
    is_unfinished(rest).then_some((store, state))
}

/// Whether this is what a write that was cut short leaves behind: an entry with less behind its length
/// than it says, or nothing but zeros.
fn is_unfinished(rest: &[u8]) -> bool {
    let cut =
        rest.len() < FRAME || read_length(&mut Octets::new(rest)).is_some_and(|length| rest.len() - FRAME < length);
    cut || rest.iter().all(|octet| *octet == 0)
}

fn frame(store: StoreId, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.resize(start + FRAME, 0);
    write(out);
    let entry = &out[start + FRAME..];
    let mut head = Vec::with_capacity(FRAME);
    head.put_len(entry.len());
    head.put_u32(length_sum(entry.len()));
    head.put_u64(xxh3_64_with_seed(entry, store));
    out[start..start + FRAME].copy_from_slice(&head);
}

/// A length that lies would hide everything behind it, so it has a checksum of its own.
fn read_length(octets: &mut Octets<'_>) -> Option<usize> {
    let length = octets.len()?;
    (octets.u32()? == length_sum(length)).then_some(length)
}

fn length_sum(length: usize) -> u32 {
    let [a, b, c, d, ..] = xxh3_64(&length.to_le_bytes()).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The next entry, if it is whole.
fn next<'a>(store: StoreId, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut octets = Octets::new(rest);
    let (length, sum) = (read_length(&mut octets)?, octets.u64()?);
    let entry = octets.take(length).filter(|entry| !entry.is_empty())?;
    if xxh3_64_with_seed(entry, store) != sum {
        return None;
    }
    *rest = octets.rest();
    Some(entry)
}

fn write_state(state: &ClockState, out: &mut Vec<u8>) {
    out.put_u8(STATE);
    out.put_u64(state.sequence);
    for rules in [&state.purged, &state.written] {
        write_mark(rules.floor, out);
        out.put_len(rules.noted.len());
        for (label, noted) in &rules.noted {
            write_rule(*label, noted.prefix, noted.hosted, out);
            write_mark(noted.mark, out);
        }
    }
    out.put_len(state.slots.len());
    for (slot, (sequence, deletes)) in &state.slots {
        out.put_u32(*slot);
        out.put_u64(*sequence);
        out.put_u8(u8::from(*deletes));
    }
    out.put_maybe(state.deploy.as_ref().map(|(id, _)| id.as_bytes()));
    out.put_u64(state.deploy.as_ref().map_or(0, |(_, sequence)| *sequence));
}

fn read_state(entry: &[u8]) -> Option<ClockState> {
    let mut octets = Octets::new(entry);
    if octets.u8()? != STATE {
        return None;
    }
    let sequence = octets.u64()?;
    let mut rules = || {
        let floor = read_mark(&mut octets)?;
        let noted = octets.list(|one| {
            let (label, prefix, hosted) = read_rule(one)?;
            Some((label, Noted { mark: read_mark(one)?, prefix, hosted }))
        })?;
        Some(RulesState { floor, noted: noted.into_iter().collect() })
    };
    let (purged, written) = (rules()?, rules()?);
    let slots = octets.list(|one| Some((one.u32()?, (one.u64()?, one.flag()?))))?;
    let id = octets.maybe()?;
    let since = octets.u64()?;
    let deploy = match id {
        Some(id) => Some((Box::from(std::str::from_utf8(id).ok()?), since)),
        None => None,
    };
    let state = ClockState { sequence, purged, written, slots: slots.into_iter().collect(), deploy };
    octets.is_empty().then_some(state)
}

fn read_change(entry: &[u8]) -> Option<(u64, Change)> {
    let mut octets = Octets::new(entry);
    let (kind, sequence) = (octets.u8()?, octets.u64()?);
    let change = match kind {
        RULES => {
            let list = if octets.flag()? { List::Written } else { List::Purged };
            let mode = read_mode(&mut octets)?;
            let rule = |one: &mut Octets<'_>| if one.flag()? { read_rule(one).map(Some) } else { Some(None) };
            Change::Rules(list, mode, octets.list(rule)?)
        }
        SLOT => Change::Slot(octets.u32()?, read_mode(&mut octets)?),
        DEPLOY => Change::Deploy(std::str::from_utf8(octets.text()?).ok()?.into()),
        _ => return None,
    };
    octets.is_empty().then_some((sequence, change))
}

fn read_mode(octets: &mut Octets<'_>) -> Option<PurgeMode> {
    Some(if octets.flag()? { PurgeMode::Delete } else { PurgeMode::Stale })
}

fn write_rule(label: u64, prefix: Option<usize>, hosted: bool, out: &mut Vec<u8>) {
    out.put_u64(label);
    out.put_u8(u8::from(hosted));
    out.put_u8(u8::from(prefix.is_some()));
    if let Some(prefix) = prefix {
        out.put_len(prefix);
    }
}

fn read_rule(octets: &mut Octets<'_>) -> Option<(u64, Option<usize>, bool)> {
    let (label, hosted, is_prefix) = (octets.u64()?, octets.flag()?, octets.flag()?);
    let prefix = if is_prefix { Some(octets.len()?) } else { None };
    Some((label, prefix, hosted))
}

fn write_mark(mark: Mark, out: &mut Vec<u8>) {
    out.put_u64(mark.stale);
    out.put_u64(mark.delete);
}

fn read_mark(octets: &mut Octets<'_>) -> Option<Mark> {
    Some(Mark { stale: octets.u64()?, delete: octets.u64()? })
}

#[cfg(test)]
mod tests;
