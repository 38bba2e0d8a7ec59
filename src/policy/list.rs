//! Comma-separated lists as they stand in field values (RFC 9110 §5.6.1): splits, never interprets.
//!
//! Commas inside quoted strings do not separate. A quote that is never closed counts as an ordinary
//! character, so that it cannot hide what stands behind it. Linear in the length of the value.

/// The members of a list, without the whitespace around them; empty members are members too.
#[derive(Clone, Debug)]
pub(crate) struct Members<'a> {
    rest: Option<&'a [u8]>,
    /// A quote was opened and never closed: from there on quotes mean nothing.
    literal: bool,
}

/// Splits a field value at the commas that stand outside of quoted strings.
pub(crate) fn members(value: &[u8]) -> Members<'_> {
    Members { rest: Some(value), literal: false }
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let end = self.member_end(rest);
        self.rest = rest.get(end + 1..);
        Some(trim(&rest[..end]))
    }
}

impl Members<'_> {
    fn member_end(&mut self, bytes: &[u8]) -> usize {
        let mut at = bytes.iter().position(|byte| matches!(byte, b',' | b'"')).unwrap_or(bytes.len());
        while at < bytes.len() {
            match bytes[at] {
                b',' => return at,
                b'"' if !self.literal => match quoted_end(bytes, at) {
                    Some(end) => at = end,
                    None => self.literal = true,
                },
                _ => at += 1,
            }
        }
        bytes.len()
    }
}

/// The position behind the quoted string that opens at `open`; `None` where it never closes.
pub(crate) fn quoted_end(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// Without optional whitespace (space and tab, RFC 9110 §5.6.3) at both ends.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::members;
    use proptest::prelude::*;

    fn split(value: &str) -> Vec<String> {
        members(value.as_bytes()).map(|m| String::from_utf8_lossy(m).into_owned()).collect()
    }

    #[test]
    fn commas_outside_of_quotes_separate_and_whitespace_goes() {
        assert_eq!(split(" a ,\tb=1,c"), ["a", "b=1", "c"]);
        assert_eq!(split("a=\"1, 2\", b"), ["a=\"1, 2\"", "b"]);
        assert_eq!(split("a=\"\\\", x\", b"), ["a=\"\\\", x\"", "b"]);
        assert_eq!(split(",,"), ["", "", ""]);
    }

    #[test]
    fn a_quote_that_never_closes_hides_nothing() {
        assert_eq!(split("a=\"1, b, c"), ["a=\"1", "b", "c"]);
        assert_eq!(split("\"\\\", b"), ["\"\\\"", "b"]);
    }

    proptest! {
        #[test]
        fn any_bytes_split_without_losing_more_than_commas_and_whitespace(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let kept: usize = members(&value).map(<[u8]>::len).sum();
            prop_assert!(kept <= value.len());
            let plain = |b: &&u8| !matches!(**b, b',' | b' ' | b'\t');
            let joined: Vec<u8> = members(&value).flatten().copied().filter(|b| plain(&b)).collect();
            prop_assert_eq!(joined, value.iter().filter(plain).copied().collect::<Vec<u8>>());
        }
    }
}
