//! One server of an origin, as a URL without a path (RFC 3986 §3): `http://127.0.0.1:3000`.

use crate::config::file::mistake::Wrong;
use crate::config::{Scheme, Server};
use std::net::{Ipv4Addr, Ipv6Addr};

const EXAMPLE: &str = "write for example http://127.0.0.1:3000";

/// Reads a server. What may hold a password is not repeated in the message.
pub(super) fn server(text: &str) -> Result<Server, Wrong> {
    let (scheme, rest) = scheme(text)?;
    if rest.contains('@') {
        return Err(Wrong::secret("holds credentials, which are not sent", "write the URL without user and password"));
    }
    if rest.contains(['?', '#']) {
        return Err(Wrong::new("has a query or a fragment", "write scheme, host and port alone"));
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains('/') {
        return Err(Wrong::new("has a path", "write scheme, host and port alone; paths are forwarded as they come"));
    }
    let (host, port) = host_and_port(authority)?;
    let port = match port {
        None => scheme.default_port(),
        Some(port) => self::port(port)?,
    };
    Ok(Server { scheme, host: host.to_ascii_lowercase().into(), port })
}

fn scheme(text: &str) -> Result<(Scheme, &str), Wrong> {
    let known = [("http://", Scheme::Http), ("https://", Scheme::Https)];
    for (prefix, scheme) in known {
        let start = text.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix));
        if let Some(start) = start {
            return Ok((scheme, &text[start.len()..]));
        }
    }
    match text.split_once("://") {
        Some(_) => Err(Wrong::secret("has a scheme that is neither http nor https", EXAMPLE)),
        None => Err(Wrong::secret("has no scheme", EXAMPLE)),
    }
}

fn host_and_port(authority: &str) -> Result<(&str, Option<&str>), Wrong> {
    let wrong = || Wrong::new("has no host that is valid", EXAMPLE);
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, behind) = rest.split_once(']').ok_or_else(wrong)?;
        address.parse::<Ipv6Addr>().map_err(|_| wrong())?;
        let port = match behind {
            "" => None,
            _ => Some(behind.strip_prefix(':').ok_or_else(wrong)?),
        };
        return Ok((address, port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if is_name(host) || host.parse::<Ipv4Addr>().is_ok() { Ok((host, port)) } else { Err(wrong()) }
}

/// A name that could be resolved: labels of letters, digits, `-` and `_` (container names hold `_`).
/// What looks like an address has to be one.
fn is_name(host: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let name = host.strip_suffix('.').unwrap_or(host);
    let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= 253 && !numeric && name.split('.').all(|label| !label.is_empty() && label.bytes().all(known))
}

fn port(text: &str) -> Result<u16, Wrong> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| digits && *port > 0);
    port.ok_or_else(|| Wrong::new("has a port that is not valid", "write a port from 1 to 65535"))
}

#[cfg(test)]
mod tests {
    use super::server;

    #[test]
    fn a_server_is_scheme_host_and_port() {
        let cases = [
            ("http://127.0.0.1:3000", "127.0.0.1:3000"),
            ("HTTP://App_1:80/", "app_1"),
            ("https://app.internal", "app.internal"),
            ("https://[::1]:8443", "[::1]:8443"),
            ("http://[::1]", "[::1]"),
        ];
        for (text, authority) in cases {
            assert_eq!(server(text).map(|server| server.authority()), Ok(authority.to_owned()), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let cases = [
            "",
            "http://",
            "http://:80",
            "http:///",
            "127.0.0.1:3000",
            "ftp://a",
            "http://a/b",
            "http://a?x",
            "http://a#x",
            "http://u:p@a",
            "http://a:0",
            "http://a:65536",
            "http://a:",
            "http://a:+1",
            "http://a b",
            "http://é",
            "http://::1",
            "http://[::1",
            "http://[::1]x",
            "http://1.2.3",
            "http://256.1.1.1",
            "http://a..b",
            "é",
        ];
        for text in cases {
            assert!(server(text).is_err(), "{text:?}");
        }
    }
}
