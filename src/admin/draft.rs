//! `POST /-/draft`: a cookie with which an editor's requests neither read nor write the cache. Whoever
//! has the token hands it on; on the same host the answer sets it.

use super::answer::Answer;
use crate::config::units;
use crate::policy::Timestamp;
use crate::policy::draft::{COOKIE, LONGEST, sign};
use http::HeaderValue;
use http::header::SET_COOKIE;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a draft cookie is good for where the request does not say.
const DEFAULT: Duration = Duration::from_secs(3600);

/// Makes the cookie. The body is empty or `{"for": "1h"}`.
pub(super) fn draft(body: &[u8], token: &str, now: Timestamp) -> Answer {
    let length = match length(body) {
        Ok(length) => length,
        Err(why) => return Answer::bad(&why),
    };
    let value = sign(token, now.later(length));
    let cookie = format!("{COOKIE}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax", length.as_secs());
    let document = json!({ "cookie": { "name": COOKIE, "value": value }, "max_age": length.as_secs() });
    let answer = Answer::json(&document);
    match HeaderValue::from_str(&cookie) {
        Ok(cookie) => answer.with(SET_COOKIE, cookie),
        Err(_) => answer,
    }
}

fn length(body: &[u8]) -> Result<Duration, String> {
    if body.trim_ascii().is_empty() {
        return Ok(DEFAULT);
    }
    let document: Value = serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    let wrong = || format!("write {{\"for\": \"1h\"}}, at least 1s and at most {}", units::show_duration(LONGEST));
    let members = document.as_object().filter(|members| members.keys().all(|name| name == "for")).ok_or_else(wrong)?;
    let Some(text) = members.get("for") else { return Ok(DEFAULT) };
    let length = text.as_str().and_then(|text| units::duration(text).ok());
    length.filter(|length| (Duration::from_secs(1)..=LONGEST).contains(length)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_draft_lasts_can_be_said() {
        let hour = Duration::from_secs(3600);
        for (body, expected) in [("", hour), ("{}", hour), (r#"{"for": "5m"}"#, Duration::from_secs(300))] {
            assert_eq!(length(body.as_bytes()), Ok(expected), "{body}");
        }
        for body in ["x", "[]", r#"{"ttl": "5m"}"#, r#"{"for": 5}"#, r#"{"for": "8d"}"#, r#"{"for": "0"}"#] {
            assert!(length(body.as_bytes()).is_err(), "{body}");
        }
    }
}
