//! Percent-encoding and its one normal form (RFC 3986 §2.1, §6.2.2): octets that need no encoding are
//! decoded, octets that may not stand raw are encoded, hex digits are upper case. Nothing that
//! separates components is ever decoded, so the normal form means to an origin what the raw form meant.

use std::borrow::Cow;

/// The component of a URI that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Component {
    /// `pchar` and `/` stand for themselves.
    Path = 1,
    /// `pchar`, `/` and `?` stand for themselves.
    Query = 2,
}

/// For each octet, a bit for each component in which it stands for itself.
const ALLOWED: [u8; 256] = {
    let mut allowed = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if is_pchar(byte) || byte == b'/' {
            allowed[at] = Component::Path as u8 | Component::Query as u8;
        } else if byte == b'?' {
            allowed[at] = Component::Query as u8;
        }
        at += 1;
    }
    allowed
};

impl Component {
    const fn allows(self, byte: u8) -> bool {
        ALLOWED[byte as usize] & self as u8 != 0
    }
}

/// Whether every `%` was followed by two hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Every one was; the normal form was written.
    Valid,
    /// Some was not; what stands in the raw form was kept, because nobody knows what it means.
    Invalid,
}

/// Appends the normal form of `raw` to `out`. Idempotent. Where the encoding is invalid only octets
/// that may not stand raw are encoded and every `%` is kept.
pub(crate) fn normalise_into(raw: &[u8], component: Component, out: &mut String) -> Encoding {
    let start = out.len();
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            push(byte, component.allows(byte), out);
            continue;
        }
        let Some((decoded, tail)) = split_triple(tail) else {
            out.truncate(start);
            keep_into(raw, component, out);
            return Encoding::Invalid;
        };
        push(decoded, is_unreserved(decoded), out);
        rest = tail;
    }
    Encoding::Valid
}

/// `raw` itself, where it is its normal form.
pub(crate) fn as_normal(raw: &[u8], component: Component) -> Option<&str> {
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if component.allows(byte) {
            continue;
        }
        let (decoded, behind) = split_triple(tail).filter(|_| byte == b'%')?;
        if is_unreserved(decoded) || tail[..2].iter().any(u8::is_ascii_lowercase) {
            return None;
        }
        rest = behind;
    }
    std::str::from_utf8(raw).ok()
}

/// `raw` decoded once, invalid `%` kept: what an origin reads, for comparing names.
pub(crate) fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    percent_encoding::percent_decode(raw).into()
}

/// Appends `byte`, as it is or encoded.
pub(crate) fn push(byte: u8, raw: bool, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if raw {
        out.push(char::from(byte));
        return;
    }
    out.push('%');
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

/// Two hex digits at the front: their octet, and what follows them.
pub(crate) fn split_triple(after_percent: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = after_percent else { return None };
    Some((hex(*high)? << 4 | hex(*low)?, rest))
}

/// RFC 3986 §3.3.
pub(crate) const fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@')
}

/// RFC 3986 §2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn keep_into(raw: &[u8], component: Component, out: &mut String) {
    for &byte in raw {
        push(byte, byte == b'%' || component.allows(byte), out);
    }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(raw: &[u8], component: Component) -> String {
        let mut out = String::new();
        normalise_into(raw, component, &mut out);
        out
    }

    #[test]
    fn octets_that_need_no_encoding_are_decoded_and_separators_never() {
        assert_eq!(normal(b"/%61%2d%7e%2f%5c%00%3b;", Component::Path), "/a-~%2F%5C%00%3B;");
        assert_eq!(normal("/é\\\"".as_bytes(), Component::Path), "/%C3%A9%5C%22");
        assert_eq!(normal(b"a%3d%26+%20?", Component::Query), "a%3D%26+%20?");
    }

    #[test]
    fn an_invalid_encoding_is_kept_whole() {
        // Decoding only the valid triples would make `%%34%31`, which an origin reads as `%41`, into its `A`.
        assert_eq!(normal(b"%%34%31", Component::Query), "%%34%31");
        assert_eq!(normal(b"%zz%61", Component::Query), "%zz%61");
        assert_eq!(normal(b"%", Component::Path), "%");
    }

    proptest! {
        #[test]
        fn the_normal_form_is_idempotent_and_means_the_same(raw in proptest::collection::vec(any::<u8>(), 0..40)) {
            for component in [Component::Path, Component::Query] {
                let once = normal(&raw, component);
                prop_assert_eq!(normal(once.as_bytes(), component), once.clone());
                prop_assert_eq!(decode(once.as_bytes()), decode(&raw));
            }
        }

        #[test]
        fn hostile_percents_are_idempotent_too(raw in "[%0-9a-fA-F/;.]{0,24}") {
            for component in [Component::Path, Component::Query] {
                let once = normal(raw.as_bytes(), component);
                prop_assert_eq!(normal(once.as_bytes(), component), once.clone());
                prop_assert_eq!(decode(once.as_bytes()), decode(raw.as_bytes()));
            }
        }

        #[test]
        fn what_is_its_normal_form_is_known_without_writing_it(raw in "([%/;.?a\"]|%2[Ff]|%61|é){0,8}") {
            for component in [Component::Path, Component::Query] {
                let mut out = String::new();
                let valid = normalise_into(raw.as_bytes(), component, &mut out) == Encoding::Valid;
                let expected = (valid && out == raw).then_some(&*raw);
                prop_assert_eq!(as_normal(raw.as_bytes(), component), expected);
            }
        }
    }
}
