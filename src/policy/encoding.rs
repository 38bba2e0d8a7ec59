//! Content codings of stored pages (RFC 9110 §8.4, §12.5.3): which representation of a page a request
//! gets. A page is one resource in one or several representations, made when it was stored; nothing
//! here compresses.
//!
//! The choice is the client's by its weights, and the smallest of those it weighs alike. Where it
//! accepts nothing that there is, it gets the page without a coding: that is what every server does, and
//! §12.5.3 allows it.

mod accept;
mod coding;
mod plan;
mod representations;

pub use accept::Accept;
pub use coding::Coding;
pub use plan::{Plan, ask_for_none, negotiates, plan};
pub use representations::{Demand, Representation, Representations, State};

use super::fields::Fields;
use super::page::Page;
use super::request_fields::RequestFields;
use super::validation::{is_named, strong_match, weak_match};
use super::vary;
use http::{HeaderName, HeaderValue, header};

/// The representation of a page for a request that accepts this much. It allocates nothing.
pub fn choose<'p>(accept: &Accept, page: &'p Page) -> &'p Representation {
    let all = page.representations.all();
    if !page.representations.is_negotiated() {
        return &all[0];
    }
    let mut best = (0, page.representations.uncoded());
    for one in all {
        let weight = accept.weight(one.coding);
        if weight > best.0 {
            best = (weight, one);
        }
    }
    best.1
}

/// The representation for a request with these fields: [`choose`]'s, unless a precondition names the
/// `ETag` of another one that the client accepts too. Then it has that one already, or a part of it, and
/// it is the one that its condition is about (RFC 9110 §13.1).
pub fn select<'p, 'a>(request: impl Into<RequestFields<'a>>, page: &'p Page) -> &'p Representation {
    let request = request.into();
    if !page.representations.is_negotiated() {
        return &page.representations.all()[0];
    }
    let accept = Accept::of(request);
    let chosen = choose(&accept, page);
    let conditions = [
        (header::IF_MATCH, strong_match as fn(&[u8], &[u8]) -> bool),
        (header::IF_NONE_MATCH, weak_match),
        (header::IF_RANGE, strong_match),
    ];
    let Some((name, same)) = conditions.into_iter().find(|(name, _)| request.has(name)) else { return chosen };
    let held = |one: &&Representation| names(request, &name, one, same);
    if held(&chosen) {
        return chosen;
    }
    let accepted = page.representations.all().iter().filter(|one| accept.weight(one.coding) > 0);
    accepted.into_iter().find(held).unwrap_or(chosen)
}

fn names(request: RequestFields<'_>, name: &HeaderName, one: &Representation, same: fn(&[u8], &[u8]) -> bool) -> bool {
    request.all(name).any(|list| is_named(list, one.etag.as_ref(), same))
}

/// Fields with `Accept-Encoding` in their `Vary` (RFC 9110 §12.5.5), unless it says so already or is
/// beyond saying more.
pub fn varied(fields: &Fields) -> Fields {
    let Ok(names) = vary::names(fields) else { return fields.clone() };
    if names.contains(&header::ACCEPT_ENCODING) {
        return fields.clone();
    }
    let lines = fields.get_all(&header::VARY).map(HeaderValue::as_bytes).filter(|line| !line.is_empty());
    let all = lines.chain([&b"Accept-Encoding"[..]]).collect::<Vec<_>>().join(&b", "[..]);
    fields.with(header::VARY, HeaderValue::from_bytes(&all).ok())
}

#[cfg(test)]
mod tests;
