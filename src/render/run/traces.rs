//! What a render leaves behind for requests to come: its page, or that there is none to share, and whether the
//! origin is to be left alone. It leaves nothing where a reload has the page rendered by somebody else by now:
//! what it brings is of an origin that the file has turned away from.

use super::Run;
use crate::policy::Page;
use crate::render::backoff::GoodRenders;
use std::sync::Arc;
use std::time::Duration;

impl Run<'_> {
    fn counts(&self) -> bool {
        self.engine.counts(self.order)
    }

    pub(super) fn put(&self, page: &Arc<Page>) {
        if self.counts() {
            self.engine.store.put(Arc::clone(page), self.route.max_variants);
            self.engine.encode_later(&self.order.setup, self.route, page);
        }
    }

    /// The page that was to be replaced is good for nothing any more.
    pub(super) fn forget(&self, prior: &Page) {
        if self.counts() {
            self.engine.store.remove(&prior.key);
        }
    }

    /// Answers for the key are not to be shared for a while.
    pub(super) fn remember(&self) {
        if self.counts() {
            let now = self.engine.now();
            let until = now.later(self.route.uncacheable_ttl);
            self.engine.store.remember_uncacheable(self.flight.key(), until, now);
        }
    }

    pub(super) fn good(&self) {
        if self.counts() {
            self.engine.backoff.succeeded(&self.order.key, self.good_renders());
        }
    }

    pub(super) fn backoff(&self, wait: Option<Duration>) {
        if self.counts() {
            self.leave_alone(wait);
            self.order.setup.metrics.backed_off(self.order.origin);
        }
    }

    pub(super) fn wait_for_origins_cache(&self) {
        if self.counts() {
            self.leave_alone(None);
        }
    }

    fn leave_alone(&self, wait: Option<Duration>) {
        let (key, now) = (&self.order.key, self.engine.now());
        self.engine.backoff.failed(key, self.good_renders(), now, wait, rand::random());
    }

    fn good_renders(&self) -> &GoodRenders {
        &self.order.setup.origins[self.order.origin.0].good_renders
    }
}
