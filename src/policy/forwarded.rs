//! Fields by which a proxy tells an origin about a client: whose are believed, and what a bypass
//! carries (DESIGN §2.4, RFC 7239). No render carries a visitor's.

use super::admission::{Bypass, Incoming};
use super::host::Host;
use super::request_fields::RequestFields;
use crate::config::{Config, Scheme};
use http::header::{FORWARDED, HOST};
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use std::borrow::Cow;
use std::net::IpAddr;

/// `X-Forwarded-For`.
pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Host`.
pub(crate) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `X-Forwarded-Proto`.
pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// How the fields of a bypass differ from those of the client's request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BypassFields {
    /// Taken out first.
    pub remove: Vec<HeaderName>,
    /// Then set, in place of all fields of the same name.
    pub set: Vec<(HeaderName, HeaderValue)>,
}

/// What a bypass changes of the client's fields; everything else is passed as it came.
pub fn bypass_fields(config: &Config, bypass: &Bypass, incoming: &Incoming<'_>) -> BypassFields {
    let trusted = is_trusted(config, incoming.peer);
    let headers = incoming.headers;
    let host = config.origin(bypass.origin).host_header.clone().unwrap_or_else(|| host_value(&bypass.host));
    let mut set = vec![
        (HOST, host),
        (FORWARDED_FOR, forwarded_for(trusted, incoming)),
        (FORWARDED_PROTO, HeaderValue::from_static(bypass.scheme.as_str())),
    ];
    if !(trusted && names_one_host(headers)) {
        set.push((FORWARDED_HOST, host_value(&bypass.host)));
    }
    let named = headers.names().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    let remove = if trusted { Vec::new() } else { named.filter(is_forwarding).collect() };
    BypassFields { remove, set }
}

/// The scheme the client used, as far as anybody knows who may say so: the listener, or a trusted
/// peer. Of several values the last one counts: that is what the peer itself wrote.
pub(crate) fn client_scheme(config: &Config, incoming: &Incoming<'_>) -> Scheme {
    if !is_trusted(config, incoming.peer) {
        return incoming.listener_scheme;
    }
    let headers = incoming.headers;
    // A peer that sets `X-Forwarded-Proto` may pass a visitor's `Forwarded` on without knowing it.
    let said = match last_element(headers, &FORWARDED_PROTO) {
        Some(proto) => parse_scheme(proto),
        None => last_element(headers, &FORWARDED).and_then(forwarded_proto),
    };
    said.unwrap_or(incoming.listener_scheme)
}

/// Whether the request is from one of these networks. Behind a trusted peer its client counts, the last
/// address in `X-Forwarded-For` that is no trusted peer's: a proxy must not lend its visitors its own
/// address. A trusted peer that names nobody speaks for itself.
pub fn is_from(networks: &[IpNet], config: &Config, incoming: &Incoming<'_>) -> bool {
    let is_named = |address: IpAddr| networks.iter().any(|net| net.contains(&address.to_canonical()));
    client(config, incoming).is_some_and(is_named)
}

/// Who sent the request: the peer, or behind a trusted peer its client. `None` where that one names nobody
/// that can be understood.
pub fn client(config: &Config, incoming: &Incoming<'_>) -> Option<IpAddr> {
    if !is_trusted(config, incoming.peer) {
        return Some(incoming.peer);
    }
    let fields: Vec<&[u8]> = incoming.headers.all(&FORWARDED_FOR).collect();
    let hops = fields.iter().rev().flat_map(|field| field.rsplit(|&b| b == b',')).map(<[u8]>::trim_ascii);
    for hop in hops {
        match std::str::from_utf8(hop).ok().and_then(|hop| hop.parse::<IpAddr>().ok()) {
            Some(address) if is_trusted(config, address) => {}
            Some(client) => return Some(client),
            None => return None,
        }
    }
    Some(incoming.peer)
}

/// Whether a field speaks for a proxy, or makes an origin answer another request than the one in the
/// request line. `_` counts as `-`, because CGI and WSGI cannot tell them apart.
pub(crate) fn is_forwarding(name: &HeaderName) -> bool {
    let name = name.as_str();
    let name = if name.contains('_') { Cow::Owned(name.replace('_', "-")) } else { Cow::Borrowed(name) };
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&&*name)
}

const PREFIXES: [&str; 3] = ["x-forwarded-", "x-original-", "x-rewrite-"];

/// Sorted.
const NAMES: [&str; 35] = [
    "cdn-loop-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-visitor",
    "client-ip",
    "cloudfront-forwarded-proto",
    "fastly-client-ip",
    "forwarded",
    "front-end-https",
    "proxy",
    "proxy-client-ip",
    "true-client-ip",
    "wl-proxy-client-ip",
    "x-backend-host",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-forwarder-for",
    "x-host",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-middleware-subrequest",
    "x-originating-ip",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-scheme",
    "x-script-name",
    "x-url",
    "x-url-scheme",
    "x-wap-profile-host",
];

/// A host that [`Host`] has normalised, as a field value.
pub(crate) fn host_value(host: &str) -> HeaderValue {
    HeaderValue::from_str(host).expect("a normalised host is visible ASCII")
}

fn is_trusted(config: &Config, peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    config.trusted_proxies.iter().any(|net| net.contains(&peer))
}

fn names_one_host(headers: RequestFields<'_>) -> bool {
    headers.only(&FORWARDED_HOST).is_some_and(|field| Host::parse(field).is_ok())
}

fn forwarded_for(trusted: bool, incoming: &Incoming<'_>) -> HeaderValue {
    let peer = incoming.peer.to_canonical().to_string();
    let mut hops: Vec<&[u8]> = Vec::new();
    if trusted {
        hops.extend(incoming.headers.all(&FORWARDED_FOR));
        hops.retain(|hop| !hop.trim_ascii().is_empty());
    }
    hops.push(peer.as_bytes());
    HeaderValue::from_bytes(&hops.join(&b", "[..])).expect("field values and an address, joined by commas")
}

fn last_element<'a>(headers: RequestFields<'a>, name: &HeaderName) -> Option<&'a [u8]> {
    let field = headers.all(name).last()?;
    field.rsplit(|&b| b == b',').next().map(<[u8]>::trim_ascii)
}

/// The `proto` of one forwarded-element (RFC 7239 §4).
fn forwarded_proto(element: &[u8]) -> Option<Scheme> {
    element.split(|&b| b == b';').find_map(|pair| {
        let at = memchr::memchr(b'=', pair)?;
        let (name, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
        let value = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
        name.eq_ignore_ascii_case(b"proto").then(|| parse_scheme(value)).flatten()
    })
}

fn parse_scheme(raw: &[u8]) -> Option<Scheme> {
    [Scheme::Http, Scheme::Https].into_iter().find(|scheme| raw.eq_ignore_ascii_case(scheme.as_str().as_bytes()))
}

#[cfg(test)]
mod tests;
