//! What identifies a page: scheme, host, path, the query parameters that count, the variant
//! (RFC 9111 §2). The components are framed, so that no two different lists of components make the
//! same bytes.

use crate::config::Scheme;
use equivalent::Equivalent;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The identity of a page. Cheap to clone; equality compares every byte, never only the hash.
#[derive(Clone, Debug)]
pub struct Key {
    bytes: Arc<[u8]>,
    uri_len: usize,
    base_len: usize,
    hash: u64,
}

/// The components of a URI, normalised by whoever makes them (DESIGN §2.1, §3 "Query").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUri<'a> {
    /// The scheme as the client sees it.
    pub scheme: Scheme,
    /// The host, with the port where it is not the scheme's default.
    pub host: &'a str,
    /// The normal form of the path.
    pub path: &'a str,
    /// The query that counts; `None` where there is none, which is not the same as an empty one.
    pub query: Option<&'a str>,
}

/// A [`Key`] that somebody else's bytes make.
#[derive(Clone, Copy, Debug)]
pub struct KeyRef<'a> {
    bytes: &'a [u8],
    uri_len: usize,
    base_len: usize,
    hash: u64,
}

/// Where keys are made: kept from request to request, it allocates nothing once it has grown.
#[derive(Clone, Debug, Default)]
pub struct KeyBuffer(Vec<u8>);

/// Where the parts of a key end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyShape {
    uri_len: usize,
    base_len: usize,
    hash: u64,
}

/// A key that is being written.
#[derive(Debug)]
pub(crate) struct KeyWriter<'a> {
    bytes: &'a mut Vec<u8>,
    uri_len: usize,
    base_len: usize,
}

/// Bytes of a component's length in front of it.
const LENGTH: usize = 4;
/// The length of a component that is absent.
const ABSENT: [u8; LENGTH] = u32::MAX.to_le_bytes();

impl Key {
    /// The key of a URI, without a variant.
    pub fn of(uri: KeyUri<'_>) -> Key {
        Key::with_components(uri, std::iter::empty())
    }

    /// The key of a URI in the variant that `components` tell apart. Their number and order must
    /// depend on nothing but the URI (and so on its route); an absent one is not an empty one.
    pub fn with_components<'a>(uri: KeyUri<'_>, components: impl IntoIterator<Item = Option<&'a [u8]>>) -> Key {
        let mut buffer = KeyBuffer::default();
        let mut writer =
            buffer.start(uri.scheme, uri.host, uri.path, |out| write_some(uri.query.map(str::as_bytes), out));
        for component in components {
            writer.component(|out| write_some(component, out));
        }
        writer.finish().into()
    }

    /// The same URI in the variant that `variant` tells apart, in place of the one it had.
    pub fn with_variant(&self, variant: &[u8]) -> Key {
        self.as_ref().with_variant(variant)
    }

    /// The key with these bytes, as [`Key::as_bytes`] gave them; `None` where no key has them.
    pub fn from_bytes(bytes: &[u8]) -> Option<Key> {
        let mut rest = bytes;
        for required in [true, true, false] {
            let component = take_frame(&mut rest)?;
            if component.is_none() && required || component.is_some_and(|text| std::str::from_utf8(text).is_err()) {
                return None;
            }
        }
        let uri_len = bytes.len() - rest.len();
        let (scheme, mut rest) = rest.split_first()?;
        let base_len = uri_len + 1;
        while !rest.is_empty() {
            take_frame(&mut rest)?;
        }
        (*scheme <= 1).then(|| Key::from_parts(bytes.to_vec(), uri_len, base_len))
    }

    fn from_parts(bytes: Vec<u8>, uri_len: usize, base_len: usize) -> Key {
        let hash = xxh3_64(&bytes);
        Key { bytes: bytes.into(), uri_len, base_len, hash }
    }

    /// The key, borrowed.
    pub fn as_ref(&self) -> KeyRef<'_> {
        KeyRef { bytes: &self.bytes, uri_len: self.uri_len, base_len: self.base_len, hash: self.hash }
    }

    /// The framed components: those of the URI first, those of the variant behind `base_len`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The components of the URI: what all variants of it have in common.
    pub fn base_bytes(&self) -> &[u8] {
        &self.bytes[..self.base_len]
    }

    /// The key of the URI alone, if this one names a variant.
    pub fn base(&self) -> Option<Key> {
        (!self.variant_bytes().is_empty()).then(|| Key::of(self.uri()))
    }

    /// The components of the variant; empty where there is none.
    pub fn variant_bytes(&self) -> &[u8] {
        &self.bytes[self.base_len..]
    }

    /// The components of the variant, read back.
    pub fn variant_components(&self) -> Vec<Option<&[u8]>> {
        let mut rest = self.variant_bytes();
        let mut components = Vec::new();
        while !rest.is_empty() {
            components.push(read_frame(&mut rest));
        }
        components
    }

    /// A hash of all bytes, the same in every process and known to everybody: good for naming a page
    /// in a log, on a disk or among replicas. It is no defence: a table of pages compares bytes and
    /// places them by [`Hash`], which feeds every byte to the table's own, seeded hasher.
    pub fn hash64(&self) -> u64 {
        self.hash
    }

    /// What an unsafe request invalidates (RFC 9111 §4.4): equal for all variants and both schemes of
    /// a URI. Somebody may find two URIs with one hash; all they gain is a render.
    pub fn uri_hash(&self) -> u64 {
        xxh3_64(&self.bytes[..self.uri_len])
    }

    /// The components of the URI, read back.
    pub fn uri(&self) -> KeyUri<'_> {
        let mut rest = &self.bytes[..self.uri_len];
        let host = read_text(&mut rest).expect("a key begins with its host");
        let path = read_text(&mut rest).expect("a path stands behind the host");
        let query = read_text(&mut rest);
        let scheme = if self.bytes[self.uri_len] == 1 { Scheme::Https } else { Scheme::Http };
        KeyUri { scheme, host, path, query }
    }
}

