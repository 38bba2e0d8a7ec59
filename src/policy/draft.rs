//! The cookie that an editor gets from `POST /-/draft`: when it ends, signed with a key made from the
//! admin token, so that nobody else can make one and a new token ends them all. Requests that carry it
//! neither read nor write the cache.

use super::cookies::Cookies;
use super::request_fields::RequestFields;
use super::time::Timestamp;
use ring::hmac;
use std::time::Duration;

/// The name of the cookie.
pub const COOKIE: &str = "__breadbox_draft";

/// The longest that one is good for.
pub const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// What the key is for: the same token signs nothing else with it.
const PURPOSE: &[u8] = b"breadbox draft cookie 1";

/// A cookie's value that is good until `until`.
pub fn sign(token: &str, until: Timestamp) -> String {
    let millis = until.millis().to_string();
    let signature = hmac::sign(&key(token), millis.as_bytes());
    let hex: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{millis}.{hex}")
}

/// Whether a request carries such a cookie that is still good. Without a token none is.
pub fn is_draft<'a>(token: Option<&str>, headers: impl Into<RequestFields<'a>>, now: Timestamp) -> bool {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return false };
    Cookies::of(headers).values(COOKIE).any(|value| is_good(token, value, now))
}

fn is_good(token: &str, value: &[u8], now: Timestamp) -> bool {
    let Some((millis, hex)) = std::str::from_utf8(value).ok().and_then(|value| value.split_once('.')) else {
        return false;
    };
    let Ok(until) = millis.parse().map(Timestamp::from_millis) else { return false };
    let Some(signature) = unhex(hex) else { return false };
    now < until && hmac::verify(&key(token), millis.as_bytes(), &signature).is_ok()
}

fn key(token: &str) -> hmac::Key {
    let of_token = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&of_token, PURPOSE).as_ref())
}

fn unhex(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::COOKIE as COOKIE_FIELD;
    use http::{HeaderMap, HeaderValue};

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn is_draft_with(token: Option<&str>, value: &str) -> bool {
        let field = HeaderValue::from_str(&format!("a=1; {COOKIE}={value}")).unwrap();
        is_draft(token, &[(COOKIE_FIELD, field)].into_iter().collect::<HeaderMap>(), NOW)
    }

    #[test]
    fn only_what_was_signed_with_the_token_and_has_not_ended_is_a_draft() {
        let value = sign("token", Timestamp::from_millis(1_000_001));
        assert!(is_draft_with(Some("token"), &value));
        assert!(!is_draft_with(Some("other"), &value) && !is_draft_with(None, &value));
        assert!(!is_draft_with(Some(""), &sign("", Timestamp::from_millis(1_000_001))));
        assert!(!is_draft_with(Some("token"), &sign("token", NOW)), "it has ended");
        let later = value.replacen("1000001", "1000002", 1);
        assert!(!is_draft_with(Some("token"), &later), "nobody can make it last longer");
    }

    #[test]
    fn nonsense_is_no_draft() {
        for value in
            ["", ".", "1000001", "1000001.", "1000001.zz", "x.00", "1000001.é", "99999999999999999999.00", "1000001.+1"]
        {
            assert!(!is_draft_with(Some("token"), value), "{value}");
        }
    }
}
