//! The access event: one for each request, made from the outcome that also makes `Cache-Status` and
//! the metrics. It holds the path without its query and no header but `Host`.

use crate::policy::outcome::{Forwarded, Outcome};
use std::time::Duration;
use tracing::{Level, debug, enabled};

/// Bytes of a path that are logged; what is longer is cut.
const MAX_PATH: usize = 1024;

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct AccessEvent<'a> {
    /// As sent.
    pub method: &'a str,
    /// The host asked for; empty where there was none.
    pub host: &'a str,
    /// The path as sent; a query in it is not logged.
    pub path: &'a str,
    /// The route's name; empty where no route matched.
    pub route: &'a str,
    /// The status the client got.
    pub status: u16,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// Bytes of the response's body that were sent.
    pub bytes: u64,
    /// From the request's head to the end of its answer.
    pub duration: Duration,
}

impl AccessEvent<'_> {
    /// Whether access events are heard now: the level of `breadbox::access` is at least `debug`.
    pub fn is_heard() -> bool {
        enabled!(target: "breadbox::access", Level::DEBUG)
    }

    /// Logs it.
    pub fn emit(&self) {
        let outcome = self.outcome;
        debug!(
            target: "breadbox::access",
            method = self.method,
            host = self.host,
            path = loggable_path(self.path),
            route = self.route,
            status = self.status,
            served = outcome.served.as_str(),
            fwd = outcome.forwarded.map(Forwarded::as_str),
            fwd_status = outcome.fwd_status,
            stored = outcome.stored,
            collapsed = outcome.collapsed,
            detail = outcome.detail,
            bytes = self.bytes,
            duration_ms = self.duration.as_micros() as f64 / 1e3,
            "request"
        );
    }
}

/// The path without query and fragment, at most [`MAX_PATH`] bytes of it.
fn loggable_path(path: &str) -> &str {
    let path = path.find(['?', '#']).map_or(path, |end| &path[..end]);
    &path[..path.floor_char_boundary(MAX_PATH)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query may hold a token, so none is logged; a path is cut between characters.
    #[test]
    fn a_path_is_logged_without_its_query_and_cut() {
        assert_eq!(loggable_path("/a?token=secret"), "/a");
        assert_eq!(loggable_path("/a#b?c"), "/a");
        assert_eq!(loggable_path(""), "");
        let long = format!("/{}", "é".repeat(MAX_PATH));
        assert_eq!(loggable_path(&long).len(), MAX_PATH - 1);
    }
}
