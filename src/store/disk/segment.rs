//! One file of the page log: records one behind the other, each in a frame with its length, its name and
//! its checksum, and beside a file that takes no more records a list of what is in it, so that a start does
//! not have to read pages.
//!
//! A file says which store it belongs to. Nothing here trusts what is on the disk: a list that does not fit
//! its checksum is made again from the frames, and frames end where the first one is not whole.

use super::record::FORMAT;
use crate::store::journal::StoreId;
use crate::store::octets::{Octets, Put};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Octets in front of a file's first record.
pub(super) const HEAD: u64 = 32;
/// Octets of a frame in front of its record.
pub(super) const FRAME: usize = 32;

const SEGMENT_MAGIC: u64 = u64::from_le_bytes(*b"breadbox");
const LIST_MAGIC: u64 = u64::from_le_bytes(*b"bb-pages");
const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"page");
/// Octets of an entry of a list.
const ENTRY: usize = 16;

/// A record's place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// The hash of its key.
    pub(super) hash: u64,
    /// Where its frame begins.
    pub(super) offset: u32,
    /// Octets, the frame's included; no more than the frame: what was kept under the key is removed.
    pub(super) len: u32,
}

impl Placed {
    /// Whether it says that a record is gone.
    pub(super) fn is_removal(&self) -> bool {
        self.len as usize == FRAME
    }
}

/// A file of records.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: Arc<File>,
    /// Octets in it.
    pub(super) len: u64,
    /// Octets of records that nothing has replaced.
    pub(super) live: u64,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SegmentError {
    /// It is not one of this store.
    #[error("it belongs to another store or another version")]
    Foreign,
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The name of a file of records.
pub(super) fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("pages-{number:010}.log"))
}

fn list_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("pages-{number:010}.list"))
}

/// The number in a name, if it is one of ours.
pub(super) fn number(name: &str) -> Option<u32> {
    let name = name.strip_prefix("pages-")?;
    let digits = name.strip_suffix(".log").or_else(|| name.strip_suffix(".list"))?;
    (digits.len() == 10).then(|| digits.parse().ok()).flatten()
}

impl Segment {
    /// A new file without records.
    pub(super) fn create(dir: &Path, number: u32, store: StoreId) -> io::Result<Segment> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path(dir, number))?;
        let mut head = Vec::with_capacity(HEAD as usize);
        head.put_u64(SEGMENT_MAGIC);
        head.put_u32(u32::from(FORMAT));
        head.put_u32(number);
        head.put_u64(store);
        head.put_u64(xxh3_64(&head));
        file.write_all_at(&head, 0)?;
        Ok(Segment { file: Arc::new(file), len: HEAD, live: 0 })
    }

    /// The file with this number, and what is in it, in the order in which it was written.
    pub(super) fn open(dir: &Path, number: u32, store: StoreId) -> Result<(Segment, Vec<Placed>), SegmentError> {
        let file = OpenOptions::new().read(true).write(true).open(path(dir, number))?;
        let mut head = [0; HEAD as usize];
        if file.metadata()?.len() < HEAD {
            return Err(SegmentError::Foreign);
        }
        file.read_exact_at(&mut head, 0)?;
        let mut octets = Octets::new(&head);
        let said = (octets.u64(), octets.u32(), octets.u32(), octets.u64(), octets.u64());
        let sum = xxh3_64(&head[..HEAD as usize - 8]);
        if said != (Some(SEGMENT_MAGIC), Some(u32::from(FORMAT)), Some(number), Some(store), Some(sum)) {
            return Err(SegmentError::Foreign);
        }
        let size = file.metadata()?.len();
        let mut placed = match read_list(dir, number, store) {
            Some(placed) => placed,
            None => scan(&file, size)?,
        };
        placed.retain(|one| u64::from(one.offset) + u64::from(one.len) <= size);
        let len = placed.last().map_or(HEAD, |last| u64::from(last.offset) + u64::from(last.len));
        Ok((Segment { file: Arc::new(file), len, live: 0 }, placed))
    }

    /// Writes `frames` at the end.
    pub(super) fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        self.file.write_all_at(frames, self.len)?;
        self.len += frames.len() as u64;
        Ok(())
    }
}

