//! How long an idle connection to an origin may be kept: the origin's `Keep-Alive: timeout` (RFC 2068
//! §19.7.1.1, as Node, Apache and gunicorn send it) less a margin, because a request that meets the
//! origin's closing is lost.

use http::HeaderMap;
use http::header::CONNECTION;
use std::time::Duration;

/// What is taken off the origin's timeout: the clocks start at different times.
const MARGIN: Duration = Duration::from_secs(1);

/// No connection is kept longer, whatever the origin says: what lies in between forgets it silently.
const LONGEST: Duration = Duration::from_secs(120);

/// What an answer says about its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// Nothing: the configuration decides.
    Unnamed,
    /// Keep it this long; zero means close it.
    For(Duration),
}

impl Idle {
    /// How long to keep the connection, `unnamed` where the answer does not say; `None` means close it.
    pub(super) fn or(self, unnamed: Duration) -> Option<Duration> {
        let keep = match self {
            Idle::Unnamed => unnamed,
            Idle::For(keep) => keep,
        };
        (!keep.is_zero()).then_some(keep)
    }
}

/// What the fields of an answer say. Whether HTTP/1.0 keeps connections at all is pingora's to know.
pub(super) fn idle(fields: &HeaderMap) -> Idle {
    // Every `Connection` field counts; pingora looks at the first.
    if members(fields, CONNECTION.as_str()).any(|member| member.eq_ignore_ascii_case("close")) {
        return Idle::For(Duration::ZERO);
    }
    let timeout = members(fields, "keep-alive").find_map(|member| {
        let (name, seconds) = member.split_once('=')?;
        name.trim().eq_ignore_ascii_case("timeout").then(|| seconds.trim().trim_matches('"').parse::<u64>().ok())?
    });
    match timeout {
        Some(seconds) => Idle::For(Duration::from_secs(seconds).saturating_sub(MARGIN).min(LONGEST)),
        None => Idle::Unnamed,
    }
}

fn members<'a>(fields: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let values = fields.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn said(fields: &[(&str, &str)]) -> Idle {
        let field = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        idle(&fields.iter().map(field).collect())
    }

    #[test]
    fn the_origins_timeout_counts_less_a_second() {
        let seconds = |seconds| Idle::For(Duration::from_secs(seconds));
        assert_eq!(said(&[("keep-alive", "timeout=5")]), seconds(4));
        assert_eq!(said(&[("keep-alive", "max=99, Timeout = 7")]), seconds(6));
        assert_eq!(said(&[("keep-alive", "timeout=1")]), seconds(0));
        assert_eq!(said(&[("keep-alive", "timeout=0")]), seconds(0));
        assert_eq!(said(&[("keep-alive", "timeout=86400")]), Idle::For(LONGEST));
        assert_eq!(said(&[]), Idle::Unnamed);
        assert_eq!(said(&[("keep-alive", "timeout=soon")]), Idle::Unnamed);
    }

    #[test]
    fn close_in_any_connection_field_closes() {
        let fields = [("connection", "x-hop"), ("connection", "y, Close"), ("keep-alive", "timeout=5")];
        assert_eq!(said(&fields).or(Duration::from_secs(9)), None);
    }

    #[test]
    fn the_configuration_decides_where_the_origin_does_not_say() {
        assert_eq!(Idle::Unnamed.or(Duration::from_millis(1500)), Some(Duration::from_millis(1500)));
        assert_eq!(Idle::Unnamed.or(Duration::ZERO), None);
    }
}
