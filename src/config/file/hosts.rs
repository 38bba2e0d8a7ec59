//! Who is served and who is believed: `hosts`, a route's `host`, `trusted_proxies`.
//!
//! A host is kept in the form in which requests are compared (DESIGN §2.1): lower case, no trailing
//! dot, no port (RFC 9110 §4.2.3, RFC 3986 §3.2.2).

use super::mistake::Wrong;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};

/// A host as requests name it, in the normal form. IPv6 addresses keep their brackets.
pub(super) fn host(text: &str) -> Result<Box<str>, Wrong> {
    if text.contains("://") || text.contains('/') {
        return Err(Wrong::new("is a URL", "write the host alone, as in shop.example.com"));
    }
    if text.contains('*') {
        return Err(Wrong::new("has a wildcard", "list every host, or take hosts out to serve any"));
    }
    if text.starts_with('[') {
        return ipv6(text);
    }
    if let Some((name, _)) = text.split_once(':') {
        return Err(Wrong::new("has a port", "write it without; a host counts on every port")
            .suggest(format!("write {name}; a host counts on every port")));
    }
    if !text.is_ascii() {
        return Err(Wrong::new("is not ASCII", "write its punycode form, xn--…"));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err(Wrong::new("is not a host", "write a name or an address, as in shop.example.com"));
    }
    Ok(name.to_ascii_lowercase().into())
}

fn ipv6(text: &str) -> Result<Box<str>, Wrong> {
    let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match address.and_then(|address| address.parse::<Ipv6Addr>().ok()) {
        Some(_) => Ok(text.to_ascii_lowercase().into()),
        None => Err(Wrong::new("is not a host", "write an IPv6 address in brackets and without a port, as in [::1]")),
    }
}

/// Host names may hold `_` in practice, though RFC 952 does not know it.
fn is_label(label: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len()) && label.bytes().all(known)
}

/// A network of peers, or one peer.
pub(super) fn network(text: &str) -> Result<IpNet, Wrong> {
    let single = || text.parse::<IpAddr>().map(IpNet::from);
    let network = text.parse::<IpNet>().or_else(|_| single());
    let remedy = "write for example 10.0.0.0/8, 192.0.2.7 or fd00::/8";
    network.map(|network| network.trunc()).map_err(|_| Wrong::new("is not a network or an address", remedy))
}

#[cfg(test)]
mod tests {
    use super::{host, network};

    #[test]
    fn hosts_are_kept_in_the_form_in_which_requests_are_compared() {
        let cases = [("Shop.Example.COM.", "shop.example.com"), ("127.0.0.1", "127.0.0.1"), ("[::A]", "[::a]")];
        for (text, normal) in cases {
            assert_eq!(host(text).as_deref(), Ok(normal), "{text}");
        }
        for text in ["", ".", "a..b", "a b", "a:80", "[::1]:80", "http://a", "a/b", "*.a", "é.fr", "[::g]", "-\0"] {
            assert!(host(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_peer_is_a_network_of_one() {
        assert_eq!(network("192.0.2.7").map(|net| net.to_string()), Ok("192.0.2.7/32".to_owned()));
        assert_eq!(network("10.1.2.3/8").map(|net| net.to_string()), Ok("10.0.0.0/8".to_owned()));
        assert!(network("10.0.0.0/33").is_err() && network("proxy").is_err());
    }
}
