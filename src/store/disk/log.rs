//! The page log: files of records, written at the end only. A record that replaces another is simply
//! written later; what takes up room for nothing is found by the index and cleaned away: of the files, the
//! one with the least in it that still counts is copied, without what does not, and taken away. Only when
//! what counts does not fit any more does the oldest of it leave, except what is asked for a lot.
//!
//! So every page that fits is kept, however often its neighbours are rewritten. Cleaning goes in steps
//! between writes, ahead of need, so that writing rarely waits for it.

use super::index::{Index, Place};
use super::record;
use super::segment::{self, HEAD, Placed, Segment};
use crate::policy::Key;
use crate::store::journal::StoreId;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files in a full store, more or less.
const SEGMENTS: u64 = 256;
const SMALLEST_SEGMENT: u64 = 256 << 10;
/// Offsets are numbers of 32 bits.
const LARGEST_SEGMENT: u64 = 1 << 30;
/// A record may take this share of the capacity; what is larger stays in memory.
const LARGEST_RECORD: u64 = 8;
/// Octets that one step of cleaning copies.
const STEP: u64 = 4 << 20;

/// Whether a page is asked for so much that it stays when its file's turn has come to leave.
pub(super) type IsPopular = Box<dyn Fn(&Key) -> bool + Send>;

/// All files, and what is written next. One thread has it.
pub(super) struct PageLog {
    dir: PathBuf,
    store: StoreId,
    capacity: u64,
    segments: BTreeMap<u32, Segment>,
    /// What is in the last file, which takes the next records.
    open: Vec<Placed>,
    cleaning: Option<Cleaning>,
    /// Files that were cleaned since there was room enough.
    in_vain: usize,
    index: Arc<Index>,
    is_popular: IsPopular,
    evicted: Box<dyn Fn() + Send>,
}

/// Records that are written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    frames: Vec<u8>,
    placed: Vec<Placed>,
}

/// A file that is being copied.
struct Cleaning {
    number: u32,
    left: std::vec::IntoIter<Placed>,
    /// What counts does not fit any more: only what is popular is copied, and no more than this.
    evicting: Option<u64>,
}

/// What a recovery has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Recovered {
    /// Files that were not of this store, or could not be used.
    pub(super) foreign: usize,
}

/// How large a file is before the next one is begun.
fn segment_size(capacity: u64) -> u64 {
    (capacity / SEGMENTS).clamp(SMALLEST_SEGMENT, LARGEST_SEGMENT)
}

/// Octets of the largest record that is kept on disk.
pub(super) fn largest_record(capacity: u64) -> u64 {
    (capacity / LARGEST_RECORD).min(LARGEST_SEGMENT)
}

impl Batch {
    /// Adds a record; the bytes it takes.
    pub(super) fn add(&mut self, hash: u64, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let start = self.frames.len();
        segment::frame(hash, &mut self.frames, write);
        let len = self.frames.len() - start;
        let number = |size: usize| u32::try_from(size).expect("a batch is far smaller than 4 GiB");
        self.placed.push(Placed { hash, offset: number(start), len: number(len) });
        len as u64
    }

    /// Adds that a record is gone.
    pub(super) fn remove(&mut self, hash: u64) {
        self.add(hash, |_| {});
    }

    /// Takes the last record back.
    pub(super) fn take_back(&mut self) {
        if let Some(last) = self.placed.pop() {
            self.frames.truncate(last.offset as usize);
        }
    }

    /// Bytes of it.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }
}

impl PageLog {
    /// Finds the files of `store` in `dir` and fills the index, the newest records first, so that what is
    /// found is right as soon as it is found. Files of other stores are taken away.
    pub(super) fn open(
        dir: &Path,
        store: StoreId,
        capacity: u64,
        index: Arc<Index>,
        is_popular: IsPopular,
        evicted: Box<dyn Fn() + Send>,
    ) -> io::Result<(PageLog, Recovered)> {
        let mut log = PageLog {
            dir: dir.to_owned(),
            store,
            capacity,
            segments: BTreeMap::new(),
            open: Vec::new(),
            cleaning: None,
            in_vain: 0,
            index,
            is_popular,
            evicted,
        };
        let recovered = log.recover()?;
        Ok((log, recovered))
    }

