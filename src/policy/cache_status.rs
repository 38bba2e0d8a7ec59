//! Our member of `Cache-Status` (RFC 9211; the forms of DESIGN §4): what became of a request, in the
//! words of the outcome that the access event and the metrics are made from too.

use super::freshness::seconds_until;
use super::outcome::{Outcome, Served};
use super::time::Timestamp;
use std::io::Write;

/// What we are called in `Cache-Status`.
const NAME: &str = "breadbox";

/// The largest integer of a structured field (RFC 9651 §3.3.1).
const MAX_INTEGER: i64 = 999_999_999_999_999;

/// What a stale hit is called where the outcome has no word of its own.
const STALE: &str = "stale";

/// Our member as text.
pub fn member(outcome: &Outcome, now: Timestamp) -> String {
    let mut bytes = Vec::with_capacity(48);
    write_member(outcome, now, &mut bytes);
    String::from_utf8(bytes).expect("tokens, integers and escaped strings are ASCII")
}

/// Writes our member behind what is in the buffer; allocates only where the buffer has to grow.
pub fn write_member(outcome: &Outcome, now: Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(NAME.as_bytes());
    let hit = matches!(outcome.served, Served::Hit | Served::StaleHit);
    if hit {
        out.extend_from_slice(b"; hit");
        write_ttl(outcome, now, out);
    } else if let Some(forwarded) = outcome.forwarded {
        out.extend_from_slice(b"; fwd=");
        out.extend_from_slice(forwarded.as_str().as_bytes());
        write_forwarded(outcome, out);
    }
    let unless_named = (outcome.served == Served::StaleHit).then_some(STALE);
    if let Some(detail) = outcome.detail.or(unless_named) {
        write_detail(detail, out);
    }
}

fn write_ttl(outcome: &Outcome, now: Timestamp, out: &mut Vec<u8>) {
    if let Some(fresh_until) = outcome.fresh_until {
        let ttl = seconds_until(fresh_until, now).clamp(-MAX_INTEGER, MAX_INTEGER);
        out.extend_from_slice(b"; ttl=");
        out.extend_from_slice(itoa::Buffer::new().format(ttl).as_bytes());
    }
}

fn write_forwarded(outcome: &Outcome, out: &mut Vec<u8>) {
    if let Some(status) = outcome.fwd_status {
        write!(out, "; fwd-status={status}").expect("writing to memory does not fail");
    }
    if outcome.stored {
        out.extend_from_slice(b"; stored");
    }
    if outcome.collapsed {
        out.extend_from_slice(b"; collapsed");
    }
}

/// A token where it is one, a string where it is not (RFC 9651 §3.3.3, §3.3.4).
fn write_detail(detail: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"; detail=");
    let first = detail.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if first && detail.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        out.extend_from_slice(detail.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in detail.bytes().filter(|byte| matches!(byte, b' '..=b'~')) {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::outcome::Forwarded;
    use crate::policy::sample::{NOW, at};
    use proptest::prelude::*;
    use sfv::{BareItem, List, ListEntry, Parser};

    const NOTHING: Outcome = Outcome {
        served: Served::Miss,
        forwarded: None,
        fresh_until: None,
        stored: false,
        collapsed: false,
        fwd_status: None,
        detail: None,
    };

    #[test]
    fn the_forms_are_exactly_these() {
        // DESIGN §4.
        let miss = Outcome { forwarded: Some(Forwarded::UriMiss), ..NOTHING };
        let stale = Outcome { served: Served::StaleHit, fresh_until: Some(at(-17)), ..NOTHING };
        let cases = [
            (Outcome { served: Served::Hit, fresh_until: Some(at(42)), ..NOTHING }, "breadbox; hit; ttl=42"),
            (Outcome { served: Served::Hit, ..NOTHING }, "breadbox; hit"),
            (stale, "breadbox; hit; ttl=-17; detail=stale"),
            (Outcome { detail: Some("if-error"), ..stale }, "breadbox; hit; ttl=-17; detail=if-error"),
            (Outcome { stored: true, ..miss }, "breadbox; fwd=uri-miss; stored"),
            (Outcome { collapsed: true, ..miss }, "breadbox; fwd=uri-miss; collapsed"),
            (
                Outcome { served: Served::Fallback, detail: Some("fallback"), ..miss },
                "breadbox; fwd=uri-miss; detail=fallback",
            ),
            (
                Outcome {
                    served: Served::Bypass,
                    forwarded: Some(Forwarded::Bypass),
                    detail: Some("cookie"),
                    ..NOTHING
                },
                "breadbox; fwd=bypass; detail=cookie",
            ),
            (
                Outcome { forwarded: Some(Forwarded::Stale), fwd_status: Some(304), stored: true, ..NOTHING },
                "breadbox; fwd=stale; fwd-status=304; stored",
            ),
            (Outcome { served: Served::Refused, detail: Some("host"), ..NOTHING }, "breadbox; detail=host"),
            (Outcome { detail: Some("a \"b\\"), ..NOTHING }, "breadbox; detail=\"a \\\"b\\\\\""),
        ];
        for (outcome, expected) in cases {
            assert_eq!(member(&outcome, NOW), expected);
        }
    }

    #[test]
    fn our_member_is_appended_to_what_the_buffer_holds() {
        let mut line = b"origin; hit, ".to_vec();
        write_member(&Outcome { served: Served::Hit, ..NOTHING }, NOW, &mut line);
        assert_eq!(line, b"origin; hit, breadbox; hit");
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        use Forwarded::{Bypass, Method, Request, Stale, UriMiss, VaryMiss};
        let served = proptest::sample::select(Served::ALL.to_vec());
        let forwarded = proptest::sample::select(vec![Bypass, Method, Request, Stale, UriMiss, VaryMiss]);
        let forwarded = proptest::option::of(forwarded);
        let fresh_until = proptest::option::of(any::<u64>().prop_map(Timestamp::from_millis));
        let detail =
            proptest::option::of(proptest::sample::select(vec!["cookie", "no-route", "9", "", "a b", "é\u{7}"]));
        let rest = (any::<bool>(), any::<bool>(), proptest::option::of(100u16..999));
        (served, forwarded, fresh_until, detail, rest).prop_map(|(served, forwarded, fresh_until, detail, rest)| {
            let (stored, collapsed, fwd_status) = rest;
            Outcome { served, forwarded, fresh_until, stored, collapsed, fwd_status, detail }
        })
    }

    proptest! {
        #[test]
        fn every_outcome_is_a_structured_field_that_says_who_answered(outcome in outcome(), now in any::<u64>()) {
            let text = member(&outcome, Timestamp::from_millis(now));
            let list: List = Parser::new(&text).parse().expect("a structured field");
            let [ListEntry::Item(item)] = list.as_slice() else {
                panic!("one item: {text}");
            };
            let hit = matches!(outcome.served, Served::Hit | Served::StaleHit);
            prop_assert_eq!(item.params.get("hit").is_some(), hit);
            prop_assert_eq!(item.params.get("fwd").is_some(), !hit && outcome.forwarded.is_some());
            prop_assert!(matches!(&item.bare_item, BareItem::Token(name) if name.as_str() == NAME));
        }
    }
}
