//! What a page, or the list of a URL's variants, looks like on disk, and how it is read back. Whatever is
//! on a disk may be anything: reading either gives exactly what was written or nothing, never a panic, and
//! it sets nothing aside that the record does not hold.
//!
//! The frame around a record has its length and its checksum ([`super::segment`]); a record that comes here
//! is whole. Its key is compared by whoever asked: a name on disk is only a hash.

use super::wall::{Wall, Written};
use crate::policy::encoding::{Coding, Representation, Representations, State};
use crate::policy::page::Validators;
use crate::policy::vary::Selecting;
use crate::policy::{Fields, Key, Lifetime, Page, PurgeMemo, PurgeSeq, Timestamp};
use crate::store::memory::Entry;
use crate::store::octets::{Octets, Put};
use crate::store::variants::Variants;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use std::sync::Arc;

/// The version of everything below. Another one is another store: a cold start.
pub(super) const FORMAT: u16 = 1;

const PAGE: u8 = 1;
const VARIANTS: u8 = 2;

/// Appends what is kept under `key`.
pub(super) fn write(key: &Key, entry: &Entry, written: Written, out: &mut Vec<u8>) {
    out.put_u16(FORMAT);
    match entry {
        Entry::Page(page) => {
            out.put_u8(PAGE);
            out.put_text(key.as_bytes());
            write_page(page, written, out);
        }
        Entry::Variants(variants) => {
            out.put_u8(VARIANTS);
            out.put_text(key.as_bytes());
            out.put_len(variants.iter().count());
            for (key, selecting) in variants.iter() {
                out.put_text(key.as_bytes());
                write_selecting(selecting, out);
            }
        }
    }
}

/// What is kept under a key, and the key; `None` where the record is none of ours. Bodies are not copied:
/// they are parts of `record`.
pub(super) fn read(record: &Bytes, wall: &Wall, now: Timestamp) -> Option<(Key, Entry)> {
    let mut octets = Octets::new(record);
    if octets.u16()? != FORMAT {
        return None;
    }
    let kind = octets.u8()?;
    let key = Key::from_bytes(octets.text()?)?;
    let entry = match kind {
        PAGE => Entry::Page(Arc::new(read_page(key.clone(), octets, record, wall, now)?)),
        VARIANTS => {
            let variants = octets.list(|one| Some((Key::from_bytes(one.text()?)?, read_selecting(one)?)))?;
            if !octets.is_empty() {
                return None;
            }
            Entry::Variants(Arc::new(Variants::from(variants)))
        }
        _ => return None,
    };
    Some((key, entry))
}

/// The key of a record, without the rest.
pub(super) fn key_of(record: &[u8]) -> Option<Key> {
    let mut octets = Octets::new(record);
    if octets.u16()? != FORMAT {
        return None;
    }
    octets.u8()?;
    Key::from_bytes(octets.text()?)
}

fn write_page(page: &Page, written: Written, out: &mut Vec<u8>) {
    out.put_u64(written.at.millis());
    out.put_u64(written.boot);
    out.extend_from_slice(&written.boot_at.to_le_bytes());
    out.put_u16(page.status.as_u16());
    let Lifetime { born, fresh_until, while_revalidate_until, if_error_until, has_ttl } = page.lifetime;
    for point in [born, fresh_until, while_revalidate_until, if_error_until] {
        out.put_u64(point.millis());
    }
    out.put_u8(u8::from(has_ttl));
    out.put_u64(page.purge_seq.0);
    for validator in [&page.origin_validators.etag, &page.origin_validators.last_modified] {
        out.put_maybe(validator.as_ref().map(HeaderValue::as_bytes));
    }
    out.put_len(page.tags.len());
    page.tags.iter().for_each(|tag| out.put_text(tag.as_bytes()));
    write_selecting(&page.selecting, out);
    out.put_len(page.unkeyed_vary.len());
    page.unkeyed_vary.iter().for_each(|name| out.put_text(name.as_str().as_bytes()));
    out.put_len(page.fields.len());
    for (name, value) in page.fields.iter() {
        out.put_text(name.as_str().as_bytes());
        out.put_text(value.as_bytes());
    }
    write_representations(&page.representations, out);
}

