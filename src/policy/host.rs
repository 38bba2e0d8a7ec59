//! Which host a request asks for (RFC 9110 §7.2, RFC 9112 §3.2), in one normal form: lower case, no
//! trailing dot, no default port. Only `Host` and the authority of an absolute-form target count;
//! forwarding fields never do, whoever sends them, because a host is part of a key.

use crate::config::Scheme;
use std::borrow::Cow;
use std::net::Ipv6Addr;
use thiserror::Error;

/// A host as it was asked for, normalised. The port is kept until the scheme tells whether it is the default.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host<'a> {
    name: Cow<'a, str>,
    port: Option<u16>,
    /// What was read, where that is the normal form of name and port.
    normal: Option<&'a str>,
}

/// Why a host cannot be served: the answer is 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HostError {
    /// Nothing stands where the host should.
    #[error("the host is empty")]
    Empty,
    /// Bytes that are in no registered name: user information, lists, encodings, control characters.
    #[error("the host has a byte that no host has")]
    BadByte,
    /// A label is empty or the name too long.
    #[error("the host is not a name or an address")]
    BadName,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    BadPort,
}

/// RFC 1035 §2.3.4, as text.
const MAX_NAME: usize = 253;

impl<'a> Host<'a> {
    /// Reads the value of a `Host` field or an authority without user information.
    ///
    /// # Errors
    /// Whatever is not exactly one name, IPv4 or IPv6 address with at most one port.
    pub fn parse(raw: &'a [u8]) -> Result<Host<'a>, HostError> {
        let raw = std::str::from_utf8(raw).map_err(|_| HostError::BadByte)?;
        if let Some(literal) = raw.strip_prefix('[') {
            let (address, port) = literal.split_once(']').ok_or(HostError::BadName)?;
            let address: Ipv6Addr = address.parse().map_err(|_| HostError::BadName)?;
            return Host::new(raw, format!("[{address}]").into(), port);
        }
        let (name, port) = memchr::memchr(b':', raw.as_bytes()).map_or((raw, ""), |colon| raw.split_at(colon));
        Host::new(raw, parse_name(name)?, port)
    }

    fn new(raw: &'a str, name: Cow<'a, str>, port: &str) -> Result<Self, HostError> {
        let is_normal = matches!(name, Cow::Borrowed(_)) && name.len() + port.len() == raw.len();
        let normal = (is_normal && !port.starts_with(":0") && port != ":").then_some(raw);
        Ok(Host { name, port: parse_port(port)?, normal })
    }

    /// The name without a port; IPv6 in brackets.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name, with the port where it is not the default one of `scheme`.
    pub fn authority(&self, scheme: Scheme) -> Cow<'_, str> {
        let Some(port) = self.port.filter(|port| *port != scheme.default_port()) else {
            return Cow::Borrowed(&self.name);
        };
        self.normal.map_or_else(|| Cow::Owned(format!("{}:{port}", self.name)), Cow::Borrowed)
    }

    /// Whether `entry` of the file means this host: without a port it means the name on every port.
    pub fn is_meant_by(&self, entry: &str) -> bool {
        let Some(rest) = entry.strip_prefix(&*self.name) else { return false };
        match rest.strip_prefix(':') {
            None => rest.is_empty(),
            Some(port) => self.port.is_some() && port.parse().ok() == self.port,
        }
    }
}

/// An octet that is in no name.
const BAD: u8 = 1;
/// An octet that is written differently in the normal form.
const UPPER: u8 = 2;
/// What each octet is.
const KINDS: [u8; 256] = {
    let mut kinds = [BAD; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if byte.is_ascii_uppercase() {
            kinds[at] = UPPER;
        } else if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
            kinds[at] = 0;
        }
        at += 1;
    }
    kinds
};

