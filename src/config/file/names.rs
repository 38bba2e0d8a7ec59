//! Names of header fields, cookies and query parameters, and which of them may do what.

use super::mistake::Wrong;
use http::{HeaderName, HeaderValue};

/// Request fields that a render never carries as a visitor sent them (DESIGN §2.4), with what to write instead.
const NEVER_KEYED: &[(&str, &str)] = &[
    ("cookie", "name the cookies that count in vary.cookies"),
    ("accept-encoding", "take it out; Breadbox negotiates encodings itself"),
    ("authorization", "take it out; requests with credentials are a bypass"),
    ("host", "take it out; the host is part of every key"),
    ("cache-control", "take it out, or see honour_request_cache_control"),
    ("pragma", "take it out, or see honour_request_cache_control"),
];

/// Fields of one connection (RFC 9110 §7.6.1), of framing and of proxies.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "expect",
    "via",
    "max-forwards",
];

/// Conditions and ranges: Breadbox answers them from the page (RFC 9110 §13, §14).
const CONDITIONAL: &[&str] =
    &["range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"];

/// Beginnings of the fields in which proxies name the client and the original request.
const FORWARDING: &[&str] =
    &["x-forwarded-", "forwarded", "x-real-ip", "x-original-", "x-rewrite-", "x-http-method", "x-method-override"];

/// Response fields without which a client would misread the answer; as tags they would be taken off.
const NOT_TAGS: &[&str] = &[
    "age",
    "cache-control",
    "cache-status",
    "content-encoding",
    "content-language",
    "content-location",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
    "location",
    "set-cookie",
    "vary",
    "www-authenticate",
];

/// The name of a header field (RFC 9110 §5.1).
fn header(text: &str) -> Result<HeaderName, Wrong> {
    HeaderName::try_from(text)
        .map_err(|_| Wrong::new("is not the name of a header field", "write for example Accept-Language"))
}

/// A request field that may tell pages of one URL apart.
pub(super) fn vary_header(text: &str) -> Result<HeaderName, Wrong> {
    let name = header(text)?;
    let lower = name.as_str();
    if let Some((_, remedy)) = NEVER_KEYED.iter().find(|(field, _)| *field == lower) {
        return Err(Wrong::new("cannot tell pages apart", *remedy));
    }
    if CONDITIONAL.contains(&lower) {
        return Err(Wrong::new(
            "cannot tell pages apart",
            "take it out; conditions and ranges are answered from the page",
        ));
    }
    if HOP_BY_HOP.contains(&lower) || FORWARDING.iter().any(|start| lower.starts_with(start)) {
        return Err(Wrong::new("cannot tell pages apart", "take it out; it is never sent with a render"));
    }
    Ok(name)
}

/// A response field that carries tags.
pub(super) fn tag_header(text: &str) -> Result<HeaderName, Wrong> {
    let name = header(text)?;
    if NOT_TAGS.contains(&name.as_str()) || HOP_BY_HOP.contains(&name.as_str()) {
        return Err(Wrong::new("cannot carry tags: clients need it", "write for example Cache-Tag"));
    }
    Ok(name)
}

/// The value of a header field, not empty (RFC 9110 §5.5).
pub(super) fn header_value(text: &str) -> Result<HeaderValue, Wrong> {
    let value = HeaderValue::from_str(text).ok().filter(|_| text.is_ascii() && !text.trim().is_empty());
    value.ok_or_else(|| Wrong::new("cannot be sent in a header field", "write printable ASCII on one line"))
}

/// The name of a cookie: a token (RFC 6265 §4.1.1).
pub(super) fn cookie(text: &str) -> Result<Box<str>, Wrong> {
    if text.contains('*') {
        return Err(Wrong::new("is a pattern", "write the whole name of the cookie"));
    }
    cookie_pattern(text)
}

/// The name of a cookie, in which one `*` stands for any run of characters.
pub(super) fn cookie_pattern(text: &str) -> Result<Box<str>, Wrong> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) {
        return pattern(text, "write cookies: any");
    }
    Err(Wrong::new("is not the name of a cookie", "write for example session, or wordpress_logged_in_*"))
}

/// The name of a tracking parameter, in which one `*` stands for any run of characters.
pub(super) fn tracking(text: &str) -> Result<Box<str>, Wrong> {
    pattern(&parameter(text)?, "write query: none in the routes")
}

/// The name of a query parameter whose value is not logged, in which one `*` stands for any run of characters.
pub(super) fn redacted(text: &str) -> Result<Box<str>, Wrong> {
    pattern(&parameter(text)?, "write redact: all")
}

/// The name of a query parameter as a form or a program writes it, not percent-encoded.
pub(super) fn parameter(text: &str) -> Result<Box<str>, Wrong> {
    if text.is_empty() || text.contains(['=', '&', '?', '#']) {
        return Err(Wrong::new("is not the name of a query parameter", "write for example page"));
    }
    Ok(text.into())
}

fn pattern(text: &str, everything: &str) -> Result<Box<str>, Wrong> {
    match text.bytes().filter(|byte| *byte == b'*').count() {
        0 => Ok(text.into()),
        1 if text.len() > 1 => Ok(text.into()),
        1 => Err(Wrong::new("takes every name", everything)),
        _ => Err(Wrong::new("has more than one *", "write one * in each name")),
    }
}
