//! Which variant of a page a request gets (RFC 9111 §4.1), and which requests a page that varies on
//! more than its route keys on must not be shown to (DESIGN §3 "Vary").
//!
//! Values count in a normal form ([`mod@normal`]): two requests that mean the same get the same variant.
//! Compute everything here from requests whose hop-by-hop fields are already gone
//! ([`super::hop_by_hop`]), because only what the origin saw can have selected its answer.

pub mod normal;

use super::fields::Fields;
use super::list::members;
use super::request_fields::RequestFields;
use crate::config::Route;
use http::{HeaderName, header};
use normal::{Normal, accepts_html, normal};

/// A `Vary` that names more fields than this cannot be kept apart; it counts as `*`.
pub const MAX_VARY_NAMES: usize = 32;

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

/// `Vary` names `*`, or cannot be read: no request but the one that was answered selects the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VaryStar;

/// The names in a response's `Vary`, sorted and without repetition.
///
/// # Errors
/// [`VaryStar`] where one of them is `*` or no field name, or where they are more than [`MAX_VARY_NAMES`].
pub fn names(fields: &Fields) -> Result<Vec<HeaderName>, VaryStar> {
    let mut names = Vec::new();
    for member in fields.get_all(&header::VARY).flat_map(|value| members(value.as_bytes())) {
        if member.is_empty() {
            continue;
        }
        if member == b"*" {
            return Err(VaryStar);
        }
        names.push(HeaderName::from_bytes(member).map_err(|_| VaryStar)?);
    }
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    if names.len() > MAX_VARY_NAMES { Err(VaryStar) } else { Ok(names) }
}

/// What selects a response among the variants of its page: the fields its `Vary` names, with the
/// values of the request that it answers.
///
/// # Errors
/// [`VaryStar`] where the response cannot be selected at all.
pub fn selecting<'a>(fields: &Fields, request: impl Into<RequestFields<'a>>) -> Result<Box<[Selecting]>, VaryStar> {
    let request = request.into();
    let select = |name: HeaderName| {
        let value = normal(&name, request).map(|value| Box::from(value.as_slice()));
        Selecting { name, value }
    };
    Ok(names(fields)?.into_iter().map(select).collect())
}

/// Whether a request selects the variant.
pub fn matches<'a>(selecting: &[Selecting], request: impl Into<RequestFields<'a>>) -> bool {
    let request = request.into();
    selecting.iter().all(|one| normal(&one.name, request).as_deref() == one.value.as_deref())
}

/// What tells the variants of a page apart, as bytes for a variant's key: for each name, in order of
/// names, whether the request has the field and its normal form, framed so that no two lists of values
/// make the same bytes.
pub fn fingerprint<'a>(names: &[HeaderName], request: impl Into<RequestFields<'a>>) -> Vec<u8> {
    let request = request.into();
    let mut sorted: Vec<&HeaderName> = names.iter().collect();
    sorted.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    sorted.dedup();
    let mut bytes = Vec::new();
    for name in sorted {
        frame(&mut bytes, name.as_str().as_bytes());
        let value: Option<Normal> = normal(name, request);
        bytes.push(u8::from(value.is_some()));
        frame(&mut bytes, value.as_deref().unwrap_or_default());
    }
    bytes
}

fn frame(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
    bytes.extend_from_slice(part);
}

/// Fields that a page of an anonymous render may vary on without the route keying on them:
/// `Accept-Encoding` is ours, `Cookie` is in no render, and the others are made from the key.
const ALWAYS_KEYED: [&str; 5] = ["accept-encoding", "cookie", "host", "x-forwarded-host", "x-forwarded-proto"];

/// The names in a page's `Vary` that its `isr` or `static` route does not key on: a request that
/// [`carries_unkeyed`] is a bypass.
pub fn unkeyed(route: &Route, page_fields: &Fields) -> Box<[HeaderName]> {
    let keyed = |name: &HeaderName| ALWAYS_KEYED.contains(&name.as_str()) || route.vary.headers.contains(name);
    // `*` never gets here: such an answer is not stored.
    names(page_fields).unwrap_or_default().into_iter().filter(|name| !keyed(name)).collect()
}

/// Whether a request carries a field that the page varies on beyond its route's key. `Accept` counts
/// only where it does not accept HTML, because renders ask for HTML.
pub fn carries_unkeyed<'a>(unkeyed: &[HeaderName], request: impl Into<RequestFields<'a>>) -> bool {
    let request = request.into();
    unkeyed.iter().any(|name| request.has(name) && (name != header::ACCEPT || !accepts_html(request)))
}

#[cfg(test)]
mod tests;