/// [`Key::uri_hash`] of the pages of a URI, in whatever scheme.
pub fn uri_hash(host: &str, path: &str, query: Option<&str>) -> u64 {
    xxh3_64(&uri_bytes(host, path, query))
}

/// A hash that all URIs of a path on a host have in common, whatever their queries.
pub fn path_hash(host: &str, path: &str) -> u64 {
    xxh3_64_with_seed(path.as_bytes(), xxh3_64(host.as_bytes()))
}

fn uri_bytes(host: &str, path: &str, query: Option<&str>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_uri(host, path, |out| write_some(query.map(str::as_bytes), out), &mut bytes);
    bytes
}

fn write_uri(host: &str, path: &str, query: impl FnOnce(&mut Vec<u8>) -> bool, bytes: &mut Vec<u8>) {
    frame(|out| write_some(Some(host.as_bytes()), out), bytes);
    frame(|out| write_some(Some(path.as_bytes()), out), bytes);
    frame(query, bytes);
}

fn write_some(component: Option<&[u8]>, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(component.unwrap_or_default());
    component.is_some()
}

/// Writes a component behind its length. `write` answers whether there is one.
fn frame(write: impl FnOnce(&mut Vec<u8>) -> bool, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.extend_from_slice(&ABSENT);
    if !write(bytes) {
        bytes.truncate(start + LENGTH);
        return;
    }
    let length = bytes.len() - start - LENGTH;
    let length = u32::try_from(length).expect("a request head is shorter than 4 GiB");
    bytes[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
}

impl KeyBuffer {
    /// Begins the key of a URI; `query` writes the query that counts and answers whether there is any.
    pub(crate) fn start(
        &mut self,
        scheme: Scheme,
        host: &str,
        path: &str,
        query: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> KeyWriter<'_> {
        let bytes = &mut self.0;
        bytes.clear();
        // Three lengths, and the scheme.
        bytes.reserve(host.len() + path.len() + 3 * LENGTH + 32);
        write_uri(host, path, query, bytes);
        let uri_len = bytes.len();
        bytes.push(u8::from(scheme == Scheme::Https));
        KeyWriter { uri_len, base_len: bytes.len(), bytes }
    }

    /// The key that was written last, which had this shape.
    pub(crate) fn last(&self, shape: KeyShape) -> KeyRef<'_> {
        let KeyShape { uri_len, base_len, hash } = shape;
        KeyRef { bytes: &self.0, uri_len, base_len, hash }
    }
}

impl<'a> KeyWriter<'a> {
    /// Adds what `write` writes to what tells the variant apart; it answers whether there is anything.
    pub(crate) fn component(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        frame(write, self.bytes);
    }

    /// Bytes of what tells the variant apart so far.
    pub(crate) fn variant_len(&self) -> usize {
        self.bytes.len() - self.base_len
    }

    /// The key.
    pub(crate) fn finish(self) -> KeyRef<'a> {
        let bytes: &'a [u8] = self.bytes;
        KeyRef { bytes, uri_len: self.uri_len, base_len: self.base_len, hash: xxh3_64(bytes) }
    }
}

impl<'a> KeyRef<'a> {
    /// Where its parts end.
    pub(crate) fn shape(self) -> KeyShape {
        KeyShape { uri_len: self.uri_len, base_len: self.base_len, hash: self.hash }
    }

    /// The same URI in the variant that `variant` tells apart, in place of the one it had.
    pub fn with_variant(self, variant: &[u8]) -> Key {
        let mut bytes = self.bytes[..self.base_len].to_vec();
        frame(|out| write_some(Some(variant), out), &mut bytes);
        KeyRef { bytes: &bytes, hash: xxh3_64(&bytes), ..self }.into()
    }

    /// [`Key::hash64`].
    pub fn hash64(self) -> u64 {
        self.hash
    }

    /// [`Key::as_bytes`].
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> From<&'a Key> for KeyRef<'a> {
    fn from(key: &'a Key) -> KeyRef<'a> {
        key.as_ref()
    }
}

impl From<KeyRef<'_>> for Key {
    fn from(key: KeyRef<'_>) -> Key {
        Key { bytes: key.bytes.into(), uri_len: key.uri_len, base_len: key.base_len, hash: key.hash }
    }
}

fn read_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    read_frame(rest).map(|component| std::str::from_utf8(component).expect("the components of a URI were strings"))
}

/// A component of bytes that may be anything: `None` where none is there, `Some(None)` for an absent one.
fn take_frame<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, behind) = rest.split_first_chunk::<LENGTH>()?;
    let (component, behind) = if *length == ABSENT {
        (None, behind)
    } else {
        let (component, behind) = behind.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        (Some(component), behind)
    };
    *rest = behind;
    Some(component)
}

fn read_frame<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<LENGTH>()?;
    if *length == ABSENT {
        *rest = behind;
        return None;
    }
    let length = usize::try_from(u32::from_le_bytes(*length)).expect("a u32 fits");
    let (component, behind) = behind.split_at(length);
    *rest = behind;
    Some(component)
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.base_len == other.base_len && self.bytes == other.bytes
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.bytes);
    }
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.bytes);
    }
}

impl PartialEq<Key> for KeyRef<'_> {
    fn eq(&self, other: &Key) -> bool {
        self.hash == other.hash && self.base_len == other.base_len && *self.bytes == *other.bytes
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self == key
    }
}

#[cfg(test)]
mod tests;
