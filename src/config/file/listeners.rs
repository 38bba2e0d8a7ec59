//! Where Breadbox listens: `listeners` and `admin`, and that no two of them want the same socket.

use super::certificates;
use super::cursor::At;
use super::mistake::Wrong;
use super::schema;
use crate::config::{Admin, Limits, Listener};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

const LISTENER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9145);

/// The longest token: it is sent in a header field.
const MAX_TOKEN: usize = 1024;

/// The listeners, at least one, and the admin listener. What stands in the file is measured against
/// the defaults, not the other way round: a mistake should have a line.
pub(super) fn listeners(listeners: &At<'_>, admin: &At<'_>, hosts: Option<&[Box<str>]>) -> (Vec<Listener>, Admin) {
    let mut taken: Vec<Taken> = Vec::new();
    if admin.is_set() {
        let read = public(listeners, hosts, &mut taken);
        return (read, self::admin(admin, &mut taken));
    }
    let admin = self::admin(admin, &mut taken);
    (public(listeners, hosts, &mut taken), admin)
}

fn public(listeners: &At<'_>, hosts: Option<&[Box<str>]>, taken: &mut Vec<Taken>) -> Vec<Listener> {
    if !listeners.is_set() {
        claim(taken, listeners, LISTENER);
        return vec![Listener { address: LISTENER, limits: limits(listeners), tls: Vec::new(), h2c: false }];
    }
    let items = listeners.items();
    if items.is_empty() {
        listeners.wrong("is empty", format!("write at least one, or take it out for {LISTENER}"));
    }
    items.iter().map(|at| listener(at, hosts, taken)).collect()
}

fn listener(at: &At<'_>, hosts: Option<&[Box<str>]>, taken: &mut Vec<Taken>) -> Listener {
    let keys = at.section(&schema::LISTENER);
    let address_at = keys.key("address");
    let address = claimed(taken, &address_at, LISTENER);
    let tls = certificates::certificates(&keys.key("tls"), hosts);
    let h2c = keys.key("h2c").flag(false);
    if h2c && keys.key("tls").is_set() {
        let remedy = "take it out; with tls, HTTP/2 is offered to every client";
        keys.key("h2c").wrong("is HTTP/2 without TLS, and this listener has tls", remedy);
    }
    Listener { address, limits: limits(&keys.key("limits")), tls, h2c }
}

/// A socket that is spoken for, and the line that says so; 0 for a default.
struct Taken {
    address: SocketAddr,
    line: usize,
    path: String,
}

/// The address at a place, noted as taken; one that cannot be read is a mistake already and takes nothing.
fn claimed(taken: &mut Vec<Taken>, at: &At<'_>, default: SocketAddr) -> SocketAddr {
    let read = if at.is_set() { at.read(address) } else { Some(default) };
    if let Some(address) = read {
        claim(taken, at, address);
    }
    read.unwrap_or(default)
}

/// Notes a socket, and a mistake if it is spoken for. An unspecified address takes its port on every
/// address of the machine; port 0 takes none.
fn claim(taken: &mut Vec<Taken>, at: &At<'_>, address: SocketAddr) {
    let overlaps = |other: &Taken| {
        let same_ip = other.address.ip() == address.ip();
        let any_ip = other.address.ip().is_unspecified() || address.ip().is_unspecified();
        address.port() != 0 && other.address.port() == address.port() && (same_ip || any_ip)
    };
    if let Some(other) = taken.iter().find(|other| overlaps(other)) {
        let place = if other.line == 0 { "by default".to_owned() } else { format!("on line {}", other.line) };
        let problem = format!("the address is taken by {} {place}", other.path);
        at.wrong(problem, "give each listener a port of its own");
    }
    taken.push(Taken { address, line: at.line(), path: at.path().to_owned() });
}

fn limits(at: &At<'_>) -> Limits {
    let keys = at.section(&schema::LIMITS);
    Limits {
        head_timeout: keys.key("head_timeout").timeout(Limits::DEFAULT.head_timeout),
        idle_timeout: keys.key("idle_timeout").timeout(Limits::DEFAULT.idle_timeout),
        max_head: keys.key("max_head").size(Limits::DEFAULT.max_head, 1 << 10..=1 << 20),
        max_headers: keys.key("max_headers").count(Limits::DEFAULT.max_headers, 1..=256),
        max_streams: u32::try_from(keys.key("max_streams").count(100, 1..=65_535)).unwrap_or(u32::MAX),
        handshake_timeout: keys.key("handshake_timeout").timeout(Limits::DEFAULT.handshake_timeout),
        max_handshakes: keys.key("max_handshakes").positive(1024, 65_535),
    }
}

fn admin(at: &At<'_>, taken: &mut Vec<Taken>) -> Admin {
    let keys = at.section(&schema::ADMIN);
    let address_at = keys.key("address");
    let address = claimed(taken, &address_at, ADMIN);
    let token_at = keys.key("token");
    let read = token_at.read(token);
    let without_token = read == Some(None) || !token_at.is_set();
    let token = read.flatten();
    if without_token && !address.ip().is_loopback() {
        let problem = "the address is open to other machines and there is no admin.token";
        address_at.wrong(problem, "set admin.token, or listen on 127.0.0.1");
    }
    Admin { address, token }
}

/// An address and a port; names are not resolved, because a listener must not depend on DNS.
pub(super) fn address(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        let port = text.rsplit(':').next().filter(|port| port.parse::<u16>().is_ok()).unwrap_or("8080");
        Wrong::new("is not an address", "write address and port, as in 127.0.0.1:8080 or 0.0.0.0:8080")
            .suggest(format!("write address and port, as in 127.0.0.1:{port} or 0.0.0.0:{port}"))
    })
}

/// An empty token is none: `${TOKEN:-}` leaves the choice to the environment.
fn token(text: &str) -> Result<Option<Arc<str>>, Wrong> {
    if text.len() > MAX_TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let remedy = format!("write at most {MAX_TOKEN} printable ASCII characters without spaces");
        return Err(Wrong::secret("is not a token", remedy));
    }
    Ok((!text.is_empty()).then(|| text.into()))
}
