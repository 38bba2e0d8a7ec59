//! Which bytes of a complete stored page a request gets (RFC 9110 §14). What was stored is always
//! whole; a range is cut from it, never stored.

pub mod multipart;

use super::date;
use super::fields::Fields;
use super::list::{members, trim};
use super::request_fields::RequestFields;
use super::validation::strong_match;
use http::{HeaderValue, StatusCode, header};
use std::ops::Range;
use std::time::Duration;

/// A request for more ranges than this gets the whole page (RFC 9110 §14.2: many small ranges are an attack).
pub const MAX_RANGES: usize = 16;

/// What a request's `Range` comes to. Ranges are of bytes, within the page and never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeAnswer {
    /// The whole page: there is no `Range`, or it does not count.
    Whole,
    /// 206 with one part.
    Single(Range<u64>),
    /// 206 with several parts ([`multipart`]), in the order in which they were asked for.
    Multiple(Vec<Range<u64>>),
    /// 416: nothing of what was asked for exists.
    Unsatisfiable,
}

/// Evaluates a GET request's `Range` and `If-Range` against a representation of a page. Only 200 has ranges.
pub fn evaluate<'a>(request: impl Into<RequestFields<'a>>, page: &Subject<'_>) -> RangeAnswer {
    let request = request.into();
    let Some(range) = request.only(&header::RANGE) else {
        return RangeAnswer::Whole;
    };
    let len = page.len;
    if page.status != StatusCode::OK || !is_same_page(request, page) {
        return RangeAnswer::Whole;
    }
    let Some(specs) = specs(range) else {
        return RangeAnswer::Whole;
    };
    let mut ranges: Vec<Range<u64>> = specs.into_iter().filter_map(|spec| spec.within(len)).collect();
    // Overlapping ranges may ask for more than there is; whoever does gets the page once.
    let total = ranges.iter().fold(0u64, |sum, range| sum.saturating_add(range.end - range.start));
    match ranges.len() {
        0 => RangeAnswer::Unsatisfiable,
        1 => RangeAnswer::Single(ranges.remove(0)),
        _ if total > len => RangeAnswer::Whole,
        _ => RangeAnswer::Multiple(ranges),
    }
}

/// What a range is cut from.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The page's status.
    pub status: StatusCode,
    /// The page's fields.
    pub fields: &'a Fields,
    /// The representation's `ETag`.
    pub etag: Option<&'a HeaderValue>,
    /// Bytes of the representation.
    pub len: u64,
    /// Whether there are other representations: a date says nothing about which one was meant.
    pub is_negotiated: bool,
}

/// One range as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    /// From the first to the last byte, both included.
    FromTo(u64, u64),
    /// The last bytes, this many.
    Last(u64),
}

impl Spec {
    /// `first-last`, `first-` or `-length`; numbers too large to count saturate.
    fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|&byte| byte == b'-')?;
        let (first, last) = (&text[..dash], &text[dash + 1..]);
        match (first.is_empty(), last.is_empty()) {
            (true, true) => None,
            (true, false) => number(last).map(Spec::Last),
            (false, true) => number(first).map(|first| Spec::FromTo(first, u64::MAX)),
            (false, false) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Spec::FromTo(first, last))
            }
        }
    }

    /// The part of it that exists; `None` where nothing does.
    fn within(self, len: u64) -> Option<Range<u64>> {
        let range = match self {
            Spec::FromTo(first, last) => first..last.saturating_add(1).min(len),
            Spec::Last(length) => len.saturating_sub(length)..len,
        };
        (range.start < range.end).then_some(range)
    }
}

/// The ranges of a `bytes` range; `None` where the unit is another, the syntax is broken, or there are
/// too many: the field then does not count.
fn specs(bytes: &[u8]) -> Option<Vec<Spec>> {
    let equals = bytes.iter().position(|&byte| byte == b'=')?;
    if !trim(&bytes[..equals]).eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let all = members(&bytes[equals + 1..]).filter(|member| !member.is_empty()).take(MAX_RANGES + 1);
    let specs: Vec<Spec> = all.map(Spec::parse).collect::<Option<_>>()?;
    (1..=MAX_RANGES).contains(&specs.len()).then_some(specs)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

/// `If-Range` (RFC 9110 §13.1.5): strong comparison of entity tags, exact equality of a date that is strong.
fn is_same_page(request: RequestFields<'_>, page: &Subject<'_>) -> bool {
    let mut values = request.all(&header::IF_RANGE);
    let Some(condition) = values.next() else {
        return true;
    };
    if values.next().is_some() {
        return false;
    }
    match date::parse(condition) {
        Some(_) => !page.is_negotiated && is_exactly(page.fields, condition),
        None => page.etag.is_some_and(|etag| strong_match(etag.as_bytes(), trim(condition))),
    }
}

/// A `Last-Modified` is strong where it is a second or more older than `Date` (RFC 9110 §8.8.2.2).
fn is_exactly(page_fields: &Fields, condition: &[u8]) -> bool {
    let modified = date::of(page_fields, &header::LAST_MODIFIED);
    let made = date::of(page_fields, &header::DATE);
    let strong = modified.zip(made).is_some_and(|(modified, made)| made.since(modified) >= Duration::from_secs(1));
    strong && modified == date::parse(condition)
}

#[cfg(test)]
mod tests;
