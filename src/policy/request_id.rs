//! What a request is called, in `X-Request-Id`: the name it came with, if that is well-formed, else one
//! made for it. A name needs no allocation, and can be written into a header or a log line as it is.

use super::request_fields::{Known, RequestFields};
use http::{HeaderName, HeaderValue};
use std::fmt;

/// `X-Request-Id`.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

static KNOWN: Known = Known::new("x-request-id");

/// Bytes of the longest name that is accepted.
const LONGEST: usize = 128;

/// Bytes of a name that is made.
const MADE: usize = 32;

/// Each octet in hexadecimal digits.
const PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut at = 0;
    while at < 256 {
        pairs[at] = [DIGITS[at >> 4], DIGITS[at & 15]];
        at += 1;
    }
    pairs
};

/// The name of a request: 1 to 128 letters, digits and `-_.:+/=~@`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    bytes: [u8; LONGEST],
    length: u8,
}

impl RequestId {
    /// The name that a request sent, where it sent exactly one and that is well-formed.
    pub fn sent<'a>(headers: impl Into<RequestFields<'a>>) -> Option<RequestId> {
        headers.into().only(&KNOWN).and_then(RequestId::accept)
    }

    /// A name as it came; `None` where it is too long or has a character that could mean something
    /// to whoever reads it.
    pub fn accept(sent: &[u8]) -> Option<RequestId> {
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=~@".contains(byte);
        if sent.is_empty() || sent.len() > LONGEST || !sent.iter().all(known) {
            return None;
        }
        let mut bytes = [0; LONGEST];
        bytes[..sent.len()].copy_from_slice(sent);
        Some(RequestId { bytes, length: u8::try_from(sent.len()).ok()? })
    }

    /// The name made from a number: 32 hexadecimal digits.
    pub fn made(number: u128) -> RequestId {
        let mut bytes = [0; LONGEST];
        for (pair, byte) in bytes.as_chunks_mut().0.iter_mut().zip(number.to_be_bytes()) {
            *pair = PAIRS[usize::from(byte)];
        }
        RequestId { bytes, length: MADE as u8 }
    }

    /// The name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("a name is ASCII")
    }

    /// The name as the value of a field; it allocates.
    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::from_bytes(self.as_bytes()).expect("a name is visible ASCII")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use proptest::prelude::*;

    fn sent(values: &[&[u8]]) -> Option<String> {
        let values = values.iter().map(|value| (REQUEST_ID, HeaderValue::from_bytes(value).expect("a value")));
        RequestId::sent(&values.collect::<HeaderMap>()).map(|id| id.to_string())
    }

    #[test]
    fn a_well_formed_name_is_kept_and_any_other_is_not() {
        let longest = "a".repeat(LONGEST);
        for name in ["1", "7b1e-4c2f", "Root=1-67891233-abcdef", "a.b:c/d+e=~@_", &longest] {
            assert_eq!(sent(&[name.as_bytes()]).as_deref(), Some(name));
        }
        let too_long = "a".repeat(LONGEST + 1);
        for name in ["", " ", "a b", "a,b", "a\"b", "a\tb", "<script>", "a;b", "a%0ab", &too_long] {
            assert_eq!(sent(&[name.as_bytes()]), None, "{name:?}");
        }
        assert_eq!(sent(&[b"\xff"]), None);
        assert_eq!(sent(&[b"a", b"a"]), None, "which of the two is it?");
        assert_eq!(sent(&[]), None);
    }

    proptest! {
        #[test]
        fn a_made_name_is_its_number_and_would_be_accepted(number in any::<u128>()) {
            let id = RequestId::made(number);
            prop_assert_eq!(id.as_str(), format!("{number:032x}"));
            prop_assert_eq!(RequestId::accept(id.as_bytes()), Some(id));
            let value = id.header_value();
            prop_assert_eq!(value.as_bytes(), id.as_bytes());
        }

        #[test]
        fn what_is_accepted_is_kept_byte_for_byte(bytes in proptest::collection::vec(any::<u8>(), 0..140)) {
            if let Some(id) = RequestId::accept(&bytes) {
                prop_assert_eq!(id.as_bytes(), &bytes[..]);
                prop_assert!(!id.as_str().contains(|c: char| c.is_control() || c.is_whitespace() || c == '"'));
            }
        }
    }
}
