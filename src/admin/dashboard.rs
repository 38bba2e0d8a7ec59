//! `GET /`: the dashboard, one page with everything in it. Its policy (CSP) lets run and show exactly the
//! script and the style that are in it, and lets it talk to this listener alone; it holds nothing of any
//! request, and the token that a person types never leaves the page but in an `Authorization` field.

use super::answer::Answer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderName, HeaderValue, StatusCode};
use ring::digest::{SHA256, digest};
use std::sync::LazyLock;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const FRAME: &str = include_str!("dashboard/page.html");
const STYLE: &str = include_str!("dashboard/style.css");
const SCRIPT: &str = include_str!("dashboard/script.js");
/// What of a browser the page may use: nothing.
const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");

static PAGE: LazyLock<String> =
    LazyLock::new(|| FRAME.replacen("/*STYLE*/", STYLE, 1).replacen("/*SCRIPT*/", SCRIPT, 1));

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        source(SCRIPT),
        source(STYLE)
    );
    HeaderValue::from_str(&policy).expect("the policy is ASCII")
});

/// The page.
pub(super) fn page() -> Answer {
    Answer::new(StatusCode::OK, HTML, PAGE.as_bytes().to_vec())
        .with(CONTENT_SECURITY_POLICY, POLICY.clone())
        .with(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
        .with(PERMISSIONS, HeaderValue::from_static("camera=(), geolocation=(), microphone=()"))
}

/// An inline text as a source of CSP (CSP Level 3 §2.3.1).
fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_exactly_what_is_in_the_page() {
        let inside = |open: &str, close: &str| {
            assert_eq!(PAGE.matches(open).count(), 1, "{open}");
            PAGE.split_once(open).unwrap().1.split_once(close).unwrap().0.to_owned()
        };
        let policy = POLICY.to_str().unwrap();
        assert!(policy.contains(&format!("script-src '{}'", source(&inside("<script>", "</script>")))), "{policy}");
        assert!(policy.contains(&format!("style-src '{}'", source(&inside("<style>", "</style>")))), "{policy}");
        // The vector of FIPS 180-2.
        assert_eq!(source("abc"), "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }

    #[test]
    fn the_page_takes_nothing_from_elsewhere_and_nothing_inline_escapes_the_policy() {
        for forbidden in ["http://", "https://", "//cdn", "@import", "innerHTML", "eval(", "localStorage", "style=\""] {
            assert!(!PAGE.replace("http://www.w3.org/2000/svg", "").contains(forbidden), "{forbidden}");
        }
        for handler in [" onclick=", " onload=", " onsubmit=", " src=", "javascript:"] {
            assert!(!PAGE.contains(handler), "{handler}");
        }
    }
}
