//! What messages say about their own caching: `Cache-Control` (RFC 9111 §5.2), `CDN-Cache-Control`
//! (RFC 9213) and, of requests, `Pragma` (RFC 9111 §5.4). Reads, never decides.
//!
//! Where a value is broken, the reading that stores less counts: a lifetime that is not a number is
//! zero (§4.2.1), a directive that forbids something does so whatever argument it carries. Of
//! repeated lifetimes the first counts (§4.2.1). Unknown directives are ignored (§5.2.3).

mod directive;
mod request;
mod response;
mod targeted;

pub use request::RequestDirectives;
pub use response::{ResponseDirectives, Scope};

use super::fields::Fields;
use http::{HeaderName, header};
use std::time::Duration;

/// `CDN-Cache-Control` (RFC 9213 §3.1): addressed to caches like this one.
pub static CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The longest time that a message can name: 2³¹ seconds (RFC 9111 §1.2.2). Longer ones mean this.
pub const MAX_DELTA: Duration = Duration::from_secs(1 << 31);

/// What a response states about its caching, after the targeted field was weighed against the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stated {
    /// The directives that count.
    pub directives: ResponseDirectives,
    /// They come from `CDN-Cache-Control`, so that `Cache-Control` and `Expires` do not count (RFC 9213 §2.2).
    pub targeted: bool,
}

impl Stated {
    /// Reads a response's fields.
    pub fn of(fields: &Fields) -> Self {
        match ResponseDirectives::targeted(fields.get_all(&CDN_CACHE_CONTROL)) {
            Some(directives) => Stated { directives, targeted: true },
            None => Stated { directives: cache_control(fields), targeted: false },
        }
    }

    /// Whether a response says anything at all about its caching.
    pub fn is_silent(fields: &Fields) -> bool {
        ![&header::CACHE_CONTROL, &header::EXPIRES, &CDN_CACHE_CONTROL].into_iter().any(|name| fields.contains(name))
    }
}

/// What `Cache-Control` alone says.
pub fn cache_control(fields: &Fields) -> ResponseDirectives {
    ResponseDirectives::parse(fields.get_all(&header::CACHE_CONTROL))
}

/// Seconds (RFC 9111 §1.2.2): digits only, at most [`MAX_DELTA`]; `None` for anything else.
pub(crate) fn delta_seconds(digits: &[u8]) -> Option<Duration> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(Duration::from_secs(seconds).min(MAX_DELTA))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample::fields;

    #[test]
    fn a_valid_targeted_field_replaces_cache_control_and_expires() {
        // RFC 9213 §2.2.
        let stated = Stated::of(&fields(&[("cache-control", "no-store"), ("cdn-cache-control", "max-age=60")]));
        assert!(stated.targeted);
        assert!(!stated.directives.no_store);
        assert_eq!(stated.directives.max_age, Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_broken_or_empty_targeted_field_is_ignored_entirely() {
        for broken in ["max-age=60, &&&", "max-age=\"60\"", "max-age =60", "MaX-aGe=60", "max-age=-1", ""] {
            let stated = Stated::of(&fields(&[("cache-control", "no-store"), ("cdn-cache-control", broken)]));
            assert!(!stated.targeted, "{broken}");
            assert!(stated.directives.no_store, "{broken}");
        }
    }

    #[test]
    fn seconds_are_digits_and_saturate() {
        let seconds = |text: &str| delta_seconds(text.as_bytes()).map(|d| d.as_secs());
        assert_eq!(seconds("003600"), Some(3600));
        assert_eq!(seconds("2147483648"), Some(1 << 31));
        assert_eq!(seconds("99999999999"), Some(1 << 31));
        assert_eq!(seconds(&"9".repeat(400)), Some(1 << 31));
        for broken in ["", "-1", "+1", "1.0", "1a", "a1", " 1", "'1'"] {
            assert_eq!(seconds(broken), None, "{broken}");
        }
    }
}
