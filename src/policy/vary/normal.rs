//! The normal form of a field's value in a request (RFC 9111 §4.1): whatever two requests write
//! differently and mean alike comes out the same, and nothing else does.
//!
//! Any field: lines joined, whitespace around commas gone. `Accept-Encoding`: the set of codings that
//! are acceptable. `Accept-Language`: languages in order of preference, the exact weights gone.
//! Normal forms of usual length are made without allocating.

use crate::policy::list::members;
use crate::policy::request_fields::RequestFields;
use http::{HeaderName, header};
use smallvec::SmallVec;

/// A normal form.
pub type Normal = SmallVec<[u8; 256]>;

/// Weights are thousandths (RFC 9110 §12.4.2).
const FULL: u16 = 1000;

/// The normal form of the field's value; `None` where the request has no such field.
pub fn normal<'a>(name: &HeaderName, request: impl Into<RequestFields<'a>>) -> Option<Normal> {
    let request = request.into();
    if !request.has(name) {
        return None;
    }
    Some(match name.as_str() {
        "accept-encoding" => accept_encoding(request),
        "accept-language" => accept_language(request),
        _ => joined(name, request),
    })
}

/// Whether a request accepts `text/html` (RFC 9110 §12.5.1): the most specific range decides. A
/// request without `Accept` takes anything.
pub fn accepts_html<'a>(request: impl Into<RequestFields<'a>>) -> bool {
    let request = request.into();
    if !request.has(&header::ACCEPT) {
        return true;
    }
    let mut best: Option<(usize, u16)> = None;
    for weighted in weighted(&header::ACCEPT, request) {
        let ranges: [&[u8]; 3] = [b"*/*", b"text/*", b"text/html"];
        let Some(specific) = ranges.iter().position(|range| weighted.value.eq_ignore_ascii_case(range)) else {
            continue;
        };
        if best.is_none_or(|(other, _)| specific > other) {
            best = Some((specific, weighted.weight));
        }
    }
    best.is_some_and(|(_, weight)| weight > 0)
}

fn joined(name: &HeaderName, request: RequestFields<'_>) -> Normal {
    let mut out = Normal::new();
    let all = request.all(name).flat_map(members);
    for (index, member) in all.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(member);
    }
    out
}

fn accept_encoding(request: RequestFields<'_>) -> Normal {
    let mut codings: SmallVec<[SmallVec<[u8; 16]>; 8]> = SmallVec::new();
    for Weighted { value, weight } in weighted(&header::ACCEPT_ENCODING, request) {
        let mut coding: SmallVec<[u8; 16]> = value.iter().map(u8::to_ascii_lowercase).collect();
        if coding.starts_with(b"x-gzip") || coding.starts_with(b"x-compress") {
            coding.drain(..2);
        }
        match (weight, coding.as_slice()) {
            // Not acceptable: only worth a word where everything else is.
            (0, b"identity" | b"*") => coding.insert(0, b'!'),
            (0, _) | (_, b"identity") => continue,
            _ => {}
        }
        codings.push(coding);
    }
    codings.sort_unstable();
    codings.dedup();
    let mut out = Normal::new();
    for (index, coding) in codings.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(coding);
    }
    out
}

/// `en;q=0.5, de, fr` becomes `de,fr;en`: commas between equals, a semicolon before the less wanted,
/// an exclamation mark before the unwanted.
fn accept_language(request: RequestFields<'_>) -> Normal {
    type Language = (u16, SmallVec<[u8; 16]>);
    let mut languages: SmallVec<[Language; 8]> = weighted(&header::ACCEPT_LANGUAGE, request)
        .map(|Weighted { value, weight }| (weight, value.iter().map(u8::to_ascii_lowercase).collect()))
        .collect();
    languages.sort_unstable_by(|(one, a), (other, b)| other.cmp(one).then_with(|| a.cmp(b)));
    languages.dedup();
    let mut out = Normal::new();
    let mut last = None;
    for (weight, language) in &languages {
        match last {
            None => {}
            Some(last) if last == *weight => out.push(b','),
            Some(_) => out.push(b';'),
        }
        if *weight == 0 {
            out.push(b'!');
        }
        out.extend_from_slice(language);
        last = Some(*weight);
    }
    out
}

/// A member of a negotiation field.
struct Weighted<'a> {
    value: &'a [u8],
    /// 0..=1000
    weight: u16,
}

/// The members of a negotiation field with their weights; parameters other than `q` are dropped.
fn weighted<'a>(name: &HeaderName, request: RequestFields<'a>) -> impl Iterator<Item = Weighted<'a>> {
    let all = request.all(name).flat_map(members);
    all.filter(|member| !member.is_empty()).map(|member| {
        let mut parts = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let value = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| match part {
            [b'q' | b'Q', b'=', weight @ ..] => Some(thousandths(weight)),
            _ => None,
        });
        Weighted { value, weight: weight.unwrap_or(FULL) }
    })
}

/// A weight as written (`0`, `0.5`, `1.000`) in thousandths. What is no weight counts as the full one.
fn thousandths(text: &[u8]) -> u16 {
    let (whole, rest) = match text {
        [whole @ (b'0' | b'1'), rest @ ..] => (u16::from(whole - b'0'), rest),
        _ => return FULL,
    };
    let digits = match rest {
        [] => &[][..],
        [b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return FULL,
    };
    let scaled = (0..3).fold(0, |sum, at| sum * 10 + digits.get(at).map_or(0, |digit| u16::from(digit - b'0')));
    (whole * FULL + scaled).min(FULL)
}
