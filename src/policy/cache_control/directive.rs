//! The grammar of `Cache-Control` (RFC 9111 §5.2): names with optional arguments, tokens or quoted strings.

use crate::policy::list::{members, quoted_end, trim};
use std::borrow::Cow;

/// Room for the longest name that is known; longer names are unknown.
const MAX_NAME: usize = 24;

/// One directive as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive<'a> {
    name: &'a [u8],
    /// What stands behind the name.
    pub(super) argument: Argument<'a>,
}

/// What stands behind a directive's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Argument<'a> {
    /// Nothing.
    None,
    /// A token.
    Token(&'a [u8]),
    /// A quoted string, without its quotes and escapes.
    Quoted(Cow<'a, [u8]>),
    /// Something the grammar does not allow, such as whitespace around the equals sign.
    Malformed,
}

impl Argument<'_> {
    /// The argument in either form: recipients accept both for every directive (RFC 9111 §5.2).
    pub(super) fn value(&self) -> Option<&[u8]> {
        match self {
            Argument::Token(value) => Some(value),
            Argument::Quoted(value) => Some(value),
            Argument::None | Argument::Malformed => None,
        }
    }
}

/// The directives of one field value, in order.
pub(super) fn directives(value: &[u8]) -> impl Iterator<Item = Directive<'_>> {
    members(value).filter(|member| !member.is_empty()).map(directive)
}

impl Directive<'_> {
    /// The name in lower case, in the caller's buffer; empty where it is longer than any that is known.
    pub(super) fn name<'b>(&self, buffer: &'b mut NameBuffer) -> &'b [u8] {
        let Some(room) = buffer.0.get_mut(..self.name.len()) else {
            return &[];
        };
        room.copy_from_slice(self.name);
        room.make_ascii_lowercase();
        room
    }
}

/// Room for a name in lower case, so that reading a request's directives allocates nothing.
pub(super) struct NameBuffer([u8; MAX_NAME]);

impl NameBuffer {
    pub(super) const fn new() -> Self {
        NameBuffer([0; MAX_NAME])
    }
}

fn directive(member: &[u8]) -> Directive<'_> {
    let Some(equals) = member.iter().position(|&byte| byte == b'=') else {
        return Directive { name: member, argument: Argument::None };
    };
    let (name, value) = (&member[..equals], &member[equals + 1..]);
    if trim(name) != name || trim(value) != value {
        return Directive { name: trim(name), argument: Argument::Malformed };
    }
    Directive { name, argument: argument(value) }
}

fn argument(value: &[u8]) -> Argument<'_> {
    if value.first() != Some(&b'"') {
        return Argument::Token(value);
    }
    if quoted_end(value, 0) != Some(value.len()) {
        return Argument::Malformed;
    }
    let inside = &value[1..value.len() - 1];
    if !inside.contains(&b'\\') {
        return Argument::Quoted(Cow::Borrowed(inside));
    }
    let mut bytes = inside.iter();
    let mut plain = Vec::with_capacity(inside.len());
    while let Some(&byte) = bytes.next() {
        plain.extend(if byte == b'\\' { bytes.next().copied() } else { Some(byte) });
    }
    Argument::Quoted(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(value: &str) -> Vec<(String, Argument<'_>)> {
        directives(value.as_bytes())
            .map(|d| (String::from_utf8_lossy(d.name(&mut NameBuffer::new())).into_owned(), d.argument))
            .collect()
    }

    fn quoted(text: &str) -> Argument<'_> {
        Argument::Quoted(Cow::Borrowed(text.as_bytes()))
    }

    #[test]
    fn tokens_and_quoted_strings_are_both_arguments() {
        assert_eq!(
            read("Max-Age=60 , no-store,, x=\"a, b\", y=\"\\\"\""),
            [
                ("max-age".into(), Argument::Token(b"60")),
                ("no-store".into(), Argument::None),
                ("x".into(), quoted("a, b")),
                ("y".into(), quoted("\"")),
            ]
        );
    }

    #[test]
    fn whitespace_around_the_equals_sign_and_open_quotes_are_malformed() {
        assert_eq!(read("max-age =60"), [("max-age".into(), Argument::Malformed)]);
        assert_eq!(read("max-age= 60"), [("max-age".into(), Argument::Malformed)]);
        assert_eq!(read("a=\"1\"2"), [("a".into(), Argument::Malformed)]);
        assert_eq!(read("a=\"1, no-store"), [("a".into(), Argument::Malformed), ("no-store".into(), Argument::None)]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            for directive in directives(&bytes) {
                let _ = directive.name(&mut NameBuffer::new());
            }
        }
    }
}
