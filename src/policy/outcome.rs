//! What became of a request: one value, filled in on the way, from which `Cache-Status`, the access
//! event and the metrics are made, so that the three cannot disagree.

use super::time::Timestamp;

/// How a request was answered: the closed set that metrics use as the `outcome` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Served {
    /// From a fresh page.
    Hit,
    /// From a stale page.
    StaleHit,
    /// By a render that the request started or joined.
    Miss,
    /// By a fallback page in front of a miss.
    Fallback,
    /// By the origin itself.
    Bypass,
    /// By an error page of ours: the origin failed and there was no page.
    Failed,
    /// By Breadbox itself: what it has below `/.breadbox`.
    Own,
    /// By a refusal of ours: a malformed request, a host not served, `only-if-cached` without a page.
    Refused,
    /// By a 404 of ours: the list of the route does not have the path.
    NotFound,
}

impl Served {
    /// Every value, for metrics that exist before they happen.
    pub const ALL: [Served; 9] = [
        Served::Hit,
        Served::StaleHit,
        Served::Miss,
        Served::Fallback,
        Served::Bypass,
        Served::Failed,
        Served::Own,
        Served::Refused,
        Served::NotFound,
    ];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Served::Hit => "hit",
            Served::StaleHit => "stale",
            Served::Miss => "miss",
            Served::Fallback => "fallback",
            Served::Bypass => "bypass",
            Served::Failed => "failed",
            Served::Own => "own",
            Served::Refused => "refused",
            Served::NotFound => "not-found",
        }
    }
}

/// Why a request went to the origin (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forwarded {
    /// `bypass`: never looked up.
    Bypass,
    /// `method`: the method is not one that is cached.
    Method,
    /// `uri-miss`: nothing stored for the URI.
    UriMiss,
    /// `vary-miss`: something stored, but no variant for this request.
    VaryMiss,
    /// `stale`: a stored page could not be used stale.
    Stale,
    /// `request`: the client's own directives.
    Request,
}

impl Forwarded {
    /// The token of RFC 9211.
    pub const fn as_str(self) -> &'static str {
        match self {
            Forwarded::Bypass => "bypass",
            Forwarded::Method => "method",
            Forwarded::UriMiss => "uri-miss",
            Forwarded::VaryMiss => "vary-miss",
            Forwarded::Stale => "stale",
            Forwarded::Request => "request",
        }
    }
}

/// What became of a request, with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Who answered.
    pub served: Served,
    /// Why the origin was asked, where it was.
    pub forwarded: Option<Forwarded>,
    /// When the served page stops being fresh, where it has a lifetime.
    pub fresh_until: Option<Timestamp>,
    /// The answer was stored.
    pub stored: bool,
    /// The request waited for a render that another had started.
    pub collapsed: bool,
    /// The status the origin answered the forwarded request with, where it differs from what the client gets.
    pub fwd_status: Option<u16>,
    /// `detail`: a word of a closed set.
    pub detail: Option<&'static str>,
}
