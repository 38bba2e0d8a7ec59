//! One route of `proxy.yaml`: which paths it takes and by which rules their pages are kept.

use super::{Compression, ErrorPage, Fallback, Invalidation, NamePatterns, OriginId, Paths, Template};
use http::{HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::Duration;

/// An index into [`super::Config::routes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub usize);

/// A validated route.
#[derive(Clone, Debug)]
pub struct Route {
    /// What logs and metrics call it: its first pattern, behind its host if it names one. Unique.
    pub name: Arc<str>,
    /// Patterns in the file's syntax (`/products/{id}`, `/api/{*rest}`); never empty.
    pub patterns: Vec<Box<str>>,
    /// The only host it takes, normalised.
    pub host: Option<Box<str>>,
    /// Who renders its pages.
    pub origin: OriginId,
    /// Which of its paths exist; `None`: any may.
    pub paths: Option<Paths>,
    /// What is shown where a render failed, also instead of what the origin itself said then; `None`: what
    /// the file says for all, and the origin's own answers as they came.
    pub error_page: Option<ErrorPage>,
    /// Who decides what is kept.
    pub cache: CacheMode,
    /// Where lifetimes come from (`isr`, `static`).
    pub revalidate: Revalidate,
    /// What of `Cache-Control` counts in spite of a `revalidate: DURATION`.
    pub respect: Respect,
    /// How long pages may be used after they went stale.
    pub stale: StaleWindows,
    /// Which query parameters count (`isr`, `static`).
    pub query: QueryRule,
    /// What else tells pages of one URL apart (`isr`, `static`).
    pub vary: VaryRule,
    /// Cookies that make a request a bypass.
    pub bypass_cookies: BypassCookies,
    /// The cookie by which an editor asks for drafts, which neither read nor write the cache.
    /// Default `__prerender_bypass`, which Next.js sets; `None`: no cookie of the origin's does.
    pub draft_cookie: Option<Box<str>>,
    /// Fields of answers that carry tags; taken off before a client sees them.
    pub tag_headers: Vec<HeaderName>,
    /// Tags that every page of the route has besides.
    pub tags: Vec<Template>,
    /// What visitors see while a page is rendered for the first time (`isr`, `static`); `None`: they wait.
    pub fallback: Option<Fallback>,
    /// What a successful unsafe request through the route purges besides its own URI.
    pub invalidate: Vec<Invalidation>,
    /// How long a 404 or 410 is fresh. Default 10 s; not with lifetimes from headers that are named.
    pub not_found_ttl: Duration,
    /// How long a key is remembered as uncacheable. Default 10 s.
    pub uncacheable_ttl: Duration,
    /// Variants of one URL that are kept. Default 128.
    pub max_variants: usize,
    /// What a `Set-Cookie` of a render means.
    pub set_cookie: SetCookie,
    /// `Cache-Control` towards browsers.
    pub client_cache_control: ClientCacheControl,
    /// How its pages are compressed; `None`: they are kept as the origin sent them.
    pub compression: Option<Arc<Compression>>,
    /// Whether a client's own `Cache-Control` and `Pragma` count (RFC 9111 §5.2.1). Default: on `headers` only.
    pub honour_request_cache_control: bool,
    /// Heuristic freshness (RFC 9111 §4.2.2), only on `headers`: at most this long; zero switches it off.
    /// Default 1 day.
    pub heuristic_max: Duration,
}

/// Who decides what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMode {
    /// Nothing is kept.
    Off,
    /// Rendered once, kept until purged.
    Static,
    /// Kept for a time, then refreshed while the old page is served.
    Isr,
    /// A plain RFC 9111 shared cache.
    Headers,
}

impl CacheMode {
    /// Whether renders are canonical and anonymous (`isr`, `static`).
    pub const fn is_anonymous(self) -> bool {
        matches!(self, CacheMode::Static | CacheMode::Isr)
    }
}

/// Where a lifetime comes from on `isr`/`static`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revalidate {
    /// From the file.
    After(Duration),
    /// From the response's headers; `default` where they say nothing.
    FromHeaders {
        /// Lifetime of a response that names none.
        default: Duration,
    },
    /// Fresh until purged.
    Never,
}

/// Response directives that count although config decides the lifetime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Respect {
    /// `Cache-Control: private` makes an answer uncacheable.
    pub private: bool,
    /// `Cache-Control: no-store` makes an answer uncacheable.
    pub no_store: bool,
}

/// How long a stale page may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleWindows {
    /// While it is being refreshed.
    pub while_revalidate: Window,
    /// When its refresh failed.
    pub if_error: Window,
}

/// A length of time that may be endless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Without end.
    Forever,
    /// This long; zero means never.
    For(Duration),
}

/// Which query parameters count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryRule {
    /// All that are not tracking parameters.
    All,
    /// None.
    None,
    /// These names.
    Only(Vec<Box<str>>),
}

/// What a route keys on besides the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VaryRule {
    /// Request fields, sorted, without repetition.
    pub headers: Vec<HeaderName>,
    /// Cookie names, sorted, without repetition.
    pub cookies: Vec<Box<str>>,
}

impl VaryRule {
    /// Whether the route keys on the `RSC` request field, and so on `_rsc` (FRAMEWORKS.md 1).
    pub fn keys_on_rsc(&self) -> bool {
        self.headers.iter().any(|name| name == "rsc")
    }
}

/// Cookies that make a request a bypass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BypassCookies {
    /// Every cookie.
    Any,
    /// No cookie.
    None,
    /// Cookies with these names.
    Names(NamePatterns),
}

/// What a `Set-Cookie` of a render means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetCookie {
    /// The answer is uncacheable.
    Uncacheable,
    /// It is taken off and the answer stored.
    Strip,
}

/// `Cache-Control` towards browsers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCacheControl {
    /// The origin's own (`headers`).
    Origin,
    /// This one.
    Set(HeaderValue),
}