    fn recover(&mut self) -> io::Result<Recovered> {
        let mut recovered = Recovered::default();
        let mut removed = std::collections::HashSet::new();
        for number in self.numbers()?.into_iter().rev() {
            let (mut segment, placed) = match Segment::open(&self.dir, number, self.store) {
                Ok(found) => found,
                Err(segment::SegmentError::Io(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Err(_) => {
                    recovered.foreign += 1;
                    segment::remove(&self.dir, number)?;
                    continue;
                }
            };
            self.index.add_file(number, Arc::clone(&segment.file));
            for one in placed.iter().rev() {
                if self.index.get(one.hash).is_some() || removed.contains(&one.hash) {
                    continue;
                }
                if one.is_removal() {
                    removed.insert(one.hash);
                    continue;
                }
                self.index.insert(one.hash, Place::of(number, one));
                segment.live += u64::from(one.len);
            }
            if self.segments.is_empty() && segment.len < segment_size(self.capacity) {
                segment::remove_list(&self.dir, number)?;
                self.open = placed;
            } else if self.segments.is_empty() {
                segment::write_list(&self.dir, number, self.store, &placed)?;
            }
            self.segments.insert(number, segment);
        }
        if self.last().is_none() || self.last_is_full(0) {
            self.begin()?;
        }
        Ok(recovered)
    }

    fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            numbers.extend(entry?.file_name().to_str().and_then(segment::number));
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    /// Bytes of records that are best written together.
    pub(super) fn comfortable(&self) -> usize {
        usize::try_from(segment_size(self.capacity) / 2).unwrap_or(usize::MAX)
    }

    /// Writes records and places them.
    pub(super) fn append(&mut self, batch: &Batch) -> io::Result<()> {
        let Batch { frames, placed } = batch;
        if frames.is_empty() {
            return Ok(());
        }
        self.make_room(frames.len() as u64)?;
        if self.last_is_full(frames.len() as u64) {
            self.seal()?;
            self.begin()?;
        }
        let (number, segment) = self.segments.last_entry().map_or_else(no_segment, |last| {
            let number = *last.key();
            Ok((number, last.into_mut()))
        })?;
        let start = u32::try_from(segment.len).map_err(|_| io::Error::other("a file of pages is too long"))?;
        segment.append(frames)?;
        for one in placed {
            let one = Placed { offset: one.offset + start, ..*one };
            self.open.push(one);
            self.place(number, &one);
        }
        Ok(())
    }

    fn place(&mut self, number: u32, one: &Placed) {
        let old = if one.is_removal() {
            self.index.remove(one.hash)
        } else {
            if let Some(segment) = self.segments.get_mut(&number) {
                segment.live += u64::from(one.len);
            }
            self.index.insert(one.hash, Place::of(number, one))
        };
        if let Some(old) = old {
            self.left(old);
        }
    }

    /// A record does not count any more.
    fn left(&mut self, place: Place) {
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.live = segment.live.saturating_sub(u64::from(place.len));
        }
    }

    /// Forgets a record that turned out to be broken, if it is still there.
    pub(super) fn forget(&mut self, hash: u64, place: Place) {
        if self.index.remove_if_at(hash, place) {
            self.left(place);
        }
    }

    /// Cleans a little, if room will be needed soon; whether there is more to do.
    pub(super) fn clean_ahead(&mut self) -> io::Result<bool> {
        if self.cleaning.is_none() && self.used() + 2 * segment_size(self.capacity) <= self.capacity {
            self.in_vain = 0;
            return Ok(false);
        }
        self.clean()
    }

    /// Everything is on the device, and the list of the last file beside it.
    pub(super) fn close(&mut self) -> io::Result<()> {
        let Some((number, segment)) = self.last() else { return Ok(()) };
        segment::write_list(&self.dir, number, self.store, &self.open)?;
        segment.file.sync_data()
    }

    fn last(&self) -> Option<(u32, &Segment)> {
        self.segments.last_key_value().map(|(number, segment)| (*number, segment))
    }

    fn last_is_full(&self, more: u64) -> bool {
        self.last().is_none_or(|(_, last)| last.len > HEAD && last.len + more > segment_size(self.capacity))
    }

    fn used(&self) -> u64 {
        self.segments.values().map(|segment| segment.len).sum()
    }

    fn seal(&mut self) -> io::Result<()> {
        let Some((number, _)) = self.last() else { return Ok(()) };
        segment::write_list(&self.dir, number, self.store, &self.open)?;
        self.open.clear();
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        let number = self.last().map_or(1, |(number, _)| number.wrapping_add(1).max(1));
        let segment = Segment::create(&self.dir, number, self.store)?;
        self.index.add_file(number, Arc::clone(&segment.file));
        self.segments.insert(number, segment);
        Ok(())
    }

    fn make_room(&mut self, more: u64) -> io::Result<()> {
        while self.used() + more > self.capacity && self.segments.len() > 1 {
            self.clean()?;
        }
        Ok(())
    }

    /// One step of cleaning; whether there was something to clean.
    fn clean(&mut self) -> io::Result<bool> {
        let mut cleaning = match self.cleaning.take() {
            Some(cleaning) => cleaning,
            None => match self.next_to_clean() {
                Some(cleaning) => cleaning,
                None => return Ok(false),
            },
        };
        let mut copied = 0;
        while copied < STEP {
            let Some(one) = cleaning.left.next() else { return self.cleaned(cleaning.number).map(|()| true) };
            copied += self.copy(&mut cleaning, &one)?;
        }
        self.cleaning = Some(cleaning);
        Ok(true)
    }

    fn next_to_clean(&self) -> Option<Cleaning> {
        let (last, _) = self.last()?;
        let others = || self.segments.iter().filter(|(number, _)| **number != last);
        let live: u64 = self.segments.values().map(|segment| segment.live).sum();
        let size = segment_size(self.capacity);
        // Beyond this, copying would cost too much for what it frees.
        let fits = live <= self.capacity.saturating_sub(3 * size) / 10 * 9;
        // What says that records are gone has to be copied, too, and may be all there is: then the oldest file
        // goes as it is, and with it the need for some of that.
        let helps = self.in_vain <= self.segments.len();
        let least = others().min_by(|(_, one), (_, other)| (one.live * other.len).cmp(&(other.live * one.len)));
        let (number, segment) = if fits && helps { least? } else { others().next()? };
        let evicting = ((!fits || !helps) && segment.live > 0).then_some(if helps { size / 2 } else { 0 });
        let listed = segment::read_list(&self.dir, *number, self.store);
        let placed = listed.or_else(|| Segment::open(&self.dir, *number, self.store).ok().map(|(_, placed)| placed));
        Some(Cleaning { number: *number, left: placed.unwrap_or_default().into_iter(), evicting })
    }

    /// Copies a record if it counts; how many octets that were.
    fn copy(&mut self, cleaning: &mut Cleaning, one: &Placed) -> io::Result<u64> {
        let place = Place::of(cleaning.number, one);
        if one.is_removal() {
            // What it removed may still be in an older file.
            let needed = self.index.get(one.hash).is_none() && self.segments.keys().next() != Some(&cleaning.number);
            return if needed { self.copied(one, None) } else { Ok(0) };
        }
        if self.index.get(one.hash) != Some(place) {
            return Ok(0);
        }
        let Some(segment) = self.segments.get(&cleaning.number) else { return Ok(0) };
        let mut frame = vec![0; one.len as usize];
        // What cannot be read is lost, not a reason to stop: the next try would meet it again.
        let read = segment.file.read_exact_at(&mut frame, u64::from(one.offset));
        let Some(record) = read.ok().and_then(|()| segment::unframe(one.hash, &frame)) else {
            self.forget(one.hash, place);
            return Ok(0);
        };
        if let Some(room) = &mut cleaning.evicting {
            let popular = record::key_of(record).is_some_and(|key| (self.is_popular)(&key));
            if !popular || *room < u64::from(one.len) {
                self.forget(one.hash, place);
                (self.evicted)();
                return Ok(0);
            }
            *room -= u64::from(one.len);
        }
        self.copied(one, Some(&frame))
    }

    /// Writes a record at the end, without making room: that is what it is for.
    fn copied(&mut self, one: &Placed, frame: Option<&[u8]>) -> io::Result<u64> {
        let mut removal = Vec::new();
        let frame = frame.unwrap_or_else(|| {
            segment::frame(one.hash, &mut removal, |_| {});
            &removal
        });
        if self.last_is_full(frame.len() as u64) {
            self.seal()?;
            self.begin()?;
        }
        let Some((number, _)) = self.last() else { return Ok(0) };
        let Some(segment) = self.segments.get_mut(&number) else { return Ok(0) };
        let offset = u32::try_from(segment.len).map_err(|_| io::Error::other("a file of pages is too long"))?;
        segment.append(frame)?;
        let placed = Placed { hash: one.hash, offset, len: one.len };
        self.open.push(placed);
        self.place(number, &placed);
        Ok(frame.len() as u64)
    }

    /// A file has been copied. What was copied is on the device before the file goes.
    fn cleaned(&mut self, number: u32) -> io::Result<()> {
        if let Some((_, last)) = self.last() {
            last.file.sync_data()?;
        }
        self.in_vain += 1;
        self.segments.remove(&number);
        self.index.remove_file(number);
        segment::remove(&self.dir, number)
    }
}

fn no_segment<T>() -> io::Result<T> {
    Err(io::Error::other("there is no file of pages to write to"))
}

#[cfg(test)]
mod tests;
