//! Configurations and requests for unit tests of policy: every default of the file, without a file.

use super::admission::Incoming;
use super::render_request::RenderRequest;
use crate::config::*;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A configuration with these routes and one origin.
pub(crate) fn config(routes: Vec<Route>) -> Config {
    Config {
        threads: std::num::NonZeroUsize::MIN,
        shutdown_timeout: Duration::from_secs(30),
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        hosts: None,
        listeners: vec![],
        admin: Admin { address: "127.0.0.1:9145".parse().unwrap(), token: None },
        origins: vec![Arc::new(origin())],
        store: Store { memory: 1 << 20, max_page: 1 << 16, disk: None },
        encoders: Encoders { threads: std::num::NonZeroUsize::MIN, max_waiting: 1 },
        deploys: Deploys { first: None, refresh: std::num::NonZeroU32::MIN, immutable_assets: NamePatterns::default() },
        purging: Purging { from: vec![], max_rules: std::num::NonZeroUsize::MIN, refresh: 0 },
        log: Log {
            level: LogLevel::Info,
            format: LogFormat::Auto,
            access: AccessLog::Off,
            redact: Redact::All,
            buffer: 1 << 20,
        },
        tracking: NamePatterns::new(["utm_*", "gclid"]),
        crawlers: Crawlers::default(),
        long_polls: LongPolls {
            per_token: std::num::NonZeroUsize::MIN,
            per_client: std::num::NonZeroUsize::MIN,
            total: std::num::NonZeroUsize::MIN,
        },
        routes: routes.into_iter().map(Arc::new).collect(),
        upgrade_sock: None,
        files: vec![],
        warm: Warm { sitemaps: vec![], concurrency: std::num::NonZeroUsize::MIN, max_paths: 9 },
        error_page: ErrorPage::Builtin,
        warnings: vec![],
    }
}

/// An origin with the defaults of the file.
pub(crate) fn origin() -> Origin {
    Origin {
        name: "web".into(),
        servers: vec![Server { scheme: Scheme::Http, host: "127.0.0.1".into(), port: 3000 }],
        host_header: None,
        public_scheme: None,
        ca: None,
        user_agent: HeaderValue::from_static("Mozilla/5.0 (compatible; breadbox/0.1)"),
        connect_timeout: Duration::from_secs(2),
        first_byte_timeout: Duration::from_secs(30),
        between_bytes_timeout: Duration::from_secs(10),
        render_timeout: Duration::from_secs(60),
        keepalive_timeout: Duration::from_millis(1500),
        max_renders: std::num::NonZeroUsize::MIN,
        max_waiting: 1024,
        queue_timeout: Duration::from_secs(30),
    }
}

/// An `isr` route with the defaults of the file.
pub(crate) fn route(pattern: &str) -> Route {
    let endless = StaleWindows { while_revalidate: Window::Forever, if_error: Window::Forever };
    Route {
        name: pattern.into(),
        patterns: vec![pattern.into()],
        host: None,
        origin: OriginId(0),
        paths: None,
        error_page: None,
        cache: CacheMode::Isr,
        revalidate: Revalidate::FromHeaders { default: Duration::from_secs(60) },
        respect: Respect::default(),
        stale: endless,
        query: QueryRule::All,
        vary: VaryRule::default(),
        bypass_cookies: BypassCookies::None,
        draft_cookie: Some("__prerender_bypass".into()),
        tag_headers: vec![],
        tags: vec![],
        fallback: None,
        invalidate: vec![],
        not_found_ttl: Duration::from_secs(10),
        uncacheable_ttl: Duration::from_secs(10),
        max_variants: 128,
        set_cookie: SetCookie::Uncacheable,
        compression: None,
        client_cache_control: ClientCacheControl::Origin,
        honour_request_cache_control: false,
        heuristic_max: Duration::from_secs(86_400),
    }
}

/// A request that owns what [`Incoming`] borrows.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) target: Vec<u8>,
    pub(crate) headers: HeaderMap,
    pub(crate) listener_scheme: Scheme,
    pub(crate) peer: IpAddr,
}

impl Ask {
    /// A GET of `target` over plain HTTP from a stranger.
    pub(crate) fn get(target: &str) -> Ask {
        Ask::bytes(target.as_bytes())
    }

    pub(crate) fn bytes(target: &[u8]) -> Ask {
        let headers = [(HOST, HeaderValue::from_static("shop.example.com"))].into_iter().collect();
        let peer = IpAddr::from([192, 0, 2, 1]);
        Ask { method: Method::GET, target: target.to_vec(), headers, listener_scheme: Scheme::Http, peer }
    }

    pub(crate) fn method(mut self, method: &str) -> Ask {
        self.method = method.parse().unwrap();
        self
    }

    /// In place of the host there was.
    pub(crate) fn host(mut self, host: &str) -> Ask {
        self.headers.insert(HOST, host.parse().unwrap());
        self
    }

    /// Besides the fields there were.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Ask {
        self.headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        self
    }

    pub(crate) fn https(mut self) -> Ask {
        self.listener_scheme = Scheme::Https;
        self
    }

    pub(crate) fn peer(mut self, peer: &str) -> Ask {
        self.peer = peer.parse().unwrap();
        self
    }

    pub(crate) fn incoming(&self) -> Incoming<'_> {
        Incoming {
            method: &self.method,
            target: &self.target,
            headers: (&self.headers).into(),
            listener_scheme: self.listener_scheme,
            peer: self.peer,
        }
    }
}

/// The bytes of a render's request as an origin gets them.
pub(crate) fn wire(request: &RenderRequest) -> Vec<u8> {
    let mut bytes = format!("GET {} HTTP/1.1\r\nhost: ", request.target).into_bytes();
    bytes.extend_from_slice(request.host.as_bytes());
    for (name, value) in request.fields.iter() {
        bytes.extend_from_slice(format!("\r\n{name}: ").as_bytes());
        bytes.extend_from_slice(value.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes
}
