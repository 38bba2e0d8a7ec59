//! The `Retry-After` field of an origin's answer (RFC 9110 §10.2.3).

use crate::policy::{Fields, Timestamp};
use http::header::RETRY_AFTER;
use std::time::Duration;

/// How long the origin asks to be left alone, from `now`: seconds or a date. `None` where it does not
/// say or says it badly; a date that has passed is zero. Not bounded: the caller bounds it.
pub fn retry_after(fields: &Fields, now: Timestamp) -> Option<Duration> {
    let value = fields.get(&RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only overflow is left to go wrong, and more seconds than fit are very many.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(Timestamp::from_system(date).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asked(value: &str) -> Option<Duration> {
        // 1994-11-06 08:49:37 GMT
        let now = Timestamp::from_millis(784_111_777_000);
        let mut fields = Fields::new();
        fields.append(RETRY_AFTER, HeaderValue::from_str(value).expect("a legal value"));
        retry_after(&fields, now)
    }

    #[test]
    fn seconds_and_dates_are_understood_and_nothing_else_is() {
        assert_eq!(asked("120"), Some(Duration::from_secs(120)));
        assert_eq!(asked("0"), Some(Duration::ZERO));
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:07 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("99999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        for bad in ["", "soon", "-5", "+5", "1.5", "5 s"] {
            assert_eq!(asked(bad), None, "{bad:?}");
        }
        assert_eq!(retry_after(&Fields::new(), Timestamp::EPOCH), None);
    }
}
