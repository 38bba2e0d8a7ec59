//! The time as everything here sees it.

use crate::policy::Timestamp;
use std::time::{Instant, SystemTime};

/// Wall-clock time that never jumps: taken once, then counted monotonically.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Timestamp,
    since: Instant,
}

impl Clock {
    /// Takes the time.
    pub(crate) fn start() -> Clock {
        Clock { started: Timestamp::from_system(SystemTime::now()), since: Instant::now() }
    }

    /// The time now.
    pub(crate) fn now(&self) -> Timestamp {
        self.started.later(self.since.elapsed())
    }
}
