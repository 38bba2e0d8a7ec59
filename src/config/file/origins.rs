//! The backends that render: `origins.NAME`.

mod server;

use super::cursor::{At, Keys, Shape};
use super::mistake::Wrong;
use super::names;
use super::schema;
use crate::config::{Ca, Origin, Scheme, Server};
use http::HeaderValue;
use http::uri::Authority;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What renders say they are: a browser, because Next.js streams metadata differently to what it does not know.
const USER_AGENT: &str = concat!(
    "Mozilla/5.0 (compatible; breadbox/",
    env!("CARGO_PKG_VERSION_MAJOR"),
    ".",
    env!("CARGO_PKG_VERSION_MINOR"),
    ")"
);

/// Bytes of a file of certificates; what Debian ships as the whole web's is 220 KiB.
const MAX_CA: u64 = 4 << 20;

/// Characters of an origin's name; it is a metric label.
const MAX_NAME: usize = 64;

/// The origins, in the order of the file.
pub(super) fn origins(file: &Keys<'_>) -> Vec<Arc<Origin>> {
    let at = file.key("origins");
    let remedy = "write origins: { web: { servers: [ \"http://127.0.0.1:3000\" ] } }";
    if !at.is_set() && matches!(file.at().shape(), Shape::Absent | Shape::Map) {
        at.wrong("is missing: there is no backend to ask", remedy);
    }
    let entries = at.entries();
    if at.shape() == Shape::Map && entries.is_empty() {
        at.wrong("is empty: there is no backend to ask", remedy);
    }
    entries.into_iter().map(|(name, at)| Arc::new(origin(name, &at))).collect()
}

fn origin(name: &str, at: &At<'_>) -> Origin {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(known) {
        at.wrong("is not a name", format!("write at most {MAX_NAME} letters, digits, - and _"));
    }
    let keys = at.section(&schema::ORIGIN);
    let servers = servers(&keys);
    let ca = ca(&keys.key("ca"));
    // Servers with a mistake are not among `servers`, and may have been https.
    let all_http = servers.iter().all(|server| server.scheme == Scheme::Http);
    if ca.is_some() && all_http && servers.len() == keys.key("servers").items().len() {
        let remedy = "write https:// servers, or take it out";
        keys.key("ca").wrong("has no effect: no server of this origin is https://", remedy);
    }
    let seconds = |key, default| keys.key(key).timeout(Duration::from_secs(default));
    Origin {
        name: name.into(),
        host_header: keys.key("host_header").read(host_header),
        public_scheme: keys.key("public_scheme").choice(&[("http", Scheme::Http), ("https", Scheme::Https)]),
        ca,
        user_agent: user_agent(&keys.key("user_agent")),
        servers,
        connect_timeout: seconds("connect_timeout", 2),
        first_byte_timeout: seconds("first_byte_timeout", 30),
        between_bytes_timeout: seconds("between_bytes_timeout", 10),
        render_timeout: seconds("render_timeout", 60),
        keepalive_timeout: keys.key("keepalive_timeout").timeout(Duration::from_millis(1500)),
        max_renders: keys.key("max_renders").positive(16, 65_535),
        max_waiting: keys.key("max_waiting").count(1024, 0..=1_000_000),
        queue_timeout: seconds("queue_timeout", 30),
    }
}

fn servers(keys: &Keys<'_>) -> Vec<Server> {
    let at = keys.key("servers");
    if at.items().is_empty() && matches!(keys.at().shape(), Shape::Absent | Shape::Map) {
        let place = if at.is_set() { &at } else { keys.at() };
        place.wrong("has no servers", "write servers: [ \"http://127.0.0.1:3000\" ]");
    }
    at.set(server::server)
}

/// A host, with its port if it has one, as it stands in a `Host` field (RFC 9110 §7.2).
fn host_header(text: &str) -> Result<HeaderValue, Wrong> {
    let authority = text.parse::<Authority>().ok().filter(|authority| !authority.as_str().contains('@'));
    let value = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    value.ok_or_else(|| Wrong::new("is not a host", "write for example shop.example.com"))
}

fn user_agent(at: &At<'_>) -> HeaderValue {
    at.read(names::header_value).unwrap_or(HeaderValue::from_static(USER_AGENT))
}

fn ca(at: &At<'_>) -> Option<Ca> {
    at.read(|text| read_ca(&at.cx.resolve(text)))
}

fn read_ca(path: &Path) -> Result<Ca, Wrong> {
    let pem = read_bounded(path).map_err(|error| {
        Wrong::new(format!("cannot be read ({error})"), "write the path of a file, relative to this one")
    })?;
    if pem.len() as u64 > MAX_CA {
        return Err(Wrong::new("is larger than 4MiB", "write a file that holds only certificates"));
    }
    let remedy = "write a PEM file with -----BEGIN CERTIFICATE-----";
    let mut certificates = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| Wrong::new(format!("is not a PEM file ({error})"), remedy))?;
        webpki::anchor_from_trusted_cert(&certificate)
            .map_err(|error| Wrong::new(format!("holds what is not a certificate ({error})"), remedy))?;
        certificates += 1;
    }
    if certificates == 0 {
        return Err(Wrong::new("holds no certificate", remedy));
    }
    Ok(Ca { path: path.to_owned(), pem: pem.into() })
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_CA + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
