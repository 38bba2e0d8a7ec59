//! How a render ended: the closed set that metrics use as the `result` label and that health is
//! judged by. It decides nothing about what is stored.

/// How a render ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RenderResult {
    /// A good page, stored.
    Good,
    /// 304: the stored page was renewed.
    NotModified,
    /// 404 or 410.
    NotFound,
    /// A redirect, stored.
    Redirect,
    /// An answer that must not be shared.
    Uncacheable,
    /// An answer that outgrew `max_page`, or an endless one: passed through.
    Oversize,
    /// A 4xx other than 404 and 410.
    ClientError,
    /// A 5xx.
    ServerError,
    /// A success with a status that is no page: 204, 206, 1xx as a final answer.
    Unexpected,
    /// A timeout of the origin: connecting, first byte, between bytes, or the whole render.
    Timeout,
    /// No connection: refused, unreachable, not resolved, TLS that does not verify.
    Connect,
    /// An answer that ended before its end.
    Truncated,
    /// An answer that is not HTTP.
    Garbled,
    /// Never begun: too many were waiting, or it waited too long.
    Rejected,
    /// Given up by Breadbox itself: stopping, or a purge made it pointless.
    Canceled,
}

impl RenderResult {
    /// Every value, for series that exist before they happen.
    pub const ALL: [RenderResult; 15] = [
        RenderResult::Good,
        RenderResult::NotModified,
        RenderResult::NotFound,
        RenderResult::Redirect,
        RenderResult::Uncacheable,
        RenderResult::Oversize,
        RenderResult::ClientError,
        RenderResult::ServerError,
        RenderResult::Unexpected,
        RenderResult::Timeout,
        RenderResult::Connect,
        RenderResult::Truncated,
        RenderResult::Garbled,
        RenderResult::Rejected,
        RenderResult::Canceled,
    ];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            RenderResult::Good => "good",
            RenderResult::NotModified => "not_modified",
            RenderResult::NotFound => "not_found",
            RenderResult::Redirect => "redirect",
            RenderResult::Uncacheable => "uncacheable",
            RenderResult::Oversize => "oversize",
            RenderResult::ClientError => "client_error",
            RenderResult::ServerError => "server_error",
            RenderResult::Unexpected => "unexpected",
            RenderResult::Timeout => "timeout",
            RenderResult::Connect => "connect",
            RenderResult::Truncated => "truncated",
            RenderResult::Garbled => "garbled",
            RenderResult::Rejected => "rejected",
            RenderResult::Canceled => "canceled",
        }
    }

    /// What it says about the origin's health.
    pub const fn verdict(self) -> OriginVerdict {
        match self {
            RenderResult::Good
            | RenderResult::NotModified
            | RenderResult::NotFound
            | RenderResult::Redirect
            | RenderResult::Uncacheable
            | RenderResult::Oversize
            | RenderResult::ClientError
            | RenderResult::Unexpected => OriginVerdict::Works,
            RenderResult::ServerError
            | RenderResult::Timeout
            | RenderResult::Connect
            | RenderResult::Truncated
            | RenderResult::Garbled => OriginVerdict::Fails,
            // A queue that is full says that the origin is slow or the load is high, not that it is broken.
            RenderResult::Rejected | RenderResult::Canceled => OriginVerdict::Unknown,
        }
    }
}

/// What one render says about the health of its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginVerdict {
    /// It answered sensibly.
    Works,
    /// It failed.
    Fails,
    /// Nothing: the origin was not asked, or not heard out.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::RenderResult;
    use std::collections::HashSet;

    /// Renders are counted at `result as usize`; scrapes name the series by `ALL`.
    #[test]
    fn results_are_numbered_in_the_order_they_are_listed_and_named_apart() {
        let names: HashSet<_> = RenderResult::ALL.into_iter().map(RenderResult::as_str).collect();
        assert_eq!(names.len(), RenderResult::ALL.len());
        for (i, result) in RenderResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, i);
        }
    }
}