/// Appends a record in its frame; the record is what `write` appends.
pub(super) fn frame(hash: u64, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.resize(start + FRAME, 0);
    write(out);
    let record = &out[start + FRAME..];
    let (len, sum) = (record.len(), xxh3_64_with_seed(record, hash));
    let mut head = Vec::with_capacity(FRAME);
    head.put_u32(FRAME_MAGIC);
    head.put_len(len);
    head.put_u64(hash);
    head.put_u64(sum);
    head.put_u64(xxh3_64(&head));
    out[start..start + FRAME].copy_from_slice(&head);
}

/// Length and checksum of the record in a frame with this name; `None` where it is no such frame.
fn read_frame(head: &[u8]) -> Option<(u64, usize, u64)> {
    let mut octets = Octets::new(head.get(..FRAME)?);
    let (magic, len, hash, sum, own) = (octets.u32()?, octets.len()?, octets.u64()?, octets.u64()?, octets.u64()?);
    (magic == FRAME_MAGIC && own == xxh3_64(&head[..FRAME - 8])).then_some((hash, len, sum))
}

/// The record in a whole frame, if it is the one with this name and nothing in it has changed.
pub(super) fn unframe(hash: u64, frame: &[u8]) -> Option<&[u8]> {
    let (said, len, sum) = read_frame(frame)?;
    let record = &frame[FRAME..];
    (said == hash && len == record.len() && sum == xxh3_64_with_seed(record, hash)).then_some(record)
}

/// What is in a file without a list. It ends at the first frame that is not whole.
fn scan(file: &File, size: u64) -> io::Result<Vec<Placed>> {
    let mut placed = Vec::new();
    let mut at = HEAD;
    let mut head = [0; FRAME];
    while at + FRAME as u64 <= size {
        file.read_exact_at(&mut head, at)?;
        let Some((hash, len, _)) = read_frame(&head) else { break };
        let len = (len + FRAME) as u64;
        let (Ok(offset), Ok(len32)) = (u32::try_from(at), u32::try_from(len)) else { break };
        if at + len > size {
            break;
        }
        placed.push(Placed { hash, offset, len: len32 });
        at += len;
    }
    Ok(placed)
}

/// Writes down what is in a file that takes no more records.
pub(super) fn write_list(dir: &Path, number: u32, store: StoreId, placed: &[Placed]) -> io::Result<()> {
    let mut list = Vec::with_capacity(placed.len() * ENTRY + 40);
    list.put_u64(LIST_MAGIC);
    list.put_u32(u32::from(FORMAT));
    list.put_u32(number);
    list.put_u64(store);
    list.put_len(placed.len());
    for one in placed {
        list.put_u64(one.hash);
        list.put_u32(one.offset);
        list.put_u32(one.len);
    }
    list.put_u64(xxh3_64(&list));
    fs::write(list_path(dir, number), list)
}

/// What is in a file, as its list says; `None` where there is no list, or it is not whole.
pub(super) fn read_list(dir: &Path, number: u32, store: StoreId) -> Option<Vec<Placed>> {
    let path = list_path(dir, number);
    // What is no file could keep its reader waiting for ever.
    fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let list = fs::read(path).ok()?;
    let (body, sum) = list.split_last_chunk::<8>()?;
    if u64::from_le_bytes(*sum) != xxh3_64(body) {
        return None;
    }
    let mut octets = Octets::new(body);
    if (octets.u64()?, octets.u32()?, octets.u32()?, octets.u64()?) != (LIST_MAGIC, u32::from(FORMAT), number, store) {
        return None;
    }
    octets.list(|one| Some(Placed { hash: one.u64()?, offset: one.u32()?, len: one.u32()? }))
}

/// Takes a file and its list away.
pub(super) fn remove(dir: &Path, number: u32) -> io::Result<()> {
    remove_list(dir, number)?;
    absent_is_fine(fs::remove_file(path(dir, number)))
}

/// Takes a list away: the file takes records again.
pub(super) fn remove_list(dir: &Path, number: u32) -> io::Result<()> {
    absent_is_fine(fs::remove_file(list_path(dir, number)))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
