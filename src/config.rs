//! What `proxy.yaml` means: the validated configuration, in which every value is in range and every
//! name resolves. Made only by [`mod@file`]; nothing below re-checks it.

pub mod certificate;
mod compression;
pub mod crawlers;
pub mod deploys;
pub mod error_page;
pub mod fallback;
pub mod file;
pub mod log;
pub mod paths;
pub mod pattern;
pub mod purging;
pub mod reload;
pub mod route;
pub mod template;
pub mod units;
pub mod warm;

pub use certificate::Certificate;
pub use compression::{Codec, Compression, Compressor, Encoders};
pub use crawlers::Crawlers;
pub use deploys::Deploys;
pub use error_page::ErrorPage;
pub use fallback::{Fallback, LongPolls, Preload, ShellPage};
pub use file::{ConfigError, Mistake};
pub use log::{AccessLog, Log, LogFormat, LogLevel, Redact};
pub use paths::{Paths, Sitemap, SitemapSource};
pub use pattern::NamePatterns;
pub use purging::{Invalidated, Invalidation, PurgeMode, Purging};
pub use route::{
    BypassCookies, CacheMode, ClientCacheControl, QueryRule, Respect, Revalidate, Route, RouteId, SetCookie,
    StaleWindows, VaryRule, Window,
};
pub use template::Template;
pub use warm::Warm;

use http::HeaderValue;
use ipnet::IpNet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A whole, valid configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Worker threads; by default one per core.
    pub threads: NonZeroUsize,
    /// How long requests in flight may take after SIGTERM. Default 30 s.
    pub shutdown_timeout: Duration,
    /// The socket where a running process waits for its successor; `None`: one that is named after the admin
    /// listener, in a folder of the user's own.
    pub upgrade_sock: Option<PathBuf>,
    /// Peers whose forwarding headers are believed. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// The hosts served, normalised (DESIGN §2.1); `None` serves any.
    pub hosts: Option<Vec<Box<str>>>,
    /// Public listeners; at least one.
    pub listeners: Vec<Listener>,
    /// The admin listener.
    pub admin: Admin,
    /// The origins, in the order of the file; the first is the default. Never empty.
    pub origins: Vec<Arc<Origin>>,
    /// Where pages are kept.
    pub store: Store,
    /// Who compresses pages.
    pub encoders: Encoders,
    /// Who may purge, and how much of it is remembered.
    pub purging: Purging,
    /// What deploys of the origins make of pages.
    pub deploys: Deploys,
    /// What is logged.
    pub log: Log,
    /// Names of query parameters that never count on `isr`/`static`.
    pub tracking: NamePatterns,
    /// What is rendered before anybody asks for it.
    pub warm: Warm,
    /// What is shown where a render failed and the route names no page of its own. Default: the one shipped.
    pub error_page: ErrorPage,
    /// Visitors that are programs: no fallback page is for them.
    pub crawlers: Crawlers,
    /// Bounds on what fallback pages wait by.
    pub long_polls: LongPolls,
    /// The routes, in the order of the file. [`RouteId`] is an index into this list.
    pub routes: Vec<Arc<Route>>,
    /// Every path in the file, as the file means it: what changes with a file at one of them.
    pub files: Vec<PathBuf>,
    /// What is legal but probably not meant; logged at start and shown by `check`.
    pub warnings: Vec<String>,
}

/// A public listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where to listen; port 0 means any.
    pub address: SocketAddr,
    /// What a client may do before it is cut off.
    pub limits: Limits,
    /// Its certificates, the default one first; empty where it speaks no TLS.
    pub tls: Vec<Certificate>,
    /// Whether a client may start with HTTP/2 without TLS (RFC 9113 §3.3). Default no.
    pub h2c: bool,
}

impl Listener {
    /// `https` where it speaks TLS.
    pub fn scheme(&self) -> Scheme {
        if self.tls.is_empty() { Scheme::Http } else { Scheme::Https }
    }
}

/// Bounds on a client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte of a request to the end of its head. Default 10 s.
    pub head_timeout: Duration,
    /// Between two requests on a connection. Default 60 s.
    pub idle_timeout: Duration,
    /// Bytes of a request head. Default 64 KiB, at most 1 MiB (pingora's own bound).
    pub max_head: usize,
    /// Header fields of a request. Default 100, at most 256 (pingora's own bound).
    pub max_headers: usize,
    /// Requests at once on an HTTP/2 connection. Default 100.
    pub max_streams: u32,
    /// For a TLS handshake, waiting for its turn included. Default 10 s.
    pub handshake_timeout: Duration,
    /// TLS handshakes at once; further ones wait. Default 1024.
    pub max_handshakes: NonZeroUsize,
}

