//! The last renders that failed: what the dashboard lists and `explain` names. A bounded record; it
//! decides nothing, and nothing that is decided reads it.

use crate::policy::{Key, Timestamp};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// How many failures are kept.
const CAPACITY: usize = 64;
/// Bytes of a path that are kept.
const LONGEST_PATH: usize = 256;

/// One failed render.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FailedRender {
    /// The origin's name.
    pub(crate) origin: Arc<str>,
    /// The route's name.
    pub(crate) route: Arc<str>,
    /// The path, without the query, cut off after 256 bytes.
    pub(crate) path: Box<str>,
    /// A word of a closed set, or the origin's own status.
    pub(crate) reason: &'static str,
    /// When.
    pub(crate) at: Timestamp,
    /// [`Key::hash64`] of its key.
    key_hash: u64,
}

/// The last failures, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<VecDeque<FailedRender>>);

impl Failures {
    /// Takes note of a failure; the oldest one is forgotten.
    pub(crate) fn record(
        &self,
        key: &Key,
        origin: &Arc<str>,
        route: &Arc<str>,
        path: &str,
        reason: &'static str,
        at: Timestamp,
    ) {
        let failed = FailedRender {
            origin: Arc::clone(origin),
            route: Arc::clone(route),
            path: path[..path.floor_char_boundary(LONGEST_PATH)].into(),
            reason,
            at,
            key_hash: key.hash64(),
        };
        let mut kept = self.0.lock();
        if kept.len() >= CAPACITY {
            kept.pop_front();
        }
        kept.push_back(failed);
    }

    /// The last failure of this key, if it is among those that are kept.
    pub(crate) fn last_of(&self, key: &Key) -> Option<FailedRender> {
        self.0.lock().iter().rev().find(|failed| failed.key_hash == key.hash64()).cloned()
    }

    /// All that are kept, the newest first.
    pub(crate) fn recent(&self) -> Vec<FailedRender> {
        self.0.lock().iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scheme;
    use crate::policy::key::KeyUri;

    fn key(path: &str) -> Key {
        Key::of(KeyUri { scheme: Scheme::Http, host: "a.test", path, query: None })
    }

    #[test]
    fn the_newest_failures_are_kept_and_no_more_than_the_bound() {
        let failures = Failures::default();
        for n in 0..CAPACITY as u64 + 6 {
            let path = format!("/{}", n % 10);
            failures.record(&key(&path), &"web".into(), &"/".into(), &path, "timeout", Timestamp::from_millis(n));
        }
        let recent = failures.recent();
        assert_eq!(recent.len(), CAPACITY);
        assert_eq!((recent[0].at.millis(), recent[CAPACITY - 1].at.millis()), (69, 6));
        assert_eq!(failures.last_of(&key("/3")).unwrap().at, Timestamp::from_millis(63));
        assert_eq!(failures.last_of(&key("/none")), None);
    }

    #[test]
    fn a_long_path_is_cut_between_characters() {
        let failures = Failures::default();
        let path = format!("/{}", "é".repeat(LONGEST_PATH));
        failures.record(&key("/"), &"web".into(), &"/".into(), &path, "timeout", Timestamp::EPOCH);
        assert_eq!(failures.recent()[0].path.len(), LONGEST_PATH - 1);
    }
}