fn read_page(key: Key, mut octets: Octets<'_>, record: &Bytes, wall: &Wall, now: Timestamp) -> Option<Page> {
    let written = Written {
        at: Timestamp::from_millis(octets.u64()?),
        boot: octets.u64()?,
        boot_at: octets.u64()?.cast_signed(),
    };
    let status = StatusCode::from_u16(octets.u16()?).ok()?;
    let mut point = || octets.u64().map(Timestamp::from_millis);
    let (born, fresh_until, while_revalidate_until, if_error_until) = (point()?, point()?, point()?, point()?);
    let lifetime = Lifetime { born, fresh_until, while_revalidate_until, if_error_until, has_ttl: octets.flag()? };
    let purge_seq = PurgeSeq(octets.u64()?);
    let origin_validators = Validators { etag: read_value(&mut octets)?, last_modified: read_value(&mut octets)? };
    let tags = octets.list(|one| Some(Box::from(std::str::from_utf8(one.text()?).ok()?)))?;
    let selecting = read_selecting(&mut octets)?;
    let unkeyed_vary = octets.list(read_name)?;
    let fields: Fields =
        octets.list(|one| Some((read_name(one)?, HeaderValue::from_bytes(one.text()?).ok()?)))?.into_iter().collect();
    let representations = read_representations(&mut octets, record)?;
    if !octets.is_empty() {
        return None;
    }
    Some(Page {
        key,
        status,
        fields,
        representations,
        lifetime: wall.here(lifetime, written, now),
        origin_validators,
        tags: tags.into(),
        purge_seq,
        purge_memo: PurgeMemo::default(),
        selecting,
        unkeyed_vary: unkeyed_vary.into(),
    })
}

fn write_representations(representations: &Representations, out: &mut Vec<u8>) {
    out.put_u8(representations.original().coding as u8);
    let (state, by) = match representations.state() {
        State::Fixed => (0, 0),
        State::Pending => (1, 0),
        State::Made { by } => (2, by),
    };
    out.put_u8(state);
    out.put_u64(by.into());
    let digest = representations.digest();
    out.put_u64((digest >> 64) as u64);
    out.put_u64(digest as u64);
    out.put_len(representations.all().len());
    for one in representations.all() {
        out.put_u8(one.coding as u8);
        out.put_maybe(one.etag.as_ref().map(HeaderValue::as_bytes));
        out.put_u64(one.len);
        out.put_maybe(one.body.as_deref());
    }
}

fn read_representations(octets: &mut Octets<'_>, record: &Bytes) -> Option<Representations> {
    let original = read_coding(octets)?;
    let (state, by) = (octets.u8()?, u32::try_from(octets.u64()?).ok()?);
    let state = match state {
        0 => State::Fixed,
        1 => State::Pending,
        2 => State::Made { by },
        _ => return None,
    };
    let digest = u128::from(octets.u64()?) << 64 | u128::from(octets.u64()?);
    let list = octets.list(|one| {
        Some(Representation {
            coding: read_coding(one)?,
            etag: read_value(one)?,
            len: one.u64()?,
            body: one.maybe()?.map(|body| record.slice_ref(body)),
        })
    })?;
    Representations::from_parts(list, original, state, digest)
}

fn write_selecting(selecting: &[Selecting], out: &mut Vec<u8>) {
    out.put_len(selecting.len());
    for one in selecting {
        out.put_text(one.name.as_str().as_bytes());
        out.put_maybe(one.value.as_deref());
    }
}

fn read_selecting(octets: &mut Octets<'_>) -> Option<Box<[Selecting]>> {
    let read = |one: &mut Octets<'_>| Some(Selecting { name: read_name(one)?, value: one.maybe()?.map(Box::from) });
    octets.list(read).map(Vec::into_boxed_slice)
}

fn read_coding(octets: &mut Octets<'_>) -> Option<Coding> {
    Coding::ALL.get(usize::from(octets.u8()?)).copied()
}

fn read_value(octets: &mut Octets<'_>) -> Option<Option<HeaderValue>> {
    match octets.maybe()? {
        Some(value) => HeaderValue::from_bytes(value).ok().map(Some),
        None => Some(None),
    }
}

fn read_name(octets: &mut Octets<'_>) -> Option<HeaderName> {
    HeaderName::from_bytes(octets.text()?).ok()
}

#[cfg(test)]
mod tests;