impl Limits {
    /// Where the file says nothing.
    pub const DEFAULT: Limits = Limits {
        head_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        max_head: 64 << 10,
        max_headers: 100,
        max_streams: 100,
        handshake_timeout: Duration::from_secs(10),
        max_handshakes: NonZeroUsize::new(1024).expect("more than none"),
    };
}

/// The admin listener: metrics and health.
#[derive(Clone)]
pub struct Admin {
    /// Where to listen. Default `127.0.0.1:9145`; beyond loopback only with a token.
    pub address: SocketAddr,
    /// The bearer token; without it every POST is refused.
    pub token: Option<Arc<str>>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("Admin").field("address", &self.address).field("token", &token).finish()
    }
}

/// An index into [`Config::origins`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginId(pub usize);

/// The scheme of a request as its client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// `"http"` or `"https"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// 80 or 443.
    pub const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// A backend that renders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its name in the file; also its metric label.
    pub name: Arc<str>,
    /// Its servers, taken in turn. Never empty.
    pub servers: Vec<Server>,
    /// `Host` sent instead of the visitor's.
    pub host_header: Option<HeaderValue>,
    /// Fixes the scheme of every key and `X-Forwarded-Proto`.
    pub public_scheme: Option<Scheme>,
    /// PEM file with the certificates that sign `https://` servers, read at load; the system's by default.
    pub ca: Option<Ca>,
    /// `User-Agent` of renders.
    pub user_agent: HeaderValue,
    /// For one connection attempt. Default 2 s.
    pub connect_timeout: Duration,
    /// From the request's end to the answer's first byte. Default 30 s.
    pub first_byte_timeout: Duration,
    /// Between two reads of an answer's body. Default 10 s.
    pub between_bytes_timeout: Duration,
    /// For a whole render. Default 60 s.
    pub render_timeout: Duration,
    /// How long an idle connection is kept where the origin names no `Keep-Alive: timeout`. Default 1500 ms.
    pub keepalive_timeout: Duration,
    /// Renders at once. Default 16.
    pub max_renders: NonZeroUsize,
    /// Renders waiting. Default 1024.
    pub max_waiting: usize,
    /// How long a render may wait. Default 30 s.
    pub queue_timeout: Duration,
}

/// One server of an origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// `https`: verified, with SNI.
    pub scheme: Scheme,
    /// A name or an address, as in the file; names are resolved when connecting. IPv6 without brackets.
    pub host: Box<str>,
    /// The port.
    pub port: u16,
}

impl Origin {
    /// Whether this one and `other` are asked for the same page by the same request, at the same servers.
    pub(crate) fn renders_like(&self, other: &Origin) -> bool {
        let asked = |origin: &Origin| (origin.host_header.clone(), origin.public_scheme, origin.user_agent.clone());
        self.servers == other.servers && self.ca == other.ca && asked(self) == asked(other)
    }
}

impl Server {
    /// `host[:port]` as it stands in a `Host` field; the port only where it is not the scheme's default.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }
}

/// A file of trusted certificates and what was in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ca {
    /// Where it was read.
    pub path: PathBuf,
    /// Its bytes: PEM with at least one certificate.
    pub pem: Arc<[u8]>,
}

/// Where pages are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Bytes of pages in memory, all overhead counted. Default 512 MiB.
    pub memory: usize,
    /// Bytes of the largest page that is stored. Default 8 MiB.
    pub max_page: usize,
    /// Where pages are kept across restarts; by default nowhere.
    pub disk: Option<Disk>,
}

/// Where pages are kept across restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// A directory of its own for each process; made if it is not there.
    pub path: PathBuf,
    /// Bytes that the files of pages may take.
    pub capacity: u64,
    /// Bytes of pages that may wait to be written. Default 64 MiB.
    pub unwritten: usize,
    /// How long writing what is left may take at the end of the process. Default 10 s.
    pub flush_timeout: Duration,
}

impl Config {
    /// Whether visitors may come by this scheme: as listeners speak it, or as a proxy in front of them may say.
    pub fn may_be_asked_by(&self, scheme: Scheme) -> bool {
        let speaks = self.listeners.iter().any(|listener| listener.scheme() == scheme);
        speaks || !self.trusted_proxies.is_empty()
    }

    /// The route with this id.
    pub fn route(&self, id: RouteId) -> &Arc<Route> {
        &self.routes[id.0]
    }

    /// The origin with this id.
    pub fn origin(&self, id: OriginId) -> &Arc<Origin> {
        &self.origins[id.0]
    }
}
