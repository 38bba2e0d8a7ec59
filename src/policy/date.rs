//! HTTP dates (RFC 9110 §5.6.7): reads the three forms, writes the first. Knows no clock.
//!
//! The date itself is `httpdate`'s to read. What is forgiven on top of it: letter case, and a weekday
//! that does not belong to the date, because it says nothing that the date does not say.

use super::fields::Fields;
use super::time::Timestamp;
use http::{HeaderName, HeaderValue, header};
use std::time::{Duration, UNIX_EPOCH};

/// No date in any of the three forms is longer, in bytes.
const MAX_DATE: usize = 40;
/// The last second that an HTTP date can name: the end of the year 9999, in seconds since 1970.
const LAST_SECOND: u64 = 253_402_300_799;

const SHORT_DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const LONG_DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Reads a date; `None` for whatever is not one.
pub fn parse(value: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(value).ok()?;
    if text.len() > MAX_DATE {
        return None;
    }
    if let Ok(time) = httpdate::parse_http_date(text) {
        return Some(Timestamp::from_system(time));
    }
    let text = cased(text.trim());
    let (day, rest) = text.split_at(text.find(|c: char| !c.is_ascii_alphabetic())?);
    let days = [SHORT_DAYS, LONG_DAYS].into_iter().find(|days| days.contains(&day))?;
    let time = days.into_iter().find_map(|day| httpdate::parse_http_date(&format!("{day}{rest}")).ok())?;
    Some(Timestamp::from_system(time))
}

/// The date in the first field called `name`; `None` where there is none or it is malformed.
pub fn of(fields: &Fields, name: &HeaderName) -> Option<Timestamp> {
    fields.get(name).and_then(|value| parse(value.as_bytes()))
}

/// Writes a date, to the second; from the year 10000 on it is the last second of 9999.
pub fn format(at: Timestamp) -> HeaderValue {
    let since = Duration::from_secs((at.millis() / 1000).min(LAST_SECOND));
    let text = httpdate::fmt_http_date(UNIX_EPOCH + since);
    HeaderValue::from_str(&text).expect("an HTTP date is visible ASCII")
}

/// What `Expires` says (RFC 9111 §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    /// Nothing.
    Absent,
    /// Fresh until then.
    At(Timestamp),
    /// Expired already: malformed, or repeated with different values.
    Expired,
}

/// Reads `Expires`; every malformed value counts as expired.
pub fn expires(fields: &Fields) -> Expires {
    let mut values = fields.get_all(&header::EXPIRES);
    let Some(first) = values.next() else {
        return Expires::Absent;
    };
    // RFC 9111 §4.2.1 leaves the choice between the first and none; two origins disagreeing is no promise.
    if values.any(|value| value != first) {
        return Expires::Expired;
    }
    parse(first.as_bytes()).map_or(Expires::Expired, Expires::At)
}

/// Every word with an upper-case first letter, except for the zone.
fn cased(text: &str) -> String {
    let mut inside = false;
    let cased: String = text
        .chars()
        .map(|c| {
            let out = if inside { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
            inside = c.is_ascii_alphabetic();
            out
        })
        .collect();
    cased.replace("Gmt", "GMT")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample::fields;
    use proptest::prelude::*;

    const AUG_18_2050: u64 = 2_544_400_878_000;

    fn millis(text: &str) -> Option<u64> {
        parse(text.as_bytes()).map(Timestamp::millis)
    }

    #[test]
    fn all_three_forms_of_a_date_are_read() {
        // RFC 9110 §5.6.7.
        assert_eq!(millis("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(millis("Sunday, 06-Nov-94 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(millis("Sun Nov  6 08:49:37 1994"), Some(784_111_777_000));
    }

    #[test]
    fn letter_case_and_a_wrong_weekday_are_forgiven() {
        for text in [
            "Thu, 18 Aug 2050 02:01:18 GMT",
            "THU, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 AUG 2050 02:01:18 gMT",
            "Mon, 18 Aug 2050 02:01:18 GMT",
            "friday, 18-aug-50 02:01:18 gmt",
            "Sat Aug 18 02:01:18 2050",
        ] {
            assert_eq!(millis(text), Some(AUG_18_2050), "{text}");
        }
    }

    #[test]
    fn whatever_is_not_a_date_is_none() {
        for text in [
            "",
            "0",
            "-1",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 31 Feb 2050 02:01:18 GMT",
            "Thx, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:18 GMT",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn a_malformed_or_contradicting_expires_is_expired() {
        // RFC 9111 §5.3: a cache MUST interpret invalid date formats as in the past.
        assert_eq!(expires(&Fields::new()), Expires::Absent);
        assert_eq!(expires(&fields(&[("expires", "0")])), Expires::Expired);
        let date = "Thu, 18 Aug 2050 02:01:18 GMT";
        let at = Expires::At(Timestamp::from_millis(AUG_18_2050));
        assert_eq!(expires(&fields(&[("expires", date)])), at);
        assert_eq!(expires(&fields(&[("expires", date), ("expires", date)])), at);
        assert_eq!(expires(&fields(&[("expires", date), ("expires", "0")])), Expires::Expired);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn near_misses_are_read_without_a_panic(text in "[MTWFS][a-z]{2,8},? ?[0-9]{1,2}[ -][A-Z][a-z]{2}[ -][0-9]{2,4} [0-9:.]{4,9} [A-Z]{3}") {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn what_was_written_is_read_again(millis in any::<u64>()) {
            let written = format(Timestamp::from_millis(millis));
            let read = parse(written.as_bytes()).expect("a written date is a date");
            prop_assert_eq!(read.millis(), (millis / 1000).min(LAST_SECOND) * 1000);
        }
    }
}
