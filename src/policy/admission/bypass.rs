//! A request that is never looked up, and why (DESIGN §2.2).

use crate::config::{OriginId, RouteId, Scheme};
use crate::policy::outcome::Forwarded;

/// Where and how a request goes that the origin answers itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bypass {
    /// Why.
    pub reason: BypassReason,
    /// Who answers: the route's origin, else the first.
    pub origin: OriginId,
    /// The route that takes the path, if any.
    pub route: Option<RouteId>,
    /// The scheme as the client sees it: `X-Forwarded-Proto`.
    pub scheme: Scheme,
    /// The host that was asked for, normalised, with a port that is not the default: `Host` and `X-Forwarded-Host`.
    pub host: Box<str>,
    /// The request-target in origin-form as it came, byte for byte; `*` where that was asked for.
    pub target: Box<[u8]>,
    /// Whether a successful answer invalidates pages ([`super::invalidates`]): the method is not known to be safe.
    pub effect: Effect,
}

/// Whether a method may change what the origin has (RFC 9110 §9.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// GET, HEAD, OPTIONS, TRACE.
    Safe,
    /// Every other method, unknown ones included.
    Unsafe,
}

/// Why a request is a bypass: the `detail` of `Cache-Status`, a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BypassReason {
    /// The method is neither GET nor HEAD.
    Method,
    /// It asks for another protocol.
    Upgrade,
    /// A GET or HEAD with a body.
    Body,
    /// `Connection` nominates a field that counts.
    Connection,
    /// No route takes the path.
    NoRoute,
    /// `cache: off`.
    Off,
    /// Next.js' draft mode.
    Draft,
    /// A bypass cookie.
    Cookie,
    /// `Authorization` on `isr` or `static`.
    Authorization,
    /// `RSC` or `Next-Router-*` on an `isr` or `static` route that does not key on them.
    Rsc,
    /// The path means nothing, is too long, or has a reading that leads to a stricter route.
    Path,
    /// The query is too long, has too many parameters, or is not text.
    Query,
    /// The page varies by a field that the route does not key on, or the variant would be too long a key.
    Vary,
    /// The key is remembered as uncacheable.
    Uncacheable,
    /// The answer outgrew `max_page` or is an event stream.
    PassThrough,
}

impl BypassReason {
    /// Every value, for metrics that exist before they happen.
    pub const ALL: [BypassReason; 15] = [
        BypassReason::Method,
        BypassReason::Upgrade,
        BypassReason::Body,
        BypassReason::Connection,
        BypassReason::NoRoute,
        BypassReason::Off,
        BypassReason::Draft,
        BypassReason::Cookie,
        BypassReason::Authorization,
        BypassReason::Rsc,
        BypassReason::Path,
        BypassReason::Query,
        BypassReason::Vary,
        BypassReason::Uncacheable,
        BypassReason::PassThrough,
    ];

    /// The word in `detail`.
    pub const fn as_str(self) -> &'static str {
        match self {
            BypassReason::Method => "method",
            BypassReason::Upgrade => "upgrade",
            BypassReason::Body => "body",
            BypassReason::Connection => "connection",
            BypassReason::NoRoute => "no-route",
            BypassReason::Off => "off",
            BypassReason::Draft => "draft",
            BypassReason::Cookie => "cookie",
            BypassReason::Authorization => "authorization",
            BypassReason::Rsc => "rsc",
            BypassReason::Path => "path",
            BypassReason::Query => "query",
            BypassReason::Vary => "vary",
            BypassReason::Uncacheable => "uncacheable",
            BypassReason::PassThrough => "pass-through",
        }
    }

    /// The `fwd` of RFC 9211 §2.2 that goes with it.
    pub const fn forwarded(self) -> Forwarded {
        match self {
            BypassReason::Method => Forwarded::Method,
            _ => Forwarded::Bypass,
        }
    }
}
