//! What a request-target asks for (RFC 9112 §3.2): the authority, the path in its one normal form, the
//! query as it came. It decides nothing about caching; [`readings`] lists what else a path may mean.

pub(crate) mod readings;

pub use super::percent::Encoding;
use super::percent::is_pchar;
use crate::config::Scheme;
pub(crate) use crate::uri::path::{normal_path, remove_dot_segments};
use std::borrow::Cow;
use thiserror::Error;

/// A request-target that names a resource, or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `*`: the server itself; only for OPTIONS (RFC 9112 §3.2.4).
    Asterisk,
    /// Origin-form or absolute-form.
    Resource(Resource<'a>),
}

/// What an origin-form or absolute-form target names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    /// The authority of an absolute-form target; it wins over `Host` (RFC 9112 §3.2.2).
    pub authority: Option<&'a [u8]>,
    /// Path and query in origin-form as they came: what a bypass sends.
    pub origin_form: Cow<'a, [u8]>,
    /// The query behind `?` as it came; `None` without a `?`.
    pub raw_query: Option<&'a [u8]>,
    /// The path in its normal form: begins with `/`, unreserved octets decoded, hex upper case, dot segments removed.
    pub path: Cow<'a, str>,
    /// Whether the path's encoding is valid; if not, nobody knows what it means and it is never looked up.
    pub encoding: Encoding,
    /// Whether there may be [`readings`] of the path besides itself.
    pub reads_twice: bool,
}

/// Why a request-target cannot be served: the answer is 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// A control character, a space or a `#`.
    #[error("the request-target has a byte that no request-target has")]
    BadByte,
    /// Authority-form, or a scheme other than http and https.
    #[error("the request-target is neither a path nor an http URI")]
    BadForm,
}

impl<'a> Target<'a> {
    /// Reads a request-target as it stands in the request line.
    ///
    /// # Errors
    /// Bytes that cannot stand in a request-target, authority-form, schemes that are not ours.
    pub fn parse(raw: &'a [u8]) -> Result<Target<'a>, TargetError> {
        let plain = Resource::plain(raw);
        let rest = &raw[plain.as_ref().map_or(0, |plain| plain.path.len())..];
        if rest.iter().any(|&b| b <= b' ' || b == 0x7F || b == b'#') {
            return Err(TargetError::BadByte);
        }
        if let Some(resource) = plain {
            return Ok(Target::Resource(resource));
        }
        if raw == b"*" {
            return Ok(Target::Asterisk);
        }
        if raw.starts_with(b"/") {
            return Ok(Target::Resource(Resource::new(None, Cow::Borrowed(raw), raw)));
        }
        let rest = strip_scheme(raw).ok_or(TargetError::BadForm)?;
        let end = rest.iter().position(|&b| b == b'/' || b == b'?').unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let origin_form = if rest.starts_with(b"/") { Cow::Borrowed(rest) } else { Cow::Owned([b"/", rest].concat()) };
        Ok(Target::Resource(Resource::new(Some(authority), origin_form, rest)))
    }
}

impl<'a> Resource<'a> {
    fn new(authority: Option<&'a [u8]>, origin_form: Cow<'a, [u8]>, path_and_query: &'a [u8]) -> Self {
        let question = memchr::memchr(b'?', path_and_query);
        let (raw_path, raw_query) = match question {
            Some(at) => (&path_and_query[..at], Some(&path_and_query[at + 1..])),
            None => (path_and_query, None),
        };
        let (path, encoding) = normal_path(raw_path);
        let reads_twice = readings::has_further_readings(&path);
        Resource { authority, origin_form, raw_query, path, encoding, reads_twice }
    }

    /// Of an origin-form whose path is in its normal form as it stands and has no other reading: nearly all are so,
    /// and it takes one look to see it. What is said of others is said by [`Resource::new`]; `None` does not mean
    /// that this is one of them.
    fn plain(raw: &'a [u8]) -> Option<Self> {
        let mut before = b'/';
        let mut end = raw.len();
        for (at, &byte) in raw.iter().enumerate() {
            if !PLAIN[usize::from(byte)] {
                if byte != b'?' {
                    return None;
                }
                end = at;
                break;
            }
            if before == b'/' && at > 0 && matches!(byte, b'/' | b'.') {
                return None;
            }
            before = byte;
        }
        let path = std::str::from_utf8(&raw[..end]).ok().filter(|path| path.starts_with('/'))?;
        let reads_twice = end > 1 && before == b'/';
        let raw_query = raw.get(end + 1..);
        Some(Resource {
            authority: None,
            origin_form: Cow::Borrowed(raw),
            raw_query,
            path: path.into(),
            encoding: Encoding::Valid,
            reads_twice,
        })
    }
}

/// Octets of a path that stand for themselves and mean nothing else to anybody.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        plain[at] = byte == b'/' || (is_pchar(byte) && byte != b';');
        at += 1;
    }
    plain
};

/// What stands behind `http://` or `https://`. The scheme itself does not count: the listener knows
/// which one the client used.
pub(crate) fn strip_scheme(raw: &[u8]) -> Option<&[u8]> {
    [Scheme::Http, Scheme::Https].into_iter().find_map(|scheme| {
        let (head, rest) = raw.split_at_checked(scheme.as_str().len())?;
        rest.strip_prefix(b"://").filter(|_| head.eq_ignore_ascii_case(scheme.as_str().as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_absolute_form_is_understood_and_its_authority_kept() {
        let Ok(Target::Resource(target)) = Target::parse(b"HTTP://a.com:80?x=1") else { panic!("an http URI") };
        assert_eq!(target.authority, Some(&b"a.com:80"[..]));
        assert_eq!((&*target.origin_form, &*target.path, target.raw_query), (&b"/?x=1"[..], "/", Some(&b"x=1"[..])));
        let Ok(Target::Resource(target)) = Target::parse(b"//evil.com/x?") else { panic!("a path") };
        assert_eq!((target.authority, &*target.path, target.raw_query), (None, "//evil.com/x", Some(&b""[..])));
    }

    #[test]
    fn what_names_no_resource_is_refused() {
        for raw in ["", "a.com:443", "ftp://a/", "http:/a", "/a b", "/a\t", "/a#b", "/\u{7f}", "a/b", "?x"] {
            assert!(Target::parse(raw.as_bytes()).is_err(), "{raw:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_seen_at_one_look_is_so(raw in "/([/.;?a#]|%2[eF]|%61|%3B|é|%){0,8}") {
            if let Some(plain) = Resource::plain(raw.as_bytes()) {
                prop_assert_eq!(plain, Resource::new(None, Cow::Borrowed(raw.as_bytes()), raw.as_bytes()));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(raw in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Target::parse(&raw);
            let _ = Target::parse(&[b"http://", &raw[..]].concat());
        }
    }
}
