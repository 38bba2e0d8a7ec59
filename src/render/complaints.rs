//! How often a failing origin is worth a line: an origin that is down fails thousands of renders, and
//! whoever reads the log at 3 a.m. needs the reason once, not the list.

use crate::policy::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Between two lines about one origin.
const PAUSE: Duration = Duration::from_secs(1);

/// Counts what is not logged, for one origin.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    next: AtomicU64,
    kept: AtomicU64,
}

impl Complaints {
    /// Whether a failure at `now` is logged, and how many were not since the last that was.
    pub(crate) fn admit(&self, now: Timestamp) -> Option<u64> {
        let due = self.next.load(Ordering::Relaxed);
        let next = now.later(PAUSE).millis();
        let is_first =
            now.millis() >= due && self.next.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_first {
            return Some(self.kept.swap(0, Ordering::Relaxed));
        }
        self.kept.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_a_second_is_logged_and_says_how_many_were_not() {
        let complaints = Complaints::default();
        let at = |millis: u64| complaints.admit(Timestamp::from_millis(10_000 + millis));
        assert_eq!(at(0), Some(0));
        assert_eq!([at(1), at(500), at(999)], [None, None, None]);
        assert_eq!(at(1000), Some(3));
        assert_eq!(at(5000), Some(0));
    }
}
