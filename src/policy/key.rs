//! What identifies a page: scheme, host, path, the query parameters that count, the variant
//! (RFC 9111 §2). The components are framed, so that no two different lists of components make the
//! same bytes.

use crate::config::Scheme;
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
        let mut bytes = uri_bytes(uri.host, uri.path, uri.query);
        let uri_len = bytes.len();
        bytes.push(u8::from(uri.scheme == Scheme::Https));
        let base_len = bytes.len();
        for component in components {
            frame(component, &mut bytes);
        }
        Key::from_parts(bytes, uri_len, base_len)
    }

    /// The same URI in the variant that `variant` tells apart, in place of the one it had.
    pub fn with_variant(&self, variant: &[u8]) -> Key {
        let mut bytes = self.base_bytes().to_vec();
        frame(Some(variant), &mut bytes);
        Key::from_parts(bytes, self.uri_len, self.base_len)
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
    let query_len = query.map_or(0, str::len);
    let mut bytes = Vec::with_capacity(host.len() + path.len() + query_len + 3 * LENGTH + 1);
    frame(Some(host.as_bytes()), &mut bytes);
    frame(Some(path.as_bytes()), &mut bytes);
    frame(query.map(str::as_bytes), &mut bytes);
    bytes
}

fn frame(component: Option<&[u8]>, bytes: &mut Vec<u8>) {
    let Some(component) = component else { return bytes.extend_from_slice(&ABSENT) };
    let length = u32::try_from(component.len()).expect("a request head is shorter than 4 GiB");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(component);
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn uri<'a>(host: &'a str, path: &'a str, query: Option<&'a str>) -> KeyUri<'a> {
        KeyUri { scheme: Scheme::Http, host, path, query }
    }

    #[test]
    fn variants_share_the_uri_and_schemes_share_its_hash() {
        let http = Key::of(uri("a.com", "/x", None));
        let https = Key::of(KeyUri { scheme: Scheme::Https, ..uri("a.com", "/x", None) });
        let variant = http.with_variant(b"gzip");
        assert_ne!(http, https);
        assert_ne!(http, variant);
        assert_ne!(http, http.with_variant(b""));
        assert_eq!(variant.base_bytes(), http.as_bytes());
        assert_eq!(variant.with_variant(b"br"), http.with_variant(b"br"));
        assert_eq!(http.uri_hash(), https.uri_hash());
        assert_eq!(variant.uri_hash(), uri_hash("a.com", "/x", None));
        assert_ne!(uri_hash("a.com", "/x", None), uri_hash("a.com", "/x", Some("")));
        assert_eq!(https.uri(), KeyUri { scheme: Scheme::Https, ..uri("a.com", "/x", None) });
    }

    type Parts = (bool, String, String, Option<String>, Vec<Option<Vec<u8>>>);

    fn key((https, host, path, query, components): &Parts) -> Key {
        let scheme = if *https { Scheme::Https } else { Scheme::Http };
        let uri = KeyUri { scheme, host, path, query: query.as_deref() };
        Key::with_components(uri, components.iter().map(Option::as_deref))
    }

    fn parts() -> impl Strategy<Value = Parts> {
        let component =
            proptest::option::of(proptest::collection::vec(prop_oneof![Just(0u8), Just(255), Just(b'a')], 0..5));
        (
            "[ab]?".prop_map(|s| s == "a"),
            "[ab\0]{0,3}",
            "[ab\0]{0,3}",
            proptest::option::of("[ab\0]{0,2}"),
            proptest::collection::vec(component, 2),
        )
    }

    proptest! {
        #[test]
        fn keys_are_equal_exactly_when_their_components_are(one in parts(), other in parts()) {
            prop_assert_eq!(key(&one) == key(&other), one == other);
            let (_, host, path, query, _) = &one;
            let key = key(&one);
            let read = key.uri();
            prop_assert_eq!((read.host, read.path, read.query), (&**host, &**path, query.as_deref()));
            prop_assert_eq!(Key::from_bytes(key.as_bytes()), Some(key.clone()));
            prop_assert_eq!(key.variant_components(), one.4.iter().map(Option::as_deref).collect::<Vec<_>>());
        }

        #[test]
        fn bytes_that_are_no_key_make_none(bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..40)) {
            if let Some(key) = Key::from_bytes(&bytes) {
                prop_assert_eq!(key.as_bytes(), &bytes[..]);
                prop_assert!(key.uri().path.len() < bytes.len());
                prop_assert!(key.variant_components().len() <= bytes.len());
            }
        }
    }
}
