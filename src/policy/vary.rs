//! Which variant of a page a request gets (RFC 9111 §4.1).

use http::HeaderName;

/// One field that selects among variants: its name and the normalised value that a request had.
/// An absent field is not the same as an empty one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selecting {
    /// The field's name.
    pub name: HeaderName,
    /// Its normalised value; `None` where the request had no such field.
    pub value: Option<Box<[u8]>>,
}

impl Selecting {
    /// Bytes it takes in memory.
    pub fn weight(&self) -> usize {
        64 + self.value.as_ref().map_or(0, |value| value.len())
    }
}
