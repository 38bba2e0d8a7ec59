//! The keys that are asked for most, in a file beside the pages, so that a start knows them before anybody has
//! asked. It is written now and then and at the end, and read once. It decides nothing: without it, or with one
//! that is not whole or of another version, the counting begins anew.

use super::record::FORMAT;
use crate::policy::Key;
use crate::store::octets::{Octets, Put};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// Keys in the file; no more are looked at after a purge or a deploy.
pub(super) const KEYS: usize = 16_384;

const NAME: &str = "popular.keys";
/// The next one, until it is whole.
const NEXT: &str = "popular.keys.new";
const MAGIC: u64 = u64::from_le_bytes(*b"bb-popul");
/// Octets of the largest file: the longest keys that are counted.
const LARGEST: u64 = 16 << 20;

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is none.
    Nothing,
    /// It is none of ours, or not whole.
    Foreign,
    /// Keys and how often they were asked for.
    Keys(Vec<(Key, u32)>),
}

/// Puts these in the place of what the file held.
pub(super) fn write(dir: &Path, keys: &[(Key, u32)]) -> io::Result<()> {
    let mut octets = Vec::new();
    octets.put_u64(MAGIC);
    octets.put_u16(FORMAT);
    octets.put_len(keys.len());
    for (key, count) in keys {
        octets.put_text(key.as_bytes());
        octets.put_u32(*count);
    }
    octets.put_u64(xxh3_64(&octets));
    let next = dir.join(NEXT);
    let mut file = File::create(&next)?;
    file.write_all(&octets)?;
    file.sync_data()?;
    fs::rename(next, dir.join(NAME))
}

/// What the file holds.
pub(super) fn read(dir: &Path) -> io::Result<Found> {
    let path = dir.join(NAME);
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
        // What is no file could keep its reader waiting for ever.
        Ok(metadata) if !metadata.is_file() => return Ok(Found::Foreign),
        Ok(_) => {}
    }
    let mut octets = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut octets)?;
    Ok(parse(&octets).map_or(Found::Foreign, Found::Keys))
}

fn parse(octets: &[u8]) -> Option<Vec<(Key, u32)>> {
    let (body, sum) = octets.split_last_chunk::<8>()?;
    if u64::from_le_bytes(*sum) != xxh3_64(body) {
        return None;
    }
    let mut octets = Octets::new(body);
    if (octets.u64()?, octets.u16()?) != (MAGIC, FORMAT) {
        return None;
    }
    let keys = octets.list(|one| Some((Key::from_bytes(one.text()?)?, one.u32()?)))?;
    octets.is_empty().then_some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scheme;
    use crate::policy::key::KeyUri;

    fn keys() -> Vec<(Key, u32)> {
        let key = |path| Key::of(KeyUri { scheme: Scheme::Http, host: "shop.test", path, query: None });
        ["/a", "/b", "/c"].into_iter().zip([9, 4, 1]).map(|(path, count)| (key(path), count)).collect()
    }

    #[test]
    fn what_was_written_is_read_and_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(read(dir.path()).expect("no file"), Found::Nothing);
        write(dir.path(), &[]).expect("it can be written");
        assert_eq!(read(dir.path()).expect("a file"), Found::Keys(Vec::new()));
        write(dir.path(), &keys()).expect("it can be written");
        assert_eq!(read(dir.path()).expect("a file"), Found::Keys(keys()));
        assert!(!dir.path().join(NEXT).exists());
    }

    #[test]
    fn any_changed_octet_and_any_cut_makes_it_foreign() {
        let dir = tempfile::tempdir().expect("a directory");
        write(dir.path(), &keys()).expect("it can be written");
        let octets = fs::read(dir.path().join(NAME)).expect("the file");
        for at in 0..octets.len() {
            let mut changed = octets.clone();
            changed[at] ^= 1;
            assert_eq!(parse(&changed), None, "{at}");
            assert_eq!(parse(&octets[..at]), None, "{at}");
        }
    }
}
