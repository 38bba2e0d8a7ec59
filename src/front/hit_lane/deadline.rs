//! When a connection has waited long enough. It is asked for every request, so it must not touch a timer for each.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// A point in time by which something is to happen. Moving it further away costs nothing: the timer that
/// was set earlier finds that it is not yet time.
pub(super) struct Deadline {
    pub(super) at: tokio::time::Instant,
    timer: Pin<Box<Sleep>>,
    /// The timer knows whom to wake.
    is_set: bool,
}

impl Deadline {
    pub(super) fn new(after: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep(after));
        Deadline { at: timer.deadline(), timer, is_set: false }
    }

    pub(super) fn set(&mut self, now: Instant, after: Duration) {
        self.at = tokio::time::Instant::from_std(now) + after;
        if self.at < self.timer.deadline() {
            self.is_set = false;
            self.timer.as_mut().reset(self.at);
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_set && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        self.is_set = true;
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.at <= tokio::time::Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.at);
        }
        Poll::Pending
    }
}
