//! What of a request belongs to one connection and not to the request (RFC 9110 §7.6.1).

use super::request_fields::{Known, RequestFields};
use http::HeaderName;
use http::header::{
    CONNECTION, EXPECT, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// Whether a field is for the next hop only, nominated or not.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    const STANDARD: [HeaderName; 8] =
        [CONNECTION, EXPECT, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    STANDARD.contains(name) || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}

static KNOWN_CONNECTION: Known = Known::new("connection");

/// Whether `Connection` nominates a field that the request carries and that is not hop-by-hop by itself.
///
/// Nobody honest does that. Such a field would count when a page is chosen and be gone when the
/// origin is asked, so one visitor could store a page under another's key.
pub(crate) fn nominates_what_counts(headers: RequestFields<'_>) -> bool {
    if !headers.has(&KNOWN_CONNECTION) {
        return false;
    }
    let fields = headers.all(&CONNECTION);
    let mut nominated = fields.flat_map(|field| field.split(|&b| b == b',')).map(<[u8]>::trim_ascii);
    let is_there = |token: &[u8]| headers.names().any(|name| name.as_bytes().eq_ignore_ascii_case(token));
    nominated.any(|token| is_there(token) && HeaderName::from_bytes(token).is_ok_and(|name| !is_hop_by_hop(&name)))
}
