//! An ordered list of header fields that keeps repeated fields and their order.
//!
//! `http::HeaderMap` loses the order between different names; a page replays what the origin sent.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Header fields in the order in which they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(HeaderName, HeaderValue)>);

impl Fields {
    /// No fields.
    pub const fn new() -> Self {
        Fields(Vec::new())
    }

    /// Adds a field at the end.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    /// Takes out every field called `name` and adds one at the end.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.remove(&name);
        self.append(name, value);
    }

    /// Takes out every field called `name`.
    pub fn remove(&mut self, name: &HeaderName) {
        self.0.retain(|(n, _)| n != name);
    }

    /// These fields with one called `name` where the first of that name stands, or at the end; without
    /// a value there is none.
    #[must_use]
    pub fn with(&self, name: HeaderName, value: Option<HeaderValue>) -> Fields {
        let mut value = value;
        let mut fields = Fields(Vec::with_capacity(self.len() + 1));
        for (other, kept) in self.iter() {
            if *other != name {
                fields.append(other.clone(), kept.clone());
            } else if let Some(value) = value.take() {
                fields.append(name.clone(), value);
            }
        }
        if let Some(value) = value {
            fields.append(name, value);
        }
        fields
    }

    /// Keeps the fields for which `keep` says yes.
    pub fn retain(&mut self, mut keep: impl FnMut(&HeaderName, &HeaderValue) -> bool) {
        self.0.retain(|(n, v)| keep(n, v));
    }

    /// The first field called `name`.
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// All fields called `name`, in order.
    pub fn get_all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v)
    }

    /// Whether there is a field called `name`.
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(n, v)| (n, v))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of names and values, without separators.
    pub fn byte_len(&self) -> usize {
        self.0.iter().map(|(n, v)| n.as_str().len() + v.len()).sum()
    }
}

impl From<&HeaderMap> for Fields {
    fn from(map: &HeaderMap) -> Self {
        Fields(map.iter().map(|(n, v)| (n.clone(), v.clone())).collect())
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Fields {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(iter: I) -> Self {
        Fields(iter.into_iter().collect())
    }
}
