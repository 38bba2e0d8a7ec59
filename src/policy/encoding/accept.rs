//! What a request's `Accept-Encoding` says of each coding (RFC 9110 §12.4.2, §12.5.3), in a value of a
//! few bytes.
//!
//! Absent is not empty: without the field every coding is acceptable, but whoever does not mention
//! codings most likely cannot undo them, so none is what they get; an empty field accepts none. A
//! member that is broken does not count. Of a coding that is named twice the lower weight counts: what
//! a client refuses it does not get.

use super::Coding;
use crate::policy::list::{members, trim};
use crate::policy::request_fields::{Known, RequestFields};

static ACCEPT_ENCODING: Known = Known::new("accept-encoding");

/// Thousandths of `q=1`, and one more: 0 is "not acceptable", 1 "acceptable, if nothing that is
/// mentioned is there".
const FULL: u16 = 1001;
const LAST_RESORT: u16 = 1;

/// What nearly every client says, word for word, and what it means.
const USUAL: [(&[u8], Accept); 4] = [
    (b"gzip, deflate, br, zstd", Accept::all_of(&[Coding::Gzip, Coding::Deflate, Coding::Br, Coding::Zstd])),
    (b"gzip, deflate, br", Accept::all_of(&[Coding::Gzip, Coding::Deflate, Coding::Br])),
    (b"gzip, deflate", Accept::all_of(&[Coding::Gzip, Coding::Deflate])),
    (b"gzip", Accept::all_of(&[Coding::Gzip])),
];

/// The weights of all codings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept([u16; Coding::ALL.len()]);

impl Accept {
    /// The field of a request.
    pub fn of<'a>(request: impl Into<RequestFields<'a>>) -> Accept {
        let request = request.into();
        if !request.has(&ACCEPT_ENCODING) {
            return Accept::absent();
        }
        let usual = |line: &[u8]| USUAL.iter().find(|(usual, _)| *usual == line).map(|(_, accept)| *accept);
        let parse = || Accept::parse(request.all(&ACCEPT_ENCODING));
        request.only(&ACCEPT_ENCODING).and_then(usual).unwrap_or_else(parse)
    }

    /// The field from its lines; none of them means that it is absent. It allocates nothing.
    pub fn parse<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Accept {
        let mut named = [None; Coding::ALL.len()];
        let mut others: Option<u16> = None;
        let mut is_absent = true;
        for line in lines {
            is_absent = false;
            for (name, weight) in members(line).filter_map(member) {
                let slot = match name {
                    b"*" => &mut others,
                    _ => match Coding::named(name) {
                        Some(coding) => &mut named[coding as usize],
                        None => continue,
                    },
                };
                *slot = Some(slot.map_or(weight, |other: u16| other.min(weight)));
            }
        }
        if is_absent {
            return Accept::absent();
        }
        let mut weights = [0; Coding::ALL.len()];
        for coding in Coding::ALL {
            let unnamed = if coding == Coding::Identity { LAST_RESORT } else { 0 };
            weights[coding as usize] = named[coding as usize].or(others).unwrap_or(unnamed);
        }
        Accept(weights)
    }

    /// Of a request that names these and nothing else, each without a weight.
    const fn all_of(codings: &[Coding]) -> Accept {
        let mut weights = [0; Coding::ALL.len()];
        weights[Coding::Identity as usize] = LAST_RESORT;
        let mut at = 0;
        while at < codings.len() {
            weights[codings[at] as usize] = FULL;
            at += 1;
        }
        Accept(weights)
    }

    /// Of a request that has no such field.
    pub const fn absent() -> Accept {
        let mut weights = [LAST_RESORT; Coding::ALL.len()];
        weights[Coding::Identity as usize] = FULL;
        Accept(weights)
    }

    /// How much a coding is wanted; 0: it is not acceptable.
    pub const fn weight(&self, coding: Coding) -> u16 {
        self.0[coding as usize]
    }
}

/// A coding and its weight.
fn member(member: &[u8]) -> Option<(&[u8], u16)> {
    let (name, parameter) = match member.iter().position(|byte| *byte == b';') {
        Some(at) => (trim(&member[..at]), Some(trim(&member[at + 1..]))),
        None => (member, None),
    };
    let weight = match parameter {
        None => FULL,
        Some([b'q' | b'Q', b'=', weight @ ..]) => thousandths(weight)?,
        Some(_) => return None,
    };
    (!name.is_empty()).then_some((name, weight))
}

/// `0`, `0.5`, `1.000`; 0 stays 0, everything else is one more than its thousandths.
fn thousandths(text: &[u8]) -> Option<u16> {
    let (whole, digits) = match text {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |at: usize| digits.get(at).map_or(0, |digit| u16::from(digit - b'0'));
    let sum = u16::from(whole - b'0') * 1000 + digit(0) * 100 + digit(1) * 10 + digit(2);
    match sum {
        0 => Some(0),
        1..=1000 => Some(sum + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_word_for_word_is_what_reading_it_gives() {
        for (line, accept) in USUAL {
            assert_eq!(Accept::parse([line].into_iter()), accept, "{}", line.escape_ascii());
        }
    }
}