fn parse_name(raw: &str) -> Result<Cow<'_, str>, HostError> {
    if raw.is_empty() {
        return Err(HostError::Empty);
    }
    let kinds = raw.bytes().fold(0, |kinds, byte| kinds | KINDS[usize::from(byte)]);
    if kinds & BAD != 0 {
        return Err(HostError::BadByte);
    }
    let name = raw.strip_suffix('.').unwrap_or(raw);
    let bytes = name.as_bytes();
    let has_empty_label = bytes.first().is_none_or(|&byte| byte == b'.')
        || bytes.ends_with(b".")
        || bytes.windows(2).any(|pair| pair == b"..");
    if name.len() > MAX_NAME || has_empty_label {
        return Err(HostError::BadName);
    }
    let is_normal = kinds & UPPER == 0;
    Ok(if is_normal { Cow::Borrowed(name) } else { Cow::Owned(name.to_ascii_lowercase()) })
}

/// Reads nothing, `:` (RFC 3986 §3.2.3 allows an empty port) or `:` and digits.
fn parse_port(raw: &str) -> Result<Option<u16>, HostError> {
    if raw.is_empty() || raw == ":" {
        return Ok(None);
    }
    let digits = raw.strip_prefix(':').ok_or(HostError::BadName)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(HostError::BadPort);
    }
    digits.parse().ok().filter(|port| *port != 0).map(Some).ok_or(HostError::BadPort)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn authority(raw: &str, scheme: Scheme) -> Result<String, HostError> {
        Host::parse(raw.as_bytes()).map(|host| host.authority(scheme).into_owned())
    }

    #[test]
    fn one_host_has_one_form() {
        for raw in
            ["shop.example.com", "SHOP.Example.com", "shop.example.com.", "shop.example.com:80", "shop.example.com:"]
        {
            assert_eq!(authority(raw, Scheme::Http).as_deref(), Ok("shop.example.com"), "{raw}");
        }
        assert_eq!(authority("a.b.:0080", Scheme::Http).as_deref(), Ok("a.b"));
        assert_eq!(authority("a.b:80", Scheme::Https).as_deref(), Ok("a.b:80"));
        assert_eq!(authority("a.b:443", Scheme::Https).as_deref(), Ok("a.b"));
        assert_eq!(authority("[0:0::1]:8080", Scheme::Http).as_deref(), Ok("[::1]:8080"));
        assert_eq!(authority("127.0.0.1:3000", Scheme::Http).as_deref(), Ok("127.0.0.1:3000"));
    }

    #[test]
    fn what_is_not_one_host_is_refused() {
        for raw in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a..",
            ":80",
            "a:b",
            "a:0",
            "a:65536",
            "a:80:80",
            "a:+80",
            "user@a",
            "a b",
            "a,b",
            "a/b",
            "a%2eb",
            "é",
            "a\0",
            "[::1",
            "::1",
            "[::1]x",
            "[fe80::1%25eth0]",
            "[v1.x]",
            "[]",
            "a\\b",
            "a?b",
            "a#b",
        ] {
            assert!(Host::parse(raw.as_bytes()).is_err(), "{raw:?}");
        }
        assert!(Host::parse(&[b'a'; 254]).is_err());
    }

    #[test]
    fn an_entry_without_a_port_means_every_port() {
        let host = Host::parse(b"A.com:8080").unwrap();
        assert!(host.is_meant_by("a.com") && host.is_meant_by("a.com:8080"));
        for entry in ["a.com:80", "a.co", "a.com.evil", "b.com", "a.com:", ""] {
            assert!(!host.is_meant_by(entry), "{entry}");
        }
        let bare = Host::parse(b"a.com").unwrap();
        assert!(!bare.is_meant_by("a.com:") && !bare.is_meant_by("a.com:x"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_the_normal_form_stays(raw in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(host) = Host::parse(&raw) {
                let text = host.authority(Scheme::Http).into_owned();
                let again = Host::parse(text.as_bytes()).unwrap();
                prop_assert_eq!(&*again.authority(Scheme::Http), &*text);
            }
        }

        #[test]
        fn names_and_ports_stay_in_normal_form(raw in "[A-Za-z.]{1,6}\\.?(:[0-9]{0,6})?|\\[[0-9a-f:]{2,12}\\](:[0-9]{0,5})?") {
            if let Ok(host) = Host::parse(raw.as_bytes()) {
                let text = host.authority(Scheme::Https).into_owned();
                let again = Host::parse(text.as_bytes()).unwrap();
                prop_assert_eq!(&*again.authority(Scheme::Https), &*text);
            }
        }
    }
}
