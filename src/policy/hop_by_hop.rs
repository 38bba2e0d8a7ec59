//! Which fields belong to one connection only (RFC 9110 §7.6.1, RFC 9111 §3.1), in both directions.
//!
//! Strip a request before anything looks at it: a key or a `Vary` computed from a field that is then
//! taken off would describe a request that the origin never saw.

use super::fields::Fields;
use super::list::members;
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Fields that `Connection` cannot take off, because they decide what a message means, for whom it is
/// and how long it is kept: a peer that names them is mistaken or means harm. Sorted.
const NOT_TO_BE_NOMINATED: [&str; 40] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "age",
    "authorization",
    "cache-control",
    "cache-status",
    "cdn-cache-control",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-security-policy",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expires",
    "forwarded",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "origin",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "user-agent",
    "vary",
    "www-authenticate",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// Takes off what belongs to the connection: the well-known fields and those that `Connection` names.
pub fn strip_hop_by_hop(fields: &mut Fields) {
    let nominated = nominated(fields.get_all(&header::CONNECTION));
    fields.retain(|name, _| !is_hop_by_hop(name) && !nominated.contains(name));
}

/// Whether a field is about the connection, whether `Connection` names it or not.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The fields of an answer that are not passed on where it is proxied as it comes. What says where its
/// body ends, or that it switches protocols, stays: whoever writes the answer goes by that.
pub fn of_an_answer(headers: &HeaderMap) -> Vec<HeaderName> {
    let nominated = nominated(headers.get_all(header::CONNECTION));
    let stays = |name: &HeaderName| matches!(name.as_str(), "connection" | "transfer-encoding" | "trailer" | "upgrade");
    headers.keys().filter(|name| !stays(name) && (is_hop_by_hop(name) || nominated.contains(name))).cloned().collect()
}

/// The fields that `Connection` takes off besides the well-known ones.
fn nominated<'a>(connection: impl IntoIterator<Item = &'a HeaderValue>) -> Vec<HeaderName> {
    connection
        .into_iter()
        .flat_map(|value| members(value.as_bytes()))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| NOT_TO_BE_NOMINATED.binary_search(&name.as_str()).is_err())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample::fields;

    #[test]
    fn hop_by_hop_and_nominated_fields_go_and_the_rest_keeps_its_order() {
        // RFC 9110 §7.6.1; RFC 9111 §3.1.
        let mut sent = fields(&[
            ("x-first", "1"),
            ("connection", "a, B"),
            ("connection", "c"),
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("proxy-authentication-info", "x"),
            ("link", "</1>"),
            ("x-last", "2"),
            ("link", "</2>"),
        ]);
        strip_hop_by_hop(&mut sent);
        assert_eq!(sent, fields(&[("x-first", "1"), ("link", "</1>"), ("x-last", "2"), ("link", "</2>")]));
    }

    #[test]
    fn a_proxied_answer_keeps_its_framing_and_loses_the_rest() {
        let sent = [
            ("connection", "x-a, upgrade"),
            ("x-a", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("x-b", "2"),
        ];
        let headers = crate::policy::sample::request(&sent);
        let mut gone: Vec<String> = of_an_answer(&headers).iter().map(ToString::to_string).collect();
        gone.sort_unstable();
        assert_eq!(gone, ["keep-alive", "proxy-authenticate", "x-a"]);
    }

    #[test]
    fn nominations_cannot_take_off_fields_that_matter() {
        let kept = [("cache-control", "no-store"), ("vary", "cookie"), ("set-cookie", "a=b"), ("cookie", "s=1")];
        let mut sent = fields(&kept);
        sent.append(header::CONNECTION, "cache-control, Vary, set-cookie, cookie, close".parse().expect("a value"));
        strip_hop_by_hop(&mut sent);
        assert_eq!(sent, fields(&kept));
    }

    #[test]
    fn the_list_is_sorted_so_that_it_can_be_searched() {
        assert!(NOT_TO_BE_NOMINATED.is_sorted());
    }
}
